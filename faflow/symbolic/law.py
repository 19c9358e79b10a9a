"""Laws made of words, as searches find them: functions like those of faflow.laws, that print."""

from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from functools import reduce
from numbers import Rational
from operator import matmul

from ..matrices import Words, split_biases


@dataclass(frozen=True, eq=False)
class Law:
    """A law found among words: call it as ``law(rule, w)``, print it, turn it into SymPy.

    words: the law in letters that stand for what `letters` makes of a rule and a state.
    depth, bias: the networks it is for.
    growth: c, if law·e^{ct} is what is kept; 0 without weight decay and friction.
    unknowns: matrices besides the rule's own, solved for in its feedback.
    name: the function of `faflow.laws` that is the same law, up to a factor, with its layer.
    verdict: the proof.
    """

    words: Words
    depth: int
    bias: bool = False
    growth: Fraction = Fraction(0)
    unknowns: tuple = ()
    name: str = ""
    verdict: object = field(default=None, repr=False)

    def __call__(self, rule, w, **given):
        made = letters(rule, w, self.depth, self.bias)
        for unknown in self.unknowns:
            made |= {n: given[n] for n in unknown.names if n in given} or unknown.solve(made)
        total = None
        for key, c in self.words.terms.items():
            word = key[1] if self.words.form == "diagonal" else key
            value = reduce(
                matmul, (made[m.name].T if flipped else made[m.name] for m, flipped in word)
            )
            if self.words.form != "matrix":
                value = getattr(value, self.words.form)()
            value = value if c == 1 else Fraction(c).numerator * value / Fraction(c).denominator
            total = value if total is None else total + value
        return total

    @property
    def __name__(self):
        return str(self.words)

    @property
    def relations(self):
        return tuple(r for unknown in self.unknowns for r in unknown.relations)

    def __str__(self):
        text = str(self.words)
        if self.growth:
            text = f"exp({exponent(self.growth)}t) ({text})"
        if self.unknowns:
            text += f", where {' and '.join(map(str, self.unknowns))}"
        return f"{text}  [{self.name}]" if self.name else text

    __repr__ = __str__

    def latex(self):
        """The law as LaTeX."""
        text = self.words.latex()
        if not self.growth:
            return text
        return rf"e^{{{exponent(self.growth)}t}} \left({text}\right)"

    def sympy(self):
        """The law as a SymPy matrix expression with symbolic dimensions, times e^{ct} if it grows.

        A diagonal becomes `DiagonalOf`, a trace `Trace`.
        """
        import sympy

        made = self.words.sympy()
        if not self.growth:
            return made
        growth = sympy.Rational(self.growth.numerator, self.growth.denominator)
        return sympy.exp(growth * sympy.Symbol("t", real=True)) * made


@dataclass(frozen=True, eq=False)
class Laws:
    """What a search found: a sequence of laws, none of which follows from the others.

    scope: among what was searched.  rule: whose laws they are, with its feedback if they are for
    this one alone.
    total: of polynomial laws, the dimension of all of them with products and multiples.
    independent: of polynomial laws, how many are functionally independent.
    """

    laws: tuple
    scope: str
    rule: object = None
    total: int | None = None
    independent: int | None = None

    def __iter__(self):
        return iter(self.laws)

    def __len__(self):
        return len(self.laws)

    def __getitem__(self, k):
        return self.laws[k]

    def __repr__(self):
        return repr(list(self.laws))

    def __str__(self):
        count = f"{len(self)} law{'s' * (len(self) != 1)} among {self.scope}"
        if self.independent is not None:
            count += f"; {self.independent} independent, {self.total} with their multiples"
        return "\n  ".join([f"{count}:" if len(self) else count, *map(str, self.laws)])


def exponent(growth):
    """What stands before t."""
    return {1: "", -1: "-"}.get(growth, f"{spoken(growth)} ")


def spoken(number):
    """A number as it is, or a long fraction or integer to six digits, such as 1e-400."""
    if not isinstance(number, Rational):
        return str(number)
    top, bottom = int(number.numerator), int(number.denominator)
    if bottom < 1000 and abs(top) < 10**15:
        return str(number)
    return f"{Context(prec=6).divide(Decimal(top), Decimal(bottom)).normalize():g}"


def letters(rule, w, depth, bias):
    """{name: matrix} of a law's letters: W1, W2, … without biases, b1, …, feedback, velocities.

    Of states with biases the weights are named as without, their last columns b1, b2, ….
    """
    made, state = {}, rule.state(rule.spaces(depth), bias)
    if len(w) != len(state):
        names = ", ".join(state)
        raise ValueError(f"The law is for states ({names}), but this has {len(w)} matrices.")
    for (name, (_, cols)), M in zip(state.items(), w, strict=True):
        if cols.endswith("+1"):
            made[name], made[bias_name(name)] = split_biases(M)
        else:
            made[name] = M
    return made | rule.constants(w)


def bias_name(name):
    return f"b{name[1:]}" if name.startswith("W") else f"b{name}"
