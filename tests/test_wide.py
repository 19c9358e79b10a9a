"""Wide networks against the paper's update typed again, whole networks, Monte Carlo and ODEs."""

import numpy as np
import pytest
import scipy.integrate

import faflow as ff
from faflow import laws, wide
from faflow.nets import Activation, activation, forward

SLOPES = {
    "linear": (lambda z: z, lambda z: 1.0),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}
gate = lambda z: 3 * (z > 0) - 0.5 * (z <= 0)
BENT = Activation("bent", lambda z: gate(z) * z, lambda z, e: gate(z) * e, degree=1, smooth=False)
SMOOTH = ["linear", "tanh", "erf", "sigmoid"]
STAIRS = ff.Piecewise((1.0, 2.5), (0.8, 0.0, 0.3))


def data(n=5, d=7, seed=0, orthonormal=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((d, n)) / np.sqrt(d)
    return np.linalg.qr(X)[0] if orthonormal else X, rng.standard_normal(n)


def drawn(p=30, phi="linear", seed=0, orthonormal=False, **options):
    return wide.drawn(*data(seed=seed, orthonormal=orthonormal), p, phi, seed=seed, **options)


def error(task, w):
    return (forward(task, w)[2] - task.Y)[0]


def unpacked(problem):
    """X, y, W, beta, b in the paper's letters."""
    rule, task, w = problem
    root = np.sqrt(len(w[0]))
    return task.X, task.Y[0], w[0], root * w[1][0], root * rule.B[0][:, 0]


@pytest.mark.parametrize("phi", SLOPES)
def test_the_rule_is_the_update_of_the_paper(phi):
    """Neuron by neuron, with a penalty: a step of a code whose loss is the mean of e²."""
    problem = drawn(6, phi)
    X, y, W, beta, b = unpacked(problem)
    psi, slope = SLOPES[phi]
    p, n, eta, penalty = 6, len(y), 0.1, 0.3
    f = [sum(beta[r] * psi(W[r] @ X[:, i]) for r in range(p)) / np.sqrt(p) for i in range(n)]
    e = np.array(f) - y
    new_beta, new_W = (1 - eta * penalty) * beta, W.copy()
    for r in range(p):
        for i in range(n):
            z = W[r] @ X[:, i]
            new_beta[r] -= eta * 2 / n * e[i] * psi(z) / np.sqrt(p)
            new_W[r] -= eta * 2 / n * e[i] * b[r] * slope(z) * X[:, i] / np.sqrt(p)
    own_eta, own_penalty = wide.from_mean_loss(eta, penalty, n)
    rule, task, w = wide.problem(X, y, W, beta, b, phi, penalty=own_penalty)
    end = ff.iterate(rule, task, w, eta=own_eta, steps=1).final
    np.testing.assert_allclose(end[0], new_W, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(np.sqrt(p) * end[1][0], new_beta, rtol=1e-14, atol=1e-14)


def test_feedback_has_the_correlation_asked_for_and_changes_nothing_else():
    none, some, all_, minus = (unpacked(drawn(correlation=c)) for c in (0, 0.6, 1, -1))
    for other in (some, all_, minus):
        for known, same in zip(none[:4], other[:4], strict=True):
            np.testing.assert_array_equal(known, same)
    beta, fresh = none[3], none[4]
    np.testing.assert_allclose(some[4], 0.6 * beta + 0.8 * fresh, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(all_[4], beta)
    np.testing.assert_array_equal(minus[4], -beta)


def test_entries_of_a_wide_draw_are_standard_gaussian_and_independent():
    _, _, W, beta, b = unpacked(drawn(100_000))
    moments = [W.mean(), W.std() - 1, beta.mean(), beta.std() - 1, b.std() - 1, beta @ b / 1e5]
    assert np.abs(moments).max() < 5 / np.sqrt(1e5)  # five standard deviations


# Kernels


@pytest.mark.parametrize("phi", SLOPES)
def test_kernels_are_the_sums_of_the_paper(phi):
    problem = drawn(6, phi)
    X, y, W, beta, b = unpacked(problem)
    psi, slope = SLOPES[phi]
    G, H = wide.kernels(*problem)
    for i in range(len(y)):
        for j in range(len(y)):
            z = [(W[r] @ X[:, i], W[r] @ X[:, j]) for r in range(6)]
            first = sum(psi(u) * psi(v) for u, v in z) / 6
            second = sum(beta[r] * b[r] * slope(u) * slope(v) for r, (u, v) in enumerate(z)) / 6
            assert G[i, j] == pytest.approx(first, rel=1e-13, abs=1e-14)
            assert H[i, j] == pytest.approx(X[:, i] @ X[:, j] * second, rel=1e-13, abs=1e-14)


def test_with_its_own_weights_as_feedback_the_kernels_are_those_of_the_gradient():
    """G + H = J diag(rates) Jᵀ, J by finite differences of the network's output."""
    rule, task, w = drawn(6, "tanh", correlation=1)
    rates = np.repeat([1, 1 / 6], [w[0].size, w[1].size])
    flat = np.concatenate([W.ravel() for W in w])
    output = lambda v: forward(task, (v[: w[0].size].reshape(w[0].shape), v[None, w[0].size :]))[2]
    h = 1e-6
    J = np.array([(output(flat + h * v) - output(flat - h * v))[0] / (2 * h) for v in np.eye(48)])
    kernel = J.T @ (rates[:, None] * J)
    for kind in (rule, ff.GD(rates=rule.rates)):
        np.testing.assert_allclose(sum(wide.kernels(kind, task, w)), kernel, atol=1e-8)  # h²


@pytest.mark.parametrize("phi", [*SMOOTH, "relu"])
def test_the_error_moves_as_said_at_any_width(phi):
    rule, task, w = drawn(11, phi, penalty=0.7)
    v, h = rule(task, w), 1e-5
    sides = [error(task, tuple(W + s * V for W, V in zip(w, v, strict=True))) for s in (h, -h)]
    seen, said = (sides[0] - sides[1]) / (2 * h), wide.error_rate(rule, task, w)
    assert np.abs(seen - said).max() < 1e-8 * np.abs(said).max()  # of second order in h
    wrong = said + 0.7 * task.Y[0]  # without λy
    assert np.abs(seen - wrong).max() > 0.1 * np.abs(said).max()


def test_the_rate_of_the_residual_is_that_of_the_error_without_the_data():
    X, y = data(4, 4)
    rule, task, w = wide.drawn(X, y, 9, penalty=0.7)
    target = y[None] @ np.linalg.inv(X)
    np.testing.assert_allclose(wide.residual(rule, w, target=target) @ X, -error(task, w)[None])
    rate = wide.residual_rate(rule, w, target=target, covariance=X @ X.T)
    np.testing.assert_allclose((rate @ X)[0], -wide.error_rate(rule, task, w), rtol=1e-10)


@pytest.mark.parametrize("phi", [*SMOOTH, "relu", "leaky_relu(0.1)", "softplus(2)", BENT])
def test_the_limit_kernel_is_the_mean_over_gaussian_neurons(phi):
    X, _ = data(4, 5)
    X[:, 1] = X[:, 0]  # angles of 0 and of 180 degrees as well
    X[:, 2] = -X[:, 0]
    active = activation(phi).f(np.random.default_rng(1).standard_normal((400_000, 5)) @ X)
    products = active[:, :, None] * active[:, None]
    off = np.abs(wide.limit_kernel(X, phi) - products.mean(0))
    assert (off < 1e-12 + 5 * products.std(0) / np.sqrt(400_000)).all()  # five standard errors


@pytest.mark.parametrize("phi", [*SMOOTH, "softplus(2)"])
def test_the_limit_kernel_of_smooth_activations_is_a_gauss_legendre_integral(phi):
    X, _ = data(2, 5)
    k, (a, b) = (X.T @ X)[0, 1], np.linalg.norm(X, axis=0)
    z, weights = np.polynomial.legendre.leggauss(300)
    u, v = 9 * z[:, None], 9 * z
    weights = 81 * weights[:, None] * weights * np.exp(-(u**2 + v**2) / 2) / (2 * np.pi)
    f = activation(phi).f
    expected = np.sum(
        weights * f(a * u) * f(b * (k * u / (a * b) + np.sqrt(1 - (k / a / b) ** 2) * v))
    )
    assert wide.limit_kernel(X, phi)[0, 1] == pytest.approx(expected, abs=1e-12)


def test_gamma_of_orthonormal_samples():
    X, _ = data(orthonormal=True)
    assert wide.gamma(X, "linear") == pytest.approx(1, abs=1e-13)
    assert wide.gamma(X, "relu") == pytest.approx(1 / 2 - 1 / (2 * np.pi), abs=1e-13)
    weigh = lambda z: np.tanh(z) ** 2 * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    expected = scipy.integrate.quad(weigh, -10, 10, epsabs=1e-13)[0]
    assert wide.gamma(X, "tanh") == pytest.approx(expected, abs=1e-11)


def test_one_input_twice_has_gamma_zero():
    X, _ = data()
    X[:, 1] = X[:, 0]
    for phi in ("linear", "relu", "tanh"):
        assert abs(wide.gamma(X, phi)) < 1e-12


# The reduction


@pytest.mark.parametrize("orthonormal", [True, False])
@pytest.mark.parametrize("penalty", [0.0, STAIRS])
@pytest.mark.parametrize("on_first", [0.0, 0.2])
def test_the_reduced_flow_is_that_of_the_network(orthonormal, penalty, on_first):
    rule, task, w0 = drawn(orthonormal=orthonormal, penalty=penalty)
    rule = ff.FA(rule.B, rates=rule.rates, decay=(on_first, penalty))
    ts, precise = np.linspace(0.5, 4, 15), {"rtol": 1e-11, "atol": 1e-13}
    sol = ff.integrate(rule, task, w0, ts, **precise)
    reduced = wide.reduced_flow(wide.overlaps([(rule, task, w0)]), ts, **precise)
    compare(sol, reduced, task, 1e-8)  # 2e-10 was seen; interpolated at the times


@pytest.mark.parametrize("penalty", [0.0, STAIRS])
def test_reduced_steps_are_those_of_the_network(penalty):
    rule, task, w0 = drawn(penalty=penalty)
    sol = ff.iterate(rule, task, w0, eta=0.05, steps=80, every=10)
    made = wide.overlaps([(rule, task, w0)])
    compare(sol, wide.reduced_steps(made, eta=0.05, steps=80, every=10), task, 1e-12)  # rounding


def compare(sol, reduced, task, allowed):
    errors = np.array([error(task, sol.at(k)) for k in range(len(sol))])
    root = np.sqrt(sol.w[0].shape[1])
    betas, b = root * sol.w[1][:, 0], root * sol.rule.B[0][:, 0]
    kernels = [sum(wide.kernels(sol.rule, task, sol.at(k))) for k in range(len(sol))]
    for seen, said in (
        (errors, reduced.error),
        (sol.measure(laws.alignment), reduced.cosine),
        (np.linalg.norm(betas, axis=1), reduced.norm),
        (betas @ b, reduced.overlap),
        (kernels, reduced.kernel()),
    ):
        assert np.abs(np.asarray(seen) - said[:, 0, 0]).max() < allowed * max(1, np.abs(seen).max())
    np.testing.assert_allclose(sol.ts, reduced.ts, rtol=1e-13)


def test_a_batch_is_its_problems_and_penalties_one_by_one():
    problems = [drawn(p, seed=p) for p in (10, 30)]
    penalties = [0.0, STAIRS, 0.5]
    together = wide.reduced_flow(wide.overlaps(problems), [0, 1, 3], penalties=penalties)
    steps = wide.reduced_steps(wide.overlaps(problems), eta=0.1, steps=30, penalties=penalties)
    assert together.error.shape == (3, 2, 3, 5)
    for i, problem in enumerate(problems):
        for j, penalty in enumerate(penalties):
            alone = wide.overlaps([problem])
            flow = wide.reduced_flow(alone, [0, 1, 3], penalties=[penalty])
            walk = wide.reduced_steps(alone, eta=0.1, steps=30, penalties=[penalty])
            assert np.abs(flow.error[:, 0, 0] - together.error[:, i, j]).max() < 1e-8  # tolerance
            assert np.abs(walk.error[:, 0, 0] - steps.error[:, i, j]).max() < 1e-13


def test_the_penalty_jumps_at_its_times():
    """Targets and inputs next to nothing: beta decays as exp(-∫λ)."""
    X, y = data()
    made = wide.overlaps([wide.drawn(1e-9 * X, 0 * y, 10)])
    flow = wide.reduced_flow(made, [0, 1, 2.5, 4], penalties=[STAIRS])
    shares = flow.norm[:, 0, 0] / flow.norm[0, 0, 0]
    np.testing.assert_allclose(shares, np.exp([0, -0.8, -0.8, -1.25]), rtol=1e-9)


def test_one_sample_is_enough():
    rule, task, w0 = wide.drawn([[1.0], [0.5]], [2.0], 8, penalty=0.3)
    sol = ff.integrate(rule, task, w0, [0, 1, 2])
    reduced = wide.reduced_flow(wide.overlaps([(rule, task, w0)]), [0, 1, 2])
    compare(sol, reduced, task, 1e-8)


def test_bdf_reaches_what_dop853_does():
    made = wide.overlaps([drawn()])
    flows = [
        wide.reduced_flow(made, [0, 20], penalties=[1.0], solver=solver, rtol=1e-9, atol=1e-12)
        for solver in ("dop853", "bdf")
    ]
    assert np.abs(flows[0].error - flows[1].error).max() < 1e-6  # 1000 times its rtol


def test_steps_go_on_from_where_others_ended():
    made = wide.overlaps([drawn()])
    whole = wide.reduced_steps(made, eta=0.1, steps=30, penalties=[0.5])
    half = wide.reduced_steps(made, eta=0.1, steps=10, penalties=[0.5])
    rest = wide.reduced_steps(made, eta=0.1, steps=20, penalties=[0.5], start=half)
    np.testing.assert_allclose(rest.error[-1], whole.error[-1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(rest.error[0], half.error[-1], rtol=1e-12, atol=1e-14)


def test_networks_stop_one_by_one_by_the_published_rule():
    """Each by a plain loop over whole networks."""
    problems, penalties = [drawn(20, seed=s) for s in range(3)], (0.0, 0.3, 1.0)
    rule_of = {"block": 5, "change": 1e-3}
    made = wide.overlaps(problems)
    run = wide.until_settled(made, eta=0.1, steps=20, penalties=penalties, **rule_of)
    assert len(set(run.steps.ravel())) > 3
    for i, (rule, task, w0) in enumerate(problems):
        for j, penalty in enumerate(penalties):
            rule = ff.FA(rule.B, rates=rule.rates, decay=(0, penalty))
            loss = lambda w, task=task: np.mean(error(task, w) ** 2)
            w, taken = ff.iterate(rule, task, w0, eta=0.1, steps=20).final, 20
            change = np.inf
            while change >= 1e-3:
                before = loss(w)
                w, taken = ff.iterate(rule, task, w, eta=0.1, steps=5).final, taken + 5
                change = abs(loss(w) - before)
            assert run.steps[i, j] == taken
            assert run.cosine[0, i, j] == pytest.approx(laws.alignment(rule, w), abs=1e-12)


def test_a_step_too_large_is_reported():
    made = wide.overlaps([drawn(orthonormal=True)])
    with pytest.raises(RuntimeError, match=r"eta = 30 is too large"):
        wide.reduced_steps(made, eta=30, steps=400, penalties=[0])


def test_a_network_that_never_settles_is_reported():
    made = wide.overlaps([drawn()])
    with pytest.raises(RuntimeError, match="1 networks did not settle in 2 blocks"):
        wide.until_settled(made, eta=0.1, steps=1, block=1, change=0, penalties=[0.5], most=2)


# The limit


@pytest.mark.parametrize("penalty", [0.7, ff.Piecewise((1.0, 2.0, 3.0), (0.5, 0.0, 2.0, 0.1))])
def test_the_law_of_alignment_solves_its_ode(penalty):
    taus = np.array([0.5, 1.0, 1.5, 2.5, 3.0, 5.0])
    value = penalty.at if isinstance(penalty, ff.Piecewise) else lambda t: penalty
    move = lambda t, s: value(t) / (1 + value(t) + s**2)
    made = scipy.integrate.solve_ivp(
        move, (0, 5), [0.0], "RK45", taus, rtol=1e-9, atol=1e-12, max_step=1e-2
    )
    law = wide.alignment_law(penalty, taus)
    np.testing.assert_allclose(law.sigma, made.y[0], rtol=1e-3)  # steps across the jumps
    if not isinstance(penalty, ff.Piecewise):
        np.testing.assert_allclose(law.sigma, made.y[0], rtol=1e-8)
    lams = np.array([value(t) for t in taus])
    np.testing.assert_allclose(law.cosine, np.cos(np.arctan2(1, law.sigma)), rtol=1e-14)
    np.testing.assert_allclose(law.error * (1 + lams + law.sigma**2), lams, rtol=1e-14)


def test_the_law_of_alignment_is_the_root_of_its_cubic():
    for penalty in (0.01, 1.0, 30.0):
        for tau in (1e-6, 1.0, 1e6):
            real = [
                r.real
                for r in np.roots([1 / 3, 0, 1 + penalty, -penalty * tau])
                if abs(r.imag) < 1e-9 * abs(r)
            ]
            assert wide.alignment_law(penalty, [tau]).sigma[0] == pytest.approx(real[0], rel=1e-9)


def test_for_orthonormal_samples_the_path_is_the_law():
    X, y = data(orthonormal=True)
    taus = np.array([3.0, 0.0, 0.2, 1.0, 3.0])  # in any order, and twice
    path, law = wide.alignment_path(X, y, 0.7, taus), wide.alignment_law(0.7, taus)
    for seen, said in zip(path, law, strict=True):
        np.testing.assert_allclose(seen, said, rtol=1e-8, atol=1e-12)


def test_a_very_wide_network_follows_the_path_of_its_data():
    """The distance is 1/√p times a number of order one: 3e-4 was seen."""
    X, y = data()
    p, tau = 1_000_000, 2.0
    flow = wide.reduced_flow(
        wide.overlaps([wide.drawn(X, y, p)]),
        [0, tau * np.sqrt(p) / np.linalg.norm(y)],
        penalties=[1],
    )
    path, law = wide.alignment_path(X, y, 1.0, [tau]), wide.alignment_law(1.0, [tau])
    assert abs(flow.cosine[-1, 0, 0] - path.cosine[0]) < 3e-3
    assert abs(np.linalg.norm(flow.error[-1, 0, 0]) / np.linalg.norm(y) - path.error[0]) < 3e-3
    assert abs(law.cosine[0] - path.cosine[0]) > 0.01


def test_the_late_error_is_what_the_law_becomes():
    taus = np.array([1e4, 1e6, 1e8])
    off = wide.alignment_law(0.5, taus).error / wide.late_error(0.5, taus) - 1
    assert np.abs(off).max() < 1e-2
    assert off[:-1] / off[1:] == pytest.approx(100 ** (2 / 3), rel=0.05)  # the next term, σ⁻²


X52, Y2 = np.ones((5, 2)), np.ones(2)
LINEAR = wide.drawn(X52, Y2, 3)
MADE = wide.overlaps([LINEAR])
ON_FIRST = (ff.FA(LINEAR[0].B, rates=(1, 1 / 3), decay=(0.1, 0)), *LINEAR[1:])
WRONG = {
    "beta": (lambda: wide.problem(X52, Y2, np.ones((3, 5)), Y2, np.ones(3)), "one entry a row"),
    "y of two axes": (lambda: wide.drawn(X52, Y2[None], 3), "y must have one axis"),
    "samples": (lambda: wide.drawn(X52, np.ones(3), 3), "one column a sample"),
    "nan": (lambda: wide.drawn(X52, [1, np.nan], 3), "y must be finite"),
    "width": (lambda: wide.drawn(X52, Y2, 0), "positive integer"),
    "correlation": (lambda: wide.drawn(X52, Y2, 3, correlation=2), "from -1 to 1"),
    "outputs": (
        lambda: wide.kernels(ff.GD(), ff.Task(X52, np.ones((2, 2))), (X52.T, np.ones((2, 2)))),
        "one output",
    ),
    "penalty on W": (lambda: wide.error_rate(*ON_FIRST), "on beta alone"),
    "piecewise rate": (
        lambda: wide.error_rate(*wide.drawn(X52, Y2, 3, penalty=STAIRS)),
        "must be a number",
    ),
    "loss": (
        lambda: wide.error_rate(LINEAR[0], ff.Task(X52, [[1, -1]], loss="logistic"), LINEAR[2]),
        "squared loss",
    ),
    "zero input": (lambda: wide.limit_kernel(0 * X52, "relu"), "other than zero"),
    "quadrature": (lambda: wide.limit_kernel(data()[0], "relu_power(2)"), "smooth activation"),
    "tanh": (lambda: wide.overlaps([wide.drawn(X52, Y2, 3, "tanh")]), "linear networks"),
    "gradient": (
        lambda: wide.overlaps([(ff.GD(rates=(1, 1 / 3)), *LINEAR[1:])]),
        "needs FA on two layers",
    ),
    "rates": (lambda: wide.overlaps([(ff.FA(LINEAR[0].B), *LINEAR[1:])]), r"rates \(1, 1/p\)"),
    "none": (lambda: wide.overlaps([]), "at least one problem"),
    "unequal": (
        lambda: wide.overlaps([LINEAR, wide.drawn(np.ones((5, 3)), np.ones(3), 3)]),
        "same number of samples",
    ),
    "solver": (lambda: wide.reduced_flow(MADE, [0, 1], solver="rk4"), "Unknown solver"),
    "times": (lambda: wide.reduced_flow(MADE, [1, 0]), "ts must increase"),
    "one penalty": (lambda: wide.reduced_flow(MADE, [0, 1], penalties=0.5), "must be a list"),
    "piecewise alone": (lambda: wide.reduced_flow(MADE, [0, 1], penalties=STAIRS), "a list"),
    "no penalties": (lambda: wide.reduced_flow(MADE, [0, 1], penalties=[]), "at least one"),
    "penalty": (lambda: wide.reduced_flow(MADE, [0, 1], penalties=[np.inf]), "finite"),
    "eta": (lambda: wide.reduced_steps(MADE, eta=0, steps=3), "eta must be"),
    "steps": (lambda: wide.reduced_steps(MADE, eta=0.1, steps=1.5), "steps must be"),
    "every": (lambda: wide.reduced_steps(MADE, eta=0.1, steps=3, every=2), "multiple of every"),
    "never": (lambda: wide.reduced_steps(MADE, eta=0.1, steps=3, every=0), "every or block"),
    "steps with a penalty on W": (
        lambda: wide.reduced_steps(wide.overlaps([ON_FIRST]), eta=0.1, steps=1),
        "on beta alone",
    ),
    "start": (
        lambda: wide.reduced_steps(
            MADE, eta=0.1, steps=1, start=wide.reduced_steps(MADE, eta=1, steps=1, penalties=[0, 1])
        ),
        "as many penalties",
    ),
    "settling": (
        lambda: wide.until_settled(MADE, eta=0.1, steps=1, block=1, change=1, penalties=[STAIRS]),
        "constant in time",
    ),
    "negative penalty": (lambda: wide.alignment_law(-1, [1]), "at least 0"),
    "negative time": (lambda: wide.alignment_law(1, [-1]), "at least 0"),
    "jump": (lambda: wide.alignment_law(ff.Piecewise((0.0,), (1, 2)), [1]), "from time 0"),
    "values": (lambda: wide.alignment_law(ff.Piecewise((1.0,), (1,)), [1]), "one more value"),
    "path": (lambda: wide.alignment_path(X52, Y2, 0, [1]), "above 0"),
    "no targets": (lambda: wide.alignment_path(X52, 0 * Y2, 1, [1]), "not Xy = 0"),
    "late": (lambda: wide.late_error(1, [0.0]), "above 0"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_no_sense_is_refused_in_a_sentence(what):
    call, words = WRONG[what]
    with pytest.raises(ValueError, match=words):
        call()
