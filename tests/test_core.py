"""The core of feedback alignment against the full flow, and its proof."""

import re
from functools import partial

import numpy as np
import pytest
from problems import assert_lifted_alike

import faflow as ff
from faflow import laws
from faflow.flow import core as cores
from faflow.flow import reduce
from faflow.flow.reduce import core
from faflow.symbolic import reductions
from faflow.symbolic.reductions import core_unproved

EXACT = 1e-13  # relative; 3e-15 was seen
TS = [0.0, 0.3, 1.0, 2.0]
ENGINES = ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)]
KINDS = [ff.FA, ff.DFA]


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape)


def orthonormal(M):
    return np.linalg.qr(M)[0]


def task_of(case, n=40, m=36):
    draw = drawn(3)
    Y = draw(n, m) / 6
    return {
        "identity": lambda: ff.Task.factorisation(Y),
        "white": lambda: ff.Task(2 * orthonormal(draw(m, m)), Y),
        "scaled output": lambda: ff.Task(2 * orthonormal(draw(m, m)), Y, output_scale=0.4),
        "unseen inputs": lambda: ff.Task(orthonormal(draw(m, m))[:, :30], Y[:, :30]),
        "more samples": lambda: ff.Task(orthonormal(draw(90, m)).T, draw(n, 90) / 6),
        "few inputs": lambda: ff.Task(np.eye(7), Y[:, :7], output_scale=0.4),
    }[case]()


CASES = ("identity", "white", "scaled output", "unseen inputs", "more samples", "few inputs")


def made(case="identity", kind=ff.FA, hidden=5, scale=0.5, **options):
    task = task_of(case)
    sizes = (len(task.X), hidden, len(task.Y))
    rule = kind.random(sizes, seed=1, scale=0.3, **options)
    return rule, task, rule.start(sizes, scale=scale)


def far(one, other):
    both = zip(one, other, strict=True)
    return max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in both)


@pytest.fixture
def always(monkeypatch):
    """Runs take the core, whether it pays or not."""
    by_core = lambda *given: reduce.found(*given) if given[-1] else core(*given[:-1])
    monkeypatch.setattr("faflow.flow.run.found_reduction", by_core)


# The flow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_steps_of_the_core_are_those_of_the_full_problem(kind, case):
    """Euler steps of both, with rates and decay, end at the same weights."""
    rule, task, w = made(case, kind, rates=(1.5, 2.0), decay=(0.3, 0.1))
    reduction = core(rule, task, w)
    small = reduction.w0
    assert max(max(M.shape) for M in small) <= 2 * len(w[0])
    assert far(reduction.lift(small), w) < EXACT
    for step in range(5):
        w = tuple(W + 1e-2 * V for W, V in zip(w, rule(task, w), strict=True))
        moved = reduction.rule(reduction.task, small)
        small = tuple(W + 1e-2 * V for W, V in zip(small, moved, strict=True))
        lifted = reduction.lift(small)
        if case == "unseen inputs":  # what they say decays in closed form
            beside = reduction.turns[0].apart
            lifted = lifted[0] + ((1 - 3e-3) ** (step + 1) - 1) * beside, lifted[1]
        assert far(lifted, w) < EXACT
    probes = np.random.default_rng(0).standard_normal((cores.PROBES, len(w[1])))
    assert far([small[4] * np.sqrt(cores.PROBES)], [probes @ w[1]]) < EXACT


RUNS = [("scipy", case) for case in CASES]
RUNS += [pytest.param("diffrax", case, marks=pytest.mark.jax) for case in CASES[2:4]]


@pytest.mark.parametrize(("engine", "case"), RUNS)
def test_runs_by_the_core_end_where_full_ones_do(always, case, engine):
    decay = (0.2, ff.Piecewise((0.5,), (0.3, 0.1)))
    rule, task, w0 = made(case, rates=(1.0, 0.7), decay=decay)
    control = {"engine": engine, "rtol": 1e-11, "atol": 1e-13, "max_steps": None}
    full = ff.integrate(rule, task, w0, TS, reduce="none", **control)
    sol = ff.integrate(rule, task, w0, TS, **control)
    assert "the core" in sol.made["reduced"]
    assert_lifted_alike(sol, full, far)


