"""Polynomials over the rationals as entries of arrays."""

from fractions import Fraction
from numbers import Integral

from .words import exact


class Polynomial:
    """A polynomial of flint's, which NumPy takes for one entry and not for a list of its terms.

    Sums and products with each other and with numbers, floats by their exact binary values; no
    function of them is a polynomial, so they have none.
    """

    __slots__ = ("of",)

    def __init__(self, of):
        self.of = of

    def _with(self, other, do):
        if not isinstance(other, Polynomial):
            try:
                other = number(exact(other))
            except TypeError:
                return NotImplemented
        else:
            other = other.of
        return Polynomial(do(self.of, other))

    def __add__(self, other):
        return self._with(other, lambda x, y: x + y)

    def __sub__(self, other):
        return self._with(other, lambda x, y: x - y)

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        return self._with(other, lambda x, y: x * y)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Polynomial(-self.of)

    def __truediv__(self, other):
        if isinstance(other, Polynomial):
            raise TypeError("a quotient of polynomials is none")
        return self * (1 / Fraction(exact(other)))

    def __pow__(self, power):
        if not isinstance(power, Integral) or power < 0:
            raise TypeError(f"a polynomial to the power {power} is none")
        return Polynomial(self.of ** int(power))

    def __eq__(self, other):
        if isinstance(other, Polynomial):
            return bool(self.of == other.of)
        made = self - other
        return made if made is NotImplemented else made.of == 0

    __hash__ = None

    def __bool__(self):
        raise TypeError("a polynomial is neither true nor false")

    def terms(self):
        """Pairs of the exponents of all variables and the coefficient."""
        return self.of.terms()

    def context(self):
        return self.of.context()

    def __str__(self):
        return str(self.of)

    __repr__ = __str__


def variables(names):
    """Variables of polynomials over the rationals, one for each name."""
    import flint

    made = flint.fmpq_mpoly_ctx.get(names, flint.Ordering.degrevlex).gens()
    return [Polynomial(x) for x in made]


def number(value):
    """flint's rational; it does not know `Fraction`."""
    import flint

    return flint.fmpq(int(value.numerator), int(value.denominator))
