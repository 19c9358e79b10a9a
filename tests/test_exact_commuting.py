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
    Y, C, S = basis(rng, 5, 4), basis(rng, 5, 5), rng.standard_normal((5, 5))
    reached = C @ Y @ (C @ Y).T  # all d are 1
    S = reached @ S @ S.T @ reached + alpha * (np.eye(5) - reached)
    return Y, C, C.T @ S / np.linalg.norm(S)


CASES = (
    "zero",
    "orthonormal rows",
    "more hidden units than outputs",
    "what the feedback does not see",
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
