"""Gradient flow of linear neurons in a chain: two from any start, more of them from equal ones."""

from fractions import Fraction

import numpy as np

from .given import as_matrices, faded, number, times, weights
from .line import exactly, flow_on_the_line

BALANCED = 1e-12
"""How far the sizes of weights may differ, relative to them."""


@np.errstate(all="ignore")  # what leaves the range of floats is found by its values
def gd_chain(s, w0, ts):
    """Gradient flow of two linear neurons, w₂w₁ → s, from any start.

    With λ = w₂² - w₁², which is kept, x = (w₁, w₂) and F = [[-λ/2, s], [s, λ/2]], F² = ω²I,

        dx/dt = Fx - |x|²x/2,   x(t) = e^{Ft}x₀ / √(1 + ∫₀ᵗ |e^{Fτ}x₀|² dτ).

    The sigmoid of λ = 0 is in Saxe, McClelland & Ganguli (2013).  From w₁ = -w₂ and s > 0 the flow
    runs into the saddle, and a start at the saddle rests.
    s: a number.  w0: two numbers.  ts: (times,), at least 0, in any order, in units of
    1/learning rate.  Returns W₁ and W₂, each (times, 1, 1).  Raises ValueError for what is not so.
    """
    s, (w1, w2), ts = number(s, "s"), weights(w0, 2), times(ts)
    kept = (w2 - w1) * (w2 + w1)
    omega = np.hypot(kept / 2, s)
    grows = np.array([s, omega + kept / 2] if kept > 0 else [omega - kept / 2, s])
    grows = grows / np.hypot(*grows) if omega else np.array([1.0, 0.0])
    falls = np.array([grows[1], -grows[0]])
    size = max(abs(w1), abs(w2)) or 1.0
    start = np.array([w1, w2]) / size
    up, down = grows @ start, falls @ start
    if omega:  # up · down = λ(w₁w₂ - s)/(2ω) has the digits that the smaller one has lost
        product = (start[1] - start[0]) * (start[1] + start[0]) * ((w1 * w2 - s) / (2 * omega))
        if abs(up) < abs(down):
            up = product / down
        elif up:
            down = product / up
    up, down = size * up, size * down
    x = 2 * omega * ts
    shrunk, spread = np.exp(-x / 2), faded(2 * omega, ts)
    if up == 0:
        rising, falling = np.zeros(len(ts)), down * shrunk / np.sqrt(1 + down**2 * spread)
    else:
        scale = np.hypot(shrunk * np.sqrt(1 + down**2 * spread), up * np.sqrt(spread))
        rising, falling = up / scale, down * shrunk**2 / scale
    return as_matrices(*(np.outer(grows, rising) + np.outer(falls, falling)))


def gd_balanced_chain(s, w0, ts):
    """Gradient flow of a chain of L ≥ 2 linear neurons whose weights have equal sizes, a.

    da/dt = a^{L-1}(σs - a^L) with σ the product of the signs, which stay.  For L > 2 and s ≠ 0

        t = [-1/((L-2)σs a^{L-2}) - Σ_ρ ln(a - ρ)/(Lσs ρ^{L-2})] - the same at a(0),   ρ^L = σs,

    is inverted.  The equation is in Saxe, McClelland & Ganguli (2013).
    s: a number.  w0: (L,) numbers of one absolute value.  ts: (times,), at least 0, in any order,
    in units of 1/learning rate.  Returns W₁, …, W_L, each (times, 1, 1).
    Raises ValueError for what is not so.
    """
    import flint

    s, w0, ts = number(s, "s"), np.array(weights(w0)), times(ts)
    sizes = np.abs(w0)
    if np.ptp(sizes) > BALANCED * sizes.max():
        raise ValueError(
            f"This solution needs weights of one absolute value, but they go from {sizes.min():g}"
            f" to {sizes.max():g}; gd_chain takes any two."
        )
    L, sign = len(w0), int(np.prod(np.sign(w0)))
    inner = [0] * (L - 1)
    g = flint.fmpq_poly([*inner, exactly(Fraction(sign * s)), *inner, -1])
    (a,) = flow_on_the_line(g, exactly(Fraction(sizes[0])), ts)
    return as_matrices(*np.outer(np.sign(w0), a))
