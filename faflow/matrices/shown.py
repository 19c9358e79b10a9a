"""How sums of words are shown: as text, as LaTeX, and as SymPy's matrix expressions."""

from fractions import Fraction

from . import normal


def text(words):
    """Transposes as ', the order of the terms fixed."""

    def show(word, c):
        if words.form == "diagonal":
            masks, word = word
            body = normal.spell(masks) + " " * bool(masks) + f"diag({normal.spell(word) or 'I'})"
        else:
            body = normal.spell(word) or f"I_{words.rows}"
            body = f"tr({body})" if words.form == "trace" else body
        return ("- " if c < 0 else "+ ") + (f"{abs(c)} " if abs(c) != 1 else "") + body

    return _sum(words, show)


def latex(words):
    """The same sum as LaTeX, transposes as ``^{\\top}``."""

    def letter(item):
        made, flipped = item
        if "(" in made.name:  # a function of words, which has no letter of its own
            head, low = rf"\mathrm{{{made.name.replace('_', chr(92) + '_')}}}", ""
        else:
            head, cut, low = made.name.partition("_")
            if not cut:
                head = made.name.rstrip("0123456789")
                low = made.name[len(head) :]
        return head + (f"_{{{low}}}" if low else "") + (r"^{\top}" if flipped else "")

    def show(key, c):
        masks, word = key if words.form == "diagonal" else ((), key)
        body = " ".join(map(letter, word)) or "I"
        if words.form == "diagonal":
            body = " ".join(map(letter, masks)) + rf"\operatorname{{diag}}({body})"
        elif words.form == "trace":
            body = rf"\operatorname{{tr}}({body})"
        size = abs(Fraction(c))
        if size.denominator != 1:
            body = rf"\tfrac{{{size.numerator}}}{{{size.denominator}}} {body}"
        elif size != 1:
            body = f"{size} {body}"
        return ("- " if c < 0 else "+ ") + body

    return _sum(words, show)


def _sum(words, show):
    shown = [show(*item) for item in sorted(words.terms.items(), key=normal.sort_key)]
    return " ".join(shown).removeprefix("+ ") or "0"


def as_sympy(words):
    """The same sum as a SymPy matrix expression with symbolic dimensions."""
    import sympy
    from sympy.matrices.expressions.diagonal import DiagonalOf

    def size(space):
        if space == "1":
            return sympy.Integer(1)
        base, _, one = space.partition("+")
        return sympy.Symbol(f"n_{base}", integer=True, positive=True) + (1 if one else 0)

    def matrix(word, space):
        if not word or word == normal.one(word[0][0].rows):
            return sympy.Identity(size(word[0][0].rows if word else space))
        made = (sympy.MatrixSymbol(m.name, size(m.rows), size(m.cols)) for m, _ in word)
        factors = [M.T if t else M for M, (_, t) in zip(made, word, strict=True)]
        return factors[0] if len(factors) == 1 else sympy.MatMul(*factors)

    out = []
    for key, c in sorted(words.terms.items(), key=normal.sort_key):
        number = sympy.Rational(Fraction(c).numerator, Fraction(c).denominator)
        if words.form == "diagonal":
            masks, word = key
            body = DiagonalOf(matrix(masks + word, words.rows))
        elif words.form == "trace":
            body = sympy.Trace(matrix(key, words.rows))
        else:
            body = matrix(key, words.rows)
        out.append(number * body)
    if words.form == "trace":
        return sympy.Add(*out)
    if len(out) == 1:
        return out[0]
    shape = (size(words.rows), size(words.cols))
    return sympy.MatAdd(*out) if out else sympy.ZeroMatrix(*shape)
