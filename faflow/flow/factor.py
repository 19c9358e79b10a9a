"""(JJᵀ)⁻¹ of all laws at a state passed lately, for conjugate gradients at states near it.

Laws of layers above one another share weights, so that each solved alone is far from all of them.
A factor of all costs as much as some steps do without; it serves as long as states are near.
"""

import numpy as np

MOST = 700
"""Entries of laws up to which they are factored together."""

RANK = 1e-11
"""Share of the largest pivot below which a law follows from the others."""


class Factor:
    """Made anew when as many steps of conjugate gradients were spent since as making it costs."""

    def __init__(self, kept):
        self.kept, self.inverse, self.spent = kept, None, 0
        self.packs: list[Pack] = []

    def near(self, rule, w, R, free):
        """What takes a residual to (JJᵀ)⁻¹ of it, nearly, or None as long as none was made.

        free: what corrections are cut to.
        """
        if not self.packs:
            both = zip(R, self.kept, strict=True)
            self.packs = [Pack(r.shape, one.symmetric) for r, one in both]
        numbers, entries = sum(p.size for p in self.packs), sum(W.size for W in w)
        if numbers > MOST:
            return None
        cost = numbers / 6 + numbers**2 * (2 * entries + numbers) / 5e6
        if self.spent > cost:
            self._make(rule, w, free)
        return None if self.inverse is None else self._apply

    def _make(self, rule, w, free):
        from scipy.linalg import cho_solve, get_lapack_funcs

        rows, ends = [], np.cumsum([0] + [W.size for W in w])
        for one, pack in zip(self.kept, self.packs, strict=True):
            for unit in np.eye(pack.size):
                row = np.zeros(ends[-1])
                for number, M in free.cut(rule, one.gradient(rule, w, pack.whole(unit))).items():
                    there = row[ends[number] : ends[number + 1]].reshape(w[number].shape)
                    there[:, : M.shape[1]] += M  # without biases
                rows.append(row)
        J = np.array(rows)
        squares = J @ J.T
        pivoted = get_lapack_funcs("pstrf", (squares,))
        C, order, rank, _ = pivoted(squares, lower=1, tol=RANK * squares.diagonal().max())
        taken, self.spent = order[:rank] - 1, 0
        if not rank:
            return
        self.inverse = np.zeros((len(J), len(J)))
        least = cho_solve((C[:rank, :rank], True), np.eye(rank))
        self.inverse[np.ix_(taken, taken)] = (least + least.T) / 2

    def _apply(self, R):
        both = zip(self.packs, R, strict=True)
        solved = self.inverse @ np.concatenate([pack.flat(r) for pack, r in both])
        parts = np.split(solved, np.cumsum([pack.size for pack in self.packs])[:-1])
        return tuple(pack.whole(part) for pack, part in zip(self.packs, parts, strict=True))


class Pack:
    """The entries of a law's value that differ, at lengths that keep products of two values."""

    def __init__(self, shape, symmetric):
        self.shape = shape
        self.places = np.triu_indices(shape[0]) if symmetric else None
        self.size = int(np.prod(shape)) if self.places is None else len(self.places[0])
        if self.places is not None:
            self.scale = np.where(self.places[0] == self.places[1], 1.0, np.sqrt(2))

    def flat(self, value):
        return np.ravel(value) if self.places is None else value[self.places] * self.scale

    def whole(self, numbers):
        if self.places is None:
            return numbers.reshape(self.shape)
        M = np.zeros(self.shape)
        M[self.places] = numbers / self.scale
        M.T[self.places] = M[self.places]
        return M
