"""Reduced problems against the full ones, whose velocity they must have, and against proofs."""

import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from problems import assert_lifted_alike

import faflow as ff
from faflow import laws
from faflow.flow.radius import radius
from faflow.flow.reduce import core, low_rank, unproved
from faflow.matrices import Mirrored, mirror, with_ones
from faflow.matrices.diagonal import Diagonal
from faflow.nets import replaced
from faflow.symbolic.reductions import is_seen

SMOOTH = (ff.GD, ff.FA, ff.DFA, ff.KolenPollack)
KINDS = (*SMOOTH, ff.SignFA)
EXACT = 1e-13  # relative; 2e-15 was seen
SAME = 1e-12  # where steps are the same
TS = [0.0, 0.3, 0.7, 1.0]


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape)


def orthonormal(M):
    return np.linalg.qr(M)[0]


def data(case):
    """A task, layer sizes, and the sizes of what is left."""
    draw = drawn()
    low = draw(40, 3) @ draw(3, 30) / 6
    white = 2 * orthonormal(draw(30, 30))
    return {
        "many samples": (ff.Task(draw(8, 300), draw(5, 300)), (8, 6, 7, 5), (8, 6, 7, 5)),
        "few samples": (ff.Task(draw(20, 12), draw(5, 12)), (20, 6, 7, 5), (12, 6, 7, 5)),
        "unseen inputs": (
            ff.Task(draw(20, 4) @ draw(4, 300), draw(5, 300)),
            (20, 6, 5),
            (4, 6, 5),
        ),
        "low rank": (ff.Task.factorisation(low), (30, 4, 40), (7, 4, 7)),
        "low rank, deep": (ff.Task.factorisation(low), (30, 4, 6, 40), (7, 4, 6, 9)),
        "white": (ff.Task(white, low), (30, 4, 40), (7, 4, 7)),
        "white, of some inputs": (ff.Task(white[:, :20], low[:, :20]), (30, 4, 40), (7, 4, 7)),
        "scaled output": (
            ff.Task(draw(20, 12), draw(5, 12), output_scale=0.3),
            (20, 6, 5),
            (12, 6, 5),
        ),
        "many outputs": (
            ff.Task(draw(9, 50), draw(40, 2) @ draw(2, 50)),
            (9, 4, 40),
            (9, 4, 6),
        ),
        "full rank": (ff.Task.factorisation(draw(60, 50) / 8), (50, 4, 60), (50, 4, 60)),
        "errors not formed": (
            ff.Task(draw(30, 90), draw(40, 90), output_scale=0.3),
            (30, 3, 40),
            (30, 3, 40),
        ),
        "one layer": (ff.Task(draw(20, 12), draw(5, 12)), (20, 5), (12, 5)),
        "biases": (biased(1 + draw(8, 90), draw(5, 90)), (8, 6, 7, 5), (8, 6, 7, 5)),
        "biases, few samples": (biased(1 + draw(20, 12), draw(5, 12)), (20, 6, 5), (12, 6, 5)),
        "biases, one line": (biased(draw(9, 1) @ draw(1, 90), draw(5, 90)), (9, 6, 5), (1, 6, 5)),
        "biases, off a line": (
            biased(draw(9, 1) + draw(9, 1) @ draw(1, 90), draw(5, 90)),
            (9, 6, 5),
            (2, 6, 5),
        ),
        "biases, one sample often": (
            biased(np.ones((9, 30)), np.full((5, 30), 0.5)),
            (9, 6, 5),
            (1, 6, 5),
        ),
        "biases, many outputs": (
            biased(draw(9, 50), draw(40, 2) @ draw(2, 50)),
            (9, 4, 40),
            (9, 4, 7),
        ),
        "biases, many inputs": (biased(draw(130, 300) / 9, draw(5, 300)), (130, 6, 5), (130, 6, 5)),
        "biases, off a plane": (
            biased((draw(200, 1) + draw(200, 135) @ draw(135, 300) / 9) / 9, draw(5, 300)),
            (200, 6, 5),
            (136, 6, 5),
        ),
        "biases, one layer": (biased(draw(20, 12), draw(5, 12)), (20, 5), (12, 5)),
    }[case]


CASES = ("many samples", "few samples", "unseen inputs", "low rank", "low rank, deep", "white")
CASES += ("white, of some inputs", "scaled output", "many outputs", "one layer")
CASES += ("full rank", "errors not formed", "biases", "biases, few samples", "biases, one line")
CASES += ("biases, off a line", "biases, one sample often", "biases, many outputs")
CASES += ("biases, one layer", "biases, many inputs", "biases, off a plane")


