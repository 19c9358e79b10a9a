"""What steps of another implementation say of it, layer by layer."""

import textwrap
from dataclasses import dataclass

import numpy as np

from .faults import MEANING, Fault
from .foreign import LAYOUTS

VERDICTS = ("ok", "undecided", "no update", "fault")
"""From good to bad; a layer has the worst of its steps."""

UNSEEN = (
    "Not seen: a factor on the whole step (its sign, the step size, the loss, clipping by the norm"
    " of all), the update of the last layer, and in layers that bend what happens to weights and"
    " biases that are zero, or at right angles to the weights of a unit."
)

COARSER = {53: (2**-22, "32 bits: if so, give threshold=1e-4")}
COARSER[24] = (2**-9, "16 bits: if so, give threshold=1e-2")
"""By the bits of numbers what residuals arithmetic in fewer leaves, and what to do then."""

OTHERWISE = (
    "No law shows: a slope wrong at some points, an adaptive optimiser, entries clipped here and"
    " there, biases or layers left out, normalisation."
)


@dataclass(frozen=True)
class LayerReport:
    """What the steps say of one hidden layer and the feedback to it.

    layer: from 0, next to the input.  law: "neuron", or of a linear layer "matrix".
    residual: of the law, relative, in the worst of the steps; floor: what rounding alone can make.
    bits: of the numbers, seen from them.
    verdict: ok; fault, if the residual is above both floor and threshold; undecided, if the floor
        is above the threshold; or no update.
    fits: the faults whose own law holds to rounding; beside an ok, other rules that fit as well.
    cannot_tell: faults that may be there, but would need more steps or other shapes to be seen.
    """

    layer: int
    name: str
    above: str
    units: int
    law: str
    residual: float
    floor: float
    threshold: float
    bits: int
    verdict: str
    fits: tuple[Fault, ...] = ()
    cannot_tell: tuple[str, ...] = ()
    residuals: tuple[float, ...] = ()

    @property
    def says(self):
        """What goes with the verdict, in words."""
        fits = ", ".join(map(str, self.fits))
        if self.verdict == "ok":
            return f"{fits} fits as well" if fits else ""
        if self.verdict == "undecided":
            if not self.floor < np.inf:
                return "both sides of the law are zero"
            return "rounding hides it: take a larger step, or more digits"
        if fits:
            return fits
        if self.verdict == "no update":
            return f"neither {self.name} nor {self.above} moved"
        left, bits = COARSER.get(self.bits, (0, ""))
        if self.residual < left:
            return f"as little as by arithmetic in {bits}"
        return f"not told: {', '.join(self.cannot_tell)}" if self.cannot_tell else "none that shows"


@dataclass(frozen=True)
class StepReport:
    """Whether steps were feedback alignment; true if every hidden layer is ok.

    layout: how B lies, "W.T" (faflow) or "W" (PyTorch layers); "either" if that cannot be told.
    """

    layers: tuple[LayerReport, ...]
    layout: str
    steps: int

    def count(self, verdict):
        """How many layers have this verdict."""
        return sum(layer.verdict == verdict for layer in self.layers)

    @property
    def explained(self):
        """How many faulty layers show which fault it is."""
        return sum(layer.verdict == "fault" and bool(layer.fits) for layer in self.layers)

    @property
    def ok(self):
        return all(layer.verdict == "ok" for layer in self.layers)

    def __bool__(self):
        return self.ok

    @property
    def verdict(self):
        """The worst verdict of a layer."""
        return max((layer.verdict for layer in self.layers), key=VERDICTS.index)

    def __str__(self):
        lies = LAYOUTS.get(self.layout, "the shape of W or W.T, which cannot be told")
        many = f"{self.steps} steps" if self.steps > 1 else "one step"
        answer = {"ok": "yes", "undecided": "not decided"}.get(self.verdict, "NO")
        rows = [("layer", "law of", "residual", "floor", "verdict")]
        for a in self.layers:
            of = f"a {a.units}x{a.units} matrix" if a.law == "matrix" else f"{a.units} units"
            rows.append((a.name, of, f"{a.residual:.1e}", f"{a.floor:.1e}", a.verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{many} of feedback alignment with this B ({lies}): {answer}"]
        for row, reason in zip(rows, ["", *(a.says for a in self.layers)], strict=True):
            cells = "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True))
            lines.append(f"  {cells}  {reason}".rstrip())
        bad = [a for a in self.layers if a.verdict in ("fault", "no update")]
        named = [name for a in bad for name in (*(f.name for f in a.fits), *a.cannot_tell)]
        for name in [name for name in MEANING if name in named]:
            lines += textwrap.wrap(
                f"{name}: {MEANING[name]}", 100, initial_indent="  ", subsequent_indent="    "
            )
        unexplained = any(a.verdict == "fault" and not a.fits for a in self.layers)
        for note in (OTHERWISE,) * unexplained + (UNSEEN,):
            lines += textwrap.wrap(note, 100)
        return "\n".join(lines)
