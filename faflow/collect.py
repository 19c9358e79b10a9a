"""Runs the claims of some files through pytest, and notes what each said, showed and came to."""

import inspect
import io
import os
import re
import sys
from pathlib import Path

from .claims import Trial, base_of, owner
from .extras import needs


class Collector:
    """A pytest plugin that notes every claim and control as it runs.

    Each counts as failed from the start, and passes only by a call that ended well.
    select: only claims whose name contains this, with their controls.  ended: called with each
    trial as it ends.  draw: whether to keep the figures, as PNG.  ask: gives the next test to run
    by its id, None at the end; without it all run in their order.
    """

    def __init__(self, select=None, *, ended=lambda trial: None, draw=True, ask=None):
        self.select, self.ended, self.draw, self.ask = select, ended, draw, ask
        self.trials, self.files, self.broken = {}, [], []

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
                paper=_title(item),
            )

    def pytest_runtestloop(self, session):
        """Run what `ask` gives; only once the collection is as pytest wants it."""
        if self.ask is None:
            return None
        items = {item.nodeid: item for item in session.items}
        for name in iter(self.ask, None):
            item = items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        return True

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
                trial.evidence = check.evidence
                self._draw(trial, check.figures)
        trial.passed = trial.passed and not trial.problem
        if call.when == "teardown":
            self.ended(trial)

    def _draw(self, trial, figures):
        """Keep the figures as what can be written to a file and sent to another process."""
        for figure, caption in figures:
            drawn = io.BytesIO()
            try:
                if self.draw:
                    figure.savefig(drawn, format="png", dpi=144, bbox_inches="tight")
            except Exception as error:  # whatever a claim has put into its figure
                trial.problem = trial.problem or f"A figure cannot be drawn: {error!r:.300}"
            trial.figures.append((drawn.getvalue(), caption))


def run(paths, collector, *, full=False):
    """Run the claims under `paths` by pytest with this collector.

    Raises KeyboardInterrupt if they were stopped, RuntimeError if pytest could not run them.
    """
    pytest = needs("pytest", "verify")
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["--assert=plain", "-o", "addopts=", "-o", "python_files=*.py"]
    options += ["-o", "python_functions=claim_* control_*", "--import-mode=importlib"]
    options += ["--continue-on-collection-errors", *(["--faflow-full"] if full else [])]
    added = os.environ.pop("PYTEST_ADDOPTS", None)  # meant for tests, and not for claims
    try:
        status = pytest.main([*options, *map(str, paths)], plugins=[collector])
    finally:
        os.environ |= {} if added is None else {"PYTEST_ADDOPTS": added}
    _forget(collector.files)  # or they would stand for files of their name in the next run
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise RuntimeError(f"pytest could not run the claims ({status.name}).")
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt


def _title(item):
    """What the file says of itself first, or its name."""
    said = inspect.getdoc(getattr(item, "module", None)) or ""
    return said.partition("\n\n")[0].replace("\n", " ") or Path(item.path).stem


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
