import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
from problems import (
    RULES,
    SCIPY,
    SIZES,
    ending,
    factorisation,
    one_layer,
    problem,
    scalar_decay,
    sliding,
    solvers,
    start,
    task,
)

import faflow as ff
from faflow import laws
from faflow.flow.events import find_slide

SOLVERS = solvers(pytest)
ENGINES = ["dop853", pytest.param("tsit5", marks=pytest.mark.jax)]
"""A solver of each engine; tsit5 is the quickest to compile."""


def allowed(sol, values, factor):
    """factor · (rtol · scale + atol) of a solution, scale being the values' size, at least 1."""
    scale = max(1.0, np.abs(values).max())
    return factor * (sol.made["rtol"] * scale + sol.made["atol"])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_one_layer_linear_flow_is_a_matrix_exponential(solver, factor=10):
    given, w0, exact = one_layer()
    sol = ff.integrate(ff.GD(), given, w0, np.linspace(0, 3, 7), solver=solver)
    expected = np.array([exact(t) for t in sol.ts])
    assert np.abs(sol.w[0] - expected).max() < allowed(sol, expected, factor)


@pytest.mark.parametrize("solver", ["dop853", pytest.param("dopri8", marks=pytest.mark.jax)])
def test_matrix_factorisation_by_fa_from_zero_has_its_closed_form(solver, factor=100):
    rule, given, w0, exact = factorisation()
    sol = ff.integrate(rule, given, w0, [0, 0.3, 1, 4], solver=solver)
    for k in (1, 2, 3):
        W, Z = exact(sol.ts[k])
        assert np.abs(sol.w[0][k] - W).max() < allowed(sol, W, factor)
        assert np.abs(sol.w[1][k] - Z).max() < allowed(sol, Z, factor)


def test_fastar_keeps_its_gram_matrix_and_its_fit(factor=100):
    rng = np.random.default_rng(0)
    Y, C, W = (rng.standard_normal(s) for s in [(4, 5), (3, 4), (3, 5)])
    sol = ff.integrate(ff.FAStar((C,)), ff.Task.factorisation(Y), (W, np.ones((4, 3))), [0, 1, 5])
    gram = np.array([V @ V.T for V in sol.w[0]])
    assert np.abs(gram - gram[0]).max() < allowed(sol, gram, factor)
    for V, Z in zip(*sol.w, strict=True):
        fit = np.linalg.lstsq(V.T, Y.T, rcond=None)[0].T
        assert np.abs(Z - fit).max() < allowed(sol, fit, factor)


def test_fastar_with_decay_and_a_rate_stays_fitted_while_its_gram_matrix_decays(factor=100):
    """dW = 2 C E - λW gives d(WWᵀ) = -2λ WWᵀ, since E Wᵀ = 0."""
    rng = np.random.default_rng(0)
    Y, C, W = (rng.standard_normal(s) for s in [(4, 5), (3, 4), (3, 5)])
    rule = ff.FAStar((C,), rates=(2.0, 1.0), decay=0.3)
    sol = ff.integrate(rule, ff.Task.factorisation(Y), (W, np.ones((4, 3))), [0, 1, 2])
    gram = np.array([V @ V.T for V in sol.w[0]])
    expected = gram[0] * np.exp(-0.6 * sol.ts)[:, None, None]
    assert np.abs(gram - expected).max() < allowed(sol, gram, factor)
    fits = np.array([np.linalg.lstsq(V.T, Y.T, rcond=None)[0].T for V in sol.w[0]])
    assert np.abs(sol.w[1] - fits).max() < allowed(sol, fits, factor)


def hand_field(rule, given, w0):
    """The velocity as a function of a flat vector, without the library's engines."""
    cuts = np.cumsum([W.size for W in w0])[:-1]
    shape = lambda y: tuple(p.reshape(W.shape) for p, W in zip(np.split(y, cuts), w0, strict=True))
    return lambda t, y: np.concatenate([V.ravel() for V in rule(given, shape(y))])


DIFFERENT = [
    (ff.GD, "tanh", "squared", False, {}),
    (ff.GD, "erf", "logistic", True, {"rates": (1.0, 0.5, 2.0)}),
    (ff.FA, "sigmoid", "cross_entropy", True, {"decay": 0.1}),
    (ff.FA, "softplus(2)", "exponential", False, {"decay": (0.1, 0, 0.3)}),
    (ff.DFA, "tanh", "logistic", True, {"decay": ff.Piecewise((0.3, 0.7), (0.0, 1.0, 0.2))}),
    (ff.DFA, ("tanh", "erf"), "squared", False, {"rates": (1, 2, 1)}),
    (ff.SignFA, "tanh", "squared", True, {"beta": 1.5, "decay": 0.2}),
    (ff.SignFA, "linear", "cross_entropy", False, {"beta": 3}),
    (
        ff.KolenPollack,
        "tanh",
        "cross_entropy",
        True,
        {"decay": (0.1, ff.Piecewise((0.5,), (0, 1)), 0)},
    ),
    (ff.KolenPollack, "relu_power(3)", "squared", False, {}),
]


