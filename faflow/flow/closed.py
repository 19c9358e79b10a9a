"""Flows of two linear layers that are known in closed form."""

from functools import partial

from ..exact import fa_from_zero, gd_balanced
from ..rules import DFA, FA, GD


def closed_form(rule, task, w0):
    """The solution as a function of times, or None where no closed form is known here."""
    plain = not rule.decays and rule.rates == 1 and len(w0) == 2
    if not plain or type(rule) not in (GD, FA, DFA):
        return None
    if type(rule) is GD:
        path = partial(gd_balanced, task, w0)
    elif not any(W.any() for W in w0):
        path = partial(fa_from_zero, task, rule.B[0])
    else:
        return None
    try:
        path([0.0])
    except ValueError:  # which says what is not so
        return None
    return path
