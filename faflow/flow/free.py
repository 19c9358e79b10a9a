"""Where flows of FA are free to move: some combinations of linear units stay as they are.

What is orthogonal, in a linear hidden layer, to the weights into it at the start and to its
feedback stays so, as no error comes back along it.  A correction that moved weights into it would
leave what laws say of their squares, which have no derivative where there are no weights.  (Where
feedback moves, too, as of GD and Kolen-Pollack, corrections of small weights need every direction.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rule import is_number, of_layer
from ..rules import FA

ROUNDING = 1e-12
"""Share of a matrix below which directions are none of its own."""

SLIGHT = 1e-3
"""Share of the largest matrix below which weights that FA never moves are left alone.  Larger ones
are corrected, too, of what rounding adds up to in them."""


@dataclass(frozen=True)
class Free:
    """What corrections of the state are cut to.

    spans: for each matrix of the state the orthogonal projection, (n, n), of its columns; None for
        all of them.  fixed: those of layers while they do not decay.
    """

    spans: tuple
    fixed: tuple = ()

    @classmethod
    def of(cls, rule, w, layers):
        """Of the state `w` of FA, these hidden `layers` being linear; None for other rules."""
        if not isinstance(rule, FA):
            return None
        spans: list[Any] = [None] * len(w)
        fixed, largest = list(spans), max(map(np.linalg.norm, w))
        for k in layers:
            spans[k] = _projection(rule.B[k], w[k])
            fixed[k] = _projection(rule.B[k], w[k], least=SLIGHT * largest)
        return cls(tuple(spans), tuple(fixed))

    def cut(self, rule, number, M):
        """The part that may be of a change `M` of that matrix where the flow is of this `rule`."""
        still = is_number(of_layer(rule.decay, number), 0)
        P = (self.fixed if still else self.spans)[number]
        return M if P is None else P @ M


def _projection(F, W, least=0.0):
    """Onto the columns of F and of W, of these what is larger than `least`; None for everything."""
    U = _columns(F, 0.0)
    V = _columns(W - U @ (U.T @ W), max(least, ROUNDING * np.linalg.norm(W)))
    Q = np.linalg.qr(np.hstack([U, V]))[0]
    return None if Q.shape[1] == len(Q) else Q @ Q.T


def _columns(M, least):
    """An orthonormal basis of what the columns span by more than `least` and than rounding."""
    U, s, _ = np.linalg.svd(M, full_matrices=False)
    return U[:, s > max(least, ROUNDING * s.max(initial=0))]
