"""The closed forms against solvers, mpmath, matrix exponentials and each other."""

import re

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from faflow import FA, GD, Task, exact, integrate, iterate

SHAPES = [(8, 7, 3, 4), (6, 9, 5, 2), (5, 5, 5, 5), (4, 6, 3, 9), (7, 5, 4, 1)]  # n, m, rank, r
SOLVED = 1e-9  # at rtol 1e-12; 1.1e-12 was seen
ENGINES = ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)]


def problem(n, m, rank, r, seed=0):
    """Y of this rank and feedback C, Gaussian."""
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m)) / np.sqrt(rank)
    return Y, rng.standard_normal((r, n))


def zeros(Y, C):
    return np.zeros((len(C), Y.shape[1])), np.zeros((len(Y), len(C)))


def distance(pair, other):
    return max(np.abs(a - b).max() for a, b in zip(pair, other, strict=True))


def orthonormal(d_in, samples, seed=0):
    """XXᵀ = I, or XᵀX = I with fewer samples than inputs."""
    X = np.random.default_rng(seed).standard_normal((d_in, samples))
    U, _, V = np.linalg.svd(X, full_matrices=False)
    return U @ V


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", SHAPES)
def test_both_engines_meet_the_exact_flow_from_zero(shape, engine):
    Y, C = problem(*shape)
    ts = np.linspace(0, 20, 21)
    run = {"engine": engine, "rtol": 1e-12, "atol": 1e-14}
    sol = integrate(FA((C,)), Task.factorisation(Y), zeros(Y, C), ts, **run)
    assert distance(sol.w, exact.fa_from_zero(Y, C, ts)) <= SOLVED


@pytest.mark.parametrize("samples", [12, 6, 4])
def test_the_exact_flow_takes_whitened_data_and_orthonormal_samples(samples):
    rng = np.random.default_rng(3)
    task = Task(orthonormal(6, samples), rng.standard_normal((4, samples)))
    C, ts = rng.standard_normal((3, 4)), np.linspace(0, 10, 5)
    start = np.zeros((3, 6)), np.zeros((4, 3))
    sol = integrate(FA((C,)), task, start, ts, rtol=1e-12, atol=1e-14)
    assert distance(sol.w, exact.fa_from_zero(task, C, ts)) <= SOLVED


def test_the_exact_flow_needs_whitened_data():
    rng = np.random.default_rng(4)
    X, Y, C = (rng.standard_normal(s) for s in [(3, 8), (3, 8), (3, 3)])
    X = X / np.linalg.norm(X, 2)
    with pytest.raises(ValueError, match="needs whitened inputs"):
        exact.fa_from_zero(Task(X, Y), C, [1.0])
    start = np.zeros((3, 3)), np.zeros((3, 3))
    sol = integrate(FA((C,)), Task(X, Y), start, [0, 5.0])
    control = distance(
        [W[1] for W in sol.w], [W[1] for W in exact.fa_from_zero(Y @ X.T, C, [0, 5])]
    )
    assert control > 0.01


def test_another_start_leaves_the_exact_flow_in_proportion_to_its_size():
    Y, C = problem(8, 7, 3, 4)
    rng = np.random.default_rng(5)
    direction = [rng.standard_normal(W.shape) for W in zeros(Y, C)]
    ts = np.linspace(0, 5, 6)

    def deviation(eps):
        start = tuple(eps * D for D in direction)
        sol = integrate(FA((C,)), Task.factorisation(Y), start, ts, rtol=1e-12, atol=1e-14)
        return distance(sol.w, exact.fa_from_zero(Y, C, ts))

    a_hundredth, a_thousandth, smallest = map(deviation, (1e-2, 1e-3, 1e-4))
    assert a_hundredth > 3e-3
    assert a_hundredth / a_thousandth == pytest.approx(10, rel=0.1)
    assert a_thousandth / smallest == pytest.approx(10, rel=0.01)


