"""Runs claims with their controls, collects the evidence, and gives the verdict.

A claim ``claim_<name>(check)`` states a theorem in its docstring and shows evidence for it.  Each
of its controls, ``control_<name>_<what is broken>(check)``, takes the same measurements with one
assumption broken; every one of them must then fall by its margin.  A claim stands only if all its
evidence does, it has a control, and all its controls fall.
"""

import inspect
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .symbolic.prove import Verdict

STANDS, FALLEN = "stands", "does not stand"


@dataclass
class Evidence:
    """One measurement: what was seen, what a claim needs and what a control must reach.

    kind: "proved for every size", "proved at these sizes" or "measured".
    """

    name: str
    kind: str
    value: float | str
    needed: str
    margin: str
    stands: bool
    falls: bool
    on: str = ""


class Check:
    """What a claim or a control is given to show its evidence.

    In a control every measurement must fall by its margin: the level `fall`, which by default is
    a hundred times the tolerance or bound of the claim.
    """

    def __init__(self, control=False):
        self.control = control
        self.evidence, self.figures = [], []

    def proved(self, verdict, on=""):
        """The law is kept, by exact algebra; in a control it is not."""
        if not isinstance(verdict, Verdict):
            raise TypeError(f"check.proved takes what prove returns, not {verdict!r:.60}.")
        words = verdict.algebra == "words"
        kind = "proved for every size" if words else "proved at these sizes"
        shown = "rate 0" if verdict.kept else verdict.offence()
        self._add(
            verdict.scope, kind, shown, "rate 0", "rate not 0", verdict.kept, not verdict.kept, on
        )

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
        if not fall > within:
            raise ValueError(
                f"{name}: a control must be off by more than {within:g}, not {fall:g}."
            )
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

    def figure(self, drawn, caption=""):
        """Attach a matplotlib axes or figure."""
        self.figures.append((getattr(drawn, "figure", drawn), caption))

    def _add(self, name, kind, value, needed, margin, stands, falls, on):
        real = isinstance(value, str) or np.isfinite(value)  # nan and inf measure nothing
        stands, falls = bool(real and stands), bool(real and falls)
        self.evidence.append(Evidence(name, kind, value, needed, margin, stands, falls, on))

    def finish(self):
        """Raise AssertionError unless all evidence stands, or in a control falls."""
        __tracebackhide__ = True
        if not self.evidence:
            raise AssertionError("No evidence was shown.")
        good = (lambda e: e.falls) if self.control else (lambda e: e.stands)
        wrong = [e for e in self.evidence if not good(e)]
        if wrong:
            need = "margin" if self.control else "needed"
            lines = [f"{e.name}: {shown(e.value)}, needed {getattr(e, need)}" for e in wrong]
            start = "The control does not fall" if self.control else "The claim does not stand"
            raise AssertionError(f"{start}: " + "; ".join(lines))


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


def shown(value):
    return value if isinstance(value, str) else f"{value:.4g}"


@dataclass
class Trial:
    """One claim or control: what it says, what it showed, how it ended.

    place: the file, and class if any, that a claim shares with its controls.
    """

    name: str
    file: str
    line: int
    control: bool
    statement: str
    place: str
    passed: bool = False
    problem: str = ""
    seconds: float = 0.0
    evidence: list = field(default_factory=list)
    figures: list = field(default_factory=list)

    @property
    def title(self):
        return self.name.split("_", 1)[1].replace("_", " ")


@dataclass
class Claim:
    """A claim with its controls and the verdict on both."""

    trial: Trial
    controls: list
    problems: list

    @property
    def stands(self):
        return not self.problems

    @property
    def source(self):
        return _tagged(self.trial.statement, "Source") or "not given"

    @property
    def kind(self):
        """quoted, recalled or derived, as the docstring says."""
        return _tagged(self.trial.statement, "Class") or "not given"

    @property
    def known(self):
        """How it is known, all kinds of evidence in order of strength."""
        kinds = ("proved for every size", "proved at these sizes", "measured")
        seen = {e.kind for e in self.trial.evidence}
        return ", ".join(kind for kind in kinds if kind in seen)

    @property
    def brief(self):
        """The evidence in short: all proofs as one line, then each measurement."""
        return brief(self.trial.evidence)

    @property
    def seconds(self):
        return self.trial.seconds + sum(c.seconds for c in self.controls)

    def as_dict(self):
        return {
            "claim": _plain_trial(self.trial),
            "controls": [_plain_trial(c) for c in self.controls],
            "source": self.source,
            "class": self.kind,
            "evidence": self.known,
            "stands": self.stands,
            "problems": self.problems,
            "seconds": self.seconds,
        }