def test_what_is_observed_by_the_core_is_what_is_there(always):
    """At states with Z anywhere in what the core can reach."""
    rule, task, w0 = made(rates=(1.0, 0.7))
    reduction, rng = core(rule, task, w0), np.random.default_rng(2)
    back = reduction.recovery
    W, _, G, P, V = (rng.standard_normal(M.shape) for M in reduction.w0)
    state = W, rule.B[0] @ (back.Z0 @ P + back.pulls @ G), G, P, V
    full = reduction.lift(state)
    laws_ = [partial(laws.loss, task=task), laws.feedback_balance, laws.layer_feedback_balance]
    for law in laws_:
        there = law(rule, full)
        close = 1e-13 * np.abs(there).max()
        np.testing.assert_allclose(reduction.seen(law)(rule, state), there, rtol=0, atol=close)
    assert reduction.seen(laws.balance) is None  # of Z it takes more than BZ
    sol, plain = (
        ff.integrate(rule, task, w0, TS, reduce=how, observe={"loss": laws_[0]})
        for how in ("auto", "none")
    )
    assert "the core" in sol.made["reduced"]
    np.testing.assert_allclose(sol.observed["loss"], plain.observed["loss"], rtol=1e-8)


@pytest.mark.parametrize("solver", ["rk45", "dop853"])
def test_fixed_steps_of_the_core_are_those_of_the_full_problem(always, solver):
    """Runge-Kutta methods commute with what is linear, and S = WWᵀ is made anew at every stage."""
    rule, task, w0 = made()
    runs = [
        ff.integrate(rule, task, w0, [0, 3.0], solver=solver, step=0.05, reduce=how).final
        for how in ("none", "auto")
    ]
    assert far(*runs) < EXACT


@pytest.mark.parametrize("case", CASES)
def test_the_core_takes_about_as_many_steps_as_the_full_problem(always, case):
    """Errors of W have their norm, and those of Z nearly; other matrices are not measured."""
    rule, task, w0 = made(case)
    W, Z = (M.size for M in w0)
    assert core(rule, task, w0).sizes.tolist() == [W, np.inf, np.inf, np.inf, Z]
    full, reduced = (
        ff.integrate(rule, task, w0, [0, 3.0], solver="dop853", reduce=how).made["accepted"]
        for how in ("none", "auto")
    )
    assert abs(reduced - full) < 0.1 * full


def hard(case, n=40, m=36, r=5):
    """Targets, feedback and weights for which the way back might lose digits, and a long time."""
    draw = drawn(0)
    Y, B = draw(n, m) / 6, 0.3 * draw(r, n)
    W, Z, end = 0.3 * draw(r, m), 0.3 * draw(n, r), 60.0
    low = lambda s: orthonormal(draw(n, len(s))) * s @ orthonormal(draw(m, len(s))).T
    if case == "tiny":
        W, Z = 1e-4 * W, 1e-4 * Z
    elif case == "zero":
        W, Z = 0 * W, 0 * Z
    elif case == "targets of rank 2":
        Y = low(np.full(2, 2.0))
    elif case == "targets of no clear rank":
        Y = low(3 * 10.0 ** -np.arange(20))
    elif case == "against the feedback":
        Z = -2 * B.T
    elif case == "twins":
        W[1], B[1] = W[0] + 1e-8 * W[2], B[0]
    elif case == "first weights along A":
        W = 0.3 * B @ Y
    return ff.FA((B,)), ff.Task.factorisation(Y), (W, Z), end


HARD = ("any", "tiny", "zero", "targets of rank 2", "targets of no clear rank")
HARD += ("against the feedback", "twins", "first weights along A")


