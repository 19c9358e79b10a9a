"""Mean and scatter of the weights, against all paths that samples may take, enumerated."""

import itertools
from math import log2

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow import laws
from faflow.derivatives import flat, jacobian, unflat

SIZES = (2, 2, 2)


def two_samples(kind=ff.FA, phi="linear", samples=2, **options):
    rule, task, w0 = problem(kind, phi, sizes=SIZES, seed=1, **options)
    return rule, task.with_data(task.X[:, :samples] * 1.5, task.Y[:, :samples]), w0


def choices(samples, size, replace):
    """All batches, each as likely as any other."""
    if replace:
        return [list(b) for b in itertools.product(range(samples), repeat=size)]
    return [list(b) for b in itertools.combinations(range(samples), size)]


def ends(rule, task, w0, eta, steps, batches):
    """(paths, weights): the ends of all paths, one step for every batch from every state."""
    seen = [task.with_data(task.X[:, b], task.Y[:, b]) for b in batches]
    states = [tuple(w0)]
    for _ in range(steps):
        states = [
            tuple(W + eta * V for W, V in zip(w, rule(one, w), strict=True))
            for w in states
            for one in seen
        ]
    return np.array([flat(w) for w in states])


def found(rule, task, w0, T, steps, size, replace):
    made = ff.moments(rule, task, w0, [0, T], eta=T / steps, size=size, replace=replace)
    return flat(made.at(-1)), made.covariance[-1], made


@pytest.mark.parametrize("kind", [ff.FA, ff.GD, ff.KolenPollack])
def test_the_mean_over_all_paths_is_met_at_second_order_and_the_scatter_at_first(kind):
    """2^5, 2^8 and 2^12 paths; of the covariance over η what is left falls with η."""
    rule, task, w0 = two_samples(kind)
    T, off, spread = 0.5, [], []
    for steps in (5, 8, 12):
        paths = ends(rule, task, w0, T / steps, steps, choices(2, 1, False))
        mean, covariance, _ = found(rule, task, w0, T, steps, 1, False)
        off.append(np.linalg.norm(paths.mean(0) - mean))
        real = np.cov(paths.T, bias=True)
        spread.append(np.linalg.norm(real - covariance) / np.linalg.norm(real))
    order = lambda values: log2(values[1] / values[2]) / log2(12 / 8)
    assert 1.7 < order(off) < 2.5
    assert 0.7 < order(spread) < 1.5


def euler_of(rule, task, w0, T, eta, keep):
    """Ends of m' = F - (η/2)JF + (η/2)F'':P and P' = JP + PJᵀ + Σ typed again, parts left out."""
    import scipy.integrate

    N, p = task.X.shape[1], len(flat(w0))
    each = [task.with_data(task.X[:, [n]], task.Y[:, [n]]) for n in range(N)]
    mean = lambda w: tuple(sum(V) / N for V in zip(*(rule(one, w) for one in each), strict=True))

    def velocity(t, y):
        w, P = unflat(y[:p], w0), y[p:].reshape(p, p)
        F, J = flat(mean(w)), sum(jacobian(rule, one, w) for one in each) / N
        own = np.array([flat(rule(one, w)) for one in each])
        scatter = (own - F).T @ (own - F) / N
        bent, h = np.zeros(p), 1e-4
        shares, axes = np.linalg.eigh((P + P.T) / 2)
        for share, axis in zip(shares, axes.T, strict=True):
            at = lambda s, axis=axis: flat(mean(unflat(y[:p] + s * axis, w0)))
            bent += share * (at(h) - 2 * F + at(-h)) / h**2
        moved = F + eta / 2 * (keep["bent"] * bent - keep["drift"] * J @ F)
        return np.concatenate([moved, (J @ P + P @ J.T + scatter).ravel()])

    y0 = np.concatenate([flat(w0), np.zeros(p * p)])
    out = scipy.integrate.solve_ivp(velocity, (0, T), y0, method="DOP853", rtol=1e-8, atol=1e-10)
    return out.y[:p, -1], eta * out.y[p:, -1].reshape(p, p)