BIASED = ("biases", "biases, off a plane")


def biased(X, Y):
    return ff.Task(X, Y, bias=True, output_scale=0.7)


def made(kind, case, **options):
    task, sizes, left = data(case)
    rates = tuple(np.linspace(1, 2, len(sizes) - 1))
    rule = kind.random(sizes, seed=1, rates=rates, **options)
    w0 = rule.start(sizes, scale=0.5, bias=task.bias)
    if task.bias:  # which start at zero
        layers = len(sizes) - 1
        w0 = (*(np.hstack([W[:, :-1], 0.3 + 0 * W[:, -1:]]) for W in w0[:layers]), *w0[layers:])
    return rule, task, w0, left


def far(one, other):
    both = zip(one, other, strict=True)
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in both)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_smaller_problem_moves_as_the_full_one_does(kind, case):
    """Steps of one and of the other, with a decay of layers, end at the same weights."""
    rule, task, w, left = made(kind, case)
    reduction = ff.reduce(rule, task, w)
    small = reduction.w0
    outputs = left[-1] if kind is not ff.SignFA or len(left) == 2 else len(task.Y)
    weights = reduction.rule.weights(small)
    assert [W.shape for W in weights] == [
        (above, below + task.bias) for below, above in pairwise((*left[:-1], outputs))
    ]
    assert far(reduction.lift(small), w) < EXACT
    for _ in range(5):
        w = tuple(W + 1e-4 * V for W, V in zip(w, rule(task, w), strict=True))
        moved = reduction.rule(reduction.task, small)
        small = tuple(W + 1e-4 * V for W, V in zip(small, moved, strict=True))
        assert far(reduction.lift(small), w) < EXACT


@pytest.mark.parametrize("kind", KINDS)
def test_velocities_are_those_of_the_full_problem_at_any_state_in_its_spaces(kind):
    """Also far from the start: lifts of random states."""
    rule, task, w0, _ = made(kind, "low rank, deep")
    reduction = ff.reduce(rule, task, w0)
    draw = drawn(5)
    small = tuple(draw(*M.shape) for M in reduction.w0)
    zero = [0 * M for M in reduction.w0]
    rest = reduction.lift(zero)  # what lies apart
    moved = reduction.lift(reduction.rule(reduction.task, small))
    expected = rule(task, reduction.lift(small))
    assert far([V - R for V, R in zip(moved, rest, strict=True)], expected) < EXACT


STEPPED = [(kind, case, "rk45") for kind in SMOOTH for case in CASES]
STEPPED += [pytest.param(ff.FA, "low rank", "tsit5", marks=pytest.mark.jax)]


@pytest.mark.parametrize(("kind", "case", "solver"), STEPPED)
def test_a_reduced_run_takes_the_steps_of_the_full_one(kind, case, solver):
    """Errors are measured by matrices, with what lies beside the reduced ones, which decays.

    Not so by DOP853, whose estimates of errors enlarge rounding.
    """
    task, sizes, _ = data(case)
    end = 10 / np.linalg.norm(task.X, 2) ** 2
    decay = (0.3 / end, ff.Piecewise((end / 2,), (0.1 / end, 0.4 / end)), 0)[: len(sizes) - 1]
    rule, task, w0, _ = made(kind, case, decay=decay)
    control = {"solver": solver, "rtol": 1e-10, "atol": 1e-12}
    runs = [
        ff.integrate(rule, task, w0, [0, end / 5, end], reduce=how, **control)
        for how in ("none", "auto")
    ]
    full, reduced = (run.made for run in runs)
    assert "reduced" in reduced
    assert full["rejected"] + full["accepted"] > 5
    for count in ("accepted", "rejected", "evaluations"):
        assert full[count] == reduced[count]
    assert far(runs[1].final, runs[0].final) < SAME


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
@pytest.mark.parametrize(
    "case", ["few samples", "low rank", "unseen inputs", "errors not formed", *BIASED]
)
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.KolenPollack])
def test_a_reduced_run_ends_where_the_full_one_does(kind, case, engine):
    rule, task, w0, _ = made(kind, case, decay=ff.Piecewise((0.5,), (0.3, 0.1)))
    control = {"engine": engine, "rtol": 1e-11, "atol": 1e-13, "max_steps": None}
    full = ff.integrate(rule, task, w0, TS, reduce="none", **control)
    sol = ff.integrate(rule, task, w0, TS, **control)
    assert "reduced" in sol.made
    assert "reduced" not in full.made
    assert_lifted_alike(sol, full, far)


