from fractions import Fraction

import numpy as np
import pytest
import sympy
from problems import ACTIVATIONS, LOSSES, RULES, SIZES, problem, start, targets, task

import faflow as ff
from faflow import nets
from faflow.matrices import entries, rational
from faflow.rules import outgoing

expit = lambda z: 1 / (1 + np.exp(-z))

PHI = {
    "linear": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu(0.1)": lambda z: np.where(z > 0, z, 0.1 * z),
    "relu_power(2)": lambda z: np.where(z > 0, z, 0) ** 2,
    "relu_power(3)": lambda z: np.where(z > 0, z, 0) ** 3,
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "erf": np.vectorize(__import__("math").erf),
    "sigmoid": expit,
    "softplus(2)": lambda z: np.log(1 + np.exp(2 * z)) / 2,
}

LOSS = {
    "squared": lambda f, Y: np.sum((f - Y) ** 2) / 2,
    "logistic": lambda f, Y: np.sum(np.log(1 + np.exp(-Y * f))),
    "exponential": lambda f, Y: np.sum(np.exp(-Y * f)),
    "cross_entropy": lambda f, Y: np.sum(np.log(np.exp(f).sum(0))) - np.sum(Y * f),
}


def network(w, X, phi, bias):
    """The output of the network, typed again."""
    a = X
    for k, W in enumerate(w):
        z = W[:, : len(a)] @ a + (W[:, -1:] if bias else 0)
        a = phi(z) if k < len(w) - 1 else z
    return a


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phi", ACTIVATIONS)
def test_gd_against_finite_differences_of_the_loss(phi, loss, bias):
    """Fourth-order differences, so that only rounding is left; no unit is within h of a kink."""
    h = 1e-4
    for seed in range(20):
        given, w = (
            task(phi, loss, bias=bias, seed=seed, scale=0.7),
            start(ff.GD(), bias=bias, seed=seed),
        )
        if min(np.abs(z).min() for z in nets.forward(given, w)[0]) > 10 * h:
            break
    else:
        pytest.fail("No seed keeps every unit away from its kink.")
    value = lambda w: LOSS[loss](0.7 * network(w, given.X, PHI[phi], bias), given.Y)
    assert ff.loss(given, w) == pytest.approx(value(w), rel=1e-12)
    for k, V in enumerate(ff.GD()(given, w)):
        for index in np.ndindex(*V.shape):
            moved = lambda n, k=k, index=index: tuple(
                W
                + n
                * h
                * (np.arange(W.size).reshape(W.shape) == np.ravel_multi_index(index, W.shape))
                if i == k
                else W
                for i, W in enumerate(w)
            )
            at = lambda n, moved=moved: value(moved(n))
            slope = (8 * (at(1) - at(-1)) - at(2) + at(-2)) / 12 / h
            assert V[index] == pytest.approx(-slope, abs=1e-9)


@pytest.mark.algebra
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize(
    ("phi", "loss"),
    [(p, "squared") for p in ("linear", "tanh", "erf", "sigmoid", "softplus(2)")]
    + [("tanh", "logistic"), ("tanh", "exponential")],
)
def test_gd_against_the_derivative_by_sympy(phi, loss, bias):
    """Loss typed in SymPy, derived by SymPy, compared at a rational point to 40 digits."""
    f = {
        "linear": lambda z: z,
        "tanh": sympy.tanh,
        "erf": sympy.erf,
        "sigmoid": lambda z: 1 / (1 + sympy.exp(-z)),
        "softplus(2)": lambda z: sympy.log(1 + sympy.exp(2 * z)) / 2,
    }[phi]
    names = iter(sympy.symbols("a:40", real=True))
    make = lambda s: entries(s, lambda *_: next(names))
    w = make((2, 2 + bias)), make((1, 2 + bias))
    X, Y = make((2, 1)), make((1, 1))
    enter = lambda a: sympy.Matrix([*a, *([1] if bias else [])])
    output = sympy.Matrix(w[1]) * enter((sympy.Matrix(w[0]) * enter(sympy.Matrix(X))).applyfunc(f))
    y, out = Y[0, 0], output[0] / 3
    loss_typed = {
        "squared": (y - out) ** 2 / 2,
        "logistic": sympy.log(1 + sympy.exp(-y * out)),
        "exponential": sympy.exp(-y * out),
    }[loss]
    given = ff.Task(X, Y, phi, loss, bias, sympy.Rational(1, 3))
    point = {s: sympy.Rational(7 * i % 11 - 5, 6) for i, s in enumerate(loss_typed.free_symbols)}
    velocity = ff.GD()(given, w)
    for W, V in zip(w, velocity, strict=True):
        for entry, v in zip(W.flat, V.flat, strict=True):
            wrong = (v + sympy.diff(loss_typed, entry)).subs(point).evalf(50)
            assert abs(wrong) < sympy.Float("1e-40")


