"""What a flow did at its kinks: crossings, stretches of sliding, and the pattern it ended in."""

from typing import NamedTuple

import numpy as np


class Crossing(NamedTuple):
    """A pre-activation that passed its kink: `up` from below, else down."""

    t: float
    layer: int
    unit: int
    sample: int
    up: bool


class Stretch(NamedTuple):
    """A time over which a pre-activation slid along its kink.

    stop: None while it slides.  before, after: the sides, +1 or -1, from which it came and to which
    it left; None where it slid from the start, or slides still.
    """

    layer: int
    unit: int
    sample: int
    start: float
    stop: float | None = None
    before: int | None = None
    after: int | None = None


class Path:
    """The record of a run through kinks.

    crossings: every `Crossing`, in order.  stretches: every `Stretch`, in order of their starts.
    t: the time reached.  masks: {hidden layer: (units, samples)}, 1 above the kink and 0 below;
    between the two where a unit slides, its slope that share of the way from the lower branch's.
    """

    def __init__(self):
        self.crossings, self.stretches, self.masks = [], [], {}
        self.t, self.side = None, np.zeros(0, np.int8)
        self._open = {}

    def sliding(self):
        """The stretches that have not ended, as they are at the time reached."""
        return [self.stretches[n] for n in sorted(self._open.values())]

    def begin(self, t, side, places):
        """The pattern at the start; places: (layer, unit, samples) of each entry of `side`."""
        self.t, self.side = t, side.copy()
        for entry in np.flatnonzero(side == 0):
            self._enter(t, entry, places(entry), None)

    def turn(self, t, side, places):
        """The pattern `side` from `t` on.  Returns the entries that changed."""
        changed = np.flatnonzero(side != self.side)
        for entry in changed:
            was, now, place = int(self.side[entry]), int(side[entry]), places(entry)
            if was == 0:
                for n in self._open_at(entry, place):
                    self.stretches[n] = self.stretches[n]._replace(stop=t, after=now)
            elif now == 0:
                self._enter(t, entry, place, was)
            else:
                layer, unit, samples = place
                self.crossings += [Crossing(t, layer, unit, s, now > 0) for s in samples]
        self.t, self.side = t, side.copy()
        return changed

    def _enter(self, t, entry, place, was):
        layer, unit, samples = place
        for sample in samples:
            self._open[layer, unit, sample] = len(self.stretches)
            self.stretches.append(Stretch(layer, unit, sample, t, before=was))

    def _open_at(self, entry, place):
        layer, unit, samples = place
        return [self._open.pop((layer, unit, sample)) for sample in samples]

    def arrays(self):
        """What is recorded, as arrays by name; a side that is not there is 0, a time nan."""
        number = lambda x: np.nan if x is None else float(x)
        stretches = [(*s[:4], number(s.stop), s.before or 0, s.after or 0) for s in self.stretches]
        made = {
            "crossings": np.array([tuple(map(float, c)) for c in self.crossings]).reshape(-1, 5),
            "stretches": np.array(stretches, dtype=float).reshape(-1, 7),
            "kinks_t": np.array([number(self.t)]),
            "kinks_side": self.side,
        }
        return made | {f"masks{k}": mask for k, mask in self.masks.items()}

    @classmethod
    def of(cls, arrays):
        """The record that `arrays` were made of."""
        made = cls()
        made.t = float(arrays["kinks_t"][0])
        made.side = arrays.get("kinks_side", made.side)
        made.crossings = [
            Crossing(float(t), *map(int, place), bool(up)) for t, *place, up in arrays["crossings"]
        ]
        for layer, unit, sample, start, stop, before, after in arrays["stretches"].tolist():
            ends = None if np.isnan(stop) else stop, int(before) or None, int(after) or None
            place = int(layer), int(unit), int(sample)
            if ends[0] is None:
                made._open[place] = len(made.stretches)
            made.stretches.append(Stretch(*place, start, *ends))
        names = [name for name in arrays if name.startswith("masks")]
        made.masks = {int(name[len("masks") :]): arrays[name] for name in sorted(names)}
        return made

    def __str__(self):
        crossed = f"{len(self.crossings)} kinks crossed"
        ended = sum(s.stop is not None for s in self.stretches)
        slid = f"{len(self.stretches)} stretches of sliding, {ended} of which ended"
        return f"{crossed}; {slid}" if self.stretches else crossed
