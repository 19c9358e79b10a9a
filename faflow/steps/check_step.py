"""Whether steps of another implementation were feedback alignment, from their weights alone."""

from dataclasses import replace
from numbers import Real

import numpy as np

from ..activations import Activation
from ..activations import activation as activation_named
from .faults import Fault, Suspect, faults, gradient_descent
from .foreign import EXTREME, outgoing_of, read_feedback, read_steps
from .step_law import THRESHOLDS, hidden
from .step_report import VERDICTS, LayerReport, StepReport

NEARER = 100
"""How many times nearer a fault must fit than feedback alignment does, or come to its floor."""


def check_step(
    before, after, B, *, activation="relu", rates=1, decay=0, layout=None, threshold=None
):
    """Say layer by layer whether weights moved by feedback alignment through `B`, or by what else.

    A step of any size, on any samples, for any loss has (ΔWᵢWᵢᵀ)ⱼⱼ = degree·(Bᵢ₊₁ΔWᵢ₊₁)ⱼⱼ for
    every unit j, and ΔWᵢWᵢᵀ = Bᵢ₊₁ΔWᵢ₊₁ as a whole if layer i is linear; there columns of ΔWᵢ are
    combinations of those of Bᵢ₊₁, too, and a step that meets all this is one on some samples.
    Each hidden layer is judged by itself, given what those above did, and each unit of it.  Of a
    layer that bends the law says nothing of the part of ΔWᵢ at right angles to a unit's weights.

    before, after: weights, from the input on, as NumPy, PyTorch or JAX arrays in a list, or in a
        mapping such as a ``state_dict``, of which entries that end in "weight" and "bias" count.
        They lie (out, in); a vector is the biases of the weights before it, or these are a last
        column.  Convolutions are (out, in, …); pooling, and flattening channel by channel, are
        free, and so is dropout of units that bend; normalisation and skipped layers are not.
        Mappings of weights are matched by name, and B goes by its order.  Neighbouring layers may
        be given alone.
        For several steps lists of such states, one for each step: more faults can then be told.
    B: a matrix for each layer above the first, in the shape of its W or W.T, or one for the first
        as well, which does not count; of a mapping those that end in "weight_backward".
    activation: of the hidden layers, one or one for each; homogeneous, as relu and leaky_relu are.
    rates: learning rate, a number or one for each layer; only their ratios count.
    decay: ηλ, the part of itself that each layer loses besides, biases included; also where code
        multiplies by 1 - ηλ, rounded.
    layout: of B, "W" or "W.T", where both shapes are one; None finds out which one fits.
    threshold: relative residual that is zero; None takes 1e-9 for float64, 1e-4 for float32,
        1e-2 and 5e-2 for 16 bits, also where 16 such numbers or more are stored as longer ones.
        Weights of more digits than their gradients were computed in need one that is theirs.
        Rounding is allowed for as far as sums over samples do not nearly cancel.

    With momentum only the first step from rest passes, with adaptive optimisers none does.
    Returns a `StepReport`.  With the data at hand compare ``FA(B)(task, before)`` instead.
    Raises ValueError for weights that make no network, and activations that have no law.
    """
    steps = read_steps(before, after)
    layers = steps[0][0]
    phis = _activations(activation, len(layers) - 1)
    rates = _of_layers(rates, "rates", len(layers))
    decay = _of_layers(decay, "decay", len(layers))
    if 0 in rates:
        raise ValueError("rates must not be 0: a layer that never moves has no law.")
    for name, numbers in (("rates", rates), ("decay", decay)):
        if any(n and not 1 / EXTREME < abs(n) < EXTREME for n in numbers):
            raise ValueError(f"{name} must be numbers of usual size, but are {numbers}.")
    if threshold is not None and not (isinstance(threshold, Real) and 0 < threshold < 1):
        raise ValueError(f"threshold must be between 0 and 1, but is {threshold!r}.")
    given = read_feedback(B, layers, layout)
    known = dict(steps=steps, phis=phis, rates=rates, threshold=threshold, turn=bool(layout))
    made = [
        {
            name: _report(B=feedback, layout=name, decay=one, **known)
            for name, feedback in given.items()
        }
        for one in _as_factors(decay, steps)
    ]
    best = {name: max((each[name] for each in made), key=_standing) for name in given}
    return _fitting(best)


def _as_factors(decay, steps):
    """The decay as it is said, and as it is where weights are multiplied by 1 - decay, rounded."""
    bits = min(layer.bits for step in steps for state in step for layer in state)
    rounded = []
    for one in decay:
        part, power = np.frexp(1 - one)
        rounded.append(1 - float(np.ldexp(np.rint(np.ldexp(part, bits)), power - bits)))
    return [decay, rounded] if bits < 53 and rounded != decay else [decay]


