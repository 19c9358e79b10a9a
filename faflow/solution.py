"""What a flow or an iteration returns: times, weights or observables, and how they were made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import index
from typing import Any

import numpy as np

from . import archive, laws, nets
from .extras import needs
from .flow.core import Core
from .flow.path import Path
from .matrices.still import Still
from .nets import ACTIVATIONS, LOSSES, Activation, Task, activation
from .rules import Rule
from .written import read, written

FORMAT, VERSION = "faflow solution", 1
WRITTEN = ("rule", "options", "phi", "loss", "bias", "output_scale", "observed", "made")


class Unfinished(RuntimeError):
    """A run that could not reach its end; ``.solution`` holds what was computed before."""

    solution: Any = None


class Interrupted(KeyboardInterrupt):
    """A run stopped by Ctrl-C; ``.solution`` holds what was computed before."""

    solution: Any = None


class Lifted(Sequence):
    """The matrices of a reduced run in full, (times, rows, columns) each, made when asked for."""

    def __init__(self, kept, ts, reduction):
        self.kept, self.ts, self.reduction = kept, ts, reduction

    def __len__(self):
        return len(self.reduction)

    def __getitem__(self, k):
        if isinstance(k, slice):
            return tuple(self[j] for j in range(len(self))[k])
        k = range(len(self))[k]
        lift = lambda state, t: self.reduction.lift_one(k, state, t, self.ts[0])
        return np.stack(
            [lift(*at) for at in zip(zip(*self.kept, strict=True), self.ts, strict=True)]
        )

    def state(self, k):
        """The reduced state at time number `k`."""
        return tuple(W[k] for W in self.kept)

    def at(self, k):
        """The full state at time number `k`."""
        return self.reduction.lift(self.state(k), self.ts[k], self.ts[0])

    @property
    def task(self):
        """What was reduced."""
        return self.reduction.full[1]

    @cached_property
    def loss(self):
        """``loss(rule, state)`` on that task at reduced states, or None."""
        return self.reduction.seen(partial(laws.loss, task=self.task))


@dataclass(frozen=True, eq=False)
class Solution:
    """A trajectory in float64 NumPy, whatever engine made it.

    ts: (times,), in units of 1/learning rate; for an iteration the step size times its number.
    w: one array a matrix of the state, (times, rows, columns); empty if observables were recorded.
        Of a reduced run each is made when it is asked for.
    observed: name to (times, …) array.
    final: the state at the last time.
    made: solver, tolerances, steps, wall time and versions, as plain values.
    kinks: of a piecewise linear network whose kinks were followed, the `Path` of its flow: its
        crossings, stretches of sliding and the masks at the end.
    """

    ts: np.ndarray
    w: Sequence
    rule: Rule
    task: Task
    made: dict = field(default_factory=dict)
    observed: dict = field(default_factory=dict)
    final: tuple = ()
    kinks: Any = None

    def __len__(self):
        return len(self.ts)

    def at(self, k):
        """The state at time number `k`, a tuple of matrices."""
        if isinstance(self.w, Lifted):
            return self.w.at(k)
        if self.w:
            return tuple(W[k] for W in self.w)
        if range(len(self))[k] == len(self) - 1:
            return self.final
        raise ValueError("Only observables were recorded; of the weights just the final ones.")

    def measure(self, law, /, **arguments):
        """`law` at every time: an array with a leading time axis.

        Raises ValueError when the law fails or changes the shape of what it returns.
        """
        law = partial(law, **arguments) if arguments else law
        at = self.at
        if isinstance(self.w, Lifted) and (seen := self.w.reduction.seen(law)):
            law, at = seen, self.w.state
        values = [evaluated(law, self.rule, at(k), t) for k, t in enumerate(self.ts)]
        shapes = [value.shape for value in values]
        if len(set(shapes)) > 1:
            k = next(k for k, shape in enumerate(shapes) if shape != shapes[0])
            raise ValueError(
                f"The law {_name(law)} must keep its shape, but at t = {self.ts[k]:g} it is"
                f" {shapes[k]} after {shapes[0]}."
            )
        return np.stack(values)

    def loss(self, k=-1, task=None):
        """The loss at time number `k`, on the solution's own task or another, summed."""
        task, k = task or self.task, index(k)
        if isinstance(self.w, Lifted) and task is self.w.task and self.w.loss:
            return self.w.loss(self.rule, self.w.state(range(len(self))[k]))
        return self.rule.loss(task, self.at(k))

    def accuracy(self, k=-1, task=None):
        """Share of samples classified right at time number `k`, on its own task or another."""
        return nets.accuracy(task or self.task, self.rule.weights(self.at(k)))

    def __str__(self):
        chain = self.final if self.final else self.at(-1)
        sizes = " ".join("x".join(map(str, W.shape)) for W in chain)
        made = dict(self.made)
        steps = f"{made.pop('accepted', '?')} steps accepted"
        if made.get("rejected") is not None:
            steps += f", {made['rejected']} rejected"
        made.pop("rejected", None)
        seconds = made.pop("seconds", None)
        how = [str(made.pop("engine", "")), str(made.pop("solver", "")), steps]
        how += [f"{name} {value:g}" for name, value in made.items() if isinstance(value, float)]
        how += [f"{seconds:.3g} s"] if seconds is not None else []
        span = f"{len(self)} times in [{self.ts[0]:g}, {self.ts[-1]:g}]"
        loss = f"{self.task.loss.name} loss" + " with biases" * self.task.bias
        kept = f", observed {', '.join(self.observed)}" if self.observed else ""
        return (
            f"{self.rule.name} on {sizes} ({_phi_name(self.task.phi)}, {loss}),"
            f" {span}{kept}: {', '.join(filter(None, how))}"
        )

    def save(self, path):
        """Write one .npz: the arrays and, as JSON, how they were made.  No pickle is used.

        Raises ValueError for a task that cannot be written down, such as exact entries, or that of
        a core or of units that move.
        """
        if isinstance(self.task.X, Still) or isinstance(self.rule, Core):
            raise ValueError(
                "A core, or the units that move, cannot be saved by themselves; save the run of the"
                " problem that was reduced."
            )
        arrays = {f"w{k}": W for k, W in enumerate(self.w)}
        arrays |= {f"final{k}": W for k, W in enumerate(self.final)}
        arrays |= {f"B{k}": B for k, B in enumerate(self.rule.B)}
        arrays |= {f"observed_{k}": v for k, v in enumerate(self.observed.values())}
        arrays |= {"ts": self.ts, "X": np.asarray(self.task.X), "Y": self.task.Y}
        arrays |= {} if self.kinks is None else self.kinks.arrays()
        if any(a.dtype.hasobject for a in arrays.values()):
            raise ValueError("Only float trajectories can be saved, not exact entries.")
        if LOSSES.get(self.task.loss.name) is not self.task.loss:
            raise ValueError(
                f"The loss {self.task.loss.name!r} is none of faflow's, so it cannot be saved."
            )
        for phi in self.task.activations:
            if ACTIVATIONS.get(phi.name, phi) is not phi:
                raise ValueError(
                    f"faflow has an activation {phi.name!r} already; rename yours to save it."
                )
        about = {
            "format": FORMAT,
            "version": VERSION,
            "phi": _phi_name(self.task.phi),
            "loss": self.task.loss.name,
            "bias": self.task.bias,
            "output_scale": self.task.output_scale,
            "observed": list(self.observed),
            "made": self.made,
        }
        try:
            whole = archive.described(about | written(self.rule), arrays)
        except TypeError as error:
            raise ValueError(f"This solution cannot be saved: {error}.") from None
        with open(path, "wb") as file:
            np.savez_compressed(file, **whole)

    def to_xarray(self):
        """An `xarray.Dataset` with named axes, ready for netCDF or Zarr.  Needs xarray."""
        xarray = needs("xarray", "xarray")
        depth = len(self.rule.weights(self.final))
        layers = ["in", *(f"h{k + 1}" for k in range(depth - 1)), "out"]
        below = [name + "_and_bias" * self.task.bias for name in layers]
        axes = {f"W{k + 1}": ("t", layers[k + 1], below[k]) for k in range(depth)}
        axes |= {
            f"B{k + 2}": ("t", layers[k + 1], layers[k + 2]) for k in range(len(self.final) - depth)
        }
        data: dict = dict(zip(axes, zip(axes.values(), self.w, strict=False), strict=False))
        for name, values in self.observed.items():
            data[name] = (("t", *(f"{name}_{i}" for i in range(values.ndim - 1))), values)
        about = {"rule": type(self.rule).__name__, "phi": str(_phi_name(self.task.phi))}
        about |= {name: value for name, value in self.made.items() if value is not None}
        return xarray.Dataset(data, {"t": self.ts}, about)


