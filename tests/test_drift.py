"""What steps do to laws, against the formulas typed again from what a step is."""

import itertools
from functools import partial

import numpy as np
import pytest
from problems import problem, sliding

import faflow as ff
from faflow import laws

ROUNDING = 1e-13
"""Of a few operations on numbers of size 1, in parts of the law."""


def steps_of(kind, phi="linear", *, eta=0.02, steps=40, of=None, **options):
    rule, task, w0 = problem(kind, phi, seed=1, **(of or {}))
    return ff.iterate(rule, task, w0, eta=eta, steps=steps, **options)


def moved(sol, k=0):
    """(steps, rows, columns): by what a layer moved in each step."""
    return np.diff(sol.w[k], axis=0)


def close(seen, told, scale):
    return np.abs(seen - told).max() < ROUNDING * max(1.0, scale)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("k", [0, 1])
def test_the_matrix_law_of_fa_gains_the_gram_matrix_of_the_step(k, bias):
    """C(W + ηF) = C(W) + η² F Fᵀ, positive semidefinite."""
    sol = steps_of(ff.FA, of={"bias": bias})
    made = ff.drift(laws.feedback_balance, sol, k=k)
    told = np.array([V @ V.T for V in moved(sol, k)])
    assert close(made.predicted, told, made.scale)
    assert made.residual < ROUNDING
    assert np.linalg.eigvalsh(made.predicted).min() > -ROUNDING


@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "exponential"])
@pytest.mark.parametrize("phi", ["relu", "leaky_relu(0.1)"])
def test_the_law_of_a_neuron_gains_half_the_square_of_its_row(phi, loss):
    """On samples drawn at random, for any loss and across kinks; so it never falls."""
    rule, task, w0 = problem(ff.FA, phi, loss, seed=1, bias=True)
    sol = ff.iterate(rule, task, w0, eta=0.1, steps=50, batches=ff.sampled(2))
    made = ff.drift(laws.neuron_feedback_balance, sol)
    assert close(made.predicted, (moved(sol) ** 2).sum(2) / 2, made.scale)
    assert made.residual < ROUNDING
    assert (made.predicted >= 0).all()


@pytest.mark.parametrize("eta", [1e-3, 0.1, 10.0])
def test_the_law_is_exact_for_steps_of_any_size(eta):
    sol = steps_of(ff.FA, "relu", eta=eta, steps=2)
    assert ff.drift(laws.layer_feedback_balance, sol).residual < ROUNDING


def test_the_law_of_gradient_descent_moves_by_a_difference_of_two_squares():
    sol = steps_of(ff.GD)
    made = ff.drift(laws.balance, sol)
    below, above = moved(sol), moved(sol, 1)
    assert close(made.predicted, below @ below.mT - above.mT @ above, made.scale)
    assert made.residual < ROUNDING
    assert np.linalg.eigvalsh(made.predicted).min() < -1e-6


def test_rates_of_layers_weigh_what_each_gains():
    """W₁W₁ᵀ/r₁ - …, and W₁ moves by ηr₁F₁."""
    sol = steps_of(ff.FA, of={"rates": (2.0, 0.5, 3.0)})
    made = ff.drift(laws.feedback_balance, sol)
    told = np.array([V @ V.T for V in moved(sol)]) / 2
    assert close(made.predicted, told, made.scale)
    assert made.residual < ROUNDING


def test_the_difference_that_kolen_and_pollack_keep_gains_nothing():
    sol = steps_of(ff.KolenPollack, "relu")
    made = ff.drift(laws.mirror_difference, sol)
    assert not made.predicted.any()
    assert made.residual < ROUNDING


def test_the_quadratic_law_of_kolen_and_pollack_moves_as_its_parts_do():
    """v₁v₁ᵀ + v₂ᵀv₂ - v_Bv₂ - (v_Bv₂)ᵀ with v_B = v₂ᵀ: v₁v₁ᵀ - v₂ᵀv₂, as for GD."""
    sol = steps_of(ff.KolenPollack)
    made = ff.drift(laws.mirror_balance, sol)
    below, above = moved(sol), moved(sol, 1)
    assert close(made.predicted, below @ below.mT - above.mT @ above, made.scale)
    assert made.residual < ROUNDING


