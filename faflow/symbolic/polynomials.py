"""All polynomial laws of a rule at given sizes, up to a degree."""

from dataclasses import replace
from fractions import Fraction
from math import comb, lcm

import numpy as np

from ..draws import generator
from ..matrices import Series
from ..matrices.exact_entries import variables
from ..matrices.residues import rank
from ..nets import replaced
from .brackets import Point
from .generators import generators
from .jacobian import jacobian_rank
from .kept import kept_polynomials
from .law import Laws
from .monomials import Velocities
from .nullspace import primitive
from .polynomial_law import SHOWN, PolynomialLaw
from .problems import exactly, given_sizes, only_polynomials, steady
from .prove import Question
from .verdict import Verdict

MOST = 1_000_000
"""Monomials that are searched; these take some 4 GB."""


def discover_polynomials(rule, sizes, degree, how, activation, bias, known=(), seed=0):
    """All laws of `rule` among polynomials of the entries, of degree at most `degree`.

    how: whether the feedback is "symbolic", variables that stand still; or "numeric", the rule's
        own or drawn if it has none; or "both", the laws of numeric feedback then being those that
        the others do not give for it.
    known: laws found among words, whose entries are named.
    Left out are polynomials of laws of a lower degree and of the feedback.  Returns `Laws`.
    """
    network = (sizes, activation, bias, seed)
    _check_size(rule, sizes, degree, how, bias)
    if how != "both":
        problem = Problem(rule, how == "numeric", *network)
        laws, own = problem.kept(degree), problem.entries_of(known, degree)
        return _found(problem, degree, generators(laws, problem, degree, own), len(laws))
    problem = Problem(rule, True, *network)
    symbolic = discover_polynomials(
        problem.rule, sizes, degree, "symbolic", activation, bias, known
    )
    laws, special = problem.kept(degree), [law.at(problem.rule) for law in symbolic]
    more = generators(laws, problem, degree, given=[law for law in special if law.terms])
    found = _found(problem, degree, [*symbolic, *more], len(laws))
    more = f"; and for {problem.feedback}" if problem.feedback else ""
    return replace(found, scope=symbolic.scope + more)


def _check_size(rule, sizes, degree, how, bias):
    """Raise ValueError for a search that would not fit into memory."""
    rule = exactly(rule, len(sizes) - 1)
    fixed = {} if how == "numeric" else rule.fixed(sizes)
    entries = sum(n * m for n, m in (*rule.state(sizes, bias).values(), *fixed.values()))
    count = comb(entries + degree, degree)
    if count > MOST:
        raise ValueError(
            f"{entries} variables have {count:,} monomials of degree at most {degree}, but a search"
            f" is for up to {MOST:,}; ask for a lower degree, smaller sizes, or words."
        )


def _found(problem, degree, laws, total):
    for law in laws:
        problem.verify(law)
    scope = f"all polynomials of degree at most {degree}, {problem.scope}"
    independent = jacobian_rank(laws, problem.point, problem.rng)
    return Laws(tuple(laws), scope, problem.rule, total, independent)


