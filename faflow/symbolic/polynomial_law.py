"""A polynomial law at given sizes, as a search finds it: a function like those of faflow.laws."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from operator import mul

from ..matrices import Jet, Series
from ..rule import Rule
from .law import exponent
from .nullspace import primitive
from .verdict import latex_of

SHOWN = 12
"""So many terms are printed."""


@dataclass(frozen=True, eq=False)
class PolynomialLaw:
    """A polynomial in the entries of the state (and of the feedback) that a rule keeps.

    terms: {((matrix, row, column), …): integer}, entries numbered from 0.
    rule: whose law it is; with its feedback, if the law is for this one alone.
    growth: c, if law·e^{ct} is what is kept; 0 without weight decay and friction.
    name: what entry of which law it is, up to a factor, if it is one that words can say.
    verdict: the proof.
    """

    terms: dict
    rule: Rule
    sizes: tuple
    bias: bool = False
    growth: Fraction = Fraction(0)
    name: str = ""
    verdict: object = field(default=None, repr=False)

    def __call__(self, rule, w, **given):
        shapes = rule.state(self.sizes, self.bias)
        seen = [getattr(M, "shape", None) for M in w]
        if len(w) != len(shapes) or any(
            a not in (None, tuple(b)) for a, b in zip(seen, shapes.values(), strict=True)
        ):
            wanted = ", ".join(f"{n} {tuple(s)}" for n, s in shapes.items())
            raise ValueError(f"The law is for states {wanted}, but these shapes are {seen}.")
        matrices = dict(zip(shapes, w, strict=True))
        matrices |= rule.constants(w)
        entry = {}
        for places in self.terms:
            for place in places:
                if place not in entry:
                    name, i, j = place
                    entry[place] = _entry(matrices[name], i, j)
        one = next(iter(entry.values())) * 0 + 1  # a term may be a constant
        parts = [c * reduce(mul, (entry[p] for p in ps), one) for ps, c in self.terms.items()]
        return sum(parts[1:], parts[0])

    def at(self, rule):
        """The law for the feedback of `rule`, up to a factor; it may have no terms."""
        B = dict(zip(self.rule.fixed(self.sizes), rule.B, strict=True))
        terms = {}
        for places, c in self.terms.items():
            here = tuple(p for p in places if p[0] not in B)
            for name, i, j in (p for p in places if p[0] in B):
                c = c * Fraction(B[name][i, j])
            terms[here] = terms.get(here, 0) + c
        terms = {places: c for places, c in terms.items() if c and (places or self.growth)}
        if terms:
            terms = dict(zip(terms, map(int, primitive(list(terms.values()))), strict=True))
        return replace(self, terms=terms, rule=rule, name="", verdict=None)

    @property
    def degree(self):
        return max(map(len, self.terms))

    @property
    def __name__(self):
        return self.name or self.polynomial()

    def polynomial(self):
        """The polynomial as text, entries numbered from 1; a long one cut after twelve terms."""
        shown = []
        for places, c in list(self.terms.items())[:SHOWN]:
            powers = {p: places.count(p) for p in dict.fromkeys(places)}
            body = " ".join(
                f"{n}[{i + 1},{j + 1}]" + f"^{k}" * (k > 1) for (n, i, j), k in powers.items()
            )
            shown.append(("- " if c < 0 else "+ ") + _times(abs(c), body))
        more = len(self.terms) - SHOWN
        return " ".join(shown).removeprefix("+ ") + (
            f" + … ({more} more terms)" if more > 0 else ""
        )

    def __str__(self):
        text = self.name or self.polynomial()
        if self.growth:
            text = f"exp({exponent(self.growth)}t) ({text})"
        return text

    __repr__ = __str__

    def sympy(self):
        """The law as a SymPy expression in symbols such as W1_1_2, entries numbered from 1."""
        import sympy

        symbol = lambda name, i, j: sympy.Symbol(f"{name}_{i + 1}_{j + 1}", real=True)
        made = sympy.Add(
            *(
                c * sympy.Mul(*(symbol(*place) for place in places))
                for places, c in self.terms.items()
            )
        )
        if not self.growth:
            return made
        growth = sympy.Rational(self.growth.numerator, self.growth.denominator)
        return sympy.exp(growth * sympy.Symbol("t", real=True)) * made

    def latex(self):
        """The law as LaTeX."""
        return latex_of(self.sympy())


def _times(number, body):
    return f"{number} {body}".strip() if number != 1 or not body else body


def _entry(M, i, j):
    if isinstance(M, Series):
        return M.map(lambda x: _entry(x, i, j))
    if isinstance(M, Jet):
        return M.map(lambda x: x[..., i : i + 1, j : j + 1])
    return M[i, j]
