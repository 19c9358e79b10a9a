"""What is observed of a full state from a reduced one alone: the loss, and laws proved the same."""

from functools import partial
from typing import Any

import numpy as np

from .. import laws
from ..matrices.unformed import formed
from ..nets import replaced
from ..rule import Rule
from ..symbolic.law import Law
from ..symbolic.reductions import is_seen, is_seen_by_core
from .spans import unreached


def seen(reduction, law):
    """The law as ``law(rule, state)`` of the states of a `Reduction`, or None where it is unknown.

    law: `faflow.laws.loss` of the task that was reduced, or another of `faflow.laws`, or one found
    by `discover`, that words prove to be the same.  Others are not tried on words: they may
    remember what they saw.
    """
    rule, task, w0 = reduction.full
    if isinstance(law, partial) and law.func is laws.loss and not law.args:
        plain = all(getattr(type(rule), name) is getattr(Rule, name) for name in ("loss", "output"))
        return Loss(reduction) if plain and law.keywords.get("task") is task else None
    if not _is_known(law):
        return None
    depth = len(rule.weights(w0))
    if any(turn.apart is not None for turn in reduction.turns):
        return None
    if reduction.recovery is not None and not reduction.whole:
        small = replaced(rule, B=(np.eye(len(w0[0])),))
        same = is_seen_by_core(law, rule, depth)
        return (lambda rule, state: law(small, state[:2])) if same else None
    same = is_seen(law, rule, depth, _sides(reduction, rule, depth, task.bias), task.bias)
    (watched, _, _), way = reduction.watched
    return (lambda rule, state: law(watched, way(state))) if same else None


def _is_known(law):
    """Whether it is one of faflow's, of the weights alone."""
    if isinstance(law, Law):
        return True
    if isinstance(law, partial):
        return not law.args and set(law.keywords) <= {"k", "degree"} and _is_known(law.func)
    return getattr(laws, getattr(law, "__name__", ""), None) is law


def _sides(reduction, rule, depth, bias):
    """Names of the spaces that are turned."""
    kinds = rule.state(rule.spaces(depth), bias).values()
    made = set()
    for turn, names in zip(reduction.turns, kinds, strict=True):
        for columns, name in zip((turn.rows, turn.cols), names, strict=True):
            if columns is not None:
                made.add(name.removesuffix("+1"))
    return tuple(sorted(made))


class Loss:
    """The loss of the full problem at a reduced state: that of the smaller problem, and the rest.

    The rest, of targets that no state reaches, is a constant.  Nothing cancels: what is left of the
    loss has the digits that it has in full.
    """

    def __init__(self, reduction):
        task = reduction.full[1]
        self.rule, self.task = reduction.rule, reduction.task
        self.recovery: Any = None if reduction.whole else reduction.recovery
        turned = self.task if self.recovery is None else self.recovery
        self.rest = 0.0
        if turned.Y.shape[1] < task.Y.shape[1]:
            self.rest += _half(unreached(task))
        if self.recovery is not None:
            self._squeeze()

    def _squeeze(self):
        """Y/(sc) - ZW is R₁ - (R₀P + R₁G)W' on the core's rows, in coordinates of [Z₀, YQ]."""
        back = self.recovery
        R = np.linalg.qr(np.hstack([back.Z0, back.pulls]), mode="r")
        self.R0, self.R1 = np.hsplit(R, [back.Z0.shape[1]])
        self.rest += _half(back.Y - (back.Y @ back.Q) @ back.Q.T)

    def __call__(self, rule, state):
        if self.recovery is None:
            f = formed(self.rule.output(self.task, state))
            return self.rest + self.task.loss.value(f, self.task.Y)
        W, _, G, P, _ = state
        left = self.R1 - (self.R0 @ P + self.R1 @ G) @ W
        return self.rest + self.recovery.scale**2 * _half(left)


def _half(M):
    return float(np.vdot(M, M)) / 2
