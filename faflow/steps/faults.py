"""Which fault a step that is none of feedback alignment shows: each by a law of its own.

A fault is named only where what it must satisfy holds to rounding, or entries show it by their
sizes; what is named for nothing else is left open.
"""

from dataclasses import dataclass, replace

import numpy as np

from .step_law import RANK, Measured, beyond, rank

TIES = 3
"""Entries of a clipped update that share its largest size, in several rows and columns."""

ONE_SIZE = 1e-3
"""How far entries of one size differ, relative to it."""

INFORMATIVE = 1e3
"""How many times its threshold some feedback must miss steps that are put together wrongly."""

MEANING = {
    "gradient descent": "errors come back through the weights' own transpose",
    "B transposed": "of the other layout, where the shape does not tell",
    "scale": "what B, or the rate of the layer over that above, is multiplied by",
    "weight decay": "times the learning rate, the same in both layers",
    "momentum": "part of the last step added to each; the first step passes",
    "clipped at": "entries end at one size, each for itself",
    "entries of one size": "signs alone, as in the first step of Adam, or clipped very low",
    "no update": "gradients are zero, do not arrive, or weights are not in the optimiser",
    "no slope φ'": "errors pass as if all units were open; or all are, and something else is wrong",
    "another B": "one fits: drawn anew, of other signs, or in place of direct feedback; in a linear"
    " layer one always does to as few samples as there are errors from above",
    "another B in each step": "drawn anew for each, or made of weights that moved",
    "direct feedback": "errors come by one matrix from the output, or past a wrong linear layer",
}
"""The names of faults, and what they say."""


@dataclass(frozen=True)
class Fault:
    """A fault by its name, with the number that fits where there is one."""

    name: str
    value: float | None = None
    where: str = ""

    def __str__(self):
        value = "" if self.value is None else f" {self.value:.6g}"
        return f"{self.name}{value}{' in ' * bool(self.where)}{self.where}"


@dataclass(frozen=True, eq=False)
class Suspect:
    """A hidden layer in the steps to be explained.

    previous: the same in the step before each, or None.
    B: in the shape of `Hidden.V`.  turned: B of the other layout, or None.
    direct: in each step with `Hidden.V` and `Hidden.G` of the last layer, and for W what leads
        from the same inputs there, or None where a layer on the way is not linear.
    last: whether the layer above is the last, so that direct feedback is no other.
    told: how many independent errors come from above at most, by the widths there.
    names: of the layer and the one above.
    """

    steps: list
    previous: list
    B: np.ndarray
    turned: np.ndarray | None
    direct: list | None
    last: bool
    told: int
    names: tuple
    threshold: float

    def only(self, numbers):
        """The same in some of its steps alone."""
        some = lambda given: [given[n] for n in numbers]
        direct = self.direct and some(self.direct)
        return replace(self, steps=some(self.steps), previous=some(self.previous), direct=direct)


def faults(suspect):
    """(faults that fit, names of those that these steps cannot tell).

    Sought first are those with nothing free, then those with a number, then with a matrix, or
    without a law.
    """
    cannot_tell = []
    for kinds in KINDS:
        seen = {name: kind(suspect) for name, kind in kinds.items()}
        fits = tuple(fault for fault in seen.values() if fault)
        if fits:
            return fits, ()
        cannot_tell += [name for name, fault in seen.items() if fault is None]
    return (), tuple(cannot_tell)


# Each of these returns the fault, False where it is none, or None where that cannot be told.


def holds(steps, feedback, threshold):
    """Whether the law holds in all steps, each with its feedback."""
    both = zip(steps, feedback, strict=True)
    return all(h.measure(B).verdict(threshold) == "ok" for h, B in both)


def gradient_descent(suspect):
    """Errors came back through the transposed weights."""
    own = [own_weights(h) for h in suspect.steps]
    return holds(suspect.steps, own, suspect.threshold) and Fault("gradient descent")


def transposed(suspect):
    """B was taken for its transpose, where the shape allows it."""
    if suspect.turned is None:
        return False
    turned = [suspect.turned] * len(suspect.steps)
    return holds(suspect.steps, turned, suspect.threshold) and Fault("B transposed")


