"""Claims with their controls: what they say, what they showed, and the verdict on both."""

import re
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from .check import seen


@dataclass
class Trial:
    """One claim or control: what it says, what it showed, how it ended.

    place: the file, and class if any, that a claim shares with its controls.
    paper: what the file says of itself in its first paragraph.
    figures: (PNG bytes, caption) of each; the bytes are empty if no report is written.
    """

    name: str
    file: str
    line: int
    control: bool
    statement: str
    place: str
    paper: str = ""
    passed: bool = False
    problem: str = ""
    seconds: float = 0.0
    evidence: list = field(default_factory=list)
    figures: list = field(default_factory=list)

    @property
    def title(self):
        return self.name.split("_", 1)[1].replace("_", " ")

    def title_under(self, claim):
        """What a control breaks, in words: its title without that of its claim."""
        return self.title[len(base_of(claim.name)) :].strip() or "control"


@dataclass
class Claim:
    """A claim with its controls and the verdict on both."""

    trial: Trial
    controls: list
    problems: list

    @property
    def stands(self):
        return not self.problems

    @property
    def source(self):
        return _tagged(self.trial.statement, "Source") or "not given"

    @property
    def kind(self):
        """quoted, recalled or derived, as the docstring says."""
        return _tagged(self.trial.statement, "Class") or "not given"

    @property
    def assumes(self):
        return _tagged(self.trial.statement, "Assumes")

    @property
    def proves(self):
        """What its proofs show, as the docstring says: "the statement" if they show all of it."""
        return _tagged(self.trial.statement, "Proves").rstrip(".")

    @property
    def verdict(self):
        """failed, proved, proved in part, or measured.

        Proved only if the docstring says ``Proves: the statement.``; a proof of a step, or of one
        case, beside measurements of the rest is a proof in part.
        """
        if not self.stands:
            return "failed"
        if "proved" not in self.known:
            return "measured"
        return "proved" if self.proves == "the statement" else "proved in part"

    @property
    def known(self):
        """How it is known, all kinds of evidence in order of strength."""
        kinds = ("proved for every size", "proved at these sizes", "measured")
        seen = {e.kind for e in self.trial.evidence}
        return ", ".join(kind for kind in kinds if kind in seen)

    @property
    def brief(self):
        """The evidence in short: all proofs as one line, then each measurement."""
        return brief(self.trial.evidence)

    @property
    def seconds(self):
        return self.trial.seconds + sum(c.seconds for c in self.controls)

    def as_dict(self):
        return {
            "claim": _plain_trial(self.trial),
            "controls": [_plain_trial(c) for c in self.controls],
            "paper": self.trial.paper,
            "statement": body(self.trial.statement),
            "assumes": self.assumes,
            "proves": self.proves,
            "source": self.source,
            "class": self.kind,
            "verdict": self.verdict,
            "evidence": self.known,
            "stands": self.stands,
            "problems": self.problems,
            "seconds": self.seconds,
        }


def brief(evidence):
    """Lines of (needed, seen): what was measured or counted, and all proofs of rates as one."""
    proofs = [e for e in evidence if e.needed == "rate 0"]
    wrong = [e for e in proofs if not e.stands]
    lines = [(e.needed, seen(e)) for e in evidence if e.needed != "rate 0"]
    if wrong:
        lines.append(("rate 0", f"rate not 0 in {len(wrong)} of {len(proofs)} proofs"))
    elif proofs:
        lines.insert(0, ("rate 0", f"in {len(proofs)} proof{'s' * (len(proofs) > 1)}"))
    return lines


def _plain_trial(trial):
    finite = lambda v: v if isinstance(v, str) or np.isfinite(v) else str(v)  # JSON has no nan
    evidence = [asdict(e) | {"value": finite(e.value)} for e in trial.evidence]
    captions = [caption for _, caption in trial.figures]
    bare = asdict(replace(trial, evidence=[], figures=[]))
    return bare | {"evidence": evidence, "figures": captions}


def _tagged(text, tag):
    """What follows ``tag:`` at the start of a line, up to an empty line or another tag."""
    found = re.search(rf"^{tag}:\s*(.+?)(?=\n\s*\n|\n\w+:|\Z)", text, re.M | re.S)
    return " ".join(found.group(1).split()) if found else ""


def body(text):
    """The statement without its tags."""
    return re.sub(
        r"^(Assumes|Proves|Source|Class):.+?(?=\n\s*\n|\n\w+:|\Z)", "", text, flags=re.M | re.S
    ).strip()


def base_of(name):
    """The name without claim_ or control_, and without parameters."""
    return name.partition("[")[0].split("_", 1)[1]


def owner(name, bases):
    """The name of the claim, of those in `bases`, that this claim or control belongs to, if any."""
    if name.startswith("claim_"):
        return base_of(name)
    fits = [base for base in bases if base_of(name).startswith(base + "_")]
    return max(fits, key=len, default=None)


def _foreign(claim, control):
    """What is wrong if a control measures something that its claim does not."""
    measured = lambda trial: {(e.name, e.needed) for e in trial.evidence if e.kind == "measured"}
    foreign = sorted(name for name, _ in measured(control) - measured(claim))
    if not foreign:
        return ""
    return f"it measures {', '.join(foreign)}, which the claim does not, or against another bound"


def claims_of(trials):
    """Every claim with its controls; those that do not fit together are problems of their own."""
    claims = [t for t in trials if not t.control]
    controls = [t for t in trials if t.control]
    bases = {}
    for claim in claims:
        bases.setdefault(claim.place, set()).add(base_of(claim.name))
    of = lambda control: owner(control.name, bases.get(control.place, ()))
    made = []
    for claim in claims:
        own = [c for c in controls if c.place == claim.place and of(c) == base_of(claim.name)]
        problems = [] if claim.passed else [claim.problem or "It did not run."]
        if not own:
            problems.append("It has no control, so nothing shows that the check can fail.")
        problems += [f"{c.name}: {c.problem or 'it did not run'}" for c in own if not c.passed]
        both = Claim(claim, own, problems)
        if both.proves and "proved" not in both.known:
            problems.append("It says what it proves, but shows no proof.")
        if not problems:
            problems += [f"{c.name}: {why}" for c in own if (why := _foreign(claim, c))]
        made.append(both)
    for control in controls:
        if of(control) is None:
            made.append(Claim(control, [], [f"{control.name} belongs to no claim of its file."]))
    return made
