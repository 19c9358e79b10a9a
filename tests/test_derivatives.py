import numpy as np
import pytest
from problems import ACTIVATIONS, LOSSES, RULES, problem

import faflow as ff
from faflow.derivatives import along, directional, flat, jacobian, unflat
from faflow.matrices import Dual


def moving(kind, phi="tanh", loss="squared", **options):
    """A rule of the kind that has derivatives, a task, a state and two directions."""
    options = {"beta": 2.0, **options} if kind is ff.SignFA else options
    rule, task, w = problem(kind, phi, loss, bias=True, decay=0.1, **options)
    rng = np.random.default_rng(5)
    u, v = (tuple(rng.standard_normal(W.shape) for W in w) for _ in range(2))
    return rule, task, w, u, v


def far(a, b):
    """Largest difference of two tuples, in parts of the first."""
    a, b = flat(a), np.concatenate([np.asarray(B).ravel() for B in b])
    return np.abs(a - b).max() / np.abs(a).max()


@pytest.mark.jax
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phi", ACTIVATIONS)
@pytest.mark.parametrize("kind", RULES)
def test_dual_numbers_give_the_derivatives_that_jax_gives(kind, phi, loss):
    import jax

    rule, task, w, u, v = moving(kind, phi, loss)
    field = lambda x: rule(task, x)
    second = lambda x, a, b: directional(lambda y: directional(field, y, a)[1], x, b)[1]
    with jax.enable_x64(True):
        given = jax.tree.map(jax.numpy.asarray, (w, u, v))
        first_jax, second_jax = directional(field, *given[:2])[1], second(*given)
    assert far(along(rule, task, w, u), first_jax) < 1e-12
    assert far(second(w, u, v), second_jax) < 1e-11


@pytest.mark.parametrize("phi", ["tanh", "sigmoid", "erf", "softplus(2)", "relu_power(3)"])
@pytest.mark.parametrize("kind", RULES)
def test_derivatives_are_limits_of_differences(kind, phi):
    rule, task, w, u, _ = moving(kind, phi, "cross_entropy")
    at = lambda t: flat(rule(task, tuple(W + t * V for W, V in zip(w, u, strict=True))))
    step = lambda h: (8 * (at(h) - at(-h)) - at(2 * h) + at(-2 * h)) / (12 * h)
    made = flat(along(rule, task, w, u))
    assert np.abs(step(1e-3) - made).max() < 1e-8 * np.abs(made).max()


def test_the_jacobian_of_gradient_descent_is_symmetric_and_of_feedback_alignment_is_not():
    skew = {}
    for kind in (ff.GD, ff.FA):
        rule, task, w = problem(kind, "tanh")
        J = jacobian(rule, task, w)
        skew[kind] = np.abs(J - J.T).max() / np.abs(J).max()
    assert skew[ff.GD] < 1e-14
    assert skew[ff.FA] > 0.1


def test_the_jacobian_times_a_direction_is_the_derivative_along_it():
    rule, task, w, u, _ = moving(ff.DFA)
    np.testing.assert_allclose(
        jacobian(rule, task, w) @ flat(u), flat(along(rule, task, w, u)), rtol=1e-12, atol=1e-13
    )


def test_flat_and_unflat_are_inverse():
    w = ff.init((3, 4, 2), bias=True)
    for W, back in zip(w, unflat(flat(w), w), strict=True):
        np.testing.assert_array_equal(W, back)


def test_each_increment_keeps_to_itself():
    """d/dx (x d/dy (x + y)) = 1, not 2: the classical confusion of two increments."""
    x = (np.array([[3.0]]),)

    def inner(a):
        return (a[0] * directional(lambda y: (a[0] + y[0],), x, (np.ones((1, 1)),))[1][0],)

    assert directional(inner, x, (np.ones((1, 1)),))[1][0] == 1


def test_what_does_not_depend_on_the_state_has_derivative_zero():
    value, moved = directional(lambda w: (np.ones((2, 2)),), (np.ones((1, 1)),), (np.ones((1, 1)),))
    assert (value[0] == 1).all()
    assert (moved[0] == 0).all()


