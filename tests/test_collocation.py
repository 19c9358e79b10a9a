"""Gauss-Legendre collocation: its coefficients, its order, and what each step keeps by itself."""

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow import laws
from faflow.flow.collocation import BACK, NODES, WEIGHTS, A, Gauss
from faflow.flow.vectors import Field, Layout


def far(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


def test_the_coefficients_are_those_of_the_quadrature_and_keep_quadratic_forms():
    for power in range(6):
        assert WEIGHTS @ NODES**power == pytest.approx(1 / (power + 1), abs=1e-15)
    assert abs(WEIGHTS @ NODES**6 - 1 / 7) > 1e-6
    for power in range(3):
        assert A @ NODES**power == pytest.approx(NODES ** (power + 1) / (power + 1), abs=1e-15)
    kept = WEIGHTS[:, None] * A + (WEIGHTS[:, None] * A).T
    np.testing.assert_allclose(kept, np.outer(WEIGHTS, WEIGHTS), atol=1e-16)
    for power in range(3):
        assert BACK @ NODES**power == pytest.approx(float(power == 0), abs=1e-14)
        assert BACK[::-1] @ NODES**power == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize(
    ("kind", "phi", "step"),
    [(ff.FA, "linear", 1 / 16), (ff.GD, "tanh", 1 / 16), (ff.SignFA, "linear", 1 / 32)],
)
def test_errors_fall_with_the_sixth_power_of_the_step(kind, phi, step):
    options = {"beta": 1.0} if kind is ff.SignFA else {}
    rule, task, w0 = problem(kind, phi, sizes=(6, 5, 3), seed=1, **options)
    exact = ff.integrate(rule, task, w0, [0, 1], rtol=1e-13, atol=1e-15, max_steps=None).final
    wrong = [
        far(ff.integrate(rule, task, w0, [0, 1], solver="gauss", step=h).final, exact)
        for h in (step, step / 2)
    ]
    assert 5.7 < np.log2(wrong[0] / wrong[1]) < 6.3


KEPT = [
    (laws.feedback_balance, ff.FA, "linear", (6, 5, 4, 3), {}),
    (laws.balance, ff.GD, "linear", (6, 5, 4, 3), {}),
    (laws.neuron_potential_balance, ff.GD, "relu_power(3)", (6, 5, 3), {"degree": 3}),
    (laws.mirror_balance, ff.KolenPollack, "linear", (6, 5, 3), {}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("law", "kind", "phi", "sizes", "given"), KEPT)
def test_quadratic_laws_are_kept_by_every_step_however_coarse(law, kind, phi, sizes, given, bias):
    rule, task, w0 = problem(kind, phi, sizes=sizes, bias=bias, seed=1)
    ts = np.linspace(0, 2, 9)
    drifts = []
    for solver in ("gauss", "dop853"):
        sol = ff.integrate(rule, task, w0, ts, solver=solver, rtol=1e-4)
        values = sol.measure(law, **given)
        drifts.append(np.abs(values - values[0]).max() / max(1, np.abs(values).max()))
    assert drifts[0] < 3e-14
    assert drifts[1] > 1e-8


def test_a_law_that_is_not_quadratic_drifts_with_the_errors():
    """Σ log cosh over a column, for feedback by tanh."""
    rule, task, w0 = problem(ff.SignFA, "linear", sizes=(6, 5, 3), seed=1, beta=2.0)
    far = []
    for rtol in (1e-4, 1e-8):
        sol = ff.integrate(rule, task, w0, [0, 2], solver="gauss", rtol=rtol)
        values = sol.measure(laws.neuron_potential_balance)
        far.append(np.abs(values[-1] - values[0]).max())
    assert far[0] > 1e-10
    assert far[1] < far[0] / 10


def test_steps_lead_back_where_they_came_from():
    """Symmetric in time, as no explicit method is."""
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(6, 5, 3), seed=1)
    back = ff.FA(rule.B, rates=(-1.0, -1.0))
    gaps = []
    for solver in ("gauss", "rk45"):
        there = ff.integrate(rule, task, w0, [0, 1 / 4], solver=solver, step=1 / 64).final
        again = ff.integrate(back, task, there, [0, 1 / 4], solver=solver, step=1 / 64).final
        gaps.append(far(again, w0))
    assert gaps[0] < 1e-12
    assert gaps[1] > 1e-10


@pytest.mark.parametrize("h", [0.1, 0.2, 0.4])
def test_the_error_of_a_step_is_a_share_of_its_estimate_whatever_the_step(h):
    rule, task, w0 = ff.GD(), ff.Task([[1.0]], [[0.0]]), (np.ones((1, 1)),)  # w' = -w
    layout = Layout(w0)
    method = Gauss(Field(rule, task, layout, layout.packed(w0)))
    method.start(np.ones(1))
    made, errors = method.attempt(np.ones(1), h)
    assert 0.008 < abs(made[0] - np.exp(-h)) / errors[0] < 0.014


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
def test_errors_are_within_the_tolerance(rtol):
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(6, 5, 3), seed=1)
    exact = ff.integrate(rule, task, w0, [0, 5], rtol=1e-13, atol=1e-15, max_steps=None).final
    sol = ff.integrate(rule, task, w0, [0, 5], solver="gauss", rtol=rtol)
    assert far(sol.final, exact) < 10 * rtol
    assert sol.made["solver"] == "gauss"


class Turning(ff.Rule):
    """The first row turns at the rate 10, the others rest."""

    def velocity(self, task, w):
        moved = np.zeros_like(w[0])
        moved[0] = 10 * w[0][0] @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        return (moved,)


@pytest.mark.parametrize("size", [1, 1e-3, 1e-5])
@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_a_part_that_is_small_beside_others_is_not_lost(size, rtol):
    w0 = (np.array([[size, 0.0], [0.0, 1.0]]),)
    given = Turning(), ff.Task(np.eye(2), np.eye(2)), w0, [0, 20]
    sol = ff.integrate(*given, solver="gauss", rtol=rtol, keep=None)
    expected = size * np.array([np.cos(200), np.sin(200)])
    assert np.linalg.norm(sol.final[0][0] - expected) < 20 * rtol


def test_stages_are_found_after_a_very_short_step_and_for_tiny_matrices():
    """0.1 fits 0.8 eight times but for rounding, which leaves a step of 1e-16."""
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(4, 3, 2), seed=1)
    ends = [
        ff.integrate(rule, task, w0, ts, solver="gauss", step=0.1).final
        for ts in ([0, 1.6], [0, 0.8, 1.6])
    ]
    assert far(*ends) < 1e-12
    rule, task, (W, Z) = problem(ff.GD, "linear", sizes=(6, 5, 3), seed=1)
    for scale in (0, 1e-8, 1):
        sol = ff.integrate(rule, task, (W, scale * Z), [0, 0.1], solver="gauss", step=0.05)
        exact = ff.integrate(rule, task, (W, scale * Z), [0, 0.1], rtol=1e-12)
        assert far(sol.final, exact.final) < 1e-4


def test_stages_that_are_not_found_are_said_with_what_was_reached():
    """A decay that jumps makes the flow too fast for steps of this size."""
    rule, task, w0 = problem(
        ff.FA, sizes=(3, 4, 2), seed=1, decay=ff.Piecewise((1.0,), (0.0, 1000.0))
    )
    with pytest.raises(ff.Unfinished, match="stages of a step of this size are not found") as stop:
        ff.integrate(rule, task, w0, [0, 0.5, 2], solver="gauss", step=0.02)
    assert list(stop.value.solution.ts) == [0, 0.5, 1]
