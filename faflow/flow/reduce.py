"""Smaller problems with exactly the same flow, and the way back.

A linear network with squared loss sees its data by XXᵀ and YXᵀ alone: samples can be turned until
there are no more than inputs, and inputs until XXᵀ is diagonal.  On white inputs errors stay in the
space that the targets and the first weights span.  The smaller problem is one of the same rule,

    X = U X' Qᵀ,   YQ = V Y',   W₁U = W₁',   VᵀW_L = W_L',   B' = B V for feedback from the output,

with orthonormal columns U, V and Q, so that nothing is left to solve on the way back.
"""

from dataclasses import dataclass, field
from math import exp
from typing import Any

import numpy as np

from ..derived import Derived
from ..matrices.diagonal import Diagonal
from ..nets import linear, replaced, squared
from ..networks import On
from ..rule import Piecewise, of_layer
from ..rules import FAStar
from ..symbolic.reductions import unproved
from .checks import ready

ROUNDING = 1e-14
"""Share of a matrix below which directions are none of its own."""

WHITE = 1e-13
"""How far singular values may differ, relative to them, that are taken for one."""

MANY = 4
"""Samples for each input from which on sums over them are decomposed, and not the samples."""

PROBES = 3
"""Random directions in which a factorisation is tried that others were made for."""

