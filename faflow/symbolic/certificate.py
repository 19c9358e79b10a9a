"""What certify found, in words and in a file from which it can be checked again."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..matrices import entries
from ..rule import Rule
from ..written import read, written
from .law import spoken

FORMAT, VERSION = "faflow certificate", 1
NAMED = ("B", "of", "beta", "network")
"""Options of a rule that its name or the feedback speaks of."""
KINDS = {
    "a text": (str, "rule activation scope data method"),
    "true or false": (bool, "bias own timed signs"),
    "an integer of at least 0": (int, "version dimension law_rank lie_rank prime seed chain_rank"),
    "a number of at least 0": (float, "seconds"),
    "a dictionary": (dict, "options"),
    "a list of integers": ([int], "sizes history"),
    "a list of texts": ([str], "laws"),
    "a list of pairs of integers": ([(int, int)], "chains"),
}
"""What the fields of a file must be."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """How many independent laws a rule has at given sizes, between two bounds that may agree.

    dimension: D, the number of variables; one of them time if `timed`, the laws then being
        functions of the state and of t.
    data: which they are: all, or one sample where samples do not add up.
    laws: as text.  own: whether they were given, not found.
    law_rank: q, the rank of their Jacobian modulo `prime`, a lower bound of the count.
    lie_rank: r, the rank of the Lie brackets, so that D - r is an upper bound; `history` by depth.
    chains: layers (a, b) of width one between which a linear chain moves along one field, where
        the laws listed are not all.  chain_rank: how many laws it has besides those, locally.
    at: the start the count is for; None for a generic one.
    signs: whether signs of weights are held constant.
    method: dense or blocks.  seed: of the random draws.  seconds: of CPU.
    """

    rule: Rule
    sizes: tuple
    activation: str
    scope: str
    data: str
    bias: bool
    dimension: int
    laws: tuple
    own: bool
    law_rank: int
    lie_rank: int
    prime: int
    seed: int
    seconds: float
    at: tuple | None = None
    timed: bool = False
    signs: bool = False
    chains: tuple = ()
    chain_rank: int = 0
    history: tuple = ()
    method: str = "dense"

    @property
    def complete(self):
        """Whether the laws are proved to be all: q + r = D."""
        return self.law_rank + self.lie_rank == self.dimension

    def __bool__(self):
        return self.complete

    @property
    def count(self):
        """The number of independent laws if it is proved, local ones counted, else None."""
        known = self.law_rank + self.chain_rank
        return known if known + self.lie_rank == self.dimension else None

    @property
    def at_most(self):
        """The largest number of laws that the brackets leave."""
        return self.dimension - self.lie_rank

    @property
    def saturated(self):
        """Whether a whole depth of brackets added nothing.

        Then the brackets have, with probability one, the rank of the whole Lie algebra, and the
        upper bound is the count.
        """
        return len(self.history) > 1 and self.history[-1] == self.history[-2]

    @property
    def feedback(self):
        """For which feedback the count is."""
        if self.signs:
            return "signs as drawn" if self.at is None else "signs of the start"
        if self.rule.B:
            return "this feedback"
        return "generic feedback" if self.rule.shapes(self.sizes) else ""

    def __str__(self):
        name, sizes = self.rule_name, "-".join(map(str, self.sizes))
        attends = self.rule.network_name == "attention"
        patterns = " and activation patterns" * ("piecewise" in self.scope)
        patterns += " and slopes" * ("degree" in self.scope)
        data = self.data + (" and attention patterns" if attends else patterns)
        scope = "" if attends else self.scope
        where = ", ".join(filter(None, (f"{name} on {sizes}", scope, data, self.feedback)))
        where += ", from the start given" * (self.at is not None)
        count = f"{self.law_rank} independent laws{' that may depend on time' * self.timed}"
        ranks = f"{self.law_rank} of the laws, {self.lie_rank} of the brackets"
        depth = f"to depth {len(self.history)}" if self.history else "pair by pair of indices"
        ranks += f" {depth}, {self.dimension} variables"
        how = f"ranks modulo {self.prime}, seed {self.seed}: {ranks}; {self.seconds:.2g} s"
        if self.complete:
            return f"{where}: {count} and no more ({how})"
        if self.count is not None:
            layers = " and ".join(f"{a} to {b}" for a, b in self.chains)
            return (
                f"{where}: {self.count} independent laws and no more, but only {self.law_rank} of"
                f" them listed; the others are local, since between layers of width one, {layers},"
                f" a chain moves along one field ({how})"
            )
        more = f"at least {count}, at most {self.at_most}"
        if self.saturated:
            more += "; the brackets have stopped growing, so there are most likely as many"
        if self.method == "blocks":
            more += "; the diagonal point may be too special here, and dense may certify it"
        return f"{where}: not certified, {more} ({how})"

    @property
    def rule_name(self):
        """The class of the rule, with what was chosen of its options."""
        shown = [*_chosen(getattr(self.rule, "of", None)), *_chosen(self.rule)]
        return self.rule.name + (f" with {', '.join(shown)}" if shown else "")

    def save(self, path):
        """Write the certificate as JSON, with all that `check` needs but laws of one's own."""
        about = {n: getattr(self, n) for n in self.__dataclass_fields__ if n not in ("rule", "at")}
        about |= {"format": FORMAT, "version": VERSION, **written(self.rule)}
        about |= {"B": _texts(self.rule.B), "at": None if self.at is None else _texts(self.at)}
        Path(path).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    def check(self, laws=None):
        """Compute the certificate again from what it says; True, or ValueError for what differs.

        laws: those it was made with, if they were given.
        """
        from .certify import certify

        if self.own and laws is None:
            raise ValueError(f"Pass the laws it was made with: {'; '.join(self.laws)}.")
        network = {n: getattr(self, n) for n in ("activation", "bias", "at", "method")}
        again = certify(
            self.rule, self.sizes, laws if self.own else None, seed=self.seed, **network
        )
        for name in set(self.__dataclass_fields__) - {"rule", "at", "seconds"}:
            if getattr(again, name) != getattr(self, name):
                raise ValueError(
                    f"The certificate says {name} {getattr(self, name)}, but it is"
                    f" {getattr(again, name)}."
                )
        return True


