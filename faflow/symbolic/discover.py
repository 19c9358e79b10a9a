"""Find the laws a rule keeps among words of bounded length, for networks of every size."""

from fractions import Fraction
from itertools import pairwise, product

from .problems import every_size, spaces
from .prove import over_a_step

FORMS = ("matrix", "diagonal", "trace")


def discover(rule, *, depth=2, length=2, ends=("h1", "h1"), form="matrix", activation="linear"):
    """Basis of the combinations of words, of at most `length` letters, that `rule` keeps.

    Searches all words in the weights and the feedback, for every size, all data and losses.
    ends: the spaces a word goes to and from (rows, columns), among "in", "h1", …, "out".
    form: matrix, diagonal (one law a neuron) or trace; the last two need equal ends.
    activation: linear, "piecewise", or the name of a piecewise linear or homogeneous one.
    Returns a list of `Words`.
    """
    if form not in FORMS:
        raise ValueError(f"Unknown form {form!r}; choose from {', '.join(FORMS)}.")
    known = spaces(depth)
    if len(ends) != 2 or not set(ends) <= set(known):
        raise ValueError(f"ends must be two spaces among {', '.join(known)}, not {ends!r}.")
    concrete, task, w, _ = every_size(rule, depth, phi=activation)
    given = {str(M): M for M in (*concrete.B, *w)}
    position = {str(M): ("w", k) for k, M in enumerate(w)}
    position |= {str(M): ("B", k) for k, M in enumerate(concrete.B)}

    def law_of(path):
        def law(rule, w):
            matrices = {"w": w, "B": rule.B}
            made = None
            for name, flipped in path:
                kind, k = position[name]
                M = matrices[kind][k].T if flipped else matrices[kind][k]
                made = M if made is None else made @ M
            return made if form == "matrix" else getattr(made, form)()

        return law

    kinds = {name: (M.rows, M.cols) for name, M in given.items()}
    letters = [(n, f, s[::-1] if f else s) for n, s in kinds.items() for f in (False, True)]
    found = {}  # by value: words that are equal in this form are one unknown
    for size in range(1, length + 1):
        for path in product(letters, repeat=size):
            fits = all(a[2][1] == b[2][0] for a, b in pairwise(path))
            if not fits or (path[0][2][0], path[-1][2][1]) != tuple(ends):
                continue
            if not any(position[n][0] == "w" for n, _, _ in path):
                continue
            law = law_of([(n, f) for n, f, _ in path])
            value, rate = over_a_step(law, concrete, task, w).coefficients[:2]
            found.setdefault(tuple(value.terms.items()), (value, rate))
    return _kept(list(found.values()))


def _kept(candidates):
    """Basis of the combinations of (value, rate) pairs whose rate vanishes."""
    if not candidates:
        return []
    import flint

    rows = sorted({key for _, rate in candidates for key in rate.terms}, key=str)
    number = {key: i for i, key in enumerate(rows)}
    system = flint.fmpq_mat(max(1, len(rows)), len(candidates))
    for j, (_, rate) in enumerate(candidates):
        for key, c in rate.terms.items():
            system[number[key], j] = flint.fmpq(c.numerator, c.denominator)
    reduced, rank = system.rref()
    pivots = [next(j for j in range(len(candidates)) if reduced[i, j] != 0) for i in range(rank)]
    return [
        _combined(candidates, reduced, pivots, free)
        for free in range(len(candidates))
        if free not in pivots
    ]


def _combined(candidates, reduced, pivots, free):
    total = candidates[free][0]
    for i, j in enumerate(pivots):
        c = reduced[i, free]
        if c != 0:
            total = total - candidates[j][0] * Fraction(int(c.p), int(c.q))
    return total