def brief(evidence):
    """Lines of (needed, seen): what was measured, and all proofs as one."""
    proofs = [e for e in evidence if e.kind != "measured"]
    wrong = [e for e in proofs if not e.stands]
    lines = [(e.needed, shown(e.value)) for e in evidence if e.kind == "measured"]
    if wrong:
        lines.append(("rate 0", f"rate not 0 in {len(wrong)} of {len(proofs)} proofs"))
    elif proofs:
        lines.insert(0, ("rate 0", f"in {len(proofs)} proof{'s' * (len(proofs) > 1)}"))
    return lines


def _plain_trial(trial):
    finite = lambda v: v if isinstance(v, str) or np.isfinite(v) else str(v)  # JSON has no nan
    evidence = [asdict(e) | {"value": finite(e.value)} for e in trial.evidence]
    captions = [caption for _, caption in trial.figures]
    bare = asdict(replace(trial, evidence=[], figures=[]))
    return bare | {"evidence": evidence, "figures": captions}


def _tagged(text, tag):
    """What follows ``tag:`` at the start of a line, up to an empty line or another tag."""
    found = re.search(rf"^{tag}:\s*(.+?)(?=\n\s*\n|\n\w+:|\Z)", text, re.M | re.S)
    return " ".join(found.group(1).split()) if found else ""


def body(text):
    """The statement without its tags."""
    return re.sub(r"^(Source|Class):.+?(?=\n\s*\n|\n\w+:|\Z)", "", text, flags=re.M | re.S).strip()


class Collector:
    """A pytest plugin that notes every claim and control as it runs.

    Each counts as failed from the start, and passes only by a call that ended well.
    """

    def __init__(self, select=None, tell=lambda trial, done, total: None):
        self.select, self.tell = select, tell
        self.trials, self.files, self.broken, self.done = {}, [], [], 0

    def pytest_collectstart(self, collector):
        """A file is read as it is now, not as it was imported before in this process."""
        import pytest

        if isinstance(collector, pytest.Module) and collector.path.name != "conftest.py":
            self.files.append(str(collector.path))
            _forget([str(collector.path)])

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.name.startswith(("claim_", "control_"))]
        if self.select:
            wanted = re.sub("^claim_", "", self.select)
            bases = {}
            for item in items:
                if item.name.startswith("claim_"):
                    bases.setdefault(item.parent.nodeid, set()).add(_base(item.name))
            items[:] = [
                item
                for item in items
                if wanted in (owner(item.name, bases.get(item.parent.nodeid, ())) or "")
            ]

    def pytest_collectreport(self, report):
        if not report.passed:
            why = report.longrepr  # of a skipped file (path, line, reason)
            text = why[-1] if isinstance(why, tuple) else str(why)
            self.broken.append(f"{report.nodeid}: {_last_line(text)}")

    def pytest_deselected(self, items):
        why = "left out by an option or plugin of pytest"
        self.broken += [f"{item.nodeid}: {why}" for item in items]

    def pytest_collection_finish(self, session):
        there = {file for _, file in _imported()}
        for file in sorted(set(self.files) - there):
            self.broken.append(f"{file}: another module has its name; rename the file")
        for item in session.items:
            self.trials[item.nodeid] = Trial(
                name=item.name,
                file=item.nodeid.partition("::")[0],
                line=item.location[1] + 1,
                control=item.name.startswith("control_"),
                statement=inspect.getdoc(getattr(item, "function", None)) or "",
                place=item.parent.nodeid,
            )

    def pytest_runtest_makereport(self, item, call):
        from .testing import CHECK

        trial = self.trials[item.nodeid]
        trial.seconds += call.duration
        if call.excinfo is not None:
            trial.problem = trial.problem or call.excinfo.exconly()
        elif call.when == "call":
            trial.passed = True
        if call.when == "call":
            check = item.stash.get(CHECK, None)
            if check is None:
                trial.problem = trial.problem or "It takes no `check`, so it shows nothing."
            else:
                trial.evidence, trial.figures = check.evidence, check.figures
        trial.passed = trial.passed and not trial.problem
        if call.when == "teardown":
            self.done += 1
            self.tell(trial, self.done, len(self.trials))


