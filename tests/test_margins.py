"""Margins against their formulas, differences, mpmath, and another optimiser for the SVM."""

import mpmath
import numpy as np
import pytest
import scipy.optimize

import faflow as ff
from faflow import margins

LOSSES = ["exponential", "logistic"]
NETWORKS = [
    ((4, 1), "linear", 1),
    ((4, 5, 3, 1), "linear", 3),
    ((4, 5, 3), "relu", 2),
    ((4, 5, 1), "relu_power(2)", 3),
    ((4, 3, 3, 1), "relu_power(2)", 7),
    ((4, 3, 3, 2), ("relu_power(3)", "linear"), 5),
]
named = lambda case: f"{case[1]}-{len(case[0]) - 1}"


def separated(sizes, phi, loss, seed=0, scale=1.0):
    """A task whose labels are the network's own, so that all margins are positive, and weights."""
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((sizes[0], 6)), ff.init(sizes, scale=scale, seed=seed)
    f = ff.nets.forward(ff.Task(X, np.ones((sizes[-1], 6)), phi), w)[2]
    return ff.Task(X, np.where(f < 0, -1.0, 1.0), phi, loss), w


def difference(of, w, direction, h=1e-6):
    """The derivative of ``of(w)`` along `direction`, by a central difference."""
    ahead, behind = (
        of(tuple(W + sign * h * V for W, V in zip(w, direction, strict=True))) for sign in (1, -1)
    )
    return (ahead - behind) / (2 * h)


def gradient(of, w):
    """The gradient of a number, entry by entry by differences."""
    parts = []
    for k, W in enumerate(w):
        part = np.zeros_like(W)
        for place in np.ndindex(*W.shape):
            one = tuple(np.zeros_like(V) for V in w)
            one[k][place] = 1.0
            part[place] = difference(of, w, one)
        parts.append(part)
    return tuple(parts)


def flat(w):
    return np.concatenate([W.ravel() for W in w])


def cosine(a, b):
    return flat(a) @ flat(b) / np.linalg.norm(flat(a)) / np.linalg.norm(flat(b))


def alone(p, loss):
    """A task with X the identity and the weights that give it the margins `p`."""
    return ff.Task(np.eye(len(p)), np.ones((1, len(p))), loss=loss), (np.array([p]),)


# The smoothed margin


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shift", [-700.0, -50.0, -1.0, 0.0, 1.0, 29.9, 30.1, 300.0, 5000.0])
def test_the_smoothed_margin_is_the_inverse_loss_of_the_loss_for_margins_of_any_size(loss, shift):
    p = shift + np.array([0.0, 0.3, 2.0, 7.0])
    task, w = alone(p, loss)
    with mpmath.workdps(3000):  # e^-5000 beside 1
        if loss == "exponential":
            known = -mpmath.log(sum(mpmath.exp(-x) for x in p))
        else:
            known = -mpmath.log(mpmath.expm1(sum(mpmath.log1p(mpmath.exp(-x)) for x in p)))
        off = float((margins.smoothed_margin(ff.GD(), w, task=task) - known) / max(1, abs(known)))
    assert abs(off) <= 4e-15  # some units in the last place


@pytest.mark.parametrize("loss", LOSSES)
def test_the_smoothed_margin_is_positive_just_when_the_loss_is_below_that_of_margin_zero(loss):
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        task, w = alone(rng.standard_normal(3) * 2 + 1, loss)
        below = ff.loss(task, w) < (1 if loss == "exponential" else np.log(2))
        assert (margins.smoothed_margin(ff.GD(), w, task=task) > 0) == below
        seen.add(bool(below))
    assert seen == {True, False}


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_the_normalised_margins_are_within_log_n_of_each_other(network):
    sizes, phi, L = network
    task, w = separated(sizes, phi, "exponential", scale=3.0)
    smoothed, least = (
        law(ff.GD(), w, task=task) for law in (margins.normalised_margin, margins.least_margin)
    )
    room = np.log(task.Y.size) / np.linalg.norm(flat(w)) ** L
    assert least - room <= smoothed <= least


