"""Stabilised methods: their polynomials, orders and error estimates, their solvers, the radius."""

from importlib.resources import files
from math import factorial

import numpy as np
import pytest
import scipy.integrate
from numpy.polynomial.chebyshev import Chebyshev

import faflow as ff
from faflow.flow import stabilised
from faflow.flow.radius import radius, square
from faflow.flow.stabilised import attempt, differences, direction, method, power_iteration
from faflow.flow.stabilised_scipy import RKC2, ROCK4

EPS = np.finfo(float).eps
METHODS = ["rkc2", "rock4"]
SOLVERS = [RKC2, ROCK4]
ROWS = [(name, int(s)) for name in METHODS for s in method(name).stages]
SOME = [("rkc2", s) for s in (2, 3, 4, 9, 30, 31, 101, 500)]
SOME += [("rock4", s) for s in (5, 6, 23, 24, 26, 63, 67, 124, 142)]


def numbers(name, s):
    """The method, and the largest h · radius for which it takes s stages."""
    m = method(name)
    return m, m.reach[m.stages == s][0]


def polynomial(name, s, z):
    """R(z) from the papers, as a function of y alone: RKC's closed form, ROCK4's recurrence."""
    if name == "rkc2":
        T = Chebyshev([0] * s + [1])
        w0 = 1 + 10 / s**2
        w1 = T.deriv()(w0) / T.deriv(2)(w0)
        b = T.deriv(2)(w0) / T.deriv()(w0) ** 2
        return 1 - b * T(w0) + b * T(w0 + w1 * z)
    lines = files("faflow.flow").joinpath("rock4.txt").read_text().splitlines()
    row = next(line.split() for line in lines if line.split()[0] == str(s))
    a21, a31, a32, a41, a42, a43, b1, b2, b3, b4 = map(float, row[1:11])
    before, now = np.ones_like(z), 1 + float(row[16]) * z
    for mu, kappa in zip(map(float, row[17::2]), map(float, row[18::2]), strict=True):
        before, now = now, (mu * z + 1 + kappa) * now - kappa * before
    k1 = z * now
    k2 = z * (now + a21 * k1)
    k3 = z * (now + a31 * k1 + a32 * k2)
    k4 = z * (now + a41 * k1 + a42 * k2 + a43 * k3)
    return now + b1 * k1 + b2 * k2 + b3 * k3 + b4 * k4


def stepped(name, s, z):
    """What a step of s stages makes of 1 along y' = zy, for many z at once."""
    m, reach = numbers(name, s)
    tried = attempt(m, lambda t, y: z * y, 0.0, np.ones_like(z), z, 1.0, reach)
    assert tried.evaluations == s
    return tried


@pytest.mark.parametrize(("name", "s"), ROWS)
def test_a_step_is_as_exact_as_its_order_says(name, s):
    m = method(name)
    z = np.exp(2j * np.pi * np.arange(32) / 32)
    coefficients = np.fft.fft(stepped(name, s, z).y).real / 32
    wanted = [1 / factorial(k) for k in range(m.order + 1)]
    # the published numbers of ROCK4 have 15 digits, and rounding grows like s² in RKC
    assert coefficients[: m.order + 1] == pytest.approx(wanted, abs=1e-11)
    assert abs(coefficients[m.order + 1] - 1 / factorial(m.order + 1)) > 1e-4


@pytest.mark.parametrize(("name", "s"), ROWS)
def test_a_step_is_stable_as_far_as_it_reaches(name, s):
    _, reach = numbers(name, s)
    R = polynomial(name, s, -np.linspace(0, reach, 100 * s))
    assert abs(R).max() <= 1 + 1e-10  # rounding of NumPy's Chebyshev series at degree 500


@pytest.mark.parametrize(("name", "s"), ROWS)
def test_a_step_is_the_polynomial_of_the_paper(name, s):
    m, reach = numbers(name, s)
    z = -np.linspace(0, reach, 997)
    rounding = 100 * EPS * m.noise[m.stages == s][0] + 1e-10  # of NumPy's Chebyshev series
    assert stepped(name, s, z).y == pytest.approx(polynomial(name, s, z), abs=rounding)


