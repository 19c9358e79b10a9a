"""Find the laws a rule keeps among words of bounded length, for networks of every size."""

from itertools import combinations_with_replacement

from ..nets import checked_sizes
from .law import Laws
from .problems import check_bias, check_seed, phi_and_scope, samples_add_up
from .prove import Question
from .search import Search
from .signs import LOCAL

FORMS = ("matrix", "diagonal", "trace")
FEEDBACK = ("symbolic", "numeric", "both")


def discover(
    rule,
    sizes=None,
    *,
    degree=None,
    depth=None,
    length=None,
    ends=None,
    form=None,
    feedback=None,
    activation="linear",
    bias=False,
    seed=None,
):
    """All laws of `rule`: among sums of words for every size, or among polynomials at given sizes.

    Without sizes: sums of words of at most `length` letters.  Besides weights and feedback these
    may hold matrices that the feedback determines, such as its left null space N (N'B = 0), and
    these make a word longer by up to two letters.  What follows from a law listed is left out: its
    transpose, its diagonal and trace, its products with other laws and with what stands still.
    depth: number of weight matrices, and length: of letters, each 2 unless said.
    ends: the spaces a word goes to and from (rows, columns), among "in", "h1", …, "out"; None all.
    form: matrix, diagonal (one law a neuron) or trace, which need equal ends; None all.

    With sizes: polynomials in the entries of degree at most `degree`, 2 unless said, an exact
    basis, complete at this degree; what is left out are polynomials of laws listed and of the
    feedback.
    feedback: symbolic (default: entries are variables, the laws are for every feedback), numeric
        (the rule's own, or small integers drawn by `seed`; the laws are for this one) or both.
    seed: of all that is drawn (default: 0).

    activation: linear, "piecewise", or the name of a piecewise linear or homogeneous one.
    With decay or friction, laws kept up to a factor e^{ct} with rational c.
    Returns `Laws`, a sequence of `Law` or `PolynomialLaw`, each with its proof.
    Raises ValueError for a search that cannot be made.
    """
    check_bias(bias)
    of_words = {"length": length, "ends": ends, "form": form}
    of_polynomials = {"degree": degree, "feedback": feedback, "seed": seed}
    _check(sizes, depth, of_words, of_polynomials)
    if sizes is not None:
        chosen = degree or 2, depth, feedback or "symbolic", activation, bias, seed or 0
        return _polynomials(rule, sizes, *chosen)
    depth, length = depth or 2, length or 2
    search = Search(rule, depth, activation, bias)
    layers = search.layers
    two = isinstance(ends, tuple | list) and len(ends) == 2
    if ends is not None and not (two and all(isinstance(e, str) and e in layers for e in ends)):
        raise ValueError(f"ends must be two spaces among {', '.join(layers)}, not {ends!r}.")
    if ends is not None and form in ("diagonal", "trace") and ends[0] != ends[1]:
        raise ValueError(f"A {form} needs equal ends, but they are {ends!r}.")
    pairs = list(combinations_with_replacement(layers, 2)) if ends is None else [tuple(ends)]
    pairs.sort(key=lambda pair: sum(u.space in pair for u in search.unknowns))
    found = []
    for longest in range(1, length + 1):  # short laws first: their products are known then
        for kind in FORMS if form is None else (form,):
            square = [pair for pair in pairs if pair[0] == pair[1]]
            if kind == "trace":  # numbers, whatever space they are taken in
                found += search.laws(square, kind, longest, found)
                continue
            for pair in pairs if kind == "matrix" else square:
                found += search.laws([pair], kind, longest, found)
    for one in found[::-1]:  # a short law may follow from longer ones, found after it
        if search.follows(one, [other for other in found if other is not one]):
            found.remove(one)
    order = lambda law: min(search.numbers(key, law.words.form) for key in law.words.terms)
    network = Question(None, None, rule, activation, bias, "any", {}).network(f"{depth}-layer ")
    letters = f"at most {length} letters" if length > 1 else "one letter"
    scope = f"words of {letters}, every size of {network}"
    one = activation != "linear" or search.rule.single
    scope += ", one sample" * (one and not samples_add_up(search.rule))
    scope += ", up to e^{ct} with rational c" * search.drifts
    laws = tuple(sorted((law for law, _ in found), key=order))
    scope += LOCAL * any(LOCAL in law.verdict.scope for law in laws)
    held = [f"{n} = {M}" for n, M in search.rule.constants(search.w).items() if n != str(M)]
    return Laws(laws, "; ".join([scope, *held]), search.rule)


def _polynomials(rule, sizes, degree, depth, feedback, activation, bias, seed):
    from .polynomials import discover_polynomials

    sizes = checked_sizes(sizes)
    if depth not in (None, len(sizes) - 1):
        raise ValueError(f"sizes {sizes} have depth {len(sizes) - 1}, not {depth}.")
    if phi_and_scope(activation)[1] is None:
        raise ValueError(f"Polynomial laws need homogeneous activations, but {activation} is none.")
    try:
        known = discover(rule, depth=len(sizes) - 1, activation=activation, bias=bias)
    except ValueError:  # a rule that words cannot evaluate, though polynomials may
        known = ()
    return discover_polynomials(rule, sizes, degree, feedback, activation, bias, known, seed)


def _check(sizes, depth, of_words, of_polynomials):
    """Raise ValueError for options that are wrong, or of the other kind of search."""
    given = {"depth": depth, **of_words, **of_polynomials}
    given = {name: value for name, value in given.items() if value is not None}
    for name in [name for name in ("depth", "length", "degree") if name in given]:
        whole = isinstance(given[name], int) and not isinstance(given[name], bool)
        if not whole or given[name] < 1:
            raise ValueError(f"{name} must be a positive integer, but is {given[name]!r}.")
    for name, known in {"form": FORMS, "feedback": FEEDBACK}.items():
        if name in given and given[name] not in known:
            raise ValueError(f"Unknown {name} {given[name]!r}; choose from {', '.join(known)}.")
    check_seed(given.get("seed", 0))
    for name, value in (of_polynomials if sizes is None else of_words).items():
        if value is not None:
            kind = "polynomials; give sizes" if sizes is None else "words; give no sizes"
            raise ValueError(f"{name} is of {kind}, or leave out {name}={value!r}.")
