"""How large steps may be, against spectra and runs that do not come from the code under test."""

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow.derivatives import flat, jacobian
from faflow.steps.stability import Stability, tangent_kernel, thresholds


def fitted(kind=ff.FA, sizes=(3, 4, 2), phi="linear", samples=3, seed=0, bias=False, **options):
    """A rule and a state that meets its targets."""
    rng = np.random.default_rng([seed, 3])
    rule, w = kind.random(sizes, seed=seed, **options), kind().start(sizes, seed=seed, bias=bias)
    X = rng.standard_normal((sizes[0], samples))
    task = ff.Task(X, np.zeros((sizes[-1], samples)), phi, bias=bias)
    return rule, ff.Task(X, rule.output(task, w), phi, bias=bias), w


def engineered(turn, seed=1, rows=4):
    """FA on white inputs at zero loss with W₂B = A = 0.3 A₀A₀ᵀ + turn (A₀ - A₀ᵀ)."""
    rng = np.random.default_rng(seed)
    A0, W2 = rng.standard_normal((rows, rows)), rng.standard_normal((rows, 2 * rows))
    B = np.linalg.pinv(W2) @ (0.3 * A0 @ A0.T + turn * (A0 - A0.T))
    W1 = 0.3 * rng.standard_normal((2 * rows, rows))
    return ff.FA((B,)), ff.Task.factorisation(W2 @ W1), (W1, W2)


def same_spectrum(found, told, tolerance=1e-9):
    """Whether every eigenvalue found has one of those told next to it, and the other way round."""
    apart = np.abs(np.asarray(found)[:, None] - np.asarray(told)[None])
    largest = np.abs(told).max()
    return max(apart.min(0).max(), apart.min(1).max()) < tolerance * largest


def hessian(task, rule, w, h=1e-4):
    """Of the loss, by differences of its values alone."""
    y, shapes = flat(w), [W.shape for W in w]
    cuts = np.cumsum([W.size for W in w])[:-1]
    at = lambda y: rule.loss(
        task, tuple(p.reshape(s) for p, s in zip(np.split(y, cuts), shapes, strict=True))
    )
    H, E = np.empty((len(y), len(y))), h * np.eye(len(y))
    for i in range(len(y)):
        for j in range(i + 1):
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            four = [a * b * at(y + a * E[i] + b * E[j]) for a, b in signs]
            H[i, j] = H[j, i] = sum(four) / (4 * h * h)
    return H


@pytest.mark.parametrize(("phi", "bias"), [("linear", False), ("tanh", True)])
def test_gradient_descent_is_stable_below_two_over_the_sharpness(phi, bias):
    rule, task, w0 = problem(ff.GD, phi, sizes=(2, 3, 2), bias=bias, seed=1)
    found = ff.stability(rule, task, w0)
    sharpness = np.linalg.eigvalsh(hessian(task, rule, w0))
    assert found.eta == pytest.approx(2 / sharpness[-1], rel=1e-5)  # of the differences
    assert found.critical.real == pytest.approx(-sharpness[-1], rel=1e-5)
    assert (found.values.imag == 0).all()
    growing = (sharpness < -1e-4 * sharpness[-1]).sum()
    assert (found.growing.real > 1e-4 * sharpness[-1]).sum() == growing


@pytest.mark.parametrize("seed", range(4))
def test_on_white_inputs_the_kernel_is_a_sum_of_kroneckers_and_its_spectrum_a_sum(seed):
    """K = (W₂B) ⊗ I + I ⊗ W₁ᵀW₁; entries of the output row by row."""
    rng = np.random.default_rng(seed)
    W1, W2 = rng.standard_normal((5, 3)), rng.standard_normal((2, 5))
    rule, task = ff.FA((rng.standard_normal((5, 2)),)), ff.Task.factorisation(W2 @ W1)
    told = np.kron(W2 @ rule.B[0], np.eye(3)) + np.kron(np.eye(2), W1.T @ W1)
    np.testing.assert_allclose(tangent_kernel(rule, task, (W1, W2)), told, atol=1e-13)
    sums = np.add.outer(np.linalg.eigvals(W2 @ rule.B[0]), np.linalg.eigvalsh(W1.T @ W1)).ravel()
    for way in ("kernel", "jacobian"):
        found = ff.stability(rule, task, (W1, W2), through=way)
        assert same_spectrum(found.values, -sums)
        assert found.neutral == 5 * 3 + 2 * 5 - 6