def scale(suspect):
    """A number times B fits, or the rates of the two layers are not as they were said to be."""
    sides = [h.sides(suspect.B) for h in suspect.steps]
    left, right = (np.concatenate([np.ravel(s[n]) for s in sides]) for n in (0, 1))
    if _alone(right):
        return None
    c = float(left @ right / (right @ right))
    return holds(suspect.steps, [c * suspect.B] * len(sides), suspect.threshold) and Fault(
        "scale", c
    )


def weight_decay(suspect):
    """Both layers lost the same part of themselves besides."""
    return _shifted("weight decay", suspect, [(h.W[: len(h.F)], h.V) for h in suspect.steps])


def momentum(suspect):
    """Part of the step before was added to each."""
    later = [n for n, h in enumerate(suspect.previous) if h is not None]
    suspect = suspect.only(later)
    return _shifted("momentum", suspect, [(-h.F, -h.G) for h in suspect.previous])


def _shifted(name, suspect, more):
    """The fault that c(F', G') added to (F, G) undoes, 0 < c < 1.

    more: (F', G') in each step.
    """
    if not more:
        return None
    both = list(zip(suspect.steps, more, strict=True))
    gap = lambda hs: np.concatenate([np.subtract(*h.sides(suspect.B)).ravel() for h in hs])
    now, change = gap(suspect.steps), gap([replace(h, F=F, G=G) for h, (F, G) in both])
    if _alone(change):
        return None
    c = float(-(now @ change) / (change @ change))
    if not 0 < c < 1:
        return False
    without = [replace(h, F=h.F + c * F, G=h.G + c * G) for h, (F, G) in both]
    return holds(without, [suspect.B] * len(without), suspect.threshold) and Fault(name, c)


def own_weights(h):
    """The transposed weights above, in the place of B."""
    return h.V[: len(h.F)]


def without_slope(suspect):
    """Updates have their columns among those of B, as they do where no slope stands between.

    Not to be told where B has as many independent columns as there are units.
    """
    if suspect.steps[0].whole:
        return False
    if rank(suspect.B) == len(suspect.B):
        return None
    nothing = (np.zeros(0), np.zeros(0))
    seen = [Measured([beyond(h.F, h.F_rounding, suspect.B)], nothing) for h in suspect.steps]
    fits = all(m.verdict(suspect.threshold) == "ok" for m in seen)
    return fits and Fault("no slope φ'")


def another_b(suspect):
    """Some feedback fits, one in all of the steps."""
    fits = feedback_fits(suspect.steps, suspect.threshold, suspect.told)
    return fits and Fault("another B")


def another_b_each(suspect):
    """Some feedback fits in each step, but none in all of them."""
    if len(suspect.steps) == 1 or another_b(suspect) is not False:
        return False
    alone = [feedback_fits([h], suspect.threshold, suspect.told) for h in suspect.steps]
    return None if None in alone else all(alone) and Fault("another B in each step")


def direct_feedback(suspect):
    """Errors come straight from the output: told where all layers from here on are linear.

    There ΔWᵢ(W_{L-1}⋯Wᵢ)ᵀ = BᵢΔW_L for one Bᵢ, which another B between neighbours fits as well,
    Bᵢ(Bᵢ₊₁)⁺, if the layer between is as wide as the output.  No other network's updates tell.
    """
    if suspect.last:
        return False
    if not suspect.direct:
        return None
    fits = feedback_fits(suspect.direct, suspect.threshold, suspect.direct[0].told)
    return fits and Fault("direct feedback")