def test_the_equations_are_those_typed_again_and_each_term_is_needed():
    rule, task, w0 = two_samples()
    T, off = 0.5, {"both": [], "no drift": [], "no noise": []}
    for steps in (5, 10):
        eta = T / steps
        paths = ends(rule, task, w0, eta, steps, choices(2, 1, False)).mean(0)
        for name, keep in {
            "both": {"bent": 1, "drift": 1},
            "no drift": {"bent": 1, "drift": 0},
            "no noise": {"bent": 0, "drift": 1},
        }.items():
            mean, covariance = euler_of(rule, task, w0, T, eta, keep)
            off[name].append(np.linalg.norm(paths - mean))
            if name == "both":
                made = found(rule, task, w0, T, steps, 1, False)
                np.testing.assert_allclose(made[0], mean, atol=1e-6)
                np.testing.assert_allclose(made[1], covariance, atol=1e-6 * eta)
    order = {name: log2(a / b) for name, (a, b) in off.items()}
    assert 1.8 < order["both"] < 2.3
    assert order["no drift"] < 1.5
    assert order["no noise"] < 1.5
    assert min(off["no drift"][1], off["no noise"][1]) > 3 * off["both"][1]


@pytest.mark.parametrize(("size", "replace"), [(1, True), (2, True), (2, False), (3, False)])
@pytest.mark.parametrize("phi", ["linear", "tanh"])
def test_batches_of_each_kind_scatter_as_all_of_them_do(size, replace, phi):
    """Decay and rates of layers too, of three samples: 27 batches of 2 with a sample twice."""
    rule, task, w0 = problem(ff.FA, phi, sizes=SIZES, seed=1, decay=(0.3, 0.5), rates=(1.0, 2.0))
    task = task.with_data(task.X[:, :3], task.Y[:, :3])
    T, off, spread = 0.05, [], []
    for steps in (2, 4):
        paths = ends(rule, task, w0, T / steps, steps, choices(3, size, replace))
        mean, covariance, _ = found(rule, task, w0, T, steps, size, replace)
        real = np.cov(paths.T, bias=True)
        off.append(np.linalg.norm(paths.mean(0) - mean))
        spread.append(np.linalg.norm(real - covariance))
    assert 3 < off[0] / off[1] < 6
    if size == 3:  # all samples, always
        assert np.abs(real).max() < 1e-25
        assert np.abs(covariance).max() < 1e-14
    else:
        assert spread[1] < 0.4 * np.linalg.norm(real)
        assert 2.5 < spread[0] / spread[1] < 6  # of η itself first order, ηP being of the first


def test_the_mean_of_a_law_is_over_all_paths():
    """E C = C(m) + ½C'':Cov at second order, and that of the mean alone is not."""
    rule, task, w0 = two_samples()
    T, off, plain = 0.5, [], []
    law = laws.layer_feedback_balance
    for steps in (5, 10):
        paths = ends(rule, task, w0, T / steps, steps, choices(2, 1, False))
        seen = np.mean([law(rule, unflat(y, w0)) for y in paths])
        made = found(rule, task, w0, T, steps, 1, False)[2]
        off.append(abs(made.expected(law)[-1] - seen))
        plain.append(abs(law(rule, made.at(-1)) - seen))
    assert 1.7 < log2(off[0] / off[1]) < 2.4
    assert plain[1] > off[1]
    matrices = made.expected(laws.feedback_balance)
    assert matrices.shape == (2, 2, 2)
    np.testing.assert_allclose(np.trace(matrices[-1]) / 2, made.expected(law)[-1], rtol=1e-10)


def test_noise_pumps_the_law_by_its_trace():
    """E C drifts by η/2 ∫(|F₁|² + tr Σ₁); without the noise it is off at every step size."""
    rule, task, w0 = two_samples()
    eta = 1e-3
    made = ff.moments(rule, task, w0, [0, 1e-3], eta=eta, size=1)
    each = [rule(task.with_data(task.X[:, [n]], task.Y[:, [n]]), w0)[0] for n in range(2)]
    told = eta / 2 * np.mean([np.sum(V**2) for V in each]) * 1e-3
    seen = made.expected(laws.layer_feedback_balance)
    assert seen[1] - seen[0] == pytest.approx(told, rel=0.02)  # the flow moves by 1e-3
    mean = eta / 2 * np.sum((sum(each) / 2) ** 2) * 1e-3
    assert abs((seen[1] - seen[0]) / mean - 1) > 0.1