@pytest.mark.parametrize("phi", ["linear", "tanh"])
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_the_kernel_says_how_outputs_move(kind, phi):
    """∂f/∂w P e by a difference of the output; samples in several, entries row by row."""
    rule, task, w = fitted(kind, (3, 4, 2), phi, samples=4, bias=True)
    rng = np.random.default_rng(0)
    e = rng.standard_normal(task.Y.shape)
    pushed = rule(ff.Task(task.X, task.Y + e, phi, bias=True), w)  # the error is then e
    at = lambda s: rule.output(task, tuple(W + s * V for W, V in zip(w, pushed, strict=True)))
    told = (8 * (at(1e-4) - at(-1e-4)) - at(2e-4) + at(-2e-4)) / 12e-4
    made = tangent_kernel(rule, task, w) @ e.ravel()
    np.testing.assert_allclose(made, told.ravel(), rtol=1e-7, atol=1e-8)
    if kind is ff.GD:
        K = tangent_kernel(rule, task, w)
        np.testing.assert_allclose(K, K.T, atol=1e-12)


@pytest.mark.parametrize("phi", ["linear", "tanh", "relu"])
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_all_ways_find_the_same_threshold_where_the_targets_are_met(kind, phi):
    rule, task, w = fitted(kind, (4, 6, 3), phi, samples=3, seed=2)
    ways = {way: ff.stability(rule, task, w, through=way) for way in ("kernel", "jacobian")}
    ways["krylov"] = ff.stability(rule, task, w, through="krylov", modes=20)
    etas = [one.eta for one in ways.values()]
    np.testing.assert_allclose(etas, etas[0], rtol=1e-7)
    assert same_spectrum(ways["kernel"].values, ways["jacobian"].values, 1e-6)
    assert ways["kernel"].neutral == ways["jacobian"].neutral
    J = jacobian(rule, task, w)
    for one in ways.values():
        v = flat(one.mode)
        assert np.linalg.norm(J @ v - one.values[0] * v) < 1e-6 * np.abs(one.values[0])


def test_laws_make_neutral_directions():
    """The gradient of each law is a left null vector of J where the velocity vanishes."""
    rule, task, w = fitted(ff.FA)
    found, B = ff.stability(rule, task, w, through="jacobian"), rule.B[0]
    n = len(w[0])
    gradients = []
    for i in range(n):
        for j in range(i + 1):
            E = np.zeros((n, n))
            E[i, j] = E[j, i] = 1
            gradients.append(np.concatenate([(2 * E @ w[0]).ravel(), (-2 * B.T @ E).ravel()]))
    laws = np.array(gradients)
    assert np.abs(laws @ jacobian(rule, task, w)).max() < 1e-10
    assert found.neutral >= np.linalg.matrix_rank(laws)


@pytest.mark.parametrize(
    ("case", "share"), [("rot", 0.95), ("rot", 1.05), ("plain", 0.95), ("plain", 1.05)]
)
def test_a_perturbation_along_the_critical_mode_grows_and_turns_as_told(case, share):
    """By |1 + ηλ| and arg(1 + ηλ) a step, seen by the left eigenvector on steps of `iterate`."""
    rule, task, w = engineered(1.0) if case == "rot" else fitted(ff.FA, seed=3, samples=4)
    found = ff.stability(rule, task, w)
    eta, lam = share * found.eta, found.critical
    values, lefts = np.linalg.eig(jacobian(rule, task, w).T)
    left = lefts[:, np.argmin(np.abs(values - lam))]
    step = tuple(1e-7 * V.real for V in found.mode)
    sol = ff.iterate(
        rule, task, tuple(W + V for W, V in zip(w, step, strict=True)), eta=eta, steps=20
    )
    seen = np.array([left @ (flat(sol.at(k)) - flat(w)) for k in range(21)])
    factors = seen[1:] / seen[:-1]
    np.testing.assert_allclose(factors, 1 + eta * lam, atol=2e-5)  # quadratic terms, of 1e-7
    told = replaced_values(found, [lam])
    assert told.growth(eta) == pytest.approx(abs(1 + eta * lam), rel=1e-12)
    assert told.rotation(eta) == pytest.approx(abs(np.angle(1 + eta * lam)), rel=1e-12)
    assert (np.abs(factors) > 1).all() == (share > 1)


