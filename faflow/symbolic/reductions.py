"""Whether a rule keeps to a part of samples, inputs or outputs, or has a core: proved in words."""

from functools import lru_cache

from ..flow.core import core_of
from ..matrices import Alphabet, Words, with_ones
from ..matrices.still import Still
from ..nets import linear, replaced, squared
from ..rule import of_layer
from .problems import problem_task


def unproved(rule, depth, spaces, bias=False):
    """Why the reduction of these spaces is not proved of the rule, or None where it is.

    bias: with biases, for which samples are turned so that ones become a multiple of ones.
    """
    what = f"does not keep to a part of the {spaces[-1]}puts"
    return _refuted(rule, depth, what, _both, spaces, bool(bias))


def core_unproved(rule, depth):
    """Why the core is not proved of the rule on white inputs, or None where it is."""
    if depth != 2:
        return "the core is one of two layers"
    return _refuted(rule, depth, "does not move as its core does", _of_core)


def rest_unproved(rule, depth, bias=False):
    """Why it is not proved that of the first layer only what feedback reaches moves, or None."""
    what = "moves more of its first layer than feedback reaches"
    return _refuted(rule, depth, what, _of_rest, bool(bias))


def _refuted(rule, depth, what, both, *about):
    """Why `both` are not the same for the rule, or None, with `what` it does if they are not."""
    own = {k: v for k, v in vars(rule).items() if k not in ("B", "decay", "rates")}
    try:
        return _unequal(type(rule), tuple(sorted(own.items())), depth, what, both, *about)
    except TypeError:  # with something in it that cannot be kept
        return _unequal.__wrapped__(type(rule), tuple(own.items()), depth, what, both, *about)


@lru_cache(maxsize=64)
def _unequal(kind, own, depth, what, both, *about):
    """The same for all feedback, decay and rates, which act on each layer by themselves."""
    numbers = {"rates": tuple(range(2, 2 + depth)), "decay": tuple(range(101, 101 + depth))}
    try:
        rule = replaced(object.__new__(kind), **dict(own), B=(), **numbers)
        moved, expected = both(rule, depth, *about)
        same = all(V == U for V, U in zip(moved, expected, strict=True))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        return f"words cannot follow {kind.__name__}: {error}"
    return None if same else f"{kind.__name__} {what}"


def _both(rule, depth, spaces, bias):
    """Velocities of the full problem, and those of the reduced one brought back, as words."""
    alphabet, names, white = Alphabet(), rule.spaces(depth), spaces == ("in",)
    small, sides = _sides(alphabet, names, spaces, bias)
    scale, constant = 5, 3 if bias and "samples" in spaces else 1
    if constant != 1:  # ones as a multiple of ones: of fewer samples, that much larger each
        ones = alphabet.ones(small["samples"])
        alphabet.ones_known["samples"] = constant * (ones @ sides["samples"].T)
    back = lambda M, rows, cols: _times(sides.get(cols), _times(sides.get(rows), M).T).T

    def beside(name, rows, cols):
        """What a matrix has beside the columns that are kept."""
        if cols not in sides:
            return 0
        bare = cols.removesuffix("+1")
        N = alphabet.letter(f"N_{name}", rows, bare)
        alphabet.relate(N @ sides[bare], 0)
        return N if cols == bare else N @ alphabet.augmentation(bare)[0].T

    kinds = rule.state(names, bias)
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
        X_full = constant * back(X, names[0], "samples")
        rest = beside("Y", names[-1], "samples")  # of the targets, which no step can reach
        Y_full = back(Y, names[-1], "samples") + rest
    task = problem_task(X, Y, linear, squared, bias)
    whole = replaced(task.with_data(X_full, Y_full), output_scale=scale)
    moved = replaced(rule, B=B)(whole, full)
    made = replaced(rule, B=inner)(replaced(task, output_scale=scale * constant), reduced)
    layers = rule.layers(full)
    kept = [
        back(V, *pair) - (0 if isinstance(N, int) else of_layer(rule.decay, layer) * N)
        for V, pair, N, layer in zip(made, kinds.values(), apart, layers, strict=True)
    ]
    return moved, kept


def _sides(alphabet, names, spaces, bias):
    """Names of the spaces that are left, and columns for each of those that are turned."""
    small = {name: f"{name}'" if name in spaces else name for name in (*names, "samples")}
    sides = {
        name: alphabet.letter(f"P_{name}", name, small[name]) for name in small if name in spaces
    }
    for name, P in sides.items():
        alphabet.relate(P.T @ P, alphabet.identity(small[name]))
    for name in names if bias else ():
        small[f"{name}+1"] = f"{small[name]}+1"
        if name in sides:
            (J, o), (J_small, o_small) = map(alphabet.augmentation, (name, small[name]))
            sides[f"{name}+1"] = J @ sides[name] @ J_small.T + o @ o_small.T
    return small, sides


def _times(P, M):
    return M if P is None else P @ M


def is_seen(law, rule, depth, spaces, bias=False):
    """Whether `law` is proved, for every size, to have one value at a state turned so and in full.

    Of a state with nothing beside what is turned.
    """
    alphabet, names = Alphabet(), rule.spaces(depth)
    small, sides = _sides(alphabet, names, spaces, bias)
    back = lambda M, rows, cols: _times(sides.get(cols), _times(sides.get(rows), M).T).T
    kinds, fixed = rule.state(names, bias), rule.fixed(names)
    turned = {k: alphabet.letter(k, small[r], small[c]) for k, (r, c) in kinds.items()}
    full = {k: back(turned[k], *pair) for k, pair in kinds.items()}
    for k, (r, c) in fixed.items():  # which has more than what is turned of it
        full[k] = alphabet.letter(k, r, c)
        turned[k] = _times(sides[c].T, full[k].T).T if c in sides else full[k]
    return _alike(law, rule, *((made, kinds, fixed) for made in (turned, full)))


