"""Which fault a step that is none of feedback alignment shows: each by a law of its own.

A fault is named only where what it must satisfy holds to rounding; what is named for nothing else
is left open.
"""

from dataclasses import dataclass, replace

import numpy as np

from .step_law import SAFETY, judged

TIES = 3
"""Entries of a clipped update that share its largest size, in several rows and columns."""

RANK = 1e-13
"""Singular values below this share of the largest count as zero; a rank too large tells less."""


MEANING = {
    "gradient descent": "errors come back through the weights' own transpose",
    "B transposed": "of the other layout, where the shape does not tell",
    "scale": "what B, or the rate of the layer over that above, is multiplied by",
    "weight decay": "times the learning rate, the same in both layers",
    "momentum": "part of the last step added to each; the first step passes",
    "clipped at": "entries end at one size, each for itself",
    "no update": "gradients are zero or do not arrive, or weights are not in the optimiser",
    "no slope φ'": "errors pass the layer without being multiplied by it",
    "another B": "one fits: drawn anew, of other signs, or in place of direct feedback",
    "another B in each step": "drawn anew for each, or made of weights that moved",
    "direct feedback": "errors come straight from the output, through any matrix",
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
    names: of the layer and the one above.
    """

    steps: list
    previous: list
    B: np.ndarray
    turned: np.ndarray | None
    direct: list | None
    last: bool
    names: tuple
    threshold: float

    def only(self, numbers):
        """The same in some of its steps alone."""
        some = lambda given: [given[n] for n in numbers]
        direct = self.direct and some(self.direct)
        return replace(self, steps=some(self.steps), previous=some(self.previous), direct=direct)


def faults(suspect):
    """(faults that fit, names of those that these steps cannot tell).

    Sought first are those with nothing free, then those with a number, then with a matrix.
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
    return all(judged(h.measure(B), threshold) == "ok" for h, B in both)


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
    rank = _rank(suspect.B)
    if rank == len(suspect.B):
        return None
    columns = np.linalg.svd(suspect.B, full_matrices=False)[0][:, :rank]
    for h in suspect.steps:
        beyond, size = h.F - columns @ (columns.T @ h.F), np.linalg.norm(h.F)
        floor = SAFETY * np.linalg.norm(h.F_rounding) / size
        if judged((np.linalg.norm(beyond) / size, floor), suspect.threshold) != "ok":
            return False
    return Fault("no slope φ'")


def another_b(suspect):
    """Some feedback fits, one in all of the steps."""
    fits = feedback_fits(suspect.steps, suspect.threshold)
    return fits and Fault("another B")


def another_b_each(suspect):
    """Some feedback fits in each step, but none in all of them."""
    if len(suspect.steps) == 1 or another_b(suspect) is not False:
        return False
    alone = [feedback_fits([h], suspect.threshold) for h in suspect.steps]
    return None if None in alone else all(alone) and Fault("another B in each step")


def direct_feedback(suspect):
    """Errors come straight from the output: told where all layers from here on are linear.

    There ΔWᵢ(W_{L-1}⋯Wᵢ)ᵀ = BᵢΔW_L for one Bᵢ, which another B between neighbours fits as well,
    Bᵢ(Bᵢ₊₁)⁺, if the layer between is as wide as the output.  No other network's updates tell.
    """
    if suspect.last:
        return False
    fits = suspect.direct and feedback_fits(suspect.direct, suspect.threshold)
    return fits and Fault("direct feedback")


def feedback_fits(steps, threshold):
    """Whether the law holds for some feedback, one in all steps.

    None where some feedback always fits: where there are no more equations than unknowns, of which
    a unit has one for all it sends to.  Each step makes one equation a unit, or in a linear layer
    as many as its weights W have independent rows, in the space of which both sides lie.
    """
    left = [h.pair(h.F, h.W) / h.degree for h in steps]
    if steps[0].whole:
        equations = np.vstack([h.G for h in steps])
        if _rank(equations) >= sum(_rank(h.W, loosely=True) for h in steps):
            return None
        found = np.linalg.lstsq(equations, np.hstack(left).T, rcond=RANK)[0].T
    else:
        systems = np.array([h.G for h in steps]).swapaxes(0, 1)  # (units, steps, out)
        if any(A.any() and _rank(A) == len(A) for A in systems):
            return None
        both = zip(systems, np.array(left).T, strict=True)
        found = np.array([np.linalg.lstsq(A, b, rcond=RANK)[0] for A, b in both])
    return holds(steps, [found] * len(steps), threshold)


def clipped(suspect):
    """Entries of updates heap up at one size, in several rows and columns."""
    ends = []
    for h in suspect.steps:
        parts = zip(suspect.names, (h.F, h.G), (h.F_rounding, h.G_rounding), strict=True)
        heaped = [(name, np.abs(M).max()) for name, M, error in parts if _heaped(M, error)]
        if not heaped:
            return False
        ends += heaped
    where = [name for name in suspect.names if name in dict(ends)]
    return Fault("clipped at", float(ends[0][1]), " and ".join(where))


def _heaped(M, rounding):
    """Whether more entries are as large as the largest than are a little smaller."""
    size, width = np.abs(M), 2 * rounding.max()
    at = size >= size.max() - width
    below = (size >= size.max() - 10 * width) & ~at
    spread = min(len(set(along)) for along in np.nonzero(at))
    return (
        spread > 1 and at.sum() >= TIES and at.sum() > 3 * below.sum() and size.max() > 100 * width
    )


def _alone(numbers):
    """Whether fewer than two numbers are there to fit one by."""
    size = np.abs(numbers)
    return np.count_nonzero(size > 1e-6 * size.max()) < 2


def _rank(M, loosely=False):
    return np.linalg.matrix_rank(M, rtol=np.sqrt(RANK) if loosely else RANK)


KINDS = (
    {"gradient descent": gradient_descent, "B transposed": transposed},
    {"clipped at": clipped, "scale": scale, "weight decay": weight_decay, "momentum": momentum},
    {
        "no slope φ'": without_slope,
        "another B": another_b,
        "another B in each step": another_b_each,
        "direct feedback": direct_feedback,
    },
)
"""What is sought, by what is free in it."""