def replaced_values(found, values):
    return Stability(np.array(values), found.neutral, found.mode, True, found.momentum)


def test_turning_spectra_are_unstable_long_before_two_over_the_spectral_radius():
    """And a step of a fifth of the naive size leaves, where half of η* returns."""
    rule, task, w = engineered(3.0)
    found = ff.stability(rule, task, w)
    assert found.naive > 5 * found.eta
    assert found.growth(0.9 * found.naive) > 1.5
    lam = np.add.outer(
        np.linalg.eigvals(w[1] @ rule.B[0]), np.linalg.eigvalsh(w[0].T @ w[0])
    ).ravel()
    assert found.eta == pytest.approx((2 * lam.real / np.abs(lam) ** 2).min(), rel=1e-9)
    assert found.naive == pytest.approx(2 / np.abs(lam).max(), rel=1e-9)
    away = tuple(W + 1e-6 * V.real for W, V in zip(w, found.mode, strict=True))
    runs = {s: ff.iterate(rule, task, away, eta=s * found.eta, steps=3000) for s in (0.5, 1.2)}
    assert runs[0.5].loss() < 1e-3 * runs[0.5].loss(0)
    far = lambda sol, k: np.linalg.norm(flat(sol.at(k)) - flat(w))
    assert max(far(runs[1.2], k) for k in range(3001)) > 100 * far(runs[1.2], 0)


def test_the_ellipse_of_the_heavy_ball_is_where_the_roots_of_its_step_are():
    """μ² - (1 + β + ηλ)μ + β = 0 inside the unit circle just below η*, outside just above."""
    rng = np.random.default_rng(0)
    for _ in range(3000):
        beta = rng.uniform(0, 0.99)
        lam = complex(-np.exp(rng.normal()), np.exp(rng.normal()) * rng.choice([0, 1, -1]))
        eta = thresholds([lam], beta)[0]
        largest = [
            np.abs(np.roots([1, -(1 + beta + s * eta * lam), beta])).max() for s in (0.999, 1.001)
        ]
        assert largest[0] < 1 < largest[1]


def test_momentum_allows_larger_steps_where_nothing_turns_and_smaller_ones_where_it_does():
    """2(1 + β)/|λ|, and for λ = -1 + i with β = 0, .5, .9, .99 1, 0.3, 0.0105, 0.0001."""
    assert thresholds([-2.0], 0.9)[0] == pytest.approx(1.9, rel=1e-14)
    turning = [thresholds([-1 + 1j], beta)[0] for beta in (0, 0.5, 0.9, 0.99)]
    np.testing.assert_allclose(turning, [1, 0.3, 0.0105, 0.0001], rtol=5e-3)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_with_momentum_steps_are_stable_up_to_the_threshold(beta):
    """The run's own linearised step: growth seen over many steps on either side of η*."""
    rule, task, w = engineered(0.3)
    found = ff.stability(rule, task, w, momentum=beta)
    away = tuple(W + 1e-10 * V.real for W, V in zip(w, found.mode, strict=True))
    for share in (0.96, 1.04):
        eta = share * found.eta
        sol = ff.iterate(rule, task, away, eta=eta, steps=300, momentum=beta)
        far = [np.linalg.norm(flat(sol.at(k)) - flat(w)) for k in range(301)]
        if share < 1:
            assert max(far[200:]) < 0.9 * max(far[:101])
        else:
            grown = (max(far[70:101]) / max(far[40:71])) ** (1 / 30)
            assert grown > 1
            assert grown == pytest.approx(found.growth(eta), rel=1e-2)  # which turns, too
        step = np.abs(np.roots([1, -(1 + beta + eta * found.critical), beta])).max()
        assert replaced_values(found, [found.critical]).growth(eta) == pytest.approx(step)


class Field(ff.Rule):
    """dw/dt = Aw."""

    def velocity(self, task, w):
        return (self.B[0] @ w[0],)

    def shapes(self, sizes):
        return [self.B[0].shape]