def reference(s):
    """u with du/ds = 1 - u³ and u(0) = 0, from the integral as printed and 60 digits."""
    with mpmath.workdps(60):
        s, root = mpmath.mpf(s), mpmath.sqrt(3)

        def excess(q):
            u = 1 - mpmath.exp(-q)
            angle = mpmath.atan((2 * u + 1) / root) - mpmath.pi / 6
            return mpmath.log((1 + u + u**2) / (1 - u) ** 2) / 6 + angle / root - s

        q = mpmath.findroot(excess, (s, 3 * s), solver="anderson", tol=1e-90)
        return 1 - mpmath.exp(-q)


@pytest.mark.parametrize("s", [1e-12, 1e-6, 1e-3, 0.1, 0.5, 0.9377, 2.0, 5.0, 9.0, 11.0])
def test_the_scalar_mode_is_right_to_the_last_digits(s):
    # d = ½ makes W₁ = u, W₂ = u²/2 and kappa = ½, without rounding
    W1, W2 = exact.fa_from_zero([[0.5]], [[1.0]], [2 * s])
    u = reference(s)
    assert abs(W1[0, 0, 0] - u) <= 1e-15 * u  # four times the rounding of one number
    assert abs(2 * W2[0, 0, 0] - u**2) <= 3e-15 * u**2


def test_a_mode_starts_at_zero_and_ends_at_one():
    W1, W2 = exact.fa_from_zero([[0.5]], [[1.0]], [0.0, 1e4])
    assert W1.ravel().tolist() == [0, 1]
    assert W2.ravel().tolist() == [0, 0.5]


@pytest.mark.parametrize("size", [0.05, 0.5])  # of a step in the fastest mode
@pytest.mark.parametrize("shape", SHAPES)
def test_discrete_steps_from_zero_follow_the_scalar_maps(shape, size):
    Y, C = problem(*shape)
    eta = size / exact.fa_modes(Y, C).kappa[0]
    sol = iterate(FA((C,)), Task.factorisation(Y), zeros(Y, C), eta=eta, steps=60)
    assert distance(sol.w, exact.discrete_fa_from_zero(Y, C, eta, 60)) <= 1e-13  # rounding alone


def test_discrete_steps_tend_to_the_flow_at_first_order():
    Y, C = problem(6, 9, 5, 2)

    def off(steps):
        ends = [W[-1] for W in exact.discrete_fa_from_zero(Y, C, 1 / steps, steps)]
        return distance(ends, [W[0] for W in exact.fa_from_zero(Y, C, [1.0])])

    assert off(1000) / off(2000) == pytest.approx(2, rel=0.01)


def test_steps_that_are_too_large_overflow_and_say_so():
    with pytest.raises(RuntimeError, match="overflows at step"):
        exact.discrete_fa_from_zero([[3.0]], [[5.0]], 2.0, 100)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_flow_ends_at_y_projected_on_the_row_space_of_cy(shape):
    Y, C = problem(*shape)
    limit = exact.fa_limit(Y, C)
    W1, W2 = exact.fa_from_zero(Y, C, [1e4])
    np.testing.assert_allclose(W2[0] @ W1[0], limit, atol=1e-12)
    projector = np.linalg.pinv(C @ Y, rcond=1e-10) @ (C @ Y)
    np.testing.assert_allclose(limit, Y @ projector, atol=1e-12)
    _, _, rank, r = shape
    assert (np.linalg.norm(limit - Y) < 1e-12) == (r >= rank)


def test_every_start_ends_at_the_limit_when_cy_has_full_row_rank():
    Y, C = problem(10, 9, 6, 3)
    rng = np.random.default_rng(6)
    start = tuple(rng.standard_normal(W.shape) for W in zeros(Y, C))
    sol = integrate(FA((C,)), Task.factorisation(Y), start, [0, 100], max_steps=100_000)
    W1, W2 = sol.at(-1)
    assert np.abs(W2 @ W1 - exact.fa_limit(Y, C)).max() <= 1e-8
    gd = integrate(GD(), Task.factorisation(Y), start, [0, 100])
    W1, W2 = gd.at(-1)
    assert np.abs(W2 @ W1 - exact.fa_limit(Y, C)).max() > 0.1