@pytest.mark.parametrize("case", ["full rank", "errors not formed"])
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_errors_of_thin_layers_are_never_formed(kind, case):
    """The bound on the spectral radius is the same, and so is what is learned in the end."""
    rule, task, w0, _ = made(kind, case)
    made_ = ff.reduce(rule, task, w0)
    assert str(made_).endswith("never formed")
    plain = replaced(made_.task, X=made_.task.X.T)
    bounds = [radius(made_.rule, given, made_.w0) for given in (plain, made_.task)]
    assert bounds[0] == bounds[1] > 0
    if kind is ff.GD:
        target = task.Y[:, :4] @ task.Y[:, :4].T @ task.Y  # of rank 4 > 3, and of full size
        small = replaced(task, Y=target / np.linalg.norm(target))
        ends = [
            ff.integrate(rule, small, w0, [0, 30], reduce=how, rtol=1e-8, max_steps=None)
            for how in ("none", "auto")
        ]
        assert far(ends[1].final, ends[0].final) < 1e-9


@pytest.mark.jax
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.KolenPollack])
def test_a_velocity_without_errors_is_compiled_batched_and_differentiated(kind):
    """As that with them, of which JAX is told nothing that it should not look through."""
    import jax

    rule, task, w0, _ = made(kind, "errors not formed")
    made_ = ff.reduce(rule, task, w0)
    assert str(made_).endswith("never formed")
    plain = replaced(made_.task, X=made_.task.X.T)
    both = [partial(made_.rule, given) for given in (made_.task, plain)]
    with jax.enable_x64(True):
        w = tuple(jax.numpy.asarray(W) for W in made_.w0)
        many = tuple(jax.numpy.stack([W, 2 * W]) for W in w)
        forward = lambda f: lambda at: jax.jvp(f, (at,), (w,))[1]
        back = lambda f: lambda at: jax.vjp(f, at)[1](w)
        for of, at in ((jax.jit, w), (jax.vmap, many), (forward, w), (back, w)):
            ours, exact = (jax.tree.leaves(of(f)(at)) for f in both)
            for a, b in zip(ours, exact, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=EXACT * max(1, abs(b).max()))


def test_a_product_is_learned_to_rounding_without_its_errors():
    draw = drawn(3)
    Y = draw(60, 4) @ draw(4, 50) / 20 + 1e-9 * draw(60, 50)
    w0 = (0.3 * draw(6, 50), 0.3 * draw(60, 6))
    task = ff.Task.factorisation(Y)
    plain, sol = (
        ff.integrate(ff.GD(), task, w0, [0, 400], rtol=1e-12, max_steps=None, reduce=how)
        for how in ("none", "auto")
    )
    assert "never formed" in sol.made["reduced"]
    left = [max(np.abs(V).max() for V in ff.GD()(task, s.final)) for s in (plain, sol)]
    assert max(left) < 1e-11
    rest = np.linalg.svd(Y)[1][6:]
    assert sol.loss() == pytest.approx(np.sum(rest**2) / 2, rel=1e-6)


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_what_is_all_zero_is_not_reduced_to_nothing(kind, engine):
    draw = drawn()
    for sizes in ((4, 5, 3), (8, 3, 3, 3)):
        rule = kind.random(sizes, seed=1)
        w = rule.start(sizes)
        zero, Y = tuple(0 * W for W in w), draw(sizes[-1], sizes[0])
        for X, targets, w0 in (
            (np.eye(sizes[0]), 0 * Y, zero),
            (np.eye(sizes[0]), 0 * Y, w),
            (np.eye(sizes[0]), 0 * Y, (w[0], *zero[1:])),
            (0 * np.eye(sizes[0]), Y, w),
        ):
            given = rule, ff.Task(X, targets), w0, [0, 1]
            ends = [
                ff.integrate(*given, reduce=how, engine=engine, rtol=1e-9).final
                for how in ("auto", "none")
            ]
            for a, b in zip(*ends, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-7)


