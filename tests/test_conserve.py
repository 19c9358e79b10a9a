"""Conserved quantities kept to rounding, against the flow itself and against what is nearest."""

from functools import partial

import numpy as np
import pytest
from problems import problem
from scipy.linalg import null_space

import faflow as ff
from faflow import laws
from faflow.flow import conserve, keeping
from faflow.flow import factor as factor_of
from faflow.flow.conserve import Keeper
from faflow.flow.factor import Factor
from faflow.flow.free import Free
from faflow.flow.keeping import Keeping, known
from faflow.flow.kept import Kept
from faflow.flow.reach import Reach
from faflow.rule import outgoing

ENGINES = ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)]
JUMPS = (ff.Piecewise((0.5,), (0.2, 0.1)), ff.Piecewise((0.5,), (0.4, 0.2)))

CASES = {
    "FA, wide outputs": (ff.FA, "linear", (5, 3, 4, 6), False, {}),
    "FA": (ff.FA, "linear", (6, 5, 4, 3), True, {"rates": (1.0, 0.5, 2.0)}),
    "FA, neurons": (ff.FA, "relu_power(2)", (6, 5, 4, 3), True, {}),
    "FA, decaying": (ff.FA, "linear", (6, 5, 3), False, {"decay": (0.2, 0.4)}),
    "FA, jumping decay": (ff.FA, "linear", (6, 5, 3), False, {"decay": JUMPS}),
    "GD": (ff.GD, "linear", (6, 5, 3), True, {"rates": (1.0, 2.0), "decay": 0.1}),
    "GD, deep": (ff.GD, "linear", (6, 5, 4, 3), False, {}),
    "GD, neurons": (ff.GD, "relu_power(2)", (6, 5, 4, 3), False, {}),
    "DFA": (ff.DFA, "linear", (6, 5, 4, 3), False, {}),
    "SignFA": (ff.SignFA, "linear", (6, 5, 3), True, {"beta": 2.0}),
    "KolenPollack": (ff.KolenPollack, "linear", (6, 5, 4, 3), True, {"decay": 0.3}),
    "KolenPollack, tanh": (ff.KolenPollack, "tanh", (6, 5, 3), False, {}),
}


def made(name, **more):
    kind, phi, sizes, bias, options = CASES[name]
    return problem(kind, phi, sizes=sizes, bias=bias, seed=1, **(options | more))


def drift_of(sol):
    return max(sol.made["drift"].values())


@pytest.mark.parametrize("name", CASES)
def test_a_state_near_the_level_set_goes_back_to_it_and_no_further_than_it_was_away(name):
    rule, task, w = made(name)
    rule = rule.at(0.0)
    kept = known(rule, task, w)
    assert kept
    keeping = Keeping.of(kept, rule, w, 0.0)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-9):
        off = tuple(W + size * rng.standard_normal(W.shape) for W in w)
        back, away = keeping.returned(0.0, off)
        assert max(away) > size / 100
        terms = max(np.abs(q).max() for q in keeping.targets)
        assert max(keeping.away(0.0, back)) < 1e-14 * max(1, terms) + 1e-14
        gap = lambda one, two: max(np.abs(a - b).max() for a, b in zip(one, two, strict=True))
        assert gap(back, off) < 20 * size
        again, _ = keeping.returned(0.0, back)
        assert gap(again, back) < 1e-12


@pytest.mark.parametrize("name", ["FA", "GD, deep", "KolenPollack"])
def test_a_state_off_by_little_more_than_rounding_is_led_no_further_away(name):
    rule, task, w = made(name, decay=0)
    keeping = Keeping.of(known(rule, task, w), rule, w, 0.0)
    rng = np.random.default_rng(0)
    for size in 2.0 ** -np.arange(30, 52):
        off = tuple(W + size * rng.standard_normal(W.shape) for W in w)
        back, away = keeping.returned(0.0, off)
        assert max(keeping.away(0.0, back)) <= max(min(max(away), 2e-14), 5e-15)