def test_the_tables_left_out_are_those_that_are_not_stable():
    z = -np.linspace(6, 10, 1001)
    assert all(abs(polynomial("rock4", s, z)).max() > 1.005 for s in stabilised.UNSTABLE)


def pendulum(t, y):
    """A driven, damped pendulum beside a logistic growth."""
    x, v, p = y
    return np.array([v, -np.sin(x) - v / 5 + np.cos(2 * t) / 2, p * (1 - p) * (1 + x / 4)])


START = np.array([1.0, 0.5, 0.1])


def error_after(name, s, steps, span=2.0):
    m, reach = numbers(name, s)
    h, y = span / steps, START
    f = pendulum(0.0, y)
    for k in range(steps):
        y, f, _, evaluations = attempt(m, pendulum, k * h, y, f, h, reach / h)
        assert evaluations == s
    exact = scipy.integrate.solve_ivp(pendulum, (0, span), START, "DOP853", rtol=1e-13, atol=1e-14)
    return np.linalg.norm(y - exact.y[:, -1])


@pytest.mark.parametrize(("name", "s"), SOME)
def test_the_observed_order_is_that_of_the_method(name, s):
    coarse, fine = error_after(name, s, 16), error_after(name, s, 32)
    assert np.log2(coarse / fine) == pytest.approx(method(name).order, abs=0.25)


@pytest.mark.parametrize(("name", "s"), SOME)
def test_the_error_estimate_shrinks_with_its_power_of_the_step(name, s):
    m, reach = numbers(name, s)

    def estimate(h):
        tried = attempt(m, pendulum, 0.3, START, pendulum(0.3, START), h, reach / h)
        return np.linalg.norm(tried.error)

    assert np.log2(estimate(0.04) / estimate(0.02)) == pytest.approx(m.error_order, abs=0.2)


@pytest.mark.parametrize("name", METHODS)
def test_the_velocity_returned_is_that_at_the_end(name):
    tried = attempt(method(name), pendulum, 1.0, START, pendulum(1.0, START), 0.25, 90.0)
    assert (tried.f == pendulum(1.25, tried.y)).all()


