"""Find the laws a rule keeps among words of bounded length, for networks of every size."""

import re
from dataclasses import replace
from fractions import Fraction
from inspect import signature
from itertools import combinations_with_replacement
from math import gcd, lcm

from .. import laws
from ..matrices import Alphabet, Series
from ..nets import checked_sizes
from .law import Law, Laws, bias_name, letters
from .problems import every_size, phi_and_scope
from .prove import Question, prove
from .rationals import Span, combined, eigenvalues, null_space
from .unknowns import unknowns

FORMS = ("matrix", "diagonal", "trace")
FEEDBACK = ("symbolic", "numeric", "both")
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


def discover(
    rule,
    sizes=None,
    *,
    degree=2,
    depth=None,
    length=2,
    ends=None,
    form=None,
    feedback="symbolic",
    activation="linear",
    bias=False,
    seed=0,
):
    """All laws of `rule`: among sums of words for every size, or among polynomials at given sizes.

    Without sizes: sums of words of at most `length` letters.  Besides weights and feedback these
    may hold matrices that the feedback determines, such as its left null space N (N'B = 0), and
    these make a word longer by up to two letters.  What follows from a law listed is left out: its
    transpose, its diagonal and trace, its products with other laws and with what stands still.
    depth: number of weight matrices, 2 unless said.
    ends: the spaces a word goes to and from (rows, columns), among "in", "h1", …, "out"; None all.
    form: matrix, diagonal (one law a neuron) or trace, which need equal ends; None all.

    With sizes: polynomials in the entries of degree at most `degree`, an exact basis, complete at
    this degree; what is left out are polynomials of laws listed and of the feedback.
    feedback: symbolic (entries are variables, the laws are for every feedback), numeric (the
        rule's own, or small integers drawn by `seed`; the laws are for this one) or both.

    activation: linear, "piecewise", or the name of a piecewise linear or homogeneous one.
    With decay or friction, laws kept up to a factor e^{ct}.
    Returns `Laws`, a sequence of `Law` or `PolynomialLaw`, each with its proof.
    Raises ValueError for a search that cannot be made.
    """
    if sizes is not None:
        return _polynomials(rule, sizes, degree, depth, feedback, activation, bias, seed)
    depth = 2 if depth is None else depth
    if form is not None and form not in FORMS:
        raise ValueError(f"Unknown form {form!r}; choose from {', '.join(FORMS)}.")
    _check_whole("length", length)
    _check_whole("depth", depth)
    search = Search(rule, depth, activation, bias)
    layers = search.layers
    if ends is not None and (len(ends) != 2 or not set(ends) <= set(layers)):
        raise ValueError(f"ends must be two spaces among {', '.join(layers)}, not {ends!r}.")
    pairs = list(combinations_with_replacement(layers, 2)) if ends is None else [tuple(ends)]
    pairs.sort(key=lambda pair: sum(u.space in pair for u in search.unknowns))
    found = []
    for longest in range(1, length + 1):  # short laws first: their products are known then
        for kind in FORMS if form is None else (form,):
            square = [pair for pair in pairs if pair[0] == pair[1]]
            if kind == "trace":  # numbers, whatever space they are taken in
                found += search.laws(square, kind, longest, found)
                continue
            for pair in pairs if kind == "matrix" else square:
                found += search.laws([pair], kind, longest, found)
    for one in found[::-1]:  # a short law may follow from longer ones, found after it
        if search.follows(one, [other for other in found if other is not one]):
            found.remove(one)
    order = lambda law: min(search.numbers(key, law.words.form) for key in law.words.terms)
    network = Question(None, None, rule, activation, bias, "any", {}).network(f"{depth}-layer ")
    scope = f"words of at most {length} letters, every size of {network}"
    return Laws(tuple(sorted((law for law, _ in found), key=order)), scope, search.rule)


def _polynomials(rule, sizes, degree, depth, feedback, activation, bias, seed):
    from .polynomials import discover_polynomials

    sizes = checked_sizes(sizes)
    _check_whole("degree", degree)
    if depth not in (None, len(sizes) - 1):
        raise ValueError(f"sizes {sizes} have depth {len(sizes) - 1}, not {depth}.")
    if feedback not in FEEDBACK:
        raise ValueError(f"Unknown feedback {feedback!r}; choose from {', '.join(FEEDBACK)}.")
    if phi_and_scope(activation)[1] is None:
        raise ValueError(f"Polynomial laws need homogeneous activations, but {activation} is none.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, but is {seed!r}.")
    known = discover(rule, depth=len(sizes) - 1, activation=activation, bias=bias)
    return discover_polynomials(rule, sizes, degree, feedback, activation, bias, known, seed)


