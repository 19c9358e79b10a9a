"""The part of a first layer that feedback reaches: all that moves of it without weight decay.

Feedback B with fewer columns than rows moves W₁ within its range alone.  For orthonormal
O = [Q, Q'] with Q'ᵀB = 0 the network with OᵀW₁, W₂O and OᵀB in place of W₁, W₂ and B has the same
flow, and of its first layer only the rows QᵀW₁ move.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..matrices.still import Still
from ..matrices.unformed import Unformed
from ..nets import replaced, with_ones
from ..rule import Piecewise, of_layer
from ..rules import DFA, FA
from ..symbolic.reductions import rest_unproved


@dataclass(frozen=True, eq=False)
class Resting:
    """The way from (QᵀW₁, W₂O, …) to (W₁, W₂, …).

    O: (h, h).  rest: Q'Q'ᵀW₁, which stands still.  places: of all matrices in the state.
    rule, task: the problem with the whole first layer.
    """

    O: Any
    rest: Any
    places: range
    rule: Any
    task: Any

    def matrix(self, k, state):
        M, units = state[k], len(self.O)
        if k == 0:
            return self.O[:, : len(M)] @ M + self.rest
        return M if k > 1 else np.hstack([M[:, :units] @ self.O.T, M[:, units:]])

    def whole(self, state):
        """The state of the problem with the whole first layer."""
        return tuple(self.matrix(k, state) for k in self.places)

    def lost(self, state):
        """Nothing is, of any digits."""
        return np.zeros(len(self.places))


def rested(reduction, most, least=0):
    """The reduction with the units alone that feedback reaches, or as it is.

    most: share of the first layer that they may be.  least: entries from which it is worth it.
    """
    rule, task, w0 = reduction.rule, reduction.task, reduction.w0
    depth = len(rule.weights(w0))
    if type(rule) not in (FA, DFA) or depth < 2 or isinstance(task.X, Unformed):
        return reduction
    units, reached = rule.B[0].shape
    if reached > most * units or w0[0].size < least:
        return reduction
    why = rest_unproved(rule, depth, task.bias)
    decay = of_layer(rule.decay, 0)
    if isinstance(decay, Piecewise) or decay:
        why = "the first layer decays, also where feedback does not reach it"
    if why:
        return replaced(reduction, left=(*reduction.left, why))
    O = np.linalg.qr(rule.B[0], mode="complete")[0]
    W, above = w0[0], w0[1]
    moving, held = np.split(O.T @ W, [reached])
    turned = np.hstack([above[:, :units] @ O, above[:, units:]])
    X = Still(task.X, held @ (with_ones(task.X) if task.bias else task.X))
    return replaced(
        reduction,
        rule=replaced(rule, B=(O[:, :reached].T @ rule.B[0], *rule.B[1:])),
        task=replaced(task, X=X),
        w0=(moving, turned, *w0[2:]),
        parts=(*reduction.parts, f"{units} units of the first layer as the {reached} that move"),
        recovery=Resting(O, O[:, reached:] @ held, range(len(w0)), rule, task),
    )