@pytest.mark.jax
@pytest.mark.parametrize(
    ("phi", "loss"), [(p, "squared") for p in ACTIVATIONS] + [("tanh", each) for each in LOSSES]
)
def test_gd_against_the_gradient_by_jax(phi, loss):
    import jax
    import jax.numpy as jnp

    f = {
        "linear": lambda z: z,
        "relu": jax.nn.relu,
        "leaky_relu(0.1)": lambda z: jax.nn.leaky_relu(z, 0.1),
        "relu_power(2)": lambda z: jax.nn.relu(z) ** 2,
        "relu_power(3)": lambda z: jax.nn.relu(z) ** 3,
        "tanh": jnp.tanh,
        "erf": jax.scipy.special.erf,
        "sigmoid": jax.nn.sigmoid,
        "softplus(2)": lambda z: jax.nn.softplus(2 * z) / 2,
    }[phi]
    value = {
        "squared": lambda f, Y: jnp.sum((f - Y) ** 2) / 2,
        "logistic": lambda f, Y: jnp.sum(jax.nn.softplus(-Y * f)),
        "exponential": lambda f, Y: jnp.sum(jnp.exp(-Y * f)),
        "cross_entropy": lambda f, Y: -jnp.sum(Y * jax.nn.log_softmax(f, axis=0)),
    }[loss]
    given, w = task(phi, loss, bias=True, seed=5, scale=0.7), start(ff.GD(), bias=True, seed=5)
    with jax.enable_x64(True):
        typed = lambda w: value(0.7 * network(w, given.X, f, True), given.Y)
        gradient = jax.grad(typed)(tuple(map(jnp.asarray, w)))
    for V, G in zip(ff.GD()(given, w), gradient, strict=True):
        np.testing.assert_allclose(V, -np.asarray(G), rtol=1e-11, atol=1e-13)


def sample_by_sample(given, w, backward, *, direct=False):
    """dW of a tanh network in plain loops: δ_i = (B δ_above or B e) φ'(h_i), dW_i = Σ δ_i aᵀ.

    backward[k][i][j]: what carries unit j's error to unit i of hidden layer k.
    """
    moved = [np.zeros_like(W) for W in w]
    for s in range(given.X.shape[1]):
        a = [[*given.X[:, s], *([1.0] if given.bias else [])]]
        h = []
        for k, W in enumerate(w):
            z = [sum(W[i, j] * a[-1][j] for j in range(len(a[-1]))) for i in range(len(W))]
            if k < len(w) - 1:
                h.append(z)
                a.append([*(np.tanh(x) for x in z), *([1.0] if given.bias else [])])
        error = [given.Y[i, s] - z[i] for i in range(len(z))]
        deltas = [error]
        for k in reversed(range(len(w) - 1)):
            from_above = error if direct else deltas[0]
            deltas.insert(
                0,
                [
                    sum(backward[k][i][j] * from_above[j] for j in range(len(from_above)))
                    * (1 - np.tanh(h[k][i]) ** 2)
                    for i in range(len(h[k]))
                ],
            )
        for k in range(len(w)):
            for i, j in np.ndindex(*w[k].shape):
                moved[k][i, j] += deltas[k][i] * a[k][j]
    return moved


def sign_of(x):
    return int(x > 0) - int(x < 0)


def forward_weights(w, k):
    """Columns of w[k + 1] without biases: [j][i], from unit i of hidden layer k to unit j above."""
    return [[w[k + 1][j, i] for j in range(len(w[k + 1]))] for i in range(len(w[k]))]