@pytest.mark.parametrize("name", METHODS)
def test_tuples_of_matrices_step_as_one_vector_does(name):
    rule, task, w = stiff()
    field, y = flat(rule, task, w)
    f = rule(task, w)
    one = attempt(method(name), field, 0.0, y, field(0, y), 2.0, 9.0)
    many = attempt(method(name), lambda t, w: rule(task, w), 0.0, w, f, 2.0, 9.0)
    for a, b in ((one.y, many.y), (one.f, many.f), (one.error, many.error)):
        # where BLAS rounds otherwise; of an estimate, a difference, more is left
        assert np.concatenate([B.ravel() for B in b]) == pytest.approx(a, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rho", [1.01, np.inf, np.nan])
def test_a_step_too_long_has_an_infinite_error(name, rho):
    m = method(name)
    tried = attempt(m, lambda t, y: -y, 0.0, np.ones(2), -np.ones(2), 1.0, m.reach[-1] * rho)
    assert (tried.error == np.inf).all()
    assert (tried.y == 1).all()
    assert m.stages_for(1.0, m.reach[-1] * rho) is None


@pytest.mark.parametrize("name", METHODS)
def test_the_stages_are_the_fewest_that_are_stable(name):
    m = method(name)
    assert m.stages_for(-2.0, 3.0) == m.stages[m.reach >= 6][0]
    assert m.stages_for(m.largest_step(7.0), 7.0) == m.stages[-1]
    assert m.largest_step(0.0) > 1e300
    assert m.limited(50).stages[-1] == m.stages[m.stages <= 50][-1]
    assert len(m.limited(1).stages) == 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_steps_as_long_as_is_stable_are_not_rejected_for_rounding(solver):
    stepper = solver(lambda t, y: -1e7 * y, 0.1, np.zeros(2), 1.0, spectral_radius=lambda t, y: 1e7)
    while stepper.status == "running":
        seen, stages = stepper.nfev, stepper.numbers.stages[-1]
        stepper.step()
        assert stepper.nfev - seen <= stages


@pytest.mark.parametrize("name", METHODS)
def test_finer_tolerances_allow_fewer_stages(name):
    most = [method(name).limited_by(rtol, EPS).stages[-1] for rtol in (1e-6, 1e-8, 1e-10)]
    assert most[0] > most[1] > most[2] > 5


def stiff(seed=0, sizes=(12, 6, 10), cond=30, scale=0.3):
    """FA factorising a matrix of this condition."""
    rng = np.random.default_rng(seed)
    r = sizes[1]
    U, _ = np.linalg.qr(rng.standard_normal((sizes[2], r)))
    V, _ = np.linalg.qr(rng.standard_normal((sizes[0], r)))
    rule = ff.FA.random(sizes, seed=seed, scale=1 / np.sqrt(r))
    task = ff.Task.factorisation((U * np.geomspace(1, 1 / cond, r)) @ V.T)
    return rule, task, rule.start(sizes, scale=scale, seed=seed)


def flat(rule, task, w):
    """The flow as a field on vectors, and where it starts."""
    cuts = np.cumsum([W.size for W in w])[:-1]

    def unpack(y):
        return tuple(p.reshape(W.shape) for p, W in zip(np.split(y, cuts), w, strict=True))

    def field(t, y):
        return np.concatenate([V.ravel() for V in rule(task, unpack(y))])

    return field, np.concatenate([W.ravel() for W in w])


def jacobian(field, y):
    """Of a field cubic in y: central differences, extrapolated, are exact but for rounding."""
    moved = lambda h: np.array([field(0, y + h * e) - field(0, y - h * e) for e in np.eye(len(y))])
    return ((8 * moved(0.5) - moved(1.0)) / 6).T


@pytest.mark.parametrize(("solver", "factor"), [(RKC2, 10), (ROCK4, 6)])
def test_a_stiff_flow_takes_several_times_fewer_evaluations(solver, factor):
    field, y = flat(*stiff())
    exact = scipy.integrate.solve_ivp(field, (0, 3000), y, "DOP853", rtol=1e-11, atol=1e-13)
    usual = scipy.integrate.solve_ivp(field, (0, 3000), y, "DOP853", rtol=1e-4, atol=1e-7)
    ours = scipy.integrate.solve_ivp(field, (0, 3000), y, solver, rtol=1e-4, atol=1e-7)
    wrong = np.linalg.norm(ours.y[:, -1] - exact.y[:, -1]) / np.linalg.norm(y)
    assert ours.success
    assert wrong < 1e-3
    assert ours.nfev * factor < usual.nfev


FLOWS = {
    "growing": (lambda t, y: np.array([y[0], -50 * (y[1] - y[0] ** 2)]), [0.1, 1.0]),
    "turning": (lambda t, y: np.array([3 * y[1], -3 * y[0], y[0] - 80 * y[2]]), [1.0, 0.0, 1.0]),
    "spiralling in": (
        lambda t, y: np.array([-30 * y[0] + 4 * y[1], -4 * y[0] - 30 * y[1] + np.sin(t)]),
        [1.0, 1.0],
    ),
    "leaving a saddle": (lambda t, y: np.array([y[0] - y[0] ** 3, -60 * y[1]]), [1e-3, 1.0]),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("flow", FLOWS)
def test_growing_and_turning_flows_are_as_accurate_as_asked(solver, flow, factor=1):
    field, y0 = FLOWS[flow]
    options = {"rtol": 1e-6, "atol": 1e-9}
    ours = scipy.integrate.solve_ivp(field, (0, 8), y0, solver, **options)
    exact = scipy.integrate.solve_ivp(field, (0, 8), y0, "DOP853", rtol=1e-12, atol=1e-14)
    scale = np.abs(exact.y).max(1)
    allowed = factor * len(ours.t) * (1e-6 * scale + 1e-9)  # every step errs by the tolerance
    assert (abs(ours.y[:, -1] - exact.y[:, -1]) < allowed).all()


@pytest.mark.parametrize(("solver", "factor"), [(RKC2, 3), (ROCK4, 1.4)])
@pytest.mark.parametrize("known", [True, False])
def test_a_fast_decay_is_followed_to_its_slow_motion(solver, factor, known):
    field = lambda t, y: np.array([-1000 * (y[0] - np.cos(t)), -y[1]])
    options = {"spectral_radius": lambda t, y: 1000.0} if known else {}
    sol = scipy.integrate.solve_ivp(field, (0, 5), [2.0, 1.0], solver, rtol=1e-5, **options)
    a = 1000
    slow = (a * a * np.cos(5) + a * np.sin(5)) / (a * a + 1)
    assert sol.y[:, -1] == pytest.approx([slow, np.exp(-5)], abs=1e-4)  # 10 rtol
    usual = scipy.integrate.solve_ivp(field, (0, 5), [2.0, 1.0], "RK45", rtol=1e-5)
    assert sol.nfev * factor < usual.nfev


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_flow_goes_back_in_time(solver):
    there = scipy.integrate.solve_ivp(pendulum, (0, 2), START, solver, rtol=1e-8, atol=1e-10)
    back = scipy.integrate.solve_ivp(
        pendulum, (2, 0), there.y[:, -1], solver, rtol=1e-8, atol=1e-10
    )
    assert back.y[:, -1] == pytest.approx(START, abs=1e-6)  # 100 rtol


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("y0", [[1.0], [1.0, np.cos(1)]])  # along the wave
def test_a_decay_along_the_first_direction_looked_along_is_seen(solver, y0):
    run = scipy.integrate.solve_ivp(lambda t, y: -y, (0, 1), y0, solver, rtol=1e-6)
    assert run.success
    assert run.y[:, -1] == pytest.approx(np.array(y0) / np.e, rel=1e-4)


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
@pytest.mark.parametrize("solver", METHODS)
def test_one_weight_decays(solver, engine):
    """w = e^-t, of which nothing else is there to look along."""
    task, options = ff.Task([[1.0]], [[0.0]]), {"solver": solver, "engine": engine, "rtol": 1e-6}
    sol = ff.integrate(ff.GD(), task, ([[1.0]],), [0, 1], **options)
    assert sol.final[0][0, 0] == pytest.approx(1 / np.e, rel=1e-4)


@pytest.mark.jax
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_diffrax_goes_back_in_time(name, known):
    """y' = y + t from t = 1 to 0, y(1) = 1: y = 3e^(t-1) - 1 - t."""
    import diffrax as dfx
    import jax

    from faflow.flow import stabilised_diffrax

    times = []

    def radius(t, y, args):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return 1.0

    with jax.enable_x64(True):
        solver = getattr(stabilised_diffrax, name)(
            spectral_radius=radius if known else None, rtol=1e-9
        )
        back = dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: y + t),
            solver,
            1.0,
            0.0,
            None,
            jax.numpy.array([1.0]),
            stepsize_controller=dfx.PIDController(rtol=1e-9, atol=1e-11),
        )
        assert back.ys[-1][0] == pytest.approx(3 / np.e - 1, abs=1e-6)
    assert all(0 <= t <= 1 for t in times)
    assert bool(times) == known


