"""Smaller problems with exactly the same flow, and the way back.

A linear network with squared loss sees its data by XXᵀ and YXᵀ alone: samples can be turned until
there are no more than inputs, and inputs until XXᵀ is diagonal.  On white inputs errors stay in the
space that the targets and the first weights span.  The smaller problem is one of the same rule,

    X = U X' Qᵀ,   YQ = V Y',   W₁U = W₁',   VᵀW_L = W_L',   B' = B V for feedback from the output,

with orthonormal columns U, V and Q, so that nothing is left to solve on the way back.  Or it is the
core of feedback alignment, which has no matrix larger than twice the hidden layer.
"""

import numpy as np

from ..derived import Derived
from ..matrices import Mirrored
from ..matrices.diagonal import Diagonal
from ..matrices.unformed import Unformed
from ..nets import linear, replaced, squared
from ..networks import On
from ..rule import of_layer
from ..rules import DFA, FA, GD, FAStar, KolenPollack
from ..symbolic.reductions import core_unproved, unproved
from .checks import ready
from .core import Core, cored, most_rank
from .reduction import Reduction, Turn
from .resting import rested
from .spans import ROUNDING, beside_ones, low_rank, on_axes, span, surely_exceeds

WHITE = 1e-13
"""How far singular values may differ, relative to them, that are taken for one."""

THIN = 3
"""Errors are not formed that have so many entries for each of the hidden layer's products."""

MOST_LARGER = 1e6
"""Times that first weights and inputs may be larger than their product for both to be turned."""

LOST = "first weights are large along inputs that are all but zero, where turning would round them"
"""Why a problem is left alone of which rounding would say more than its data."""

FEW = 24
"""Inputs and outputs of which a velocity takes no time to speak of, beside its calls."""

WIDE = 5000
"""Weights of a first layer from which it is reduced to the units that move: with fewer it is as
fast whole."""

PAYS = 0.75
"""A space is left alone unless it can be reduced to this share of its dimensions."""


def reduce(rule, task, w0):
    """The `Reduction` of a problem to the fewest numbers that give exactly its flow.

    Samples: as many as X has independent rows.  Inputs: those on the axes of XXᵀ, along which it is
    diagonal.  On white inputs, where XXᵀ is a multiple of the identity on what it sees, also inputs
    and outputs: those that the targets and the first and the last layer span.  Or, for two layers
    of FA or DFA, the core, whose matrices have the size of the hidden layer, where that costs less.
    Errors of two layers with a narrow hidden one are multiplied without being formed.  Of a first
    layer wider than what feeds back to it, without decay: the units that move, once turned.
    With biases, samples: one more than X has directions in which samples differ, ones remaining
    ones, at a larger output scale; inputs: those that samples span; and outputs.
    For chains of linear layers and squared loss; at any depth, with decay and rates.  Every part is
    proved of the rule, for every size, before it is done.
    On inputs with XXᵀ a projector, two layers of FA or DFA from zero and of gradient descent from
    balanced weights have closed forms, which come as ``.closed``, of times: `exact.fa_from_zero`,
    the weights, and `exact.gd_balanced`, their `Products`, as there is none of the weights.
    `integrate` does not take them, so that each can be held against the other.
    Raises what `integrate` raises for bad input.
    """
    w0 = ready(rule, task, w0)
    return replaced(_reduced(rule, w0, task, most_rank, least=0), full=(rule, task, w0))


def found(rule, task, w0, kept):
    """The reduction to run by, of a state that is ready; kept: whether laws are returned to.

    Of `FEW` inputs and outputs no spans are looked for, and first layers are turned from `WIDE` on.
    """
    how = (_no_core, np.inf) if kept else (most_rank, WIDE)
    return replaced(_reduced(rule, w0, task, *how, quick=True), full=(rule, task, w0))


def _no_core(n, m, r):
    """No core: laws are those of the rule itself."""