def test_flows_known_in_closed_form_are_told_and_integrated_all_the_same():
    draw = drawn()
    Y, C = draw(5, 7), draw(3, 5)
    X = orthonormal(draw(9, 7))
    zero, ts = (np.zeros((3, 9)), np.zeros((5, 3))), [0.0, 0.3, 2.0]
    for kind in (ff.FA, ff.DFA):
        given = kind((C,)), ff.Task(X, Y), zero
        path = ff.reduce(*given).closed(ts)
        sol = ff.integrate(*given, ts, rtol=1e-11)
        assert "closed" not in str(sol.made)
        for one, other in zip(path, sol.w, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)
    w0 = 0.5 * orthonormal(draw(7, 3)).T @ X.T, 0.5 * orthonormal(draw(5, 3))
    given = ff.GD(), ff.Task(X, Y), w0
    path, sol = ff.reduce(*given).closed(ts), ff.integrate(*given, ts, rtol=1e-11)
    for k in range(len(ts)):
        W1, W2 = sol.at(k)
        np.testing.assert_allclose(path.network[k] @ X, W2 @ W1 @ X, atol=1e-8)
        np.testing.assert_allclose(path.outputs[k], W2 @ W2.T, atol=1e-8)
    w0 = 0.5 * orthonormal(draw(9, 3)).T, w0[1]  # also along what no sample shows
    assert ff.reduce(ff.GD(), ff.Task(X, Y), w0).closed is None


@pytest.mark.parametrize(
    ("rule", "X", "start"),
    [
        (ff.FA((drawn()(3, 5),), decay=0.1), np.eye(7), 0),
        (ff.FA((drawn()(3, 5),), rates=(1.0, 2.0)), np.eye(7), 0),
        (ff.FA((drawn()(3, 5),)), 2 * np.eye(7), 0),
        (ff.FA((drawn()(3, 5),)), np.eye(7), 0.1),
        (ff.GD(), np.eye(7), 0.1),  # not balanced
        (ff.KolenPollack(), np.eye(7), 0),
    ],
)
def test_other_flows_have_no_closed_form(rule, X, start):
    draw = drawn(4)
    state = rule.state((7, 3, 5)).values()
    w0 = tuple(start * draw(*shape) for shape in state)
    assert ff.reduce(rule, ff.Task(X, draw(5, 7)), w0).closed is None


SEEN = ("balance", "feedback_balance", "layer_balance", "mirror_balance")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_observed_without_the_full_state_is_what_is_there(kind, case):
    """The loss of every problem, and each law that words prove to be the same."""
    rule, task, w0, _ = made(kind, case)
    reduction, draw = ff.reduce(rule, task, w0), drawn(7)
    state = tuple(draw(*M.shape) for M in reduction.w0)
    full = reduction.lift(state)
    loss = reduction.seen(partial(laws.loss, task=task))
    assert loss(rule, state) == pytest.approx(rule.loss(task, full), rel=1e-13)
    assert reduction.seen(partial(laws.loss, task=replaced(task))) is None
    turned = any(turn.cols is not None for turn in reduction.turns)
    assert not turned or reduction.seen(lambda rule, w: w[0]) is None
    for name in SEEN:
        law = getattr(laws, name)
        seen = reduction.seen(law)
        if seen is not None:
            there = law(rule, full)
            np.testing.assert_allclose(seen(rule, state), there, atol=1e-13 * np.abs(there).max())
    if case == "many samples":
        assert reduction.seen(laws.balance) is not None


def nearly_dependent(samples, inputs=40, bias=False):
    """Inputs that are bumps on a line, whose sizes along their axes reach rounding."""
    draw, rng = drawn(), np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, samples))
    bumps = np.exp(-((x - np.linspace(-1, 1, inputs)[:, None]) ** 2) / 0.1)
    return ff.Task(bumps, draw(2, samples), bias=bias)


def sized(bias, offset=0):
    """Inputs of sizes from 1 to 1e-16 along their axes."""
    draw = drawn(1)
    sides = orthonormal(draw(30, 30)), orthonormal(draw(50, 30))
    X = sides[0] * np.logspace(0, -16, 30) @ sides[1].T + offset
    return ff.Task(X, draw(2, 50), bias=bias)


