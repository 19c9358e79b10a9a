"""Feedback alignment from an upper layer that its feedback sees as symmetric, against solvers."""

import re

import numpy as np
import pytest

from faflow import FA, Task, exact, integrate, iterate

SOLVED = 1e-9  # at rtol 1e-12; 1e-11 was seen
TS = np.linspace(0, 10, 11)


def basis(rng, n, m):
    return np.linalg.qr(rng.standard_normal((n, m)))[0]


def problem(case, alpha=-0.5):
    """Y, C and W₂ whose CW₂ is symmetric and commutes with CY(CY)ᵀ."""
    rng = np.random.default_rng(0)
    Y, C = rng.standard_normal((5, 4)), rng.standard_normal((3, 5))
    if case == "zero":
        return Y, C, np.zeros((5, 3))
    if case == "orthonormal rows":
        C = basis(rng, 5, 3).T
        return Y, C, alpha * C.T
    if case == "more hidden units than outputs":
        C = rng.standard_normal((6, 5)) / 2
        return Y, C, alpha * Y @ (C @ Y).T
    if case == "what the feedback does not see":
        return Y, C, (np.eye(5) - np.linalg.pinv(C) @ C) @ rng.standard_normal((5, 3))
    if case == "modes of their own":
        C = basis(rng, 5, 3).T
        P = np.linalg.svd(C @ Y)[0]
        return Y, C, C.T @ (P * [alpha, 0.3, -0.2]) @ P.T
    Y, C, S = basis(rng, 5, 4), basis(rng, 5, 5), rng.standard_normal((5, 5))
    reached = C @ Y @ (C @ Y).T  # all d are 1
    S = reached @ S @ S.T @ reached + alpha * (np.eye(5) - reached)
    return Y, C, C.T @ S / np.linalg.norm(S)


CASES = (
    "zero",
    "orthonormal rows",
    "more hidden units than outputs",
    "what the feedback does not see",
    "modes of their own",
    "equal modes",
)


def distance(pair, other):
    return max(np.abs(a - b).max() for a, b in zip(pair, other, strict=True))


@pytest.mark.parametrize("alpha", [-2.0, -0.5, 0.5, 5.0])
@pytest.mark.parametrize("case", CASES)
def test_the_flow_meets_the_closed_form(case, alpha):
    Y, C, W2 = problem(case, alpha)
    w0 = np.zeros((len(C), Y.shape[1])), W2
    sol = integrate(FA((C,)), Task.factorisation(Y), w0, TS, rtol=1e-12, atol=1e-14)
    assert distance(sol.w, exact.fa_from_commuting(Y, C, W2, TS)) <= SOLVED


def test_from_zero_it_is_the_other_closed_form():
    Y, C, W2 = problem("zero")
    ts = np.append(TS, [1e-12, 1e3, 1e300])
    said = exact.fa_from_commuting(Y, C, W2, ts)
    assert distance(said, exact.fa_from_zero(Y, C, ts)) <= 2e-15


def test_two_neurons_from_no_first_weight_are_a_chain():
    ts = np.append(TS, [0.0, 1e3, 1e300])
    for z in (-3.0, 0.5, 100.0):
        said = exact.fa_from_commuting([[0.7]], [[1.3]], [[z]], ts)
        assert distance(said, exact.fa_chain(0.7, 1.3, (0.0, z), ts)) <= 2e-14 * max(1, z)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_from_positive_weights_it_ends_at_the_limit_however_late(alpha):
    """q t goes beyond 3000, where the first layer stands still to the last digit."""
    Y, C, W2 = problem("orthonormal rows", alpha)
    ts = [1e3, 1.5e3, 2e3, 4e3, 1e4, 1e6, 1e300]
    W1, last = exact.fa_from_commuting(Y, C, W2, ts)
    assert np.abs(last @ W1 - exact.fa_limit(Y, C)).max() <= 1e-13
    sol = integrate(
        FA((C,)), Task.factorisation(Y), (0 * W1[0], W2), [0, *ts[:2]], rtol=1e-10, solver="radau"
    )
    assert distance([W[1:] for W in sol.w], (W1[:2], last[:2])) <= 1e-8


def test_a_mode_that_learns_slowly_forgets_its_weight_at_its_own_rate():
    """w → d/q, and W₂ off the mode's output falls as e^{-(d/q)²t}."""
    ts = np.array([0.0, 1e-12, 1.0, 1e3, 1e4, 1e6])
    W2 = exact.fa_from_commuting([[1.0], [0.0]], [[1.0, 0.0]], [[100.0], [1.0]], ts)[1]
    w = 0.01  # less by w³/2 in the equilibrium d = qw + w³/2
    for _ in range(50):
        w = (1 - w**3 / 2) / 100
    lag = 1.5 * w**2 / 100  # ∫(w² - w(t)²)dt from w(t) = w(1 - e^{-100t})
    np.testing.assert_allclose(W2[3:, 1, 0], np.exp(-(w**2) * ts[3:] + lag), 2e-7, 1e-15)
    assert W2[:2, 1, 0].tolist() == [1, 1]


def test_small_modes_must_commute_too_and_equal_ones_are_told_from_others():
    small = np.diag([1.0, 5e-6, 1e-5])
    inner = np.array([[0, 0, 0], [0, 0, 2.0], [0, 2.0, 0]])
    with pytest.raises(ValueError, match="must commute"):
        exact.fa_from_commuting(small, np.eye(3), inner, [1.0])
    turn = basis(np.random.default_rng(0), 3, 3)
    inner = np.array([[1, 0.3, 0], [0.3, 0.5, 0], [0, 0, 3.0]])
    for third in (0.8600853027987554, 1e-5):
        Y, W2 = turn @ np.diag([1, 1, third]) @ turn.T, turn @ inner @ turn.T
        sol = integrate(
            FA((np.eye(3),)), Task.factorisation(Y), (np.zeros((3, 3)), W2), [0, 1, 3], rtol=1e-12
        )
        said = exact.fa_from_commuting(Y, np.eye(3), W2, [0, 1, 3])
        assert distance(sol.w, said) <= SOLVED


def test_steps_tend_to_the_flow_at_first_order():
    Y, C, W2 = problem("orthonormal rows")
    task, w0 = Task.factorisation(Y), (np.zeros((3, 4)), W2)
    said = exact.fa_from_commuting(Y, C, W2, [1.0])
    off = [
        distance([W[-1:] for W in iterate(FA((C,)), task, w0, eta=1 / n, steps=n).w], said)
        for n in (200, 400)
    ]
    assert np.log2(off[0] / off[1]) == pytest.approx(1, abs=0.1)


Y, C = np.diag([2.0, 1.0]), np.eye(2)
WRONG = {
    "shape": (lambda: exact.fa_from_commuting(Y, C, np.ones((2, 3)), [1.0]), "W2 must be (2, 2)"),
    "no symmetry": (
        lambda: exact.fa_from_commuting(Y, C, [[0.0, 1.0], [0.0, 0.0]], [1.0]),
        "must be symmetric",
    ),
    "other vectors": (
        lambda: exact.fa_from_commuting(Y, C, [[0.0, 1.0], [1.0, 0.0]], [1.0]),
        "must commute",
    ),
    "NaN": (lambda: exact.fa_from_commuting(Y, C, np.nan * C, [1.0]), "W2 must be finite"),
    "negative time": (lambda: exact.fa_from_commuting(Y, C, C, [-1.0]), "at least 0"),
}


@pytest.mark.parametrize("what", WRONG)
def test_arguments_outside_the_domain_are_refused_in_a_sentence(what):
    call, words = WRONG[what]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
