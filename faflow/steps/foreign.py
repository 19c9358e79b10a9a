"""Weights and feedback of another implementation, read as layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

LAYOUTS = {"W.T": "the shape of W.T", "W": "the shape of W"}
"""How a feedback matrix may lie: as faflow's, or as PyTorch layers keep it."""

DIRECT = ", as direct feedback is; of that the last two layers have the law, and may be given alone"
ENOUGH = 16
"""Entries it takes to see that float64 numbers are float32 numbers, and not so by chance."""


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
    pairs = [(before, after)]
    if _several(before) or _several(after):
        if not (_several(before) and _several(after)) or len(before) != len(after):
            raise ValueError(
                "before and after must both be lists of as many states, one for each step."
            )
        pairs = list(zip(before, after, strict=True))
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
    return steps


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
        if layout not in LAYOUTS:
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
    made = np.asarray(given)
    if made.dtype.name == "bfloat16":  # of JAX
        bits = 8
    elif made.dtype.kind == "f":
        bits = min(bits, np.finfo(made.dtype).nmant + 1)
    elif made.dtype.kind not in "iu":
        raise ValueError(f"{label} must be an array of real numbers, but is {made.dtype}.")
    made = made.astype(float)
    if not made.size:
        raise ValueError(f"{label} has no entries: its shape is {made.shape}.")
    if not np.isfinite(made).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(made))[0]))
        raise ValueError(f"{label} must be finite, but entry {where} is {made[where]}.")
    return made, bits


def bits_of(old, new):
    """Of how many bits the numbers of a layer are, whatever they are stored as, if it moved."""
    known = min(old.bits, new.bits)
    values = np.concatenate([old.weight.ravel(), new.weight.ravel()])
    if np.count_nonzero(values) < ENOUGH or np.array_equal(old.weight, new.weight):
        return known
    fractions = np.frexp(values)[0]
    exact = lambda bits: (np.ldexp(fractions, bits) % 1 == 0).all()
    return next((bits for bits in (8, 11, 24) if bits < known and exact(bits)), known)


def _several(given):
    """Whether this is a list of states, one a step."""
    return isinstance(given, list | tuple) and any(
        isinstance(one, list | tuple | Mapping) for one in given
    )


def _items(given, what, endings):
    """(name, label, array) of what is given; of names, those with such an ending if any have it."""
    if isinstance(given, Mapping):
        named = [str(name) for name in given if str(name).endswith(endings)]
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
                " before it; networks with normalisation have no law."
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
