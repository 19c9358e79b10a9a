"""Feedback alignment of a chain of linear neurons, one a layer.

With input 1, target s, weights w₁, …, w_L and feedback b₂, …, b_L,

    dw_k/dt = b_{k+1} ··· b_L · w₁ ··· w_{k-1} · (s - w₁ ··· w_L),

so that C_k = w_k²/2 - b_{k+1}w_{k+1} is kept: each weight is a polynomial in the one below, all of
them in w₁, and w₁ follows a polynomial of degree 2^L - 1 whose leading term points inwards.  Every
start ends at an error of zero.  Derived in this project; C_k as in Lillicrap et al. (2016).
"""

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .given import as_matrices, feedback, number, times, weights
from .line import exactly, flow_on_the_line, surely

DEEPEST = 7
"""Layers of a chain.  The polynomial is of degree 127 then, and its roots take seconds; they take
minutes where weights are in the thousands."""


class Equilibria(NamedTuple):
    """Where a chain may come to rest, by w₁ from the least on.

    w: (points, layers), the weights.  rates: (points,), of a small departure along the orbit, in
    learning rates: negative where it is stable, zero at a multiple root.
    etas: (points,), below which a discrete step is stable, 2/|rate|, and zero where no step is.
    """

    w: np.ndarray
    rates: np.ndarray
    etas: np.ndarray


def fa_chain(s, b, w0, ts):
    """Feedback alignment of a chain with target `s`, from any start, at any depth from two layers.

    The time is a sum of logarithms of w₁ less the roots of dw₁/dt, or of its powers at multiple
    roots; it is inverted.  A start at an equilibrium, exactly so as the numbers are given, rests.
    s: a number.  b: (L - 1,) numbers other than 0, of two layers also one; ``b[k]`` is ``B[k]``.
    w0: (L,) numbers.  ts: (times,), at least 0, in any order, in units of 1/learning rate.
    Returns W₁, …, W_L, each (times, 1, 1).  Raises ValueError for what is not so.
    """
    s, b, w0 = _problem(s, b, w0)
    ts = times(ts)
    kept = _kept(b, w0)
    show = lambda w, spent: _above(w, b, kept)
    return as_matrices(*flow_on_the_line(_field(s, b, kept), exactly(w0[0]), ts, show))


def fa_chain_equilibria(s, b, w0):
    """The `Equilibria` on the orbit of `w0`: all of them solve the task, not all are stable.

    Of two layers there are three if and only if C³ > 27(bs)²/8, C = w₁²/2 - bw₂ at the start; the
    rate is C - 3w₁²/2, positive at the middle one.  Arguments are those of `fa_chain`.
    """
    import flint

    s, b, w0 = _problem(s, b, w0)
    kept = _kept(b, w0)
    g = _field(s, b, kept)

    def ends(sure):
        slope = flint.arb_poly(g.derivative())
        real = [(r.real, m) for r, m in g.complex_roots() if r.imag == 0]
        rates = [sure(slope(r)) if m == 1 else 0.0 for r, m in real]
        return sorted(
            zip([[sure(w) for w in _above(r, b, kept)] for r, _ in real], rates, strict=True)
        )

    longest = max(max(abs(int(c.p)), int(c.q)).bit_length() for c in g.coeffs())
    found = surely(ends, max(256, longest))  # roots take nearly the same time with more digits
    rates = np.array([rate for _, rate in found])
    etas = np.divide(2, -rates, out=np.zeros_like(rates), where=rates < 0)
    return Equilibria(np.array([w for w, _ in found]), rates, etas)


def fa_chain_law(s, b, w, *, eta=0.0):
    """C_k - (η/2)G_k, which steps of size `eta` keep to O(η²) in a given time; the flow at η = 0.

    C_k = w_k²/2 - b_{k+1}w_{k+1} grows at every step by half the square of what it adds to w_k.
    Along an orbit that is (η/2)G_k, with dG_k/dw₁ = (dw_k/dw₁)² dw₁/dt and G_k = 0 at w₁ = 0; of
    two layers G₁ = bsw₁ + C₁w₁²/2 - w₁⁴/8.
    w: the weights, L arrays of one shape, such as ``Solution.w``.  s and b as in `fa_chain`.
    Returns (L - 1, *shape).  Raises ValueError for what is not so.
    """
    s, eta = number(s, "s"), number(eta, "eta")
    if not isinstance(w, tuple | list | np.ndarray) or getattr(w, "ndim", 1) == 0:
        raise ValueError(f"w must be arrays, one for each layer, but is {w!r:.60}.")
    w = [np.asarray(W) for W in w]
    if not all(W.dtype.kind in "iuf" and np.isfinite(W).all() for W in w):
        raise ValueError("w must be arrays of finite real numbers.")
    w = [W.astype(float) for W in w]
    if not 2 <= len(w) <= DEEPEST or len({W.shape for W in w}) > 1:
        shapes = [W.shape for W in w]
        raise ValueError(f"w must be 2 to {DEEPEST} arrays of one shape, but has {shapes}.")
    b = feedback(b, len(w))
    C = [W**2 / 2 - c * V for c, (W, V) in zip(b, pairwise(w), strict=True)]
    nodes, parts = np.polynomial.legendre.leggauss(2 ** len(w))  # exact at this degree
    below = w[0][..., None] * (nodes + 1) / 2
    chain, slopes = [below], [np.ones_like(below)]
    for c, kept in zip(b, C, strict=True):
        slopes.append(chain[-1] * slopes[-1] / c)
        chain.append((chain[-1] ** 2 / 2 - kept[..., None]) / c)
    rate = np.prod(b) * (s - np.prod(chain, axis=0))
    G = [w[0] / 2 * (slope**2 * rate @ parts) for slope in slopes[:-1]]
    return np.array(C) - eta / 2 * np.array(G)


def _problem(s, b, w0):
    """s, b and w0 as exact numbers."""
    w0 = weights(w0)
    if len(w0) > DEEPEST:
        raise ValueError(f"w0 must have at most {DEEPEST} layers, but has {len(w0)}.")
    b = feedback(b, len(w0))
    return Fraction(number(s, "s")), [Fraction(one) for one in b], [Fraction(w) for w in w0]


def _kept(b, w0):
    return [w * w / 2 - c * above for c, (w, above) in zip(b, pairwise(w0), strict=True)]


def _above(w, b, kept):
    """All weights of the chain where the first is w."""
    chain = [w]
    for c, C in zip(b, kept, strict=True):
        chain.append((chain[-1] * chain[-1] / 2 - exactly(C)) / exactly(c))
    return chain


def _field(s, b, kept):
    """dw₁/dt as a polynomial in w₁."""
    import flint

    output, scale = 1, 1
    for w in _above(flint.fmpq_poly([0, 1]), b, kept):
        output = w * output
    for c in b:
        scale *= c
    return exactly(scale) * (exactly(s) - output)