@pytest.mark.parametrize("case", HARD)
def test_errors_of_what_is_lifted_are_those_of_the_full_run(always, case, factor=5, luck=0.05):
    """At the worst of ten times; where the full run is right by luck, of a share of the tolerance.

    The factor was 1.3 in the geometric mean, and 1e-13 the error of the reference.
    """
    rule, task, w0, _ = hard(case)
    ts = np.linspace(0, 20, 11)
    control = {"solver": "dop853", "max_steps": None}
    run = lambda rtol, how: ff.integrate(
        rule, task, w0, ts, reduce=how, rtol=rtol, atol=rtol / 1000, **control
    )
    exact = run(1e-13, "none")
    worst = lambda sol: max(far(sol.at(k), exact.at(k)) for k in range(1, len(ts)))
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        full, reduced = (worst(run(rtol, how)) for how in ("none", "auto"))
        assert reduced < factor * (full + luck * rtol)


@pytest.mark.parametrize("case", HARD)
def test_the_way_back_loses_few_digits(always, case):
    """As P and G stay within their bounds, also after a long time."""
    rule, task, w0, end = hard(case)
    control = {"solver": "dop853", "rtol": 1e-8, "max_steps": None}  # ROCK4 rounds more by itself
    sol = ff.integrate(rule, task, w0, [0, end], **control)
    _, _, G, P, V = state = [M[-1] for M in sol.w.kept]
    r = len(P)
    assert np.linalg.norm(P) <= np.sqrt(r) + 1e-12
    assert np.linalg.norm(G) ** 2 <= r * end / 2
    lost = core(rule, task, w0).recovery.lost(state)[1]
    assert lost < 10 * EXACT * np.linalg.norm(V)  # 1e-13 was seen, after 454 steps


# Runs


def test_laws_are_observed_on_the_full_state_and_runs_are_saved_in_full(always, tmp_path):
    rule, task, w0 = made()
    law = {"law": laws.feedback_balance}
    one, other = (
        ff.integrate(rule, task, w0, TS, observe=law, reduce=how) for how in ("none", "auto")
    )
    np.testing.assert_allclose(one.observed["law"], other.observed["law"], atol=1e-9)
    assert far(other.final, one.final) < 1e-9
    sol = ff.integrate(rule, task, w0, TS)
    sol.save(tmp_path / "run.npz")
    again = ff.load(tmp_path / "run.npz")
    assert again.made["reduced"] == str(core(rule, task, w0))
    for W, V in zip(again.w, sol.w, strict=True):
        np.testing.assert_array_equal(W, V)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_breaks_off_gives_full_weights(always, engine):
    rule, task, w0 = made()
    with pytest.raises(ff.Unfinished, match="budget of steps is spent") as stop:
        ff.integrate(rule, task, w0, [0, 50.0], max_steps=5, engine=engine)
    assert [W.shape for W in stop.value.solution.final] == [W.shape for W in w0]


def test_a_blow_up_tells_the_norm_of_the_weights(always):
    rule, task, w0 = made(scale=1.0)
    told = []
    for how in ("none", "auto"):
        with pytest.raises(ff.Unfinished, match="norm was") as stop:
            ff.integrate(rule, task, w0, [0, 1e4], reduce=how, solver="rk45", step=3.0)
        told.append([float(n) for n in re.findall(r"(?:was|is) ([\d.e+]*\d)", str(stop.value))])
    np.testing.assert_allclose(told[1], told[0], rtol=0.5)  # by random combinations


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stabilised_method_steps_the_core(always, engine):
    rule, task, w0 = made()
    control = {"solver": "rkc2", "rtol": 1e-5, "atol": 1e-8, "engine": engine}
    full, reduced = (
        ff.integrate(rule, task, w0, [0, 30.0], reduce=how, **control).final
        for how in ("none", "auto")
    )
    assert far(reduced, full) < 1e-4