def _report(steps, phis, rates, decay, threshold, turn, B, layout):
    """The report for feedback of this layout."""
    layers = steps[0][0]
    chain = [[hidden(step, k, phi, rates, decay) for step in steps] for k, phi in enumerate(phis)]
    made = []
    for k, seen in enumerate(chain):
        units = len(layers[k].weight)
        allowed = THRESHOLDS[min(h.bits for h in seen)] if threshold is None else threshold
        turned = _turned(B[k]) if turn else None
        above = list(zip(*chain[k + 1 :], strict=True))
        direct = [h.led_to(up) for h, up in zip(seen, above, strict=True)] if above else [None]
        suspect = Suspect(
            seen,
            [None, *seen[:-1]],
            outgoing_of(B[k], units),
            None if turned is None else outgoing_of(turned, units),
            None if None in direct else direct,
            k == len(chain) - 1,
            min(_widths([hidden[0] for hidden in chain[k:]])),
            (layers[k].name, layers[k + 1].name),
            float(allowed),
        )
        made.append(_layer_report(k, suspect))
    return StepReport(tuple(made), layout, len(steps))


def _standing(report):
    """How well a report speaks of a step."""
    return report.count("ok"), -report.count("fault"), report.explained


def _fitting(reports):
    """The report for the layout of B that fits best."""
    good = {name: _standing(report) for name, report in reports.items()}
    best = max(good, key=good.__getitem__)
    alike = len(good) > 1 and len(set(good.values())) == 1
    return replace(reports[best], layout="either") if alike else reports[best]


def _turned(B):
    """The feedback of the other layout, where it has the same shape."""
    other = B.swapaxes(0, 1)
    return other if other.shape == B.shape else None


def _layer_report(k, suspect):
    """The report on hidden layer `k`."""
    threshold, (own, above) = suspect.threshold, suspect.names
    measured = [h.measure(suspect.B) for h in suspect.steps]
    verdicts = [_verdict(h, m, threshold) for h, m in zip(suspect.steps, measured, strict=True)]
    verdict = max(verdicts, key=VERDICTS.index)
    such = [n for n, v in enumerate(verdicts) if v == verdict]
    each = [m.worst(threshold) for m in measured]
    residual, floor = max([each[n] for n in such], key=lambda seen: np.nan_to_num(seen[0]))
    suspect = suspect.only(such)
    fits, cannot_tell = (), ()
    if verdict == "ok":
        fits = tuple(filter(None, [gradient_descent(suspect)]))
    elif verdict == "no update":
        fits = (Fault("no update", where=own),) if suspect.steps[0].moved_above else ()
    elif verdict == "fault" and not suspect.steps[0].moved_above:
        fits = (Fault("no update", where=above),)
    elif verdict == "fault":
        nearer = min(threshold, max(residual / NEARER, 3 * floor))
        fits, cannot_tell = faults(replace(suspect, threshold=nearer))
    return LayerReport(
        layer=k,
        name=own,
        above=above,
        units=len(suspect.B),
        law="matrix" if suspect.steps[0].whole else "neuron",
        residual=float(residual),
        floor=float(floor),
        threshold=threshold,
        bits=min(h.bits for h in suspect.steps),
        verdict=verdict,
        fits=fits,
        cannot_tell=cannot_tell,
        residuals=tuple(float(residual) for residual, _ in each),
    )


def _verdict(h, measured, threshold):
    """The verdict on a layer in one step.

    Weights that stand still beside biases that move may have inputs that are zero, as long as
    there is no fault and the weights are not even stored again.
    """
    verdict = measured.verdict(threshold)
    if verdict == "fault":
        return "no update" if h.still or not h.moved else "fault"
    stored_again = h.still and h.F[:, :-1].any()
    return "no update" if verdict == "undecided" and (stored_again or not h.changed) else verdict


def _widths(hidden):
    """How many errors come to a layer, and to those above it as long as they are linear."""
    yield hidden[0].told
    for h in hidden[1:]:
        if not h.whole:
            return
        yield h.told


def _activations(given, number):
    """An activation for each hidden layer, all homogeneous."""
    several = isinstance(given, list | tuple) and not isinstance(given, Activation)
    phis = [activation_named(phi) for phi in (given if several else [given] * number)]
    if len(phis) != number:
        raise ValueError(
            f"activation has {len(phis)} entries, but there are {number} hidden layers."
        )
    for phi in phis:
        if phi.degree is None:
            raise ValueError(
                "A step has a law only where f(cz) = c^p f(z), as for relu, leaky_relu and linear;"
                f" {phi.name} is not so."
            )
    return phis


def _of_layers(given, name, number):
    """A number for each layer."""
    several = isinstance(given, list | tuple | np.ndarray) and np.ndim(given) > 0
    values = list(given) if several else [given] * number
    if len(values) != number:
        raise ValueError(f"{name} has {len(values)} entries, but there are {number} layers.")
    for value in values:
        if not _is_finite(value):
            raise ValueError(f"{name} must be finite numbers, but has {value!r:.40}.")
    return [float(value) for value in values]


def _is_finite(value):
    """Whether this is a real number that a float can be."""
    try:
        real = isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0)
        return real and not isinstance(value, bool) and bool(np.isfinite(float(value)))
    except (TypeError, ValueError, OverflowError):
        return False
