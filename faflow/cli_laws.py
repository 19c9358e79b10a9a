"""The command line: ``faflow laws`` finds the laws of a rule, and certifies that they are all."""

import sys
from fractions import Fraction
from pathlib import Path

from .cli import numbers, rule_named, writable

NEEDS = {"degree": "SIZES", "certify": "SIZES", "feedback": "--degree", "save": "--certify"}
"""What an option is of no use without."""


def add_laws(commands):
    """Add the command to the subparsers of `commands`."""
    laws = commands.add_parser(
        "laws",
        help="find the conserved quantities of a rule, and certify that there are no more",
        description="Find the laws of a learning rule: among words, for every size; or with SIZES"
        " and --degree among all polynomials.  Exit status 1 if --certify leaves their number open,"
        " or --check finds another certificate.",
    )
    add = laws.add_argument
    add("rule", nargs="?", metavar="RULE", help="GD, FA, DFA, SignFA, KolenPollack")
    add("sizes", nargs="?", metavar="SIZES", type=numbers(int), help="layer widths: 2,3,2")
    add("--depth", type=int, metavar="N", help="without SIZES: number of layers (default: 2)")
    add("--length", type=int, metavar="N", help="letters of the longest word (default: 2)")
    add("--degree", type=int, metavar="N", help="with SIZES: all polynomials up to this degree")
    add("--feedback", help="of polynomials: symbolic (default), numeric, both")
    add("--activation", help="linear (default), relu, or another homogeneous one")
    add("--bias", action="store_true", help="with biases")
    add("--decay", type=numbers(_exact), help="weight decay: one number, or one a layer: 1,2")
    add("--momentum", type=_exact, metavar="FRICTION", help="heavy-ball momentum on the rule")
    add("--certify", action="store_true", help="with SIZES: how many laws there are, proved")
    add("--save", metavar="FILE.json", help="save the certificate")
    add("--check", metavar="FILE.json", help="compute a saved certificate again; goes alone")
    add("--seed", type=int, help="of the draws of --certify and --degree (default: 0)")
    laws.set_defaults(run=_laws)


def _exact(text):
    """A number as it is written: 0.1 is a tenth."""
    try:
        number = Fraction(text)
    except ZeroDivisionError:
        raise ValueError(text) from None
    return int(number) if number.denominator == 1 else number


_exact.__name__ = "number"


def _laws(a):
    if a.check is not None:
        return _check(a)
    from . import certify, discover

    rule = _rule(a)
    network = {"activation": a.activation or "linear", "bias": a.bias}
    chosen = ("length",) if a.degree is None else ("degree", "feedback", "seed")
    given = {name: getattr(a, name) for name in chosen}
    given = {name: value for name, value in given.items() if value is not None}
    depth = len(a.sizes) - 1 if a.sizes else a.depth
    sizes = None if a.degree is None else a.sizes
    print(discover(rule, sizes, depth=depth, **given, **network))
    if not a.certify:
        return 0
    certificate = certify(rule, a.sizes, seed=a.seed or 0, **network)
    print(certificate)
    if a.save:
        certificate.save(a.save)
        print(f"saved {a.save}")
    return 0 if certificate.count is not None else 1


def _rule(a):
    """The rule that is asked for; or ValueError for what does not go together."""
    from .momentum import HeavyBall
    from .nets import checked_sizes
    from .symbolic.problems import phi_and_scope

    if a.rule is None:
        raise ValueError("Name a rule, as in faflow laws FA, or a file: --check certificate.json.")
    kind = rule_named(a.rule)
    given = {"SIZES": a.sizes, "--degree": a.degree, "--certify": a.certify}
    for option, needed in NEEDS.items():
        if _given(getattr(a, option)) and not _given(given[needed]):
            raise ValueError(f"--{option} needs {needed}, as in {_example(a.rule, option)}.")
    if a.sizes is not None:
        checked_sizes(a.sizes)
        if a.depth not in (None, len(a.sizes) - 1):
            shown = ",".join(map(str, a.sizes))
            raise ValueError(f"SIZES {shown} say {len(a.sizes) - 1} layers, not {a.depth}.")
    if a.degree is not None and a.length is not None:
        raise ValueError("--length is of words, --degree of polynomials; give one of them.")
    if a.seed is not None and a.degree is None and not a.certify:
        raise ValueError("--seed is of the draws of --certify and --degree; give one of them.")
    if a.seed is not None and a.seed < 0:
        raise ValueError(f"--seed must be at least 0, but is {a.seed}.")
    activity, degree, _ = phi_and_scope(a.activation or "linear")
    if degree is None:
        raise ValueError(
            f"Laws can be searched for homogeneous activations, such as linear, relu or"
            f" relu_power(2), but {activity.name} is none."
        )
    writable(a.save)
    rule = kind() if a.decay is None else kind(decay=a.decay[0] if len(a.decay) == 1 else a.decay)
    return rule if a.momentum is None else HeavyBall(of=rule, friction=a.momentum)


def _given(value):
    return value is not None and value is not False  # 0 is a number that was given


def _example(rule, option):
    wanted = {"degree": "--degree 2", "feedback": "--degree 2 --feedback both"}
    wanted["save"] = "--certify --save certificate.json"
    return f"faflow laws {rule} 2,3,2 {wanted.get(option, f'--{option}')}"


def _check(a):
    """Compute a certificate again from its file."""
    from . import load_certificate

    if {name for name, value in vars(a).items() if _given(value)} != {"check", "run"}:
        raise ValueError(f"--check takes all from {a.check}; give it alone, without a rule.")
    if not Path(a.check).is_file():
        raise ValueError(f"There is no file {a.check}.")
    certificate = load_certificate(a.check)
    if certificate.own:
        raise ValueError(
            f"{a.check} counts laws of one's own; check it in Python, with them:"
            " load_certificate(path).check(laws)."
        )
    print(certificate)
    try:
        certificate.check()
    except ValueError as differs:
        print(f"faflow: {differs}", file=sys.stderr)
        return 1
    print("computed again: the same laws and ranks")
    return 0 if certificate.count is not None else 1
