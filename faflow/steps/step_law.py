"""What one step of feedback alignment must satisfy, and how well that can be seen."""

from dataclasses import dataclass, replace

import numpy as np

from .foreign import outgoing_of

THRESHOLDS = {53: 1e-9, 24: 1e-4, 11: 1e-2, 8: 5e-2}
"""Relative residual up to which a law holds, by the bits of the numbers."""

SAFETY = 4
"""Standard deviations of rounding that a whole layer is allowed."""

SAFETY_OF_ONE = 10
"""The same for a single unit, of which there may be thousands."""

ARITHMETIC = 4
"""Roundings that an entry of an update has gone through, at a guess."""

MOVED = 4
"""Half last places beyond which a weight has moved, and was not stored again."""

FAR = 100
"""How many times more a bias moved where it shows that weights should have, too."""

RANK = 1e-13
"""Singular values below this share of the largest count as zero; a rank too large tells less."""


@dataclass(frozen=True, eq=False)
class Measured:
    """How well a law holds, as relative residuals and the floors that rounding sets them.

    parts: (residual, floor) of all that must hold, the law of the whole layer first.
    units: residuals and floors unit by unit; rounding may hide some.
    """

    parts: list
    units: tuple

    def verdict(self, threshold):
        """ok, fault or undecided; no residual below its floor speaks for or against anything."""
        if any((r > np.maximum(threshold, f)).any() for r, f in (*self.parts, self.units)):
            return "fault"
        sure = all(r <= threshold and f <= threshold for r, f in self.parts)
        return "ok" if sure else "undecided"

    def worst(self, threshold):
        """The residual and the floor that decide."""
        every = [*self.parts, *zip(*self.units, strict=True)]
        bad = [(r, f) for r, f in every if r > max(threshold, f)]
        return self.parts[0] if self.parts[0] in bad or not bad else max(bad)


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden layer in one step, with the layer above it.

    W: (units, in) weights into its units, the biases a column.  V: (units, out) weights out of
    them.  F, G: how these moved, but for a factor.  In a linear layer with biases W has one row
    more, which reads the bias, and V and G have the biases above.
    whole: whether the layer is linear and flat, so that its law is one of matrices.
    bits: of the numbers.  moved, moved_above: whether any weight or bias did, beyond rounding.
    changed: whether any number in either layer is another.
    still: whether weights did not move, but biases by what is far above the weights' rounding.
    """

    W: np.ndarray
    F: np.ndarray
    V: np.ndarray
    G: np.ndarray
    F_rounding: np.ndarray
    G_rounding: np.ndarray
    degree: int
    whole: bool
    bits: int
    moved: bool
    moved_above: bool
    changed: bool
    still: bool

    @property
    def told(self):
        """How many independent errors come from above at most: those of a softmax sum to zero."""
        total = np.linalg.norm(self.G.sum(axis=1))
        return self.G.shape[1] - int(total < 1e-6 * np.linalg.norm(self.G))

    @property
    def samples(self):
        """How many independent errors the layer above has shown, beyond rounding."""
        sizes = np.linalg.svd(self.G, compute_uv=False)
        least = max(RANK * sizes[0], SAFETY * np.linalg.norm(self.G_rounding))
        return int(np.count_nonzero(sizes > least))

    def pair(self, left, right):
        """left·rightᵀ, its diagonal alone unless the layer is linear."""
        if self.whole:
            return left @ right.T
        return np.einsum("jk,jk->j", left, right)

    def led_to(self, above):
        """This layer's moves beside those of the last layer, where all between are linear.

        above: all hidden layers above, upwards.  In the place of W stands what leads from its
        inputs to those of the last layer.  None where one is not linear, or lacks biases below.
        """
        way = self.W
        for h in above:
            if not (self.whole and h.whole and h.W.shape[1] == len(way)):
                return None
            way = h.W @ way
        last = above[-1]
        bits = min(self.bits, last.bits)
        return replace(self, W=way, V=last.V, G=last.G, G_rounding=last.G_rounding, bits=bits)

    def sides(self, B):
        """ΔWᵢWᵢᵀ and degree·Bᵢ₊₁ΔWᵢ₊₁: equal after a step of feedback alignment.

        Both are the sum over samples of what the layer is told times what it says: an error of
        the layer δ = φ'(z)·Bδ₊ makes ΔW = δxᵀ and ΔW₊ = δ₊φ(z)ᵀ, with z = Wx and, where φ is
        homogeneous, zφ'(z) = degree·φ(z).  Whatever the data, the loss and the step size.
        """
        return self.pair(self.F, self.W), self.degree * self.pair(B, self.G)

    def measure(self, B):
        """How well the law holds for this feedback, in the layer and unit by unit.

        A linear layer's ΔW = B(Σδ₊xᵀ) and ΔW₊ᵀ = (Σδ₊xᵀ)Wᵀ have more in them: columns of ΔW are
        among those of B, and rows of ΔW₊ among those of Wᵀ.  With the law of matrices this is all:
        then there are samples of which it is the step.
        """
        left, right = self.sides(B)
        rounding = self.pair(self.F_rounding**2, self.W**2)
        rounding = rounding + self.degree**2 * self.pair(B**2, self.G_rounding**2)
        size = lambda M: np.sqrt(np.sum(M.reshape(len(M), -1) ** 2, axis=1))  # unit by unit
        gap, sides, floor = size(left - right), (size(left), size(right)), np.sqrt(rounding)
        scale = sum(map(np.linalg.norm, sides))
        if scale == 0:
            return Measured([(np.nan, np.inf)], (np.zeros(1), np.full(1, np.inf)))
        parts = [(np.linalg.norm(gap) / scale, SAFETY * np.linalg.norm(floor) / scale)]
        if self.whole:
            parts += [
                beyond(self.F, self.F_rounding, B),
                beyond(self.G, self.G_rounding, self.W),
            ]
        each = np.where(sum(sides) > 0, sum(sides), np.inf)
        floors = np.where(sum(sides) > 0, SAFETY_OF_ONE * size(floor) / each, np.inf)
        return Measured(parts, (gap / each, floors))


def beyond(moved, rounding, M):
    """The share of columns that is none of those of `M`, and its floor."""
    columns = np.linalg.svd(M, full_matrices=False)[0][:, : rank(M)]
    total = np.linalg.norm(moved)
    if total == 0 or columns.shape[1] == len(M):
        return 0.0, 0.0
    share = np.linalg.norm(moved - columns @ (columns.T @ moved)) / total
    return share, SAFETY * np.linalg.norm(rounding) / total


def rank(M, loosely=False):
    """Rank in floats."""
    return np.linalg.matrix_rank(M, rtol=np.sqrt(RANK) if loosely else RANK)


def hidden(step, k, activation, rates, decay):
    """Hidden layer `k` in a step."""
    (below, new), (above, new_above) = ([state[j] for state in step] for j in (k, k + 1))
    units, bits = len(below.weight), min(below.bits, new.bits, above.bits, new_above.bits)
    # of channels the greatest alone may go on, from other places in each: they have the diagonal
    whole = activation.name == "linear" and below.weight.ndim == above.weight.ndim == 2
    with_biases = whole and below.bias is not None and above.bias is not None

    def out_of(layer):
        rows = outgoing_of(layer.weight, units)
        return np.vstack([rows, layer.bias]) if with_biases else rows

    sizes = lambda old, new: np.maximum(np.abs(old), np.abs(new))
    least = 2.0**-14 if bits == 11 else 0.0  # below it float16 has no fewer digits after the point

    def velocity(old, new, j):
        """How weights of layer `j` moved, and the standard deviation of its rounding."""
        velocity = (new - old + decay[j] * old) / rates[j]
        stored = np.maximum(sizes(old, new), least) / abs(rates[j]) / np.sqrt(3)
        if decay[j]:  # what is left is stored on the way, and the decay, rounded, pulls all one way
            stored = stored * np.sqrt(2 + 3 * old.shape[1] * decay[j] ** 2)
        size = np.abs(velocity)
        typical = np.sqrt(np.mean(size**2))  # an entry may be what is left of larger terms
        return velocity, (stored + ARITHMETIC * np.maximum(size, typical)) / 2**bits

    last = lambda a, b: MOVED * np.maximum(sizes(a, b), least) / 2**bits
    far = lambda a, b: bool((np.abs(a - b) > last(a, b)).any())
    moved = lambda old, new: any(far(*both) for both in _numbers(old, new))

    def still(old, new):
        """Whether weights did not move, but biases by what is far above the weights' rounding."""
        if old.bias is None or far(old.weight, new.weight):
            return False
        return bool(np.abs(new.bias - old.bias).max() > FAR * last(old.weight, new.weight).max())

    W, V = into(below), out_of(above)
    F, F_rounding = velocity(W, into(new), k)
    G, G_rounding = velocity(V, out_of(new_above), k + 1)
    return Hidden(
        np.vstack([W, np.eye(W.shape[1])[-1]]) if with_biases else W,
        F,
        V,
        G,
        F_rounding,
        G_rounding,
        activation.degree,
        whole,
        bits,
        moved(below, new),
        moved(above, new_above),
        any((a != b).any() for a, b in (*_numbers(below, new), *_numbers(above, new_above))),
        still(below, new),
    )


def _numbers(old, new):
    """Weights before and after, and biases where there are any."""
    biases = [] if old.bias is None else [(old.bias, new.bias)]
    return [(old.weight, new.weight), *biases]


def into(layer):
    """Weights into each unit of a layer, a row each, its bias last."""
    rows = layer.weight.reshape(len(layer.weight), -1)
    return rows if layer.bias is None else np.hstack([rows, layer.bias[:, None]])
