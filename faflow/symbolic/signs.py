"""Whether a law is local: it jumps where a weight changes its sign."""

from ..matrices import Words

LOCAL = ", while no weight changes its sign"


def while_signs_last(value):
    """A reservation for laws that jump where a weight changes its sign: sign(W)V but not |W|."""
    if isinstance(value, Words):
        jumps = any(
            letter.name.startswith("sign(") and not _absolute(word, value.form)
            for word in _words(value)
            for letter, _ in word
        )
        return LOCAL * jumps
    return LOCAL * any(map(_jumps, value.ravel()))


def _words(value):
    return [key[0] + key[1] if value.form == "diagonal" else key for key in value.terms]


def _absolute(word, form):
    """Whether a word is Σ|W| over columns or all entries: sign(W)'W on a diagonal or in a trace."""
    (one, turned), (other, flipped) = word if len(word) == 2 else (word[0], word[0])
    names = {one.name, other.name}
    return form != "matrix" and turned != flipped and any(f"sign({n})" in names for n in names)


def _jumps(entry):
    """Whether a SymPy entry has a sign that its own argument does not multiply."""
    if not hasattr(entry, "free_symbols"):
        return False
    import sympy

    continuous = sympy.expand(entry).replace(
        lambda e: e.is_Mul,
        lambda e: (
            sympy.Mul(*(a for a in e.args if a.func != sympy.sign))
            if all(s.args[0] in e.args for s in e.args if s.func == sympy.sign)
            else e
        ),
    )
    return continuous.has(sympy.sign)
