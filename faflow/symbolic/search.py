"""The letters of a rule on words, their rates, and the laws among sums of their products."""

import re
from dataclasses import replace
from fractions import Fraction
from inspect import signature

from .. import laws
from ..matrices import Alphabet, Series
from ..rule import Rule
from .consequences import consequences, items_of, length_of
from .law import Law, bias_name, letters
from .nullspace import primitive
from .problems import every_size, first_clause, phi_and_scope, steady
from .prove import prove_growing
from .rationals import Span, combined, eigenvalues, null_space
from .unknowns import unknowns

KNOWN = {
    "matrix": ("balance", "feedback_balance", "mirror_difference", "mirror_balance"),
    "diagonal": (
        "neuron_balance",
        "neuron_feedback_balance",
        "neuron_potential_balance",
        "neuron_mirror_balance",
    ),
    "trace": ("layer_balance", "layer_feedback_balance"),
}
"""Functions of faflow.laws that are shown by name where a search finds them again."""


class Search:
    """The letters of one problem, their rates, and the laws among their words."""

    def __init__(self, rule, depth, activation, bias):
        self.asked = {"depth": depth, "activation": activation, "bias": bias}
        network = {"phi": activation, "bias": bias}
        try:
            self.unknowns = unknowns(*every_size(rule, depth, **network)[:3])
        except (TypeError, AttributeError, LookupError) as error:
            kind = rule if isinstance(rule, type) else type(rule)
            if not issubclass(kind, Rule):
                raise
            said = first_clause(error)
            raise ValueError(f"Words cannot evaluate the rule {kind.__name__}: {said}.") from error
        own = {n: kind for u in self.unknowns for n, kind in u.letters.items()}
        relations = [r for u in self.unknowns for r in u.relations]
        self.kind = rule
        self.rule, task, w, more = every_size(
            rule, depth, **network, letters=own, relations=relations
        )
        if bias:
            w = tuple(
                _split(name, W)
                for name, W in zip(self.rule.state(self.rule.spaces(depth)), w, strict=True)
            )
        self.w = w
        extra = {n: more[n] for u in self.unknowns for n in u.names}
        self.now = letters(self.rule, w, depth, bias) | extra
        v = steady(self.rule, task, w)
        moved = tuple(Series(W, V, order=1) for W, V in zip(w, v, strict=True))
        self.series = letters(self.rule, moved, depth, bias) | extra
        self.position = {n: k for k, n in enumerate(self.rule.state(self.rule.spaces(depth)))}
        shown = Alphabet()
        self.shown = {n: shown.letter(n, M.rows, M.cols) for n, M in self.now.items()}
        names = self.rule.spaces(depth)
        numbers = ["1"] if any("1" in (M.rows, M.cols) for M in self.now.values()) else []
        self.layers = [*(u.space for u in self.unknowns), *dict.fromkeys(names[::-1]), *numbers]
        self.free = set(extra)
        self.fixed = {*self.rule.constants(w), *extra}
        self.drifts = False  # whether decay or friction changes a word
        self.steps = {}  # by the space on the left: (name, flipped, space on the right)
        for name, M in self.now.items():
            self.steps.setdefault(M.rows, []).append((name, False, M.cols))
            self.steps.setdefault(M.cols, []).append((name, True, M.rows))

    def numbers(self, key, form):
        """The layers that a word's letters belong to, lowest first."""
        found = (re.search(r"\d+", m.name) for m, _ in items_of(key, form))
        own = [self.position.get(m.name) for m, _ in items_of(key, form)]
        pairs = zip(found, own, strict=True)
        last = len(self.position)
        of = lambda place: last if place is None else place
        return sorted(int(number[0]) if number else of(place) for number, place in pairs)

    def paths(self, pair, longest, form):
        """Products of letters from pair[0] to pair[1]; in matrix laws unknowns at the ends, too."""
        waiting: list = [((), pair[0], 0)]
        while waiting:
            path, space, count = waiting.pop()
            if path and space == pair[1]:
                yield path
            if len(path) > 1 and path[-1][0] in self.free:
                continue
            for name, flipped, there in self.steps.get(space, ()):
                more = name not in self.free
                if not more and form != "matrix":
                    continue
                if count + more <= longest and (more or not path or there == pair[1]):
                    waiting.append(((*path, (name, flipped)), there, count + more))

    def laws(self, pairs, form, longest, found):
        """New laws, (Law, its words here), that do not follow from those `found`."""
        candidates, still = {}, {}
        paths = (path for pair in pairs for path in self.paths(pair, longest, form))
        for path in sorted(paths, key=lambda p: (len(p), str(p))):
            value = self._product(path, self.now, form)
            if len(value.terms) == 1:
                stands = all(name in self.fixed for name, _ in path)
                (still if stands else candidates).setdefault(next(iter(value.terms)), path)
        if not candidates:
            return []
        rates = [self._rate(path, form) for path in candidates.values()]
        pulled = {w for rate in rates for w in rate if w in still}  # by a decay towards constants
        candidates |= {w: path for w, path in still.items() if w in pulled}
        rates += [{} for _ in pulled]
        number = {key: j for j, key in enumerate(candidates)}
        told, drift = [], []  # what the data change, and what decay and friction change
        for rate in rates:
            told.append({w: c for w, c in rate.items() if w not in number})
            drift.append({number[w]: c for w, c in rate.items() if w in number})
        new = []
        self.drifts = self.drifts or any(drift)
        for exponent in eigenvalues(drift) if any(drift) else [Fraction(0)]:
            shifted = [combined(own, {j: 1}, -exponent) for j, own in enumerate(drift)]
            kept = null_space([t | s for t, s in zip(told, shifted, strict=True)])
            if kept:
                new += self._new(pairs, form, longest, [*found, *new], candidates, kept, -exponent)
        return new

    def _new(self, pairs, form, longest, found, candidates, kept, growth):
        """Of the combinations kept, those that the laws found do not span; known laws first."""
        keys = list(candidates)
        space, follows = Span(), Span()
        vectors = [{k: c for k, c in zip(keys, v, strict=True) if c} for v in kept]
        if not growth:  # without its constants
            moves = lambda k: any(m.name not in self.fixed for m, _ in items_of(k, form))
            vectors = [v for v in ({k: c for k, c in v.items() if moves(k)} for v in vectors) if v]
        for vector in vectors:
            space.add(vector)
        for pair in pairs:
            for words in consequences(self, pair, form, longest, found, growth):
                follows.add(words.terms)
        new, shown = [], {key: self._product(p, self.shown, form) for key, p in candidates.items()}
        for vector, name in [*self._known(form, pairs[0]), *((v, "") for v in vectors)]:
            if space.rest(vector) or not follows.add(vector):
                continue
            if not name:  # coprime integers, positive for what stands lowest in the network
                lowest = min(vector, key=lambda k: (self.numbers(k, form), "W" not in str(k)))
                sign = 1 if vector[lowest] > 0 else -1
                whole = primitive(list(vector.values()))
                vector = {k: sign * Fraction(c) for k, c in zip(vector, whole, strict=True)}
            here = self._product(candidates[keys[0]], self.now, form)._with(vector)
            if form == "matrix" and here.rows == here.cols:
                follows.add(here.T.terms)
            words = sum(shown[key] * c for key, c in vector.items())
            used = {letter.name for key in words.terms for letter, _ in items_of(key, form)}
            needed = tuple(u for u in self.unknowns if used & set(u.names))
            law = Law(words, self.asked["depth"], self.asked["bias"], growth, needed, name)
            new.append((replace(law, verdict=self._proof(law)), here))
        return new

    def _rate(self, path, form):
        rate = self._product(path, self.series, form)
        return rate.coefficients[1].terms if isinstance(rate, Series) else {}

    def follows(self, one, found):
        """Whether a law follows from others, by products not longer than the longest of all."""
        law, words = one
        span, longest = Span(), max(length_of(w) for _, w in [one, *found])
        pairs = [(words.rows, words.cols)]
        if words.form == "trace":
            pairs = [(space, space) for space in self.layers]
        for pair in pairs:
            for made in consequences(self, pair, words.form, longest, found, law.growth):
                span.add(made.terms)
        return not span.rest(words.terms)

    def _proof(self, law):
        proof = prove_growing(law, self.kind, **self.asked)
        if not proof:
            raise RuntimeError(f"The search found {law}, but the proof says: {proof}.")
        return proof

    def _known(self, form, pair):
        """The laws of faflow.laws that these words can say, as vectors, with their names."""
        _, degree, _ = phi_and_scope(self.asked["activation"])
        for k in range(self.asked["depth"] - 1):
            for name in KNOWN[form]:
                law = getattr(laws, name)
                more = {"degree": degree} if "degree" in signature(law).parameters else {}
                try:
                    value = law(self.rule, self.w, k=k, **more)
                except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
                    continue  # a law of another rule
                if form != "matrix" or (value.rows, value.cols) in (pair, pair[::-1]):
                    value = value.T if (value.rows, value.cols) != pair else value
                    yield value.terms, f"{name}, k={k}"

    def _product(self, path, made, form):
        value = None
        for name, flipped in path:
            M = made[name].T if flipped else made[name]
            value = M if value is None else value @ M
        return value if form == "matrix" else getattr(value, form)()


def _split(name, W):
    """A letter for the weights and one for the biases in place of one for both."""
    if not W.cols.endswith("+1"):
        return W
    space = W.cols.removesuffix("+1")
    J, o = W.alphabet.augmentation(space)
    weights = W.alphabet.letter(f"{name}.", W.rows, space)
    return weights @ J.T + W.alphabet.letter(bias_name(name), W.rows, "1") @ o.T
