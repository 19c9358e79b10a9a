"""What follows from laws among words: products with each other and with what stands still."""

from fractions import Fraction


def consequences(search, pair, form, longest, found, growth):
    """Words of the products of laws found with each other and with what stands still.

    Of at most `longest` letters from pair[0] to pair[1], in the form asked, with e^{growth t}.
    found: (law, its words in the letters of `search`).
    """
    if form != "matrix":
        for words in consequences(search, pair, "matrix", longest, found, growth):
            yield getattr(words, form)()
        for law, words in found:
            if law.growth == growth and words.form == "diagonal" and words.rows == pair[0]:
                yield words if form == "diagonal" else words.sum()
        return
    of: list = [(w, length_of(w), law.growth, True) for law, w in found if w.form == "matrix"]
    for instead in _special(search, longest):
        of += [
            (w, length_of(w), *rest) for words, _, *rest in of for w in _substituted(words, instead)
        ]
    of += [(search.now[n], 1, Fraction(0), False) for n in search.fixed]
    of += [(words.T, *rest) for words, *rest in of]
    longest += sum(u.space == end for u in search.unknowns for end in pair)
    waiting = [item for item in of if item[0].rows == pair[0]]
    while waiting:
        words, length, total, is_law = waiting.pop()
        if is_law and words.cols == pair[1] and total == growth:
            yield words
        waiting += [
            (words @ other, length + more, total + g, is_law or law)
            for other, more, g, law in of
            if other.rows == words.cols and length + more <= longest
        ]


def _special(search, longest):
    """What may stand, as the first factor of a law, for unknowns: {(name, flipped): words}.

    N₁'C for N₂' where C C₂ is what N₁' is null to and C₂ what N₂' is; N₁' for P, 0 for Q.
    """
    nulls = [(u.names[0], u.products[0]) for u in search.unknowns if u.flipped]
    for high, above in nulls:
        for low, below in nulls:
            cut = len(below) - len(above)
            if 0 < cut < longest and below[cut:] == above:
                replaced = search.now[low].T
                for name in below[:cut]:
                    replaced = replaced @ search.now[name]
                yield {(high, True): replaced}
    for pair in (u for u in search.unknowns if not u.flipped):
        for name, product in nulls:
            if product in pair.products:
                stays = pair.names[pair.products.index(product)]
                instead = {(n, False): 0 for n in pair.names}
                yield instead | {(stays, False): search.now[name].T}


def _substituted(words, instead):
    """The sum with its first factors, or its last ones transposed, replaced in every word."""
    for side in (words, words.T):
        firsts = [(key[0][0].name, key[0][1]) for key in side.terms]
        if all(first in instead for first in firsts):
            parts = [
                instead[first] @ side.of(key[1:], instead[first].cols, side.cols) * c
                for (key, c), first in zip(side.terms.items(), firsts, strict=True)
                if instead[first]
            ]
            made = sum(parts[1:], parts[0])
            yield made if side is words else made.T


def items_of(key, form):
    return key[0] + key[1] if form == "diagonal" else key


def length_of(words):
    return max(len(items_of(key, words.form)) for key in words.terms)