def load_certificate(path, *, rules=()):
    """The `Certificate` saved at `path`; its `check` computes it again.

    rules: classes of your own that the file may name.
    Raises ValueError for a file that is not a certificate.
    """
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
        ours, version = about["format"] == FORMAT, about["version"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is not a certificate of faflow.") from error
    names = [n for n in Certificate.__dataclass_fields__ if n not in ("rule", "at")]
    if ours and version != VERSION:
        raise ValueError(
            f"{path} has version {version!r:.60} of the format, but this faflow reads {VERSION}."
        )
    if not ours or not {*names, "rule", "options", "B", "at"} <= set(about):
        raise ValueError(f"{path} is not a certificate of faflow, or parts of it are missing.")
    for wanted, (kind, fields) in KINDS.items():
        for name in fields.split():
            if not _fits(about[name], kind):
                raise ValueError(
                    f"{path} is not a certificate of faflow: its {name} must be {wanted}, but is"
                    f" {about[name]!r:.60}."
                )
    tuples = lambda v: tuple(map(tuples, v)) if isinstance(v, list) else v
    known = {n: tuples(about[n]) for n in names}
    at = None if about["at"] is None else _numbers(about, "at", path)
    return Certificate(rule=read(about, _numbers(about, "B", path), path, rules), at=at, **known)


def _texts(matrices):
    """Exact matrices as lists of text, row by row."""
    return [[[str(x) for x in row] for row in M] for M in matrices]


def _numbers(about, name, path):
    """The exact matrices of `_texts`."""
    lists = about[name]
    try:
        if not _fits(lists, [[[str]]]) or any(len(row) != len(M[0]) for M in lists for row in M):
            raise TypeError
        made = [[[Fraction(x) for x in row] for row in M] for M in lists]
        return tuple(entries((len(M), len(M[0])), lambda i, j, M=M: M[i][j]) for M in made)
    except (TypeError, ValueError, LookupError, ArithmeticError):
        raise ValueError(
            f"{path} is not a certificate of faflow: its {name} must be a list of matrices of exact"
            f" numbers, but is {lists!r:.60}."
        ) from None


def _fits(value, kind):
    """Whether a value from JSON is of a kind, numbers from 0 on; (a, b) is a list of just these."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(part, kind[0]) for part in value)
    if isinstance(kind, tuple):
        return _fits(value, [kind[0]]) and len(value) == len(kind)
    if kind in (int, float):
        return type(value) in {int, kind} and value >= 0
    return type(value) is kind


def _chosen(rule):
    """The options of a rule that are not as they are by default, in words."""
    if rule is None:
        return []
    fields = {n: f for n, f in rule.__dataclass_fields__.items() if n not in NAMED}
    values = {n: getattr(rule, n) for n in fields}
    same = lambda v, default: v is default or (not hasattr(v, "shape") and v == default)
    return [f"{n} {_spoken(v)}" for n, v in values.items() if not same(v, fields[n].default)]


def _spoken(value):
    """A number in words, or a tuple of them."""
    return f"({', '.join(map(_spoken, value))})" if isinstance(value, tuple) else spoken(value)