@pytest.mark.parametrize("solver", SOLVERS)
def test_dense_output_follows_the_solution_between_steps(solver):
    sol = scipy.integrate.solve_ivp(
        pendulum, (0, 4), START, solver, rtol=1e-7, atol=1e-9, dense_output=True, max_step=0.05
    )
    exact = scipy.integrate.solve_ivp(
        pendulum, (0, 4), START, "DOP853", rtol=1e-12, atol=1e-13, dense_output=True
    )
    ts = np.linspace(0, 4, 101)
    assert np.diff(sol.t).max() <= 0.05 * (1 + EPS)
    assert sol.sol(ts) == pytest.approx(
        exact.sol(ts), abs=2e-5
    )  # some 100 steps' rtol; a line would err by 3e-4
    assert sol.sol(1.01).shape == (3,)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_first_step_can_be_given(solver):
    stepper = solver(pendulum, 0.0, START, 1.0, first_step=1e-3)
    stepper.step()
    assert stepper.step_size == pytest.approx(1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_first_step_too_large_is_rejected(solver, factor=3):
    options = {"rtol": 1e-6, "atol": 1e-9, "first_step": 2.0}
    ours = scipy.integrate.solve_ivp(pendulum, (0, 2), START, solver, **options)
    exact = scipy.integrate.solve_ivp(pendulum, (0, 2), START, "DOP853", rtol=1e-12, atol=1e-14)
    wrong = abs(ours.y[:, -1] - exact.y[:, -1])
    assert (wrong < factor * len(ours.t) * (1e-6 * abs(exact.y).max(1) + 1e-9)).all()
    assert ours.t[1] < 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_evaluation_is_counted(solver):
    calls = []

    def field(t, y):
        calls.append(t)
        return pendulum(t, y)

    sol = scipy.integrate.solve_ivp(field, (0, 10), START, solver)
    assert sol.nfev == len(calls)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_state_of_rest_stays(solver):
    sol = scipy.integrate.solve_ivp(lambda t, y: -y, (0, 1e6), np.zeros(3), solver)
    assert sol.success
    assert (sol.y == 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_radius_that_is_not_a_number_ends_the_run_in_words(solver):
    sol = scipy.integrate.solve_ivp(
        pendulum, (0, 1), START, solver, spectral_radius=lambda t, y: np.nan
    )
    assert "spectral radius at t = 0 is nan" in sol.message


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": 0.0}, "rtol must be a number between 2.2e-14 and 1, but is 0.0"),
        ({"rtol": np.nan}, "rtol must be a number"),
        ({"atol": -1.0}, "atol must be a number, or 3, not below 0"),
        ({"atol": np.ones(2)}, "atol must be a number, or 3"),
        ({"max_step": 0}, "max_step must be above 0, but is 0"),
        ({"first_step": 2.0}, "first_step must be above 0 and at most the time to go, 1,"),
    ],
)
def test_bad_input_is_said_in_words(solver, options, words):
    with pytest.raises(ValueError, match=words):
        scipy.integrate.solve_ivp(pendulum, (0, 1), START, solver, **options)