def field(blocks, size=40):
    """(rule, task, state) of a field with these eigenvalues, not normal; the rest neutral."""
    D, at = np.zeros((size, size)), 0
    for one in blocks:
        part = np.array([[one.real, one.imag], [-one.imag, one.real]])[: 1 + (one.imag != 0)]
        D[at : at + len(part), at : at + len(part)] = part[:, : len(part)]
        at += len(part)
    Q = np.random.default_rng(0).standard_normal((size, size))
    A = Q @ D @ np.linalg.inv(Q)
    return Field((A,)), ff.Task([[1.0]], np.ones((size, 1))), (np.ones((size, 1)),)


TURNING = [-1 + 0.1j, -2 + 5j, -0.001 + 3j, -0.0001 + 1j, -3 + 0j]


@pytest.mark.parametrize("way", ["jacobian", "krylov"])
@pytest.mark.parametrize("beta", [0, 0.9])
def test_a_small_mode_that_turns_is_found_though_others_are_larger(way, beta):
    """Of the modes of largest modulus alone it would be missed."""
    modes = {"modes": 4} if way == "krylov" else {}
    found = ff.stability(*field(TURNING), through=way, momentum=beta, **modes)
    lam = np.array(TURNING)
    a, w = -lam.real / (1 + beta), lam.imag / (1 - beta)
    assert found.eta == pytest.approx((2 * a / (a**2 + w**2)).min(), rel=1e-3)
    assert abs(found.critical.imag) == pytest.approx(1, rel=1e-6)
    assert "≤" not in str(found)


def test_an_upper_bound_is_said_where_not_all_that_grows_was_seen():
    """Fifteen modes grow, and a Krylov space of four sees the largest of these."""
    growing = [complex(10 + k) for k in range(15)]
    given = field([*growing, -5 + 0j])
    full = ff.stability(*given)
    assert full.eta == pytest.approx(0.4, rel=1e-8)
    assert (len(full.growing), full.neutral) == (15, 24)
    assert "η* = 0.4" in str(full)
    assert "the flow itself does not decay along 15 modes, to λ = 24" in str(full)
    some = ff.stability(*given, through="krylov", modes=4)
    assert some.eta == pytest.approx(0.4, rel=1e-6)
    assert "η* ≤ 0.4 (by Krylov spaces)" in str(some)
    least = float(some.note.split("more than ")[1].split()[0])
    rest = np.sort(np.abs(1 + 1.01 * some.eta * full.values))[::-1]
    assert rest[4] <= least <= rest[3] * (1 + 1e-3)


def test_the_certificate_of_a_krylov_space_is_true_of_the_whole_spectrum():
    """No mode but those found grows by more than said, or grows at all, at 1.01 η*."""
    for seed in range(4):
        rule, task, w = fitted(ff.FA, (5, 6, 4), samples=5, seed=seed)
        w = tuple(W + 0.1 for W in w)
        full = ff.stability(rule, task, w, through="jacobian")
        part = ff.stability(rule, task, w, through="krylov", modes=8, seed=seed)
        left = [v for v in full.values if np.abs(part.values - v).min() > 1e-6 * np.abs(v)]
        least = float(part.note.split("more than ")[1].split()[0]) if part.note else 1 + 1e-6
        assert np.abs(1 + 1.01 * part.eta * np.array(left)).max() <= least * (1 + 1e-3)
        assert part.eta >= full.eta * (1 - 1e-7)
        assert part.note or part.eta == pytest.approx(full.eta, rel=1e-6)


def test_nothing_that_moves_makes_no_threshold():
    """J = 0, and J nilpotent: FA at zero weights, where the last layer alone moves the first."""
    rule, task, _ = fitted(ff.FA)
    zero = (np.zeros((4, 3)), np.zeros((2, 4)))
    still = ff.Task(task.X, 0 * task.Y)
    for given, way in [
        (still, "jacobian"),
        (still, "krylov"),
        (task, "jacobian"),
        (task, "krylov"),
    ]:
        found = ff.stability(rule, given, zero, through=way, modes=3)
        assert found.eta == np.inf
        assert str(found) == "every direction is neutral: J has no eigenvalue but 0"
        assert np.isnan(found.critical)
        assert (found.growth(1.0), found.rotation(1.0), found.naive) == (0, 0, np.inf)


def test_where_all_modes_grow_there_is_no_threshold():
    growing = [complex(1 + k) for k in range(20)]
    for way in ("jacobian", "krylov"):
        found = ff.stability(*field(growing, size=20), through=way)
        assert found.eta == np.inf
        assert "the flow itself does not decay" in str(found)
        assert found.growth(0.1) == pytest.approx(3, rel=1e-6)


