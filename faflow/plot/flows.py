"""Plots of solutions."""

import sys

import numpy as np

from .. import laws, nets
from ..extras import needs
from ..rules import DFA, FA, GD, KolenPollack, SignFA, outgoing

TIME = "time (1/learning rate)"


def panels(number=1, *, size=(5.5, 3.6)):
    """A figure, which pyplot does not know, and its axes: so many side by side, each of `size`."""
    figure = needs("matplotlib.figure", "plot").Figure(
        figsize=(number * size[0], size[1]), layout="constrained"
    )
    return figure, figure.subplots(1, number)


def measured(solution, law, ax=None, label=None, **arguments):
    """`law` against time, one line an entry.

    law: a law, called with `arguments`; or the name of one that the solution observed.
    """
    ax = axes(ax)
    values = _values(solution, law, arguments)
    lines = ax.plot(solution.ts, values.reshape(len(values), -1))
    for line in lines[1:]:
        line.set(color=lines[0].get_color(), alpha=0.6)
    lines[0].set_label(label or _name(law))
    return finished(ax, _name(law))


def drift(solution, law, ax=None, label=None, **arguments):
    """|law - law(0)|, the norm over its entries, against time; the solver's rtol is dashed."""
    ax = axes(ax)
    values = _values(solution, law, arguments)
    moved = np.linalg.norm((values - values[0]).reshape(len(values), -1), axis=1)
    log(ax, solution.ts, moved, label or _name(law))
    if "rtol" in solution.made:
        level(ax, solution.made["rtol"], f"rtol {solution.made['rtol']:g}", "--")
    return finished(ax, "|law − law(0)|", fewest=1)


def loss(solution, ax=None, label=None):
    """The loss, summed over the samples, against time; without weights what "loss" observed."""
    ax, task = axes(ax), solution.task
    of_state = lambda rule, w: nets.loss(task, rule.weights(w))
    values = _values(solution, of_state if solution.w else "loss", {})
    log(ax, solution.ts, values, label or type(solution.rule).__name__)
    return finished(ax, f"{_words(task.loss.name)} loss, summed")


def alignment(solution, ax=None, k=None):
    """Angle between feedback B and the Wᵀ it stands for, one line a hidden layer that has one.

    k: only this hidden layer.  Without weights what "alignment" observed, a cosine.
    """
    ax = axes(ax)
    if solution.w:
        layers = _aligned(solution) if k is None else [k]
        if not layers:
            raise ValueError(f"No layer of this {type(solution.rule).__name__} has an angle.")
        with np.errstate(invalid="ignore"):  # zero weights have no direction: a gap in the line
            cosines = [solution.measure(laws.alignment, k=k) for k in layers]
        labels = [f"hidden layer {k}" for k in layers]
    else:
        cosines, labels = [_values(solution, "alignment", {})], ["observed"]
    for cosine, label in zip(cosines, labels, strict=True):
        ax.plot(solution.ts, np.degrees(np.arccos(np.clip(cosine, -1, 1))), label=label)
    level(ax, 90, "orthogonal", ":")
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -3), max(high, 93))
    return finished(ax, "angle of B and Wᵀ (degrees)")


def summary(solution):
    """A figure of the loss, the alignment and the drift of a law; or of all that was observed.

    The law is the one the rule keeps in its last hidden layer.  A panel that does not apply is
    left out: of the law with weight decay, or where the activation keeps none.
    """
    special = {"loss": loss, "alignment": alignment}
    if solution.w:
        panels = [loss, *([alignment] if _aligned(solution) else []), *_drift_of_its_law(solution)]
    else:
        panels = [special.get(name) or _measured_as(name) for name in solution.observed]
    figure = _figure(figsize=(4 * len(panels), 3.2))
    for draw, ax in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        draw(solution, ax)
    weights = solution.rule.weights(solution.at(-1))
    sizes = (len(solution.task.X), *map(len, weights))
    figure.suptitle(f"{type(solution.rule).__name__} on {'-'.join(map(str, sizes))}")
    return figure


def _measured_as(name):
    return lambda solution, ax: measured(solution, name, ax)


def _drift_of_its_law(solution):
    """The panel that shows the drift of the rule's own law, in a list; none for unknown rules."""
    k, rule = len(solution.rule.weights(solution.at(-1))) - 2, solution.rule
    known = {
        GD: laws.neuron_potential_balance,
        FA: laws.neuron_feedback_balance,
        DFA: laws.neuron_feedback_balance,
        SignFA: laws.neuron_potential_balance,
        KolenPollack: laws.mirror_difference,
    }
    law = known.get(type(rule))
    if law is None or k < 0 or rule.decay != 0:
        return []
    degree = {}
    if law is not laws.mirror_difference:
        degree = {"degree": solution.task.activation(k).degree}
        if degree["degree"] is None:
            return []
    return [lambda solution, ax: drift(solution, law, ax, k=k, **degree)]


def _aligned(solution):
    """Hidden layers whose feedback has the shape of the transposed weights above."""
    w, rule = solution.at(-1), solution.rule
    weights = rule.weights(w)
    fits = lambda k: laws.feedback_of(rule, w, k).shape == outgoing(weights, k).T.shape
    return [k for k in range(len(weights) - 1) if fits(k)]


def _values(solution, law, arguments):
    """The law at every time, measured now or as it was observed."""
    if solution.w and not isinstance(law, str):
        return solution.measure(law, **arguments)
    name = law if isinstance(law, str) else getattr(law, "__name__", "law")
    if name in solution.observed and not arguments:
        return solution.observed[name]
    there = ", ".join(solution.observed) or "nothing"
    raise ValueError(
        f"This solution observed {there}, but not {name!r}"
        + (" with these arguments" if name in solution.observed else "")
        + "; name what it observed, or integrate without observe= to keep the weights."
    )


def _name(law):
    return _words(law if isinstance(law, str) else getattr(law, "__name__", "law"))


def _words(name):
    return name.replace("_", " ")


def log(ax, ts, values, label):
    """A line on a logarithmic axis; a zero leaves a gap."""
    shown = np.where(values > 0, values, np.nan)
    ax.plot(ts, shown, label=label)
    if np.isfinite(shown).any():
        ax.set_yscale("log")


def level(ax, value, label, style):
    """A grey horizontal line, once."""
    if label not in ax.get_legend_handles_labels()[1]:
        ax.axhline(value, color="0.5", ls=style, lw=1, label=label)


def finished(ax, ylabel, fewest=2):
    """`ax` with its labels, and a legend of at least so many entries."""
    ax.set_xlabel(TIME)
    ax.set_ylabel(ax.get_ylabel() or ylabel)
    if len(ax.get_legend_handles_labels()[0]) >= fewest:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _figure(**options):
    needs("matplotlib", "plot")
    if "matplotlib.pyplot" in sys.modules:
        return sys.modules["matplotlib.pyplot"].figure(layout="constrained", **options)
    from matplotlib.figure import Figure

    return Figure(layout="constrained", **options)


def axes(ax):
    """`ax`, or axes on a figure of their own."""
    return _figure(figsize=(5, 3.4)).subplots() if ax is None else ax
