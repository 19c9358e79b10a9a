import math
import re
from itertools import combinations

import numpy as np
import pytest
from problems import ACTIVATIONS, LOSSES, targets

import faflow as ff
from faflow import activations, data, nets, wide

BY_HAND = {
    "linear": lambda z: z,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu(0.1)": lambda z: z if z > 0 else 0.1 * z,
    "relu_power(2)": lambda z: max(z, 0.0) ** 2,
    "relu_power(3)": lambda z: max(z, 0.0) ** 3,
    "tanh": math.tanh,
    "erf": math.erf,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "softplus(2)": lambda z: math.log1p(math.exp(2 * z)) / 2,
}

POINTS = np.array([[-3.1, -1.3, -0.4, -0.01], [0.02, 0.5, 1.7, 3.3]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_the_values_of_its_formula(name):
    expected = np.vectorize(BY_HAND[name])(POINTS)
    np.testing.assert_allclose(nets.activation(name).f(POINTS), expected, rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_pullback_multiplies_by_the_slope(name):
    f, h = np.vectorize(BY_HAND[name]), 1e-3
    slope = (8 * (f(POINTS + h) - f(POINTS - h)) - f(POINTS + 2 * h) + f(POINTS - 2 * h)) / 12 / h
    error = np.array([[1.0, -2.0, 3.0, 0.5], [2.0, 1.0, -1.0, 4.0]])
    pulled = nets.activation(name).pull(POINTS, error)
    np.testing.assert_allclose(pulled, error * slope, atol=1e-10)  # fourth order: h⁴ f⁽⁵⁾ ≈ 1e-12·


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if nets.activation(a).degree])
@pytest.mark.parametrize("factor", [0.3, 5.0])
def test_an_activation_of_a_degree_is_homogeneous(name, factor):
    phi = nets.activation(name)
    one = np.ones_like(POINTS)
    np.testing.assert_allclose(
        phi.f(factor * POINTS), factor**phi.degree * phi.f(POINTS), rtol=1e-14
    )
    np.testing.assert_allclose(
        POINTS * phi.pull(POINTS, one), phi.degree * phi.f(POINTS), rtol=1e-14, atol=1e-300
    )


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if not nets.activation(a).degree])
def test_an_activation_without_degree_is_not_homogeneous(name):
    phi = nets.activation(name)
    ratio = POINTS * phi.pull(POINTS, np.ones_like(POINTS)) / phi.f(POINTS)
    assert np.ptp(ratio) > 0.1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_smooth_says_whether_the_slope_is_continuous(name):
    phi = nets.activation(name)
    ends = phi.pull(np.array([[-1e-9, 1e-9]]), np.ones((1, 2)))[0]
    assert (abs(ends[1] - ends[0]) < 1e-6) == phi.smooth


@pytest.mark.parametrize(
    ("name", "z", "value"),
    [("softplus(2)", 1e4, 1e4), ("softplus(2)", -1e4, 0), ("sigmoid", -1e4, 0), ("tanh", 1e4, 1)],
)
def test_activations_do_not_overflow(name, z, value):
    phi, z = nets.activation(name), np.array([[float(z)]])
    assert phi.f(z)[0, 0] == value
    assert phi.pull(z, np.ones((1, 1)))[0, 0] in (0, 1)