@pytest.mark.parametrize(
    ("kind", "phi", "law"),
    [
        (ff.FA, "tanh", laws.layer_feedback_balance),
        (ff.FA, "linear", "balance"),
        (ff.GD, "tanh", laws.layer_balance),
        (ff.FA, "relu", laws.feedback_balance),
        (ff.DFA, "linear", laws.feedback_balance),
    ],
)
def test_what_the_rule_does_not_keep_is_seen(kind, phi, law):
    """However small the steps: the rate stays where the residual falls with them."""
    law = laws.balance if law == "balance" else law
    rule, task, w0 = problem(kind, phi, seed=1, **({"sizes": (3, 4, 2)} if kind != ff.DFA else {}))
    if kind is ff.DFA:  # whose law is that of the last hidden layer alone
        square = np.random.default_rng(0).standard_normal((4, 3))
        law = lambda rule, w: w[0] @ w[0].T - square @ w[1] - (square @ w[1]).T
    found = [ff.drift(law, ff.iterate(rule, task, w0, eta=e, steps=20)) for e in (1e-2, 1e-4)]
    assert all(made.rate > 1e-2 for made in found)
    assert found[1].residual < found[0].residual / 10


@pytest.mark.parametrize("batches", [None, 2])
def test_coupled_decay_enters_by_both_layers(batches):
    """C₊ = a²C - ηλaA - η²λg + ½η²|F|² with a = 1 - ηλ, A = ⟨W₂, Bᵀ⟩ and g = ⟨W₁, F⟩."""
    eta, decay = 0.05, 0.4
    rule, task, w0 = problem(ff.FA, "relu", sizes=(3, 4, 2), decay=decay, seed=1)
    sol = ff.iterate(rule, task, w0, eta=eta, steps=40, batches=batches)
    made, a = ff.drift(laws.layer_feedback_balance, sol), 1 - eta * decay
    C = sol.measure(laws.layer_feedback_balance)
    V, B = sol.w[1][:-1], rule.B[0]
    W = sol.w[0][:-1]
    F = (sol.w[0][1:] - a * W) / eta
    A, g = (V * B.T).sum((1, 2)), (W * F).sum((1, 2))
    square = ((eta * F) ** 2).sum((1, 2)) / 2
    told = a**2 * C[:-1] - eta * decay * a * A - eta**2 * decay * g + square
    assert close(C[1:], told, made.scale)
    assert close(C[:-1] + made.predicted, told, made.scale)
    assert np.abs(C[1:] - a**2 * C[:-1] - square).max() > 1e-4
    assert made.integral is None


def test_decoupled_decay_that_matches_shrinks_the_law_with_the_weights():
    """λ₂ = 2λ₁ and a = e^{-ηλ₁}: C₊ = a²(C + ½|v|²), v by which the step alone moves W₁."""
    eta, decay = 0.1, (0.3, 0.6)
    rule, task, w0 = problem(ff.FA, "relu", sizes=(3, 4, 2), decay=decay, seed=1)
    sol = ff.iterate(rule, task, w0, eta=eta, steps=30, decay="decoupled", momentum=0)
    made, a = ff.drift(laws.layer_feedback_balance, sol), np.exp(-eta * decay[0])
    C = sol.measure(laws.layer_feedback_balance)
    v = sol.w[0][1:] / a - sol.w[0][:-1]
    told = a**2 * (C[:-1] + (v**2).sum((1, 2)) / 2)
    assert close(C[:-1] + made.predicted, told, made.scale)
    assert close(made.parts["steps"], (v**2).sum((1, 2)) / 2, made.scale)
    assert made.residual < ROUNDING


@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize("ball", [{}, {"momentum": 0.7}, {"momentum": 0.7, "nesterov": True}])
@pytest.mark.parametrize("kind", [ff.FA, ff.GD])
def test_every_cause_together_is_exact(kind, ball, decay):
    """Layers' own decays, one of which jumps; samplers; schedules; momentum of both kinds."""
    decays = (0.3, ff.Piecewise((0.11,), (0.0, 0.5)), 0.2)
    rule, task, w0 = problem(kind, "relu", seed=1, bias=True, decay=decays, rates=(1.0, 0.5, 2.0))
    law = laws.neuron_feedback_balance if kind is ff.FA else laws.neuron_balance
    etas = 0.02 + 0.01 * np.cos(np.arange(40))
    sol = ff.iterate(rule, task, w0, eta=etas, steps=40, batches=ff.sampled(3), decay=decay, **ball)
    made = ff.drift(law, sol, k=1)
    assert made.residual < ROUNDING
    np.testing.assert_array_equal(made.etas, etas)
    for part in made.parts:
        others = sum(p for name, p in made.parts.items() if name != part)
        if part != "momentum" or ball:
            assert np.abs(made.seen - others).max() > 1e-5 * made.scale