def evaluated(law, rule, w, t, /, **arguments):
    """`law` at one state, as a float array; a failure names the law and the time."""
    name = _name(law)
    try:
        value = np.asarray(law(rule, w, **arguments))
    except Exception as error:
        raise ValueError(f"The law {name} failed at t = {t:g}: {error}") from error
    if value.dtype.kind not in "biuf":
        raise ValueError(f"The law {name} must return real numbers, but returned {value!r:.60}.")
    return value.astype(float)


def _name(law):
    return getattr(getattr(law, "func", law), "__name__", "law")


def load(path, *, rules=(), activations=()):
    """The Solution saved at `path`.

    rules, activations: classes and activations of your own that the file may name.
    Raises ValueError for a file that is not a faflow solution, or one of a newer version.
    """
    foreign = f"{path} is not a file saved by a faflow Solution."
    about, arrays = archive.read(path, FORMAT, VERSION, WRITTEN, foreign)
    pick = lambda start: tuple(
        arrays[f"{start}{k}"] for k in range(len(arrays)) if f"{start}{k}" in arrays
    )
    rule = read(about, pick("B"), path, rules)
    own = {a.name: a for a in activations}
    phi = about["phi"]
    named = lambda name: own[name] if name in own else activation(name)
    phi = tuple(map(named, phi)) if isinstance(phi, list) else named(phi)
    loss, scale = LOSSES[about["loss"]], about["output_scale"]
    task = Task(arrays["X"], arrays["Y"], phi, loss, about["bias"], scale)
    observed = {name: arrays[f"observed_{k}"] for k, name in enumerate(about["observed"])}
    kinks = Path.of(arrays) if "crossings" in arrays else None
    parts = observed, pick("final"), kinks
    return Solution(arrays["ts"], pick("w"), rule, task, about["made"], *parts)


def _phi_name(phi):
    return phi.name if isinstance(phi, Activation) else [a.name for a in phi]