PAYS = 0.75
"""A space is left alone unless it can be reduced to this share of its dimensions."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """A problem with the same flow in fewer numbers; true if anything was reduced.

    rule, task, w0: the smaller problem, integrated like any other.
    parts: what was done, in words.  left: why the rest was left alone.
    sides: {"in": U, "out": V}, (n, reduced n), of the spaces reduced.
    apart: for each matrix of the state what lies beside those spaces, or None; it only decays.
    """

    rule: Any
    task: Any
    w0: tuple
    parts: tuple = ()
    left: tuple = ()
    sides: dict = field(default_factory=dict, repr=False)
    apart: tuple = field(default=(), repr=False)

    def __bool__(self):
        return bool(self.parts)

    @property
    def beside(self):
        """The norm of what lies beside each matrix at the start."""
        return np.array([0.0 if M is None else np.linalg.norm(M) for M in self.apart])

    def lift(self, state, t=0.0, start=0.0):
        """The full state of a reduced one at time `t` of a flow from the time `start` on."""
        return tuple(self.lift_one(k, M, t, start) for k, M in enumerate(state))

    def lift_one(self, k, M, t=0.0, start=0.0):
        """Matrix number `k` of the full state from that of the reduced one."""
        if not self.sides:
            return M
        rows, cols = _spaces(self.rule, len(self.rule.weights(self.w0)))[k]
        M = _turned(M, _flipped(self.sides.get(rows)), _flipped(self.sides.get(cols)))
        if self.apart[k] is None:
            return M
        decay = of_layer(self.rule.decay, self.rule.layers(self.w0)[k])
        return M + self.apart[k] * exp(-_decayed(decay, start, t))

    def __str__(self):
        return "; ".join(self.parts) if self.parts else f"nothing: {'; '.join(self.left)}"


def reduce(rule, task, w0):
    """The `Reduction` of a problem to the fewest numbers that give exactly its flow.

    Samples: as many as X has independent rows.  Inputs: those on the axes of XXᵀ, along which it is
    diagonal.  On white inputs, where XXᵀ is a multiple of the identity on what it sees, also inputs
    and outputs: those that the targets and the first and the last layer span.
    For chains of linear layers, squared loss, no biases; at any depth, with decay and rates.  Every
    part is proved of the rule, for every size, before it is done.
    Raises what `integrate` raises for bad input.
    """
    w0 = ready(rule, task, w0)
    depth = len(rule.weights(w0))
    obstacle = _obstacle(rule, task, depth) or unproved(rule, depth, ("samples", "in"))
    if obstacle:
        return Reduction(rule, task, w0, left=(obstacle,))
    parts, left, sides = [], [], {}
    U, scales, Y = on_axes(task)
    if scales is None:
        parts.append("inputs that are the identity")
    else:
        parts.append(f"{task.X.shape[1]} samples of {len(U)} inputs on {U.shape[1]} axes")
        sides["in"] = U
    columns, rows = low_rank(Y, int(PAYS * max(Y.shape))) or (Y, None)
    white = scales is None or np.ptp(scales) <= WHITE * scales.max(initial=0)
    if not white:
        left.append("inputs are not white, so that errors do not stay in the span of the targets")
    for space in ("in", "out") if white else ("out",):
        if rows is None:
            span = None
        elif space == "in":
            span = _span(rows.T, (w0[0] if scales is None else w0[0] @ U).T)
        else:
            span = _span(columns, w0[depth - 1])
        reason = unproved(rule, depth, (space,))
        if span is None or reason:
            left.append(reason or f"targets and weights span most of the {space}puts")
            continue
        parts.append(f"{len(span)} {space}puts as {span.shape[1]}")
        sides[space] = sides[space] @ span if space in sides else span
        if space == "in":
            rows = rows @ span
        else:
            columns = span.T @ columns
    Y = columns if rows is None else columns @ rows
    scales = None if scales is None else np.resize(scales, Y.shape[1])
    small = replaced(task, X=Diagonal(Y.shape[1], scales), Y=Y)
    return _made(rule, small, w0, depth, sides, tuple(parts), tuple(left))


def on_axes(task):
    """U, s and Y' with X = U diag(s) Qᵀ and Y' = YQ, Q having orthonormal columns.

    s is None, and U, where X is the identity.  Inputs that no sample shows are left out.  Of many
    samples XXᵀ and YXᵀ are summed, and taken apart: exact to the rounding of these sums.
    """
    X, Y = task.X, task.Y
    d, samples = X.shape
    if d == samples == np.count_nonzero(X) and (X.diagonal() == 1).all():
        return None, None, Y
    if samples <= MANY * d:
        U, s, Qt = np.linalg.svd(X, full_matrices=False)
        seen = s > ROUNDING * s.max(initial=0)
        return U[:, seen], s[seen], (Y @ Qt.T)[:, seen]
    squares, U = np.linalg.eigh(X @ X.T)
    pulls = Y @ X.T @ U
    least = ROUNDING * squares[-1]
    none = np.linalg.norm(pulls, axis=0) <= ROUNDING * np.linalg.norm(X) * np.linalg.norm(Y)
    seen = (squares > least) | ~none
    s = np.sqrt(np.maximum(squares[seen], least))
    return U[:, seen], s, pulls[:, seen] / s


def low_rank(Y, most):
    """Q, R with Y = QR to rounding and as few columns of Q, orthonormal, as will do, up to `most`.

    None if more would be needed.  By products with random matrices, of which a wrong answer would
    be a zero by chance.
    """
    rng, tried = np.random.default_rng(0), min(16, most)
    while tried > 0:
        seen = Y @ rng.standard_normal((Y.shape[1], tried + PROBES))
        Q = np.linalg.qr(seen[:, :tried])[0]
        probed = seen[:, tried:]
        if np.linalg.norm(probed - Q @ (Q.T @ probed)) <= 10 * ROUNDING * np.linalg.norm(probed):
            u, s, vt = np.linalg.svd(Q.T @ Y, full_matrices=False)
            kept = s > ROUNDING * s.max(initial=0)
            return Q @ u[:, kept], s[kept, None] * vt[kept]
        if tried == most:
            return None
        tried = min(4 * tried, most)
    return None


def _span(*matrices):
    """Orthonormal columns that span those of all these, but for rounding; None for most of all."""
    from scipy.linalg import qr

    sizes = [np.linalg.norm(M) for M in matrices]
    scaled = [M / size for M, size in zip(matrices, sizes, strict=True) if size]
    if not scaled:
        return np.zeros((len(matrices[0]), 0))
    Q, R, _ = qr(np.hstack(scaled), mode="economic", pivoting=True)
    sizes = np.abs(R.diagonal())
    found = Q[:, : np.count_nonzero(sizes > ROUNDING * sizes[0])]
    return found if found.shape[1] <= PAYS * len(found) else None


def _made(rule, small, w0, depth, sides, parts, left):
    """The reduction to these sides of the spaces."""
    turn = lambda M, rows, cols: _turned(M, sides.get(rows), sides.get(cols))
    spaces = _spaces(rule, depth)
    state = tuple(turn(M, *pair) for M, pair in zip(w0, spaces, strict=True))
    apart = []
    for M, made, (rows, cols) in zip(w0, state, spaces, strict=True):
        back = _turned(made, _flipped(sides.get(rows)), _flipped(sides.get(cols)))
        beside = None if back is M else M - back
        none = beside is None or np.linalg.norm(beside) <= 10 * ROUNDING * np.linalg.norm(M)
        apart.append(None if none else beside)
    fixed = rule.fixed(rule.spaces(depth)).values()
    B = tuple(turn(M, *pair) for M, pair in zip(rule.B, fixed, strict=True))
    return Reduction(replaced(rule, B=B), small, state, parts, left, sides, tuple(apart))


def _turned(M, rows, cols):
    """RᵀMC for columns R and C, where there are any."""
    M = M if rows is None else rows.T @ M
    return M if cols is None else M @ cols


def _flipped(M):
    return None if M is None else M.T


def _spaces(rule, depth):
    """(rows, cols) of each matrix of the state, as names of spaces."""
    return tuple(rule.state(rule.spaces(depth)).values())


def _decayed(decay, start, t):
    """∫ decay dt, from the start to `t`."""
    if not isinstance(decay, Piecewise):
        return decay * (t - start)
    edges = np.clip([start, *decay.times, t], start, t)
    return float(np.diff(edges) @ np.array(decay.values, dtype=float))


def _obstacle(rule, task, depth):
    """Why nothing can be reduced, in words, or None."""
    if isinstance(rule, Derived | On | FAStar):
        return f"{rule.name} is no rule on a chain of layers by itself"
    if not all(phi is linear for phi in task.activations):
        return "the network is not linear"
    if task.loss is not squared:
        return f"the {task.loss.name} loss needs each sample by itself"
    names = rule.spaces(depth)
    if (names[0], names[-1]) != ("in", "out"):
        return f"{rule.name} has names of its own for inputs and outputs"
    return "there are biases, which tell samples apart" if task.bias else None
