"""Sums of words in matrices of unnamed size: what holds between them holds for every size."""

from fractions import Fraction
from numbers import Integral, Rational

import numpy as np

from . import normal, shown
from .normal import Letter
from .plain import Plain


class Alphabet:
    """The letters of one problem, with the relations its user assumes between them.

    samples: the name of the space whose dimension is the number of samples.
    """

    def __init__(self, samples="samples"):
        self.samples = samples
        self.letters, self.relations, self.augmented = {}, [], {}
        self.ones_known = {}

    def letter(self, name, rows, cols, *, diagonal=False, mask=False):
        """The matrix `name` from space `cols` to space `rows`, as a word of one letter."""
        made = Letter(name, rows, cols, diagonal or mask, mask)
        if made.diagonal and rows != cols:
            raise ValueError(
                f"A diagonal {name} must stay in its space, but goes {cols} to {rows}."
            )
        if self.letters.setdefault(name, made) != made:
            raise ValueError(f"The letter {name} is already {self.letters[name]}.")
        return Words(self, {((made, False),): 1}, rows, cols)

    def identity(self, space):
        """The identity of `space`: the empty word."""
        return Words(self, {(): 1}, space, space)

    def relate(self, left, right=0):
        """Assume ``left = right``, `left` a single word and `right` made of shorter ones.

        The transposed relation is assumed too.  Rewriting stops because words only get shorter;
        that it finds every consequence of several relations is not promised.
        """
        if left.form != "matrix" or len(left.terms) != 1 or set(left.terms.values()) != {1}:
            raise ValueError(f"A relation rewrites a single word, but its left side is {left}.")
        ((word, _),) = left.terms.items()
        if isinstance(right, Words):
            left._same_spaces(right, "=")
            result = right.terms
        elif right == 0:
            result = {}
        else:
            raise ValueError(f"A relation leads to words or to 0, not to {right!r}.")
        if any(len(other) >= len(word) for other in result):
            raise ValueError(f"A relation must shorten words, but {left} = {right} does not.")
        self.relations.append((word, result))
        flipped = (normal.flip(word), {normal.flip(other): c for other, c in result.items()})
        if flipped != (word, result):
            self.relations.append(flipped)

    def augmentation(self, space):
        """J and o of ``J a + o 1'``, which appends a row of ones 1' to `a`, a matrix into `space`.

        J'J = I, J'o = 0 and o'o = 1; the augmented space is called ``space+1``.
        """
        if space not in self.augmented:
            J = self.letter(f"J_{space}", f"{space}+1", space)
            o = self.letter(f"o_{space}", f"{space}+1", "1")
            self.relate(J.T @ J, self.identity(space))
            self.relate(J.T @ o, 0)
            self.relate(o.T @ o, self.identity("1"))
            self.augmented[space] = J, o
        return self.augmented[space]

    def ones(self, space=None):
        """The row of ones, one for each sample, or for each dimension of `space`.

        A letter, unless ``ones_known[space]`` says what words it is equal to.
        """
        space = self.samples if space is None else space
        if space == "1":
            return self.identity("1")
        name = "ones" if space == self.samples else f"ones_{space}"
        known = self.ones_known.get(space)
        return self.letter(name, "1", space) if known is None else known