@pytest.mark.jax
@pytest.mark.parametrize(("kind", "phi", "loss", "bias", "options"), DIFFERENT)
def test_scipy_and_diffrax_agree(kind, phi, loss, bias, options):
    rule, given, w0 = problem(kind, phi, loss, bias=bias, seed=5, **options)
    ts = [0, 0.4, 1.0]
    one = ff.integrate(rule, given, w0, ts, solver="dop853", rtol=1e-11)
    two = ff.integrate(rule, given, w0, ts, solver="tsit5", rtol=1e-11)
    for A, B in zip(one.w, two.w, strict=True):
        assert np.abs(A - B).max() < 1e-8  # a thousand times the tolerance asked
        assert np.abs(A[-1] - A[0]).max() > 1e-3  # the flow moves


@pytest.mark.jax
def test_fastar_is_the_same_in_both_engines():
    rng = np.random.default_rng(0)
    Y, C, W = (rng.standard_normal(s) for s in [(4, 5), (3, 4), (3, 5)])
    args = ff.FAStar((C,)), ff.Task.factorisation(Y), (W, np.ones((4, 3))), [0, 1]
    one, two = ff.integrate(*args), ff.integrate(*args, solver="tsit5")
    assert ff.gap(one, two)[-1] < 1e-8


@pytest.mark.parametrize(("kind", "phi", "loss", "bias", "options"), DIFFERENT)
def test_the_flow_is_that_of_a_solver_called_directly(kind, phi, loss, bias, options):
    """LSODA on the same velocity, started anew at the jumps of the decay."""
    rule, given, w0 = problem(kind, phi, loss, bias=bias, seed=5, **options)
    y, edges = np.concatenate([W.ravel() for W in w0]), [0.0, *rule.jumps(), 1.0]
    for a, b in pairwise(edges):
        field = hand_field(rule.at(a), given, w0)
        y = scipy.integrate.solve_ivp(field, (a, b), y, "LSODA", rtol=1e-11, atol=1e-12).y[:, -1]
    sol = ff.integrate(rule, given, w0, [0, 1])
    final = np.concatenate([W.ravel() for W in sol.final])
    np.testing.assert_allclose(final, y, atol=1e-8)


KEPT = [
    (laws.balance, ff.GD, "linear", {}),
    (laws.neuron_potential_balance, ff.GD, "relu_power(2)", {"degree": 2}),
    (laws.feedback_balance, ff.FA, "linear", {}),
    (laws.neuron_feedback_balance, ff.FA, "relu_power(2)", {"degree": 2}),
    (laws.feedback_balance, ff.DFA, "linear", {"k": 1}),
    (laws.neuron_potential_balance, ff.SignFA, "linear", {}),
    (laws.mirror_difference, ff.KolenPollack, "tanh", {}),
    (laws.mirror_balance, ff.KolenPollack, "linear", {}),
]


QUESTIONS = [
    *((*case, bias, "dop853") for case in KEPT for bias in (False, True)),
    (*KEPT[2], False, "radau"),
    pytest.param(*KEPT[2], True, "tsit5", marks=pytest.mark.jax),
]


@pytest.mark.parametrize(("law", "kind", "phi", "arguments", "bias", "solver"), QUESTIONS)
def test_a_law_is_kept_to_the_solver_s_tolerance(
    law, kind, phi, arguments, bias, solver, factor=100
):
    options = {"beta": 2.0} if kind is ff.SignFA else {}
    rule, given, w0 = problem(kind, phi, bias=bias, seed=1, rates=(1.0, 0.5, 2.0), **options)
    sol = ff.integrate(rule, given, w0, np.linspace(0, 2, 9), solver=solver)
    values = sol.measure(law, **arguments)
    assert np.abs(values - values[0]).max() < allowed(sol, values, factor)


@pytest.mark.parametrize("solver", ["dop853", "rk45"])
def test_drift_falls_with_the_tolerance(solver):
    rule, given, w0 = problem(ff.FA, seed=1)
    drifts = []
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        sol = ff.integrate(rule, given, w0, [0, 3], solver=solver, rtol=rtol, atol=rtol / 100)
        values = sol.measure(laws.feedback_balance)
        drifts.append(np.abs(values[-1] - values[0]).max())
    assert all(b < a / 5 for a, b in pairwise(drifts)), drifts


