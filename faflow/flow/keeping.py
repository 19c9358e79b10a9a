"""Which laws a run keeps or monitors, and the values they have on its way."""

from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np

from .. import laws
from ..rules import DFA, FA, GD, KolenPollack, SignFA
from .conserve import Keeper
from .core import Core
from .kept import Kept
from .own import own
from .stabilised import repeat

KINDS = {
    laws.balance: ("matrix", (GD,)),
    laws.feedback_balance: ("matrix", (FA, DFA)),
    laws.neuron_feedback_balance: ("neuron", (FA, DFA)),
    laws.neuron_potential_balance: ("neuron", (GD, FA, SignFA)),
    laws.neuron_balance: ("diagonal", (GD,)),
    laws.layer_balance: ("layer", (GD,)),
    laws.layer_feedback_balance: ("layer", (FA, DFA)),
    laws.mirror_difference: ("difference", (KolenPollack,)),
    laws.mirror_balance: ("mirror", (KolenPollack,)),
    laws.neuron_mirror_balance: ("neuron mirror", (KolenPollack,)),
}
"""Laws to which a way back is written down: their kind, and the rules that keep them."""


@dataclass(frozen=True)
class Keeping:
    """What a run keeps while its decay is constant: laws, their values at `start`, their decay."""

    keeper: Keeper
    rule: Any
    targets: tuple
    rates: tuple
    start: float

    @classmethod
    def of(cls, kept, rule, w, start):
        """From the values that laws have at the state `w`."""
        values = tuple(one.value(rule, w) for one in kept)
        return cls(Keeper.of(kept, rule, w), rule, values, _rates(kept, rule), start)

    def on(self, rule, t):
        """The same laws under the `rule` that goes on at time `t`, from the values they have."""
        targets = tuple(self.targets_at(t))
        keeper = self.keeper.under(rule)
        return type(self)(keeper, rule, targets, _rates(keeper.kept, rule), t)

    def targets_at(self, t, xp=np):
        """The values that the laws have by then."""
        return [
            q * xp.exp(-c * (t - self.start)) for q, c in zip(self.targets, self.rates, strict=True)
        ]

    def returned(self, t, w, xp=np, loop=repeat):
        """The state that keeps the laws next to `w`, and how far each was from its value."""
        made, away = self.keeper.returned(self.rule, w, self.targets_at(t, xp), xp, loop)
        return made, [xp.max(abs(R)) for R in away]

    def away(self, t, w):
        """How far each law is from its value."""
        both = zip(self.keeper.kept, self.targets_at(t), strict=True)
        return [float(np.abs(one.value(self.rule, w) - q).max()) for one, q in both]


def _rates(kept, rule):
    return tuple(float(one.rate(rule)) for one in kept)


class Monitor:
    """Looks at the laws of a run, whose rule may change with its decay."""

    def __init__(self, keeping, rule):
        self.keeping, self.rule, self.drift = keeping, rule, 0.0

    def look(self, t, w):
        """Take note of how far the laws are from their values at the state `w` at time `t`."""
        if self.keeping is None:
            return
        for jump in self.rule.jumps():
            if self.keeping.start < jump < t:
                self.keeping = self.keeping.on(self.rule.at(jump), jump)
        self.drift = np.fmax(self.drift, self.keeping.away(t, w))

    def told(self, away, corrected):
        """What was seen, by the names of the laws, as plain values; away: of those kept."""
        if self.keeping is None:
            return {}
        names = [str(one) for one in self.keeping.keeper.kept]
        by_name = lambda values: dict(zip(names, map(float, values), strict=True))
        made = {"drift": by_name(np.broadcast_to(self.drift, len(names)))}
        if away is not None:
            made["away"] = by_name(away)
            made["corrected"] = float(corrected)
        return made


def keeping_of(keep, rule, task, w, ts, solver, path):
    """The laws to be kept or monitored, with the values they start from, or None."""
    if keep is None:
        return None
    if keep != "monitor":
        deep = any(not task.activation(k).smooth for k in range(1, len(rule.weights(w)) - 1))
        where = "kinks above the first layer are followed" if path is not None and deep else None
        where = "kinks are followed" if path is not None and is_own(keep) else where
        where = "radau steps" if solver == "radau" else where
        where = "a core is integrated by itself" if isinstance(rule, Core) else where
        if where:
            raise ValueError(
                f"keep cannot return to a law where {where}; keep='monitor' can look on."
            )
    kept = asked(keep, rule, task, w, ts)
    return Keeping.of(kept, rule.at(ts[0]), w, ts[0]) if kept else None


def check_keep(keep):
    """Raise ValueError for what names no laws."""
    named = keep is None or (isinstance(keep, str) and keep in ("all", "monitor"))
    if not (named or callable(keep)):
        raise ValueError(f"keep must be all, monitor, None or a law, but is {keep!r:.60}.")


def is_own(keep):
    """Whether it is a law of the user's own."""
    return callable(keep) and (bool(getattr(keep, "args", ())) or _plain(keep)[0] not in KINDS)