def test_the_limit_weighs_the_inputs_by_their_covariance():
    Y, C = problem(7, 5, 5, 2)
    rng = np.random.default_rng(7)
    X = rng.standard_normal((5, 9))
    limit = exact.fa_limit(Y, C, X @ X.T)
    start = tuple(rng.standard_normal(W.shape) for W in zeros(Y, C))
    sol = integrate(FA((C,)), Task(X, Y @ X), start, [0, 100], solver="radau", rtol=1e-9)
    assert np.abs(sol.w[1][-1] @ sol.w[0][-1] - limit).max() <= 1e-7  # the flow's own error
    np.testing.assert_allclose(exact.fa_limit(Y, C, np.eye(5)), exact.fa_limit(Y, C), atol=1e-12)
    assert np.abs(limit - exact.fa_limit(Y, C)).max() > 0.1


def test_the_limits_of_the_weights_are_those_of_the_flow():
    Y, C = problem(6, 9, 3, 4)
    ends = exact.fa_from_zero(Y, C, [1e5])
    for end, limit in zip(ends, exact.fa_limit_weights(Y, C), strict=True):
        np.testing.assert_allclose(end[0], limit, atol=1e-12)


def test_feedback_that_cannot_see_a_direction_leaves_it_out():
    Y, C = problem(5, 4, 2, 3)
    u = np.linalg.svd(Y)[0][:, 1]
    blind = C - np.outer(C @ u, u)
    values = np.linalg.svd(Y, compute_uv=False)
    left = np.linalg.norm(Y - exact.fa_limit(Y, blind))
    assert left == pytest.approx(values[1], rel=1e-12)
    assert len(exact.fa_modes(Y, blind).d) == 1


