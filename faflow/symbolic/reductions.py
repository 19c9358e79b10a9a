"""Whether a rule keeps to a part of samples, inputs or outputs, proved in words for every size."""

from functools import lru_cache

from ..matrices import Alphabet
from ..nets import linear, replaced, squared
from ..rule import of_layer
from .problems import problem_task


def unproved(rule, depth, spaces):
    """Why the reduction of these spaces is not proved of the rule, or None where it is."""
    own = {k: v for k, v in vars(rule).items() if k not in ("B", "decay", "rates")}
    try:
        return _unproved(type(rule), tuple(sorted(own.items())), depth, spaces)
    except TypeError:  # with something in it that cannot be kept
        return _unproved.__wrapped__(type(rule), tuple(own.items()), depth, spaces)


@lru_cache(maxsize=64)
def _unproved(kind, own, depth, spaces):
    """The same for all feedback, decay and rates, which act on each layer by themselves."""
    numbers = {"rates": tuple(range(2, 2 + depth)), "decay": tuple(range(101, 101 + depth))}
    try:
        rule = replaced(object.__new__(kind), **dict(own), B=(), **numbers)
        moved, expected = _both(rule, depth, spaces)
        same = all(V == U for V, U in zip(moved, expected, strict=True))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        return f"words cannot follow {kind.__name__}: {error}"
    return None if same else f"{kind.__name__} does not keep to a part of the {spaces[-1]}puts"


def _both(rule, depth, spaces):
    """Velocities of the full problem, and those of the reduced one brought back, as words."""
    alphabet, names, white = Alphabet(), rule.spaces(depth), spaces == ("in",)
    small = {name: f"{name}'" if name in spaces else name for name in (*names, "samples")}
    sides = {
        name: alphabet.letter(f"P_{name}", name, small[name]) for name in small if name in spaces
    }
    for name, P in sides.items():
        alphabet.relate(P.T @ P, alphabet.identity(small[name]))
    times = lambda P, M: M if P is None else P @ M
    back = lambda M, rows, cols: times(sides.get(cols), times(sides.get(rows), M).T).T

    def beside(name, rows, cols):
        """What a matrix has beside the columns that are kept."""
        if cols not in sides:
            return 0
        N = alphabet.letter(f"N_{name}", rows, cols)
        alphabet.relate(N @ sides[cols], 0)
        return N

    kinds = rule.state(names)
    reduced = tuple(alphabet.letter(k, small[r], small[c]) for k, (r, c) in kinds.items())
    apart = [0 if white else beside(k, r, c) for k, (r, c) in kinds.items()]
    both = list(zip(reduced, kinds.values(), apart, strict=True))
    full = tuple(back(M, *pair) + N for M, pair, N in both)
    fixed = rule.fixed(names)
    B = tuple(alphabet.letter(k, *pair) for k, pair in fixed.items())
    inner = tuple(
        M @ sides[c] if c in sides else M for M, (_, c) in zip(B, fixed.values(), strict=True)
    )
    if white:  # as many samples as inputs, X a multiple of the identity; a part of them are enough
        X, X_full = (3 * alphabet.identity(space) for space in (small[names[0]], names[0]))
        Y = alphabet.letter("Y", small[names[-1]], small[names[0]])
        Y_full = back(Y, names[-1], names[0])
    else:
        X = alphabet.letter("X", small[names[0]], small["samples"])
        Y = alphabet.letter("Y", small[names[-1]], small["samples"])
        X_full = back(X, names[0], "samples")
        rest = beside("Y", names[-1], "samples")  # of the targets, which no step can reach
        Y_full = back(Y, names[-1], "samples") + rest
    task = problem_task(X, Y, linear, squared, False)
    moved = replaced(rule, B=B)(task.with_data(X_full, Y_full), full)
    made = replaced(rule, B=inner)(task, reduced)
    layers = rule.layers(full)
    kept = [
        back(V, *pair) - (0 if isinstance(N, int) else of_layer(rule.decay, layer) * N)
        for V, pair, N, layer in zip(made, kinds.values(), apart, layers, strict=True)
    ]
    return moved, kept