def test_modes_that_only_turn_are_no_threshold_of_rounding():
    """A ball without friction: λ = ±iω, which no step is stable for and no flow leaves."""
    rule, task, w = fitted(ff.GD)
    ball = ff.HeavyBall(of=rule, friction=0)
    found = ff.stability(ball, task, (*w, *(0 * W for W in w)))
    plain = ff.stability(rule, task, w)
    np.testing.assert_allclose(
        np.sort(found.values.imag**2)[::2], np.sort(-plain.values.real), rtol=1e-7
    )
    assert (found.values.real == 0).all()
    assert (found.eta, len(found.growing)) == (np.inf, 2 * len(plain.values))
    assert found.growth(1e-3) > 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_modified_flow_has_the_spectrum_of_its_own_series(order):
    """At rest J of order 2 is J - ηJ²/2, of order 3 + η²J³/3: by no kernel of the rule."""
    rule, task, w = fitted(ff.FA)
    J, eta = jacobian(rule, task, w), 0.01
    told = [J, J - eta / 2 * J @ J, J - eta / 2 * J @ J + eta**2 / 3 * J @ J @ J][order - 1]
    values = np.linalg.eigvals(told)
    values = values[np.abs(values) > 1e-7 * np.abs(values).max()]
    assert same_spectrum(ff.stability(ff.modified(rule, eta, order), task, w).values, values)


def test_the_heavy_ball_as_a_flow_has_the_roots_of_its_own_equation():
    """λ² + μλ = λ_J."""
    rule, task, w = fitted(ff.FA)
    found = ff.stability(ff.HeavyBall(of=rule, friction=0.5), task, (*w, *(0 * W for W in w)))
    plain = ff.stability(rule, task, w).values
    roots = np.concatenate([np.roots([1, 0.5, -v]) for v in plain])
    assert same_spectrum(found.values, [*roots, -0.5], 1e-7)


class Own(ff.FA):
    """Takes the targets itself."""

    def velocity(self, task, w):
        e = task.Y - self.output(task, w)
        return self.B[0] @ e @ task.X.T, 3 * (e @ (w[0] @ task.X).T)


class Pulled(ff.FA):
    """With a decay of its own."""

    def velocity(self, task, w):
        return tuple(V - W / 4 for V, W in zip(super().velocity(task, w), w, strict=True))


@pytest.mark.parametrize("kind", [Own, Pulled])
def test_a_rule_of_ones_own_has_the_spectrum_of_its_velocity(kind):
    """A kernel is taken only where J is that of the output error, tried along a direction."""
    rule, task, w = fitted(kind)
    auto = ff.stability(rule, task, w)
    assert same_spectrum(auto.values, ff.stability(rule, task, w, through="jacobian").values, 1e-6)
    with pytest.raises(
        ValueError, match=f"multiple of the output error, unlike that of {kind.__name__}"
    ):
        ff.stability(rule, task, w, through="kernel")


@pytest.mark.parametrize("loss", ["cross_entropy", "logistic"])
def test_of_other_losses_the_spectrum_is_that_of_the_velocity(loss):
    rule, task, w = problem(ff.FA, "tanh", loss, sizes=(3, 3, 2), seed=1)
    J = np.empty((15, 15))
    for i in range(15):
        E = np.eye(15)[i] * 1e-5
        at = lambda y: flat(rule(task, (y[:9].reshape(3, 3), y[9:].reshape(2, 3))))
        J[:, i] = (at(flat(w) + E) - at(flat(w) - E)) / 2e-5
    told = np.linalg.eigvals(J)
    told = told[np.abs(told) > 1e-4 * np.abs(told).max()]  # of the differences
    assert same_spectrum(ff.stability(rule, task, w).values, told, 1e-5)


def test_decay_and_scaled_outputs_enter_the_spectrum():
    """Decay moves all of it to the left; a factor s on the output enters the kernel squared."""
    rule, task, w = fitted(ff.FA)
    J = jacobian(rule, task, w)
    found = ff.stability(ff.FA(rule.B, decay=0.25), task, w)
    assert same_spectrum(found.values, np.linalg.eigvals(J) - 0.25, 1e-7)
    scaled = ff.Task(task.X, 2 * task.Y, output_scale=2)
    assert ff.stability(rule, scaled, w).eta == pytest.approx(ff.stability(rule, task, w).eta / 4)


