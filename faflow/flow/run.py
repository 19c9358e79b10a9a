"""A run from its start, or from where it was broken off, to its solution."""

import time
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..matrices.still import Still
from ..progress import progress
from ..solution import Interrupted, Unfinished
from .checkpoint import Checkpoint, Standing, told
from .control import Control
from .engine_scipy import check_implicit
from .keeping import Monitor, is_own, keeping_of
from .march import Tally, march
from .path import Path
from .record import Record
from .reduce import found as found_reduction
from .sliding import Follower
from .smoothed import sharpness, smoothed


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run is to do, each option checked and none left open; see `integrate`.

    engine: its module.  relief: the solver to go over to where stability limits the steps, or None.
    rest: the share of the first velocity at which it ends, or None.
    """

    rule: Any
    task: Any
    w0: tuple
    ts: np.ndarray
    engine: Any
    solver: str
    relief: str | None
    tolerances: dict
    step: Any
    kinks: str | None
    single: bool
    keep: Any
    rest: float | None
    observe: Any
    reduce: str
    max_steps: int | None
    max_seconds: float | None

    def said(self):
        """All that its result depends on but its budgets, as plain values."""
        names = "rule", "task", "w0", "ts", "solver", "relief", "step", "kinks", "keep", "rest"
        made = {name: told(getattr(self, name)) for name in (*names, "reduce", "single")}
        made |= {"engine": self.engine.__name__.rsplit(".", 1)[-1], **self.tolerances}
        return made | {"observe": told(list(dict(self.observe or {}).items()))}


class Run:
    """A plan on its way.  checkpoint: the file to go on from and to write to, or None."""

    def __init__(self, plan, checkpoint=None):
        self.plan, self.began = plan, time.perf_counter()
        rule, task, w0 = plan.rule, plan.task, plan.w0
        self.checkpoint: Any = None if checkpoint is None else Checkpoint(checkpoint, plan.said())
        found = self.checkpoint and self.checkpoint.read()
        kept = plan.keep not in (None, "monitor")
        full = plan.reduce == "none" or is_own(plan.keep)  # such laws know nothing of less
        tried = None if full else found_reduction(rule, task, w0, kept)
        self.reduction = tried or None
        self.problem, sizes, self.beside = (rule, task, w0), [W.size for W in w0], None
        if plan.kinks == "smooth":
            self.problem = rule, smoothed(task, sharpness(rule, task, w0)), w0
        measured = None
        if plan.solver == "radau":
            w = self.problem[-1] if self.reduction is None else self.reduction.w0
            check_implicit("radau", w, "rkc2 and rock4 are for stiff flows of any size")
        if self.reduction is not None:
            made = self.reduction
            self.problem, self.beside = (made.rule, made.task, made.w0), made.beside
            sizes, measured = made.sizes, made.measured
            self.beside = self.beside if self.beside.any() else None
        self.path = Path() if plan.kinks in ("slide", "stop") else None
        self.control = Control.of(
            **plan.tolerances, sizes=sizes, step=plan.step, single=plan.single
        )
        self.record = Record(rule, plan.observe, self.reduction, self.control)
        seen, self.watch = self.problem, lambda state: state
        if self.reduction is not None:
            seen, self.watch = self.reduction.watched
        self.keeping = keeping_of(plan.keep, *seen, plan.ts, plan.solver, self.path)
        self.monitor = Monitor(self.keeping, seen[0])
        if self.keeping is None:
            self.watch = lambda state: state
        budgets = plan.max_steps, plan.max_seconds
        self.tally = Tally(*self.problem, *budgets, measured, self.path is not None)
        self.standing: Any = None
        self.spent = 0.0
        self.record.add(plan.ts[0], self.problem[-1])
        if found:
            self._resume(**found)

    def _bases(self):
        """What a reduced state depends on: its start, targets and feedback."""
        if self.reduction is None:
            return ()
        rule, task, w0 = self.problem
        return (*w0, task.Y, *rule.B, *([task.X.held] if isinstance(task.X, Still) else ()))

    def _resume(self, standing, ts, rows, bases, seconds):
        """Stand where a run stood that was broken off."""
        near = lambda a, b: a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12)
        ours = self._bases()
        if len(ours) != len(bases) or not all(map(near, ours, bases)):
            raise ValueError(
                f"{self.checkpoint.path} holds a reduced state in bases that come out otherwise"
                " here, with another linear algebra; start anew, or with reduce='none'."
            )
        self.record.ts = [float(t) for t in ts]
        self.record.kept = [list(row) for row in zip(*rows, strict=True)]
        self.record.last = standing.w
        self.control.h, self.control.previous, self.control.held = standing.control
        self.monitor.drift = standing.drift
        self.tally.resume(standing, self.plan.ts[0])
        if self.path is not None:
            self.path = Path.of(standing.kinks)
        self.standing, self.spent = standing, seconds

    def go(self, show_progress=None):
        """The solution.  Raises what `integrate` says."""
        plan, ts = self.plan, self.plan.ts
        stepping = plan.engine
        if self.path is not None:
            make = partial(Follower, path=self.path, stop=plan.kinks == "stop")
            stepping = SimpleNamespace(stepper=make, order=plan.engine.order)
        steps = {"solver": plan.solver, "relief": plan.relief, "rest": plan.rest}
        steps |= {"control": self.control, "tally": self.tally, "beside": self.beside}
        steps |= {"keeping": None if plan.keep == "monitor" else self.keeping}
        if self.checkpoint is not None:
            steps |= {"standing": self.standing, "stands": self._stands}
        with progress(ts[-1] - ts[0], "integrating", show_progress) as self.tally.advance:
            try:
                for t, w in march(stepping, *self.problem, ts, **steps):
                    self.monitor.look(t, self.watch(w))
                    self.record.add(t, w)
                if self.standing is not None:
                    self._write_end()
            except (Unfinished, KeyboardInterrupt) as stop:
                raise self._broken_off(stop) from None
            except Exception:  # of a law observed, say
                if self.standing is not None:
                    self._write()
                raise
        return self.solution()

    def _write_end(self):
        ends = {"rested": self.tally.rested, "counts": self.tally.totals()}
        self._write(rows=len(self.record.ts), drift=self.monitor.drift, **ends)

    def _broken_off(self, stop):
        """The exception to raise, with what was computed before."""
        text = str(stop) if isinstance(stop, Unfinished) else "Stopped by Ctrl-C."
        if self.standing is not None:
            self._write()
            if self.tally.spent or isinstance(stop, KeyboardInterrupt):
                text += (
                    f"  The same call goes on from {self.checkpoint.path}; budgets may be larger."
                )
        wrong = (Unfinished if isinstance(stop, Unfinished) else Interrupted)(text)
        self.record.add_rest(self.tally.rest(self.plan.ts))
        wrong.solution = self.solution()
        return wrong

    def _stands(self, run, limit):
        """Take note of where the run stands, and write it when it is time."""
        control, tally = self.control, self.tally
        away, corrected = tally.corrections()
        self.standing = Standing(
            t=float(run.t),
            w=run.w,
            beside=run.beside,
            control=(control.h, control.previous, control.held),
            solvers=list(tally.solvers),
            counts=tally.totals(),
            first=tally.first,
            rested=tally.rested,
            limit=limit and limit.stands(run),
            drift=self.monitor.drift,
            away=away,
            corrected=corrected,
            kinks={} if self.path is None else self.path.arrays(),
            rows=len(self.record.ts),
        )
        if self.checkpoint.due():
            self._write()

    def _write(self, **ends):
        standing = replace(self.standing, **ends) if ends else self.standing
        self.checkpoint.write(standing, self.record, self._bases(), self._seconds())

    def _seconds(self):
        return self.spent + time.perf_counter() - self.began

    def solution(self):
        plan, tally = self.plan, self.tally
        solver = tally.solver() if tally.solvers else plan.solver
        made = {"engine": plan.engine.name(), "solver": solver, **tally.counts()}
        made |= plan.tolerances if plan.step is None else {"step": float(plan.step)}
        made |= {"precision": "single"} if plan.single else {}
        made |= {} if self.reduction is None else {"reduced": str(self.reduction)}
        made |= self.monitor.told(*tally.corrections())
        made |= {} if plan.rest is None else {"steady": tally.rested}
        made |= {"kinks": self._met()} if plan.kinks else {}
        made |= {"seconds": self._seconds()}
        return self.record.solution(plan.rule, plan.task, made, self.path)

    def _met(self):
        """How kinks were met, in words."""
        if self.plan.kinks == "smooth":
            return f"rounded off: {', '.join(phi.name for phi in self.problem[1].activations)}"
        return "ignored" if self.path is None else str(self.path)