def test_an_unknown_method_is_said_in_words():
    with pytest.raises(ValueError, match="Unknown method 'rkc3'; choose from rkc2, rock4"):
        method("rkc3")


def spectrum(eigenvalues, seed=0, skew=0.3):
    """A matrix with these eigenvalues, in pairs where they are complex, not quite normal."""
    rng = np.random.default_rng(seed)
    n = len(eigenvalues)
    A, k = np.zeros((n, n)), 0
    while k < n:
        a, b = np.real(eigenvalues[k]), np.imag(eigenvalues[k])
        if b == 0:
            A[k, k], k = a, k + 1
        else:
            A[k : k + 2, k : k + 2], k = [[a, b], [-b, a]], k + 2
    S = np.eye(n) + skew * rng.standard_normal((n, n)) / np.sqrt(n)
    return S @ A @ np.linalg.inv(S)


SPECTRA = {
    "even": -np.linspace(0, 50, 30),
    "close at the top": -np.concatenate([np.linspace(0, 10, 10), np.linspace(49, 50, 10)]),
    "complex at the top": np.array([-50 + 7j, -50 - 7j, *-np.linspace(0, 40, 10)]),
    "turning": np.array([50j, -50j, -1, -2, -3]),
    "growing": np.array([50, -20, -10, -1, 0]),
}


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("seed", range(4))
def test_a_power_iteration_finds_the_radius_within_its_margin(kind, seed):
    A = spectrum(SPECTRA[kind], seed)
    largest = np.abs(SPECTRA[kind]).max()
    y = np.random.default_rng(seed).standard_normal(len(A))
    field = lambda t, y: A @ y
    apply = differences(field, 0.0, y, field(0, y))
    found, v, count = power_iteration(apply, direction(field(0, y)))
    assert largest <= found <= 2 * largest
    assert count <= 50
    again, _, fewer = power_iteration(apply, v)
    assert fewer <= count
    assert again >= largest