@pytest.mark.parametrize("name", ["GD", "GD, deep", "FA", "KolenPollack", "GD, neurons"])
def test_where_no_layer_alone_can_the_nearest_state_is_taken(name):
    """What is moved is at right angles to the level set: to all directions that keep the laws."""
    rule, task, w = made(name, decay=0)
    keeping = Keeping.of(known(rule, task, w), rule, w, 0.0)
    assert keeping.keeper.shortcuts is None
    rng = np.random.default_rng(0)
    off = tuple(W + 1e-6 * rng.standard_normal(W.shape) for W in w)
    back, _ = keeping.returned(0.0, off)
    moved = np.concatenate([(a - b).ravel() for a, b in zip(back, off, strict=True)])
    size = np.linalg.norm(moved)
    for seed in range(5):  # along the level set: there and back, for random directions
        rng = np.random.default_rng(seed)
        aside = tuple(W + 1e-3 * rng.standard_normal(W.shape) for W in back)
        aside, _ = keeping.returned(0.0, aside)
        along = np.concatenate([(a - b).ravel() for a, b in zip(aside, back, strict=True)])
        assert abs(moved @ along) < 2e-2 * size * np.linalg.norm(along)  # it bends by 1e-3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_a_run_keeps_its_laws_to_rounding_and_says_how_far_it_was(name, engine):
    rule, task, w0 = made(name)
    ts = [0, 0.5, 0.7, 2.0]
    control = {"engine": engine, "rtol": 1e-5, "atol": 1e-7}
    plain, kept = (
        ff.integrate(rule, task, w0, ts, keep=keep, **control) for keep in ("monitor", "all")
    )
    size = max(
        np.abs(one.value(rule, w)).max()
        for one in known(rule.at(0), task, w0)
        for w in (w0, kept.final)
    )
    assert drift_of(kept) < 2e-14 * max(1, size)
    assert list(kept.made["away"]) == list(kept.made["drift"]) == list(plain.made["drift"])
    if "tanh" not in name:  # that difference is kept by every step of itself
        assert drift_of(plain) > 1e-10
        assert max(kept.made["away"].values()) > 1e-10
        assert kept.made["corrected"] > 0
    assert kept.made["corrected"] < 1e-4
    exact = ff.integrate(rule, task, w0, ts, rtol=1e-11, max_steps=None)
    wrong = [
        max(np.abs(a - b).max() for a, b in zip(s.final, exact.final, strict=True))
        for s in (plain, kept)
    ]
    assert wrong[1] < 3 * wrong[0] + 1e-9


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [ff.KolenPollack, ff.GD, ff.FA])
def test_laws_that_depend_on_one_another_are_kept_to_rounding(kind, engine):
    """Of layers wider than what they lie between: 24 of the 45 laws of Kolen-Pollack's determine
    the others, and it drifted by 1e-10."""
    sizes, rng = (2, 6, 1, 2), np.random.default_rng(0)
    rule, task = kind.random(sizes, seed=1), ff.Task(*rng.standard_normal((2, 2, 6)))
    control = {"engine": engine, "rtol": 1e-8, "keep": "all"}
    sol = ff.integrate(rule, task, rule.start(sizes, seed=1), [0, 0.5, 1], **control)
    assert drift_of(sol) < 2e-14


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "sizes"),
    [(ff.FA, (2, 30, 30, 2)), (ff.KolenPollack, (2, 18, 16, 2)), (ff.KolenPollack, (2, 24, 24, 2))],
)
def test_laws_of_wide_layers_are_kept_to_rounding(kind, sizes, engine):
    """They took more steps of conjugate gradients than 30, and drifted by 1e-10."""
    rule, rng = kind.random(sizes, seed=1), np.random.default_rng(0)
    task = ff.Task(*rng.standard_normal((2, 2, 20)))
    w0 = rule.start(sizes, seed=1)
    sol = ff.integrate(rule, task, w0, [0, 0.2], engine=engine, rtol=1e-6, keep="all")
    assert drift_of(sol) < 1e-13


def counted(monkeypatch):
    """A list to which each solution adds its steps of conjugate gradients."""
    counts, conjugate = [], conserve.conjugate

    def counting(*given):
        count, found = conjugate(*given)
        counts.append(count)
        return count, found

    monkeypatch.setattr(conserve, "conjugate", counting)
    return counts


def test_rounding_ends_conjugate_gradients(monkeypatch):
    """From weights of zero they were 28 a step, nearly all of what rounding leaves."""
    counts = counted(monkeypatch)
    sizes = (10, 20, 20, 10)
    rule, rng = ff.FA.random(sizes, seed=1), np.random.default_rng(0)
    task = ff.Task(*rng.standard_normal((2, 10, 20)))
    w0 = tuple(0 * W for W in rule.start(sizes))
    sol = ff.integrate(rule, task, w0, [0, 0.5, 1], rtol=1e-6, keep="all", solver="dop853")
    assert drift_of(sol) < 2e-14
    assert sum(counts) < 12 * sol.made["accepted"]


DOUBLING = (0.1, 0.2, 0.4)
SMALL = [
    (ff.FA, 0, 0),
    (ff.FA, 1e-6, 0),
    (ff.FA, 0, DOUBLING),
    (ff.FA, 0, tuple(ff.Piecewise((0.5,), (0, c)) for c in DOUBLING)),
    (ff.KolenPollack, 0, 0),
    (ff.KolenPollack, 1e-6, 0),
    (ff.KolenPollack, 0, 0.3),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "size", "decay"), SMALL)
def test_laws_of_layers_that_begin_at_nothing_are_kept_to_rounding(kind, size, decay, engine):
    """Weights were moved where the flow moves none or little, and drifted by 1e-10."""
    rule, task, w0 = problem(kind, sizes=(3, 6, 2, 4), decay=decay, seed=1)
    w0 = (size * w0[0], *w0[1:])
    control = {"engine": engine, "rtol": 1e-4, "keep": "all"}
    assert drift_of(ff.integrate(rule, task, w0, [0, 0.5, 1], **control)) < 2e-14


