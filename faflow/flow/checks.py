"""What a run is given, checked once and early, in sentences."""

import numpy as np

from ..derived import Derived
from ..matrices import Mirrored
from ..matrices.diagonal import Diagonal
from ..matrices.still import Still
from ..nets import Activation, Task, linear, matrix, replaced, sizes_of, squared
from ..networks import On
from ..rules import DFA, FA, RULES, Rule
from .core import Core


def ready(rule, task, w0):
    """The state to start from: `w0` in float64, checked against the rule and the task.

    Raises ValueError that names the layer and both shapes, TypeError for the wrong kind of thing.
    """
    if isinstance(rule, type) and issubclass(rule, Rule):
        raise TypeError(
            f"The rule must be an instance, but is the class {rule.__name__}; for random feedback"
            f" write {rule.__name__}.random(sizes, seed=0)."
        )
    if not isinstance(rule, Rule):
        known = ", ".join(RULES)
        raise TypeError(f"Unknown rule {rule!r:.60}; use an instance of {known} or your own Rule.")
    if not isinstance(task, Task):
        raise TypeError(f"The task must be a faflow.Task, but is {task!r:.60}.")
    if isinstance(w0, np.ndarray) or not hasattr(w0, "__len__") or len(w0) == 0:
        raise TypeError("w0 must be a tuple of matrices, the first next to the input.")
    w0 = tuple(matrix(W, f"Weight matrix w0[{k}]") for k, W in enumerate(w0))
    X = task.X
    if isinstance(X, Diagonal | Mirrored | Still):
        X = ()
        if any(phi is not linear for phi in task.activations) or task.loss is not squared:
            raise ValueError(
                "Inputs that a reduction made are for linear networks with the squared loss."
            )
    for name, M in {"X": X, "Y": task.Y, "w0": w0, "B": rule.B}.items():
        if any(not isinstance(one, np.ndarray) or one.dtype != float for one in _all(M)):
            raise TypeError(f"A run needs floats, but {name} holds words or exact entries.")
    if isinstance(rule, Derived) and rule.same_state:
        return ready(rule.of, task, w0)
    if isinstance(rule, On):
        return _on_network(rule, task, w0)
    if isinstance(rule, Core):
        return _of_core(rule, w0)
    if isinstance(task.X, Still):
        _resting(rule, task, w0)
        return w0
    depth = len(rule.weights(w0))
    names = tuple(rule.state(range(depth + 1)))
    if len(w0) != len(names):
        kind = type(rule).__name__
        raise ValueError(
            f"{kind} moves ({', '.join(names)}) in a network of {depth} layers, but w0 has"
            f" {len(w0)} matrices; rule.start(sizes) makes one."
        )
    try:
        _chain(task, rule.weights(w0))
    except ValueError as error:
        if len(names) == depth:
            raise
        state = f"a state of {type(rule).__name__} is ({', '.join(names)}), as rule.start makes one"
        raise ValueError(f"{error} Of {len(w0)} matrices, {state}.") from None
    sizes = (len(task.X), *sizes_of(rule.weights(w0))[1:])
    _shaped(f"{type(rule).__name__}'s w0", w0, names, rule.state(sizes, task.bias).values())
    _feedback(type(rule).__name__, rule.B, rule.shapes(sizes))
    rule.check_depth(depth)
    for name in ("decay", "rates"):
        for number in _numbers(getattr(rule, name)):
            if not isinstance(number, int | float | np.number):
                raise TypeError(f"A run needs floats, but {name} has {number!r:.60}.")
    if not isinstance(task.phi, Activation) and len(task.phi) != depth - 1:
        raise ValueError(
            f"The task has {len(task.phi)} activations, but there are {depth - 1} hidden layers."
        )
    return rule.settle(task, w0)


