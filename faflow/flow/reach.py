"""How far corrections of Kolen-Pollack's laws move the state: along what is small in it, little.

In a linear hidden layer the flow and its steps multiply weights into it, W₁, and its feedback B on
their right, so that what is orthogonal to both stays nothing, and what is small changes by a share
of itself.  The nearest state on the level set does not: laws of the layer above move B by W₂ᵀ, and
W₂ - Bᵀ is not small.  It would leave what this layer's law says of squares there, which nothing
small corrects.  So a change M of the feedback is cut to H₁MH₂, and one of weights likewise, with
H = A/(A + ε) of each layer, A = W₁W₁ᵀ/r₁² + BBᵀ/r₂² (halved where W₂ - Bᵀ holds two of them
together): nearly all of M but where weights are small.  Of layers without a law of matrices only
neurons are so told apart: A is diagonal.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .free import right
from .kept import divided

SLIGHT = 1e-6
"""ε, as a share of the largest |W₁|²/r₁² + |B|²/r₂² of a layer."""

PLAIN = 1e-2
"""Least share that H leaves of any direction, above which all of them stand out of rounding."""

ROUNDING = 1e-14
"""Share of the largest below which a law, solved alone, has nothing to be corrected by: conjugate
gradients would multiply rounding by its inverse."""

NOTHING = 1e-16
"""Share that H leaves below which a law, solved alone or by a factor, is left alone."""


class Layer(NamedTuple):
    """What changes of a hidden layer are cut to, H = V h Vᵀ, with its root, and its law alone.

    a: eigenvalues of A, with vectors V, or the diagonal where A is that; Z, b:
    with ZᵀHZ = 1 and ZᵀAZ = b, where A is cut by the layers on both sides and H is not nothing, so
    that HΛA + AΛH is b∗Λ + Λ∗b of such coordinates.  Of neurons b is the diagonal of that A.
    """

    H: Any
    root: Any
    h: Any
    a: Any
    V: Any
    Z: Any = None
    b: Any = None


@dataclass(frozen=True)
class Reach:
    """What corrections are cut to at one state.

    layers: each hidden one.  xp: NumPy or JAX's.
    """

    layers: tuple
    xp: Any

    @classmethod
    def of(cls, kept, rule, w, xp):
        """At the state `w`, where of `kept` each W₂ - Bᵀ is held."""
        depth, laws = len(rule.weights(w)), {one.k: one for one in kept}
        sides = [(w[k], w[depth + k]) for k in range(depth - 1)]
        for k, one in laws.items():
            sides[k] = one.sides(rule, w)
        matrices = [k in laws and laws[k].symmetric for k in range(depth - 1)]
        most = xp.max(xp.stack([sum(xp.sum(M * M) for M in pair) for pair in sides]))
        most = xp.where(most > 0, most, 1)
        made, into = cls((), xp), []
        for k, (W, F) in enumerate(sides):
            into.append(made._right(W, k - 1, "root"))
            M = xp.concat([into[k], F], axis=1)
            V, a = _squares(M, xp) if matrices[k] else (xp.eye(len(M)), xp.sum(M * M, axis=1))
            h = a / (a + SLIGHT * most)
            made = cls((*made.layers, Layer(V * h @ V.T, V * h**0.5 @ V.T, h, a, V)), xp)
        solved = []
        for k, (_, F) in enumerate(sides):
            M = xp.concat([into[k], made._right(F, k + 1, "root")], axis=1)
            solved.append(_solved(made.layers[k], M, matrices[k], xp))
        return cls(tuple(solved), xp)

    @property
    def plain(self):
        """Whether all directions stand out of rounding; of NumPy's arrays."""
        plain = lambda h: ((h > PLAIN) | (h < NOTHING)).all()
        return all(plain(layer.h) for layer in self.layers)

    def cut(self, rule, moves):
        """The part that may be of changes {number of a matrix: M} where the flow is of `rule`."""
        depth, made = len(self.layers) + 1, {}
        for number, M in moves.items():
            k = number % depth
            M = self.layers[k].H @ M if k < depth - 1 else M
            made[number] = self._right(M, k - 1 if number < depth else k + 1, "H")
        return made

    def _right(self, M, k, name):
        """Its columns, but for biases, by H of hidden layer `k` or by its root."""
        hidden = 0 <= k < len(self.layers)
        return right(M, getattr(self.layers[k], name), self.xp) if hidden else M

    def alone(self, one, rule, w, ndim, xp):
        """R to what corrects it by law `one` alone, R of so many dimensions: nearly."""
        _, _, h, a, V, Z, b = self.layers[one.k]
        if Z is None:
            return lambda R: divided(R, 4 * h * b, xp, ROUNDING)
        squares = h[:, None] * a + a[:, None] * h
        some = squares > ROUNDING * xp.max(squares)

        def solved(R):
            R = divided(Z.T @ xp.where(some, V.T @ R @ V, 0) @ Z, 2 * (b[:, None] + b), xp)
            return V @ xp.where(some, Z @ R @ Z.T, 0) @ V.T

        return solved


def _solved(layer, M, matrix, xp):
    """The same layer with b and, of a `matrix`, Z, where A is MMᵀ."""
    if not matrix:
        return layer._replace(b=xp.sum(M * M, axis=1))
    some = layer.h > NOTHING
    scale = xp.where(some, xp.where(some, layer.h, 1) ** -0.5, 0)[:, None]
    Q, b = _squares(scale * (layer.V.T @ M), xp)
    return layer._replace(Z=scale * Q, b=b)


def _squares(M, xp):
    """Eigenvectors and eigenvalues of MMᵀ, the small ones as exact as M is."""
    V, s, _ = xp.linalg.svd(xp.linalg.qr(M.T, mode="r").T)
    return V, xp.concat([s, xp.zeros(len(M) - len(s))]) ** 2