def feedback_fits(steps, threshold, told):
    """Whether the law holds for some feedback, one in all steps.

    None where some feedback fits whatever the fault: where there are no more equations than
    unknowns, or they follow from one another, as those of a smooth path do, which also fit when
    what units of one step say is put beside what others are told.
    A unit has an unknown for all it sends to, and an equation for each step.  A linear layer has
    in a step as many as its samples are independent, at most those its weights have rows; that
    samples are more than the errors `told` from above is seen by all of these.
    """
    left = [h.pair(h.F, h.W) / h.degree for h in steps]
    if steps[0].whole:
        inputs = [rank(h.W, loosely=True) for h in steps]
        shown = [h.samples for h in steps]
        equations = np.vstack([h.G for h in steps])
        few = any(seen < min(told, most) for seen, most in zip(shown, inputs, strict=True))
        if few or rank(equations) >= sum(inputs):
            return None
        sides = [np.hstack(M).T for M in (left, [np.roll(M, 1, axis=1) for M in left])]
        found, other = (np.linalg.lstsq(equations, side, rcond=RANK)[0] for side in sides)
        missed, size = np.linalg.norm(equations @ other - sides[1]), np.linalg.norm(sides[1])
        found = found.T
    else:
        found, missed, size = _unit_by_unit(steps, np.array(left))
    if not missed > min(0.1, INFORMATIVE * threshold) * size:
        return None
    return holds(steps, [found] * len(steps), threshold)


def _unit_by_unit(steps, left):
    """The feedback to each unit; by how much one misses what other units say; the size of that.

    Nothing is missed if fewer than half of the units have more equations than unknowns.
    """
    found, missed, size = np.zeros_like(steps[0].V[: left.shape[1]]), 0.0, 0.0
    active, informative = 0, 0
    for j, equations in enumerate(np.array([h.G for h in steps]).swapaxes(0, 1)):
        there = equations.any(axis=1)
        A = equations[there]
        if not len(A):
            continue
        found[j] = np.linalg.lstsq(A, left[there, j], rcond=RANK)[0]
        active += 1
        if rank(A) == len(A):
            continue
        informative += 1
        other = left[there, j - 1]
        missed += np.sum((A @ np.linalg.lstsq(A, other, rcond=RANK)[0] - other) ** 2)
        size += np.sum(other**2)
    enough = informative > 1 and informative >= active / 2
    return found, enough * np.sqrt(missed), np.sqrt(size)


def clipped(suspect):
    """Entries of updates heap up at one size, in several rows and columns, and others are less."""
    ends = []
    for h in suspect.steps:
        parts = zip(suspect.names, (h.F, h.G), (h.F_rounding, h.G_rounding), strict=True)
        heaped = [(name, np.abs(M).max()) for name, M, error in parts if _heaped(M, error)]
        if not heaped:
            return False
        ends += heaped
    where = [name for name in suspect.names if name in dict(ends)]
    return Fault("clipped at", float(ends[0][1]), " and ".join(where))


def one_size(suspect):
    """All entries that moved at all moved by one size, in both layers and in every step."""
    for h in suspect.steps:
        for M in (h.F, h.G):
            size = np.abs(M[np.abs(M) > 1e-6 * np.abs(M).max()])
            if min(len(set(along)) for along in np.nonzero(M)) < 2 or len(size) <= TIES:
                return False
            alike = np.abs(size - np.median(size)) < ONE_SIZE * np.median(size)
            if np.mean(alike) < 0.9:
                return False
    return Fault("entries of one size")


def _heaped(M, rounding):
    """Whether more entries are as large as the largest than are a little smaller."""
    size, width = np.abs(M), 2 * rounding.max()
    at = size >= size.max() - width
    less = (size < 0.9 * size.max()) & (size > width)
    below = (size >= size.max() - 10 * width) & ~at
    spread = min(len(set(along)) for along in np.nonzero(at))
    many = at.sum() >= TIES and at.sum() > 3 * below.sum() and less.sum() >= at.sum() / 10
    return spread > 1 and many and size.max() > 100 * width


def _alone(numbers):
    """Whether fewer than two numbers are there to fit one by."""
    size = np.abs(numbers)
    return np.count_nonzero(size > 1e-6 * size.max()) < 2


KINDS = (
    {"gradient descent": gradient_descent, "B transposed": transposed},
    {"scale": scale, "weight decay": weight_decay, "momentum": momentum},
    {
        "clipped at": clipped,
        "entries of one size": one_size,
        "no slope φ'": without_slope,
        "another B": another_b,
        "another B in each step": another_b_each,
        "direct feedback": direct_feedback,
    },
)
"""What is sought, by what is free in it."""
