"""A velocity as the list of NumPy calls it makes, in memory that is taken once.

A rule is a formula, but for small matrices Python spends longer on reading it than NumPy on the
products.  Read once, by arrays that write down what is done to them, it becomes a list of calls.
"""

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


def taped(rule, task, w):
    """A function without arguments: the velocity of what is in the arrays `w` when it is called.

    It gives the same arrays each time, written anew.  None where that is not known to be all that
    the rule does: for rules and activations from elsewhere than this package, which may do more
    than compute, and where what they do cannot be written down.
    """
    if not _ours(rule, task):
        return None
    tape = []
    try:
        made = rule(task, tuple(Traced(tape, Entry(W)) for W in w))
        velocity = _calls(tape, [V.number for V in made])
    except (TypeError, AttributeError, ValueError, NotImplementedError):
        return None
    try:
        with np.errstate(all="ignore"):
            return velocity if _agrees(velocity, rule, task, w) else None
    except (ValueError, ArithmeticError):  # no such state for this rule, such as one without rank
        return None


def _ours(rule, task):
    parts = [rule, *(getattr(rule, name) for name in ("of", "network") if hasattr(rule, name))]
    calls = [f for a in task.activations for f in (a.f, a.pull)] + [task.loss.error]
    ours = lambda name: name.split(".")[0] == "faflow"
    calls += [
        getattr(type(part), name)
        for part in parts
        for name in ("velocity", "carry")
        if hasattr(type(part), name)
    ]
    return all(ours(type(part).__module__) for part in parts) and all(
        isinstance(f, FunctionType) and ours(f.__module__) for f in calls
    )


def _agrees(velocity, rule, task, w):
    """Whether it gives, to the last bit, what the rule gives at another state."""
    kept = [W.copy() for W in w]
    try:
        for W in w:
            W[...] = 0.1 - 1.5 * W
        expected = rule(task, tuple(W.copy() for W in w))
        return all(map(lambda V, E: np.array_equal(V, E, equal_nan=True), velocity(), expected))
    finally:
        for W, K in zip(w, kept, strict=True):
            W[...] = K


class Entry(NamedTuple):
    """An array of a tape: a value, and how it is made of others.

    function: None for what is given; view: whether it is seen in another's memory;
    elementwise: whether each entry needs the same entry of the others alone.
    """

    value: Any
    function: Any = None
    args: tuple = ()
    view: bool = False
    elementwise: bool = False


class Traced(NDArrayOperatorsMixin):
    """An array that writes down on a tape what is done to it."""

    def __init__(self, tape, entry):
        tape.append(entry)
        self.tape, self.number = tape, len(tape) - 1

    @property
    def value(self):
        return self.tape[self.number].value

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: self._seen(np.transpose))

    def __len__(self):
        return len(self.value)

    def __getitem__(self, key):
        if not all(isinstance(k, int | slice) or k is None for k in np.atleast_1d(key).tolist()):
            raise TypeError("only slices are written down")
        return self._seen(lambda array: array[key])

    def _seen(self, look):
        return Traced(self.tape, Entry(look(self.value), look, (self,), view=True))

    def __array_namespace__(self):
        return np

    def __array_ufunc__(self, function, method, *args, **options):
        if method != "__call__" or options or function.nout != 1:
            raise TypeError("only plain calls are written down")
        if function is np.multiply and any(isinstance(a, int | float) and a == 1 for a in args):
            return self
        return self._made(function, args, elementwise=function.signature is None)

    def __array_function__(self, function, types, args, options):
        if args and isinstance(args[0], tuple | list):
            rest = args[1:]
            return self._made(lambda *arrays: function(arrays, *rest, **options), tuple(args[0]))
        return self._made(lambda *arrays: function(*arrays, **options), args)

    def sum(self, *args, **options):
        return self._made(lambda array: array.sum(*args, **options), (self,))

    def through(self, function, slope):
        """A function of each entry; its slope is of no use here."""
        return self._made(function, (self,))

    def _made(self, function, args, elementwise=False):
        values = [a.value if isinstance(a, Traced) else a for a in args]
        value = np.asarray(function(*values))
        entry = Entry(value, function, tuple(args), elementwise=elementwise)
        return Traced(self.tape, entry)


def _calls(tape, ends):
    """What a tape says, to be done again on what is in the given arrays by then.

    The result of an elementwise function takes the place of an array that nothing else needs.
    """
    used = np.zeros(len(tape), dtype=int)
    for number in ends:
        used[number] += 2
    for entry in tape:
        for a in entry.args:
            if isinstance(a, Traced):
                used[a.number] += 2 if entry.view else 1
    places, calls = [], []
    for entry in tape:
        inputs = [places[a.number] if isinstance(a, Traced) else a for a in entry.args]
        if entry.function is None:
            places.append(entry.value)
        elif entry.view:
            places.append(entry.function(*inputs))
        else:
            free = [
                places[a.number]
                for a in entry.args
                if entry.elementwise and isinstance(a, Traced) and used[a.number] == 1
                if tape[a.number].function and not tape[a.number].view
                if places[a.number].shape == entry.value.shape
                if places[a.number].dtype == entry.value.dtype
            ]
            place = free[0] if free else np.empty_like(entry.value)
            places.append(place)
            direct = isinstance(entry.function, np.ufunc)
            calls.append((entry.function if direct else _into(entry.function), inputs, place))
    made = [places[number] for number in ends]

    def velocity():
        for call, inputs, place in calls:
            call(*inputs, out=place)
        return made

    return velocity


def _into(function):
    """The function, its result written to an array."""

    def call(*inputs, out):
        out[...] = function(*inputs)

    return call
