"""The axes of inputs, the rank of targets, and what matrices span: found to rounding."""

import numpy as np

from ..matrices import Mirrored, mirror
from ..nets import replaced

ROUNDING = 1e-14
"""Share of a matrix below which directions are none of its own."""

CLEAR = 1e-10
"""Share of the largest square above which another one is no rounding."""

SQUARED = 1e-4
"""Share of the largest square above which another one, and its axis, keep their digits."""

MANY = 4
"""Samples for each input from which on sums over them are decomposed, and not the samples."""

LARGE = 100_000
"""Entries from which on pivots are quicker than singular values, import and all."""

HOPELESS = 0.6
"""Share of the rank allowed from which one that is guessed from many columns is taken for more."""

DENSE = 128
"""Axes up to which inputs beside ones are multiplied as a dense matrix: by fewer calls."""

SEEN = 256
"""Columns from which on a rank is guessed: up to them little is spent."""

PROBES = 3
"""Random directions in which a factorisation is tried that others were made for."""


def on_axes(task):
    """U, s and Y' with X = U diag(s) Qᵀ and Y' = YQ, Q having orthonormal columns.

    s is None, and U, where X is the identity.  Inputs that no sample shows are left out.  Of many
    samples XXᵀ and YXᵀ are summed, and taken apart, where its axes are of sizes that squares tell.
    """
    if _is_identity(task.X):
        return None, None, task.Y
    U, s, along, _ = _axes(task.X)
    return U, s, along(task.Y)


def _axes(X):
    """U and s of XXᵀ, and what takes Y to YQ and YQ back to YQQᵀ."""
    d, samples = X.shape
    if samples > MANY * d:
        squares, U = np.linalg.eigh(X @ X.T)
        if squares[0] > SQUARED * squares[-1]:
            s = np.sqrt(squares)
            return U, s, lambda Y: Y @ X.T @ U / s, lambda y: (y / s) @ U.T @ X
        Q, R = np.linalg.qr(X.T)
        U, s, Vt = np.linalg.svd(R.T)
        seen = s > ROUNDING * s.max(initial=0)
        V = Vt[seen]
        return U[:, seen], s[seen], lambda Y: Y @ Q @ V.T, lambda y: (y @ V) @ Q.T
    U, s, Qt = np.linalg.svd(X, full_matrices=False)
    seen = s > ROUNDING * s.max(initial=0)
    Qt = Qt[seen]
    return U[:, seen], s[seen], lambda Y: Y @ Qt.T, lambda y: y @ Qt


def _is_identity(X):
    d, samples = X.shape
    return d == samples == np.count_nonzero(X) and (X.diagonal() == 1).all()


def beside_ones(task):
    """U, X', Y', c with X = cUX'Qᵀ, Y' = YQ and 1ᵀ = c1ᵀQᵀ, U and Q having orthonormal columns.

    The fewest samples that turn so, for layers with biases: one more than X has directions in which
    samples differ.  They are c² to one: the same samples, at an output scale c times as large.
    With many such directions X' is `Mirrored`, with one more if the mean is in none of them.
    """
    many = task.X.shape[1]
    mean = lambda M: M.mean(axis=1, keepdims=True)
    x, y = mean(task.X), mean(task.Y)
    U, s, Y = on_axes(replaced(task, X=task.X - x, Y=task.Y - y))
    if s is None:  # which rounding alone can make of it
        U, s = np.eye(len(x)), np.ones(len(x))
    along = U.T @ x
    over = x - U @ along
    over -= U @ (U.T @ over)
    size = np.linalg.norm(over)
    if size > ROUNDING * np.linalg.norm(x):
        U, along = np.hstack([U, over / size]), np.vstack([along, size])
    if len(along) > len(s) > DENSE:
        s, Y = np.append(s, 0.0), np.pad(Y, ((0, 0), (0, 1)))
    few = len(s) + 1
    v, c = mirror(few), float(np.sqrt(many / few))
    mirrored = lambda M: M - np.outer(M @ (2 * v), v)
    Y = mirrored(np.hstack([np.sqrt(many) * y, Y]))
    along, s = np.sqrt(few) * along, s / c
    if len(s) > DENSE:
        return U, Mirrored.of(along, s), Y, c
    return U, mirrored(np.hstack([along, np.eye(U.shape[1], len(s)) * s])), Y, c


def low_rank(Y, most, quick=False):
    """Q, R with Y = QR to rounding and as few columns of Q, orthonormal, as will do, up to `most`.

    None if more would be needed.  By products with random matrices, of which a wrong answer would
    be a zero by chance.
    quick: also None where more seem to be: the rank as it would be if singular values were alike,
    which is less than there are where they are not.
    """
    rng, tried = np.random.default_rng(0), min(16, most)
    while tried > 0:
        seen = Y @ rng.standard_normal((Y.shape[1], tried + PROBES))
        Q = np.linalg.qr(seen[:, :tried])[0]
        probed = seen[:, tried:]
        left = np.linalg.norm(probed - Q @ (Q.T @ probed)) / (np.linalg.norm(probed) or 1.0)
        if left <= 10 * ROUNDING:
            u, s, vt = np.linalg.svd(Q.T @ Y, full_matrices=False)
            kept = s > ROUNDING * s.max(initial=0)
            return Q @ u[:, kept], s[kept, None] * vt[kept]
        guessed = tried / (1 - left**2) if left < 1 else np.inf
        if tried == most or (quick and tried >= SEEN and guessed > HOPELESS * most):
            return None
        tried = min(4 * tried, most)
    return None


def unreached(task):
    """What targets have that no reduced problem of `on_axes`, or of `beside_ones`, can show."""
    X, Y = task.X, task.Y
    if task.bias:
        X, Y = (M - M.mean(axis=1, keepdims=True) for M in (X, Y))
    if _is_identity(X):
        return np.zeros((len(Y), 0))
    *_, along, back = _axes(X)
    return Y - back(along(Y))


def surely_exceeds(A, rank):
    """Whether the rank of A is above `rank` for sure, for few rows; by its squares, so quickly."""
    squares = np.linalg.eigvalsh(A @ A.T)
    return np.count_nonzero(squares > CLEAR * squares[-1]) > rank


def span(*matrices, most):
    """Orthonormal columns that span those of these, but for rounding; None if more than `most`."""
    sizes = [np.linalg.norm(M) for M in matrices]
    scaled = [M / size for M, size in zip(matrices, sizes, strict=True) if size]
    if not scaled:  # a single one, as there are no empty matrices
        return np.eye(len(matrices[0]), 1)
    whole = np.hstack(scaled)
    if whole.size < LARGE:
        Q, sizes, _ = np.linalg.svd(whole, full_matrices=False)
    else:
        from scipy.linalg import qr  # whose import takes as long as much of a short run

        Q, R, _ = qr(whole, mode="economic", pivoting=True)
        sizes = np.abs(R.diagonal())
    found = Q[:, : np.count_nonzero(sizes > ROUNDING * sizes[0])]
    return found if found.shape[1] <= most else None
