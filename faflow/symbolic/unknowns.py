"""Matrices that laws may need besides the rule's own: null spaces of what carries the error."""

from dataclasses import dataclass

from ..matrices import left_null
from ..matrices.normal import spell


@dataclass(frozen=True)
class Unknown:
    """Matrices M₁, M₂, … with all rows of ΣMᵢCᵢ = 0, the Cᵢ being products of feedback.

    names, sources: of the Mᵢ and of the spaces they come from, and `space` the one they go to.
    products: the names whose product is Cᵢ.  words: the same as letters of a proof.
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

    def solve(self, made):
        """{name: matrix} of a basis, from the matrices by name."""
        columns = []
        for k, names in enumerate(self.products):
            C = made[names[0]]
            for name in names[1:]:
                C = C @ made[name]
            columns.append(-C if k else C)
        found = zip(self.names, left_null(*columns), strict=True)
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
    carried = [_prefix(V) for V in rule(task, w)[: len(rule.weights(w))]]
    made, below = [], None
    for k, (C, W) in enumerate(zip(carried, w, strict=False), 1):
        known = C is not None and len(C) > 0 and all(item in names for item in C)
        here = (W.rows, tuple(names[item] for item in C), spell(C)) if known else None
        if here:
            space, product, text = here
            made.append(Unknown((f"N{k}",), (space,), f"null{k}", (product,), (text,), True))
        if here and below and below[1][-len(here[1]) :] != here[1]:
            sources, products, texts = zip(below, here, strict=True)
            made.append(
                Unknown((f"P{k - 1}", f"Q{k - 1}"), sources, f"pair{k - 1}", products, texts)
            )
        below = here
    return tuple(made)


def _prefix(velocity):
    """What stands before the error in every term that has it; None if that differs."""
    found = {
        tuple(word[: [m.name for m, _ in word].index("E")])
        for word in velocity.terms
        if any(m.name == "E" for m, _ in word)
    }
    return found.pop() if len(found) == 1 else None