def test_an_implicit_method_steps_the_core(always):
    """Matrices of the core without bounds of their own made its Jacobian infinite."""
    rule, task, w0 = made()
    reduced = ff.integrate(rule, task, w0, [0, 30.0], solver="radau", rtol=1e-7)
    assert reduced.made["reduced"] == str(core(rule, task, w0))
    full = ff.integrate(rule, task, w0, [0, 30.0], rtol=1e-10, reduce="none")
    assert far(reduced.final, full.final) < 1e-5


def test_nothing_of_the_size_of_outputs_by_inputs_is_made_before_weights_are_asked_for():
    rule, task, w0 = made()
    reduction = core(rule, task, w0)
    assert "pulls" not in vars(reduction.recovery)
    for M in (*reduction.w0, *reduction.rule.B, reduction.task.Y):
        assert max(M.shape) <= 2 * 5
    assert reduction.recovery.Y is task.Y
    reduction.lift_one(0, reduction.w0)
    assert "pulls" not in vars(reduction.recovery)
    reduction.lift_one(1, reduction.w0)
    assert "pulls" in vars(reduction.recovery)


def test_digits_lost_on_the_way_back_stop_the_run(always, monkeypatch):
    """None were lost in any run seen; here the way back is made wrong."""
    matrix = cores.Recovery.lost
    wrong = lambda self, state: (0.0, matrix(self, state)[1] + 1e-6 * (state[2] != 0).any())
    monkeypatch.setattr(cores.Recovery, "lost", wrong)
    rule, task, w0 = made()
    with pytest.raises(ff.Unfinished, match="integrate with reduce='none'") as stop:
        ff.integrate(rule, task, w0, TS)
    assert len(stop.value.solution) == 1
    assert far(stop.value.solution.final, w0) < EXACT


# The choice


@pytest.mark.parametrize(
    ("n", "hidden", "rank", "chosen"),
    [
        (300, 20, 300, "the core"),
        (300, 20, 40, "the core"),
        (300, 20, 5, "300 outputs as 25"),
        (40, 20, 40, "inputs that are the identity"),
    ],
)
def test_the_core_is_taken_where_it_costs_less(n, hidden, rank, chosen):
    draw = drawn()
    Y = draw(n, rank) @ draw(rank, n) / n
    rule = ff.FA.random((n, hidden, n), seed=0)
    w0 = rule.start((n, hidden, n))
    reduction = ff.reduce(rule, ff.Task.factorisation(Y), w0)
    assert chosen in str(reduction)
    assert ("the core" in str(reduction)) == (chosen == "the core")


class Leaking(ff.FA):
    """Its last layer sees its own weights in another way."""

    def velocity(self, task, w):
        first, last = super().velocity(task, w)
        return first, last + w[1] @ w[0] @ w[0].T @ w[1].T @ w[1]


class Louder(ff.FA):
    """FA with twice the feedback, in words of its own."""

    def carry(self, w, k, above, output):
        return super().carry(w, k, above, output) * 2


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (ff.GD, "GD does not move as its core does"),
        (ff.SignFA, "SignFA does not move as its core does"),
        (ff.KolenPollack, "words cannot follow KolenPollack"),
        (Leaking, "Leaking does not move as its core does"),
        (Louder, "Louder does not move as its core does"),
    ],
)
def test_other_rules_have_no_such_core(rule, why):
    assert why in core_unproved(rule(), 2)
    rule, task, w0 = made(kind=rule)
    with pytest.raises(ValueError, match=why):
        core(rule, task, w0)
    assert ff.reduce(rule, task, w0).recovery is None


@pytest.mark.parametrize(
    ("task", "sizes", "why"),
    [
        (ff.Task(drawn()(36, 90), drawn()(40, 90)), (36, 5, 40), "inputs are not white"),
        (task_of("identity"), (36, 5, 4, 40), "the core is one of two layers"),
        (ff.Task(np.eye(36), np.ones((40, 36)), "tanh"), (36, 5, 40), "network is not linear"),
    ],
)
def test_other_problems_have_no_core(task, sizes, why):
    rule = ff.FA.random(sizes)
    with pytest.raises(ValueError, match=why):
        core(rule, task, rule.start(sizes))


