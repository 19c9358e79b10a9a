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
from pathlib import Path
from typing import Any

import numpy as np

from .claims import Trial, base_of, claims_of, owner


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
                    bases.setdefault(item.parent.nodeid, set()).add(base_of(item.name))
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
