"""Weights and feedback of another implementation, read as layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

LAYOUTS = {"W.T": "the shape of W.T", "W": "the shape of W"}
"""How a feedback matrix may lie: as faflow's, or as PyTorch layers keep it."""

DIRECT = ", as direct feedback is; of that the last two layers have the law, and may be given alone"
EXTREME = 1e75
"""Size of numbers from which on products of four, as the measures are of, are none in floats."""

ENOUGH = 16
"""Numbers it takes to see that they were rounded to fewer bits than they are stored in."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer's weights (out, in, …), its biases or None, and how many bits their numbers have."""

    name: str
    label: str
    weight: np.ndarray
    bias: np.ndarray | None
    bits: int

    @property
    def shapes(self):
        return self.weight.shape, None if self.bias is None else self.bias.shape


def read_steps(before, after):
    """[(layers before, layers after)] of every step, of one shape throughout."""
    pairs = [(before, _ordered(before, after))]
    if _several(before) or _several(after):
        if not (_several(before) and _several(after)) or len(before) != len(after):
            raise ValueError(
                "before and after must both be lists of as many states, one for each step."
            )
        like = lambda state: _ordered(before[0], state)
        pairs = [(like(one), like(other)) for one, other in zip(before, after, strict=True)]
    steps, first = [], None
    for n, pair in enumerate(pairs):
        step = []
        for name, given in zip(("before", "after"), pair, strict=True):
            what = f"{name}[{n}]" if len(pairs) > 1 else name
            state = _layers(given, what)
            first = first or (what, state)
            _check_alike(what, state, *first)
            step.append(_chained(state))
        steps.append(tuple(step))
    return _rounded(steps)


