"""Linear algebra over the rationals on sparse vectors, {key: number}."""

from fractions import Fraction


def null_space(columns):
    """Basis of the coefficients of the combinations of `columns` that vanish, as lists."""
    import flint

    rows = {key: i for i, key in enumerate({key: None for c in columns for key in c})}
    system = flint.fmpq_mat(max(1, len(rows)), len(columns))
    for j, column in enumerate(columns):
        for key, c in column.items():
            system[rows[key], j] = _flint(c)
    reduced, rank = system.rref()
    pivots = [next(j for j in range(len(columns)) if reduced[i, j] != 0) for i in range(rank)]
    basis = []
    for free in sorted(set(range(len(columns))) - set(pivots)):
        made = [Fraction(0)] * len(columns)
        made[free] = Fraction(1)
        for i, j in enumerate(pivots):
            made[j] = -_fraction(reduced[i, free])
        basis.append(made)
    return basis


def eigenvalues(columns):
    """The rational eigenvalues of the square matrix with these columns, keys 0, 1, …."""
    import flint

    made = flint.fmpq_mat(len(columns), len(columns))
    for j, column in enumerate(columns):
        for i, c in column.items():
            made[i, j] = _flint(c)
    polynomial = made.charpoly()
    _, factors = polynomial.numer().factor()
    return sorted(
        _fraction(-flint.fmpq(f[0]) / flint.fmpq(f[1])) for f, _ in factors if f.degree() == 1
    )


class Span:
    """A span of vectors that grows."""

    def __init__(self):
        self.rows = {}  # by pivot

    def rest(self, vector):
        """What is left of the vector, zero if the span has it."""
        left = {key: Fraction(c) for key, c in vector.items() if c}
        for pivot, row in self.rows.items():
            if factor := left.get(pivot):
                left = combined(left, row, -factor)
        return left

    def add(self, vector):
        """Whether the vector was not in the span, in which it is now."""
        left = self.rest(vector)
        if not left:
            return False
        pivot = next(iter(left))
        left = {key: c / left[pivot] for key, c in left.items()}
        for other, row in self.rows.items():
            if factor := row.get(pivot):
                self.rows[other] = combined(row, left, -factor)
        self.rows[pivot] = left
        return True


def combined(vector, other, factor):
    """vector + factor · other."""
    total = dict(vector)
    for key, c in other.items():
        total[key] = total.get(key, 0) + factor * c
        if not total[key]:
            del total[key]
    return total


def _flint(number):
    import flint

    number = Fraction(number)
    return flint.fmpq(number.numerator, number.denominator)


def _fraction(number):
    return Fraction(int(number.p), int(number.q))
