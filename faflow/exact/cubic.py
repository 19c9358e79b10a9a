"""Feedback alignment of two linear neurons where its cubic has a closed inverse.

dw₁/dt = b(s - w₁w₂) = bs + Cw₁ - w₁³/2 with C = w₁²/2 - bw₂: at s = 0, and at a double root.
Derived in this project.
"""

from fractions import Fraction

import numpy as np

from .given import as_matrices, faded, feedback, number, times, weights

DOUBLE = 1e-12
"""How far C may be from that of a double root, relative to it."""

TINY = np.finfo(float).tiny


@np.errstate(all="ignore")  # what leaves the range of floats is found by its values
def fa_forgetting(b, w0, ts):
    """Feedback alignment of two neurons whose target is 0, from any start: Bernoulli's equation.

    w₁ = w₁(0) e^{Ct}/√K and w₂ = w₂(0)/K with K = 1 + w₁(0)² (e^{2Ct} - 1)/(2C).
    b: a number other than 0.  w0: two numbers.  ts: (times,), at least 0, in any order, in units
    of 1/learning rate.  Returns W₁ and W₂, each (times, 1, 1).
    Raises ValueError for what is not so.
    """
    w0 = np.array(weights(w0, 2))
    (b,), ts = feedback(b, 2), times(ts)
    C = w0[0] ** 2 / 2 - b * w0[1]
    x = 2 * abs(C) * ts
    shrunk, spread = np.exp(-x / 2), w0[0] * np.sqrt(faded(2 * abs(C), ts))
    if w0[0] == 0:
        first, share = 0 * ts, 0 * ts + 1
    elif C > 0:  # K = e^x (e^-x + spread²)
        root = np.hypot(shrunk, spread)
        first, share = w0[0] / root, shrunk / root
    else:
        root = np.hypot(1, spread)
        first, share = w0[0] * shrunk / root, 1 / root
    return as_matrices(first, w0[1] * share**2)


@np.errstate(all="ignore")
def fa_double_root(s, b, w0, ts):
    """Feedback alignment of two neurons whose cubic has a double root: by Lambert's function.

    Where C = 3r²/2 with r³ = -bs, dw₁/dt = -(w₁ - r)²(w₁ + 2r)/2: r attracts from one side alone.
    A start is taken for such a one if its C is so to 1e-12: where rounding parts the two roots or
    lifts the cubic off the line, the flow follows this up to times of 1e6/r² alone.
    x = (w₁ + 2r)/(w₁ - r) obeys x - ln|x| = (9/2)r²t + x₀ - ln|x₀| =: A, so that x = -W₀(e^{-A}) if
    x₀ < 0, -W₀(-e^{-A}) if x₀ < 1 and -W₋₁(-e^{-A}) beyond.
    s, b: numbers other than 0.  w0: two numbers with C = 3r²/2.  ts: (times,), at least 0, in any
    order, in units of 1/learning rate.  Returns W₁ and W₂, each (times, 1, 1).
    Raises ValueError for what is not so.
    """
    w0, s = np.array(weights(w0, 2)), number(s, "s")
    (b,), ts = feedback(b, 2), times(ts)
    r = -np.cbrt(b * s)
    kept = Fraction(w0[0]) ** 2 / 2 - Fraction(b) * Fraction(w0[1])  # whose terms may cancel
    off = abs(float(kept - Fraction(1.5 * r**2))) / max(1.5 * r**2, TINY)
    if r == 0 or not off <= DOUBLE:
        raise ValueError(
            f"This solution needs bs other than 0 and w₁²/2 - bw₂ = 3(bs)^⅔/2 = {1.5 * r**2:.6g},"
            f" but they are {b * s:.6g} and {float(kept):.6g}; fa_chain takes any start."
        )
    if w0[0] in (r, -2 * r):
        w = np.full(len(ts), w0[0])
    else:
        w = r + 3 * r / _excess(3 * r / (w0[0] - r), 4.5 * r**2 * ts)
    return as_matrices(w, (w**2 / 2 - 1.5 * r**2) / b)


def _excess(start, grown):
    """ξ = x - 1 with ξ - ln|1 + ξ| = start - ln|1 + start| + grown, on the side of the start."""
    from scipy.special import lambertw, wrightomega

    if start < -1:
        level = start - np.log(-1 - start) + grown
        return -1 - wrightomega(-1 - level)  # ω + ln ω = -A
    level = _gap(start) + grown
    x = -lambertw(-np.exp(-1 - level), -1 if start > 0 else 0).real
    x = np.where(level < 700, x, level + np.log(level + 1) if start > 0 else 0.0)
    excess = np.where(level < 1e-2, np.sign(start) * np.sqrt(2 * level), x - 1)
    for _ in range(5):  # Newton's method, where Lambert's function meets its branch point
        near = excess > -0.5
        at = np.where(near, excess, 1.0)
        excess = np.where(near, at - (_gap(at) - level) * (1 + at) / at, excess)
    return excess


def _gap(x):
    """x - ln|1 + x|, without cancellation near 0."""
    small = np.clip(x, -0.1, 0.1)
    series = sum((-small) ** k / k for k in range(17, 1, -1))
    return np.where(np.abs(x) < 0.1, series, x - np.log(np.abs(1 + x)))