def test_momentum_moves_the_law_by_its_recursion():
    """ΔC(n) = β(ΔC(n-1) + ½|v(n)|²) + ½|v(n+1)|²."""
    beta = 0.8
    sol = steps_of(ff.FA, "relu", momentum=beta)
    made = ff.drift(laws.layer_feedback_balance, sol)
    half = (moved(sol) ** 2).sum((1, 2)) / 2
    told = np.array(half)
    for n in range(1, len(told)):
        told[n] = beta * (told[n - 1] + half[n - 1]) + half[n]
    assert close(made.predicted, told, made.scale)
    assert close(made.parts["steps"], half, made.scale)


def test_nesterovs_momentum_moves_the_law_by_a_recursion_of_its_own():
    """ΔC(n) = β(l + β|v|²) - β⟨v, v₊⟩ + ½|v₊|² with l = ⟨W₁, v₁⟩ - ⟨v₂, Bᵀ⟩, all in layer 1."""
    beta = 0.8
    sol = steps_of(ff.FA, "relu", momentum=beta, nesterov=True, of={"sizes": (3, 4, 2)})
    made = ff.drift(laws.layer_feedback_balance, sol)
    v1, v2 = (np.concatenate([np.zeros_like(V[:1]), V]) for V in (moved(sol), moved(sol, 1)))
    dot = lambda a, b: (a * b).sum((1, 2))
    told = dot(sol.w[0][:-1], v1[:-1]) - dot(v2[:-1], sol.rule.B[0].T[None])
    told = beta * (told + beta * dot(v1[:-1], v1[:-1])) - beta * dot(v1[:-1], v1[1:])
    assert close(made.predicted, told + dot(v1[1:], v1[1:]) / 2, made.scale)


def squared_law(rule, w):
    one = laws.layer_feedback_balance(rule, w)
    return one * one


def test_a_power_of_a_law_is_a_law_and_its_integral_takes_its_second_term_alone():
    """C² changes by 2CΔC + ΔC², to leading order by η∫C|F|² dt."""
    rule, task, w0 = problem(ff.FA, seed=1)
    off = []
    for steps in (200, 400):
        sol = ff.iterate(rule, task, w0, eta=0.4 / steps, steps=steps)
        made = ff.drift(squared_law, sol)
        C = sol.measure(laws.layer_feedback_balance)
        half = (moved(sol) ** 2).sum((1, 2)) / 2
        assert close(made.predicted, 2 * C[:-1] * half + half**2, made.scale)
        assert made.residual < ROUNDING
        off.append(abs(made.seen.sum(0) / made.integral[-1] - 1))
    assert 1.7 < off[0] / off[1] < 2.3
    ball = ff.iterate(rule, task, w0, eta=0.002, steps=20, momentum=0.5, nesterov=True)
    with pytest.raises(ValueError, match="Nesterov's momentum drift is for quadratic laws"):
        ff.drift(squared_law, ball)


BALLS = [{}, {"momentum": 0.6}, {"momentum": 0.6, "nesterov": True}]


@pytest.mark.parametrize("ball", BALLS, ids=["plain", "heavy ball", "nesterov"])
@pytest.mark.parametrize(("kind", "law"), [(ff.FA, "feedback_balance"), (ff.GD, "balance")])
def test_the_integral_is_approached_at_first_order(kind, law, ball):
    rule, task, w0 = problem(kind, seed=1)
    law, off = getattr(laws, law), []
    scale = 1 - ball.get("momentum", 0)
    for steps in (200, 400):
        sol = ff.iterate(rule, task, w0, eta=0.4 * scale / steps, steps=steps, **ball)
        made = ff.drift(law, sol)
        off.append(
            np.abs(made.seen.sum(0) - made.integral[-1]).max() / abs(made.integral[-1]).max()
        )
    assert off[1] < 0.1
    assert 1.7 < off[0] / off[1] < 2.3


