"""Matrices that laws may need besides the rule's own: null spaces of what carries the error."""

from dataclasses import dataclass
from functools import reduce
from itertools import takewhile
from operator import matmul

from ..matrices import left_null
from ..matrices.normal import spell


@dataclass(frozen=True)
class Unknown:
    """A matrix with M C = 0, or two with M₁C₁ = M₂C₂, the C being products of feedback.

    names, sources: of the M and of the spaces they come from, and `space` the one they go to.
    products: the names whose product is C.  words: the same as letters of a proof.
    flipped: whether the law has the transposed matrix, as in N'W.
    """

    names: tuple
    sources: tuple
    space: str
    products: tuple
    words: tuple
    flipped: bool = False

    @property
    def letters(self):
        """{name: (rows, cols)} of the matrices, and of what two of them share."""
        made = {n: (self.space, s) for n, s in zip(self.names, self.sources, strict=True)}
        if self.flipped:
            made = {n: kind[::-1] for n, kind in made.items()}
        return made | ({self._shared: (self.space, "out")} if len(self.names) > 1 else {})

    @property
    def relations(self):
        if self.flipped:
            return (f"{self.names[0]}' {self.words[0]} = 0",)
        sides = zip(self.names, self.words, strict=True)
        return tuple(f"{name} {C} = {self._shared}" for name, C in sides)

    @property
    def _shared(self):
        return f"R{self.names[0][1:]}"

    def __str__(self):
        sides = [
            f"{n}{chr(39) * self.flipped} {' '.join(C)}"
            for n, C in zip(self.names, self.products, strict=True)
        ]
        return " = ".join(sides if len(sides) > 1 else [*sides, "0"])

    def columns(self, made):
        """The matrices ±Cᵢ, with signs that make all rows of Σ±MᵢCᵢ vanish, by name in `made`."""
        columns = [reduce(matmul, (made[n] for n in names)) for names in self.products]
        return [-C if k else C for k, C in enumerate(columns)]

    def solve(self, made):
        """{name: matrix} of a basis, from the matrices by name."""
        found = zip(self.names, left_null(*self.columns(made)), strict=True)
        return {name: M.T if self.flipped else M for name, M in found}


def unknowns(rule, task, w):
    """Of a rule on words: N with N'C = 0 for each constant C that carries the error to a layer.

    For neighbouring layers also P, Q with P C = Q C', the intersection of their row spaces.
    """
    names = {}
    for name, M in rule.constants(w).items():
        ((word, _),) = M.terms.items()
        if len(word) == 1:
            names[word[0]] = name
    made, below = [], None
    for W, V in zip(w, rule(task, w), strict=True):
        C = _prefix(V, names)
        here = None
        if C:
            here = W.rows, tuple(names[item] for item in C), spell(C)
            k = W.rows.removeprefix("h")
            made.append(Unknown((f"N{k}",), (here[0],), f"null{k}", (here[1],), (here[2],), True))
        if here and below and below[1][-len(here[1]) :] != here[1]:
            sources, products, texts = zip(below, here, strict=True)
            k = below[0].removeprefix("h")
            made.append(Unknown((f"P{k}", f"Q{k}"), sources, f"pair{k}", products, texts))
        below = here
    return tuple(made)


def _prefix(velocity, names):
    """The constants with which every term begins that has the error, as far as they agree."""
    before = [
        word[: [m.name for m, _ in word].index("E")]
        for word in velocity.terms
        if any(m.name == "E" for m, _ in word)
    ]
    agreed = takewhile(lambda items: len(set(items)) == 1, zip(*before, strict=False))
    return tuple(takewhile(lambda item: item in names, (items[0] for items in agreed)))