@pytest.mark.parametrize("turn", [np.array([[0, -100.0], [1, 0]]), np.array([[0, -1.0], [100, 0]])])
def test_growths_that_never_settle_are_not_taken_for_less_than_the_radius(turn):
    assert power_iteration(lambda v: turn @ v, direction(np.array([1.0, 0.0])))[0] >= 10


def test_a_power_iteration_leaves_a_subspace_that_the_flow_keeps():
    A = np.diag([-1.0, -2.0, -90.0])
    f = A @ np.array([1.0, 1.0, 0.0])
    assert power_iteration(lambda v: A @ v, direction(f))[0] >= 90


def test_the_radius_of_a_field_that_stands_still_is_zero():
    found, v, _ = power_iteration(lambda v: 0 * v, direction(np.zeros(4)))
    assert found == 0
    assert np.linalg.norm(v) == pytest.approx(1)


BOUNDED = [ff.GD, ff.FA, ff.DFA, ff.KolenPollack]


def drawn(rule, seed):
    """A random rule, task and state, of any size, far from rest and near it."""
    rng = np.random.default_rng([seed, 5])
    sizes = tuple(int(n) for n in rng.integers(1, 7, 3))
    X = np.eye(sizes[0]) if seed % 3 == 0 else rng.standard_normal((sizes[0], rng.integers(1, 9)))
    Y = rng.standard_normal((sizes[2], X.shape[1])) * 10 ** rng.uniform(-2, 2)
    decay = tuple(map(float, rng.uniform(-0.5, 2, 2))) if seed % 2 else 0
    rates = tuple(map(float, rng.uniform(0.2, 3, 2)))
    made = rule.random(sizes, seed=seed, decay=decay, rates=rates)
    task = ff.Task(X, Y, output_scale=float(rng.choice([1, 0.3, 2])))
    return made, task, tuple(W * 10 ** rng.uniform(-1, 1) for W in made.start(sizes, seed=seed))


@pytest.mark.parametrize("rule", BOUNDED)
@pytest.mark.parametrize("seed", range(40))
def test_the_bound_holds_at_any_state(rule, seed):
    made, task, w = drawn(rule, seed)
    field, y = flat(made, task, w)
    exact = np.abs(np.linalg.eigvals(jacobian(field, y))).max()
    assert radius(made, task, w) >= exact * (1 - 1e-6)  # an eigenvalue's rounding, defective ones'
    assert radius(made, task, w) == pytest.approx(
        radius(made, task, w, inputs=square(task.X)), rel=1e-12
    )


@pytest.mark.parametrize(("rule", "factor"), [(ff.GD, 1.5), (ff.FA, 1.6), (ff.KolenPollack, 2)])
@pytest.mark.parametrize("samples", [None, 20])
def test_the_bound_is_tight_near_rest(rule, factor, samples):
    rng = np.random.default_rng(1)
    X = np.eye(8) if samples is None else rng.standard_normal((8, samples))
    task = ff.Task(X, rng.standard_normal((7, X.shape[1])))
    made = rule.random((8, 5, 7), scale=0.5, seed=1)
    sol = ff.integrate(made, task, made.start((8, 5, 7), scale=0.3, seed=1), [0, 30], rtol=1e-8)
    w = tuple(W[-1] for W in sol.w)
    field, y = flat(made, task, w)
    exact = np.abs(np.linalg.eigvals(jacobian(field, y))).max()
    assert radius(made, task, w) <= factor * exact


def test_the_bound_does_not_depend_on_the_basis():
    rule, task, w = stiff(sizes=(7, 4, 5))
    Q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))
    turned = type(rule)((Q @ rule.B[0],))
    assert radius(turned, task, (Q @ w[0], w[1] @ Q.T)) == pytest.approx(radius(rule, task, w))


