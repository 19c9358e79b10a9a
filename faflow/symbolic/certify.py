"""Are the laws of a rule all there are?  A proof by two ranks modulo a prime that add up."""

import time
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..matrices.residues import P
from ..nets import checked_sizes, replaced
from ..rule import Rule
from ..rules import DFA, FA, GD, KolenPollack
from .blocks import block_ranks
from .brackets import Point, lie_rank
from .certificate import Certificate
from .discover import discover
from .jacobian import check_kept, check_null_spaces, jacobian_rank, with_chains
from .law import Law
from .problems import check_bias, check_law, check_seed, exactly, fitting
from .prove import prove_growing

METHODS = ("auto", "dense", "blocks")
DENSE = 12_000
"""So many variables are taken at once; above, pair by pair of indices."""


def certify(
    rule, sizes, laws=None, *, activation="linear", bias=False, at=None, method="auto", seed=0
):
    """Count the laws of `rule` at these sizes, and say whether `laws` are all of them.

    A law is conserved by the flows for all data, errors and activation patterns.  With r the
    generic rank of the Lie algebra that their velocities generate [1]_ and q that of the Jacobian
    of proved laws, q + r ≤ D, the number of variables; and a rank modulo a prime at any point is
    at most the generic one over the rationals.  So ranks that add up to D there prove that there
    are q independent laws near a generic point, and no more.  Randomness can only hide this.

    rule: a class or an instance.  The feedback is generic if it has none, else its own, exactly.
    laws: functions ``law(rule, w)``, proved first; None takes what `discover` finds.
    activation: linear, "piecewise", or the name of a piecewise linear or homogeneous one.
    at: a state to start from, exactly: the count is then for the flows from there.
    method: dense, at a random point; or blocks, at a diagonal one and pair by pair of indices: for
        hundreds of thousands of variables in linear networks under GD, FA, DFA and Kolen-Pollack
        learning, but with bounds that may be too weak where hidden layers are wider than both
        ends; auto takes dense up to 12,000 variables.
    Returns a `Certificate`.
    Raises ValueError for a law that is not kept, for velocities that are no polynomials, and for
    blocks where there are none.

    .. [1] S. Marcotte, R. Gribonval & G. Peyré, "Abide by the law and follow the flow:
       conservation laws for gradient flows", NeurIPS 2023, for gradient flows.
    """
    began = time.process_time()
    sizes = checked_sizes(sizes)
    check_seed(seed)
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}; choose from {', '.join(METHODS)}.")
    check_bias(bias)
    if laws is not None and (callable(laws) or not hasattr(laws, "__iter__")):
        raise TypeError(f"laws must be a list of functions law(rule, w), not {laws!r:.60}.")
    laws = None if laws is None else tuple(laws)
    for law in laws or ():
        check_law(law)
    network = {"activation": activation, "bias": bias}
    asked = exactly(rule, len(sizes) - 1)
    fitting(asked, sizes)
    rng = np.random.default_rng(seed)
    entries = sum(n * m for n, m in asked.state(sizes, bias).values())
    blocks = method == "blocks" or (method == "auto" and entries > DENSE)
    if blocks:
        _check_blocks(asked, network, at, entries)
    else:
        point = Point(asked, sizes, rng, at=at, **network)
    if laws is None:
        known = _known(asked, sizes, activation, bias)
    else:
        known = laws
        for law in known:
            _check(law, rule, sizes, network)
    about: dict = {"sizes": sizes, "laws": tuple(map(_shown, known)), "own": laws is not None}
    about |= {"activation": activation, "bias": bias, "prime": P, "seed": seed}
    if blocks:
        if not all(isinstance(law, Law) for law in known):
            raise ValueError("Pairs of indices part only for laws that discover found.")
        dimension, found, reached = block_ranks(asked, sizes, known, rng)
        return Certificate(
            rule=asked,
            scope="linear",
            data="all data",
            dimension=dimension,
            law_rank=found,
            lie_rank=reached,
            method="blocks",
            seconds=time.process_time() - began,
            **about,
        )
    check_null_spaces(known, point)
    check_kept(known, point, rng.spawn(1)[0])
    found = jacobian_rank(known, point, rng)
    reached, history = lie_rank(point, rng, target=point.dimension - found)
    chains = () if found + reached == point.dimension else _chains(asked, sizes, point)
    local = with_chains(chains, known, point, rng) - found if chains else 0
    return Certificate(
        rule=replaced(asked, B=point.exact),
        scope=point.scope + " with biases" * bias,
        data=point.data,
        at=at if at is None else point.at,
        dimension=point.dimension,
        timed=point.timed,
        signs=bool(point.rule.constants(point.w)) and not asked.fixed(sizes),
        law_rank=found,
        chains=chains,
        chain_rank=local,
        lie_rank=reached,
        history=tuple(history),
        seconds=time.process_time() - began,
        **about,
    )