def core(rule, task, w0):
    """The `Reduction` to the core wherever there is one, whether it pays or not.

    Raises ValueError where there is none.
    """
    w0 = ready(rule, task, w0)
    made = _reduced(rule, w0, task, lambda n, m, r: -1, least=np.inf)
    if made.recovery is None:
        reason = core_unproved(rule, len(rule.weights(w0))) or "; ".join(made.left)
        raise ValueError(f"There is no core: {reason}.")
    return replaced(made, full=(rule, task, w0))


def _reduced(rule, w0, task, most_rank, least, quick=False):
    """least: weights of a first layer from which it is reduced to the units that move."""
    depth = len(rule.weights(w0))
    obstacle = _obstacle(rule, task, depth) or unproved(rule, depth, ("samples", "in"), task.bias)
    if obstacle:
        return Reduction(rule, task, w0, left=(obstacle,))
    if task.bias:
        return _with_biases(rule, w0, task, depth, least, quick)
    parts, left, sides = [], [], {}
    U, scales, Y = on_axes(task)
    if scales is not None and _lost(w0[0], task.X, (w0[0] @ U) * scales):
        return Reduction(rule, task, w0, left=(LOST,))
    if scales is None:
        parts.append("inputs that are the identity")
    else:
        parts.append(f"{task.X.shape[1]} samples of {len(U)} inputs on {U.shape[1]} axes")
        sides["in"] = U
    most = int(PAYS * max(Y.shape))
    white = scales is None or np.ptp(scales) <= WHITE * scales.max(initial=0)
    no_core = core_unproved(rule, depth) if white and Y.size else "inputs are not white"
    rank = None if no_core else most_rank(*Y.shape, len(w0[0]))
    A = None if rank is None else rule.B[0] @ Y
    many = A is not None and surely_exceeds(A, rank)
    allowed = most if rank is None else min(most, rank)
    tiny = quick and max(Y.shape) <= FEW
    factors = None if many or tiny else low_rank(Y, allowed, quick)
    columns, rows = factors or (Y, None)
    if rows is None and rank is not None:
        small = replaced(task, X=_diagonal(scales, Y.shape[1]), Y=Y)
        turned = _made(rule, small, w0, depth, sides, tuple(parts), ())
        scale = task.output_scale * (1 if scales is None else float(scales.mean()))
        return cored(turned, A, scale)
    if not white:
        left.append("inputs are not white, so that errors do not stay in the span of the targets")
    if white:
        basis = reason = None
        if rows is not None:
            first = w0[0] if scales is None else w0[0] @ U
            basis = span(rows.T, first.T, most=PAYS * rows.shape[1])
            reason = unproved(rule, depth, ("in",))
        if basis is None or reason:
            left.append(reason or "targets and weights span most of the inputs")
        else:
            parts.append(f"{len(basis)} inputs as {basis.shape[1]}")
            sides["in"] = sides["in"] @ basis if "in" in sides else basis
            rows = rows @ basis
    basis = _outputs(rule, task, w0, depth, columns, rows, parts, left)
    if basis is not None:
        sides["out"], columns = basis, basis.T @ columns
    Y = columns if rows is None else columns @ rows
    X = _diagonal(scales, Y.shape[1])
    if type(rule) in (GD, FA, DFA, KolenPollack) and depth == 2:
        n, m, r = *Y.shape, len(w0[0])
        if n * m > THIN * r * (n + m) and not tiny:
            X = Unformed(X.n, X.entries)
            parts.append(f"errors of {n} x {m} never formed")
    small = replaced(task, X=X, Y=Y)
    made = _made(rule, small, w0, depth, sides, tuple(parts), tuple(left))
    return rested(made, PAYS, least)


def _outputs(rule, task, w0, depth, columns, rows, parts, left):
    """Orthonormal columns in whose span errors stay, or None where that is most of the outputs.

    columns, rows: targets of low rank as their product; rows is None where they are of none.
    """
    basis = None
    if rows is not None:
        basis = span(columns, w0[depth - 1], most=PAYS * len(columns))
    reason = unproved(rule, depth, ("out",), task.bias)
    if basis is None or reason:
        left.append(reason or "targets and weights span most of the outputs")
        return None
    parts.append(f"{len(basis)} outputs as {basis.shape[1]}")
    return basis


