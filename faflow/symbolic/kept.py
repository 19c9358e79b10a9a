"""The polynomials that polynomial velocities keep: null spaces, block by block."""

from fractions import Fraction

import numpy as np

from .monomials import blocks, derivatives, monomials
from .nullspace import exact_null_space
from .rationals import eigenvalues


def kept_polynomials(velocities, degree, moving):
    """All polynomials of degree at most `degree` that are kept, up to e^{ct} with rational c.

    Yields (monomials, integer coefficients, c), a basis; exact, and complete at this degree.
    """
    made = monomials(velocities.n, degree, moving)
    if any(not moving[list(indices)].any() for indices in velocities.pulled):
        made = np.concatenate([made, monomials(velocities.n, degree, moving, still=True)])
    found = _null_spaces(velocities, made)
    moves = lambda cols: np.append(moving, False)[cols].any(1)
    for cols, coefficients, growth in found:
        there = moves(cols) if not growth else np.full(len(cols), True)  # without its constants
        if there.any():
            yield cols[there], coefficients[there], growth


def _null_spaces(velocities, made):
    """The same, constants being kept, too."""
    rows, columns, values, drift = derivatives(velocities, made)
    drifting = np.flatnonzero(drift >= 0)  # a drift shifted by c has the monomial itself, too
    column_block = blocks(np.append(rows, drifting), np.append(columns, drift[drifting]), len(made))
    order = np.argsort(column_block, kind="stable")
    edges = np.flatnonzero(np.diff(column_block[order])) + 1
    members = np.split(order, edges)
    entry_order = np.argsort(column_block[columns], kind="stable")
    label = column_block[columns][entry_order]
    remembered = {}
    for cols in members:
        block = column_block[cols[0]]
        start, stop = np.searchsorted(label, [block, block + 1])
        own = entry_order[start:stop]
        if len(cols) == 1 and not len(own):
            yield made[cols], np.array([1], dtype=object), Fraction(0)
            continue
        local_rows, r = np.unique(rows[own], return_inverse=True)
        c = np.searchsorted(cols, columns[own])
        A = np.zeros((len(local_rows), len(cols)), dtype=velocities.coefficients.dtype)
        np.add.at(A, (r, c), values[own])
        of = drift[local_rows]
        if (of > -2).any():
            yield from _grown(A, of, cols, made)
            continue
        if len(cols) == 1:
            if not A.any():
                yield made[cols], np.array([1], dtype=object), Fraction(0)
            continue
        A = np.unique(A, axis=0) if len(cols) < 256 and A.dtype != object else A
        key = (A.shape, A.tobytes()) if A.dtype != object and A.size < 10**5 else None
        if key not in remembered or key is None:
            found = exact_null_space(A)
            if key is not None:
                remembered[key] = found
        else:
            found = remembered[key]
        for vector in found:
            nonzero = vector != 0
            yield made[cols[nonzero]], vector[nonzero], Fraction(0)


def _grown(A, of, cols, made):
    """Laws with drift: for each eigenvalue of the drift on the block's monomials."""
    place = {int(column): j for j, column in enumerate(cols)}
    inside = np.array([place.get(int(column), -1) for column in of])
    drift = [{} for _ in cols]
    for row, i in enumerate(inside):
        if of[row] > -2 and i >= 0:
            for j in np.flatnonzero(A[row]):
                drift[j][i] = Fraction(int(A[row, j]))
    told = A[(of == -2) | (inside < 0)]
    for exponent in eigenvalues(drift):
        scale = exponent.denominator
        shifted = np.zeros((len(cols), len(cols)), dtype=object)
        for j, own in enumerate(drift):
            for i, c in own.items():
                shifted[i, j] = int(c * scale)
            shifted[j, j] -= int(exponent * scale)
        for vector in exact_null_space(np.vstack([told.astype(object), shifted])):
            nonzero = vector != 0
            yield made[cols[nonzero]], vector[nonzero], -exponent