def _check_blocks(rule, network, at, entries):
    """Raise ValueError unless sign changes of the indices are a symmetry of the problem."""
    plain = type(rule) in (GD, FA, DFA, KolenPollack) and network["activation"] == "linear"
    if not plain or network["bias"] or at is not None or rule.B or rule.decay != 0:
        raise ValueError(
            f"Pairs of indices part only in linear networks without biases and decay, under GD, FA,"
            f" DFA and KolenPollack with generic feedback; with {entries} variables, the dense"
            f" method is for up to about {DENSE}."
        )


def _chains(rule, sizes, point):
    """(a, b) of neighbouring layers of width one with hidden layers between, which move as one.

    For rules that bring the error back layer by layer, in linear networks.
    """
    plain = type(rule) in (GD, FA, KolenPollack) and point.scope == "linear" and not point.timed
    ones = [k for k, n in enumerate(sizes) if n == 1] if plain and not point.bias else []
    return tuple((a, b) for a, b in pairwise(ones) if b - a > 1)


def _check(law, rule, sizes, network):
    """Raise ValueError unless the law is proved, by words or else at these sizes."""
    try:
        proof = prove_growing(law, rule, depth=len(sizes) - 1, **network)
    except ValueError:
        proof = None
    if not proof and not getattr(law, "unknowns", ()):
        given = "given" if getattr(rule, "B", ()) else "symbolic"
        proof = prove_growing(law, rule, sizes=sizes, feedback=given, **network)
    if not proof:
        raise ValueError(f"The law {_shown(law)} is {proof}.")


def _shown(law):
    return str(law) if hasattr(law, "verdict") else getattr(law, "__name__", "law")


def _known(rule, sizes, activation, bias):
    """What `discover` finds for the rule: among words, whatever its feedback, if these can say it.

    That is remembered by the rule's options.  Else among polynomials of degree 2.
    """
    plain, depth = _plain(rule), len(sizes) - 1
    try:
        hash(plain)
    except TypeError:  # options such as arrays
        find = _remembered.__wrapped__
    else:
        find = _remembered
    try:
        return find(plain, depth, activation, bias)
    except ValueError:
        feedback = "numeric" if rule.B else "symbolic"
        return tuple(discover(rule, sizes, activation=activation, bias=bias, feedback=feedback))


def _plain(rule):
    """(class, options) without feedback, those of a rule inside in the same way."""
    names = [name for name in rule.__dataclass_fields__ if name != "B"]
    values = ((name, getattr(rule, name)) for name in names)
    return type(rule), tuple((n, _plain(v) if isinstance(v, Rule) else v) for n, v in values)


def _made(plain):
    kind, options = plain
    inside = lambda v: isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], type)
    return kind(**{n: _made(v) if inside(v) else v for n, v in options})


@lru_cache(maxsize=256)
def _remembered(plain, depth, activation, bias):
    return tuple(discover(_made(plain), depth=depth, activation=activation, bias=bias))
