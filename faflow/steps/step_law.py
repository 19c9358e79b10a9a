"""What one step of feedback alignment must satisfy, and how well that can be seen."""

from dataclasses import dataclass, replace

import numpy as np

from .foreign import bits_of, outgoing_of

THRESHOLDS = {53: 1e-9, 24: 1e-4, 11: 1e-2, 8: 5e-2}
"""Relative residual up to which a law holds, by the bits of the numbers."""

SAFETY = 3
"""Standard deviations of rounding; one number alone is never off by more than two."""

ARITHMETIC = 4
"""Roundings that an entry of an update has gone through, at a guess."""

MOVED = 4
"""Half last places beyond which a weight has moved, and was not stored again."""


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden layer in one step, with the layer above it.

    W: (units, in) weights into its units, the biases a column.  V: (units, out) weights out of
    them.  F, G: how these moved, but for a factor.  In a linear layer with biases W has one row
    more, which reads the bias, and V and G have the biases above.
    whole: whether the layer is linear, so that its law is one of matrices.
    bits: of the numbers.  moved, moved_above: whether any weight did, beyond rounding.
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
        """Relative residual of the law for this feedback, and the floor that rounding sets it."""
        left, right = self.sides(B)
        scale = np.linalg.norm(left) + np.linalg.norm(right)
        if scale == 0:
            return np.nan, np.inf
        rounding = np.sum(self.pair(self.F_rounding**2, self.W**2)) + self.degree**2 * np.sum(
            self.pair(B**2, self.G_rounding**2)
        )
        return np.linalg.norm(left - right) / scale, SAFETY * np.sqrt(rounding) / scale


def judged(measured, threshold):
    """ok, fault or undecided; no residual below its floor speaks for or against anything."""
    residual, floor = measured
    if residual > max(threshold, floor):
        return "fault"
    return "ok" if residual <= threshold and floor <= threshold else "undecided"


def hidden(step, k, activation, rates, decay):
    """Hidden layer `k` in a step."""
    (below, new), (above, new_above) = ([state[j] for state in step] for j in (k, k + 1))
    units, bits = len(below.weight), min(bits_of(below, new), bits_of(above, new_above))
    linear = activation.name == "linear"
    flat = below.weight.ndim == above.weight.ndim == 2
    with_biases = linear and flat and below.bias is not None and above.bias is not None

    def out_of(layer):
        rows = outgoing_of(layer.weight, units)
        return np.vstack([rows, layer.bias]) if with_biases else rows

    def velocity(old, new, j):
        """How weights of layer `j` moved, and the standard deviation of its rounding."""
        velocity = (new - old + decay[j] * old) / rates[j]
        stored = np.maximum(np.abs(old), np.abs(new)) / abs(rates[j]) / np.sqrt(3)
        return velocity, (stored + ARITHMETIC * np.abs(velocity)) / 2**bits

    def moved(old, new):
        """Whether any weight did; biases alone do not tell."""
        last = np.maximum(np.abs(old.weight), np.abs(new.weight)) / 2**bits
        return bool((np.abs(new.weight - old.weight) > MOVED * last).any())

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
        linear,
        bits,
        moved(below, new),
        moved(above, new_above),
    )


def into(layer):
    """Weights into each unit of a layer, a row each, its bias last."""
    rows = layer.weight.reshape(len(layer.weight), -1)
    return rows if layer.bias is None else np.hstack([rows, layer.bias[:, None]])
