"""Elimination of many small matrices at once, modulo the prime."""

import numpy as np

from .residues import P, reduced


def eliminated(A):
    """(A, has): the reduced echelon forms of (batch, rows, columns) residues.

    has: (batch, columns) whether a column has a pivot; pivot rows come first, in their order.
    """
    A = np.array(A)
    batch, rows, columns = A.shape
    rank, every = np.zeros(batch, dtype=int), np.arange(batch)
    has = np.zeros((batch, columns), dtype=bool)
    for j in range(columns if rows else 0):
        candidates = (A[:, :, j] != 0) & (np.arange(rows) >= rank[:, None])
        here = every[candidates.any(1)]
        if not len(here):
            continue
        has[here, j] = True
        to, found = rank[here], candidates[here].argmax(1)
        pivot = A[here, found]
        A[here, found] = A[here, to]
        pivot = reduced(pivot * inverses(pivot[:, j])[:, None])
        A[here, to] = pivot
        factors = A[here, :, j]
        factors[np.arange(len(here)), to] = 0
        A[here] = reduced(A[here] - factors[:, :, None] * pivot[:, None, :])
        rank[here] += 1
    return A, has


def ranks(A):
    """(batch,) ranks of (batch, rows, columns) residues."""
    return eliminated(A)[1].sum(1)


def null_spaces(A):
    """(batch, nullity, columns) bases of the x of A x = 0; the pivots must be in equal columns."""
    made, has = eliminated(A)
    if (has != has[:1]).any():
        raise ValueError("The matrices of a batch have null spaces of different kinds.")
    pivots, free = np.flatnonzero(has[0]), np.flatnonzero(~has[0])
    basis = np.zeros((len(A), len(free), A.shape[2]))
    basis[:, range(len(free)), free] = 1
    basis[:, :, pivots] = -made[:, : len(pivots)][:, :, free].mT
    return basis


def inverses(numbers):
    """1/number modulo the prime of an array of residues other than 0, by Fermat's theorem."""
    base = np.asarray(numbers).astype(np.int64) % P
    made, power = np.ones_like(base), P - 2
    while power:
        if power & 1:
            made = made * base % P
        base, power = base * base % P, power >> 1
    return reduced(made.astype(float))