def _on_network(rule, task, w0):
    """The state of a rule on a network that is no chain, its shapes checked against one another."""
    if not task.smooth:
        raise ValueError(
            f"A run on {rule.network.title} needs a smooth activation, such as relu_power(2),"
            f" but {task.activations[0].name} has kinks."
        )
    depth = rule.network.depth(len(w0))
    layers = rule.spaces(depth)
    state = rule.state(layers)
    if len(w0) != len(state):
        raise ValueError(
            f"A state of {rule.name} is ({', '.join(state)}), but w0 has {len(w0)} matrices."
        )
    known = {"1": 1, layers[-1]: len(task.Y)}
    places = rule.network.tokens if hasattr(rule.network, "tokens") else rule.inputs(depth)
    if len(task.X) % places:
        raise ValueError(
            f"{rule.name} takes {places} parts of equal size to a sample, but X has {len(task.X)}"
            " rows."
        )
    known.setdefault("in", len(task.X) // places)
    for (name, spaces), W in zip(state.items(), w0, strict=True):
        wanted = tuple(known.setdefault(s, n) for s, n in zip(spaces, W.shape, strict=True))
        if wanted != W.shape:
            raise ValueError(f"{rule.name}'s w0 {name} must be {wanted}, but is {W.shape}.")
    _feedback(rule.name, rule.B, rule.shapes([known[s] for s in layers]))
    return w0


def _of_core(rule, w0):
    """The state of a core, its shapes checked against those of what pulls it."""
    A, seen = rule.B
    r, q = A.shape
    shapes = (r, q), (r, r), (q, r), (r, r), (len(seen), r)
    if len(w0) != len(shapes):
        raise ValueError(f"A state of a core is (W', M, G, P, V), but w0 has {len(w0)} matrices.")
    _shaped("A core's w0", w0, ("W'", "M", "G", "P", "V"), shapes)
    return w0


def _resting(rule, task, w0):
    """Check a problem of which units stand still as that with zeros for their weights."""
    if type(rule) not in (FA, DFA) or not rule.B:
        raise ValueError(
            "Inputs with units that stand still are for the rule that was reduced to those that"
            f" move, not for {type(rule).__name__} with {len(rule.B)} feedback matrices."
        )
    more = lambda M: np.pad(M, ((0, len(task.X.held)), (0, 0)))
    whole = replaced(rule, B=(more(rule.B[0]), *rule.B[1:]))
    ready(whole, replaced(task, X=task.X.X), (more(w0[0]), *w0[1:]))


def _numbers(value):
    """The numbers of a decay or of rates: one, one a layer, or the values of piecewise ones."""
    if not isinstance(value, tuple):
        return [value]
    return [n for part in getattr(value, "values", value) for n in _numbers(part)]


def _all(M):
    return M if isinstance(M, tuple) else (M,)


def _chain(task, w):
    below, what = len(task.X), "the inputs X"
    extra = int(task.bias)
    for k, W in enumerate(w):
        if W.shape[1] != below + extra:
            columns = f"{below} + 1 columns (units and bias)" if extra else f"{below} columns"
            raise ValueError(
                f"Weight matrix w0[{k}] must have {columns} to follow {what}, but is {W.shape}."
            )
        below, what = len(W), f"w0[{k}] {W.shape}"
    if below != len(task.Y):
        raise ValueError(
            f"The last weight matrix w0[{len(w) - 1}] must have {len(task.Y)} rows to give the"
            f" targets Y {task.Y.shape}, but is {w[-1].shape}."
        )


def _feedback(name, B, expected):
    if len(B) != len(expected):
        raise ValueError(
            f"{name} needs {len(expected)} feedback matrices for these layers, but has {len(B)}."
        )
    names = (f"B[{k}] into hidden layer {k}" for k in range(len(B)))
    _shaped("Feedback matrix", B, names, expected)


def _shaped(what, matrices, names, expected):
    for M, name, shape in zip(matrices, names, expected, strict=True):
        if M.shape != tuple(shape):
            hint = " It looks transposed." if M.shape == tuple(shape)[::-1] else ""
            raise ValueError(f"{what} {name} must be {tuple(shape)}, but is {M.shape}.{hint}")


def times(ts):
    """Increasing times of at least two, the first one not negative, in float64."""
    try:
        ts = np.asarray(ts, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"ts must be a sequence of numbers, but is {ts!r:.60}.") from None
    if ts.ndim != 1 or len(ts) < 2:
        raise ValueError(f"ts must be at least two times, but has shape {ts.shape}.")
    if not np.isfinite(ts).all() or ts[0] < 0:
        raise ValueError(f"ts must be finite and not negative, but starts {ts[:3]}.")
    if not (np.diff(ts) > 0).all():
        k = int(np.argmin(np.diff(ts) > 0))
        raise ValueError(f"ts must increase, but entry {k + 1} is {ts[k + 1]:g} after {ts[k]:g}.")
    return ts