@pytest.mark.parametrize(
    ("sizes", "scales"), [((3, 5, 3, 8, 3), (1e-4, 1, 1e-6, 1)), ((3, 8, 2, 3), (1, 1e-5, 1))]
)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
@pytest.mark.parametrize("rule", [ff.GD(), ff.KolenPollack()])
def test_laws_are_kept_where_layers_begin_small(rule, rtol, sizes, scales, monkeypatch):
    """Gradient descent's corrections, cut as feedback alignment's are, left 1e-10, or took 100
    times as long; those of Kolen-Pollack took 400 steps of conjugate gradients a step."""
    counts = counted(monkeypatch)
    rng = np.random.default_rng(1)
    task = ff.Task(*rng.standard_normal((2, 3, 20)))
    start = rule.start(sizes, seed=1)
    w0 = (*(c * W for c, W in zip(scales, start, strict=False)), *start[len(scales) :])
    control = {"rtol": rtol, "solver": "dop853", "max_seconds": 60}
    sol = ff.integrate(rule, task, w0, [0, 0.3, 1], keep="all", **control)
    assert drift_of(sol) < 2e-14
    assert sum(counts) < 40 * sol.made["accepted"]


ERRORS = (1e-6, 1e-16, 1e-6, 1e-16, 1e-6)


@pytest.mark.parametrize("apart", [0, 1e-15])
def test_weights_that_mirror_feedback_to_rounding_are_not_scaled_by_it(apart):
    """W - Bᵀ of nothing but rounding, away by all of itself, was taken for an error of its decay,
    and the weights were scaled to nothing."""
    rule, task, w = problem(ff.KolenPollack, sizes=(4, 5, 6, 3), decay=0.3, seed=1)
    w = (w[0], w[3].T * (1 + apart), *w[2:])
    keeping = Keeping.of(known(rule, task, w), rule, w, 0.0)
    rng = np.random.default_rng(0)
    off = tuple(W + size * rng.standard_normal(W.shape) for W, size in zip(w, ERRORS, strict=True))
    back, _ = keeping.returned(0.0, off)
    assert max(keeping.away(0.0, back)) < 1e-14
    for W, V in zip(back, w, strict=True):
        np.testing.assert_allclose(W, V, atol=1e-5)