def test_softplus_tends_to_relu():
    gap = [
        np.abs(activations.softplus(b).f(POINTS) - activations.relu.f(POINTS)).max()
        for b in (10, 100, 1000)
    ]
    assert gap[0] < math.log(2) / 10
    assert gap[2] < math.log(2) / 1000


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("leaky_relu", activations.leaky_relu(0.01)),
        ("leaky_relu(0.1)", activations.leaky_relu(0.1)),
        ("relu_power(3)", activations.relu_power(3)),
        (" softplus(2) ", activations.softplus(2)),
        ("softplus(2)", activations.softplus(2.0)),
        ("tanh", activations.tanh),
        (activations.erf, activations.erf),
    ],
)
def test_an_activation_is_found_by_name(text, same):
    assert nets.activation(text).name == same.name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gelu", "Unknown activation 'gelu'; choose from linear, relu, tanh, erf, sigmoid, leaky"),
        ("relu(2)", "Unknown activation"),
        ("relu_power(1)", "integer power of at least 2, but got 1"),
        ("relu_power(2.5)", "integer power"),
        ("softplus(-1)", "beta > 0, but got -1"),
        ("softplus(1e)", "softplus"),
        (None, "Unknown activation None"),
    ],
)
def test_an_unknown_activation_is_refused_with_the_known_ones(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        nets.activation(text)


def loss_by_hand(name, f, Y):
    """One loss, sample by sample and output by output."""
    total = 0.0
    for s in range(f.shape[1]):
        if name == "cross_entropy":
            total -= math.log(
                sum(Y[i, s] * math.exp(f[i, s]) for i in range(len(f)))
                / sum(math.exp(x) for x in f[:, s])
            )
            continue
        for i in range(len(f)):
            z = Y[i, s] * f[i, s]
            total += {
                "squared": (Y[i, s] - f[i, s]) ** 2 / 2,
                "logistic": math.log(1 + math.exp(-z)),
                "exponential": math.exp(-z),
            }[name]
    return total


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_summed_over_samples_and_outputs(name):
    rng = np.random.default_rng(0)
    f, Y = rng.standard_normal((3, 4)), targets(name, (3, 4), rng)
    assert nets.LOSSES[name].value(f, Y) == pytest.approx(loss_by_hand(name, f, Y), rel=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_the_error_is_minus_the_slope_of_the_loss(name):
    rng = np.random.default_rng(0)
    f, Y, h = rng.standard_normal((3, 4)), targets(name, (3, 4), rng), 1e-3
    error = nets.LOSSES[name].error(f, Y)
    for index in np.ndindex(*f.shape):
        bump = np.zeros_like(f)
        bump[index] = h
        at = lambda n, bump=bump: loss_by_hand(name, f + n * bump, Y)
        slope = (8 * (at(1) - at(-1)) - at(2) + at(-2)) / 12 / h
        assert error[index] == pytest.approx(-slope, abs=1e-10)


def test_cross_entropy_takes_probabilities_as_well():
    Y = np.array([[0.2, 0.5], [0.8, 0.5]])
    f = np.array([[0.3, -1.0], [0.1, 2.0]])
    task = ff.Task(np.eye(2), Y, loss="cross_entropy")
    expected = -np.sum(Y * np.log(np.exp(f) / np.exp(f).sum(0)))
    assert ff.loss(task, (f,)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "f", "value"), [("logistic", 1e4, 1e4), ("cross_entropy", 1e4, 1e4)]
)
def test_losses_do_not_overflow(name, f, value):
    outputs = np.array([[-float(f)], [0.0]]) if name == "cross_entropy" else np.array([[-float(f)]])
    Y = np.array([[1.0], [0.0]]) if name == "cross_entropy" else np.array([[1.0]])
    assert nets.LOSSES[name].value(outputs, Y) == value
    np.testing.assert_array_equal(
        nets.LOSSES[name].error(outputs, Y), [[1], [-1]] if name == "cross_entropy" else [[1]]
    )


@pytest.mark.parametrize("bias", [False, True])
def test_the_forward_pass_is_the_network_unit_by_unit(bias):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, 2))
    w = tuple(rng.standard_normal((n, m + bias)) for m, n in [(3, 4), (4, 3), (3, 2)])
    task = ff.Task(X, np.zeros((2, 2)), ["tanh", "relu"], bias=bias, output_scale=0.5)
    hidden, inputs, f = nets.forward(task, w)
    for s in range(2):
        a = list(X[:, s])
        for k, W in enumerate(w):
            z = [
                sum(W[i, j] * a[j] for j in range(len(a))) + (W[i, -1] if bias else 0)
                for i in range(len(W))
            ]
            if k < 2:
                np.testing.assert_allclose(hidden[k][:, s], z, rtol=1e-14)
                a = [math.tanh(x) if k == 0 else max(x, 0) for x in z]
                assert inputs[k + 1].shape == (len(a) + bias, 2)
        np.testing.assert_allclose(f[:, s], np.multiply(z, 0.5), rtol=1e-14)


def test_each_hidden_layer_may_have_its_own_activation():
    task = ff.Task(np.eye(2), np.eye(2), ("tanh", "leaky_relu(0.1)"))
    assert [task.activation(k).name for k in (0, 1)] == ["tanh", "leaky_relu(0.1)"]
    assert not task.smooth
    assert ff.Task(np.eye(2), np.eye(2), "tanh").smooth


def test_accuracy_counts_the_samples_classified_right():
    several = ff.Task(np.eye(3), np.eye(3))
    assert ff.accuracy(several, (np.eye(3)[[0, 2, 1]],)) == pytest.approx(1 / 3)
    single = ff.Task(np.eye(4), [[1, -1, 1, -1]])
    assert ff.accuracy(single, (np.array([[0.1, -5.0, -1.0, -0.2]]),)) == 0.75


def test_regression_is_the_least_squares_fit_of_least_norm():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((5, 3)), rng.standard_normal((2, 3))
    fit = nets.regression(ff.Task(X, Y))
    np.testing.assert_allclose(fit @ X, Y, atol=1e-13)
    np.testing.assert_allclose(fit, np.linalg.lstsq(X.T, Y.T, rcond=None)[0].T, atol=1e-13)


def test_factorisation_is_the_linear_task_on_the_identity():
    Y = np.arange(6.0).reshape(2, 3)
    task = ff.Task.factorisation(Y)
    np.testing.assert_array_equal(task.X, np.eye(3))
    rng = np.random.default_rng(0)
    Z, W = rng.standard_normal((2, 2)), rng.standard_normal((2, 3))
    assert ff.loss(task, (W, Z)) == pytest.approx(np.sum((Y - Z @ W) ** 2) / 2)