def test_along_a_run_the_threshold_is_that_of_each_state():
    rule, task, w0 = problem(
        ff.FA, sizes=(3, 4, 2), seed=1, decay=ff.Piecewise((0.25,), (0.0, 1.0))
    )
    sol = ff.iterate(rule, task, w0, eta=0.05, steps=10)
    times, found = ff.stability_along(sol, [0, 4, -1])
    np.testing.assert_allclose(times, [0, 0.2, 0.5])
    for k, one in zip([0, 4, -1], found, strict=True):
        alone = ff.stability(ff.FA(rule.B, decay=0 if k == 4 or k == 0 else 1.0), task, sol.at(k))
        assert one.eta == alone.eta
    assert len(ff.stability_along(sol)[0]) == 11


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"through": "svd"}, "Unknown through 'svd'; choose from auto, jacobian, krylov, kernel"),
        ({"modes": 0}, "modes must be a positive integer, but is 0"),
        ({"modes": True}, "modes must be a positive integer, but is True"),
        ({"momentum": 1}, "momentum must be from 0 to below 1, but is 1"),
        ({"through": "kernel"}, "of the kernel only where the targets are fitted, but here"),
        ({"through": "krylov", "modes": 30}, "Of 20 weights a Krylov space finds at most 17"),
    ],
)
def test_bad_questions_are_refused(options, words):
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(3, 4, 2))
    with pytest.raises(ValueError, match=words):
        ff.stability(rule, task, w0, **options)


@pytest.mark.parametrize("eta", [-1, 0, np.nan, "a"])
def test_growth_is_of_steps_of_a_positive_size(eta):
    made = ff.stability(*problem(ff.FA, "tanh", sizes=(3, 4, 2)))
    for ask in (made.growth, made.rotation, made.factors):
        with pytest.raises(ValueError, match="eta must be a positive number"):
            ask(eta)


def test_what_has_no_spectrum_is_refused():
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(3, 4, 2))
    jumping = ff.FA(rule.B, decay=ff.Piecewise((1.0,), (0.0, 1.0)))
    with pytest.raises(ValueError, match=r"changes in time: take the rule at one time by \.at"):
        ff.stability(jumping, task, w0)
    with pytest.raises(ValueError, match="kernel only without decay"):
        ff.stability(ff.FA(rule.B, decay=0.1), task, w0, through="kernel")
    with pytest.raises(ValueError, match="With decay the velocity is no multiple"):
        tangent_kernel(ff.FA(rule.B, decay=0.1), task, w0)
    with pytest.raises(ValueError, match="velocity of FA modified to order 2 is no multiple"):
        tangent_kernel(ff.modified(rule, 0.1), task, w0)
    with pytest.raises(ValueError, match="needs a Solution with its weights"):
        ff.stability_along(w0)
    sol = ff.iterate(rule, task, w0, eta=0.1, steps=2)
    for wrong in (3, -4, 0.5):
        with pytest.raises(ValueError, match=f"numbers of the 3 kept times, but has {wrong}"):
            ff.stability_along(sol, [wrong])
    C, Y = np.ones((1, 1)), np.ones((1, 1))
    with pytest.raises(ValueError, match="FAStar fits its last layer at each step"):
        ff.stability(ff.FAStar((C,)), ff.Task.factorisation(Y), (C, C))


def test_the_seed_of_a_krylov_space_and_the_times_of_a_run_are_checked():
    rule, task, w0 = problem(ff.GD)
    with pytest.raises(ValueError, match="seed must be an integer"):
        ff.stability(rule, task, w0, through="krylov", modes=3, seed="a")
    run = ff.iterate(rule, task, w0, eta=0.01, steps=2)
    with pytest.raises(ValueError, match="times must be numbers of kept times, but is 3"):
        ff.stability_along(run, 3)


def test_a_threshold_that_may_be_too_large_says_that_it_is_a_bound():
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(8, 10, 10, 3))
    some, every = (ff.stability(rule, task, w0, through=t) for t in ("krylov", "jacobian"))
    assert not every.bound
    assert some.bound or some.eta == pytest.approx(every.eta, rel=1e-6)
    assert some.eta >= every.eta * (1 - 1e-6)