def test_only_proved_bounds_are_given():
    task = ff.Task(np.ones((3, 4)), np.ones((2, 4)))
    start = lambda rule, sizes=(3, 5, 2), **k: (rule, rule.start(sizes, **k))
    unknown = [
        (*start(ff.SignFA()), task),
        (*start(ff.FA.random((3, 5, 4, 2)), (3, 5, 4, 2)), task),
        (*start(ff.GD()), ff.Task(task.X, task.Y, "tanh")),
        (*start(ff.GD()), ff.Task(task.X, task.Y, loss="logistic")),
        (*start(ff.GD(), bias=True), ff.Task(task.X, task.Y, bias=True)),
    ]
    assert [radius(rule, task, w) for rule, w, task in unknown] == [None] * 5


@pytest.mark.parametrize("entries", [np.array([1.0, -3.0, 0.5]), None])
def test_diagonal_data_are_bounded_by_their_entries(entries):
    from faflow.matrices.diagonal import Diagonal

    dense = np.eye(3) if entries is None else np.diag(entries)
    assert square(Diagonal(3, entries)) == np.linalg.norm(dense, 2) ** 2
    rule, w = ff.FA.random((3, 4, 2)), ff.FA.random((3, 4, 2)).start((3, 4, 2))
    task = ff.Task(dense, np.ones((2, 3)))
    turned = task.with_data(Diagonal(3, entries), task.Y)
    assert radius(rule, turned, w) == pytest.approx(
        radius(rule, task, w), rel=0.2
    )  # of |X|² ≤ 1.15


# diffrax


def diffrax_solved(solver, field, span, y0, rtol, *, args=None, ts=None, **options):
    import diffrax as dfx

    return dfx.diffeqsolve(
        dfx.ODETerm(field),
        solver,
        *span,
        None,
        y0,
        args=args,
        saveat=dfx.SaveAt(t1=ts is None, ts=ts),
        stepsize_controller=dfx.PIDController(rtol=rtol, atol=rtol / 1000),
        max_steps=20_000,
        **options,
    )


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
@pytest.mark.parametrize("known", [True, False])
def test_both_solvers_follow_dop853(name, known):
    import jax

    from faflow.flow import stabilised_diffrax, stabilised_scipy

    rule, task, w = stiff(sizes=(6, 4, 5))
    field, y = flat(rule, task, w)
    exact = scipy.integrate.solve_ivp(field, (0, 100), y, "DOP853", rtol=1e-12, atol=1e-14)
    theirs = getattr(stabilised_scipy, name)
    ours = scipy.integrate.solve_ivp(field, (0, 100), y, theirs, rtol=1e-7, atol=1e-10)
    with jax.enable_x64(True):
        bound = lambda t, w, args: radius(rule, task, w)
        solver = getattr(stabilised_diffrax, name)(bound if known else None, rtol=1e-7)
        w = jax.tree.map(jax.numpy.asarray, w)
        sol = diffrax_solved(solver, lambda t, w, args: rule(task, w), (0.0, 100.0), w, 1e-7)
        end = np.concatenate([np.asarray(W[-1]).ravel() for W in sol.ys])
        steps = {key: int(value) for key, value in sol.stats.items() if key.endswith("_steps")}
    assert steps["num_rejected_steps"] <= 3 + steps["num_accepted_steps"] / 20
    allowed = 100 * 1e-7 * np.linalg.norm(y)  # of many steps' errors, each below rtol
    assert np.linalg.norm(end - exact.y[:, -1]) < allowed
    assert np.linalg.norm(ours.y[:, -1] - exact.y[:, -1]) < allowed


