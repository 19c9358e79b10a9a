"""The derivatives of all monomials along polynomial velocities, as blocks of a sparse matrix."""

from itertools import combinations_with_replacement

import numpy as np


class Velocities:
    """Polynomial velocities in n variables, with data in their coefficients.

    terms: for each variable the terms (coefficient, indices of its variables, data) of its
        velocity, coefficients whole numbers, `data` a hashable that is () without data.
    """

    def __init__(self, terms):
        self.n = len(terms)
        flat = [(i, *term) for i, own in enumerate(terms) for term in own]
        self.count = np.array([len(own) for own in terms], dtype=np.int64)
        self.start = np.concatenate([[0], np.cumsum(self.count)[:-1]])
        width = max((len(indices) for _, _, indices, _ in flat), default=0)
        self.indices = np.full((len(flat), width), self.n, dtype=np.int32)
        number = {(): 0}
        self.data = np.zeros(len(flat), dtype=np.int64)
        for row, (_, _, indices, data) in enumerate(flat):
            self.indices[row, : len(indices)] = indices
            self.data[row] = number.setdefault(data, len(number))
        self.kinds = len(number)
        self.pulled = [indices for _, _, indices, data in flat if not data]
        coefficients = [c for _, c, _, _ in flat]
        small = all(abs(c) < 2**31 for c in coefficients)
        self.coefficients = np.array(coefficients, dtype=np.int64 if small else object)


def monomials(n, degree, moving, still=False):
    """(number, degree) indices of the monomials of degree 1 to `degree`, filled up with n.

    moving: (n,) whether a variable moves; monomials in the others alone are left out.  still: takes
    these alone, with the constant.
    """
    parts = []
    for k in range(0 if still else 1, degree + 1):
        own = np.array(list(combinations_with_replacement(range(n), k)), dtype=np.int32)
        parts.append(np.hstack([own, np.full((len(own), degree - k), n, dtype=np.int32)]))
    made = np.concatenate(parts)
    return made[np.append(moving, False)[made].any(1) != still]


def derivatives(velocities, made):
    """(rows, columns, values, drift): the derivative of every monomial, as sparse entries.

    A row is a monomial times data; `drift` is the column of the monomial that the row is, where it
    has no data, -1 if it is none of `made`, and -2 with data.
    """
    v, degree = velocities, made.shape[1]
    factors = made.T.ravel()
    column = np.tile(np.arange(len(made), dtype=np.int32), degree)
    there = factors < v.n
    place = np.repeat(np.arange(degree, dtype=np.int8), len(made))[there]
    factors, column = factors[there], column[there]
    counts = v.count[factors]
    column, place = np.repeat(column, counts), np.repeat(place, counts)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    term = np.arange(total) - np.repeat(ends - counts, counts) + np.repeat(v.start[factors], counts)
    state = np.hstack([made[column], v.indices[term]])
    state[np.arange(total), place] = v.n  # the factor whose velocity stands in its place
    state.sort(axis=1)
    codes = _codes(np.vstack([state, _widened(made, state.shape[1], v.n)]), v.n + 1)
    del state
    here, own = codes[:total], codes[total:]
    rows, numbered = np.unique(here * v.kinds + v.data[term], return_inverse=True)
    of = np.full(max(int(codes.max(initial=0)) + 1, 1), -1, dtype=np.int64)
    of[own] = np.arange(len(made))
    drift = np.where(rows % v.kinds == 0, of[rows // v.kinds], -2)
    return numbered, column, v.coefficients[term], drift


def _widened(made, width, n):
    more = np.full((len(made), width - made.shape[1]), n, dtype=np.int32)
    return np.hstack([np.sort(made, axis=1), more])


def _codes(rows, base):
    """0, 1, …: a number for each different row."""
    codes, bound = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        if bound * base >= 2**62:
            _, codes = np.unique(codes, return_inverse=True)
            bound = int(codes.max(initial=0)) + 1
        codes, bound = codes * base + column, bound * base
    return np.unique(codes, return_inverse=True)[1]


def blocks(rows, columns, n):
    """The block of each column, of the finest partition into blocks."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    height = int(rows.max(initial=-1)) + 1
    size = height + n
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, height + columns)), (size, size))
    return connected_components(graph, directed=False)[1][height:]