# The proof


class Same(ff.FA):
    """FA by another formula, which words prove to be the same."""

    def velocity(self, task, w):
        W, Z = w
        s, X = task.output_scale, task.X
        error = s * (task.Y @ X.T) - s * s * (Z @ W @ X @ X.T)
        return self.B[0] @ error, error @ W.T


@pytest.mark.parametrize("kind", [ff.FA, ff.DFA, Same])
def test_the_core_is_proved_for_every_size(kind):
    assert core_unproved(kind(), 2) is None


RIGHT = cores.Core.velocity
S = lambda W: W @ W.T
FAULTS = {  # number of the matrix, and what is added to its velocity
    "M on the other side": (0, lambda W, M, G, P, V: M @ W - M.T @ W),
    "S on the other side": (1, lambda W, M, G, P, V: M @ S(W) - S(W) @ M),
    "twice": (2, lambda W, M, G, P, V: G @ S(W)),
    "P on the other side": (3, lambda W, M, G, P, V: P @ S(W) - S(W) @ P),
    "another sign": (4, lambda W, M, G, P, V: 2 * (V @ S(W))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_proof_refutes_a_core_with_a_fault(monkeypatch, fault):
    number, more = FAULTS[fault]

    def wrong(self, task, w):
        moved = list(RIGHT(self, task, w))
        moved[number] = moved[number] + more(*w)
        return tuple(moved)

    monkeypatch.setattr(cores.Core, "velocity", wrong)
    reductions._unequal.cache_clear()
    try:
        assert "does not move as its core does" in core_unproved(ff.FA(), 2)
    finally:
        reductions._unequal.cache_clear()


@pytest.mark.parametrize("fault", ["decay", "rates"])
def test_the_proof_refutes_wrong_numbers_of_layers(monkeypatch, fault):
    right = cores.core_of
    wrong = lambda *given: ff.nets.replaced(right(*given), **{fault: (1, 1, 1, 1, 1)})
    monkeypatch.setattr(reductions, "core_of", wrong)
    reductions._unequal.cache_clear()
    try:
        assert "does not move as its core does" in core_unproved(ff.FA(), 2)
    finally:
        reductions._unequal.cache_clear()


# Laws


def test_the_law_is_watched_on_the_core_and_is_that_of_the_full_state(always):
    rule, task, w0 = made(rates=(1.0, 2.0), decay=(0.1, 0.2))
    sol = ff.integrate(rule, task, w0, [0, 1, 3], rtol=1e-6)
    assert "the core" in sol.made["reduced"]
    values = sol.measure(laws.feedback_balance)
    expected = values[0] * np.exp(-0.2 * sol.ts)[:, None, None]
    drift = np.abs(values - expected).max()
    assert drift > 1e-12
    assert sol.made["drift"] == {"feedback_balance, k = 0": pytest.approx(drift, rel=1e-2)}


def test_runs_that_keep_a_law_keep_the_rule(always):
    rule, task, w0 = made()
    sol = ff.integrate(rule, task, w0, [0, 1, 3], rtol=1e-6, keep="all")
    assert "the core" not in sol.made["reduced"]
    values = sol.measure(laws.feedback_balance)
    assert np.abs(values - values[0]).max() < 1e-13 * np.abs(values[0]).max() + 1e-13


def test_a_core_comes_to_rest_where_the_full_flow_does(always):
    rule, task, w0 = made()
    sol = ff.integrate(rule, task, w0, [0, 1e4], rtol=1e-6, until=1e-4)
    assert "the core" in sol.made["reduced"]
    assert sol.made["steady"]
    speed = lambda w: np.sqrt(sum(np.sum(V**2) for V in rule(task, w)))
    assert speed(sol.final) < 3e-4 * speed(w0)
