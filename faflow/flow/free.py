"""Where flows are free to move: some combinations of linear units stay as they are.

What is orthogonal, in a linear hidden layer, to the weights into it at the start and to its
feedback stays so, as no error comes back along it; of Kolen-Pollack's feedback, too, and of kinked
units those of which all these are zero.  A correction that moved weights into it would leave what
laws say of their squares, which have no derivative where there are no weights.  Gradient descent's
corrections of small weights need every direction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rule import is_number, of_layer
from ..rules import FA, KolenPollack

ROUNDING = 1e-12
"""Share of a matrix below which directions are none of its own, where only corrections are cut."""

EPSILON = np.finfo(float).eps

SLIGHT = 1e-3
"""Share of the largest matrix below which weights that FA never moves are left alone.  Larger ones
are corrected, too, of what rounding adds up to in them."""


@dataclass(frozen=True)
class Free:
    """What corrections of the state are cut to; nothing is where there are no spans.

    spans: for each layer of weights the orthogonal projection, (n, n), of its columns; None for
        all of them.  fixed: those of FA's layers while they do not decay.  Of Kolen-Pollack's
        the state itself is `cleared` of all else, and `Reach` says how far it is corrected.
    """

    spans: tuple = ()
    fixed: tuple = ()
    plain = True

    @classmethod
    def of(cls, kept, rule, w):
        """Of laws `kept` from the state `w` of FA, or of Kolen-Pollack with W₂ - Bᵀ held."""
        depth = len(rule.weights(w))
        spans: list[Any] = [None] * depth
        fixed, largest = list(spans), max(map(np.linalg.norm, w))
        if isinstance(rule, FA):
            for k in [one.k for one in kept if one.symmetric]:  # of others no matrix is conserved
                spans[k] = _projection(rule.B[k], w[k])
                fixed[k] = _projection(rule.B[k], w[k], least=SLIGHT * largest)
            return cls(tuple(spans), tuple(fixed))
        held = [one for one in kept if one.held] if isinstance(rule, KolenPollack) else []
        for one in held:
            k, F = one.k, w[depth + one.k]
            W = right(w[k], spans[k - 1], np) if k else w[k]
            if one.symmetric:
                spans[k] = _projection(F, W, rounding=4 * max(W.shape) * EPSILON)
            else:
                some = W.any(axis=1) | F.any(axis=1)
                spans[k] = None if some.all() else np.diag(1.0 * some)
        return cls(tuple(spans) if held else ())

    def cut(self, rule, moves):
        """The part that may be of changes {number of a matrix: M} where the flow is of `rule`."""
        if not self.spans:
            return moves
        return {number: self._cut(rule, number, M) for number, M in moves.items()}

    def cleared(self, rule, w, xp):
        """A state of Kolen-Pollack without what rounding put where nothing moves; W₂ - Bᵀ stays."""
        w, depth = list(w), len(rule.weights(w))
        for k, P in enumerate(self.spans):
            if P is None:
                continue
            W, F = right(w[k], self.spans[k - 1], xp) if k else w[k], w[depth + k]
            into, back = W - P @ W, F - P @ F
            away = {k: into, depth + k: back, k + 1: back.T}
            if k:
                below = w[depth + k - 1]
                away[depth + k - 1] = into[:, : len(below)].T
            for number, M in away.items():
                w[number] = plus(w[number], -M, xp)
        return tuple(w)

    def alone(self, one, rule, w, ndim, xp):
        """R to what corrects it by law `one` alone, R of so many dimensions."""
        return one.inverse(rule, tuple(self.cut(rule, dict(enumerate(w))).values()), ndim, xp)

    def _cut(self, rule, number, M):
        still = is_number(of_layer(rule.decay, number), 0)
        P = (self.fixed if still else self.spans)[number]
        return M if P is None else P @ M


def right(M, H, xp):
    """M with its columns, but for biases, by H, or as it is for no H."""
    if H is None:
        return M
    n = len(H)
    return M @ H if M.shape[1] == n else xp.concat([M[:, :n] @ H, M[:, n:]], axis=1)


def plus(W, M, xp):
    """W + M, where W may have a column of biases more, which stays."""
    if W.shape == M.shape:
        return W + M
    return xp.concat([W[:, : M.shape[1]] + M, W[:, M.shape[1] :]], axis=1)


def _projection(F, W, least=0.0, rounding=ROUNDING):
    """Onto the columns of F and of W, of these what is larger than `least`; None for everything."""
    U = _columns(F, 0.0, rounding)
    V = _columns(W - U @ (U.T @ W), max(least, rounding * np.linalg.norm(W)), rounding)
    Q = np.linalg.qr(np.hstack([U, V]))[0]
    return None if Q.shape[1] == len(Q) else Q @ Q.T


def _columns(M, least, rounding):
    """An orthonormal basis of what the columns span by more than `least` and than rounding."""
    U, s, _ = np.linalg.svd(M, full_matrices=False)
    return U[:, s > max(least, rounding * s.max(initial=0))]
