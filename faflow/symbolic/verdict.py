"""The answer to a proof: whether it holds, for what, and how the law moves if it does not."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..matrices import Words


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a law is kept, where that is proved, and its rate of change (zero if kept).

    rate: the law's rate along the flow less the rate claimed for it, which is zero unless said
        otherwise: words, or an object array of polynomials.
    value: the law itself, in the same algebra.
    algebra: words, flint or sympy.
    claimed: whether a rate other than zero was claimed; `kept` then says that it is right.
    decided: False if a rate is left under relations between letters, by which rewriting may not
        find every consequence: the law is then neither proved nor refuted.
    """

    kept: bool
    scope: str
    rate: Any
    algebra: str
    claimed: bool = False
    decided: bool = field(default=True, kw_only=True)
    value: Any = field(repr=False, default=None)
    velocity: dict = field(repr=False, default_factory=dict)

    def __bool__(self):
        return self.kept

    def __str__(self):
        if self.claimed:
            says = "has the claimed rate" if self.kept else "does NOT have the claimed rate"
        else:
            says = "kept" if self.kept else "NOT kept"
        if not self.decided:
            says = "not derived"
        return f"{says} for {self.scope}" + ("" if self.kept else f"; {self.offence()}")

    def offence(self):
        """The rate of a broken law in a line: all words, or the first offending entry."""
        if isinstance(self.rate, Words):
            return f"{self._what} {self.rate}"
        if self.kept:
            return f"{self._what} 0"
        rate = np.atleast_1d(np.asarray(self.rate, dtype=object))
        where, entry = next((i, e) for i, e in np.ndenumerate(rate) if e != 0)
        text = str(entry)
        more = f"… ({len(text)} characters)" if len(text) > 160 else ""
        return f"{self._what} at entry {tuple(map(int, where))}: {text[:160]}{more}"

    @property
    def _what(self):
        return "rate less the claimed one" if self.claimed else "rate"

    def sympy(self):
        """The rate as a SymPy expression: a matrix expression, or an array of expressions."""
        return as_sympy(self.rate)

    def latex(self):
        """The rate as LaTeX."""
        if isinstance(self.rate, Words):
            return self.rate.latex()
        return latex_of(as_sympy(self.rate))

    def derivation(self):
        """How the rate arises: a list of (text, SymPy expression or equation), in order.

        First the velocity of every matrix the law moves, then each term of the law with its own
        rate, then their sum.  Only for proofs by words.
        """
        if not isinstance(self.value, Words):
            raise ValueError("A derivation term by term needs words; prove without sizes.")
        import sympy

        moving = {m.name for word in _matrices(self.value) for m, _ in word} & set(self.velocity)
        steps = []
        for name in sorted(moving):
            letter, velocity = self.velocity[name]
            moving_letter = sympy.Eq(_dot(letter.sympy()), velocity.sympy(), evaluate=False)
            steps.append((f"velocity of {name}", moving_letter))
        plain = total = self.value * 0
        for key, c in self.value.terms.items():
            term = self.value._with({key: c})
            if any("(" in m.name for word in _matrices(term) for m, _ in word):
                continue
            rate = _product_rule(term, self.velocity)
            steps.append((f"rate of {term}", rate.sympy()))
            plain, total = plain + term, total + rate
        functions = self.value - plain
        if functions:  # a potential is a letter of its own, and its rate what is left
            if self.claimed:
                raise ValueError("A potential has no derivation against a claimed rate.")
            steps.append((f"rate of {functions}", (self.rate - total).sympy()))
            total = self.rate
        steps.append(("sum", total.sympy()))
        if self.claimed:
            steps.append(("less the claimed rate", self.rate.sympy()))
        return steps


def latex_of(expression):
    """A SymPy expression as LaTeX, with a symbol W1_2_3 as the entry (W_{1})_{2,3}."""
    import sympy

    names = {}
    for symbol in expression.free_symbols:
        if entry := re.fullmatch(r"([A-Za-z]+)([\d_]*)_(\d+)_(\d+)", symbol.name):
            letter, number, row, column = entry.groups()
            matrix = f"({letter}_{{{number.replace('_', ',')}}})" if number else letter
            names[symbol] = f"{matrix}_{{{row},{column}}}"
    return sympy.latex(expression, symbol_names=names)


def as_sympy(value):
    """Words, flint polynomials or arrays of them as SymPy expressions."""
    import sympy

    if isinstance(value, Words):
        return value.sympy()
    if isinstance(value, np.ndarray):
        made = [as_sympy(entry) for entry in value.ravel()]
        return made[0] if value.ndim == 0 else sympy.Array(made, value.shape)
    if hasattr(value, "context"):
        variables = [sympy.Symbol(name, real=True) for name in value.context().names()]
        number = lambda c: sympy.Rational(int(c.numer()), int(c.denom()))
        return sympy.Add(
            *(
                number(c) * sympy.Mul(*(v**e for v, e in zip(variables, powers, strict=True)))
                for powers, c in value.terms()
            )
        )
    return sympy.sympify(value)


def _matrices(words):
    return [key[0] + key[1] if words.form == "diagonal" else key for key in words.terms]


def _dot(symbol):
    import sympy

    return sympy.MatrixSymbol(rf"\dot{{{symbol.name}}}", *symbol.shape)


def _product_rule(term, velocity):
    """The rate of a single term, letter by letter."""
    ((key, c),) = term.terms.items()
    masks, word = key if term.form == "diagonal" else ((), key)
    alphabet = term.alphabet
    total = None
    for i, (letter, flipped) in enumerate(word):
        if letter.name not in velocity:
            continue
        moved = velocity[letter.name][1]
        moved = moved.T if flipped else moved
        product = moved
        for item in reversed(word[:i]):
            product = _letter(alphabet, item) @ product
        for item in word[i + 1 :]:
            product = product @ _letter(alphabet, item)
        for item in masks:
            product = _letter(alphabet, item) @ product
        product = product * c
        if term.form != "matrix":
            product = product.diagonal() if term.form == "diagonal" else product.trace()
        total = product if total is None else total + product
    return term * 0 if total is None else total


def _letter(alphabet, item):
    letter, flipped = item
    made = Words(alphabet, {((letter, False),): 1}, letter.rows, letter.cols)
    return made.T if flipped else made
