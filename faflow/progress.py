"""A progress bar for long runs, on a terminal only."""

import sys
import time
from contextlib import contextmanager


@contextmanager
def progress(total, label, show=None):
    """Yield ``advance(done)``, which moves a bar to `done` of `total` once a second has passed.

    show: None shows it if standard error is a terminal; needs rich, and stays silent without.
    """
    began, state = time.monotonic(), {}
    wanted = sys.stderr.isatty() if show is None else show

    def advance(done):
        if not wanted or time.monotonic() - began < 1:
            return
        if "bar" not in state:
            state["bar"] = _bar()
            if state["bar"]:
                state["bar"].start()
                state["task"] = state["bar"].add_task(label, total=total)
        if state["bar"]:
            state["bar"].update(state["task"], completed=done)

    try:
        yield advance
    finally:
        if state.get("bar"):
            state["bar"].stop()


def _bar():
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    return Progress(console=Console(stderr=True), transient=True)