@pytest.mark.parametrize("bias", [False, True])
def test_initial_weights_have_variance_one_over_fan_in_and_no_bias(bias):
    w = ff.init((400, 300, 200), scale=2.0, seed=3, bias=bias)
    assert [W.shape for W in w] == [(300, 400 + bias), (200, 300 + bias)]
    for W, fan_in in zip(w, (400, 300), strict=True):
        assert W[:, :fan_in].std() == pytest.approx(2 / np.sqrt(fan_in), rel=0.02)
        assert not W[:, fan_in:].any()
    for W, V in zip(w, ff.init((400, 300, 200), scale=2.0, seed=3, bias=bias), strict=True):
        np.testing.assert_array_equal(W, V)
    assert not np.array_equal(w[0], ff.init((400, 300, 200), scale=2.0, seed=4, bias=bias)[0])


@pytest.mark.parametrize("sizes", [(3,), (3, 0), (3, 2.5), (3, -1)])
def test_sizes_must_be_positive_widths(sizes):
    with pytest.raises(ValueError, match="at least two positive widths, input first"):
        ff.init(sizes)


def kolen_pollack_run(sizes=(4, 3, 2)):
    rng = np.random.default_rng(0)
    labels = np.eye(2)[:, rng.integers(2, size=12)]
    given = ff.Task(rng.standard_normal((4, 12)), labels, "tanh")
    rule = ff.KolenPollack()
    return given, ff.integrate(rule, given, rule.start(sizes), [0, 1])


def test_feedback_in_the_state_is_not_taken_for_a_layer():
    given, sol = kolen_pollack_run()
    for measure in (ff.loss, ff.accuracy):
        with pytest.raises(ValueError, match="are no network from 4 inputs to 2 targets"):
            measure(given, sol.final)
    W1, W2, _ = sol.final
    f = W2 @ np.tanh(W1 @ given.X)
    assert sol.loss() == pytest.approx(np.sum((f - given.Y) ** 2) / 2, rel=1e-12)
    assert sol.accuracy() == np.mean(f.argmax(0) == given.Y.argmax(0))


@pytest.mark.parametrize(
    "Y", [[[0.0, 1.0, 1.0]], [[0.3, -2.0, 1.0]], [[0, 1, 1], [0, 1, 0]], [[1, 1, 0], [1, 0, 1]]]
)
def test_accuracy_is_for_classes_only(Y):
    given = ff.Task(np.ones((1, 3)), Y)
    with pytest.raises(ValueError, match=r"^Accuracy needs"):
        ff.accuracy(given, (np.ones((len(Y), 1)),))


@pytest.mark.parametrize("options", [{"output_scale": 0}, {"output_scale": np.nan}])
def test_an_output_scale_that_is_no_number_or_zero_is_refused(options):
    with pytest.raises(ValueError, match="output_scale must be a finite number"):
        ff.Task(np.eye(2), np.eye(2), **options)


@pytest.mark.parametrize("value", ["no", 1, None])
def test_bias_is_true_or_false(value):
    with pytest.raises(ValueError, match="bias must be True or False"):
        ff.Task(np.eye(2), np.eye(2), bias=value)


@pytest.mark.parametrize("sizes", [5, (3,), (3, 0), (3, 2.5)])
def test_sizes_are_at_least_two_positive_widths(sizes):
    for make in (ff.init, ff.FA.random):
        with pytest.raises(ValueError, match="sizes must be at least two positive widths"):
            make(sizes)


def test_no_two_draws_share_their_numbers():
    """One seed for target, data, start and feedback gives independent ones (a start drawn from
    the target's own numbers is no random start)."""
    seed, sizes = 3, (5, 5, 5)
    drawn = {
        "default_rng": [np.random.default_rng(seed).standard_normal((5, 5))],
        "init": list(ff.init(sizes, seed=seed)),
        "feedback": list(ff.FA.random(sizes, seed=seed).B),
        "low_rank": [data.low_rank(5, 5, 1, seed=seed)[:, :1]],
        "teacher": [data.teacher_student(5, 5, 5, seed=seed).X],
        "wide": [wide.drawn(np.eye(5), np.ones(5), 5, seed=seed)[2][0]],
    }
    # every function scales what it draws, so that ratios of neighbours are compared
    ratios = {
        name: {round(r, 8) for M in Ms for r in np.ravel(M)[1:] / np.ravel(M)[:-1]}
        for name, Ms in drawn.items()
    }
    for one, other in combinations(ratios, 2):
        assert not ratios[one] & ratios[other], (one, other)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, (), (0, -2)])
def test_seed_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0 on"):
        ff.init((2, 2), seed=seed)
