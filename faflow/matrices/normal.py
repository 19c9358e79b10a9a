"""The normal form of words: two words are equal for every size if and only if theirs agree."""

from itertools import pairwise
from typing import NamedTuple


class Letter(NamedTuple):
    """A matrix of unnamed size, (rows, cols) being the names of its spaces.

    The space "1" has dimension one.  A diagonal letter is symmetric and commutes with the other
    diagonal ones; a mask is idempotent besides.
    """

    name: str
    rows: str
    cols: str
    diagonal: bool = False
    mask: bool = False


def flip(word):
    return tuple((m, False if m.diagonal else not flipped) for m, flipped in reversed(word))


def spell(word):
    return " ".join(m.name + "'" * flipped for m, flipped in word)


def sort_key(item):
    key, c = item
    return (c < 0, str(key))


def one(space):
    """The identity of `space` in a trace, which has no space of its own to remember."""
    return ((Letter(f"I_{space}", space, space, diagonal=True), False),)


def right(item):
    """The space on a letter's right in a product."""
    m, flipped = item
    return m.rows if flipped else m.cols


def left(item):
    m, flipped = item
    return m.cols if flipped else m.rows


def ordered(word):
    """Normal order: adjacent diagonal letters sorted, masks once, scalar factors sorted."""
    return scalars_sorted(commuted(word))


def commuted(word):
    """Adjacent diagonal letters sorted, masks once."""
    diagonal = [m.diagonal for m, _ in word]
    if not any(a and b for a, b in pairwise(diagonal)):
        return word
    out = []
    for item in word:
        out.append(item)
        i = len(out) - 1
        while i and out[i][0].diagonal and out[i - 1][0].diagonal and out[i] < out[i - 1]:
            out[i - 1], out[i] = out[i], out[i - 1]
            i -= 1
    return tuple(
        item for i, item in enumerate(out) if not (item[0].mask and out[i - 1 : i] == [item])
    )


def segments(word):
    """The word cut wherever it passes through the space of dimension one."""
    cut, part = [], []
    for item in word:
        part.append(item)
        if right(item) == "1":
            cut.append(tuple(part))
            part = []
    return [*cut, tuple(part)] if part else cut


def scalars_sorted(word):
    cuts = sum((m.rows if flipped else m.cols) == "1" for m, flipped in word)
    if cuts == 0 or (cuts == 1 and left(word[0]) != "1" != right(word[-1])):
        return word
    parts = segments(word)
    first = [] if left(word[0]) == "1" else parts[:1]
    last = [] if right(word[-1]) == "1" else parts[-1:]
    if len(first) + len(last) > len(parts):
        return word
    scalars = parts[len(first) : len(parts) - len(last)]
    scalars = sorted(min(part, commuted(flip(part))) for part in scalars)
    return tuple(item for part in (*first, *scalars, *last) for item in part)


def rewrite(word, relations):
    for left, right in relations:
        for i in range(len(word) - len(left) + 1):
            if word[i : i + len(left)] == left:
                tail = word[i + len(left) :]
                return {word[:i] + other + tail: c for other, c in right.items()}
    return None


def diagonal_key(word):
    """(diagonal letters, the rest): diag(D M) = D diag(M) = diag(M D)."""
    pulled, word = [], list(word)
    while word and word[0][0].diagonal:
        pulled.append(word.pop(0))
    while word and word[-1][0].diagonal:
        pulled.append(word.pop())
    word = tuple(word)
    return ordered(tuple(sorted(pulled))), min(ordered(word), ordered(flip(word)))


def trace_key(word):
    """The least among all rotations of the word and of its transpose."""
    turned = [v[i:] + v[:i] for v in (word, flip(word)) for i in range(max(1, len(word)))]
    cut = [v for v in turned if v and right(v[-1]) == "1"]  # a closed product of scalars
    whole = [v for v in turned if v and not (v[0][0].diagonal and v[-1][0].diagonal)]
    return min(map(ordered, cut or whole or turned))  # neighbours that commute stay together
