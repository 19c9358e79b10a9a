"""Small problems with known answers, shared by the tests; nothing here calls the code under test
for an answer."""

import numpy as np
import scipy.linalg
import scipy.optimize
import sympy

import faflow as ff

SIZES = (3, 4, 3, 2)

RULES = [ff.GD, ff.FA, ff.DFA, ff.SignFA, ff.KolenPollack]
"""The rules for any network; FAStar is for factorisation alone."""

ACTIVATIONS = [
    "linear",
    "relu",
    "leaky_relu(0.1)",
    "relu_power(2)",
    "relu_power(3)",
    "tanh",
    "erf",
    "sigmoid",
    "softplus(2)",
]

LOSSES = ["squared", "logistic", "cross_entropy", "exponential"]

SCIPY = ["dop853", "rk45", "radau", "gauss"]
DIFFRAX = ["tsit5", "dopri5", "dopri8"]


def solvers(pytest):
    """Every solver, those of diffrax marked."""
    return [*SCIPY, *(pytest.param(s, marks=pytest.mark.jax) for s in DIFFRAX)]


def targets(loss, shape, rng):
    """Random targets the loss takes."""
    if loss == "squared":
        return rng.standard_normal(shape)
    if loss == "cross_entropy":
        return np.eye(shape[0])[:, rng.integers(shape[0], size=shape[1])]
    return rng.choice([-1.0, 1.0], size=shape)


def task(phi="linear", loss="squared", *, sizes=SIZES, samples=5, bias=False, seed=0, scale=1):
    """A random task of moderate size."""
    rng = np.random.default_rng([seed, 7])
    X = rng.standard_normal((sizes[0], samples)) / np.sqrt(samples)
    return ff.Task(X, targets(loss, (sizes[-1], samples), rng), phi, loss, bias, scale)


def start(rule, *, sizes=SIZES, bias=False, seed=0):
    """A random state for the rule, biases not zero."""
    rng = np.random.default_rng([seed, 11])
    w = rule.start(sizes, seed=seed, bias=bias)
    return tuple(W + 0.3 * rng.standard_normal(W.shape) for W in w)


def problem(kind, phi="linear", loss="squared", *, sizes=SIZES, bias=False, seed=0, **options):
    """(rule, task, w0) at random, for a class of rules."""
    rule = kind.random(sizes, seed=seed, **options)
    return (
        rule,
        task(phi, loss, sizes=sizes, bias=bias, seed=seed),
        start(rule, sizes=sizes, bias=bias, seed=seed),
    )


def one_layer():
    """A one-layer linear flow: the task, its start, and W(t) = W* + (W0 - W*) exp(-t X Xᵀ)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, 8)) / np.sqrt(8)
    Y, W = rng.standard_normal((2, 3)) @ X, rng.standard_normal((2, 3))
    C = X @ X.T
    fit = Y @ X.T @ np.linalg.inv(C)
    return ff.Task(X, Y), (W,), lambda t: fit + (W - fit) @ scipy.linalg.expm(-t * C)


def scalar_decay():
    """A scalar with targets 0, so dw/dt = -decay w - w: (task, w0, solution by ∫decay)."""
    nothing = ff.Task([[1.0]], [[0.0]])
    return nothing, (np.array([[2.0]]),), lambda t, integral: 2 * np.exp(-t - integral)


def factorisation(seed=0, n=4, m=5, r=3):
    """FA on a matrix from zero weights, solved exactly: (rule, task, w0, state at t > 0).

    With CY = P diag(d) Rᵀ the modes are w = (2d)^⅓ u, u' = κ(1 - u³), κ = d^⅔ / 2^⅓.
    """
    rng = np.random.default_rng(seed)
    Y, C = rng.standard_normal((n, m)), rng.standard_normal((r, n))
    P, d, Rt = np.linalg.svd(C @ Y, full_matrices=False)
    kappa = d ** (2 / 3) * 2 ** (-1 / 3)

    def elapsed(u):
        return np.log((1 + u + u * u) / (1 - u) ** 2) / 6 + (
            np.arctan((2 * u + 1) / np.sqrt(3)) - np.pi / 6
        ) / np.sqrt(3)

    def state(t):
        u = np.array(
            [
                scipy.optimize.brentq(lambda u, k=k: elapsed(u) - k * t, 0, 1 - 1e-15, xtol=1e-15)
                for k in kappa
            ]
        )
        modes = (2 * d) ** (1 / 3) * u
        return P @ np.diag(modes) @ Rt, Y @ Rt.T @ np.diag(modes**2 / (2 * d)) @ P.T

    return ff.FA((C,)), ff.Task.factorisation(Y), (np.zeros((r, m)), np.zeros((n, r))), state


def with_sizes(expression, sizes):
    """A SymPy matrix expression with numbers for its dimensions, traces and matrices explicit."""
    dimensions = {s: sizes[s.name] for s in expression.atoms(sympy.Symbol) if s.name in sizes}
    made = expression.subs(dimensions)
    made = made.replace(sympy.Trace, lambda M: M.as_explicit().trace())
    return made.as_explicit() if hasattr(made, "as_explicit") else made


class Square(ff.Rule):
    """dw/dt = w², entry by entry: 1 / (1/w₀ - t), which from 1 ends at t = 1."""

    def velocity(self, task, w):
        return tuple(W * W for W in w)


def ending():
    """A flow from 1 that ends at t = 1."""
    return Square(), ff.Task([[1.0]], [[1.0]]), (np.ones((1, 1)),)


def sliding():
    """A ReLU unit whose sample 0 is pushed to its kink from both sides under FA.

    Its pre-activation starts at 0.05; sample 0 alone would lower it, sample 1 alone would raise
    it by less.
    """
    X, Y = np.array([[1.0, 0.5], [0.0, 0.8]]), np.array([[-2.0, 1.5]])
    w0 = (np.array([[0.05, 1.0]]), np.array([[1.0]]))
    return ff.FA((np.ones((1, 1)),)), ff.Task(X, Y, "relu"), w0


def assert_lifted_alike(sol, full, far):
    """A reduced run gives the weights, shapes and losses of the full one; far: of two states."""
    assert far(sol.final, full.final) < 1e-9
    assert far(sol.w, full.w) < 1e-9
    for k in (0, 2, -1):
        assert far(sol.at(k), full.at(k)) < 1e-9
    assert [W.shape for W in sol.w[:2]] == [W.shape for W in full.w[:2]]
    np.testing.assert_allclose(sol.loss(2), full.loss(2), rtol=1e-9)