def test_the_integral_is_that_of_the_square_of_the_velocity():
    """One weight to a target of 0: F = -w, w = e^{-t}; W² gains η∫e^{-2t} dt."""
    task, w0 = ff.Task([[1.0]], [[0.0]]), (np.ones((1, 1)),)
    sol = ff.iterate(ff.GD(), task, w0, eta=0.01, steps=100)
    made = ff.drift(lambda rule, w: (w[0] @ w[0].T).trace(), sol)
    np.testing.assert_allclose(made.integral, 0.01 * (1 - np.exp(-2 * sol.ts)) / 2, atol=1e-10)
    assert made.residual > 1e-3


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_integral_of_batches_is_the_mean_over_all_of_them(size):
    """Its first rate is E Q(F_b), all batches of five samples enumerated."""
    rule, task, w0 = problem(ff.FA, "tanh", seed=1)
    eta = 1e-5
    sol = ff.iterate(rule, task, w0, eta=eta, steps=2, batches=size)
    made = ff.drift(laws.layer_feedback_balance, sol)
    squares = []
    for batch in itertools.combinations(range(5), size):
        n = list(batch)
        F = rule(task.with_data(task.X[:, n], task.Y[:, n]), w0)[0]
        squares.append(np.sum(F**2) / 2)
    rate = made.integral[1] / eta**2
    assert rate == pytest.approx(np.mean(squares), rel=1e-4)  # the flow has moved by eta
    if size < 5:
        whole = np.sum(rule(task, w0)[0] ** 2) / 2 * (size / 5) ** 2
        assert abs(rate / whole - 1) > 0.01


def test_the_square_of_a_batch_in_the_mean_has_the_factor_of_finite_populations():
    """E|F_b|² = |F|² + (tr Σ/b)(N - b)/(N - 1), F and Σ of the mean over samples."""
    rule, task, w0 = problem(ff.FA, "relu", seed=1)
    b, N = 2, 5
    each = [rule(task.with_data(task.X[:, [n]], task.Y[:, [n]]), w0)[0] for n in range(N)]
    mean = sum(each) / N
    spread = sum(np.sum((F - mean) ** 2) for F in each) / N
    told = b**2 * (np.sum(mean**2) + spread / b * (N - b) / (N - 1)) / 2
    made = ff.drift(
        laws.layer_feedback_balance, ff.iterate(rule, task, w0, eta=1e-5, steps=1, batches=b)
    )
    assert made.integral[1] / 1e-10 == pytest.approx(told, rel=1e-3)  # the flow moves by eta


def test_schedules_weigh_the_integral_by_the_step():
    rule, task, w0 = problem(ff.FA, seed=1)
    off = []
    for n in (100, 200):
        etas = 0.4 / n * (1 + 0.5 * np.sin(np.arange(n) / n * 6))
        made = ff.drift(laws.layer_feedback_balance, ff.iterate(rule, task, w0, eta=etas, steps=n))
        off.append(abs(made.seen.sum() / made.integral[-1] - 1))
    assert 1.6 < off[0] / off[1] < 2.4


def test_a_flow_that_slides_has_no_integral_and_its_steps_keep_the_law_all_the_same():
    rule, task, w0 = sliding()
    made = ff.drift(laws.neuron_feedback_balance, ff.iterate(rule, task, w0, eta=0.01, steps=40))
    assert made.integral is None
    assert made.residual < ROUNDING


def test_the_partial_solution_of_a_schedule_has_its_drift():
    rule, task, w0 = problem(ff.FA, seed=1)
    etas = [0.01] * 5 + [100.0] * 40
    with pytest.raises(ff.Unfinished) as stop:
        ff.iterate(rule, task, w0, eta=etas, steps=45)
    sol = stop.value.solution
    with pytest.raises(ValueError, match=r"law feedback balance overflows at step \d+"):
        ff.drift(laws.feedback_balance, sol)
    early = ff.Solution(
        sol.ts[:7], tuple(W[:7] for W in sol.w), rule, task, sol.made | {"accepted": 6}
    )
    made = ff.drift(laws.feedback_balance, early)
    np.testing.assert_array_equal(made.etas, [0.01] * 5 + [100.0])
    assert made.residual < ROUNDING


