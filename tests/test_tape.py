"""Velocities written down as calls against the rules themselves, to the last bit."""

import numpy as np
import pytest
from problems import RULES, problem

import faflow as ff
from faflow.flow.tape import taped

SHAPES = [
    ("linear", "squared", False),
    ("tanh", "squared", True),
    ("relu", "logistic", True),
    (("erf", "leaky_relu(0.1)"), "cross_entropy", False),
    ("softplus(2)", "exponential", True),
    ("relu_power(3)", "squared", False),
]


@pytest.mark.parametrize(("phi", "loss", "bias"), SHAPES)
@pytest.mark.parametrize("kind", RULES)
def test_it_says_what_the_rule_says_at_every_state(kind, phi, loss, bias):
    options = {"beta": 2.0} if kind is ff.SignFA else {}
    rule, given, w0 = problem(
        kind, phi, loss, bias=bias, decay=(0.1, 0, 0.3), rates=(1.0, 2.0, 0.5), **options
    )
    w = tuple(W.copy() for W in w0)
    velocity = taped(rule, given, w)
    assert velocity is not None
    rng = np.random.default_rng(0)
    for scale in (1, 0, 5):
        for W in w:
            W[...] = scale * rng.standard_normal(W.shape)
        before = [W.copy() for W in w]
        with np.errstate(all="ignore"):
            for _ in range(2):  # nothing that is read again was written to
                for V, expected in zip(velocity(), rule(given, w), strict=True):
                    np.testing.assert_array_equal(V, expected)
        for W, kept in zip(w, before, strict=True):
            np.testing.assert_array_equal(W, kept)


def test_the_state_is_left_as_it_was():
    rule, given, w0 = problem(ff.FA, "tanh")
    w = tuple(W.copy() for W in w0)
    taped(rule, given, w)
    for W, kept in zip(w, w0, strict=True):
        np.testing.assert_array_equal(W, kept)


def test_reduced_problems_have_no_product_with_the_identity():
    """Of X = I nothing is left: the error is written over the product it is made of."""
    rng = np.random.default_rng(0)
    rule = ff.FA.random((30, 6, 20))
    reduction = ff.reduce(
        rule, ff.Task.factorisation(rng.standard_normal((20, 30))), ff.init((30, 6, 20))
    )
    w = tuple(W.copy() for W in reduction.w0)
    velocity = taped(reduction.rule, reduction.task, w)
    assert velocity is not None
    calls = dict(zip(velocity.__code__.co_freevars, velocity.__closure__, strict=True))["calls"]
    assert [call.__name__ for call, *_ in calls.cell_contents] == [
        "matmul",  # W₂W₁
        "subtract",  # Y - W₂W₁, where the product was
        "matmul",
        "matmul",
    ]
    (_, _, product), (_, _, error), *_ = calls.cell_contents
    assert product is error


class Counting(ff.FA):
    """A rule from elsewhere, which does more than compute."""

    calls = 0

    def carry(self, w, k, above, output):
        type(self).calls += 1
        return super().carry(w, k, above, output)


def test_rules_and_activations_from_elsewhere_are_called_as_they_are():
    _, given, w0 = problem(ff.FA, "tanh")
    rule = Counting.random((6, 5, 4, 3))
    assert taped(rule, given, w0) is None
    own = ff.Activation("own", lambda z: 3 * z, lambda z, error: 3 * error)
    rule, given, w0 = problem(ff.FA, own)
    assert taped(rule, given, w0) is None


def test_momentum_of_an_own_rule_is_not_taken_for_a_formula():
    rule = ff.HeavyBall(of=Counting.random((6, 5, 3)), friction=1.0)
    given = ff.Task(np.ones((6, 2)), np.ones((3, 2)))
    assert taped(rule, given, rule.start((6, 5, 3))) is None