class Problem:
    """The velocities of a rule at given sizes as polynomials, and what its variables stand for."""

    def __init__(self, rule, given, sizes, activation, bias, seed):
        rule = exactly(rule, len(sizes) - 1)
        self.feedback = "this feedback" if given and rule.fixed(sizes) else ""
        if self.feedback and not rule.B:
            rule = replaced(rule, B=_drawn(rule.fixed(sizes), seed))
            self.feedback = f"feedback{_shown(rule, sizes)} drawn with seed {seed}"
        self.rule = rule if given else replaced(rule, B=())
        self.sizes, self.activation, self.bias, self.seed = sizes, activation, bias, seed
        made, task, w, _ = given_sizes(
            rule, sizes, variables, phi=activation, bias=bias, given=given
        )
        self.made, self.w = made, w
        matrices = dict(zip(rule.state(sizes, bias), w, strict=True))
        if not given:
            matrices |= dict(zip(rule.fixed(sizes), made.B, strict=True))
        self.places = [(n, i, j) for n, M in matrices.items() for i, j in np.ndindex(M.shape)]
        self.moving = np.arange(len(self.places)) < sum(M.size for M in w)
        with only_polynomials(rule):
            v = steady(self.made, task, w)
        own = [list(self._terms(x)) for V in v for x in V.ravel()]
        scale = lcm(*(int(c.q) for terms in own for c, _, _ in terms))
        own = [[(int(c.p) * (scale // int(c.q)), s, d) for c, s, d in terms] for terms in own]
        own += [[]] * (len(self.places) - len(own))
        self.velocities, self.scale = Velocities(own), scale
        self.step = tuple(Series(W, V, order=1) for W, V in zip(w, v, strict=True))
        question = Question(None, None, rule, activation, bias, "any", {})
        self.scope = f"sizes {'-'.join(map(str, sizes))} of {question.network()}"
        self.rng = np.random.default_rng(seed)
        self.point = Point(self.rule, sizes, self.rng, activation=activation, bias=bias)
        data = self.point.data.replace("all", "any")
        parts = f"{data}{question.patterns}", "any loss", self.feedback
        self.scope = ", ".join([self.scope, *filter(None, parts)])
        if any(not data for terms in own for _, _, data in terms):  # decay or friction
            self.scope += ", up to e^{ct} with rational c"

    def _terms(self, polynomial):
        n = len(self.places)
        for powers, c in polynomial.terms():
            there = [(k, int(power)) for k, power in enumerate(powers) if power]
            state = tuple(k for k, power in there if k < n for _ in range(power))
            yield c, state, tuple(item for item in there if item[0] >= n)

    def kept(self, degree):
        """A basis of the laws of degree at most `degree`, short ones first."""
        found = kept_polynomials(self.velocities, degree, self.moving)
        return sorted((self._law(*one) for one in found), key=lambda l: (l.degree, len(l.terms)))

    def _law(self, made, coefficients, growth):
        """The law with these monomials, (number, degree) indices, and coefficients."""
        n = len(self.places)
        terms = {
            tuple(k for k in row if k < n): c for row, c in zip(made, coefficients, strict=True)
        }
        return self._polynomial(terms, growth / self.scale)

    def _polynomial(self, terms, growth, name=""):
        """A law by its terms {indices: number}, in coprime integers, the first one positive."""
        order = sorted(terms)
        whole = primitive([Fraction(terms[key]) for key in order])
        sign = 1 if whole[0] > 0 else -1
        named = {
            tuple(self.places[k] for k in key): sign * int(c)
            for key, c in zip(order, whole, strict=True)
        }
        proof = Verdict(True, self.scope, 0, "polynomials", bool(growth))
        return PolynomialLaw(named, self.rule, self.sizes, self.bias, growth, name, proof)

    def verify(self, law):
        """Raise RuntimeError unless the law's rate along the rule is what it says, by its own code.

        This calls the rule on polynomials, and none of what found the law.
        """
        value, rate = law(self.made, self.step).coefficients
        if rate + law.growth * value != 0:
            raise RuntimeError(f"The search found {law}, but its rate is {rate}.")

    def entries_of(self, known, degree):
        """The entries of laws that words can say, as polynomials of degree at most `degree`."""
        made = {}
        for law in known:
            try:
                values = np.asarray(law(self.made, self.w), dtype=object)
            except TypeError:
                continue  # it needs a null space of letters
            for index, value in np.ndenumerate(values):
                terms = {s: Fraction(int(c.p), int(c.q)) for c, s, _ in self._terms(value)}
                if not terms or max(map(len, terms)) > degree:
                    continue
                entry = ",".join(str(i + 1) for i in index)
                name = f"({law.words})[{entry}]" if index else str(law.words)
                name += f"  [{law.name}]" * bool(law.name)
                one = self._polynomial(terms, law.growth, name)
                made.setdefault(tuple(one.terms.items()), one)
        return list(made.values())


def _shown(rule, sizes):
    """The feedback in numbers, if they are few."""
    shown = [f" {name} = {B.tolist()}" for name, B in zip(rule.fixed(sizes), rule.B, strict=True)]
    return ",".join(shown) if sum(B.size for B in rule.B) <= SHOWN else ""


def _drawn(shapes, seed):
    """Small random integers of full rank."""
    rng = generator(seed, "feedback")
    made = []
    for shape in shapes.values():
        M = rng.integers(-9, 10, shape)
        while rank(M.astype(float)) < min(shape):
            M = rng.integers(-9, 10, shape)
        made.append(M)
    return tuple(made)
