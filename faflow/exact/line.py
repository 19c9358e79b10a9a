"""Flows dx/dt = g(x) of a polynomial on the line, from the integral of 1/g in partial fractions.

Between neighbouring real roots of g the time

    t = Σ_r Σ_j A_rj ∫ dx/(x - r)^j,   1/g = Σ_r Σ_j A_rj/(x - r)^j,

of logarithms and powers, is monotone in x, and is inverted there.  Roots come with their
multiplicities and all numbers with bounds of their errors, by Arb; where a bound is too wide, as
it is when roots nearly meet, everything is computed again with twice as many digits.
"""

import numpy as np

SURE = 2**-58
"""Relative error bound of times and of places, in the arithmetic alone."""

MOST = 8192
"""Binary digits for which places are no longer asked to be right relative to themselves."""

TINY = np.finfo(float).tiny

SMALL = 1e-25
"""δ up to which the flow has its first velocity, to all digits."""

FAR = 3000.0
"""δ at which a start has come within e^-3000 of where it goes."""


def exactly(number):
    """A Fraction as a number of flint."""
    import flint

    return flint.fmpq(number.numerator, number.denominator)


class _TooCoarse(Exception):
    """More digits are needed."""


def surely(compute, digits):
    """What `compute` gives of ``sure``, which makes floats of balls, in as many digits as it takes.

    compute: called in an arithmetic of `digits` binary digits, and again in twice as many where a
        ball is wider than the last digit of a float.
    """
    import flint

    while True:
        with flint.ctx.workprec(digits):
            try:
                return compute(lambda ball, digits=digits: _sure(ball, digits))
            except _TooCoarse:
                digits *= 2


def flow_on_the_line(g, x0, ts, show=lambda x, spent: [x]):
    """What `show` makes of x(t), of dx/dt = g(x) and x(0) = x0, as floats (…, times).

    g: polynomial (flint.fmpq_poly) whose leading term points inwards: of odd degree, negative.
    x0: its exact start (flint.fmpq); it rests at a root of g, if it is one to the last digit.
    show: from a place, a ball (flint.arb) or exact, to a sequence of such.  Its second argument
        tells the time: ``spent()`` is that on the way to the place, and that since, standing still
        but for e^-3000 of the way.
    """
    import flint

    if g(x0) == 0:
        rest = [[float(flint.arb(x)) for x in show(x0, lambda t=t: (0, t))] for t in ts]
        return np.array(rest).T

    def paths(sure):
        clock = Clock(g, x0)
        both = zip(clock.read(ts), ts, strict=True)
        shown = [show(clock.place(d), lambda d=d, t=t: clock.spent(d, float(t))) for d, t in both]
        return np.array([[sure(x) for x in row] for row in shown]).T

    return surely(paths, max(128, 4 * g.degree()))


class Clock:
    """Tells the time at each place between the start and the root where the flow ends.

    A place is told by δ ≥ 0, by which the logarithm of the distance from the root behind over that
    from the root ahead has grown since the start; where no root is behind, by which that of the
    distance from the root ahead has fallen.  The time is nearly linear in δ.
    """

    def __init__(self, g, x0):
        import flint

        roots = [(r.real if r.imag == 0 else r, m) for r, m in g.complex_roots()]
        real = [r for r, _ in roots if isinstance(r, flint.arb)]
        self.x0 = flint.arb(x0)
        above, below = [r for r in real if r > self.x0], [r for r in real if r < self.x0]
        if len(above) + len(below) < len(real):
            raise _TooCoarse  # the ball around a root holds x0
        if g(x0) > 0:
            self.way, self.ahead, self.behind = 1, min(above), max(below) if below else None
        else:
            self.way, self.ahead, self.behind = -1, max(below), min(above) if above else None
        self.to_ahead = abs(self.ahead - self.x0)
        self.rate = abs(flint.arb(g(x0))) / self.to_ahead  # dδ/dt at the start
        if self.behind is not None:
            self.to_behind = abs(self.x0 - self.behind)
            self.rate *= (self.to_ahead + self.to_behind) / self.to_behind
        upper = [(r, m) for r, m in roots if not r.imag < 0]  # the others are their conjugates
        self.terms = [(r, _residues(g, r, m)) for r, m in upper]

    def distances(self, d):
        """From the root ahead and from the root behind."""
        import flint

        grown = flint.arb(d).exp()
        if self.behind is None:
            return self.to_ahead / grown, None
        ratio = grown * self.to_behind / self.to_ahead
        ahead = (self.to_ahead + self.to_behind) / (1 + ratio)
        return ahead, ahead * ratio

    def place(self, d):
        """x at δ = d, which at the start loses no digits."""
        import flint

        grown = flint.arb(d)
        if self.behind is None:
            return self.x0 - self.way * self.to_ahead * (-grown).expm1()
        ratio = self.to_behind / self.to_ahead
        return self.x0 + self.way * self.to_behind * grown.expm1() / (1 + grown.exp() * ratio)

    def time(self, d):
        """The time at δ = d."""
        import flint

        ahead, behind = self.distances(d)
        x, total = self.ahead - self.way * ahead, flint.arb(0)
        for r, residues in self.terms:
            now, start = x - r, self.x0 - r
            if r is self.ahead:
                now = -self.way * ahead
            elif r is self.behind:
                now = self.way * behind
            term = residues[0] * (now / start).log()
            for j, A in enumerate(residues[1:], 1):
                term += A * (start**-j - now**-j) / j
            total += term if r.imag == 0 else 2 * term.real
        if not float(total.rad()) <= SURE * abs(float(total)):
            raise _TooCoarse
        return total

    def spent(self, d, t):
        """Of the time t, that until δ = d, and that since."""
        moved = self.time(d) if d else 0
        return moved, (t - moved if d >= FAR else 0)

    def read(self, ts):
        """δ at each of the times."""
        from scipy.optimize import brentq

        read, d, before = np.zeros(len(ts)), 0.0, 0.0
        for k in np.argsort(ts, kind="stable"):
            t = float(ts[k])
            if t > before:
                guess = d * (t / before) if d else t * float(self.rate)
                d, before = self._bracketed(t, guess, brentq), t
            read[k] = d
        return read

    def _bracketed(self, t, d, root):
        late = lambda d: float(self.time(d) - t)
        if t * float(self.rate) < SMALL:
            return t * float(self.rate)
        d = min(d, FAR)
        if late(d) < 0:
            while late(d) < 0:
                if d >= FAR:
                    return FAR
                d = min(2 * d, FAR)
            low, high = d / 2, d
        else:
            low, high = d / 2, d
            while late(low) > 0:
                low, high = low / 2, low
        return root(late, low, high, xtol=TINY, rtol=4 * np.finfo(float).eps)


def _sure(x, digits):
    """A float of the ball x, if it has the digits of one."""
    if not float(x.rad()) <= max(SURE * abs(float(x)), TINY) and digits < MOST:
        raise _TooCoarse
    return float(x)


def _residues(g, r, m):
    """A₁, …, A_m of 1/g at its root r of multiplicity m: Taylor's coefficients of (x - r)^m/g."""
    import flint

    ring = flint.arb_poly if isinstance(r, flint.arb) else flint.acb_poly
    derivative, factorial, taylor = g, 1, []
    for order in range(2 * m):
        if order >= m:
            taylor.append(ring(derivative)(r) / factorial)
        derivative, factorial = derivative.derivative(), factorial * (order + 1)
    inverse = [1 / taylor[0]]
    for n in range(1, m):
        inverse.append(-sum(taylor[i] * inverse[n - i] for i in range(1, n + 1)) / taylor[0])
    return inverse[::-1]