@pytest.mark.parametrize("decay", [0, 0.3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("phi", ["linear", ("relu_power(2)", "linear"), ("linear", "tanh")])
@pytest.mark.parametrize("kind", [ff.FA, ff.KolenPollack])
def test_flows_stay_where_they_are_said_to_be_free(kind, phi, bias, decay):
    sizes = (3, 7, 6, 2)
    rule, task, w0 = problem(kind, phi, sizes=sizes, bias=bias, decay=decay, seed=3)
    w0 = (0 * w0[0], np.outer(np.ones(6), w0[1][0]), *w0[2:])
    free = Free.of(Keeper.of(known(rule, task, w0), rule, w0).kept, rule, w0)
    assert any(P is not None and np.trace(P) < len(P) - 0.5 for P in free.spans)
    reached = ff.integrate(rule, task, w0, [0, 1], rtol=1e-9, keep=None).final
    for state in (w0, reached):
        moves = rule(task, state)
        if kind is ff.FA:
            same_all(free.cut(rule, dict(enumerate(moves))).values(), moves)
        else:
            same_all(free.cleared(rule, moves, np), moves)


@pytest.mark.parametrize(("sizes", "k"), [((3, 7, 6, 2), 0), ((3, 2, 8, 3), 1)])
def test_a_state_is_cleared_of_what_rounding_put_where_nothing_moves(sizes, k):
    """Every W - Bᵀ stays as it is: that of the layer below was moved by up to 5e-9 a run."""
    rule, task, w0 = problem(ff.KolenPollack, sizes=sizes, bias=True, seed=3)
    w0 = (0 * w0[0], *w0[1:])
    keeper, rng = Keeper.of(known(rule, task, w0), rule, w0), np.random.default_rng(0)
    off = tuple(W + 1e-9 * rng.standard_normal(W.shape) for W in w0)
    cleared = keeper.free.cleared(rule, off, np)
    units = lambda w: np.hstack([w[k], w[len(sizes) - 1 + k]])
    still = null_space(units(w0).T)
    assert still.size
    assert np.abs(still.T @ units(cleared)).max() < 1e-15
    assert np.abs(still.T @ units(off)).max() > 1e-10
    for layer in range(2):
        one = Kept("difference", layer)
        np.testing.assert_allclose(one.value(rule, cleared), one.value(rule, off), atol=1e-15)
    same_all(cleared, keeper.free.cleared(rule, cleared, np))


def test_directions_that_begin_as_small_as_can_be_grow_with_laws_kept():
    """They were taken for rounding, and the loss stayed at 0.6 for ever."""
    turns = [np.linalg.qr(M)[0] for M in np.random.default_rng(0).standard_normal((4, 3, 3))]
    inner = np.diag([1, 0.9, 1.1]), np.diag([1, 0.8, 1e-13]), np.diag([1, 0.8, 1e-13])
    weights = [turns[k + 1] @ inner[k] @ turns[k].T for k in range(3)]
    task = ff.Task(turns[0], turns[3] @ np.diag([1.2, 1.1, 5]))
    w0 = (*weights, 1.3 * weights[1].T, 1.2 * weights[2].T)
    for keep in (None, "all"):
        control = {"keep": keep, "reduce": "none"}
        sol = ff.integrate(ff.KolenPollack(), task, w0, [0, 3, 9], rtol=1e-9, **control)
        assert sol.loss(1) > 1
        assert sol.loss(2) < 1e-15


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("phi", ["relu", ("relu", "relu", "linear")])
def test_laws_of_kolen_pollack_are_kept_where_layers_are_kinked_or_of_zeros(phi, engine):
    """Nowhere linear, it ended in an IndexError; of a linear layer of zeros 5e-5 was left."""
    rule, task, w = problem(ff.KolenPollack, phi, sizes=(3, 4, 4, 4, 2), decay=0.5, seed=4)
    w = (w[0], w[1], 0 * w[2], *w[3:6], 0 * w[6])
    control = {"engine": engine, "rtol": 1e-4, "keep": "all", "kinks": "ignore"}
    assert drift_of(ff.integrate(rule, task, w, [0, 0.3, 1], **control)) < 2e-14


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("phi", "decay"), [(("linear", "tanh"), 0.02), ("linear", (0.03, 0.03, 0.01)), ("linear", 0.02)]
)
def test_corrections_leave_layers_of_zeros_also_where_these_have_no_law(phi, decay, engine):
    """Laws of layers beside them moved them, and the flow left its saddle."""
    rule, task, w = problem(ff.KolenPollack, phi, sizes=(3, 6, 5, 4), decay=decay, seed=1)
    w0 = (0.6 * w[0], 0 * w[1], 0.6 * w[2], 0.6 * w[3], 0 * w[4])
    task = ff.Task(task.X, 3 * task.Y, phi)
    control = {"engine": engine, "solver": "rk45" if engine == "scipy" else "tsit5"}
    sol = ff.integrate(rule, task, w0, [0, 5, 10], rtol=1e-5, keep="all", **control)
    assert drift_of(sol) < 1e-13
    assert sol.made["corrected"] > 0
    assert not sol.final[1].any()
    assert not sol.final[4].any()


def test_laws_of_kolen_pollack_are_kept_where_decay_makes_directions_small():
    """2e-13 was left, of laws each solved alone as if all directions of the next were large."""
    X = np.random.default_rng(1).standard_normal((3, 30)) * np.sqrt(2 / 15)
    rule = ff.KolenPollack(decay=0.1)
    w0 = tuple(0.6 * W for W in rule.start((3, 5, 4, 3), seed=3))
    task = ff.Task(X, np.diag([2, 1.5, 1]) @ X)
    sol = ff.integrate(rule, task, w0, [0, 100], rtol=1e-3, keep="all", solver="rk45")
    assert drift_of(sol) < 2e-14


@pytest.mark.parametrize("name", ["GD, deep", "FA", "GD, neurons", "KolenPollack"])
def test_laws_change_along_a_direction_as_their_derivatives_say(name):
    """And those are the transposes of their gradients."""
    rule, task, w = made(name, decay=0)
    rng = np.random.default_rng(0)
    v = tuple(rng.standard_normal(W.shape) for W in w)
    for one in known(rule, task, w):
        up, down = (
            one.value(rule, tuple(W + h * V for W, V in zip(w, v, strict=True)))
            for h in (0.01, -0.01)
        )
        change = (up - down) / 0.02  # they are quadratic
        if one.kind != "difference":
            found = one.derivative(rule, w, v)
            np.testing.assert_allclose(found, change, atol=1e-12 * np.abs(change).max())
        L = rng.standard_normal(change.shape)
        L = L + L.T if one.symmetric else L
        led = sum(np.sum(M * v[k][:, : M.shape[1]]) for k, M in one.gradient(rule, w, L).items())
        assert led == pytest.approx(np.sum(L * change), rel=1e-10)


def mirrored(rule, v):
    """The same direction, with feedback moving as weights do where it is learned."""
    weights = rule.weights(v)
    return (*weights, *(outgoing(v, k).T for k in range(len(v) - len(weights))))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("phi", ["linear", "relu"])
def test_corrections_of_kolen_pollack_move_feedback_as_weights(phi, bias):
    """They are the transposes of the laws' derivatives along directions that do so, too."""
    rule, task, w = problem(ff.KolenPollack, phi, sizes=(4, 6, 3, 2), bias=bias, seed=1)
    held = Keeper.of(known(rule, task, w), rule, w).curved
    assert [one.held for one in held] == [True, True]
    rng = np.random.default_rng(0)
    random = lambda: mirrored(rule, tuple(rng.standard_normal(W.shape) for W in w))
    along = lambda v, u: sum(np.sum(V * U) for V, U in zip(v, u, strict=True))
    for one in held:
        v, moves = random(), [0 * W for W in w]
        change = one.derivative(rule, w, v)
        L = rng.standard_normal(change.shape)
        L = L + L.T if one.symmetric else L
        conserve._add(moves, one.gradient(rule, w, L), np)
        same_all(moves, mirrored(rule, moves))
        assert along(moves, v) == pytest.approx(np.sum(L * change), rel=1e-10)
    if phi == "linear":
        cut = lambda v: tuple(reach.cut(rule, dict(enumerate(v))).values())
        reach, v, u = Reach.of(held, rule, w, np), random(), random()
        same_all(cut(v), mirrored(rule, cut(v)))
        assert along(cut(v), u) == pytest.approx(along(v, cut(u)), rel=1e-10)
        assert 0 < along(cut(v), v) < along(v, v)


def same_all(v, u):
    for V, U in zip(v, u, strict=True):
        np.testing.assert_allclose(V, U, atol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 5, 6, 3), (2, 6, 1, 2)])
