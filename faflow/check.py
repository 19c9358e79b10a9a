"""The evidence of a claim, and how a control has to fall."""

from dataclasses import dataclass

import numpy as np

from .symbolic.verdict import Verdict


@dataclass
class Evidence:
    """One measurement: what was seen, what a claim needs and what a control must reach.

    kind: "proved for every size", "proved at these sizes" (also by certificates) or "measured".
    interval: the 95 % confidence interval of a fitted value, where there is one.
    """

    name: str
    kind: str
    value: float | str
    needed: str
    margin: str
    stands: bool
    falls: bool
    on: str = ""
    interval: tuple | None = None


class Check:
    """What a claim or a control is given to show its evidence.

    In a control every measurement must fall by its margin: the level `fall`, which by default is
    a hundred times the tolerance or bound of the claim.
    full: whether the sizes of the full tier are asked for, in place of the quick ones.
    """

    def __init__(self, control=False, full=False):
        self.control, self.full = control, full
        self.evidence, self.figures = [], []

    def tier(self, quick, full):
        """`quick` or `full`, by the tier asked for: sizes, seeds, times."""
        return full if self.full else quick

    def worst(self, values, small=True):
        """Of what must be small (or large) in every run the worst; in a control the best.

        So a claim stands only if every run of it does, and a control falls only if every run does.
        """
        return np.max(values) if small != self.control else np.min(values)

    def proved(self, verdict, on=""):
        """The law is kept, by exact algebra; in a control it is not."""
        if not isinstance(verdict, Verdict):
            raise TypeError(f"check.proved takes what prove returns, not {verdict!r:.60}.")
        words = verdict.algebra == "words"
        kind = "proved for every size" if words else "proved at these sizes"
        shown = "rate 0" if verdict.kept else verdict.offence()
        refuted = not verdict.kept and verdict.decided
        self._add(verdict.scope, kind, shown, "rate 0", "rate not 0", verdict.kept, refuted, on)

    def certified(self, cases, on=""):
        """Certificates prove these numbers of laws; in a control none of them does.

        cases: (certificate, number).  Shown is how far a bound of the number of laws lies from it.
        """
        if not cases:
            raise ValueError("No certificate was shown.")
        bounds = [(c.law_rank + c.chain_rank, c.at_most, number) for c, number in cases]
        far = [max(abs(low - number), abs(high - number)) for low, high, number in bounds]
        on = f"{len(cases)} network{'s' * (len(cases) > 1)}{': ' * bool(on)}{on}"
        name, kind = "certified bounds less the count said", "proved at these sizes"
        value = float(self.worst(far))
        self._add(name, kind, value, "= 0", "≥ 1", value == 0, value >= 1, on)

    def equal(self, name, value, expected, *, tol, fall=None, on=""):
        """|value - expected| is at most `tol` in every entry; in a control at least `fall`."""
        value, expected = _real(name, value), _real(name, expected)
        if value.shape != expected.shape and expected.ndim:
            raise ValueError(f"{name}: shapes {value.shape} and {expected.shape} differ.")
        name = f"|{name}|" if expected.ndim else name
        self.at_most(name, np.abs(value - expected), tol, fall=fall, on=on)

    def at_most(self, name, value, bound, *, fall=None, on=""):
        """`value`, a number or the largest of an array, is at most `bound`; in a control ≥ fall."""
        value = _number(name, value, np.max)
        fall = 100 * bound if fall is None else fall
        if not fall > bound:
            raise ValueError(f"{name}: a control must reach beyond {bound:g}, not {fall:g}.")
        stands, falls = value <= bound, value >= fall
        self._add(name, "measured", value, f"≤ {bound:.3g}", f"≥ {fall:.3g}", stands, falls, on)

    def at_least(self, name, value, bound, *, fall, on=""):
        """`value`, or the least of an array, is at least `bound`; in a control at most `fall`."""
        value = _number(name, value, np.min)
        if not fall < bound:
            raise ValueError(f"{name}: a control must reach below {bound:g}, not {fall:g}.")
        stands, falls = value >= bound, value <= fall
        self._add(name, "measured", value, f"≥ {bound:.3g}", f"≤ {fall:.3g}", stands, falls, on)

    def order(self, name, steps, errors, expected, *, within=0.1, fall=0.3, on=""):
        """Errors fall like steps to the power `expected`, fitted on a log-log scale, ± `within`."""
        steps, errors = _real(name, steps), _real(name, errors)
        _check_margin(name, within, fall)
        if steps.shape != errors.shape or len(np.unique(steps)) < 2:
            raise ValueError(f"{name}: an order needs two different steps, each with its error.")
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log([steps, errors])
        if not np.isfinite(logs).all():
            raise ValueError(f"{name}: no order can be fitted to the errors {errors}.")
        seen = np.polyfit(logs[0], logs[1], 1)[0]
        off = abs(seen - expected)
        needed, margin = f"{expected:g} ± {within:g}", f"off by ≥ {fall:g}"
        self._add(name, "measured", float(seen), needed, margin, off <= within, off >= fall, on)

    def scaling(self, name, x, samples, expected, *, within, fall, average="rms", on=""):
        """The samples grow like x to the power `expected`, ± `within`, over at least 3 decades.

        samples: (seeds, len(x)).  The power is fitted to the logarithms of their average over the
        seeds, "rms" or "mean", and its 95 % confidence interval is that of the jackknife over the
        seeds.  All of the interval must lie within the bound; in a control, all of it off by
        `fall`.  An interval that leaves out `expected` itself says so: what it leaves out is then
        of the next order, or chance.
        """
        from scipy.stats import t as student

        x, samples = _real(name, x), _real(name, samples)
        _check_margin(name, within, fall)
        if average not in ("rms", "mean"):
            raise ValueError(f"{name}: the average is rms or mean, not {average!r}.")
        if samples.ndim != 2 or samples.shape[1:] != x.shape or len(samples) < 3 or x.size < 3:
            raise ValueError(
                f"{name}: samples must be (seeds, sizes), at least 3 of each and one column for"
                f" each of the {x.size} sizes, but are {samples.shape}."
            )
        if not (x.min() > 0 and x.max() >= 999 * x.min()):
            raise ValueError(f"{name}: a power is fitted over at least three decades of x > 0.")
        powers = samples**2 if average == "rms" else samples
        alone = (powers.sum(0) - powers) / (len(samples) - 1)  # the average without each seed
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(np.vstack([powers.mean(0), alone])) / (2 if average == "rms" else 1)
        if not np.isfinite(logs).all():
            raise ValueError(f"{name}: no power can be fitted to averages that are not positive.")
        fitted = np.polyfit(np.log(x), logs.T, 1)[0]
        slope, left, seeds = fitted[0], fitted[1:], len(samples)
        error = np.sqrt((seeds - 1) / seeds * np.sum((left - left.mean()) ** 2))
        half = float(student.ppf(0.975, seeds - 1) * error)
        off = abs(slope - expected)
        needed, margin = f"{expected:g} ± {within:g}", f"off by ≥ {fall:g}"
        stands, falls = off + half <= within, off - half >= fall
        interval = (float(slope) - half, float(slope) + half)
        if not self.control and not interval[0] <= expected <= interval[1]:
            on += f"{'; ' * bool(on)}the interval leaves out {expected:.4g}"
        self._add(name, "measured", float(slope), needed, margin, stands, falls, on, interval)

    def figure(self, drawn, caption=""):
        """Attach a matplotlib axes or figure."""
        self.figures.append((getattr(drawn, "figure", drawn), caption))

    def _add(self, name, kind, value, needed, margin, stands, falls, on, interval=None):
        real = isinstance(value, str) or np.isfinite(value)  # nan and inf measure nothing
        stands, falls = bool(real and stands), bool(real and falls)
        self.evidence.append(
            Evidence(name, kind, value, needed, margin, stands, falls, on, interval)
        )

    def finish(self):
        """Raise AssertionError unless all evidence stands, or in a control falls."""
        __tracebackhide__ = True
        if not self.evidence:
            raise AssertionError("No evidence was shown.")
        good = (lambda e: e.falls) if self.control else (lambda e: e.stands)
        wrong = [e for e in self.evidence if not good(e)]
        if wrong:
            need = "margin" if self.control else "needed"
            lines = [f"{e.name}: {seen(e)}, needed {getattr(e, need)}" for e in wrong]
            start = "The control does not fall" if self.control else "The claim does not stand"
            raise AssertionError(f"{start}: " + "; ".join(lines))


def _check_margin(name, within, fall):
    if not fall > within:
        raise ValueError(f"{name}: a control must be off by more than {within:g}, not {fall:g}.")


def _real(name, value):
    value = np.asarray(value)
    if value.dtype.kind == "c":  # NumPy would drop the imaginary part
        raise TypeError(f"{name}: complex numbers cannot be compared; take their abs.")
    return value.astype(float)


def _number(name, value, reduce):
    value = _real(name, value)
    if not value.size:
        raise ValueError(f"{name}: nothing to compare.")
    return float(reduce(value))


def seen(evidence):
    """The value of `evidence` in words, with its confidence interval."""
    if evidence.interval is None:
        return shown(evidence.value)
    return "{} [{}, {}]".format(*map(shown, (evidence.value, *evidence.interval)))


def shown(value):
    return value if isinstance(value, str) else f"{value:.4g}"
