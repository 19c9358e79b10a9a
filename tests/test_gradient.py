"""Derivatives through a flow against differences of flows."""

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow import laws

pytestmark = pytest.mark.jax

TS = [0.0, 1.0]


def loss(rule, task, w):
    return ff.loss(task, rule.weights(w))


def angle(rule, task, w):
    return laws.layer_balance(rule, w)


CASES = [
    (ff.FA, "tanh", "squared", {}, loss),
    (ff.GD, "linear", "squared", {"rates": (1.0, 2.0)}, angle),
    (ff.DFA, "erf", "logistic", {"decay": ff.Piecewise((0.4,), (0.3, 0.1))}, loss),
    (ff.KolenPollack, "tanh", "squared", {"decay": 0.1}, loss),
]


def shifted(M, where, h):
    made = M.copy()
    made[where] += h
    return made


@pytest.mark.parametrize(("kind", "phi", "of_loss", "options", "observe"), CASES)
def test_gradients_are_those_of_differences(kind, phi, of_loss, options, observe):
    rule, task, w0 = problem(kind, phi, of_loss, sizes=(4, 3, 2), bias=True, seed=2, **options)

    def at_end(w0=w0, B=rule.B, X=task.X, Y=task.Y):
        moved, other = ff.nets.replaced(rule, B=tuple(B)), task.with_data(X, Y)
        sol = ff.integrate(moved, other, w0, TS, rtol=1e-12, atol=1e-13, solver="dop853")
        return float(observe(moved, other, sol.final))

    of = ("w0", "B", "X", "Y") if rule.B else ("w0", "X", "Y")
    value, made = ff.gradient(observe, rule, task, w0, TS, of=of, rtol=1e-10, atol=1e-12)
    assert value == pytest.approx(at_end(), rel=1e-7)
    h, rng = 1e-5, np.random.default_rng(0)
    for name in of:
        full = {"w0": w0, "B": rule.B, "X": task.X, "Y": task.Y}[name]
        parts = made[name] if isinstance(full, tuple) else (made[name],)
        for k, M in enumerate(full if isinstance(full, tuple) else (full,)):
            where = tuple(rng.integers(n) for n in M.shape)
            ends = []
            for sign in (h, -h):
                one = shifted(M, where, sign)
                both = tuple(one if j == k else A for j, A in enumerate(full))
                ends.append(at_end(**{name: both if isinstance(full, tuple) else one}))
            assert parts[k].shape == M.shape
            expected = (ends[0] - ends[1]) / (2 * h)
            assert parts[k][where] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_flow_that_does_not_arrive_says_so():
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(4, 3, 2))
    with pytest.raises(RuntimeError, match="did not reach t = 1000 within 10 steps"):
        ff.gradient(loss, rule, task, w0, [0, 1000], max_steps=10)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"of": ("w0", "Z")}, "of must name some of w0, B, X, Y"),
        ({"of": "w0"}, "of must name some of w0, B, X, Y, as a tuple"),
        ({"rtol": 2.0}, "rtol must be between 2.2e-14 and 1"),
        ({"of": 3}, "of must name some of w0, B, X, Y, as a tuple"),
        ({"max_steps": 0}, "max_steps must be a positive whole number, but is 0"),
        ({"max_steps": None}, "max_steps must be a positive whole number, but is None"),
        ({"checkpoints": 1.5}, "checkpoints must be a positive whole number, but is 1.5"),
    ],
)
def test_what_cannot_be_asked_is_refused(more, says):
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(4, 3, 2))
    with pytest.raises(ValueError, match=says):
        ff.gradient(loss, rule, task, w0, TS, **more)


@pytest.mark.parametrize(
    ("observe", "says"),
    [
        (lambda rule, task, w: w[0], r"a real number, but gives an array of shape \(3, 4\)"),
        (lambda rule, task, w: float(w[0][0, 0]), "cannot be followed by JAX"),
        (lambda rule, w: 0.0, "cannot be followed by JAX"),
        (lambda rule, task, w: None, "a real number, but gives NoneType"),
        (lambda rule, task, w: (w[0] > 0).sum(), "a real number, but gives one of type int"),
    ],
)
def test_what_gives_no_number_is_refused(observe, says):
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(4, 3, 2))
    with pytest.raises(ValueError, match=says):
        ff.gradient(observe, rule, task, w0, TS)


def test_derivatives_that_are_not_finite_are_no_result():
    rule, task, w0 = problem(ff.FA, "tanh", sizes=(4, 3, 2))
    with pytest.raises(RuntimeError, match="derivatives in w0 are not finite"):
        ff.gradient(lambda rule, task, w: (0 * w[0]).sum() ** 0.5, rule, task, w0, TS)


def test_rules_without_feedback_say_so():
    rule, task, w0 = problem(ff.GD, "tanh", sizes=(4, 3, 2))
    with pytest.raises(ValueError, match="GD has no fixed feedback"):
        ff.gradient(loss, rule, task, w0, TS, of=("w0", "B"))


def test_kinks_have_no_derivative_to_follow():
    rule, task, w0 = problem(ff.FA, "relu", sizes=(4, 3, 2))
    with pytest.raises(ValueError, match="gradient needs smooth activations"):
        ff.gradient(loss, rule, task, w0, TS)


def test_signs_of_weights_have_no_derivative_to_follow():
    """Past a change of sign it was -0.02 for -0.08."""
    rule, task, w0 = problem(ff.SignFA, "tanh", sizes=(4, 3, 2))
    with pytest.raises(ValueError, match="jumps where a weight changes sign; give the rule a beta"):
        ff.gradient(loss, rule, task, w0, TS)