def test_layer_doubling_decay_lets_the_law_decay_exactly(factor=100):
    """q(t) = q(0) exp(-2λt) where the layer above decays twice as fast."""
    rule, given, w0 = problem(ff.FA, sizes=(3, 4, 2), decay=(0.2, 0.4), seed=1)
    sol = ff.integrate(rule, given, w0, np.linspace(0, 3, 7))
    values = sol.measure(laws.feedback_balance)
    expected = values[0] * np.exp(-0.4 * sol.ts)[:, None, None]
    assert np.abs(values - expected).max() < allowed(sol, values, factor)
    equal = ff.integrate(ff.FA(rule.B, decay=0.2), given, w0, [0, 3])
    values = equal.measure(laws.feedback_balance)
    assert np.abs(values[-1] - values[0] * np.exp(-1.2)).max() > 0.01


@pytest.mark.parametrize("solver", [*SCIPY, pytest.param("tsit5", marks=pytest.mark.jax)])
def test_a_piecewise_decay_of_a_scalar_has_its_closed_form(solver, factor=10):
    """w' = -(1 + λ(t)) w, so w = 2 exp(-t - ∫λ); one jump on a time asked for, one between."""
    given, w0, exact = scalar_decay()
    rule = ff.GD(decay=ff.Piecewise((0.5, 1.25), (0.3, 2.0, 0.0)))
    sol = ff.integrate(rule, given, w0, [0, 0.25, 0.5, 1.0, 2.0], solver=solver)
    integral = np.array([0, 0.075, 0.15, 1.15, 1.65])
    expected = exact(sol.ts, integral)
    assert np.abs(sol.w[0][:, 0, 0] - expected).max() < allowed(sol, expected, factor)


def test_a_piecewise_decay_starts_late_with_the_value_of_that_time(factor=10):
    given, w0, exact = scalar_decay()
    rule = ff.GD(decay=ff.Piecewise((0.5, 3.0), (5.0, 0.25, 9.0)))
    sol = ff.integrate(rule, given, w0, [0.5, 1.5, 2.5])
    expected = exact(sol.ts - 0.5, 0.25 * (sol.ts - 0.5))
    assert np.abs(sol.w[0][:, 0, 0] - expected).max() < allowed(sol, expected, factor)


