"""The principal flow: the modified flow with all powers of J and no higher derivative."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..derivatives import flat, jacobian, unflat
from ..derived import Derived
from ..rules import Rule
from ..solution import Unfinished
from .modified import check_eta

LARGEST = 400
"""So many weights at most: each velocity takes a logarithm of a matrix of this size."""

MOST_NODES = 512
"""Nodes of a quadrature; eigenvalues that need more are as good as on the negative real axis."""


@dataclass(frozen=True, eq=False)
class Principal(Derived):
    """The principal flow of the rule `of` for steps of size `eta`; `principal` makes one."""

    eta: Any = 0.1

    numbers = ("eta",)

    def __post_init__(self):
        super().__post_init__()
        check_eta(self.eta)

    @property
    def name(self):
        return f"principal flow of {self.of.name}"

    def velocity(self, task, w):
        if not all(isinstance(W, np.ndarray) and W.dtype == float for W in w):
            raise ValueError("A principal flow has eigenvalues: it takes numbers alone, on SciPy.")
        if sum(W.size for W in w) > LARGEST:
            raise ValueError(
                f"A principal flow takes up to {LARGEST} weights, not {sum(W.size for W in w)};"
                " take modified(rule, eta, order=4)."
            )
        F = flat(self.force(task, w))
        return unflat(_log_over(self.eta * jacobian(self.force, task, w), F), w)


def principal(rule, eta):
    """A rule with velocity log(I + ηJ)/(ηJ) F: the flow through the steps of a linear field.

    F is the velocity of `rule` and J its derivative, symmetric or not [1]_.  Where F is linear its
    flow passes through the steps w ← w + ηF(w) exactly, also where these diverge or turn; where F
    is not, it is right to second order, as ``modified(rule, eta)`` is.  Of J singular, as laws
    make it, the limit is taken.
    eta: step size.  For up to 400 weights, with NumPy.
    Its velocity raises `Unfinished` where I + ηJ has an eigenvalue on the negative real axis, so
    that no real flow passes through the steps: η is beyond 1/|λ| of a real eigenvalue λ of J.

    .. [1] M. Rosca, Y. Wu, C. Qin & B. Dherin, "On a continuous time model of gradient descent
       dynamics and instability in deep learning", TMLR 2023, with J symmetric.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Rule) else rule
    return Principal(of=rule, eta=eta)


def _log_over(A, F):
    """log(I + A)/A F = ∫₀¹ (I + sA)⁻¹F ds, by Gauss and Legendre's quadrature; A may be singular.

    The integrand's poles are at s = -1/a for the eigenvalues a of A; so many nodes that the
    farthest ellipse free of them gives the last digit.
    """
    import scipy.linalg

    T, Q = scipy.linalg.schur(A, output="complex")
    a = T.diagonal()
    poles = -1 / a[np.abs(a) > 1e-12] * 2 - 1
    with np.errstate(divide="ignore"):
        turned = np.abs(poles + np.sqrt(poles + 1) * np.sqrt(poles - 1))
        needed = np.max(20 / np.abs(np.log(turned)), initial=8)
    if not needed <= MOST_NODES:
        worst = 1 + a[np.abs(a) > 1e-12][np.argmin(np.abs(np.log(turned)))]
        raise Unfinished(
            f"I + ηJ has the eigenvalue {worst:.4g}, on or near the negative real axis, where no"
            " real flow passes through the steps; take a smaller eta."
        )
    x, shares = _nodes(int(-(-needed // 16) * 16))
    s, right = (1 + x) / 2, Q.conj().T @ F
    solved = np.empty((len(A), len(s)), dtype=complex)
    for i in reversed(range(len(A))):
        above = T[i, i + 1 :] @ solved[i + 1 :]
        solved[i] = (right[i] - s * above) / (1 + s * T[i, i])
    return np.real(Q @ (solved @ (shares / 2)))


@lru_cache
def _nodes(count):
    return np.polynomial.legendre.leggauss(count)
