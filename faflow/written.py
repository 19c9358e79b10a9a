"""A rule written down as plain values, without its feedback, and read again."""

from dataclasses import asdict
from fractions import Fraction

import numpy as np

from .momentum import HeavyBall
from .networks import NETWORKS, On
from .rules import RULES, Piecewise, Rule
from .steps.modified import Modified


def written(rule):
    """{"rule": name of its class, "options": {name: value}}, for JSON; B is left to arrays.

    Raises TypeError for an option that is no number and no rule.
    """
    names = [name for name in rule.__dataclass_fields__ if name != "B"]
    return {
        "rule": type(rule).__name__,
        "options": {name: _plain(getattr(rule, name)) for name in names},
    }


def read(about, B, where, rules=()):
    """The rule of `written`, with feedback `B`; `rules` are classes that faflow does not know.

    where: what to call the file in an error.
    Raises ValueError for a class that is not known, and for options that it does not take.
    """
    known = RULES | {rule.__name__: rule for rule in (HeavyBall, On, Modified, *rules)}
    name, options = about["rule"], about.get("options")
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"{where} holds the rule {name!r}, which is not one of faflow's; pass its class as"
            f" rules=[{name}]."
        )
    if not isinstance(options, dict):
        raise ValueError(f"{where} holds the rule {name} without a dictionary of its options.")
    inside = {k: v for k, v in options.items() if isinstance(v, dict) and "rule" in v}
    made = {k: read(v, B, where, rules) for k, v in inside.items()}
    try:
        made |= {k: _restored(v) for k, v in options.items() if k not in inside}
        return known[name](**made) if inside else known[name](B, **made)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(
            f"{where} holds the rule {name} with options {options!r:.60}, which it does not take."
        ) from error


def _plain(value):
    """The value in what JSON has; TypeError for anything but numbers, names, rules and tuples."""
    if isinstance(value, Rule):
        return written(value)
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if type(value) in NETWORKS.values():
        return {"network": type(value).__name__, **asdict(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} is not a plain value")


def _restored(value):
    """Tuples and piecewise decays, which JSON writes as lists: a piecewise one holds two lists."""
    if isinstance(value, dict) and "network" in value:
        options = {k: v for k, v in value.items() if k != "network"}
        return NETWORKS[value["network"]](**options)
    if isinstance(value, dict):
        return Fraction(value["fraction"])
    if not isinstance(value, list):
        return value
    if len(value) == 2 and all(isinstance(part, list) for part in value):
        times, values = value
        if len(values) == len(times) + 1 and not any(isinstance(v, list) for v in values):
            return Piecewise(tuple(times), tuple(values))
    return tuple(map(_restored, value))