def is_seen_by_core(law, rule, depth):
    """The same of a core: of (W', BZ) with the identity for B, in place of (W'Q', Z) and B."""
    alphabet, names = Alphabet(), rule.spaces(depth)
    inputs, hidden, outputs = names
    kinds, fixed = rule.state(names), rule.fixed(names)
    first, upper, fed = (*kinds, *fixed)
    Q = alphabet.letter("Q", inputs, "rows")
    alphabet.relate(Q.T @ Q, alphabet.identity("rows"))
    W, Z = alphabet.letter(first, hidden, "rows"), alphabet.letter(upper, outputs, hidden)
    B = alphabet.letter(fed, hidden, outputs)
    small = {first: W, upper: B @ Z, fed: alphabet.identity(hidden)}
    full = {first: W @ Q.T, upper: Z, fed: B}
    return _alike(law, rule, *((made, kinds, fixed) for made in (small, full)))


def _alike(law, rule, *problems):
    """Whether words can follow a law in both problems, {name: words} each, and it is the same."""
    values = []
    for made, kinds, fixed in problems:
        pick = lambda names, made=made: tuple(made[name] for name in names)
        try:
            values.append(law(replaced(rule, B=pick(fixed)), pick(kinds)))
        except (TypeError, ValueError, AttributeError, LookupError):  # a law of other networks
            return False
    one, other = values
    words = isinstance(one, Words) and isinstance(other, Words)
    return words and (one.rows, one.cols) == (other.rows, other.cols) and one == other


def _of_rest(rule, depth, bias):
    """Velocities in full and with the units alone that feedback reaches, brought back, as words.

    B₂ = OJR and W₁ = O(JU + KN) for orthonormal O and [J, K]: once O has turned them, the units
    that J places move, and those that K places stand still but for their decay.
    """
    alphabet, names = Alphabet(), rule.spaces(depth)
    inputs, hidden = names[:2]
    letter, all_units = alphabet.letter, f"{hidden}'"
    O, J = letter("O", hidden, all_units), letter("J", all_units, "moving")
    K = letter("K", all_units, "still")
    for left, right in (
        (O.T @ O, alphabet.identity(all_units)),
        (J.T @ J, alphabet.identity("moving")),
        (K.T @ K, alphabet.identity("still")),
        (J.T @ K, 0),
        (K.T @ J, 0),
    ):
        alphabet.relate(left, right)
    sides = {hidden: O}
    if bias:
        (whole, o), (turned, p) = map(alphabet.augmentation, (hidden, all_units))
        sides[f"{hidden}+1"] = whole @ O @ turned.T + o @ p.T
    small = {hidden: all_units, f"{hidden}+1": f"{all_units}+1"}
    kinds, fixed = rule.state(names, bias), rule.fixed(names)
    (first, (_, cols)), *upper = kinds.items()
    (_, (_, reached)), *others = fixed.items()
    N, R = letter("N", "still", cols), letter("R", "moving", reached)
    reduced = [letter(k, r, small.get(c, c)) for k, (r, c) in upper]
    reduced = letter(first, "moving", cols), *reduced
    B = [letter(k, *pair) for k, pair in others]

    def back(state, held):
        both = zip(state[1:], upper, strict=True)
        above = [M @ sides[c].T if c in sides else M for M, (_, (_, c)) in both]
        return O @ (J @ state[0] + held), *above

    X, Y = letter("X", inputs, "samples"), letter("Y", names[-1], "samples")
    task = problem_task(X, Y, linear, squared, bias)
    held = Still(X, N @ (with_ones(X) if bias else X), lambda a, b: J @ a + K @ b)
    moved = replaced(rule, B=(O @ J @ R, *B))(task, back(reduced, K @ N))
    made = replaced(rule, B=(R, *B))(replaced(task, X=held), reduced)
    return moved, back(made, -of_layer(rule.decay, 0) * (K @ N))


def _of_core(rule, depth):
    """Velocities of two layers and of what a core sees of them, and those its core gives, as words.

    Targets Y = yQ' + R with RQ = 0, BR = 0 are any whose BY has its rows in the span of Q'.
    """
    alphabet, names = Alphabet(), rule.spaces(depth)
    inputs, hidden, outputs = names
    letter = alphabet.letter
    Q, B = letter("Q", inputs, "rows"), letter("B", hidden, outputs)
    y, R = letter("y", outputs, "rows"), letter("R", outputs, inputs)
    for left, right in ((Q.T @ Q, alphabet.identity("rows")), (R @ Q, 0), (B @ R, 0)):
        alphabet.relate(left, right)
    kept, O = letter("W'", hidden, "rows"), letter("O", "probes", outputs)
    first, G, P = (
        letter("Z0", outputs, hidden),
        letter("G", "rows", hidden),
        letter("P", hidden, hidden),
    )
    lifted = lambda W, G, P: (W @ Q.T, first @ P + y @ G)
    W, Z = lifted(kept, G, P)
    c, s = 3, 5
    task = problem_task(
        c * alphabet.identity(inputs), s * c * (y @ Q.T + R), linear, squared, False
    )
    moved = replaced(rule, B=(B,))(replaced(task, output_scale=s), (W, Z))
    core = core_of(rule, s * c, B @ y, O @ y)
    dW, dM, dG, dP, dV = core(task, (kept, B @ Z, G, P, O @ Z))
    return (*moved, B @ moved[1], O @ moved[1]), (*lifted(dW, dG, dP), dM, dV)