def _with_biases(rule, w0, task, depth, least, quick):
    """The reduction of a network with biases: samples as few as turn so that ones stay ones."""
    parts, left, sides, (inputs, samples) = [], [], {}, task.X.shape
    U, X, Y, c = beside_ones(task)
    first = w0[0][:, :-1]
    if _lost(first, task.X, c * (first @ U @ X)):
        return Reduction(rule, task, w0, left=(LOST,))
    few = X.shape[1] <= PAYS * samples
    if U.shape[1] > PAYS * inputs and not (few and isinstance(X, Mirrored)):
        U, X = None, X if isinstance(X, Mirrored) else U @ X
    if not few:
        X, Y, c = (task.X if U is None else U.T @ task.X), task.Y, 1.0
        left.append("samples differ in most of the directions that so many can")
    else:
        parts.append(f"{samples} samples as {X.shape[1]}")
    if U is None:
        left.append("samples span most of the inputs, which are not white where there are biases")
    else:
        same = f"{inputs} inputs on their axes"
        parts.append(same if len(U) == U.shape[1] else f"{inputs} inputs as {U.shape[1]}")
        sides["in"] = U
        sides["in+1"] = np.pad(U, (0, 1))
        sides["in+1"][-1, -1] = 1
    columns, rows = low_rank(Y, int(PAYS * max(Y.shape)), quick) or (Y, None)
    basis = _outputs(rule, task, w0, depth, columns, rows, parts, left)
    if basis is not None:
        sides["out"], columns = basis, basis.T @ columns
    small = task
    if parts:
        Y = columns if rows is None else columns @ rows
        small = replaced(task, X=X, Y=Y, output_scale=c * task.output_scale)
    made = _made(rule, small, w0, depth, sides, tuple(parts), tuple(left))
    return rested(made, PAYS, least)


def _lost(W, X, product):
    """Whether WX is so small beside W and X that what turning them rounds would show."""
    return np.linalg.norm(W) * np.linalg.norm(X) > MOST_LARGER * np.linalg.norm(product)


def _diagonal(scales, n):
    return Diagonal(n, None if scales is None else np.resize(scales, n))


def _made(rule, small, w0, depth, sides, parts, left):
    """The reduction to these sides of the spaces."""
    kinds = rule.state(rule.spaces(depth), small.bias).values()
    both = [tuple(map(sides.get, pair)) for pair in kinds]
    state, turns = [], []
    for M, (rows, cols), layer in zip(w0, both, rule.layers(w0), strict=True):
        state.append(_turned(M, rows, cols))
        turn = Turn(rows, cols, M.size)
        back = turn.lift(state[-1], 0, 0)
        beside = None if back is M else M - back
        if beside is not None and np.linalg.norm(beside) > 10 * ROUNDING * np.linalg.norm(M):
            turn = replaced(turn, apart=beside, decay=of_layer(rule.decay, layer))
        turns.append(turn)
    fixed = rule.fixed(rule.spaces(depth)).values()
    turned = lambda M, rows, cols: _turned(M, sides.get(rows), sides.get(cols))
    B = tuple(turned(M, *pair) for M, pair in zip(rule.B, fixed, strict=True))
    rule = replaced(rule, B=B) if sides else rule
    return Reduction(rule, small, tuple(state), parts, left, tuple(turns))


def _turned(M, rows, cols):
    """RᵀMC for columns R and C, where there are any."""
    M = M if rows is None else rows.T @ M
    return M if cols is None else M @ cols


def _obstacle(rule, task, depth):
    """Why nothing can be reduced, in words, or None."""
    if not isinstance(task.X, np.ndarray) or isinstance(rule, Core):
        return "it is reduced already"
    if isinstance(rule, Derived | On | FAStar):
        return f"{rule.name} is no rule on a chain of layers by itself"
    if not all(phi is linear for phi in task.activations):
        return "the network is not linear"
    if not task.X.any():
        return "all inputs are zero"
    if task.loss is not squared:
        return f"the {task.loss.name} loss needs each sample by itself"
    names = rule.spaces(depth)
    if (names[0], names[-1]) != ("in", "out"):
        return f"{rule.name} has names of its own for inputs and outputs"
    return None