@pytest.mark.parametrize("kind", [ff.KolenPollack, ff.GD, ff.FA])
def test_laws_are_solved_together_by_what_was_made_at_the_state(kind, sizes):
    """Also where some follow from others: residuals that a state can have are met by all."""
    rule, rng = kind.random(sizes, seed=1), np.random.default_rng(0)
    w = rule.start(sizes, seed=1)
    task = ff.Task(np.ones((sizes[0], 1)), np.ones((sizes[-1], 1)))
    laws_ = Keeper.of(known(rule, task, w), rule, w).curved
    v = mirrored(rule, tuple(rng.standard_normal(W.shape) for W in w))
    R = tuple(one.derivative(rule, w, v) for one in laws_)
    factor = Factor(laws_)
    assert factor.near(rule, w, R, Free()) is None
    factor.spent = 1e9
    L = factor.near(rule, w, R, Free())(R)
    assert factor.spent == 0
    moved = tuple(0 * W for W in w)
    for one, M in zip(laws_, L, strict=True):
        for k, part in one.gradient(rule, w, M).items():
            moved[k][...] += part
    for one, r in zip(laws_, R, strict=True):
        np.testing.assert_allclose(one.derivative(rule, w, moved), r, atol=1e-8)


def test_a_factor_of_all_laws_saves_steps_of_conjugate_gradients(monkeypatch):
    """Of 20 hidden units twice they are 11 a step; the weights are the same but for tolerance."""
    counts, spent, ends = counted(monkeypatch), [], []
    rule, rng = ff.FA.random((10, 20, 20, 10), seed=1), np.random.default_rng(0)
    task = ff.Task(rng.standard_normal((10, 20)), rng.standard_normal((10, 20)))
    w0 = rule.start((10, 20, 20, 10), seed=1)
    for most in (0, factor_of.MOST):
        monkeypatch.setattr(factor_of, "MOST", most)
        counts.clear()
        sol = ff.integrate(rule, task, w0, [0, 0.3], rtol=1e-6, keep="all", solver="dop853")
        assert drift_of(sol) < 5e-14
        ends.append(sol.final)
        spent.append(sum(counts))
    assert spent[0] > 2 * spent[1]
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


SUMS = [
    (ff.GD, laws.layer_balance, "linear"),
    (ff.GD, laws.layer_balance, "relu"),
    (ff.GD, laws.neuron_balance, "relu"),
    (ff.FA, laws.layer_feedback_balance, "linear"),
    (ff.FA, laws.layer_feedback_balance, "relu_power(2)"),
    (ff.DFA, laws.layer_feedback_balance, "relu"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "law", "phi"), SUMS)
def test_one_number_of_a_layer_is_kept_by_the_nearest_state(kind, law, phi, engine):
    """A scalar law moves the state along its gradient, found here by differences."""
    rule, task, w0 = problem(kind, phi, sizes=(6, 5, 3), seed=1)
    given = {"degree": 2} if "power" in phi else {}
    value = lambda w: np.atleast_1d(law(rule, w, **given))
    options = {"keep": law, "engine": engine, "rtol": 1e-5}
    if engine == "diffrax" and phi == "relu":
        options["kinks"] = "ignore"
    sol = ff.integrate(rule, task, w0, [0, 1, 2], **options)
    assert np.abs(value(sol.final) - value(w0)).max() < 2e-14 * max(1, np.abs(value(w0)).max())
    assert list(sol.made["drift"]) == [f"{law.__name__}, k = 0"]
    assert 1e-9 < max(sol.made["away"].values()) < 1e-3
    exact = ff.integrate(rule, task, w0, [0, 2], rtol=1e-10, max_steps=None)
    assert max(np.abs(a - b).max() for a, b in zip(sol.final, exact.final, strict=True)) < 1e-3
    if kind is not ff.GD:
        return  # the layer above alone goes back
    (one,) = keeping.asked(law, rule, task, w0, [0, 1])
    rng = np.random.default_rng(0)
    L = rng.standard_normal(np.shape(law(rule, w0)))
    made = one.gradient(rule, w0, np.asarray(L))
    for _ in range(3):
        v = tuple(rng.standard_normal(W.shape) for W in w0)
        ends = [value(tuple(W + s * V for W, V in zip(w0, v, strict=True))) for s in (1, -1)]
        slope = np.atleast_1d(L) @ (ends[0] - ends[1]) / 2  # exact, as it is quadratic
        assert sum(np.sum(M * v[k]) for k, M in made.items()) == pytest.approx(slope, rel=1e-12)


