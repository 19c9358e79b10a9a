"""The core of feedback alignment: its flow in matrices of the hidden layer's size alone.

On white inputs, XXᵀ = c², at output scale s, two layers of FA move as if they factored Y/(sc):

    dW = ρ₁B(Y/(sc) - ZW) - λ₁W,    dZ = ρ₂(Y/(sc) - ZW)Wᵀ - λ₂Z,    at s²c² times the rates.

Rows of W stay in the span of those of W₀ and A = BY/(sc), with orthonormal columns Q: W = W'Qᵀ.
Of Z the first layer sees M = BZ alone.  All else follows, so that for r hidden units no matrix of
the flow has more than 2r rows or columns, however many inputs and outputs there are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..matrices.diagonal import Diagonal
from ..nets import replaced
from ..rule import Rule, of_layer

PROBES = 8
"""Random combinations of outputs by which the size of Z, and of its errors, is measured."""

EVALUATIONS = 300
"""Velocities of a run, over which setting it up is spread."""

ENTRY, CALL = 100, 40_000
"""What an entry of the state costs a solver, and a call of NumPy, in products of two numbers."""

PIVOTED = 40
"""What each product of two numbers costs in a decomposition with pivots, of so many."""


@dataclass(frozen=True, eq=False)
class Core(Rule):
    """The flow of (W', M, G, P, V), where Z = Z₀P + YQG and V = OZ, O random.

    B: A' = BYQ and OYQ.  Errors of W' and V have the norms of those of W and, nearly, of Z.
    speed: s²c², by which the rates are larger than the full problem's.
    """

    speed: float = 1.0

    def loss(self, task, w):
        raise ValueError("A core has no loss by itself; Reduction.loss(state) is that in full.")

    def velocity(self, task, w):
        W, M, G, P, V = w
        A, seen = self.B
        S = W @ W.T
        return A - M @ W, A @ W.T - M @ S, W.T - G @ S, -(P @ S), seen @ W.T - V @ S


def core_of(rule, scale, A, seen):
    """The core of `rule`, with `scale` the product of those of inputs and outputs, c and s.

    Also on words, which prove it.
    """
    numbers = lambda value: tuple(of_layer(value, k) for k in (0, 1, 1, 1, 1))
    rates = tuple(scale * scale * rate for rate in numbers(rule.rates))
    return Core((A, seen), scale * scale, decay=numbers(rule.decay), rates=rates)


@dataclass(frozen=True, eq=False)
class Recovery:
    """The way from a core's state to (W, Z).

    |P| ≤ √r and |G|² ≤ ρ₂(sc)²rt/2 as long as nothing grows by itself, for d|G|² is at most
    2ρ(tr GW' - |GW'|²) ≤ ρr/2: of the digits of Z few are lost, however stiff or unstable the flow.
    """

    Q: Any
    Z0: Any
    Y: Any
    scale: float
    V0: Any
    seen: Any

    places = (0, 4)

    @cached_property
    def pulls(self):
        """YQ: made when it is first asked for, as it costs as much as a velocity in full."""
        return self.Y @ (self.Q / self.scale)

    def matrix(self, k, state):
        """W or Z."""
        W, _, G, P, _ = state
        if k == 0:
            return W @ self.Q.T
        return self.Z0 @ P + self.pulls @ G

    def lost(self, state):
        """What rounding makes of Z that is recovered, beside that which is carried along."""
        _, _, G, P, V = state
        return 0.0, np.linalg.norm(V - (self.V0 @ P + self.seen @ G))


def cored(reduction, pulled, scale):
    """The reduction with the core of what it reduces to, two layers on inputs that are white.

    pulled: BY.  scale: sc.
    """
    rule, (W, Z), Y = reduction.rule, reduction.w0, reduction.task.Y
    hidden, A = len(W), pulled / scale
    Q = np.linalg.qr(np.hstack([A.T, W.T]))[0]
    A, W = A @ Q, W @ Q
    probes = np.random.default_rng(0).standard_normal((PROBES, len(Z))) / np.sqrt(PROBES)
    seen, V = probes @ Y @ Q / scale, probes @ Z
    state = (W, rule.B[0] @ Z, np.zeros_like(W.T), np.eye(hidden), V)
    task = replaced(reduction.task, X=Diagonal(hidden), Y=A, output_scale=1)
    return replaced(
        reduction,
        rule=core_of(rule, scale, A, seen),
        task=task,
        w0=state,
        parts=(*reduction.parts, f"the core of feedback alignment, of {hidden} hidden units"),
        recovery=Recovery(Q, Z, Y, scale, V, seen),
    )


def most_rank(n, m, r):
    """Up to which rank of the targets it costs less to reduce n outputs and m inputs to their span.

    None where the core of `r` hidden units costs more than the problem in full.
    """
    q = min(m, 2 * r)
    core = _velocity(8 * r * r * q + 4 * r**3, 2 * r * (q + r) + PROBES * r, 15)
    if core > _velocity(6 * n * m * r, r * (n + m), 6):
        return None
    made = EVALUATIONS * core + 6 * n * m * r + PIVOTED * m * q**2 / 10
    ranks = np.arange(1 + min(n, m))
    rows, columns = np.minimum(n, ranks + r), np.minimum(m, ranks + r)
    spans = EVALUATIONS * _velocity(6 * rows * columns * r, r * (rows + columns), 6)
    spans = spans + PIVOTED * (n * rows**2 + m * columns**2)
    return int(np.count_nonzero(spans < made)) - 1


def _velocity(flops, entries, calls):
    """What a velocity and its share of a step cost, in products of two numbers."""
    return flops + ENTRY * entries + CALL * calls