def _ordered(before, after):
    """The state after a step with its names in the order they had before it."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return after
    if set(before) != set(after):
        odd = sorted(map(str, set(before) ^ set(after)))
        raise ValueError(f"before and after must have the same names, but differ in {odd[0]!r}.")
    return {name: after[name] for name in before}


def _rounded(steps):
    """The layers with as many bits as their numbers show, or those of all where they are few."""
    shown = [np.zeros(0)] * len(steps[0][0])
    for before, after in steps:
        for k, (old, new) in enumerate(zip(before, after, strict=True)):
            if (old.weight != new.weight).any():  # what has not moved may be there by design
                shown[k] = np.concatenate([shown[k], old.weight.ravel(), new.weight.ravel()])
    of_all = bits_of(np.concatenate(shown))
    bits = [of_all if len(np.unique(values)) < ENOUGH else bits_of(values) for values in shown]
    with_bits = lambda state: [
        replace(layer, bits=min(layer.bits, b)) for layer, b in zip(state, bits, strict=True)
    ]
    return [tuple(map(with_bits, step)) for step in steps]


def _check_alike(what, state, first, other):
    """Raise unless two states have the same shapes."""
    if len(state) != len(other):
        raise ValueError(f"{what} has {len(state)} layers, but {first} {len(other)}.")
    for layer, like in zip(state, other, strict=True):
        if layer.shapes != like.shapes:
            raise ValueError(
                f"{layer.label} is {layer.weight.shape}{_with(layer)}, but {like.label} is"
                f" {like.weight.shape}{_with(like)}."
            )


def read_feedback(B, layers, layout):
    """{layout: feedback in the shape of the weights above}, for every layout the shapes allow."""
    items = _items(B, "B", ("weight_backward",))
    hidden = len(layers) - 1
    if len(items) == hidden + 1:  # of the first layer, which sends no error on
        items = items[1:]
    if len(items) != hidden:
        raise ValueError(
            f"B must have {hidden} matrices, one for each layer above the first, but has"
            f" {len(items)}."
        )
    matrices = [(label, plain(M, label)[0]) for _, label, M in items]
    possible = set(LAYOUTS)
    for (label, M), above in zip(matrices, layers[1:], strict=True):
        shape = above.weight.shape
        turned = (shape[1], shape[0], *shape[2:])
        fits = {name for name, s in (("W", shape), ("W.T", turned)) if M.shape == s}
        if not fits:
            direct = sorted(M.shape) == sorted((shape[1], len(layers[-1].weight)))
            raise ValueError(
                f"{label} must have the shape of {above.label}, {shape}, or of its transpose, but"
                f" is {M.shape}{DIRECT * direct}."
            )
        if not possible & fits:
            raise ValueError(
                f"{label} has {LAYOUTS[fits.pop()]}, but those before it {LAYOUTS[possible.pop()]}."
            )
        possible &= fits
    if layout is not None:
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise ValueError(f"Unknown layout {layout!r}; choose from {', '.join(LAYOUTS)}.")
        if layout not in possible:
            raise ValueError(f"B has {LAYOUTS[possible.pop()]}, not {LAYOUTS[layout]}.")
        possible = {layout}
    turn = {"W": lambda M: M, "W.T": lambda M: M.swapaxes(0, 1)}
    return {name: [turn[name](M) for _, M in matrices] for name in LAYOUTS if name in possible}


def outgoing_of(weights, units):
    """All that a unit or channel sends out in one row: (units, what it sends to)."""
    blocks = weights.reshape(len(weights), units, -1)  # positions of a channel lie together
    return blocks.swapaxes(0, 1).reshape(units, -1)


def plain(given, label):
    """An array of any library as float64, checked, and the bits of its numbers."""
    bits = 53
    if hasattr(given, "detach"):  # PyTorch
        given = given.detach().cpu()
        if "bfloat16" in str(given.dtype):
            given, bits = given.float(), 8
        given = given.numpy()
    if np.ma.is_masked(given):
        raise ValueError(f"{label} must not be masked: a law takes every entry.")
    try:
        made = np.asarray(given)
    except (TypeError, ValueError):
        raise ValueError(f"{label} must be an array of real numbers, not {given!r:.60}.") from None
    if made.dtype.name == "bfloat16":  # of JAX
        bits = 8
    elif made.dtype.kind == "f":
        bits = min(bits, np.finfo(made.dtype).nmant + 1)
    elif made.dtype.kind not in "iu":
        raise ValueError(f"{label} must be an array of real numbers, but is {made.dtype}.")
    with np.errstate(over="ignore"):
        made = made.astype(float)
    if not made.size:
        raise ValueError(f"{label} has no entries: its shape is {made.shape}.")
    if not np.isfinite(made).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(made))[0]))
        raise ValueError(f"{label} must be finite, but entry {where} is {made[where]}.")
    largest = np.abs(made).max()
    if largest and not 1 / EXTREME < largest < EXTREME:
        raise ValueError(
            f"{label} has {largest:.3g} as its largest entry; its products would not be numbers."
        )
    return made, bits


def bits_of(values):
    """Of how many bits numbers are, whatever they are stored as.

    Short ones such as integers fit in few bits, but were not rounded to them: of those that were
    half end in a one, whatever their power of two.
    """
    fractions, powers = np.frexp(np.unique(np.abs(values[values != 0])))
    if len(fractions) < ENOUGH:
        return 53
    for bits in (8, 11, 24):
        ends = np.ldexp(fractions, bits) % 2
        if (ends % 1 == 0).all():
            used = powers[ends == 1]
            commonest = np.unique(used, return_counts=True)[1].max(initial=0)
            many = len(used) >= len(powers) / 4 and len(used) - commonest >= len(powers) / 16
            return bits if many else 53
    return 53


def _several(given):
    """Whether this is a list of states, one a step."""
    return isinstance(given, list | tuple) and any(
        isinstance(one, list | tuple | Mapping) for one in given
    )


def _items(given, what, endings):
    """(name, label, array) of what is given; of names, those with such an ending if any have it."""
    if isinstance(given, Mapping):
        named = [str(name) for name in given if str(name).endswith(endings)]
        if not any(name.endswith(endings[0]) for name in named):
            named = []
        kept = [(str(n), M) for n, M in given.items() if not named or str(n) in named]
        return [(name, f"{what}[{name!r}]", M) for name, M in kept]
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"{what} must be a list of arrays, or a mapping of names to them.")
    return [(None, f"{what}[{k}]", M) for k, M in enumerate(given)]


def _layers(state, what):
    layers = []
    for name, label, given in _items(state, what, ("weight", "bias")):
        array, bits = plain(given, label)
        if array.ndim > 1:
            name = f"W{len(layers) + 1}" if name is None else name
            layers.append(Layer(name, label, array, None, bits))
            continue
        below = layers[-1] if layers else None
        if array.ndim == 0 or below is None or below.bias is not None:
            raise ValueError(
                f"{label} of shape {array.shape} is neither weights nor the biases of weights"
                " before it; normalisation has no law, and kernels (in, out), of Keras or Flax,"
                " must be transposed and named weight."
            )
        if array.shape != below.weight.shape[:1]:
            raise ValueError(
                f"{label} of shape {array.shape} cannot be the biases of {below.label},"
                f" {below.weight.shape}."
            )
        layers[-1] = replace(below, bias=array, bits=min(bits, below.bits))
    if len(layers) < 2:
        raise ValueError(f"{what} has {len(layers)} layers of weights, but a law takes two.")
    return layers


def _chained(layers):
    """The same with biases that are a last column taken off; raises where sizes do not fit."""
    chained = layers[:1]
    for below, above in pairwise(layers):
        units, shape = len(below.weight), above.weight.shape
        flat = below.weight.ndim > 2 and above.weight.ndim == 2
        if below.weight.ndim == above.weight.ndim == 2 and shape[1] == units + 1:
            if above.bias is not None:
                raise ValueError(f"{above.label} has biases, and a column for them: {shape}.")
            column = above.weight[:, -1]
            above = replace(above, weight=above.weight[:, :-1], bias=column)
        elif shape[1] != units and not (flat and shape[1] % units == 0):
            raise ValueError(
                f"{above.label} must have {units}{' times as many' * flat} columns for the rows of"
                f" {below.label} {below.weight.shape}, but is {shape}{_turned(layers)}."
            )
        chained = [*chained, above]
    return chained


def _turned(layers):
    """What to do about weights that chain once they are transposed."""
    flat = all(layer.weight.ndim == 2 for layer in layers)
    chain = all(b.weight.shape[1] == a.weight.shape[0] for b, a in pairwise(layers))
    return "; weights (in, out), of Keras or Flax, must be transposed" * (flat and chain)


def _with(layer):
    return " with biases" * (layer.bias is not None)
