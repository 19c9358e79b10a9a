"""Runs claims with their controls, collects the evidence, and gives the verdict.

A claim ``claim_<name>(check)`` states a theorem in its docstring and shows evidence for it.  Each
of its controls, ``control_<name>_<what is broken>(check)``, takes the same measurements with one
assumption broken; every one of them must then fall by its margin.  A claim stands only if all its
evidence does, it has a control, and all its controls fall.
"""

import json
import platform
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from .claims import claims_of
from .collect import Collector, run
from .extras import needs
from .workers import run_in_parallel


def verify(paths, *, report=None, json_file=None, select=None, full=False, jobs=1, tell=None):
    """Run the claims under `paths`; returns (claims, problems outside any claim).

    report: folder for index.html with a page and figures for each claim, and report.json.
    json_file: where to write that JSON as well.  select: only claims whose name contains this.
    full: the sizes of the full tier.  jobs: how many processes share the claims; 1 runs them in
    this one.  tell: called as each trial ends, with the number done and that of all.
    Raises ValueError if there is nothing to run; KeyboardInterrupt on Ctrl-C, what ran until then
    being in the report.  Needs the extra "verify".
    """
    needs("pytest", "verify")
    paths = [Path(p) for p in paths]
    for path in paths:
        if not path.exists():
            raise ValueError(f"There are no claims at {path}: no such file or folder.")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a positive integer, but is {jobs!r}.")
    began, done = time.perf_counter(), []

    def ended(trial):
        done.append(trial)
        if tell:
            tell(trial, len(done), len(collector.trials))

    collector = Collector(select, ended=ended, draw=report is not None)
    stopped = None
    try:
        if jobs == 1:
            run(paths, collector, full=full)
        else:
            run_in_parallel(paths, collector, jobs, full=full)
    except KeyboardInterrupt as stop:
        stopped = stop
        collector.broken.append("stopped before all claims had run")
    claims = claims_of(collector.trials.values())
    if not claims and not collector.broken:
        where = ", ".join(map(str, paths))
        raise ValueError(f"No claim was found in {where}" + f" named {select}" * bool(select) + ".")
    whole = summary(claims, collector.broken, time.perf_counter() - began, full, jobs)
    if json_file:
        write_json(json_file, whole)
    if report:
        from .report import write_report

        write_report(report, claims, whole)
        write_json(Path(report) / "report.json", whole)
    if stopped is not None:
        raise stopped
    return claims, collector.broken


def summary(claims, broken, seconds, full, jobs) -> dict[str, Any]:
    """All that was found, as what JSON can hold."""
    from . import __version__

    return {
        "faflow": __version__,
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "tier": "full" if full else "quick",
        "jobs": jobs,
        "seconds": seconds,
        "all stand": not broken and all(c.stands for c in claims),
        "broken files": broken,
        "claims": [c.as_dict() for c in claims],
    }


def write_json(path, whole):
    """Write the `summary` of a verification."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(whole, indent=1, default=_plain, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text, encoding="utf-8")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)
