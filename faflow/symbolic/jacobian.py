"""How many laws are independent: the rank of their derivatives at a point modulo the prime."""

from fractions import Fraction

import numpy as np

from ..matrices import Jet, Span, residue
from ..matrices.residues import P, inverse, rank, reduced
from .brackets import MEMORY, moved
from .law import letters


def jacobian_rank(laws, point, rng):
    """How many of the laws are independent at the point: the rank of their derivatives there.

    laws: functions ``law(rule, w)``; one with a `growth` c counts as law·e^{ct}.
    Raises ValueError for a law that residues cannot evaluate.
    """
    if not laws:
        return 0
    first = _derivatives(laws, point, point.directions(2, rng))
    entries = first.shape[1]
    most = min(entries, point.dimension)
    room = max(8, int(MEMORY / 8 / max(entries, point.dimension)))
    span = Span(entries)
    span.add(first)
    while span.rank < most:
        batch = min(most - span.rank + 2, room)
        if span.add(_derivatives(laws, point, point.directions(batch, rng))) < batch:
            break
    return span.rank


def check_kept(laws, point, rng):
    """Raise RuntimeError for a law that moves along the velocities at the point."""
    for law in laws:
        if _derivatives([law], point, point.field(2, rng)(point.state)).any():
            name = getattr(law, "__name__", law)
            raise RuntimeError(f"The law {name} counts as kept, but it moves modulo the prime.")


def with_chains(chains, laws, point, rng):
    """`jacobian_rank` with the local laws of chains of layers, besides those given.

    Between layers of width one a linear chain moves along one field of its own, times a number:
    dW_i = αβ (W_b⋯W_{i+1})ᵀ(W_{i-1}⋯W_{a+1})ᵀ, α what enters it and β what comes back.  So all
    functions that do not change along that field are laws, locally; their derivatives are all the
    covectors that vanish on it.  Derived in this project.
    """
    blocks, n = _blocks(point), point.dimension
    field = point.flat(point.field(2, rng)(point.state), 2)[0]
    rows = [_all_derivatives(laws, point)] if laws else []
    for a, b in chains:
        where = [j for name, block in blocks.items() if a < int(name[1:]) <= b for j in block]
        along = field[where]
        pivot = int(np.argmax(along != 0))
        if not along[pivot]:
            continue
        others = [i for i in range(len(where)) if i != pivot]
        covectors = np.zeros((len(others), n))
        covectors[range(len(others)), [where[i] for i in others]] = 1
        covectors[:, where[pivot]] = -reduced(along[others] * inverse(along[pivot]))
        rows.append(covectors)
    return rank(np.concatenate(rows))


def _all_derivatives(laws, point):
    """(entries, dimension) of the derivatives of all laws along every coordinate."""
    n = point.dimension
    unit = np.split(np.eye(n), np.cumsum([np.prod(W.shape) for W in point.state])[:-1], axis=1)
    along = zip(unit, point.state, strict=True)
    return _derivatives(laws, point, tuple(Jet({0: u.reshape(n, *W.shape)}) for u, W in along)).T


def _blocks(point):
    """{name: coordinates} of the matrices of the state."""
    shapes = point.rule.state(point.sizes, point.bias)
    blocks, start = {}, 0
    for name, shape in shapes.items():
        blocks[name] = range(start, start + shape[0] * shape[1])
        start = blocks[name].stop
    return blocks


def _derivatives(laws, point, directions):
    """(batch, entries) of the derivatives of all laws along a batch of directions."""
    batch = max(len(M) for V in directions for M in V.parts.values())
    state = moved(point.w, directions[: len(point.w)], 0)
    rows = []
    for law in laws:
        try:
            value = law(point.rule, state)
            here, there = value.split(0)
            shape = value.shape
        except (TypeError, AttributeError) as error:
            name = getattr(law, "__name__", "law")
            raise ValueError(f"The law {name} cannot be evaluated in residues: {error}.") from error
        rate = there.parts.get(0, np.zeros((1, 1, 1)))
        growth = getattr(law, "growth", 0)
        if growth and point.timed:  # u^c at u = 1
            rate = reduced(
                rate + reduced(residue(growth) * here.parts[0]) * directions[-1].parts[0]
            )
        rows.append(np.broadcast_to(rate, (batch, *shape)).reshape(batch, -1))
    return np.concatenate(rows, 1)


def check_null_spaces(laws, point):
    """Raise unless null spaces that laws need have, modulo the prime, their true dimensions.

    A null space that is larger there than over the rationals would count laws that are none.
    """
    unknowns = {u.names: u for law in laws for u in getattr(law, "unknowns", ())}
    for unknown in unknowns.values():
        made = letters(point.rule, point.w, len(point.sizes) - 1, point.bias)
        stacked = np.concatenate([M.parts[0][0] for M in unknown.columns(made)])
        seen, name = rank(stacked), " and ".join(" ".join(names) for names in unknown.products)
        if point.given or not point.rule.fixed(point.sizes):
            true, floats = _true_ranks(unknown, point)
            if point.rounded and floats < true:
                raise ValueError(
                    f"{name} has rank {floats} within rounding but rank {true} exactly; give the"
                    " feedback in integers or Fractions to have the rank you mean."
                )
        else:
            true = generic_rank(unknown, {n: M.shape for n, M in made.items()})
        if seen != true:
            advice = "give smaller integers" if point.given else "take another seed"
            raise ValueError(f"{name} has rank {true}, but {seen} modulo the prime {P}; {advice}.")


def generic_rank(unknown, shapes):
    """The rank of what an unknown is null to, for generic feedback of these shapes by name."""
    narrowest = [min(min(shapes[n]) for n in names) for names in unknown.products]
    return min(sum(narrowest), shapes[unknown.products[0][-1]][1])


def _true_ranks(unknown, point):
    """(exactly, in floats): the rank of what an unknown is null to, at the feedback given."""
    import flint

    names = list(point.rule.fixed(point.sizes))
    if names:
        made = dict(zip(names, point.exact, strict=True))
    else:  # signs, which are their own residues
        now = point.rule.constants(point.w)
        made = {n: np.vectorize(int, otypes=[object])(M.parts[0][0]) for n, M in now.items()}
    stacked = np.concatenate(unknown.columns(made))
    exactly = [Fraction(x) for x in stacked.ravel()]
    entries = [flint.fmpq(x.numerator, x.denominator) for x in exactly]
    floats = np.concatenate(unknown.columns({n: M.astype(float) for n, M in made.items()}))
    _, true = flint.fmpq_mat(*stacked.shape, entries).rref()
    return true, int(np.linalg.matrix_rank(floats))