def by_hand(name, rule, given, w):
    """Each rule's velocity by its formula."""
    if name == "KolenPollack":
        moved = sample_by_sample(given, w[:3], w[3:])
        return [*moved, *(moved[k + 1][:, : len(w[3 + k])].T for k in range(2))]
    if name in ("FA", "DFA"):
        return sample_by_sample(given, w, rule.B, direct=name == "DFA")
    change = {
        "GD": lambda x: x,
        "SignFA": sign_of,
        "smooth SignFA": lambda x: np.tanh(1.5 * x),
    }[name]
    feedback = [[[change(x) for x in row] for row in forward_weights(w, k)] for k in range(2)]
    return sample_by_sample(given, w, feedback)


NAMED = {
    "GD": (ff.GD, {}),
    "FA": (ff.FA, {}),
    "DFA": (ff.DFA, {}),
    "SignFA": (ff.SignFA, {}),
    "smooth SignFA": (ff.SignFA, {"beta": 1.5}),
    "KolenPollack": (ff.KolenPollack, {}),
}


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("name", NAMED)
def test_a_rule_is_its_formula_in_plain_loops(name, bias):
    kind, options = NAMED[name]
    rule, given, w = problem(kind, "tanh", bias=bias, seed=2, **options)
    for V, expected in zip(rule(given, w), by_hand(name, rule, given, w), strict=True):
        np.testing.assert_allclose(V, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "decay",
    [0.3, (0.1, 0.2, 0.3), [0, 0.2, 0], (ff.Piecewise((1.0,), (0.4, 0.7)), 0.2, 0)],
    ids=["constant", "per layer", "list", "piecewise"],
)
@pytest.mark.parametrize("rates", [1, 2.0, (1.0, 0.5, 3)], ids=["1", "2", "per layer"])
@pytest.mark.parametrize("name", NAMED)
def test_rates_multiply_and_decay_pulls_back(name, rates, decay):
    """rates[k] · (error · inputᵀ) - decay[k] · W[k]; Kolen-Pollack's B as the layer it mirrors."""
    kind, options = NAMED[name]
    rule, given, w = problem(kind, "tanh", seed=2, rates=rates, decay=decay, **options)
    of = lambda value, k: value[k] if isinstance(value, tuple | list) else value
    for t in (0.5, 1.0):  # a piecewise value counts from its time on
        now = (
            [0.7 if t == 1.0 else 0.4, 0.2, 0]
            if isinstance(decay[0] if isinstance(decay, tuple) else 0, ff.Piecewise)
            else decay
        )
        expected = by_hand(name, rule, given, w)
        layers = [0, 1, 2, 1, 2]
        for V, E, W, k in zip(rule.at(t)(given, w), expected, w, layers, strict=False):
            np.testing.assert_allclose(V, of(rates, k) * E - of(now, k) * W, rtol=1e-12, atol=1e-14)


def test_a_piecewise_decay_must_be_taken_at_a_time():
    rule, given, w = problem(ff.GD, decay=ff.Piecewise((1.0,), (0.0, 0.5)))
    assert rule.jumps() == [1.0]
    with pytest.raises(TypeError, match=r"changes in time: take the rule at one time by \.at"):
        rule(given, w)


def test_jumps_are_those_of_all_layers_in_order():
    a, b = ff.Piecewise((2.0, 3.0), (0, 1, 2)), ff.Piecewise((1.0, 2.0), (0, 1, 2))
    assert ff.GD(decay=(a, 0.1, b)).jumps() == [1.0, 2.0, 3.0]
    assert ff.GD(decay=a).at(2.5).decay == 1
    assert ff.GD(decay=0.1).jumps() == []


def test_a_rate_array_counts_one_a_layer():
    """An array of as many entries as columns must not scale columns."""
    rule, given, w = problem(ff.GD, sizes=(2, 2, 2), decay=np.array([0.1, 0.2]))
    plain = ff.GD()(given, w)
    for V, P, W, decay in zip(rule(given, w), plain, w, (0.1, 0.2), strict=True):
        np.testing.assert_allclose(V, P - decay * W, rtol=1e-14)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("name", ["FA", "KolenPollack", "DFA"])
def test_feedback_rules_are_gd_when_feedback_is_the_transpose(name, bias):
    sizes = (3, 4, 2) if name == "DFA" else SIZES
    given, w = task("tanh", sizes=sizes, bias=bias), start(ff.GD(), sizes=sizes, bias=bias)
    transposed = tuple(outgoing(w, k).T for k in range(len(w) - 1))
    if name == "KolenPollack":
        moved = ff.KolenPollack()(given, w + transposed)
    else:
        moved = NAMED[name][0](transposed)(given, w)
    for V, expected in zip(moved, ff.GD()(given, w), strict=False):
        np.testing.assert_array_equal(V, expected)


