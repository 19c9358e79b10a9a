"""Shares the claims out among processes, since each is a computation of its own.

Every worker collects the same claims and then asks for one after the other.  It speaks with its
parent in pickles through its standard input and output.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections import deque

from .collect import Collector, run

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_in_parallel(paths, collector, jobs, *, full=False):
    """Like `collect.run`, in `jobs` processes of one linear-algebra thread each.

    A claim whose process dies counts as failed.  Raises KeyboardInterrupt or RuntimeError as
    `collect.run` does.
    """
    wanted = {"paths": list(map(str, paths)), "select": collector.select, "full": full}
    wanted |= {"draw": collector.draw}
    shared = _Shared(collector)
    code = f"import sys; sys.path[:] = {sys.path!r}; from faflow.workers import work; work()"
    environment = dict.fromkeys(THREADS, "1") | os.environ
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its workers
        )
        for _ in range(jobs)
    ]
    threads = [threading.Thread(target=shared.serve, args=(p, wanted)) for p in processes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # not for ever: another thread may have got the signal of
                thread.join(0.2)  # Ctrl-C, of which this one learns when it wakes
    finally:
        shared.over = True
        for process in processes:
            process.kill()
        for thread, process in zip(threads, processes, strict=True):
            thread.join()
            process.communicate()
    for wrong in shared.ends:
        raise wrong


class _Shared:
    """What the threads that serve the workers have in common."""

    def __init__(self, collector):
        self.collector, self.lock = collector, threading.Lock()
        self.collected, self.waiting = None, deque()
        self.ends, self.over = [], False

    def serve(self, process, wanted):
        """Give one worker what it asks for until it ends, and note how it ended."""
        running, why = None, ""
        try:
            _send(process.stdin, wanted)
            while True:
                kind, what = pickle.load(process.stdout)
                with self.lock:
                    if kind == "end":
                        self.end(what)
                        return
                    if kind == "collected":
                        self.collect(*what)
                    else:
                        self.collector.trials[running] = what
                        self.collector.ended(what)
                    running = self.waiting.popleft() if self.waiting else None
                _send(process.stdin, running)
        except (OSError, EOFError):
            why = f"Its process died with status {process.wait()}."
        except Exception as error:  # of a message that cannot be read, or of the parent's own
            why = f"Its process could not be understood: {error!r:.300}"
        with self.lock:
            if self.over:
                return
            if running is None:
                self.collector.broken.append(f"a process of the verification: {why}")
            else:
                trial = self.collector.trials[running]
                trial.passed, trial.problem = False, why
                self.collector.ended(trial)

    def collect(self, trials, broken):
        """The first worker says what there is to do; the others must have found the same."""
        if self.collected is None:
            self.collected = list(trials)
            self.collector.trials.update(trials)
            self.collector.broken += broken
            self.waiting.extend(trials)
        elif list(trials) != self.collected:
            self.collector.broken.append("two processes collected different claims")
            self.waiting.clear()

    def end(self, wrong):
        """A worker has ended; if it was stopped, so are all once they have done what they do."""
        if wrong is not None:
            self.ends.append(wrong)
            self.waiting.clear()


def _send(stream, message):
    pickle.dump(message, stream)
    stream.flush()


def _receive(stream):
    """The next message; None, which ends a worker, if its parent is gone."""
    try:
        return pickle.load(stream)
    except EOFError:
        return None


def work():
    """A worker: collect, then run what the parent names."""
    # pytest, and what a claim prints, must not come between: these are for the messages alone
    inward, outward = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    wanted, messages = pickle.load(inward), []

    def ask():
        if not messages:
            messages.append(("collected", (collector.trials, collector.broken)))
        _send(outward, messages.pop())
        name = _receive(inward)
        messages.append(("ended", collector.trials.get(name)))
        return name

    collector = Collector(wanted["select"], draw=wanted["draw"], ask=ask)
    wrong = None
    try:
        run(wanted["paths"], collector, full=wanted["full"])
        if not messages:  # there was nothing to run
            ask()
    except (KeyboardInterrupt, RuntimeError) as stop:
        wrong = type(stop)(*stop.args)
    _send(outward, ("end", wrong))
