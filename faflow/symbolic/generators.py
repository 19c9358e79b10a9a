"""Which polynomial laws are not polynomials of the others."""

from fractions import Fraction

import numpy as np

from ..matrices import Span
from ..matrices.residues import balanced


def generators(laws, problem, degree, named=(), given=()):
    """Those laws that are no polynomials of others, of those `given` and of the feedback.

    laws: a basis of all laws up to the degree.  named: some that come first, if they are needed.
    Independence modulo the prime is independence, so none listed follows from the others; and
    as their products have there the dimension of all laws, none that is needed is left out.
    """
    fixed = [p for p, moves in zip(problem.places, problem.moving, strict=True) if not moves]
    number, still = {}, set(fixed)
    vector = lambda terms: {number.setdefault(m, len(number)): c for m, c in terms.items()}
    basis = [(1, Fraction(0), {(place,): 1}, False) for place in fixed]
    basis += [(law.degree, law.growth, _sorted(law.terms), True) for law in given]
    new, spans = [], {}
    for k in range(1, degree + 1):
        own = [law for law in (*named, *laws) if law.degree == k]
        if not own:
            continue
        products = {}
        for growth, terms in _products(basis, k):
            if not growth:  # without its constants
                terms = {m: c for m, c in terms.items() if not still.issuperset(m)}
            products.setdefault(growth, []).append(vector(terms))
        for growth in sorted({law.growth for law in own}):
            candidates = [law for law in own if law.growth == growth]
            rows = [*products.get(growth, []), *(vector(_sorted(c.terms)) for c in candidates)]
            span = spans[growth] = Span(len(number))
            dense = np.zeros((len(rows), len(number)))
            for i, row in enumerate(rows):
                dense[i, list(row)] = [balanced(c) for c in row.values()]
            span.add(dense[: -len(candidates)])
            for law, row in zip(candidates, dense[-len(candidates) :], strict=True):
                if span.add(row[None]):
                    new.append(law)
                    basis.append((k, growth, _sorted(law.terms), True))
    for growth, span in spans.items():
        count = sum(law.growth == growth for law in laws)
        if span.rank != count:
            raise RuntimeError(f"The laws listed give {span.rank} modulo the prime, not {count}.")
    return new


def _products(basis, degree):
    """Products of laws and feedback of degree at most `degree` with at least one law."""
    waiting = [(0, 0, Fraction(0), {(): 1}, False)]
    while waiting:
        first, total, growth, terms, has = waiting.pop()
        if has:
            yield growth, terms
        for i in range(first, len(basis)):
            more, other, factor, is_law = basis[i]
            if total + more <= degree and (
                has or is_law or _reaches(basis, i, degree - total - more)
            ):
                product = _times(terms, factor)
                waiting.append((i, total + more, growth + other, product, has or is_law))


def _reaches(basis, start, room):
    """Whether a law of degree at most `room` comes at `start` or later."""
    return any(is_law and more <= room for more, _, _, is_law in basis[start:])


def _times(one, other):
    product = {}
    for a, c in one.items():
        for b, d in other.items():
            key = tuple(sorted(a + b))
            product[key] = product.get(key, 0) + c * d
    return {key: c for key, c in product.items() if c}


def _sorted(terms):
    return {tuple(sorted(places)): c for places, c in terms.items()}