@pytest.mark.parametrize("solver", ENGINES)
def test_a_piecewise_decay_is_two_runs_one_after_the_other(solver):
    rule, given, w0 = problem(ff.FA, "tanh", decay=ff.Piecewise((0.7,), (0.1, 1.5)))
    whole = ff.integrate(rule, given, w0, [0, 0.4, 1.3], solver=solver)
    first = ff.integrate(ff.FA(rule.B, decay=0.1), given, w0, [0, 0.4, 0.7], solver=solver)
    second = ff.integrate(ff.FA(rule.B, decay=1.5), given, first.final, [0.7, 1.3], solver=solver)
    for A, B, C in zip(whole.w, first.w, second.w, strict=True):
        assert len(A) == 3
        np.testing.assert_allclose(A[1], B[1], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(A[2], C[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("solver", ENGINES)
def test_observing_is_measuring_afterwards_without_the_weights(solver):
    rule, given, w0 = problem(ff.FA, "tanh")
    ts = np.linspace(0, 1, 4)
    error = lambda rule, w: ff.loss(given, w)
    seen = ff.integrate(
        rule, given, w0, ts, solver=solver, observe={"law": laws.balance, "error": error}
    )
    kept = ff.integrate(rule, given, w0, ts, solver=solver)
    np.testing.assert_array_equal(seen.observed["law"], kept.measure(laws.balance))
    np.testing.assert_array_equal(seen.observed["error"], kept.measure(error))
    assert seen.w == ()
    for A, B in zip(seen.final, kept.final, strict=True):
        np.testing.assert_array_equal(A, B)


def test_the_start_is_kept_untouched_and_every_time_is_reached():
    rule, given, w0 = problem(ff.GD, "tanh")
    before = tuple(W.copy() for W in w0)
    ts = [0.25, 0.5, 2.0]
    sol = ff.integrate(rule, given, w0, ts)
    np.testing.assert_array_equal(sol.ts, ts)
    for W, B, k in zip(w0, before, sol.w, strict=True):
        np.testing.assert_array_equal(W, B)
        np.testing.assert_array_equal(k[0], B)
        assert k.dtype == np.float64
        assert not np.shares_memory(k, W)


def test_asking_for_more_times_changes_only_rounding():
    rule, given, w0 = problem(ff.GD, "tanh")
    few = ff.integrate(rule, given, w0, [0, 1])
    many = ff.integrate(rule, given, w0, np.linspace(0, 1, 101))
    for A, B in zip(few.final, many.final, strict=True):
        np.testing.assert_allclose(A, B, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("solver", ENGINES)
def test_a_spent_budget_of_steps_leaves_the_partial_solution(solver):
    rule, given, w0 = problem(ff.GD, "tanh")
    ts = [0, 0.01, 1e4]
    with pytest.raises(ff.Unfinished, match="the budget of steps is spent") as stop:
        ff.integrate(rule, given, w0, ts, solver=solver, max_steps=30)
    sol = stop.value.solution
    assert isinstance(stop.value, RuntimeError)
    assert list(sol.ts[:2]) == [0, 0.01]
    assert 0.01 < sol.ts[2] < 1e4
    again = ff.integrate(rule, given, w0, sol.ts)
    assert ff.gap(sol, again).max() < 1e-8


@pytest.mark.parametrize("solver", ENGINES)
def test_a_spent_budget_of_time_leaves_the_partial_solution(solver):
    rule, given, w0 = problem(ff.GD, "tanh")
    with pytest.raises(ff.Unfinished, match=r"the budget of 1e-09 seconds is spent") as stop:
        ff.integrate(rule, given, w0, [0, 1e4], solver=solver, max_seconds=1e-9)
    assert len(stop.value.solution) == 2
    assert 0 < stop.value.solution.ts[-1] < 1e4


class Interrupting(ff.GD):
    """Gradient flow that is interrupted, as by Ctrl-C, at its n-th evaluation."""

    calls = 0

    def velocity(self, task, w):
        type(self).calls += 1
        if type(self).calls == 300:
            raise KeyboardInterrupt
        return super().velocity(task, w)


def test_ctrl_c_within_a_rule_leaves_the_partial_solution():
    _, given, w0 = problem(ff.GD, "tanh")
    Interrupting.calls = 0
    with pytest.raises(ff.Interrupted) as stop:
        ff.integrate(Interrupting(), given, w0, np.linspace(0, 1e3, 1001))
    assert isinstance(stop.value, KeyboardInterrupt)
    sol = stop.value.solution
    assert 2 <= len(sol) < 1001
    again = ff.integrate(ff.GD(), given, w0, sol.ts)
    assert ff.gap(sol, again).max() < 1e-8


@pytest.mark.parametrize("always", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("solver", ENGINES)
def test_ctrl_c_within_a_law_leaves_the_partial_solution(solver, always):
    rule, given, w0 = problem(ff.GD, "tanh")
    seen = []

    def law(rule, w):
        seen.append(w)
        if len(seen) == 3 or (always and len(seen) > 3):
            raise KeyboardInterrupt
        return np.trace(w[0] @ w[0].T)

    with pytest.raises(ff.Interrupted) as stop:
        ff.integrate(rule, given, w0, [0, 0.1, 0.2, 0.3], solver=solver, observe={"law": law})
    sol = stop.value.solution
    assert list(sol.ts) == ([0, 0.1] if always else [0, 0.1, 0.2, 0.3])  # reached before the law
    assert len(sol.observed["law"]) == len(sol)
    assert sol.observed["law"][1] == np.trace(seen[1][0] @ seen[1][0].T)


@pytest.mark.parametrize("solver", ENGINES)
def test_a_law_that_fails_is_named_with_its_time(solver):
    rule, given, w0 = problem(ff.GD, "tanh")

    def drifting(rule, w):
        if not np.array_equal(w[0], w0[0]):
            raise ZeroDivisionError("no more")
        return 0

    with pytest.raises(ValueError, match=r"The law drifting failed at t = 0\.5: no more"):
        ff.integrate(rule, given, w0, [0, 0.5, 1], solver=solver, observe={"d": drifting})


def test_a_law_that_changes_its_shape_is_refused():
    rule, given, w0 = problem(ff.GD, "tanh")
    law = lambda rule, w: w[0] if np.array_equal(w[0], w0[0]) else w[1]
    with pytest.raises(ValueError, match=r"changed its shape at t = 0\.5"):
        ff.integrate(rule, given, w0, [0, 0.5], observe={"shape": law})


@pytest.mark.parametrize(
    "solver", ["dop853", "rk45", pytest.param("dopri8", marks=pytest.mark.jax)]
)
def test_a_flow_that_ends_in_finite_time_says_where(solver):
    rule, given, w0 = ending()
    ts = [0, 0.5, 0.9, 2.0]
    with pytest.raises(
        ff.Unfinished, match=r"at t = 1 after \d+ steps: the weights blow up"
    ) as stop:
        ff.integrate(rule, given, w0, ts, solver=solver)
    sol = stop.value.solution
    np.testing.assert_array_equal(sol.ts[:3], [0, 0.5, 0.9])
    np.testing.assert_allclose(sol.w[0][:3, 0, 0], [1, 2, 10], rtol=1e-8)
    assert abs(sol.ts[-1] - 1) < 1e-6
    assert all(np.isfinite(W).all() for W in sol.w)


@pytest.mark.parametrize("solver", ENGINES)
def test_a_law_that_fails_where_the_run_broke_off_does_not_hide_why(solver):
    rule, given, w0 = ending()

    def small(rule, w):
        if w[0].max() > 100:
            raise OverflowError("too large")
        return w[0].max()

    with pytest.raises(ff.Unfinished, match="blow up") as stop:
        ff.integrate(rule, given, w0, [0, 0.5, 2], solver=solver, observe={"small": small})
    assert list(stop.value.solution.ts) == [0, 0.5]


@pytest.mark.parametrize("solver", ENGINES)
def test_a_flow_that_slides_along_a_kink_not_followed_says_so(solver):
    control = {"rtol": 1e-10, "atol": 1e-12, "kinks": "ignore"}
    with pytest.raises(ff.Unfinished) as stop:
        ff.integrate(*sliding(), [0, 2], solver=solver, max_steps=1000, **control)
    says = str(stop.value)
    assert "It slides: the pre-activation of unit 0 of hidden layer 0 for sample 0" in says
    assert "use fixed steps, such as step=1e-3" in says
    _, given, _ = sliding()
    reached = stop.value.solution.final
    assert abs((reached[0] @ given.X)[0, 0]) < 1e-6


def test_the_advice_for_a_sliding_flow_passes_the_kink():
    """Fixed steps, a smooth activation and discrete steps go the same way."""
    rule, given, w0 = sliding()
    fixed = ff.integrate(rule, given, w0, [0, 0.1], step=1e-4)
    smooth = ff.integrate(rule, ff.Task(given.X, given.Y, "softplus(200)"), w0, [0, 0.1])
    steps = ff.iterate(rule, given, w0, eta=1e-5, steps=10_000, every=10_000)
    assert ff.gap(steps, smooth)[-1] < 0.01  # softplus(200) is relu to log(2)/200 = 0.0035
    assert ff.gap(steps, fixed)[-1] < 0.01
    for sol in (smooth, fixed, steps):
        assert abs((sol.final[0] @ given.X)[0, 0]) < 0.05


@pytest.mark.parametrize(
    ("solver", "order"),
    [
        ("rk45", 5),
        ("dop853", 8),
        pytest.param("tsit5", 5, marks=pytest.mark.jax),
        pytest.param("dopri8", 8, marks=pytest.mark.jax),
    ],
)
def test_fixed_steps_have_the_order_of_their_solver(solver, order):
    """Halving the step on dw/dt = w² from 1 divides the error at t = ½, where w = 2, by 2^order."""
    wrong = []
    for step in (1 / 8, 1 / 16):
        sol = ff.integrate(*ending(), [0, 0.5], solver=solver, step=step)
        assert sol.made["accepted"] == 0.5 / step
        assert sol.made["step"] == step
        wrong.append(abs(sol.final[0][0, 0] - 2))
    assert order - 0.7 < np.log2(wrong[0] / wrong[1]) < order + 0.7


@pytest.mark.parametrize("solver", ENGINES)
def test_fixed_steps_end_at_every_time_and_start_there_anew(solver):
    """Times 0, 0.101, 1 by steps of 0.1: 2 steps, the last of 0.001, then 9, the last of 0.099."""
    given, w0, exact = one_layer()
    sol = ff.integrate(ff.GD(), given, w0, [0, 0.101, 1], solver=solver, step=0.1)
    assert sol.made["accepted"] == 11
    assert sol.made["rejected"] == 0
    assert (
        np.abs(sol.w[0] - np.array([exact(t) for t in sol.ts])).max() < 1e-4
    )  # steps of 0.1 at order 5 or 8


@pytest.mark.parametrize("step", [0, -1.0, float("nan"), float("inf")])
def test_a_step_must_be_a_positive_size(step):
    given, w0, _ = one_layer()
    with pytest.raises(ValueError, match="step must be a positive number"):
        ff.integrate(ff.GD(), given, w0, [0, 1], step=step)
    many = ff.Task(np.ones((51, 1)), np.ones((51, 1)), "tanh")
    with pytest.raises(ValueError, match="all 5,202 numbers of the state, and can of up to 5,000"):
        ff.integrate(ff.GD(), many, (np.ones((51, 51)),) * 2, [0, 1], solver="radau")
    with pytest.raises(ValueError, match="radau takes no fixed steps"):
        ff.integrate(ff.GD(), given, w0, [0, 1], step=0.1, solver="radau")


def test_a_slide_has_the_rates_of_its_two_sides():
    """At z₀ = 0: above, x₀ᵀ(e₀x₀ + e₁x₁); below, x₀ᵀ e₁x₁; with e = y - w₂z₊, B = 1."""
    rule, given, _ = sliding()
    w = (np.array([[1e-9, 1.0]]), np.array([[1.0]]))
    slide = find_slide(rule, given, w)
    assert (slide.layer, slide.unit, slide.sample) == (0, 0, 0)
    e0, e1 = -2.0, 1.5 - 0.8
    assert slide.above == pytest.approx(e0 + 0.5 * e1, abs=1e-6)  # difference quotient
    assert slide.below == pytest.approx(0.5 * e1, abs=1e-6)
    away = (np.array([[0.5, 1.0]]), np.array([[1.0]]))
    assert find_slide(rule, given, away) is None


def test_a_slide_is_found_beside_smooth_layers():
    """A tanh layer above the kinked one keeps its own values, not its slope times them."""
    _, given, _ = sliding()
    deep = ff.FA((np.ones((1, 1)), np.ones((1, 1))))
    mixed = ff.Task(given.X, given.Y, ("relu", "tanh"))
    w = (np.array([[1e-9, 1.0]]), np.array([[2.0]]), np.array([[1.0]]))
    slide = find_slide(deep, mixed, w)
    slope = lambda z: 1 - np.tanh(z) ** 2
    e0, e1 = -2.0, (1.5 - np.tanh(1.6)) * slope(1.6)
    assert slide.above == pytest.approx(e0 + 0.5 * e1, abs=1e-6)
    assert slide.below == pytest.approx(0.5 * e1, abs=1e-6)


@pytest.mark.jax
def test_the_user_s_precision_is_left_alone():
    import jax
    import jax.numpy as jnp

    f = jax.jit(lambda x: 2 * x + 1)
    assert f(jnp.ones(3)).dtype == jnp.float32
    given, w0, exact = one_layer()
    sol = ff.integrate(ff.GD(), given, w0, [0, 1], solver="tsit5")
    assert sol.w[0].dtype == np.float64
    assert np.abs(sol.w[0][-1] - exact(1)).max() < 1e-9  # not reached in single precision
    assert f(jnp.ones(3)).dtype == jnp.ones(3).dtype == jnp.float32
    assert not jax.config.jax_enable_x64


@pytest.mark.jax
def test_one_compilation_serves_other_numbers_of_the_same_problem():
    """Only what is not a number decides what is compiled."""
    from faflow.flow import engine_diffrax

    engine_diffrax.Compiled.of.cache_clear()
    engine_diffrax.TRACED.clear()
    for seed in range(3):
        rule, given, w0 = problem(ff.FA, "tanh", seed=seed, decay=0.1 * (seed + 1))
        ts = np.linspace(0, 0.5, seed + 2)
        rtol = 10.0 ** (-10 - seed)
        sol = ff.integrate(rule, given, w0, ts, solver="tsit5", rtol=rtol, max_steps=1000 + seed)
        one = ff.integrate(rule, given, w0, ts, engine="scipy")
        assert ff.gap(sol, one)[-1] < 1e-8
    assert list(engine_diffrax.TRACED.values()) == [1]


def test_what_was_made_is_told():
    _, given, w0 = problem(ff.GD, "tanh")
    calls = []

    class Counting(ff.GD):
        def velocity(self, task, w):
            calls.append(1)
            return super().velocity(task, w)

    made = ff.integrate(Counting(), given, w0, [0, 1]).made
    assert (made["solver"], made["rtol"], made["atol"]) == ("dop853", 1e-10, 1e-12)
    assert made["engine"].startswith("scipy ")
    assert made["evaluations"] == len(calls)
    assert 12 * (made["accepted"] + made["rejected"]) <= len(calls)
    assert made["seconds"] > 0


@pytest.mark.parametrize("kind", RULES)
def test_the_flow_starts_along_the_rule(kind):
    """(w(h) - w(0)) / h tends to rule(task, w(0)): first order in h."""
    rule, given, w0 = problem(kind, "tanh", bias=True)
    wrong = []
    for h in (1e-3, 1e-4):
        sol = ff.integrate(rule, given, w0, [0, h])
        v = rule(given, w0)
        wrong.append(
            max(np.abs((W[1] - W[0]) / h - V).max() for W, V in zip(sol.w, v, strict=True))
        )
    assert wrong[1] < wrong[0] / 8
    assert wrong[0] < 0.1


def test_importing_faflow_loads_nothing_heavy():
    heavy = "jax diffrax scipy sympy flint matplotlib rich xarray pandas sklearn pytest hypothesis"
    code = f"import sys, faflow; print([m for m in {heavy.split()!r} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


def test_a_run_by_scipy_loads_no_jax():
    code = (
        "import sys, numpy as np, faflow as ff;"
        "ff.integrate(ff.GD(), ff.Task(np.eye(2), np.eye(2)), (np.eye(2),), [0, 1]);"
        "print([m for m in ('jax', 'diffrax', 'sympy', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


def test_start_has_a_state_for_every_rule_the_flow_accepts():
    for kind in RULES:
        rule, given = kind.random(SIZES), task("tanh")
        sol = ff.integrate(rule, given, start(rule), [0, 0.1])
        assert len(sol.final) == (5 if kind is ff.KolenPollack else 3)


def still(v):
    """A rule of velocity `v` wherever it is."""

    class Still(ff.Rule):
        def velocity(self, task, w):
            return v

    return Still()


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_velocity_that_is_not_finite_at_the_start_ends_the_run_at_once(engine, value):
    given, w0 = ff.Task(np.eye(2), np.eye(2)), (np.eye(2),)
    with pytest.raises(
        ff.Unfinished, match=r"velocity of w\[0\] is not finite at the start"
    ) as stop:
        ff.integrate(still((np.full((2, 2), value),)), given, w0, [0, 1], engine=engine)
    np.testing.assert_array_equal(stop.value.solution.final[0], w0[0])


def test_a_jacobian_that_is_not_finite_ends_an_implicit_run():
    class Edge(ff.Rule):
        def velocity(self, task, w):
            return (np.sqrt(1 - w[0]),)  # whose differences are NaN at w = 1

    given = ff.Task(np.eye(2), np.eye(2))
    with pytest.raises(ff.Unfinished, match="the Jacobian of the velocity is not finite") as stop:
        ff.integrate(Edge(), given, (np.ones((2, 2)),), [0, 1], solver="radau")
    np.testing.assert_array_equal(stop.value.solution.final[0], np.ones((2, 2)))


def test_velocities_too_large_to_step_from_end_the_run():
    """SciPy's first step is nan here, from which it would never return."""
    given = ff.Task(np.ones((1, 2)), [[1.0, -1.0]], "relu_power(3)")
    with pytest.raises(ff.Unfinished):
        ff.integrate(ff.GD(), given, (np.array([[1e60]]), np.array([[1.0]])), [0, 1])


def test_a_velocity_of_the_wrong_shape_is_refused():
    given, w0 = ff.Task(np.eye(2), np.eye(2)), (np.eye(2),)
    with pytest.raises(ValueError, match="must give layer 0 a velocity of shape"):
        ff.integrate(still((np.ones((1, 2)),)), given, w0, [0, 1])


@pytest.mark.parametrize("kind", [ff.FA, ff.DFA, ff.GD])
def test_relu_networks_never_leave_zero_weights(kind):
    """The slope of ReLU at 0 is taken as 0, so nothing moves; linear FA leaves zero at once."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((3, 6)), rng.standard_normal((2, 6))
    rule, zero = kind.random((3, 4, 2), seed=0), (np.zeros((4, 3)), np.zeros((2, 4)))
    still = ff.integrate(rule, ff.Task(X, Y, "relu"), zero, [0, 1])
    assert all((W == 0).all() for W in still.at(-1))
    moved = ff.integrate(rule, ff.Task(X, Y), zero, [0, 1])
    assert (np.abs(moved.w[0][-1]).max() > 0.1) == (kind is not ff.GD)  # a saddle of GD only


@pytest.mark.parametrize("of", [ff.GD, ff.FA, ff.KolenPollack])
def test_heavy_ball_solves_the_second_order_equation(of):
    """W'' + friction W' = rule(W), by second differences of the flow."""
    rule = ff.HeavyBall.random((3, 4, 2), of=of, friction=0.7, seed=1)
    given = task(sizes=(3, 4, 2))
    h = 1e-3
    sol = ff.integrate(rule, given, rule.start((3, 4, 2), seed=2), [0, 1 - h, 1, 1 + h])
    before, now, after = (sol.at(k) for k in (1, 2, 3))
    count = len(now) // 2
    pushed = rule.of(given, now[:count])
    for W, M, P, F in zip(before, now, after, pushed, strict=False):
        second, first = (P - 2 * M + W) / h**2, (P - W) / (2 * h)
        assert np.abs(second + 0.7 * first - F).max() < 1e-5 * max(1, np.abs(F).max())  # h²


def test_heavy_ball_starts_at_rest_and_comes_back_from_its_file(tmp_path):
    rule = ff.HeavyBall.random((3, 4, 2), of=ff.FA, friction=2, decay=0.1)
    w0 = rule.start((3, 4, 2), seed=2)
    assert [W.shape for W in w0] == [(4, 3), (2, 4)] * 2
    assert not any(V.any() for V in w0[2:])
    sol = ff.integrate(rule, task(sizes=(3, 4, 2)), w0, [0, 1])
    sol.save(tmp_path / "run.npz")
    back = ff.load(tmp_path / "run.npz").rule
    assert (type(back.of), back.of.decay, back.friction) == (ff.FA, 0.1, 2)
    assert all((a == b).all() for a, b in zip(back.B, rule.B, strict=True))


# Single precision


@pytest.mark.jax
@pytest.mark.parametrize("phi", ["linear", "tanh"])
@pytest.mark.parametrize("solver", [None, "dopri5", "dopri8", "bosh3"])
def test_single_precision_is_as_near_as_its_tolerance_says(phi, solver):
    rule = ff.FA.random(SIZES, seed=1, decay=(0.1, 0.2, 0.3), rates=(1.0, 0.5, 1.0))
    given, w0 = task(phi), ff.init(SIZES, seed=2)
    exact = ff.integrate(rule, given, w0, [0, 1, 2], rtol=1e-11)
    options = {"engine": "diffrax", "precision": "single", "solver": solver}
    far = {}
    for rtol in (1e-3, 1e-5):
        sol = ff.integrate(rule, given, w0, [0, 1, 2], rtol=rtol, **options)
        assert sol.made["precision"] == "single"
        assert all(W.dtype == float for W in (*sol.w, *sol.final))
        both = zip(sol.final, exact.final, strict=True)
        far[rtol] = max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in both)
        assert far[rtol] < 10 * rtol
    double = ff.integrate(
        rule, given, w0, [0, 1, 2], **options | {"precision": "double", "rtol": 1e-5}
    )
    for W, D in zip(sol.final, double.final, strict=True):  # the same steps, with other rounding
        assert 1e-9 < np.abs(W - D).max() < 1e-5


@pytest.mark.jax
@pytest.mark.parametrize("step", [1e-2, 1e-4, 3e-6])
def test_steps_shorter_than_rounding_in_single_precision_are_not_lost(step):
    rule, given, w0 = ff.FA.random(SIZES, seed=1), task("tanh"), ff.init(SIZES, seed=2)
    end = min(1.0, 3e4 * step)
    exact = ff.integrate(rule, given, w0, [0, end], rtol=1e-11)
    options = {"engine": "diffrax", "precision": "single", "step": step, "max_steps": None}
    sol = ff.integrate(rule, given, w0, [0, end], **options)
    moved = [np.linalg.norm(b - a) for a, b in zip(w0, exact.final, strict=True)]
    for one, other, far in zip(sol.final, exact.final, moved, strict=True):
        assert np.linalg.norm(one - other) < 1e-5 * far


@pytest.mark.jax
@pytest.mark.parametrize("phi", [*ff.nets.ACTIVATIONS, "leaky_relu(0.1)", "softplus(3)"])
def test_every_product_of_a_single_velocity_is_single(phi):
    import jax

    from faflow.flow.control import Control
    from faflow.flow.engine_diffrax import Stepper

    rule, given, w0 = ff.FA.random(SIZES, seed=1), task(phi), ff.init(SIZES, seed=2)
    control = Control.of(1e-5, 1e-7, [W.size for W in w0], single=True)
    run = Stepper(rule, given, 0.0, w0, solver="tsit5", control=control)
    with jax.enable_x64(True):
        text = str(jax.make_jaxpr(run.compiled.field)(0.0, w0, run.given))
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert products
    assert all(":f32" in line for line in products)
    assert not any(":f64" in line for line in products)


@pytest.mark.jax
def test_single_precision_reduces_and_breaks_off_as_double_does(tmp_path):
    rule, given, w0 = ff.FA.random(SIZES, seed=1), task("linear"), ff.init(SIZES, seed=2)
    options = {
        "engine": "diffrax",
        "precision": "single",
        "rtol": 1e-6,
        "checkpoint": tmp_path / "c",
    }
    with pytest.raises(ff.Unfinished):
        ff.integrate(rule, given, w0, [0, 1, 2], max_steps=10, **options)
    sol = ff.integrate(rule, given, w0, [0, 1, 2], **options)
    whole = ff.integrate(rule, given, w0, [0, 1, 2], **options | {"checkpoint": None})
    assert "reduced" in sol.made
    for one, other in zip(sol.w, whole.w, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "half"}, "Unknown precision 'half'; choose from double, single"),
        ({"precision": "single", "engine": "scipy"}, "needs engine='diffrax'"),
        ({"precision": "single", "solver": "rkc2", "engine": "diffrax"}, "one of its pairs"),
        ({"precision": "single", "engine": "diffrax", "rtol": 1e-8}, "at least 5e-07 in single"),
        ({"precision": "single", "engine": "diffrax", "keep": "all"}, "keeps no laws"),
    ],
)
def test_what_single_precision_cannot_do_is_refused(options, says):
    if options.get("engine") == "diffrax":
        pytest.importorskip("diffrax")
    with pytest.raises(ValueError, match=says):
        ff.integrate(ff.GD(), task("tanh"), ff.init(SIZES, seed=2), [0, 1], **options)