@pytest.mark.parametrize(
    "task",
    [
        nearly_dependent(30),
        nearly_dependent(100),
        nearly_dependent(300),
        nearly_dependent(300, bias=True),
        sized(False),
        sized(True),
        sized(True, offset=1e7),
    ],
)
def test_losses_count_what_is_not_reached_once_where_inputs_nearly_depend(task):
    """Rank and span of the inputs were found anew, and came out otherwise: off by 5 %."""
    sizes = (len(task.X), 5, 2)
    rule = ff.FA.random(sizes, seed=1)
    w0 = rule.start(sizes, bias=task.bias)
    for w in (w0, tuple(0 * W for W in w0)):
        reduction = ff.reduce(rule, task, w)
        assert reduction.loss(reduction.w0) == pytest.approx(rule.loss(task, w), rel=1e-9)


def test_a_rule_with_a_loss_of_its_own_is_asked_for_it():
    class Held(ff.FA):
        def loss(self, task, w):
            return super().loss(task, w) + sum(np.sum(W * W) for W in w)

    _, task, w0, _ = made(ff.FA, "many samples")
    rule = Held.random((8, 6, 7, 5), seed=1)
    sol = ff.integrate(rule, task, w0, [0, 0.001])
    assert "reduced" in sol.made
    assert sol.loss() == pytest.approx(rule.loss(task, sol.final), rel=1e-12)
    law = partial(laws.loss, task=task)
    assert sol.measure(law)[-1] == pytest.approx(sol.loss(), rel=1e-12)


def test_losses_are_of_the_solutions_own_task_at_one_time():
    rule, task, w0, _ = made(ff.FA, "many samples")
    sol = ff.integrate(rule, task, w0, [0, 0.001, 0.002])
    other = replaced(task, Y=task.Y[:, ::-1])
    for given in (replaced(sol, task=other), sol):
        assert given.loss() == pytest.approx(rule.loss(given.task, sol.final), rel=1e-12)
    assert sol.loss(-2) == sol.loss(1)
    for k in (slice(None), None, [0, 1]):
        with pytest.raises(TypeError):
            sol.loss(k)


def test_laws_that_remember_are_shown_no_words():
    first = []

    def moved(rule, w):
        first.append(w[0])
        return np.linalg.norm(w[0] - first[0])

    rule, task, w0, _ = made(ff.FA, "many samples")
    sol = ff.integrate(rule, task, w0, [0, 0.001, 0.002], observe={"moved": moved})
    assert len(first) == 3
    assert sol.observed["moved"][0] == 0 < sol.observed["moved"][1]


def test_feedback_is_more_than_what_is_turned_of_it():
    """BBᵀ is another one in the smaller problem, BVVᵀBᵀ."""
    square = lambda rule, w: rule.B[0] @ rule.B[0].T
    assert not is_seen(square, ff.FA(), 2, ("out",))
    assert is_seen(square, ff.FA(), 2, ("in",))
    assert is_seen(laws.feedback_balance, ff.FA(), 2, ("in", "out"))


def test_small_losses_keep_their_digits_without_the_full_state():
    """Sums of squares whose difference is the loss would leave none of them."""
    rule, task, w0, _ = made(ff.FA, "low rank")
    for reduction in (ff.reduce(rule, task, w0), core(rule, task, w0)):
        small = reduction.rule, reduction.task, reduction.w0
        state = ff.integrate(*small, [0, 50.0], rtol=1e-11, keep=None, max_steps=None).final
        there = rule.loss(task, reduction.lift(state))
        assert there < 1e-20 * rule.loss(task, w0)
        seen = reduction.seen(partial(laws.loss, task=task))
        assert seen(rule, state) == pytest.approx(there, rel=0.01)


def test_laws_are_observed_on_the_full_state_and_runs_are_saved_in_full(tmp_path):
    rule, task, w0, _ = made(ff.FA, "low rank")
    law = {"law": laws.feedback_balance}
    one, other = (
        ff.integrate(rule, task, w0, TS, observe=law, reduce=how).observed["law"]
        for how in ("none", "auto")
    )
    np.testing.assert_allclose(one, other, atol=1e-9)
    sol = ff.integrate(rule, task, w0, TS, reduce="auto")
    sol.save(tmp_path / "run.npz")
    again = ff.load(tmp_path / "run.npz")
    assert again.made["reduced"] == str(ff.reduce(rule, task, w0))
    for W, V in zip(again.w, sol.w, strict=True):
        np.testing.assert_array_equal(W, V)


def test_a_run_that_breaks_off_gives_full_weights():
    rule, task, w0, _ = made(ff.FA, "low rank")
    with pytest.raises(ff.Unfinished, match="budget of steps is spent") as stop:
        ff.integrate(rule, task, w0, [0, 50.0], reduce="auto", max_steps=5)
    assert [W.shape for W in stop.value.solution.final] == [W.shape for W in w0]


