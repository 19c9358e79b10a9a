"""How far corrections of Kolen-Pollack's laws move the state: along what is small in it, little.

In a linear hidden layer the flow and its steps multiply weights into it, W₁, and its feedback B on
their right, so that what is orthogonal to both stays nothing, and what is small changes by a share
of itself.  The nearest state on the level set does not: laws of the layer above move B by W₂ᵀ, and
W₂ - Bᵀ is not small.  It would leave what this layer's law says of squares there, which nothing
small corrects.  So a change M of the feedback is cut to H₁MH₂, and one of weights likewise, with
H = A/(A + ε) of each layer, A = W₁W₁ᵀ/r₁² + BBᵀ/r₂² (halved where W₂ - Bᵀ holds two of them
together): nearly all of M but where weights are small.
"""

from dataclasses import dataclass
from typing import Any

from .free import right
from .kept import divided

SLIGHT = 1e-6
"""ε, as a share of the largest |W|² of a layer."""

PLAIN = 1e-2
"""Least share that H leaves of any direction, above which all of them stand out of rounding."""

ROUNDING = 1e-12
"""Share of the largest below which a law, solved alone, has nothing to be corrected by: conjugate
gradients would multiply rounding by its inverse."""

NOTHING = 1e-16
"""Share that H leaves where there is nothing but rounding."""


@dataclass(frozen=True)
class Reach:
    """What corrections are cut to at one state.

    parts: for each hidden layer H, its root, its eigenvalues, those of A, and the eigenvectors of
        all; None where no matrix is conserved.  xp: NumPy or JAX's.
    """

    parts: tuple
    xp: Any

    @classmethod
    def of(cls, kept, rule, w, xp):
        """At the state `w`, where of `kept` each W₂ - Bᵀ is held."""
        sides = {one.k: one.sides(rule, w) for one in kept if one.symmetric}
        most = xp.max(xp.stack([sum(xp.sum(M * M) for M in pair) for pair in sides.values()]))
        made = cls((), xp)
        for k in range(len(rule.weights(w)) - 1):
            part = None
            if k in sides:
                W, F = sides[k]
                V, a = _squares(xp.concat([made._cut_right(W, k - 1, 1), F], axis=1), xp)
                h = a / (a + SLIGHT * most)
                part = V * h @ V.T, V * h**0.5 @ V.T, h, a, V
            made = cls((*made.parts, part), xp)
        return made

    @property
    def plain(self):
        """Whether all directions stand out of rounding; of NumPy's arrays."""
        plain = lambda h: ((h > PLAIN) | (h < NOTHING)).all()
        return all(part is None or plain(part[2]) for part in self.parts)

    def cut(self, rule, moves):
        """The part that may be of changes {number of a matrix: M} where the flow is of `rule`."""
        depth, made = len(self.parts) + 1, {}
        for number, M in moves.items():
            k = number % depth
            left = self.parts[k] if k < depth - 1 else None
            M = M if left is None else left[0] @ M
            made[number] = self._cut_right(M, k - 1 if number < depth else k + 1)
        return made

    def _cut_right(self, M, k, root=0):
        """Its columns, but for biases, by H of layer `k` or by its root, where there is one."""
        if not 0 <= k < len(self.parts) or self.parts[k] is None:
            return M
        return right(M, self.parts[k][root], self.xp)

    def alone(self, one, rule, w, ndim, xp):
        """R to what corrects it by law `one` alone, R of so many dimensions: nearly."""
        if not one.symmetric:
            return one.inverse(rule, w, ndim, xp)
        h, a, V = self.parts[one.k][2:]
        squares = 2 * (h[:, None] * a + a[:, None] * h)
        return lambda R: V @ divided(V.T @ R @ V, squares, xp, ROUNDING) @ V.T


def _squares(M, xp):
    """Eigenvectors and eigenvalues of MMᵀ, these as exact as M, which is wide or has zeros."""
    V, s, _ = xp.linalg.svd(xp.linalg.qr(M.T, mode="r").T)
    return V, xp.concat([s, xp.zeros(len(M) - len(s))]) ** 2
