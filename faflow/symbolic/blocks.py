"""The two ranks of a certificate for large linear networks: pair by pair of indices.

At a point where every W and B is zero off its diagonal, the group of sign changes of the indices
fixes the point, the velocities for all data and the laws; so the tangent vectors split into parts
that change sign alike, one for each pair of indices and one for the diagonals.  A pair of indices
with a third one beside is a network of width three, and all of them are taken at once.  The ranks
add up to lower bounds of the generic ones, as those of any point do.
"""

from itertools import combinations_with_replacement, pairwise

import numpy as np

from ..matrices import Jet
from ..matrices.batches import ranks
from ..matrices.residues import P, draw
from ..nets import linear, replaced
from .brackets import bracket, moved
from .jacobian import generic_rank
from .problems import any_loss, problem_task

CHUNK = 60_000
"""Pairs taken at once."""


def block_ranks(rule, sizes, laws, rng, *, deepest=4):
    """(dimension, rank of the laws, rank of the brackets to `deepest`) at a diagonal point."""
    _check_generic(rule, sizes, laws)
    diagonal = Diagonal(rule, sizes, rng)
    of_laws = of_brackets = dimension = 0
    for first, second in diagonal.pairs():
        for start in range(0, len(first), CHUNK):
            part = slice(start, start + CHUNK)
            small = diagonal.network(first[part], None if second is None else second[part])
            dimension += len(small.kept) * len(first[part])
            of_laws += int(small.law_ranks(laws).sum())
            of_brackets += int(small.bracket_ranks(rng, deepest).sum())
    return dimension, of_laws, of_brackets


def _check_generic(rule, sizes, laws):
    """Raise ValueError where diagonal feedback has null spaces that generic feedback has not.

    The laws in them would count, but be none of generic feedback.
    """
    shapes = rule.fixed(sizes)
    for unknown in (u for law in laws for u in law.unknowns):
        generic = generic_rank(unknown, shapes)
        here = max(min(min(shapes[n]) for n in names) for names in unknown.products)
        if here != generic:
            raise ValueError(
                f"Pairs of indices need diagonal feedback, but where {unknown} that has rank"
                f" {here} and generic feedback {generic}; take the dense method."
            )


class Diagonal:
    """A random state and feedback, zero off the diagonals."""

    def __init__(self, rule, sizes, rng):
        self.rule, self.sizes = rule, sizes
        self.state, self.fixed = rule.state(sizes), rule.fixed(sizes)
        self.values = {n: _nonzero(rng, max(sizes)) for n in (*self.state, *self.fixed)}

    def pairs(self):
        """(indices, indices) of all pairs of one kind, (indices, None) for single ones.

        Of one kind are indices that are in the same layers.  Pairs with the index 0 or 1 come by
        themselves, since another index has to stand beside them.
        """
        edges = sorted({0, *self.sizes})
        groups = [np.arange(*ends) for ends in pairwise(edges)]
        for group in groups:
            yield group, None
        for one, other in combinations_with_replacement(groups, 2):
            a, b = (M.ravel() for M in np.meshgrid(one, other, indexing="ij"))
            a, b = a[a < b], b[a < b]
            kind = np.where(a > 0, 0, np.where(b > 1, 1, 2))
            for k in range(3):
                if (kind == k).any():
                    yield a[kind == k], b[kind == k]

    def network(self, first, second):
        """The networks of these indices and one beside, as one batch."""
        beside = None
        if second is not None:
            beside = next(i for i in range(3) if i not in (first[0], second[0]))
            beside = None if beside >= max(self.sizes) else np.full(len(first), beside)
        there = [i for i in (first, second, beside) if i is not None]
        layers = [[k for k, i in enumerate(there) if i[0] < n] for n in self.sizes]
        return Small(self, there, layers, pair=second is not None)


class Small:
    """A batch of networks of a few indices at the diagonal point.

    there: the indices, each (batch,).  layers: which of them each layer has.
    """

    def __init__(self, whole, there, layers, pair):
        self.batch = len(there[0])
        sizes = tuple(map(len, layers))
        self.names = list(whole.state)
        spaces = whole.rule.state(range(len(sizes)))
        ends = {n: spaces[n] for n in self.names} | whole.rule.fixed(range(len(sizes)))
        self.ends = {n: (layers[i], layers[j]) for n, (i, j) in ends.items()}

        def matrix(name):
            rows, columns = self.ends[name]
            M = np.zeros((self.batch, len(rows), len(columns)))
            for i, k in enumerate(rows):
                if k in columns:
                    M[:, i, columns.index(k)] = whole.values[name][there[k]]
            return Jet({0: M})

        self.w = tuple(map(matrix, self.names))
        self.rule = replaced(whole.rule, B=tuple(map(matrix, whole.fixed)))
        self.sizes = sizes
        wanted = (lambda i, j: {i, j} == {0, 1}) if pair else (lambda i, j: i == j == 0)
        self.kept = [
            (name, i, j)
            for name in self.names
            for i, row in enumerate(self.ends[name][0])
            for j, column in enumerate(self.ends[name][1])
            if wanted(row, column)
        ]

    def _field(self, rng):
        column = lambda n: Jet({0: draw(rng, self.batch, n, 1)})
        ends = column(self.sizes[0]), column(self.sizes[-1])
        make = lambda: problem_task(ends[0], ends[1], linear, any_loss(ends[1]), False)
        return lambda w: self.rule(make(), w)

    def _kept_rows(self, vectors):
        """(batch, kept) of tangent vectors."""
        made = {n: V.parts.get(0) for n, V in zip(self.names, vectors, strict=True)}
        entries = (0.0 if made[n] is None else made[n][..., i, j] for n, i, j in self.kept)
        return np.stack([np.broadcast_to(x, self.batch) for x in entries], axis=1)

    def bracket_ranks(self, rng, deepest):
        """(batch,) ranks of the brackets on the coordinates kept."""
        best = np.zeros(self.batch, dtype=int)
        if not self.kept:
            return best
        rows = []
        for depth in range(1, deepest + 1):
            for _ in self.kept:
                fields = [self._field(rng) for _ in range(depth)]
                rows.append(self._kept_rows(bracket(fields, self.w)))
            seen = ranks(np.stack(rows, axis=1))
            if (seen == len(self.kept)).all() or (depth > 1 and (seen == best).all()):
                return seen
            best = seen
        return best

    def law_ranks(self, laws):
        """(batch,) ranks of the derivatives of the laws along the coordinates kept."""
        if not self.kept or not laws:
            return np.zeros(self.batch, dtype=int)
        columns = []
        for name, i, j in self.kept:
            along = tuple(self._unit(n, i, j, n == name) for n in self.names)
            state, rates = moved(self.w, along, 0), []
            for law in laws:
                value = law(self.rule, state)
                rate = value.split(0)[1].parts.get(0, np.zeros((1, 1, 1)))
                shape = (self.batch, *value.shape)
                rates.append(np.broadcast_to(rate, shape).reshape(self.batch, -1))
            columns.append(np.concatenate(rates, axis=1))
        return ranks(np.stack(columns, axis=1))

    def _unit(self, name, i, j, here):
        M = np.zeros((1, *self.w[self.names.index(name)].shape))
        if here:
            M[0, i, j] = 1
        return Jet({0: M})


def _nonzero(rng, n):
    return rng.integers(1, P // 2, n) * rng.choice([-1.0, 1.0], n)