def test_a_mean_in_place_of_the_sum_moves_the_threshold():
    """The summed loss of two margins of 0.5 is above ℓ(0) = 1, their mean below."""
    task, w = alone(np.array([0.5, 0.5]), "exponential")
    assert ff.loss(task, w) / 2 < 1 < ff.loss(task, w)
    assert margins.smoothed_margin(ff.GD(), w, task=task) < 0


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_a_network_grows_with_its_weights_by_its_degree(network):
    sizes, phi, L = network
    task, w = separated(sizes, phi, "exponential")
    assert margins.degree_of(task, len(w)) == L
    grown = margins.margins(ff.GD(), tuple(3 * W for W in w), task=task)
    known = 3**L * margins.margins(ff.GD(), w, task=task)
    np.testing.assert_allclose(grown, known, rtol=1e-13)  # rounding of a few products


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"phi": "tanh"}, "tanh of hidden layer 0"),
        ({"phi": ("relu", "softplus(2)")}, r"softplus\(2\) of hidden layer 1"),
        ({"bias": True}, "biases"),
    ],
)
def test_networks_that_are_not_homogeneous_have_no_degree(options, words):
    task = ff.Task(np.eye(2), np.ones((1, 2)), loss="logistic", **options)
    with pytest.raises(ValueError, match=words):
        margins.degree_of(task, 3)


@pytest.mark.parametrize("law", [margins.smoothed_margin, margins.kkt_residuals])
def test_margins_need_a_loss_of_margins(law):
    task = ff.Task(np.eye(2), np.ones((1, 2)))
    with pytest.raises(ValueError, match="exponential or the logistic loss, not squared"):
        law(ff.GD(), (np.ones((1, 2)),), task=task)
    with pytest.raises(ValueError, match="not hinge"):
        margins.log_loss(np.ones(2), "hinge")


def test_zero_weights_have_no_normalised_margin():
    task, w = alone(np.zeros(2), "logistic")
    with pytest.raises(ValueError, match="state must have a direction"):
        margins.normalised_margin(ff.GD(), w, task=task)


# Normalised errors


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", [ff.GD, ff.FA, ff.DFA, ff.SignFA])
def test_the_normalised_task_moves_every_rule_by_its_velocity_over_the_scale(rule, loss):
    sizes = (4, 5, 3, 2)
    task, w = separated(sizes, "relu_power(2)", loss)
    rule = rule.random(sizes, seed=1)
    factor = np.exp(margins.log_scale(rule, w, task=task))
    for slow, full in zip(rule(margins.normalised(task), w), rule(task, w), strict=True):
        np.testing.assert_allclose(factor * slow, full, rtol=1e-11, atol=1e-14 * factor)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_the_normalised_velocity_of_gradient_descent_is_the_gradient_of_the_smoothed_margin(
    network, loss
):
    sizes, phi, _ = network
    task, w = separated(sizes, phi, loss)
    known = gradient(lambda w: margins.smoothed_margin(ff.GD(), w, task=task), w)
    unit = margins.normalised(task)
    for V, U in zip(ff.GD()(unit, w), known, strict=True):
        np.testing.assert_allclose(V, U, atol=1e-7 * np.abs(flat(known)).max())  # h²
    assert ff.loss(unit, w) == -margins.smoothed_margin(ff.GD(), w, task=task)


@pytest.mark.parametrize("loss", LOSSES)
def test_normalised_errors_survive_margins_that_underflow_every_loss(loss):
    task, w = alone(np.array([2000.0, 2001.0, 5000.0]), loss)
    seen = margins.normalised(task).loss.error(w[0], task.Y)[0]
    known = np.exp([0.0, -1.0, -3000.0]) / (1 + np.exp(-1))
    np.testing.assert_allclose(seen, known, rtol=1e-12)  # of exponents of size 2000


