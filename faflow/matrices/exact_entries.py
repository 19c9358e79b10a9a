"""Entries of arrays that are exact: polynomials over the rationals, and SymPy's expressions."""

from fractions import Fraction
from numbers import Integral

from .words import exact


class Entry:
    """What stands for a number in an array, with sums and products; floats by their exact values.

    NumPy would take a polynomial of flint's for a list of its terms, and SymPy rounds floats.
    """

    __slots__ = ("of",)
    __hash__ = None

    def __init__(self, of):
        self.of = of

    @staticmethod
    def number(value):
        """A number in the algebra of the entries.  Raises TypeError for what is not exact."""
        raise TypeError(f"{value!r:.60} is no exact number")

    def _with(self, other, do):
        if type(other) is not type(self):
            try:
                other = type(self)(self.number(other))
            except TypeError:
                return NotImplemented
        return type(self)(do(self.of, other.of))

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
        return type(self)(-self.of)

    def __eq__(self, other):
        rest = self - other
        return rest if rest is NotImplemented else bool(rest.of == 0)

    def __bool__(self):
        raise TypeError("an entry of unknown value is neither true nor false")

    def __str__(self):
        return str(self.of)

    __repr__ = __str__


class Polynomial(Entry):
    """A polynomial of flint's.  No function of it is a polynomial, so that it has none."""

    __slots__ = ()

    @staticmethod
    def number(value):
        import flint

        made = exact(value)
        return flint.fmpq(made.numerator, made.denominator)

    def __truediv__(self, other):
        if isinstance(other, Polynomial):
            raise TypeError("a quotient of polynomials is none")
        return self * (1 / Fraction(exact(other)))

    def __pow__(self, power):
        if not isinstance(power, Integral) or power < 0:
            raise TypeError(f"a polynomial to the power {power} is none")
        return Polynomial(self.of ** int(power))

    def terms(self):
        """Pairs of the exponents of all variables and the coefficient."""
        return self.of.terms()

    def context(self):
        return self.of.context()


class Expression(Entry):
    """An expression of SymPy's, without floats."""

    __slots__ = ()

    @staticmethod
    def number(value):
        import sympy

        if isinstance(value, sympy.Expr) and not value.has(sympy.Float):
            return value
        made = exact(value)
        return sympy.Rational(made.numerator, made.denominator)

    def __truediv__(self, other):
        return self._with(other, lambda x, y: x / y)

    def __rtruediv__(self, other):
        return self**-1 * other

    def __pow__(self, power):
        return self._with(power, lambda x, y: x**y)

    def __abs__(self):
        return Expression(abs(self.of))

    def sqrt(self):
        return self ** Fraction(1, 2)


def variables(names):
    """Variables of polynomials over the rationals, one for each name."""
    import flint

    made = flint.fmpq_mpoly_ctx.get(names, flint.Ordering.degrevlex).gens()
    return [Polynomial(x) for x in made]


def symbols(names):
    """Real symbols of SymPy, one for each name."""
    import sympy

    return [Expression(sympy.Symbol(name, real=True)) for name in names]