# What is left alone, and why


class Squaring(ff.FA):
    """Tells the layer below the squares of errors, which have no space of their own."""

    def carry(self, w, k, above, output):
        return self.B[k] @ (above * above)


class Clipping(ff.FA):
    """Looks at errors sample by sample."""

    def carry(self, w, k, above, output):
        return self.B[k] @ np.clip(above, -1, 1)


TASK = ff.Task(drawn()(6, 30), drawn(1)(4, 30))


@pytest.mark.parametrize(
    ("rule", "task", "why"),
    [
        (ff.FA, ff.Task(TASK.X, TASK.Y, "tanh"), "the network is not linear"),
        (ff.FA, ff.Task(TASK.X[:, :7], TASK.Y[:, :7], bias=True), "samples differ in most of the"),
        (ff.FA, ff.Task(TASK.X, np.sign(TASK.Y), loss="logistic"), "logistic loss needs each"),
        (Squaring, TASK, "words cannot follow Squaring"),
        (Clipping, TASK, "words cannot follow Clipping"),
    ],
)
def test_what_cannot_be_reduced_is_left_alone_with_a_reason(rule, task, why):
    rule = rule.random((6, 5, 4), seed=0)
    w0 = rule.start((6, 5, 4), bias=task.bias)
    reduction = ff.reduce(rule, task, w0)
    assert not reduction
    assert why in str(reduction)
    assert reduction.rule is rule
    sol = ff.integrate(rule, task, w0, [0, 0.1], reduce="auto")
    assert "reduced" not in sol.made


def test_momentum_and_other_rules_made_from_one_are_left_alone():
    rule = ff.HeavyBall(of=ff.FA.random((6, 5, 4)), friction=1.0)
    reduction = ff.reduce(rule, TASK, rule.start((6, 5, 4)))
    assert "is no rule on a chain of layers by itself" in str(reduction)


def test_layers_with_names_of_their_own_are_left_alone():
    class Named(ff.GD):
        def spaces(self, depth):
            return ("eye", *super().spaces(depth)[1:])

    reduction = ff.reduce(Named(), TASK, ff.init((6, 5, 4)))
    assert "names of its own for inputs" in str(reduction)


def test_signs_of_weights_do_not_turn_with_the_outputs():
    rule, task, w0, _ = made(ff.SignFA, "low rank")
    reduction = ff.reduce(rule, task, w0)
    assert reduction.left == ("SignFA does not keep to a part of the outputs",)
    assert [W.shape for W in reduction.w0] == [(4, 7), (40, 4)]


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_part_is_proved_for_every_size(kind, depth):
    for spaces in (("samples", "in"), ("in",), ("out",)):
        for bias in (False, True):
            reason = unproved(kind(), depth, spaces, bias)
            turned = kind is ff.SignFA and spaces == ("out",) and depth > 1
            turned |= bias and spaces == ("in",)  # ones are an input that is not white with others
            assert (reason is None) == (not turned), reason


class Forgetting(ff.FA):
    """Its first layer is told by the size of its own weights, which turn with the inputs."""

    def velocity(self, task, w):
        first, *rest = super().velocity(task, w)
        return first + w[0] @ task.X @ task.X.T @ task.X @ task.X.T, *rest


def test_a_rule_that_sees_the_data_by_its_covariance_alone_is_proved_and_another_refuted():
    assert unproved(Forgetting(), 2, ("samples", "in")) is None

    class Teaching(ff.FA):
        """Adds what the targets' own covariance says, which samples beside X have a part in."""

        def velocity(self, task, w):
            first, last = super().velocity(task, w)
            return first, last + task.Y @ task.Y.T @ w[1]

    assert "does not keep to a part" in unproved(Teaching(), 2, ("samples", "in"))
    rule = Teaching.random((6, 5, 4))
    assert not ff.reduce(rule, TASK, rule.start((6, 5, 4)))


# The pieces