def test_the_error_seen_by_the_feedback_has_the_energy_it_should():
    Y, C = problem(6, 9, 5, 2)
    d = np.linalg.svd(C @ Y, compute_uv=False)

    def seen(t):
        W1, W2 = exact.fa_from_zero(Y, C, [t])
        return np.sum((C @ (Y - W2[0] @ W1[0])) ** 2)

    energy = scipy.integrate.quad(seen, 0, 30, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
    assert energy == pytest.approx(3 / 4 * 2 ** (1 / 3) * np.sum(d ** (4 / 3)), rel=1e-11)


def test_modes_say_when_half_is_learned_and_how_fast_the_rest_goes():
    Y, C = problem(6, 9, 5, 2)
    P, d, R = np.linalg.svd(C @ Y, full_matrices=False)
    modes = exact.fa_modes(Y, C)
    W1, W2 = exact.fa_from_zero(Y, C, modes.half_times)
    learned = np.diagonal(P.T @ C @ W2 @ W1 @ R.T, axis1=1, axis2=2)
    np.testing.assert_allclose(learned.diagonal(), d / 2, rtol=1e-13)
    slowest = 4 / modes.kappa[-1]  # 1 - u³ is 1e-5 here, and its rate right to that
    W1, W2 = exact.fa_from_zero(Y, C, [slowest, slowest + 0.1])
    left = d[-1] - np.diagonal(P.T @ C @ W2 @ W1 @ R.T, axis1=1, axis2=2)[:, -1]
    assert np.log(left[0] / left[1]) / 0.1 == pytest.approx(modes.rates[-1], rel=1e-4)


def test_the_half_time_constant_is_that_of_the_scalar_equation():
    half = scipy.integrate.quad(lambda u: 1 / (1 - u**3), 0, 0.5 ** (1 / 3), epsabs=1e-14)[0]
    d = 0.7
    assert exact.fa_modes([[d]], [[1.0]]).half_times[0] == pytest.approx(
        half * (d**2 / 2) ** (-1 / 3), rel=1e-13
    )


def test_what_no_feedback_reaches_does_not_move():
    W1, W2 = exact.fa_from_zero(np.ones((3, 2)), np.zeros((4, 3)), [0.0, 1.0])
    assert W1.shape == (2, 4, 2)
    assert W2.shape == (2, 3, 4)
    assert not W1.any()
    assert not W2.any()


ONE_LAYER = {
    "many samples": ((4, 9), {}, 0.0),
    "few samples": ((9, 4), {}, 0.0),
    "few samples and decay": ((9, 4), {}, 0.3),
    "biases and output scale": ((4, 9), {"bias": True, "output_scale": 0.5}, 0.1),
}


@pytest.mark.parametrize("case", ONE_LAYER)
def test_one_layer_is_the_matrix_exponential(case):
    (d_in, samples), options, decay = ONE_LAYER[case]
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((d_in, samples)) / 2, rng.standard_normal((3, samples))
    W0, ts = rng.standard_normal((3, d_in + options.get("bias", 0))), np.array([0.0, 0.4, 3.0])
    W = exact.one_layer(Task(X, Y, **options), W0, ts, decay=decay)
    if options.get("bias"):
        X = np.vstack([X, np.ones(samples)])
    X = options.get("output_scale", 1) * X
    size = len(X)
    generator = np.zeros((size + 3, size + 3))  # of (Wᵀ, I)ᵀ
    generator[:size] = np.hstack([-X @ X.T - decay * np.eye(size), X @ Y.T])
    for k, t in enumerate(ts):
        flow = scipy.linalg.expm(t * generator)[:size]
        expected = (flow @ np.vstack([W0.T, np.eye(3)])).T
        np.testing.assert_allclose(W[k], expected, atol=1e-12)  # the rounding of expm


@pytest.mark.parametrize("case", ONE_LAYER)
def test_integrate_meets_the_one_layer_flow(case):
    (d_in, samples), options, decay = ONE_LAYER[case]
    rng = np.random.default_rng(8)
    task = Task(rng.standard_normal((d_in, samples)), rng.standard_normal((3, samples)), **options)
    W0, ts = rng.standard_normal((3, d_in + options.get("bias", 0))), np.linspace(0, 2, 5)
    sol = integrate(GD(decay=decay), task, (W0,), ts, rtol=1e-12, atol=1e-13)
    assert np.abs(sol.w[0] - exact.one_layer(task, W0, ts, decay=decay)).max() <= SOLVED


def test_the_one_layer_flow_of_a_repeated_sample_grows_without_bound_in_no_direction():
    X = np.tile([[1.0], [2.0]], 3)  # XXᵀ has rank 1, its zero only up to rounding
    W = exact.one_layer(Task(X, np.ones((1, 3))), np.array([[1.0, -1.0]]), [1e6])
    unseen = np.array([2.0, -1.0])
    assert W[0] @ unseen == pytest.approx(3, abs=1e-8)  # as at the start
    assert W[0] @ X[:, 0] == pytest.approx(1, abs=1e-12)


def test_the_one_layer_flow_with_growth_has_no_part_that_was_not_there():
    task = Task([[2.0], [0]], np.ones((2, 1)))
    W = exact.one_layer(task, np.array([[1.0, 0], [0, 0]]), [0.0, 1.0, 300.0], decay=-3)
    np.testing.assert_allclose(W[:, 0, 0], [1, 2 - np.exp(-1), 2], rtol=1e-14)
    np.testing.assert_allclose(W[:, 1, 0], [0, 2 - 2 * np.exp(-1), 2], rtol=1e-14)
    assert not W[:, :, 1].any()
    with pytest.raises(ValueError, match="leave the range of floats"):
        exact.one_layer(Task(np.eye(2), np.eye(2)), np.eye(2), [400.0], decay=-3)
    late = exact.one_layer(Task([[2.0]], [[6.0]]), np.ones((1, 1)), [1e308])
    assert late.item() == pytest.approx(3, rel=1e-15)


def test_late_beyond_the_range_of_floats_all_is_learned():
    rng = np.random.default_rng(0)
    Y, C = rng.standard_normal((3, 4)), rng.standard_normal((5, 3))
    W1, W2 = exact.fa_from_zero(10 * Y, C, [1e308])
    assert np.abs(W2[0] @ W1[0] - exact.fa_limit(10 * Y, C)).max() < 1e-13


Y23, C42 = np.ones((2, 3)), np.ones((4, 2))
WRONG = {
    "columns of C": (lambda: exact.fa_from_zero(Y23, np.ones((4, 3)), [1]), "C must have 2 col"),
    "negative time": (lambda: exact.fa_from_zero(Y23, C42, [-1]), "at least 0"),
    "one number": (lambda: exact.fa_from_zero(Y23, C42, 1.0), "sequence of finite times"),
    "tanh": (lambda: exact.fa_from_zero(Task(np.eye(3), Y23, "tanh"), C42, [1]), "linear network"),
    "biases": (lambda: exact.fa_limit(Task(np.eye(3), Y23, bias=True), C42), "without biases"),
    "S's shape": (lambda: exact.fa_limit(Y23, C42, np.eye(2)), "covariance must be (3, 3)"),
    "S's sign": (lambda: exact.fa_limit(Y23, C42, -np.eye(3)), "positive definite"),
    "S not symmetric": (lambda: exact.fa_limit(Y23, C42, np.triu(np.ones((3, 3)))), "symmetric"),
    "S not symmetric, and small": (
        lambda: exact.fa_limit(Y23, C42, 1e-9 * (np.eye(3) + np.eye(3, k=1) / 2)),
        "symmetric",
    ),
    "large": (lambda: exact.fa_limit(1e200 * Y23, 1e200 * C42), "leave the range of floats"),
    "small": (lambda: exact.fa_from_zero(1e-200 * Y23, 1e-200 * C42, [1]), "range of floats"),
    "no times": (lambda: exact.fa_from_zero(Y23, C42, []), "at least one time"),
    "words for times": (lambda: exact.fa_from_zero(Y23, C42, ["1", "2"]), "sequence of numbers"),
    "complex times": (lambda: exact.fa_from_zero(Y23, C42, [1 + 1j]), "sequence of numbers"),
    "huge target": (lambda: exact.fa_chain(10**400, 1.0, (0.0, 0.0), [1]), "s must be finite"),
    "one weight": (lambda: exact.fa_chain(1.0, 1.0, np.array(1.0), [1]), "w0 must be numbers"),
    "law of nothing": (lambda: exact.fa_chain_law(1.0, 1.0, None), "w must be arrays"),
    "law of NaN": (
        lambda: exact.fa_chain_law(1.0, 1.0, np.array([[np.nan], [1]])),
        "finite real numbers",
    ),
    "eta's kind": (lambda: exact.discrete_fa_from_zero(Y23, C42, "a", 3), "eta must be a real"),
    "eta is true": (lambda: exact.discrete_fa_from_zero(Y23, C42, True, 3), "eta must be a real"),
    "endless": (lambda: exact.discrete_fa_from_zero(Y23, C42, 0.1, np.inf), "steps must be"),
    "no task": (lambda: exact.one_layer(Y23, Y23, [1]), "task must be a Task"),
    "decay's kind": (
        lambda: exact.one_layer(Task(np.eye(3), Y23), Y23, [1], decay="a"),
        "decay must be a real number",
    ),
    "eta": (lambda: exact.discrete_fa_from_zero(Y23, C42, 0, 3), "eta must be"),
    "steps": (lambda: exact.discrete_fa_from_zero(Y23, C42, 0.1, 1.5), "steps must be"),
    "W0": (lambda: exact.one_layer(Task(np.eye(3), Y23), np.ones((3, 2)), [1]), "W0 must be"),
    "decay": (lambda: exact.one_layer(Task(np.eye(3), Y23), Y23, [1], decay=np.nan), "decay must"),
    "loss": (
        lambda: exact.one_layer(Task(np.eye(3), Y23, loss="logistic"), Y23, [1]),
        "squared loss",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_arguments_outside_the_domain_are_refused_in_a_sentence(what):
    call, words = WRONG[what]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