def test_signs_are_a_polynomial_until_one_changes():
    """|w| is kept along the flow; a step across 0 is no step along its series."""
    rule, task, w0 = problem(ff.SignFA, seed=3)
    few = ff.iterate(rule, task, w0, eta=1e-4, steps=5)
    assert ff.drift(laws.neuron_potential_balance, few).residual < ROUNDING
    many = ff.iterate(rule, task, w0, eta=0.02, steps=100)
    crossed = (np.diff(np.sign(many.w[1]), axis=0) != 0).any((1, 2))
    first = int(np.argmax(crossed)) + 1
    with pytest.raises(
        ValueError, match=f"polynomials of the weights, but in step {first} the law"
    ):
        ff.drift(laws.neuron_potential_balance, many)
    smooth, task, w0 = problem(ff.SignFA, seed=3, beta=2.0)
    with pytest.raises(ValueError, match="drift is for laws that are polynomials of the weights"):
        ff.drift(laws.neuron_potential_balance, ff.iterate(smooth, task, w0, eta=0.01, steps=2))


def test_a_law_of_value_zero_has_no_residual():
    sol = steps_of(ff.FA)
    made = ff.drift(lambda rule, w: 0 * w[0].trace(), sol)
    assert (made.residual, made.rate, made.scale) == (0, 0, 1)


def test_batches_of_velocities_that_are_no_sums_have_no_integral():
    rule, task, w0 = problem(ff.FA, seed=1)
    sol = ff.iterate(ff.modified(rule, 0.01), task, w0, eta=0.01, steps=5, batches=2)
    assert ff.drift(laws.feedback_balance, sol).integral is None


def test_what_was_seen_is_said():
    made = ff.drift(laws.layer_feedback_balance, steps_of(ff.FA, "relu"))
    assert str(made).startswith("layer feedback balance of FA: in 40 steps it changes by ")
    assert "; to leading order " in str(made)
    cumulative = made.cumulative
    assert cumulative[0] == 0
    np.testing.assert_allclose(np.diff(cumulative), made.predicted, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"every": 2}, "needs the weights at every step: iterate with every=1, no observe"),
        ({"observe": {"a": laws.balance}}, "needs the weights at every step"),
        ({"order": "input first"}, "The layers moved input first; drift is for layers moved toget"),
    ],
)
def test_other_solutions_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        ff.drift(laws.balance, steps_of(ff.FA, **change))


def test_flows_fitted_layers_and_decay_inside_are_refused():
    rule, task, w0 = problem(ff.FA, seed=1)
    with pytest.raises(ValueError, match="drift is for steps: give a solution of iterate"):
        ff.drift(laws.feedback_balance, ff.integrate(rule, task, w0, [0, 1]))
    C, Y = np.ones((1, 1)), np.ones((1, 1))
    star = ff.iterate(ff.FAStar((C,)), ff.Task.factorisation(Y), (C, C), eta=0.1, steps=2)
    with pytest.raises(ValueError, match="FAStar fits its last layer at each step"):
        ff.drift(laws.feedback_balance, star)
    inner = ff.modified(ff.FA(rule.B, decay=0.1), 0.01, 1)
    with pytest.raises(ValueError, match="modified to order 1 has its decay inside"):
        ff.drift(laws.feedback_balance, ff.iterate(inner, task, w0, eta=0.01, steps=2))
    with pytest.raises(ValueError, match="The law cannot be expanded in the step"):
        ff.drift(lambda rule, w: np.linalg.norm(w[0]), ff.iterate(rule, task, w0, eta=0.1, steps=1))


def test_the_law_fails_in_its_own_words():
    with pytest.raises(ValueError, match=r"The law feedback_balance failed at t = 0"):
        ff.drift(partial(laws.feedback_balance, k=9), steps_of(ff.FA, steps=1))


def test_what_the_rule_does_not_keep_is_said_so():
    rule, task, w0 = problem(ff.FA, "tanh")
    run = ff.iterate(rule, task, w0, eta=0.01, steps=3)
    assert "the rule does not keep it" in str(ff.drift(laws.neuron_feedback_balance, run))
    linear = ff.iterate(rule, ff.Task(task.X, task.Y), w0, eta=0.01, steps=3)
    assert "does not keep" not in str(ff.drift(laws.feedback_balance, linear))


def test_drift_needs_a_solution():
    with pytest.raises(TypeError, match=r"drift needs a Solution of iterate, but got \[1, 2\]"):
        ff.drift(laws.balance, [1, 2])