def _imported():
    """Names and files of all modules here; without waking those that import themselves late."""
    there = {name: getattr(module, "__dict__", {}) for name, module in sys.modules.items()}
    return [(name, names.get("__file__")) for name, names in there.items()]


def _forget(files):
    for name, file in _imported():
        if file in files:
            del sys.modules[name]


def _last_line(text):
    return [line for line in text.splitlines() if line.strip()][-1].removeprefix("E ").strip()


def _base(name):
    """The name without claim_ or control_, and without parameters."""
    return name.partition("[")[0].split("_", 1)[1]


def owner(name, bases):
    """The name of the claim, of those in `bases`, that this claim or control belongs to, if any."""
    if name.startswith("claim_"):
        return _base(name)
    fits = [base for base in bases if _base(name).startswith(base + "_")]
    return max(fits, key=len, default=None)


def claims_of(trials):
    """Every claim with its controls; those that do not fit together are problems of their own."""
    claims = [t for t in trials if not t.control]
    controls = [t for t in trials if t.control]
    bases = {}
    for claim in claims:
        bases.setdefault(claim.place, set()).add(_base(claim.name))
    of = lambda control: owner(control.name, bases.get(control.place, ()))
    made = []
    for claim in claims:
        own = [c for c in controls if c.place == claim.place and of(c) == _base(claim.name)]
        problems = [] if claim.passed else [claim.problem or "It did not run."]
        if not own:
            problems.append("It has no control, so nothing shows that the check can fail.")
        problems += [f"{c.name}: {c.problem or 'it did not run'}" for c in own if not c.passed]
        made.append(Claim(claim, own, problems))
    for control in controls:
        if of(control) is None:
            made.append(Claim(control, [], [f"{control.name} belongs to no claim of its file."]))
    return made


def verify(paths, *, report=None, json_file=None, select=None, tell=None):
    """Run the claims under `paths`; returns (claims, problems outside any claim).

    report: folder for index.html with a page and figures for each claim.  json_file: the same as
    JSON.  select: only claims whose name contains this.  tell: called as each trial ends.
    Raises ValueError if there is nothing to run.  Needs the extra "verify".
    """
    from .extras import needs

    pytest = needs("pytest", "verify")
    paths = [Path(p) for p in paths]
    for path in paths:
        if not path.exists():
            raise ValueError(f"There are no claims at {path}: no such file or folder.")
    collector = Collector(select, tell or (lambda trial, done, total: None))
    began = time.perf_counter()
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["--assert=plain", "-o", "addopts=", "-o", "python_files=*.py"]
    options += ["-o", "python_functions=claim_* control_*", "--import-mode=importlib"]
    options += ["--continue-on-collection-errors"]
    status = pytest.main([*options, *map(str, paths)], plugins=[collector])
    _forget(collector.files)  # or they would stand for files of their name in the next run
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise RuntimeError(f"pytest could not run the claims ({status.name}).")
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    claims = claims_of(collector.trials.values())
    if not claims and not collector.broken:
        where = ", ".join(map(str, paths))
        raise ValueError(f"No claim was found in {where}" + f" named {select}" * bool(select) + ".")
    seconds = time.perf_counter() - began
    if json_file:
        write_json(json_file, claims, collector.broken, seconds)
    if report:
        from .report import write_report

        write_report(report, claims, collector.broken, seconds)
    return claims, collector.broken


def write_json(path, claims, broken, seconds):
    """The claims, their evidence and verdicts as one JSON file."""
    from . import __version__

    whole: dict[str, Any] = {
        "faflow": __version__,
        "all stand": not broken and all(c.stands for c in claims),
        "seconds": seconds,
        "broken files": broken,
        "claims": [c.as_dict() for c in claims],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(whole, indent=1, default=_plain, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text, encoding="utf-8")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)