class Words(Plain):
    """Rational sum of words in matrices of unnamed size, such as ``W1 W1' - B2 W2``.

    An identity between words holds for matrices of every size that fits.  `form` is "matrix",
    "diagonal" (the column of diagonal entries) or "trace".
    """

    def __init__(self, alphabet, terms, rows, cols, form="matrix"):
        self.alphabet, self.rows, self.cols, self.form = alphabet, rows, cols, form
        self.terms = {word: c for word, c in terms.items() if c}

    def _with(self, terms):
        return Words(self.alphabet, terms, self.rows, self.cols, self.form)

    def of(self, word, rows, cols):
        """A single word of the same alphabet, from `cols` to `rows`."""
        return Words(self.alphabet, {word: 1}, rows, cols)

    def _same_spaces(self, other, sign):
        if self.alphabet is not other.alphabet:
            raise ValueError("These words belong to different alphabets.")
        if (self.rows, self.cols, self.form) != (other.rows, other.cols, other.form):
            raise ValueError(
                f"{self} {sign} {other} does not fit: the one is a {self._kind()},"
                f" the other a {other._kind()}."
            )

    def _kind(self):
        if self.form == "matrix":
            return f"matrix from space {self.cols} to space {self.rows}"
        return "trace" if self.form == "trace" else f"diagonal in space {self.rows}"

    def __add__(self, other):
        if not isinstance(other, Words):
            if isinstance(other, Rational) and other == 0:
                return self
            return NotImplemented
        self._same_spaces(other, "+")
        terms = dict(self.terms)
        for word, c in other.terms.items():
            terms[word] = terms.get(word, 0) + c
        return self._with(terms)

    __radd__ = __add__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __mul__(self, number):
        if isinstance(number, Words):
            raise TypeError("Words have no elementwise product; give sizes to work with entries.")
        number = exact(number)
        return self._with({word: c * number for word, c in self.terms.items()})

    __rmul__ = __mul__

    def __truediv__(self, number):
        return self * (1 / Fraction(exact(number)))

    def __matmul__(self, other):
        if not isinstance(other, Words):
            return NotImplemented
        if self.alphabet is not other.alphabet:
            raise ValueError("These words belong to different alphabets.")
        if self.form != "matrix" or other.form != "matrix" or self.cols != other.rows:
            raise ValueError(
                f"({self}) @ ({other}) does not fit: the left is a {self._kind()},"
                f" the right a {other._kind()}."
            )
        product = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                product[left + right] = product.get(left + right, 0) + a * b
        return Words(self.alphabet, self._reduced(product), self.rows, other.cols)

    def _reduced(self, terms):
        """The same sum in normal words: relations applied, masks and scalars in order."""
        done, waiting = {}, list(terms.items())
        while waiting:
            word, c = waiting.pop()
            word = normal.ordered(word)
            rewritten = normal.rewrite(word, self.alphabet.relations)
            if rewritten is None:
                done[word] = done.get(word, 0) + c
            else:
                waiting += [(other, c * d) for other, d in rewritten.items()]
        return done

    @property
    def T(self):
        if self.form != "matrix":
            return self
        flipped = {normal.flip(word): c for word, c in self.terms.items()}
        return Words(self.alphabet, self._reduced(flipped), self.cols, self.rows)

    def diagonal(self):
        """The diagonal: diag(M) = diag(M'), and diagonal letters at both ends move out."""
        self._square("diagonal")
        out = {}
        for word, c in self.terms.items():
            key = normal.diagonal_key(word)
            out[key] = out.get(key, 0) + c
        return Words(self.alphabet, out, self.rows, "1", "diagonal")

    def trace(self):
        """The trace: tr(AB) = tr(BA) and tr(M) = tr(M')."""
        self._square("trace")
        out = {}
        for word, c in self.terms.items():
            key = normal.trace_key(word) or normal.one(self.rows)
            out[key] = out.get(key, 0) + c
        return Words(self.alphabet, self._reduced_traces(out), "1", "1", "trace")

    def sum(self):
        """The sum of a diagonal's entries, a trace."""
        if self.form != "diagonal":
            raise TypeError("Only the diagonal of words has a sum; take .diagonal() first.")
        matrix = {masks + word: c for (masks, word), c in self.terms.items()}
        return Words(self.alphabet, self._reduced(matrix), self.rows, self.rows).trace()

    def _reduced_traces(self, terms):
        """Relations applied across the cyclic seam as well."""
        done, waiting = {}, list(terms.items())
        while waiting:
            word, c = waiting.pop()
            for turned in (word[i:] + word[:i] for i in range(len(word))):
                rewritten = normal.rewrite(normal.ordered(turned), self.alphabet.relations)
                if rewritten is not None:
                    one = normal.one(normal.left(turned[0]))
                    waiting += [(other or one, c * d) for other, d in rewritten.items()]
                    break
            else:
                key = normal.trace_key(word)
                done[key] = done.get(key, 0) + c
        return done

    def _square(self, what):
        if self.form != "matrix" or self.rows != self.cols:
            raise ValueError(f"Only a square matrix has a {what}, but {self} is a {self._kind()}.")

    def columns(self, space):
        """These words without the column of a bias: restricted to `space`."""
        return self if self.cols == space else self @ self.alphabet.augmentation(space)[0]

    def split(self):
        """(weights, biases): these words without the last column, and that column."""
        J, o = self.alphabet.augmentation(self.cols.removesuffix("+1"))
        return self @ J, self @ o

    def __bool__(self):
        return bool(self.terms)

    def __eq__(self, other):
        if isinstance(other, Words):
            return not (self - other)
        return not self.terms if other == 0 else NotImplemented

    __hash__ = None

    def __getattr__(self, name):
        raise AttributeError(
            f"Words stand for matrices of unnamed size and have no .{name}; give sizes, for"
            " instance prove(law, rule, sizes=(2, 3, 2)), to work entry by entry."
        )

    def __str__(self):
        return shown.text(self)

    __repr__ = __str__

    def latex(self):
        """The same sum as LaTeX, transposes as ``^{\\top}``."""
        return shown.latex(self)

    def sympy(self):
        """The same sum as a SymPy matrix expression with symbolic dimensions.

        A diagonal becomes `DiagonalOf`, a trace `Trace`.
        """
        return shown.as_sympy(self)


def exact(number):
    """`number` as an integer or `Fraction`, a float by its exact binary value."""
    if isinstance(number, Integral) and not isinstance(number, bool):  # a comparison
        return int(number)
    if isinstance(number, Rational) and not isinstance(number, bool):
        return Fraction(number)
    if isinstance(number, float | np.floating) and np.isfinite(number):
        return Fraction(float(number))
    raise TypeError(f"Exact algebra takes rational factors only, but got {number!r:.60}.")