# Growth of the margin, and angles


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", [ff.GD, ff.FA])
@pytest.mark.parametrize("network", NETWORKS[1:4], ids=named)
def test_the_growth_of_the_margin_is_its_rate_in_log_norm_time(network, rule, loss):
    sizes, phi, L = network
    task, w = separated(sizes, phi, loss, scale=2.0)
    rule = rule.random(sizes, seed=1)
    v = rule(task, w)
    along = tuple(V * np.linalg.norm(flat(w)) / np.linalg.norm(flat(v)) for V in v)

    def log_margin(w):
        return np.log(abs(margins.smoothed_margin(rule, w, task=task)))

    def log_norm(w):
        return np.log(np.linalg.norm(flat(w)))

    rise, grown = difference(log_margin, w, along), difference(log_norm, w, along)
    growth = margins.margin_growth(rule, w, task=task)
    assert growth == pytest.approx(rise - L * grown, abs=1e-7 * abs(rise))  # h²
    slack = margins.margin_slack(rule, w, task=task)
    tan2 = 1 / grown**2 - 1
    known = ((rise - L * grown) / grown - L * tan2) * grown**2
    assert slack == pytest.approx(known, abs=1e-7 * abs(rise))  # h²


@pytest.mark.parametrize("loss", LOSSES)
def test_the_slack_is_the_entropy_of_the_shares_for_the_exponential_loss_and_positive(loss):
    """⟨w, ∇α⟩ = L Σ shares·p, and p = α - log share for the exponential loss."""
    sizes, phi, L = NETWORKS[3]
    task, w = separated(sizes, phi, loss, scale=6.0)
    alpha = margins.smoothed_margin(ff.GD(), w, task=task)
    slack = margins.margin_slack(ff.GD(), w, task=task)
    assert alpha > 0
    assert slack > 0
    if loss == "exponential":
        shares = np.exp(-margins.margins(ff.GD(), w, task=task))
        shares = shares / shares.sum()
        entropy = -np.sum(shares * np.log(shares))
        assert slack == pytest.approx(L * entropy / alpha, rel=1e-10)  # α from a difference


def test_another_degree_can_be_asked_for_where_the_network_has_none():
    task, w = separated((3, 4, 1), "tanh", "logistic", scale=2.0)
    with pytest.raises(ValueError, match="tanh"):
        margins.margin_slack(ff.GD(), w, task=task)
    slack = margins.margin_slack(ff.GD(), w, task=task, degree=2)
    more = margins.margin_slack(ff.GD(), w, task=task, degree=3)
    assert slack - more == pytest.approx(1)


@pytest.mark.parametrize("network", NETWORKS[:4], ids=named)
def test_the_angle_is_that_with_minus_the_gradient_of_the_loss(network):
    sizes, phi, _ = network
    task, w = separated(sizes, phi, "logistic")
    slope = gradient(lambda w: -ff.loss(task, w), w)
    seen = margins.gradient_cosine(ff.FA.random(sizes), w, task=task)
    assert seen == pytest.approx(cosine(w, slope), abs=1e-7)  # h²


# KKT points


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", NETWORKS[:4], ids=named)
def test_the_residuals_are_those_of_the_multipliers_and_of_gradients_by_differences(network, loss):
    sizes, phi, _ = network
    task, w = separated(sizes, phi, loss)
    p = margins.margins(ff.GD(), w, task=task)
    lam, size = margins.multipliers(ff.GD(), w, task=task), np.linalg.norm(flat(w))
    assert lam.shape == p.shape
    assert (lam > 0).all()
    total = np.zeros_like(flat(w))
    for place in np.ndindex(*p.shape):
        of = lambda w, place=place: margins.margins(ff.GD(), w, task=task)[place]
        total += lam[place] * flat(gradient(of, w))
    stationarity, complementarity = margins.kkt_residuals(ff.GD(), w, task=task)
    assert stationarity == pytest.approx(np.linalg.norm(flat(w) - total) / size, abs=1e-7)  # h²
    assert complementarity == pytest.approx(np.sum(lam * (p - p.min())) / size**2, rel=1e-12)
    cosine = margins.gradient_cosine(ff.GD(), w, task=task)
    assert stationarity == pytest.approx(np.sqrt(2 - 2 * cosine), rel=1e-9)  # cancellation


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_both_residuals_vanish_at_a_point_that_is_optimal_for_every_norm(loss, size):
    """Two samples mirrored in the second input: w along the first is the SVM's, and aligned."""
    task = ff.Task([[1.0, 1.0], [2.0, -2.0]], [[1.0, 1.0]], loss=loss)
    seen = margins.kkt_residuals(ff.GD(), (np.array([[size, 0.0]]),), task=task)
    np.testing.assert_allclose(seen, 0, atol=1e-15)  # one rounding
    away = margins.kkt_residuals(ff.GD(), (np.array([[size, 0.1 * size]]),), task=task)
    assert away[0] > 0.01