def test_direct_feedback_is_gd_when_it_is_the_whole_product_of_a_linear_network():
    given, w = task("linear"), start(ff.GD())
    rule = ff.DFA(((w[2] @ w[1]).T, w[2].T))
    for V, expected in zip(rule(given, w), ff.GD()(given, w), strict=True):
        np.testing.assert_allclose(V, expected, rtol=1e-12, atol=1e-14)


def test_smooth_sign_feedback_tends_to_the_sign():
    rule, given, w = problem(ff.SignFA, "tanh")
    for V, expected in zip(ff.SignFA(beta=1e6)(given, w), rule(given, w), strict=True):
        np.testing.assert_allclose(V, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "rule", [ff.GD(), ff.SignFA(), ff.SignFA(beta=2.5), ff.FA], ids=["GD", "sign", "tanh", "FA"]
)
def test_the_gradient_of_the_potential_is_the_feedback(rule):
    rule = rule.random(SIZES) if isinstance(rule, type) else rule
    w, h = start(ff.GD()), 1e-5
    feedback = ff.laws.feedback_of(rule, w, 0)
    for i, j in np.ndindex(*w[1].shape):
        sides = []
        for sign in (h, -h):
            moved = w[1].copy()
            moved[i, j] += sign
            sides.append(rule.potential((w[0], moved, w[2]), 0))
        slope = (sides[0] - sides[1]) / (2 * h)
        expected = np.zeros(4)
        expected[j] = feedback[j, i]
        np.testing.assert_allclose(slope, expected, atol=1e-8)  # second order: h² = 1e-10


def test_a_potential_does_not_overflow():
    w = (np.ones((1, 1)), np.array([[1e3]]))
    np.testing.assert_allclose(ff.SignFA(beta=50.0).potential(w, 0), 1e3 - np.log(2) / 50)
    w = (np.ones((1, 1)), np.array([[-1e3]]))
    np.testing.assert_allclose(ff.SignFA(beta=50.0).potential(w, 0), 1e3 - np.log(2) / 50)


def matrix_problem(seed=0, n=4, m=5, r=3):
    rng = np.random.default_rng(seed)
    Y, C, W = (rng.standard_normal(s) for s in [(n, m), (r, n), (r, m)])
    given = ff.Task.factorisation(Y)
    rule = ff.FAStar((C,))
    return rule, given, rule.settle(given, (W, np.zeros((n, r))))


def test_fastar_starts_from_the_least_squares_fit():
    _, given, (W, Z) = matrix_problem()
    fit = np.linalg.lstsq(W.T, given.Y.T, rcond=None)[0].T
    np.testing.assert_allclose(Z, fit, rtol=1e-12)


@pytest.mark.parametrize(
    ("rate", "decay", "options"),
    [(1, 0, {}), (2, 0.3, {"rates": (2.0, 5.0), "decay": 0.3}), (1, 0.4, {"decay": (0.4, 9)})],
)
def test_fastar_moves_by_feedback_and_stays_fitted(rate, decay, options):
    """dW = rate · C(Y - ZW) - decay · W; dZ is the derivative of the fit along it."""
    rule, given, (W, Z) = matrix_problem()
    V, moved = ff.FAStar(rule.B, **options)(given, (W, Z))
    np.testing.assert_allclose(V, rate * rule.B[0] @ (given.Y - Z @ W) - decay * W, rtol=1e-12)
    fit = lambda W: np.linalg.lstsq(W.T, given.Y.T, rcond=None)[0].T
    h = 1e-3
    at = lambda n: fit(W + n * h * V)
    slope = (8 * (at(1) - at(-1)) - at(2) + at(-2)) / 12 / h
    np.testing.assert_allclose(moved, slope, atol=1e-8)  # fourth order: h⁴ = 1e-12, times 10³


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r, t, w: (r, ff.Task(2 * t.X, t.Y), w), "made by Task.factorisation"),
        (lambda r, t, w: (r, ff.Task(t.X, t.Y, "tanh"), w), "made by Task.factorisation"),
        (lambda r, t, w: (r, ff.Task(t.X, t.Y, output_scale=2), w), "made by Task.factorisation"),
        (
            lambda r, t, w: (r, t, (np.ones((3, 5)), w[1])),
            r"full row rank, but W1 \(3, 5\) has rank 1",
        ),
    ],
)
def test_fastar_is_refused_where_it_is_not_defined(change, says):
    rule, given, w = change(*matrix_problem())
    with pytest.raises(ValueError, match=says):
        ff.integrate(rule, given, w, [0, 1])