def own_balance(rule, w):
    return laws.balance(rule, w)


def own_power(rule, w):
    """Not quadratic."""
    q = laws.layer_feedback_balance(rule, w, k=1)
    return q**2 + 3 * q


def own_entry(rule, w, row=0):
    """Written with entries, which words do not know."""
    carried = rule.B[0] @ w[1]
    return w[0][row] @ w[0][row] - 2 * carried[row][row]


@pytest.mark.jax
@pytest.mark.parametrize("engine", ["scipy", "diffrax"])
def test_a_law_of_ones_own_goes_back_as_the_one_known(engine):
    """Also in a problem that would be reduced: of full weights, not of fewer."""
    rule, task, w0 = made("GD, deep")
    alone = partial(laws.balance, k=0)
    ends = [
        ff.integrate(rule, task, w0, [0, 2], rtol=1e-5, keep=k, engine=engine, reduce="none")
        for k in (alone, own_balance)
    ]
    for a, b in zip(ends[0].final, ends[1].final, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    away = [max(s.made["away"].values()) for s in ends]
    assert away[0] == pytest.approx(away[1], rel=1e-6)
    rng = np.random.default_rng(0)
    low = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30))
    task = ff.Task.factorisation(low)
    w0 = (0.1 * rng.standard_normal((4, 30)), 0.1 * rng.standard_normal((40, 4)))
    sol = ff.integrate(ff.GD(), task, w0, [0, 0.05], rtol=1e-5, keep=own_balance, engine=engine)
    assert "reduced" not in sol.made
    assert drift_of(sol) < 1e-13


@pytest.mark.jax
@pytest.mark.parametrize("engine", ["scipy", "diffrax"])
@pytest.mark.parametrize(
    ("law", "sizes", "options"),
    [
        (own_power, (6, 5, 4, 3), {}),
        (own_entry, (4, 3, 2), {}),
        (partial(own_entry, row=1), (4, 3, 2), {}),
        (ff.discover(ff.FA(decay=(0.1, 0.2)), depth=2)[1], (6, 5, 3), {"decay": (0.1, 0.2)}),
    ],
)
def test_a_law_of_ones_own_is_kept_to_rounding(law, sizes, options, engine):
    rule, task, w0 = problem(ff.FA, "linear", sizes=sizes, seed=1, **options)
    plain, kept = (
        ff.integrate(rule, task, w0, [0, 1, 2], rtol=1e-6, keep=keep, engine=engine)
        for keep in (None, law)
    )
    growth = float(getattr(law, "growth", 0))
    size = np.abs(law(rule, w0)).max()
    gone = lambda sol: np.abs(law(rule, sol.final) * np.exp(2 * growth) - law(rule, w0)).max()
    assert gone(kept) < 1e-14 * max(1, size) < 1e-10 < gone(plain)
    assert drift_of(kept) < 1e-14 * max(1, size)
    assert max(kept.made["away"].values()) > 1e-10
    exact = ff.integrate(rule, task, w0, [0, 2], rtol=1e-11, max_steps=None)
    far = lambda sol: max(np.abs(a - b).max() for a, b in zip(sol.final, exact.final, strict=True))
    assert far(kept) < 3 * far(plain) + 1e-9


@pytest.mark.jax
@pytest.mark.parametrize(
    ("law", "phi", "says"),
    [
        (lambda rule, w: w[0], "linear", "keep refuses <lambda>: NOT kept"),
        (lambda rule, w: 1 / 0, "linear", "cannot compute <lambda>: division by zero"),
        (lambda rule, w: w[7], "linear", "cannot compute <lambda>: tuple index out of range"),
        (laws.lyapunov, "linear", "cannot compute lyapunov: .* missing .* 'target'"),
        (own_entry, "tanh", "keep refuses own_entry: NOT kept"),
        (own_balance, "relu", "where kinks are followed"),
        (ff.discover(ff.FA, depth=2)[0], "linear", "keep cannot differentiate N1' W1 by JAX"),
    ],
)
def test_a_law_of_ones_own_that_cannot_be_kept_is_refused(law, phi, says):
    rule, task, w0 = problem(ff.FA, phi, sizes=(2, 2, 2), seed=1)
    with pytest.raises(ValueError, match=says):
        ff.integrate(rule, task, w0, [0, 1], keep=law)