def test_multipliers_by_least_squares_are_not_unique():
    """With more samples than inputs, others than the support vectors represent w as well."""
    rng = np.random.default_rng(0)
    t = np.array([1.0, 0.0, 0.0])
    X = rng.standard_normal((3, 20))
    Y = np.sign(t @ X)
    best = margins.max_margin(X + 0.3 * np.outer(t, Y), Y)
    Z = (X + 0.3 * np.outer(t, Y)) * Y
    fitted, rest = scipy.optimize.nnls(Z, best.direction)
    p = best.direction @ Z
    assert rest < 1e-12
    assert np.sum(fitted * (p - p.min())) > 0.1
    assert np.sum(best.multipliers * (p - p.min())) < 1e-10


# The direction of the largest margin


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_the_largest_margin_is_that_of_another_optimiser(seed, size):
    rng = np.random.default_rng(seed)
    teacher = rng.standard_normal(4)
    X = rng.standard_normal((4, 15))
    Y = np.sign(teacher @ X)
    best = margins.max_margin(size * X, Y)
    known = scipy.optimize.minimize(
        lambda w: w @ w / 2,
        best.direction + 0.1 * rng.standard_normal(4),
        jac=lambda w: w,
        constraints={"type": "ineq", "fun": lambda w: Y * (w @ X) - 1, "jac": lambda w: (X * Y).T},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert known.success
    assert best.margin == pytest.approx(size / np.linalg.norm(known.x), rel=1e-6)  # SLSQP's
    np.testing.assert_allclose(best.direction, known.x / np.linalg.norm(known.x), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 20), (5, 5), (6, 3)])
def test_direction_and_multipliers_satisfy_the_optimality_conditions(shape):
    rng = np.random.default_rng(1)
    X = rng.standard_normal(shape)
    Y = np.sign(rng.standard_normal(shape[0]) @ X)
    best = margins.max_margin(X, Y[None])
    p = Y * (best.direction @ X)
    assert np.linalg.norm(best.direction) == pytest.approx(1)
    assert p.min() == pytest.approx(best.margin, rel=1e-12)
    assert (best.multipliers >= 0).all()
    np.testing.assert_allclose(X @ (Y * best.multipliers), best.direction / best.margin, rtol=1e-9)
    np.testing.assert_allclose(best.multipliers * (p - best.margin), 0, atol=1e-9)


def test_one_sample_is_its_own_direction():
    best = margins.max_margin([[3.0], [4.0]], [-1])
    np.testing.assert_allclose(best.direction, [-0.6, -0.8], rtol=1e-14)
    assert best.margin == pytest.approx(5)


@pytest.mark.parametrize(
    ("X", "labels"),
    [
        ([[1.0, 1.0], [0.0, 0.0]], [1, -1]),
        ([[1.0, -0.5, -0.5], [0.0, 0.9, -0.9]], [1, 1, 1]),
        ([[0.0, 1.0]], [1, 1]),
    ],
    ids=["one sample with both labels", "around the origin", "at the origin"],
)
def test_samples_that_no_plane_separates_are_refused(X, labels):
    with pytest.raises(ValueError, match="No direction through the origin separates"):
        margins.max_margin(X, labels)


@pytest.mark.parametrize("labels", [[1, 0], [1], [1, -1, 1]])
def test_labels_must_be_signs_one_a_sample(labels):
    with pytest.raises(ValueError, match="labels must be 2 numbers -1 or"):
        margins.max_margin(np.eye(2), labels)


# The path of the direction


def test_the_length_of_a_path_is_that_of_its_direction():
    """A spiral outwards through a radian, in two weight matrices: chords of 1/1000."""
    angle = np.linspace(0, 1, 1001)
    w = tuple(((1 + angle) * of(angle))[:, None, None] for of in (np.cos, np.sin))
    sol = ff.Solution(angle, w, ff.GD(), ff.Task([[1.0]], [[1.0]]))
    np.testing.assert_allclose(margins.path_length(sol), angle, atol=1e-6)  # step²/24