def test_a_linear_field_has_the_moments_of_its_recursion():
    """One weight, x² = 1 or 4, target 0: E w = (1 - η·5/2)^k in the mean, to second order."""
    task, w0 = ff.Task([[1.0, 2.0]], [[0.0, 0.0]]), (np.ones((1, 1)),)
    off = []
    for eta in (0.01, 0.005):
        k = round(0.1 / eta)
        made = ff.moments(ff.GD(), task, w0, [0, 0.1], eta=eta, size=1)
        mean = (1 - eta * 2.5) ** k
        square = ((1 - eta) ** 2 / 2 + (1 - 4 * eta) ** 2 / 2) ** k
        off.append(
            [
                abs(made.at(-1)[0].item() - mean),
                abs(made.covariance[-1].item() - (square - mean**2)) / eta,
            ]
        )
    assert 3.5 < off[0][0] / off[1][0] < 4.5
    assert 1.7 < off[0][1] / off[1][1] < 2.3


def quartic(rule, w):
    one = laws.layer_feedback_balance(rule, w)
    return one * one


def test_the_mean_is_refused_of_a_law_that_is_not_quadratic():
    rule, task, w0 = two_samples()
    made = ff.moments(rule, task, w0, [0, 0.1], eta=0.1, size=1)
    with pytest.raises(ValueError, match="expected is for laws that are quadratic in the weights"):
        made.expected(quartic)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eta": 0}, "eta must be a positive number, but is 0"),
        ({"eta": "a"}, "eta must be a positive number, but is 'a'"),
        ({"size": 0}, "size must be a positive integer, but is 0"),
        ({"size": 1.5}, "size must be a positive integer, but is 1.5"),
        ({"size": 3}, "3 samples cannot be drawn from 2 without replacement"),
        ({"ts": [1, 2]}, "ts must start at 0, where the weights are known, but at 1"),
        ({"ts": [0]}, "ts must be at least two times"),
        ({"rtol": "a"}, "rtol must be between 2.2e-14 and 1, but is 'a'"),
        ({"atol": -1}, "atol must be between 0 and 1, but is -1"),
    ],
)
def test_bad_questions_are_refused(options, words):
    rule, task, w0 = two_samples()
    options = {"ts": [0, 0.1], "eta": 0.1, "size": 1} | options
    with pytest.raises(ValueError, match=words):
        ff.moments(rule, task, w0, options.pop("ts"), **options)


def refused(rule, task, w0, words):
    with pytest.raises(ValueError, match=words):
        ff.moments(rule, task, w0, [0, 0.1], eta=0.1, size=1)


def test_rules_without_these_moments_are_refused():
    rule, task, w0 = two_samples()
    refused(rule, ff.Task(task.X, task.Y, "relu"), w0, r"needs a smooth activation.*relu has kinks")
    jumping = ff.FA(rule.B, decay=ff.Piecewise((1.0,), (0.0, 1.0)))
    refused(jumping, task, w0, "moments needs a decay that is constant in time")
    refused(ff.SignFA(), task, w0, "moments needs a smooth rule; give SignFA a beta")
    refused(ff.modified(rule, 0.1), task, w0, "modified to order 2 are no sums over samples")
    large, big, w = problem(ff.FA, sizes=(10, 20, 2))
    refused(large, big, w, "moments takes at most 200 weights, but there are 240")
    C, Y = np.ones((1, 1)), np.ones((1, 1))
    refused(ff.FAStar((C,)), ff.Task.factorisation(Y), (C, C), "FAStar fits its last layer")


def test_a_mean_that_blows_up_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr("faflow.steps.moments.MOST", 2000)

    class Squares(ff.Rule):
        def velocity(self, task, w):
            return (w[0] * w[0] * w[0] * task.X.sum(),)

    with pytest.raises(RuntimeError, match="The moments could not be followed to t = 10"):
        ff.moments(
            Squares(),
            ff.Task([[1.0, 2.0]], [[1.0, 1.0]]),
            (np.ones((1, 1)),),
            [0, 10],
            eta=0.1,
            size=1,
        )


def test_samples_are_put_back_or_not():
    rule, task, w0 = problem(ff.FA, sizes=(1, 2, 1))
    for make in (
        lambda: ff.sampled(2, "no"),
        lambda: ff.moments(rule, task, w0, [0, 1], eta=0.1, size=2, replace="no"),
    ):
        with pytest.raises(ValueError, match="replace must be True or False, but is 'no'"):
            make()