class Determined(ff.Rule):
    """One entry moves by a determinant, which is zero for one sample."""

    def velocity(self, task, w):
        M = (task.Y - w[0] @ task.X) @ task.X.T
        corner = np.array([[1, 0], [0, 0]])
        return (M * (1 - corner) + (M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]) * corner,)


def with_keyword(rule, w, samples=0, depth=2, activation=None):
    return laws.feedback_balance(rule, w) + samples * w[0] @ w[0].T


def signed_balance(rule, w):
    S = rule.constants(w)["S2"]
    return w[0] @ w[0].T - S @ w[1] - (S @ w[1]).T


@pytest.mark.jax
def test_keywords_of_a_law_are_its_own_and_no_options_of_its_proof():
    rule, task, w0 = problem(ff.FA, "linear", sizes=(4, 3, 2), seed=1)
    with pytest.raises(ValueError, match="keep refuses with_keyword, samples = 2: NOT kept"):
        ff.integrate(rule, task, w0, [0, 1], keep=partial(with_keyword, samples=2))
    sol = ff.integrate(rule, task, w0, [0, 1], keep=partial(with_keyword, depth=3))
    assert drift_of(sol) < 1e-14
    curved = ff.Task(task.X, task.Y, "tanh")
    with pytest.raises(ValueError, match="NOT kept"):
        ff.integrate(rule, curved, w0, [0, 1], keep=partial(with_keyword, activation="linear"))


@pytest.mark.jax
def test_a_law_of_one_sample_alone_is_refused_for_more():
    task = ff.Task([[1, 0.3], [0.2, 1]], [[1, -0.5], [0.3, 2]])
    w0 = (np.array([[0.5, 0.1], [0.2, -0.3]]),)
    corner = lambda rule, w: w[0][0, 0] * 1
    with pytest.raises(ValueError, match="keep refuses <lambda>: NOT kept"):
        ff.integrate(Determined(), task, w0, [0, 1], keep=corner)


@pytest.mark.jax
def test_laws_that_hold_while_signs_last_are_refused():
    rule, task, w0 = problem(ff.SignFA, sizes=(4, 3, 2), seed=1)
    with pytest.raises(ValueError, match="hold while no weight changes its sign"):
        ff.integrate(rule, task, w0, [0, 1], keep=signed_balance)


@pytest.mark.jax
@pytest.mark.parametrize("engine", ["scipy", "diffrax"])
def test_a_law_that_reads_what_changes_between_runs_is_read_anew(engine):
    rule, task, w0 = problem(ff.GD, "linear", sizes=(4, 3, 2), seed=1)
    factor = [1.0]
    scaled = lambda rule, w: laws.balance(rule, w) * factor[0]
    for factor[0] in (1.0, 3.0):
        sol = ff.integrate(rule, task, w0, [0, 1], keep=scaled, engine=engine, rtol=1e-6)
        assert drift_of(sol) < 1e-13


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (partial(laws.neuron_feedback_balance, degree=2), "has degree 2, but .* has degree 1"),
        (partial(laws.feedback_balance, nonsense=7), "takes no argument 'nonsense'"),
        (np.array([1, 2]), "keep must be all, monitor, None or a law"),
    ],
)
def test_arguments_of_laws_are_looked_at(keep, says):
    rule, task, w0 = problem(ff.FA, "linear", sizes=(4, 3, 2), seed=1)
    with pytest.raises(ValueError, match=says):
        ff.integrate(rule, task, w0, [0, 1], keep=keep)


def test_direct_feedback_keeps_its_law_in_the_last_hidden_layer_alone():
    rule, task, w0 = problem(ff.DFA, "linear", sizes=(4, 3, 3, 2), seed=1)
    sol = ff.integrate(rule, task, w0, [0, 1], keep=laws.feedback_balance)
    assert list(sol.made["drift"]) == ["feedback_balance, k = 1"]
    with pytest.raises(ValueError, match=r"feedback_balance is none; there are .* k = 1"):
        ff.integrate(rule, task, w0, [0, 1], keep=partial(laws.feedback_balance, k=0))


@pytest.mark.parametrize(("solver", "order"), [("rk45", 5), ("rk23", 3), ("dop853", 8)])
def test_the_order_of_a_method_is_the_same_with_its_laws_kept(solver, order):
    rule, task, w0 = problem(ff.FA, "linear", sizes=(5, 3, 6), seed=1)
    exact = ff.integrate(rule, task, w0, [0, 1], rtol=1e-13, atol=1e-15, max_steps=None).final
    wrong = []
    for step in (1 / 32, 1 / 64):
        sol = ff.integrate(rule, task, w0, [0, 1], solver=solver, step=step, keep="all")
        assert drift_of(sol) < 1e-13
        wrong.append(max(np.abs(a - b).max() for a, b in zip(sol.final, exact, strict=True)))
    assert np.log2(wrong[0] / wrong[1]) > order - 0.7