def test_low_rank_is_found_and_no_lower_one_made_up():
    draw = drawn()
    for rank in (0, 1, 10, 40):
        Y = draw(60, rank) @ draw(rank, 50)
        Q, R = low_rank(Y, 45)
        assert Q.shape == (60, rank)
        np.testing.assert_allclose(Q.T @ Q, np.eye(rank), atol=1e-13)
        np.testing.assert_allclose(Q @ R, Y, atol=1e-12)
    assert low_rank(draw(60, 50), 45) is None
    assert low_rank(draw(60, 10) @ draw(10, 50) + 1e-11 * draw(60, 50), 45) is None
    assert low_rank(draw(60, 50), 0) is None
    for rank in (300, 450):  # in runs a large rank is given up early; one that pays is found
        Q, _ = low_rank(draw(700, rank) @ draw(rank, 800), 600, quick=True)
        assert Q.shape == (700, rank)
    assert low_rank(draw(700, 800), 600, quick=True) is None


def test_a_diagonal_matrix_multiplies_as_its_entries_do():
    draw = drawn()
    A, d = draw(3, 4), draw(4)
    for D, full in ((Diagonal(4, d), np.diag(d)), (Diagonal(4), np.eye(4))):
        assert D.shape == (4, 4)
        np.testing.assert_array_equal(A @ D, A @ full)
        np.testing.assert_array_equal(D.T @ A.T, full @ A.T)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_mirrored_inputs_multiply_as_their_entries_do(n):
    """Also with ones below; their rows are turned from [a, diag(s)] by a symmetric turn."""
    draw = drawn()
    a, s, E = draw(n, 1), draw(1, n)[0], draw(3, n + 1)
    X = Mirrored.of(a, s)
    v = mirror(n + 1)
    R = np.eye(n + 1) - 2 * np.outer(v, v)
    ones = np.full((1, n + 1), 1 / np.sqrt(n + 1))
    np.testing.assert_allclose(np.eye(1, n + 1) @ R, ones, atol=EXACT)
    dense = np.hstack([a, np.diag(s)]) @ R
    both = with_ones(dense)
    for given, full in ((X, dense), (with_ones(X), both)):
        M = draw(3, len(full))
        assert given.shape == full.shape
        assert given.T.shape == full.T.shape
        np.testing.assert_allclose(M @ given, M @ full, atol=EXACT)
        np.testing.assert_allclose(E @ given.T, E @ full.T, atol=EXACT)


def test_nearly_dependent_inputs_keep_their_pull():
    """Two inputs that differ by 1e-9: their difference moves by what the targets say of it."""
    draw = drawn()
    x = draw(1, 400)
    X = np.vstack([x, x + 1e-9 * draw(1, 400), draw(2, 400)])
    task = ff.Task(X, draw(3, 400))
    rule = ff.FA.random((4, 3, 3), seed=0)
    w0 = rule.start((4, 3, 3))
    reduction = ff.reduce(rule, task, w0)
    assert far(reduction.lift(reduction.rule(reduction.task, reduction.w0)), rule(task, w0)) < EXACT


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("samples", [3, 40])
@pytest.mark.parametrize("small", [1e-3, 1e-4, 2e-5, 1e-7, 1e-11, 1e-15])
def test_inputs_of_very_different_sizes_keep_theirs_or_are_left_alone(bias, samples, small):
    """Squares of their sizes do not tell them; weights may be as much larger."""
    draw = drawn(1)
    turn, sizes = np.linalg.qr(draw(3, 3))[0], np.array([small, 1, 1])
    task = ff.Task(turn * sizes @ draw(3, samples), draw(3, samples), bias=bias)
    rule = ff.FA.random((3, 3, 3), seed=1)
    w0 = rule.start((3, 3, 3), seed=2, bias=bias)
    w0[0][:, :3] = w0[0][:, :3] / sizes @ turn.T
    made = ff.reduce(rule, task, w0)
    if small < 1e-6:
        assert not made
        assert any("large along inputs that are all but zero" in why for why in made.left)
    elif samples > 3 or not bias:
        assert made
    rounding = 1e-14 / small  # of weights so large
    assert far(made.lift(made.rule(made.task, made.w0)), rule(task, w0)) < rounding
    run = lambda how: ff.integrate(
        rule, task, w0, [0, 1], rtol=1e-11, atol=1e-13, reduce=how, solver="dop853"
    )
    if small > 1e-6:
        both = [run(how).final for how in ("auto", "none")]
        assert far(*([W[1:] for W in both])) < 100 * rounding