@pytest.mark.parametrize("phi", ["linear", "relu", "leaky_relu(2)", "relu_power(2)"])
@pytest.mark.parametrize("kind", RULES)
def test_fractions_and_floats_agree(kind, phi):
    """The same code on exact entries, rounded, and on floats."""
    rng = np.random.default_rng(0)
    make = lambda s: rational(s, rng, bound=4)
    w = tuple(make(s) for s in nets.shapes(SIZES))
    if kind is ff.KolenPollack:
        w += tuple(make(s) for s in ff.FA.shapes(SIZES))
    rule, X, Y = kind(tuple(make(s) for s in kind.shapes(SIZES))), make((3, 5)), make((2, 5))
    exact = rule(ff.Task(X, Y, phi), w)
    number = lambda M: M.astype(float)
    rounded = kind(tuple(map(number, rule.B)))(
        ff.Task(number(X), number(Y), phi), tuple(map(number, w))
    )
    for V, R in zip(exact, rounded, strict=True):
        assert all(isinstance(v, Fraction | int | float | sympy.Rational) for v in V.flat)
        np.testing.assert_allclose(number(V), R, rtol=1e-10, atol=1e-10 * np.abs(R).max())


@pytest.mark.parametrize("kind", [ff.FA, ff.DFA, ff.FAStar])
def test_random_feedback_has_its_scale_and_not_the_numbers_of_the_weights(kind):
    sizes = (50, 60, 40)
    B = kind.random(sizes, scale=2.0, seed=5).B[0]
    assert B.shape == (60, 40)
    assert B.std() == pytest.approx(2, rel=0.05)
    np.testing.assert_array_equal(B, kind.random(sizes, scale=2.0, seed=5).B[0])
    W = ff.init(sizes, seed=5)[0].ravel()[: B.size]
    assert abs(np.corrcoef(W, B.ravel())[0, 1]) < 0.1  # 1/√2400 = 0.02


def test_kolen_pollack_starts_with_feedback_of_its_shapes():
    w = ff.KolenPollack().start((3, 4, 3, 2), seed=1, bias=True)
    assert [W.shape for W in w] == [(4, 4), (3, 5), (2, 4), (4, 3), (3, 2)]
    for W, init in zip(w, ff.init((3, 4, 3, 2), seed=1, bias=True), strict=False):
        np.testing.assert_array_equal(W, init)


def test_every_rule_is_made_by_the_same_call():
    for kind in (*RULES, ff.FAStar):
        rule = kind.random((3, 4, 2), seed=1, decay=0.1)
        assert (type(rule), rule.decay) == (kind, 0.1)


def test_a_rule_without_carry_says_what_to_define():
    given, w = task(), start(ff.GD())
    with pytest.raises(TypeError, match=r"Rule must define carry\(self, w, k, above, output\)"):
        ff.Rule()(given, w)


def test_a_rule_of_your_own_needs_only_carry():
    """Half of the transposed weights, as a check that nothing else is asked for."""

    class Half(ff.Rule):
        def carry(self, w, k, above, output):
            return outgoing(w, k).T @ above / 2

    given, w = task("tanh", sizes=(3, 4, 2)), start(ff.GD(), sizes=(3, 4, 2))
    (V, top), (G, top_too) = Half()(given, w), ff.GD()(given, w)
    np.testing.assert_array_equal(top, top_too)
    np.testing.assert_allclose(V, G / 2, rtol=1e-14)


def test_the_output_scale_scales_the_error_as_well():
    """f = c W X, so dW = c (Y - c W X) Xᵀ."""
    rng = np.random.default_rng(0)
    X, Y, W = (
        rng.standard_normal((3, 4)),
        targets("squared", (2, 4), rng),
        rng.standard_normal((2, 3)),
    )
    (V,) = ff.GD()(ff.Task(X, Y, output_scale=0.5), (W,))
    np.testing.assert_allclose(V, 0.5 * (Y - 0.5 * W @ X) @ X.T, rtol=1e-13)
