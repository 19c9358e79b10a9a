"""First layers of which feedback moves a part, against the whole of them."""

import re
from functools import partial

import numpy as np
import pytest

import faflow as ff
from faflow import laws
from faflow.flow import reduce
from faflow.flow.radius import radius
from faflow.nets import replaced
from faflow.symbolic.reductions import rest_unproved

SIZES = {"two layers": (30, 40, 3), "three layers": (50, 40, 6, 3)}
TS = [0.0, 0.01, 0.03]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Also where it gains nothing."""
    monkeypatch.setattr(reduce, "WIDE", 0)


def made(kind, case, bias=False, samples=20, decay=0):
    rng, sizes = np.random.default_rng(0), SIZES[case]
    task = ff.Task(
        rng.standard_normal((sizes[0], samples)) + bias,
        rng.standard_normal((sizes[-1], samples)),
        bias=bias,
        output_scale=0.7,
    )
    layers = len(sizes) - 1
    rates = tuple(np.linspace(1, 2, layers))
    rule = kind.random(sizes, seed=1, rates=rates, decay=(0, *[decay] * (layers - 1)))
    return rule, task, rule.start(sizes, scale=0.5, bias=bias)


def far(one, other):
    both = zip(one, other, strict=True)
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in both)


STEPPED = [(k, c, b, n) for k in (ff.FA, ff.DFA) for c in SIZES for b in (0, 1) for n in (20, 200)]
STEPPED += [(ff.FA, "two layers", 1, 31)]  # nothing else to be reduced


@pytest.mark.parametrize(("kind", "case", "bias", "samples"), STEPPED)
def test_a_run_of_what_moves_takes_the_steps_of_the_whole(kind, case, bias, samples):
    rule, task, w0 = made(kind, case, bool(bias), samples, decay=0.1)
    control = {"solver": "rk45", "rtol": 1e-9, "max_steps": None}
    full, sol = (
        ff.integrate(rule, task, w0, TS, reduce=how, **control) for how in ("none", "auto")
    )
    moving = rule.B[0].shape[1]
    assert sol.made["reduced"].endswith(f"40 units of the first layer as the {moving} that move")
    for count in ("accepted", "rejected", "evaluations"):
        assert sol.made[count] == full.made[count]
    assert far(sol.final, full.final) < 1e-12
    assert far(sol.w, full.w) < 1e-12
    for k in range(len(TS)):
        assert sol.loss(k) == pytest.approx(full.loss(k), rel=1e-13)
    law = {"law": partial(laws.feedback_balance, k=len(w0) - 2)}
    seen, whole = (
        ff.integrate(rule, task, w0, TS, reduce=how, observe=law, **control).observed["law"]
        for how in ("auto", "none")
    )
    np.testing.assert_allclose(seen, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


@pytest.mark.parametrize("case", SIZES)
def test_velocities_are_those_of_the_whole_and_the_rest_stands_still(case):
    rule, task, w0 = made(ff.FA, case, bias=True)
    reduction, rng = ff.reduce(rule, task, w0), np.random.default_rng(1)
    small = tuple(rng.standard_normal(W.shape) for W in reduction.w0)
    rest = reduction.lift([0 * W for W in small])
    moved = reduction.lift(reduction.rule(reduction.task, small))
    expected = rule(task, reduction.lift(small))
    assert far([V - R for V, R in zip(moved, rest, strict=True)], expected) < 1e-12
    outside = np.linalg.svd(rule.B[0])[0][:, rule.B[0].shape[1] :]
    np.testing.assert_allclose(outside.T @ expected[0], 0, atol=1e-11 * np.abs(expected[0]).max())


@pytest.mark.parametrize("solver", ["dop853", "rkc2", pytest.param("tsit5", marks=pytest.mark.jax)])
def test_every_engine_ends_where_the_whole_does(solver):
    rule, task, w0 = made(ff.FA, "two layers")
    control = {"solver": solver, "rtol": 1e-8, "max_steps": None}
    sol = ff.integrate(rule, task, w0, TS, **control)
    full = ff.integrate(rule, task, w0, TS, rtol=1e-12, max_steps=None, reduce="none")
    assert "that move" in sol.made["reduced"]
    assert far(sol.final, full.final) < 1e-6
    drift = sol.made["drift"]["feedback_balance, k = 0"]
    values = sol.measure(laws.feedback_balance)  # of the whole layer
    assert drift == pytest.approx(np.abs(values - values[0]).max(), rel=1e-3)


def test_the_bound_on_the_spectral_radius_is_one_of_what_moves():
    """But for sums over rows, which turning changes, it is that of the whole."""
    rule, task, w0 = made(ff.FA, "two layers")
    reduction = ff.reduce(rule, task, w0)
    bound = radius(reduction.rule, reduction.task, reduction.w0)
    assert bound == pytest.approx(radius(rule, task, w0), rel=0.1)
    flat = np.concatenate([W.ravel() for W in reduction.w0])
    cut = reduction.w0[0].size

    def field(flat):
        w = flat[:cut].reshape(reduction.w0[0].shape), flat[cut:].reshape(reduction.w0[1].shape)
        return np.concatenate([V.ravel() for V in reduction.rule(reduction.task, w)])

    columns = [(field(flat + h) - field(flat - h)) / 2e-6 for h in 1e-6 * np.eye(len(flat))]
    assert 0.2 * bound < np.abs(np.linalg.eigvals(np.array(columns))).max() <= bound


def test_laws_are_kept_in_the_whole_layer():
    rule, task, w0 = made(ff.FA, "two layers")
    sol = ff.integrate(rule, task, w0, TS, keep="all", rtol=1e-6)
    assert "that move" not in sol.made["reduced"]
    assert max(sol.made["drift"].values()) < 1e-12


@pytest.mark.parametrize("given", [{"phi": "tanh"}, {"phi": "relu"}, {"loss": "logistic"}])
def test_other_networks_are_left_alone(given):
    """Also where activations pass on what does not move."""
    rule, task, w0 = made(ff.FA, "two layers")
    other = ff.Task(task.X, np.sign(task.Y), **given)
    assert not ff.reduce(rule, other, w0)
    for kind in (ff.GD, ff.KolenPollack, ff.SignFA):
        rule = kind.random(SIZES["two layers"], seed=1)
        start = rule.start(SIZES["two layers"])
        assert "that move" not in str(ff.reduce(rule, task, start))


def test_a_layer_that_decays_is_left_whole():
    rule, task, w0 = made(ff.FA, "two layers")
    for decay in (0.1, (0.1, 0), ff.Piecewise((1.0,), (0.0, 0.1))):
        reduction = ff.reduce(replaced(rule, decay=decay), task, w0)
        assert reduction.whole is None
        assert "the first layer decays" in reduction.left[-1]


def test_a_broken_run_goes_on(tmp_path):
    given, control = made(ff.FA, "two layers"), {"solver": "dop853", "rtol": 1e-9}
    whole = ff.integrate(*given, TS, **control)
    with pytest.raises(ff.Unfinished, match="goes on"):
        ff.integrate(*given, TS, checkpoint=tmp_path / "run", max_steps=10, **control)
    sol = ff.integrate(*given, TS, checkpoint=tmp_path / "run", **control)
    for W, V in zip(sol.final, whole.final, strict=True):
        np.testing.assert_array_equal(W, V)


def test_the_smaller_problem_is_integrated_like_any_other():
    rule, task, w0 = made(ff.FA, "three layers", bias=True)
    reduction = ff.reduce(rule, task, w0)
    given = reduction.rule, reduction.task, reduction.w0
    sol = ff.integrate(*given, TS, rtol=1e-9, keep=None, max_steps=None)
    full = ff.integrate(rule, task, w0, TS, rtol=1e-9, reduce="none", max_steps=None)
    assert far(reduction.lift(sol.final), full.final) < 1e-7
    assert sol.loss() == pytest.approx(full.loss(), rel=1e-7)  # there are fewer samples than inputs
    assert reduction.loss(sol.final) == pytest.approx(full.loss(), rel=1e-7)
    with pytest.raises(ValueError, match="cannot be saved by themselves"):
        sol.save("none.npz")
    for other in (ff.GD(), ff.FA(), ff.KolenPollack()):
        with pytest.raises(ValueError, match="are for the rule that was reduced"):
            ff.integrate(other, *given[1:], TS)
    with pytest.raises(ValueError, match=re.escape("w0[1] must have 40 + 1 columns")):
        ff.integrate(*given[:2], (given[2][0], given[2][1][:, :-1], given[2][2]), TS)


class Drawn(ff.FA):
    """Moves its first layer where feedback does not reach it, too."""

    def velocity(self, task, w):
        first, *others = super().velocity(task, w)
        return first + w[0], *others


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("bias", [False, True])
def test_what_rests_is_proved_in_words(depth, bias):
    for kind in (ff.FA, ff.DFA):
        assert rest_unproved(kind(), depth, bias) is None
    assert "than feedback reaches" in rest_unproved(Drawn(), depth, bias)