@pytest.mark.parametrize("bias", [False, True])
def test_data_whose_squares_are_no_numbers_are_reduced(bias):
    draw = drawn(2)
    task = ff.Task(1e-170 * draw(3, 40), draw(2, 40), bias=bias)
    rule = ff.GD()
    w0 = rule.start((3, 4, 2), seed=1, bias=bias)
    made = ff.reduce(rule, task, w0)
    assert made
    assert far(made.lift(made.rule(made.task, made.w0)), rule(task, w0)) < 1e-12


def test_samples_apart_by_rounding_alone_are_reduced():
    task = ff.Task(2.0**52 + np.eye(2), np.eye(2), bias=True)
    rule = ff.GD()
    w0 = rule.start((2, 2), bias=True)
    made = ff.reduce(rule, task, w0)
    assert far(made.lift(made.rule(made.task, made.w0)), rule(task, w0)) < 1e-12


def test_a_wrong_word_is_refused():
    rule = ff.FA.random((6, 5, 4))
    with pytest.raises(ValueError, match=re.escape("Unknown reduce 'yes'; choose from auto, none")):
        ff.integrate(rule, TASK, rule.start((6, 5, 4)), [0, 1], reduce="yes")


def test_an_implicit_run_stays_finite_where_something_lies_beside_for_ever():
    """SciPy's difference quotients in what nothing depends on grew until they overflowed."""
    rule, task, w0, _ = made(ff.FA, "unseen inputs")
    task = ff.Task(task.X / 20, task.Y / 20)
    sol = ff.integrate(rule, task, w0, [0, 1e4], solver="radau", rtol=1e-8)
    assert "reduced" in sol.made
    full = ff.integrate(rule, task, w0, [0, 1e4], solver="radau", rtol=1e-8, reduce="none")
    assert far(sol.final, full.final) < 1e-5


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
@pytest.mark.parametrize("how", [ff.reduce, core])
@pytest.mark.parametrize("case", ["few samples", "low rank", "full rank", "biases, off a plane"])
def test_the_smaller_problem_is_integrated_like_any_other(case, how, engine, tmp_path):
    """Its inputs are no arrays, and its errors may not be formed; its loss lacks a constant."""
    rule, task, w0, _ = made(ff.FA, case)
    if how is core and case not in ("low rank", "full rank"):
        with pytest.raises(ValueError, match="There is no core"):
            core(rule, task, w0)
        return
    made_ = how(rule, task, w0)
    given, control = (made_.rule, made_.task, made_.w0), {"engine": engine, "rtol": 1e-9}
    sol = ff.integrate(*given, [0, 0.5], **control)
    assert "reduced" not in sol.made
    assert str(ff.reduce(*given)) == "nothing: it is reduced already"
    full = ff.integrate(rule, task, w0, [0, 0.5], rtol=1e-11, max_steps=None)
    assert far(made_.lift(sol.final, 0.5, 0.0), full.final) < 1e-7
    lost = made_.loss(sol.final)
    assert lost == pytest.approx(rule.loss(task, made_.lift(sol.final, 0.5, 0.0)), rel=1e-12)
    if how is core:
        with pytest.raises(ValueError, match="A core has no loss by itself"):
            sol.loss()
        with pytest.raises(ValueError, match="A core, or the units that move, cannot be saved"):
            sol.save(tmp_path / "run.npz")
        with pytest.raises(
            ValueError, match=r"state of a core is \(W', M, G, P, V\), but w0 has 2"
        ):
            ff.integrate(made_.rule, made_.task, made_.w0[:2], [0, 1])
        with pytest.raises(ValueError, match=r"core's w0 M must be \(4, 4\), but is \(4, 3\)"):
            ff.integrate(
                made_.rule, made_.task, (made_.w0[0], np.ones((4, 3)), *made_.w0[2:]), [0, 1]
            )
        with pytest.raises(ValueError, match="keep cannot return to a law where a core"):
            ff.integrate(*given, [0, 1], keep="all")
        return
    for other in ({"phi": ff.nets.activation("tanh")}, {"loss": ff.losses.logistic}):
        with pytest.raises(ValueError, match="Inputs that a reduction made are for linear"):
            ff.integrate(made_.rule, replaced(made_.task, **other), made_.w0, [0, 1])
    change = sol.loss() - sol.loss(0)
    assert change == pytest.approx(full.loss() - full.loss(0), rel=1e-6)
    sol.save(tmp_path / "run.npz")
    again = ff.load(tmp_path / "run.npz")
    assert again.loss() == pytest.approx(sol.loss(), rel=1e-12)  # of inputs as arrays