def test_the_largest_entry_moves_as_the_one_that_is_largest():
    z = Dual(np.array([[1.0, 5.0], [3.0, 2.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), 1)
    xp = z.__array_namespace__()
    top = xp.max(z, axis=0, keepdims=True)
    np.testing.assert_array_equal(top.value, [[3.0, 5.0]])
    np.testing.assert_array_equal(top.moved, [[3.0, 2.0]])
    assert (z.max().value, z.max().moved) == (5.0, 2.0)


def test_quotients_and_powers_have_their_derivatives():
    """1/x and x³ and x/x² at 2, along 1, to second order."""
    at = lambda f: [
        directional(f, (np.full((1, 1), 2.0),), (np.ones((1, 1)),))[1],
        directional(
            lambda x: directional(f, x, (np.ones((1, 1)),))[1],
            (np.full((1, 1), 2.0),),
            (np.ones((1, 1)),),
        )[1],
    ]
    for f, first, second in [
        (lambda x: (1 / x[0],), -1 / 4, 2 / 8),
        (lambda x: (x[0] ** 3,), 12, 12),
        (lambda x: (x[0] / x[0] ** 2,), -1 / 4, 2 / 8),
    ]:
        assert [part[0].item() for part in at(f)] == pytest.approx([first, second], rel=1e-14)


NETWORKS = [
    (ff.Residual(), (3, 4, 3), 3, "tanh"),
    (ff.Convolution(2), (2, 3, 2), 4, "tanh"),
    (ff.Attention(3), (2, 2, 3, 2), 6, "linear"),
    (ff.Gains(), (3, 4, 2), 3, "tanh"),
]


@pytest.mark.parametrize(("network", "sizes", "rows", "phi"), NETWORKS)
def test_rules_on_networks_have_derivatives_by_differences(network, sizes, rows, phi):
    rng = np.random.default_rng(1)
    rule = ff.On.random(sizes, of=ff.FA, network=network)
    task = ff.Task(rng.standard_normal((rows, 3)), rng.standard_normal((sizes[-1], 3)), phi)
    w = rule.start(sizes)
    u = tuple(rng.standard_normal(W.shape) for W in w)
    at = lambda t: flat(rule(task, tuple(W + t * V for W, V in zip(w, u, strict=True))))
    told = (8 * (at(1e-3) - at(-1e-3)) - at(2e-3) + at(-2e-3)) / 0.012
    made = flat(along(rule, task, w, u))
    assert np.abs(told - made).max() < 1e-7 * np.abs(made).max()


class Averaged(ff.FA):
    def velocity(self, task, w):
        return tuple(V - np.mean(V) for V in super().velocity(task, w))


def test_a_rule_in_functions_of_numpy_is_refused_in_a_sentence():
    rule, task, w = problem(ff.FA)
    with pytest.raises(ValueError, match="Averaged cannot be differentiated: Dual has no mean"):
        along(Averaged(rule.B), task, w, w)


class Wrong(ff.FA):
    def velocity(self, task, w):
        V = super().velocity(task, w)
        V[0].__iadd__(w[0])
        return V


def test_a_rule_that_changes_matrices_in_place_is_refused():
    rule, task, w = problem(ff.FA)
    with pytest.raises(ValueError, match="changed in place"):
        along(Wrong(rule.B), task, w, w)


def test_what_is_broadcast_in_a_sum_moves_in_every_entry():
    """d/dx Σ(x + 1) over nine entries is 9, and its second derivative of Σ(x² + 1) is 18."""
    x, one = (np.full((1, 1), 2.0),), (np.ones((1, 1)),)
    spread = lambda f: lambda w: ((f(w[0]) + np.ones((3, 3))).sum(keepdims=True),)
    assert directional(spread(lambda x: x), x, one)[1][0] == 9
    slope = lambda w: directional(spread(lambda x: x * x), w, one)[1]
    assert directional(slope, x, one)[1][0] == 18
    mixed = lambda w: (
        directional(lambda y: ((w[0] + y[0] * np.ones((3, 3))).sum(keepdims=True),), one, one)[0][
            0
        ],
    )
    assert directional(mixed, x, one)[1][0] == 9


def test_a_power_of_zero_has_slope_zero_everywhere():
    value, moved = directional(lambda w: (w[0] ** 0,), (np.zeros((1, 1)),), (np.ones((1, 1)),))
    assert (value[0], moved[0]) == (1, 0)