def _check_whole(name, number):
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be a positive integer, but is {number!r}.")


class Search:
    """The letters of one problem, their rates, and the laws among their words."""

    def __init__(self, rule, depth, activation, bias):
        self.asked = {"depth": depth, "activation": activation, "bias": bias}
        network = {"phi": activation, "bias": bias}
        self.unknowns = unknowns(*every_size(rule, depth, **network)[:3])
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
        v = self.rule(task, w)
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
        self.steps = {}  # by the space on the left: (name, flipped, space on the right)
        for name, M in self.now.items():
            self.steps.setdefault(M.rows, []).append((name, False, M.cols))
            self.steps.setdefault(M.cols, []).append((name, True, M.rows))

    def numbers(self, key, form):
        """The layers that a word's letters belong to, lowest first."""
        found = (re.search(r"\d+", m.name) for m, _ in _items(key, form))
        own = [self.position.get(m.name) for m, _ in _items(key, form)]
        pairs = zip(found, own, strict=True)
        last = len(self.position)
        of = lambda place: last if place is None else place
        return sorted(int(number[0]) if number else of(place) for number, place in pairs)

    def paths(self, pair, longest, form):
        """Products of letters from pair[0] to pair[1]; in matrix laws unknowns at the ends, too."""
        waiting: list = [((), pair[0], 0)]
        while waiting:
            path, space, count = waiting.pop()
            if path and space == pair[1] and any(name not in self.fixed for name, _ in path):
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
        candidates = {}
        paths = (path for pair in pairs for path in self.paths(pair, longest, form))
        for path in sorted(paths, key=lambda p: (len(p), str(p))):
            value = self._product(path, self.now, form)
            if len(value.terms) == 1:
                candidates.setdefault(next(iter(value.terms)), path)
        if not candidates:
            return []
        number = {key: j for j, key in enumerate(candidates)}
        told, drift = [], []  # what the data change, and what decay and friction change
        for path in candidates.values():
            rate = self._product(path, self.series, form)
            rate = rate.coefficients[1].terms if isinstance(rate, Series) else {}
            told.append({w: c for w, c in rate.items() if w not in number})
            drift.append({number[w]: c for w, c in rate.items() if w in number})
        new = []
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
        for vector in vectors:
            space.add(vector)
        for pair in pairs:
            for words in self._consequences(pair, form, longest, found, growth):
                follows.add(words.terms)
        new, shown = [], {key: self._product(p, self.shown, form) for key, p in candidates.items()}
        for vector, name in [*self._known(form, pairs[0]), *((v, "") for v in vectors)]:
            if space.rest(vector) or not follows.add(vector):
                continue
            if not name:  # coprime integers, positive for what stands lowest in the network
                lowest = min(vector, key=lambda k: (self.numbers(k, form), "W" not in str(k)))
                whole = lcm(*(c.denominator for c in vector.values()))
                common = gcd(*(int(c * whole) for c in vector.values()))
                sign = 1 if vector[lowest] > 0 else -1
                vector = {key: c * Fraction(sign * whole, common) for key, c in vector.items()}
            here = self._product(candidates[keys[0]], self.now, form)._with(vector)
            if form == "matrix" and here.rows == here.cols:
                follows.add(here.T.terms)
            words = sum(shown[key] * c for key, c in vector.items())
            used = {letter.name for key in words.terms for letter, _ in _items(key, form)}
            needed = tuple(u for u in self.unknowns if used & set(u.names))
            law = Law(words, self.asked["depth"], self.asked["bias"], growth, needed, name)
            new.append((replace(law, verdict=self._proof(law)), here))
        return new

    def follows(self, one, found):
        """Whether a law follows from others, by products not longer than the longest of all."""
        law, words = one
        span, longest = Span(), max(_length(w) for _, w in [one, *found])
        pairs = [(words.rows, words.cols)]
        if words.form == "trace":
            pairs = [(space, space) for space in self.layers]
        for pair in pairs:
            for made in self._consequences(pair, words.form, longest, found, law.growth):
                span.add(made.terms)
        return not span.rest(words.terms)

    def _proof(self, law):
        own = {n: kind for u in law.unknowns for n, kind in u.letters.items()}
        rate = None
        if law.growth:
            rate = lambda rule, w, **given: law(rule, w, **given) * -law.growth
        proof = prove(law, self.kind, **self.asked, letters=own, relations=law.relations, rate=rate)
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
                except (ValueError, TypeError, AttributeError, LookupError):
                    continue  # a law of another rule
                if form != "matrix" or (value.rows, value.cols) in (pair, pair[::-1]):
                    value = value.T if (value.rows, value.cols) != pair else value
                    yield value.terms, f"{name}, k={k}"

    def _consequences(self, pair, form, longest, found, growth):
        """Words of the products of laws found with each other and with what stands still."""
        if form != "matrix":
            for words in self._consequences(pair, "matrix", longest, found, growth):
                yield getattr(words, form)()
            for law, words in found:
                if law.growth == growth and words.form == "diagonal" and words.rows == pair[0]:
                    yield words if form == "diagonal" else words.sum()
            return
        of: list = [(w, _length(w), law.growth, True) for law, w in found if w.form == "matrix"]
        for instead in self._special(longest):
            of += [
                (w, _length(w), *rest)
                for words, _, *rest in of
                for w in _substituted(words, instead)
            ]
        of += [(self.now[n], 1, Fraction(0), False) for n in self.fixed]
        of += [(words.T, *rest) for words, *rest in of]
        longest += sum(u.space == end for u in self.unknowns for end in pair)
        waiting = [item for item in of if item[0].rows == pair[0]]
        while waiting:
            words, length, total, is_law = waiting.pop()
            if is_law and words.cols == pair[1] and total == growth:
                yield words
            waiting += [
                (words @ other, length + more, total + g, is_law or law)
                for other, more, g, law in of
                if other.rows == words.cols and length + more <= longest
            ]

    def _special(self, longest):
        """What may stand, as the first factor of a law, for unknowns: {(name, flipped): words}.

        N₁'C for N₂' where C C₂ is what N₁' is null to and C₂ what N₂' is; N₁' for P, 0 for Q.
        """
        nulls = [(u.names[0], u.products[0]) for u in self.unknowns if u.flipped]
        for high, above in nulls:
            for low, below in nulls:
                cut = len(below) - len(above)
                if 0 < cut < longest and below[cut:] == above:
                    replaced = self.now[low].T
                    for name in below[:cut]:
                        replaced = replaced @ self.now[name]
                    yield {(high, True): replaced}
        for pair in (u for u in self.unknowns if not u.flipped):
            for name, product in nulls:
                if product in pair.products:
                    stays = pair.names[pair.products.index(product)]
                    instead = {(n, False): 0 for n in pair.names}
                    yield instead | {(stays, False): self.now[name].T}

    def _product(self, path, made, form):
        value = None
        for name, flipped in path:
            M = made[name].T if flipped else made[name]
            value = M if value is None else value @ M
        return value if form == "matrix" else getattr(value, form)()


def _items(key, form):
    return key[0] + key[1] if form == "diagonal" else key


def _substituted(words, instead):
    """The sum with its first factors, or its last ones transposed, replaced in every word."""
    for side in (words, words.T):
        firsts = [(key[0][0].name, key[0][1]) for key in side.terms]
        if all(first in instead for first in firsts):
            parts = [
                instead[first] @ side.of(key[1:], instead[first].cols, side.cols) * c
                for (key, c), first in zip(side.terms.items(), firsts, strict=True)
                if instead[first]
            ]
            made = sum(parts[1:], parts[0])
            yield made if side is words else made.T


def _length(words):
    return max(len(_items(key, words.form)) for key in words.terms)


def _split(name, W):
    """A letter for the weights and one for the biases in place of one for both."""
    if not W.cols.endswith("+1"):
        return W
    space = W.cols.removesuffix("+1")
    J, o = W.alphabet.augmentation(space)
    weights = W.alphabet.letter(f"{name}.", W.rows, space)
    return weights @ J.T + W.alphabet.letter(bias_name(name), W.rows, "1") @ o.T