def _plain(keep):
    """A law, and the keywords that come with it."""
    return getattr(keep, "func", keep), getattr(keep, "keywords", {})


def asked(keep, rule, task, w, ts):
    """The laws to keep or to monitor, of those that hold over the times `ts`.

    keep: "all" or "monitor", or a law of `faflow.laws`, or one of the user's own.
    Raises ValueError for a law that does not hold, or to which no way back is known.
    """
    pieces = [rule.at(t) for t in (ts[0], *(t for t in rule.jumps() if ts[0] < t < ts[-1]))]
    holds = lambda one: all(one.rate(piece) is not None for piece in pieces)
    if isinstance(keep, str):
        made = [one for one in known(rule, task, w) if holds(one)]
        if keep == "monitor":
            return made
        if not made:
            raise ValueError(f"keep='all' finds no law that {rule.name} is known to keep here.")
        return _proved(made, rule, task, w)
    if is_own(keep):
        return [own(keep, rule, task, w, pieces)]
    law, given = _plain(keep)
    for name in given:
        if name not in signature(law).parameters:
            raise ValueError(f"keep={law.__name__} takes no argument {name!r}.")
    hidden = range(len(rule.weights(w)) - 1)
    ks = [k for k in hidden if k == given.get("k", k)]
    made = [one for one in _of_law(law, rule, task, ks) if holds(one)]
    for one in made:
        if given.get("degree", one.degree) != one.degree:
            raise ValueError(
                f"keep={law.__name__} has degree {given['degree']}, but the activation of hidden"
                f" layer {one.k} has degree {one.degree}."
            )
    if not made:
        raise ValueError(
            f"keep needs a law that {rule.name} keeps here and to which a way back is known, but"
            f" {getattr(law, '__name__', law)} is none; there are"
            f" {', '.join(str(one) for one in known(rule, task, w) if holds(one)) or 'none'}."
        )
    return _proved(made, rule, task, w)


def _proved(made, rule, task, w):
    """The same laws, each proved in words for every size, or ValueError.

    Proved for networks whose layers all have the activation of the law's own layer, which is the
    only one that it depends on, and for decays of the same proportions.
    """
    depth = len(rule.weights(w))
    for one in made:
        phi = task.activation(one.k)
        whole = [5] * depth
        whole[one.k : one.k + 2] = (3, 6) if one.linear_above(rule) else (3, 3)
        kind = type(rule), getattr(rule, "beta", None), tuple(whole) if rule.decays else 0
        refused = _refused(one, kind, depth, "linear" if phi.degree is None else phi, task.bias)
        if refused:
            raise ValueError(f"keep refuses {one}: {refused}.")
    return made


@lru_cache(maxsize=256)
def _refused(one, kind, depth, phi, bias):
    """Why a law does not hold for a rule of this kind, in words, or an empty text."""
    from ..symbolic.prove import prove

    rule, beta, decay = kind
    example = rule(decay=decay, **({} if beta is None else {"beta": beta}))
    c = one.rate(example)
    shrinking = lambda rule, w, **more: -c * one.law(rule, w, **more)
    options = {"depth": depth, "activation": phi, "bias": bias, **one.arguments}
    verdict = prove(one.law, example, rate=shrinking if c else None, **options)
    return "" if verdict else str(verdict)


def _of_law(law, rule, task, ks):
    """The law at each of these layers, where it is one that can be returned to."""
    kind, rules = KINDS[law]
    if type(rule) not in rules:
        return []
    made = []
    for k in ks:
        if isinstance(rule, DFA) and k != len(rule.B) - 1:
            continue  # other layers keep nothing so
        phi = task.activation(k)
        fits = {"difference": True, "neuron": phi.degree is not None}
        fits |= {"neuron mirror": phi.degree == 1, "diagonal": phi.degree == 1}
        fits |= {"layer": phi.degree is not None and (phi.degree == 1 or type(rule) is not GD)}
        if fits.get(kind, phi.name == "linear"):
            made.append(Kept(kind, k, phi.degree or 1, isinstance(rule, FA | DFA)))
    return made


def known(rule, task, w):
    """The laws that `rule` is known to keep on the network, lowest layer first."""
    if type(rule) not in (GD, FA, DFA, SignFA, KolenPollack, Core):
        return []
    made = []
    if isinstance(rule, Core):
        return [Kept("core", 0, fixed=True)]
    hidden = len(rule.weights(w)) - 1
    for k in range(max(hidden - 1, 0) if isinstance(rule, DFA) else 0, hidden):
        degree = task.activation(k).degree
        linear = task.activation(k).name == "linear"
        if isinstance(rule, KolenPollack):
            made.append(Kept("difference", k))
            if degree == 1:
                made.append(Kept("mirror" if linear else "neuron mirror", k))
        elif degree is not None:
            fixed = isinstance(rule, FA | DFA)
            matrix = linear and not isinstance(rule, SignFA)
            made.append(Kept("matrix" if matrix else "neuron", k, degree, fixed))
    return made