@pytest.mark.jax
@pytest.mark.parametrize("name", METHODS)
def test_a_traced_step_is_that_of_numpy(name):
    import jax
    import jax.numpy as jnp

    A = spectrum(-np.linspace(0, 40, 6))
    field = lambda t, y: A @ y + y**2 / 50
    y = np.linspace(-1, 1, 6)

    with jax.enable_x64(True):
        m = method(name).on(jnp.asarray)
        step = jax.jit(
            lambda y, h: attempt(m, field, 0.0, y, field(0, y), h, 42.0, loop=jax.lax.while_loop)
        )
        for h in (0.1, 0.7, 1e9):
            theirs, ours = (
                step(jnp.asarray(y), h),
                attempt(method(name), field, 0.0, y, field(0, y), h, 42.0),
            )
            assert np.asarray(theirs.y) == pytest.approx(ours.y, abs=1e-12)
            assert np.asarray(theirs.error) == pytest.approx(ours.error, abs=1e-11)
            assert theirs.evaluations == ours.evaluations


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_a_step_beyond_reach_is_rejected_in_diffrax(name):
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    from faflow.flow import stabilised_diffrax

    with jax.enable_x64(True):
        solver = getattr(stabilised_diffrax, name)(rtol=1e-3)
        term, y = dfx.ODETerm(lambda t, y, args: {"y": -1e9 * y["y"]}), {"y": jnp.ones(2)}
        state = solver.init(term, 0.0, 1.0, y, None)
        reached, error, *_ = solver.step(term, 0.0, 1.0, y, None, state, False)
    assert (np.asarray(error["y"]) == np.inf).all()
    assert (np.asarray(reached["y"]) == 1).all()


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_derivatives_run_forward_in_diffrax(name):
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    from faflow.flow import stabilised_diffrax

    solver = getattr(stabilised_diffrax, name)()

    def end(a):
        field = lambda t, y, a: -a * y
        options = {"args": a, "adjoint": dfx.ForwardMode()}
        return diffrax_solved(solver, field, (0.0, 1.0), jnp.ones(2), 1e-6, **options).ys[0, 0]

    with jax.enable_x64(True):
        value, moved = jax.jvp(end, (jnp.asarray(3.0),), (jnp.asarray(1.0),))
    assert [value, moved] == pytest.approx([np.exp(-3), -np.exp(-3)], abs=1e-5)  # 10 rtol


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_single_precision_stays_single_in_diffrax(name):
    import jax
    import jax.numpy as jnp

    from faflow.flow import stabilised_diffrax

    with jax.enable_x64(True):  # where all else is double
        solver = getattr(stabilised_diffrax, name)(rtol=1e-3)
        y, rates, span = jnp.float32([[1, 1], [1, 100], [0, 1]])
        sol = diffrax_solved(solver, lambda t, y, args: -rates * y, span, y, 1e-3)
        end = np.asarray(sol.ys[0])
    assert end.dtype == np.float32
    assert end == pytest.approx([np.exp(-1), 0], abs=1e-2)  # 10 rtol


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_states_between_steps_are_cubic_in_diffrax(name):
    import jax
    import jax.numpy as jnp

    from faflow.flow import stabilised_diffrax

    with jax.enable_x64(True):
        solver, ts = getattr(stabilised_diffrax, name)(), np.linspace(0, 1, 201)
        field = lambda t, y, args: jnp.stack([y[1], -y[0]])
        sol = diffrax_solved(solver, field, (0.0, 1.0), jnp.array([1.0, 0.0]), 1e-6, ts=ts)
        seen, steps = np.asarray(sol.ys), int(sol.stats["num_accepted_steps"])
    assert steps < 100
    # a cubic errs by h⁴/384, and the steps by their tolerance each
    assert seen[:, 0] == pytest.approx(np.cos(ts), abs=1e-6 * steps + (2 / steps) ** 4 / 384)


@pytest.mark.jax
@pytest.mark.parametrize("name", ["RKC2", "ROCK4"])
def test_a_velocity_from_before_a_jump_is_not_used_in_diffrax(name):
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    from faflow.flow import stabilised_diffrax

    with jax.enable_x64(True):
        solver = getattr(stabilised_diffrax, name)()
        term, y = dfx.ODETerm(lambda t, y, args: -y), jnp.ones(2)
        f, *rest = solver.init(term, 0.0, 0.1, y, None)
        stale = ((7 * f[0],), *rest)
        reached = solver.step(term, 0.0, 0.1, y, None, stale, True)[0]
        assert np.asarray(reached) == pytest.approx(np.exp(-0.1), abs=1e-3)  # 0.1³
