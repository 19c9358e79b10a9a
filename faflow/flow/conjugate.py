"""Conjugate gradients on tuples of arrays, in NumPy's loops or in compiled ones."""

MOST = 300
"""Steps of conjugate gradients at most."""

PATIENCE = 60, 12
"""Steps of theirs in which a residual is to halve, and one that is nearly rounding."""

LEFT = 1e5
"""Times the least residual that they have had at which they are given up."""


def picked(which, ones, others, xp):
    """Each of `ones` where `which` is true, else that of `others`."""
    return tuple(xp.where(which, a, b) for a, b in zip(ones, others, strict=True))


def conjugate(apply, precondition, R, floor, xp, loop):
    """Steps and x with apply(x) = R, to a millionth or the norm `floor`, by conjugate gradients.

    R and x are tuples of arrays.  Where R is by more than that not of the form apply(x), they come
    near and then leave: the nearest is returned.
    """
    dot = lambda a, b: sum(xp.sum(x * y) for x, y in zip(a, b, strict=True))
    plus = lambda a, b, h: tuple(x + h * y for x, y in zip(a, b, strict=True))
    whole = dot(R, R)

    def goes_on(now):
        count, _, _, _, _, size, least, _, (halved, _) = now
        left = xp.maximum(1e-12 * whole, floor**2)
        hopes = count < halved + xp.where(size > 4 * left, *PATIENCE)
        return hopes & (count < MOST) & (size > left) & (size <= LEFT**2 * least)

    def step(now):
        count, x, r, way, old, _, least, nearest, (halved, mark) = now
        image = apply(way)
        bent = dot(way, image)
        h = xp.where(bent > 0, old / xp.where(bent > 0, bent, 1), 0)
        x, r = plus(x, way, h), plus(r, image, -h)
        ahead = precondition(r)
        new, size = dot(r, ahead), dot(r, r)
        way = plus(ahead, way, new / xp.maximum(old, 1e-300))
        nearest = picked(size < least, x, nearest, xp)
        better = size < mark / 4
        halved = xp.where(better, count, halved), xp.where(better, size, mark)
        return count + 1, x, r, way, new, size, xp.minimum(size, least), nearest, halved

    first, none = precondition(R), tuple(0 * r for r in R)
    start = (0, none, R, first, dot(R, first), whole, whole, none, (0, whole))
    found = loop(goes_on, step, start)
    return found[0], found[-2]
