"""Are the laws of a rule all there are?  A proof by two ranks modulo a prime that add up."""

import time
from functools import lru_cache
from itertools import pairwise
from math import comb

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
from .problems import check_bias, check_law, check_seed, exactly, fitting, samples_add_up
from .prove import prove_growing

METHODS = ("auto", "dense", "blocks")
DENSE = 12_000
"""So many variables are taken at once; above, pair by pair of indices."""
SEARCHED = 10_000
"""So many monomials are searched for laws that special feedback has besides."""


def certify(
    rule, sizes, laws=None, *, activation="linear", bias=False, at=None, method="auto", seed=0
):
    """Count the laws of `rule` at these sizes, and say whether `laws` are all of them.

    A law is conserved by the flows for all data, errors and activation patterns, or for all single
    samples where those of a rule of one's own do not add up, which the answer says.  With r the
    generic rank of the Lie algebra that their velocities generate [1]_ and q that of the Jacobian
    of proved laws, q + r ≤ D, the number of variables; and a rank modulo a prime at any point is
    at most the generic one over the rationals.  So ranks that add up to D there prove that there
    are q independent laws near a generic point, and no more.  Randomness can only hide this.

    rule: a class or an instance.  The feedback is generic if it has none, else its own, exactly.
    laws: functions ``law(rule, w)``, proved first; None takes what `discover` finds among words,
        and for feedback given, where these are not all, among polynomials at small sizes.
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
    known = _known(asked, sizes, activation, bias) if laws is None else laws
    for law in laws or ():
        _check(law, rule, sizes, network)
    if blocks:
        seen = _by_blocks(asked, sizes, known, rng)
    else:
        seen = _densely(asked, sizes, known, point, rng, laws is None)
    return Certificate(
        sizes=sizes,
        activation=getattr(activation, "name", activation),
        bias=bias,
        own=laws is not None,
        prime=P,
        seed=seed,
        seconds=time.process_time() - began,
        **seen,
    )


def _by_blocks(rule, sizes, laws, rng):
    """What a certificate says of ranks pair by pair of indices."""
    if not all(isinstance(law, Law) for law in laws):
        raise ValueError("Pairs of indices part only for laws that discover found.")
    dimension, of_laws, of_brackets = block_ranks(rule, sizes, laws, rng)
    return {
        "rule": rule,
        "scope": "linear",
        "data": "all data",
        "dimension": dimension,
        "laws": tuple(map(_shown, laws)),
        "law_rank": of_laws,
        "lie_rank": of_brackets,
        "method": "blocks",
    }


def _densely(rule, sizes, laws, point, rng, more):
    """What a certificate says of ranks at a point.  more: whether to look for further laws."""
    check_null_spaces(laws, point)
    check_kept(laws, point, rng.spawn(1)[0])
    found = jacobian_rank(laws, point, rng)
    reached, history = lie_rank(point, rng, target=point.dimension - found)
    if found + reached > point.dimension:
        raise RuntimeError(f"{found} laws and {reached} brackets are more than the variables.")
    if more and point.given:
        laws, found = _with_polynomials(laws, found, point.dimension - reached, point, rng)
    chains = () if found + reached == point.dimension else _chains(rule, sizes, point)
    local = with_chains(chains, laws, point, rng) - found if chains else 0
    return {
        "rule": replaced(rule, B=point.exact),
        "scope": point.scope + " with biases" * point.bias,
        "data": point.data,
        "at": point.at,
        "dimension": point.dimension,
        "timed": point.timed,
        "signs": bool(point.rule.constants(point.w)) and not rule.fixed(sizes),
        "laws": tuple(map(_shown, laws)),
        "law_rank": found,
        "chains": chains,
        "chain_rank": local,
        "lie_rank": reached,
        "history": tuple(history),
    }


def _with_polynomials(laws, found, most, point, rng):
    """The laws and their rank, with polynomials that special feedback has besides, if there are.

    Such as minors of (N'W₁, N'W₂'), of degree 1 + d_in, for a layer wider than input and feedback's
    rank together.  `most` is what brackets leave; searched up to degree 3 at small sizes.
    """
    rule, count = replaced(point.rule, B=point.exact), sum(W.shape[0] * W.shape[1] for W in point.w)
    network = {"activation": point.activation, "bias": point.bias}
    for degree in (2, 3):
        if found == most or comb(count + degree, degree) > SEARCHED:
            break
        for law in discover(rule, point.sizes, degree=degree, feedback="numeric", **network):
            more = jacobian_rank([*laws, law], point, rng) if found < most else found
            if more > found:
                laws, found = (*laws, law), more
    check_kept(laws, point, rng)
    return laws, found


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

    Else among polynomials of degree 2.  For faflow's own rules it is remembered by their options.
    """
    plain, depth = _plain(rule), len(sizes) - 1
    find = _remembered if samples_add_up(rule) else _remembered.__wrapped__
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