def test_reduced_runs_keep_the_laws_of_the_full_problem():
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 30)) / 10
    rule = ff.FA.random((30, 4, 40), decay=(0.1, 0.2))
    w0 = rule.start((30, 4, 40))
    sol = ff.integrate(rule, ff.Task.factorisation(Y), w0, [0, 1, 2], rtol=1e-5, keep="all")
    assert "reduced" in sol.made
    values = sol.measure(laws.feedback_balance)
    expected = values[0] * np.exp(-0.2 * sol.ts)[:, None, None]
    assert np.abs(values - expected).max() < 1e-13


def test_one_law_can_be_kept_and_others_not():
    rule, task, w0 = made("FA")
    sol = ff.integrate(rule, task, w0, [0, 2], rtol=1e-5, keep=laws.feedback_balance)
    assert len(sol.made["drift"]) == 2
    import functools

    lower = functools.partial(laws.feedback_balance, k=0)
    sol = ff.integrate(rule, task, w0, [0, 2], rtol=1e-5, keep=lower)
    assert list(sol.made["drift"]) == ["feedback_balance, k = 0"]
    assert drift_of(sol) < 1e-13
    upper = sol.measure(laws.feedback_balance, k=1)
    assert np.abs(upper[-1] - upper[0]).max() > 1e-9


def test_a_correction_counts_as_an_error_of_its_step():
    """Laws of values that the flow never had are far: no step reaches them within its tolerance."""
    rule, task, w0 = made("FA, wide outputs")
    kept = tuple(known(rule, task, w0))
    values = tuple(one.value(rule, w0) + 0.1 for one in kept)
    from faflow.flow import engine_scipy
    from faflow.flow.control import Control

    keeping = Keeping(Keeper.of(kept, rule, w0), rule, values, (0.0, 0.0), 0.0)
    control = Control.of(1e-6, 1e-8, [W.size for W in w0])
    control.h = 0.01
    run = engine_scipy.stepper(rule, task, 0.0, w0, solver="rk45", control=control, keeping=keeping)
    run.advance([1.0], 200)
    assert run.accepted == 0


@pytest.mark.parametrize(
    ("name", "keep", "more", "says"),
    [
        ("FA", laws.balance, {}, "balance is none; there are feedback_balance, k = 0"),
        ("GD", laws.feedback_balance, {}, "there are balance, k = 0"),
        ("FA", "everything", {}, "keep must be all, monitor, None or a law"),
        ("FA", 3, {}, "keep must be all, monitor, None or a law"),
        ("FA", "all", {"decay": 0.1}, "keep='all' finds no law"),  # not twice as fast above
        ("KolenPollack, tanh", laws.mirror_balance, {}, "there are mirror_difference, k = 0"),
    ],
)
def test_what_cannot_be_kept_is_refused(name, keep, more, says):
    rule, task, w0 = made(name, **more)
    with pytest.raises(ValueError, match=says):
        ff.integrate(rule, task, w0, [0, 1], keep=keep)


def test_a_law_that_is_not_proved_is_refused(monkeypatch):
    monkeypatch.setattr(Kept, "law", property(lambda self: laws.balance))
    monkeypatch.setattr(keeping, "_refused", keeping._refused.__wrapped__)  # remembers nothing
    rule, task, w0 = made("FA, wide outputs")
    with pytest.raises(ValueError, match=r"keep refuses balance, k = 0: NOT kept"):
        ff.integrate(rule, task, w0, [0, 1], keep="all")


def test_solvers_that_cannot_return_say_so():
    rule, task, w0 = made("FA")
    with pytest.raises(ValueError, match="where radau steps; keep='monitor' can look on"):
        ff.integrate(rule, task, w0, [0, 1], keep="all", solver="radau")
    rule, task, w0 = problem(ff.FA, "relu", sizes=(6, 5, 4, 3))
    with pytest.raises(ValueError, match="where kinks above the first layer are followed"):
        ff.integrate(rule, task, w0, [0, 1], keep="all")
    sol = ff.integrate(rule, task, w0, [0, 1], keep="all", kinks="ignore")
    assert drift_of(sol) < 1e-13


def test_a_monitor_changes_nothing_and_can_be_left_out():
    rule, task, w0 = made("GD, deep")
    seen, unseen = (ff.integrate(rule, task, w0, [0, 1], keep=keep) for keep in ("monitor", None))
    assert "drift" not in unseen.made
    for A, B in zip(seen.final, unseen.final, strict=True):
        np.testing.assert_array_equal(A, B)
    values = seen.measure(laws.balance)
    drift = np.abs(values[1] - values[0]).max()
    assert seen.made["drift"]["balance, k = 0"] == pytest.approx(drift, rel=0.1, abs=1e-14)
