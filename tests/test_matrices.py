from collections import defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy
from problems import with_sizes

import faflow as ff
from faflow.matrices import (
    Alphabet,
    Series,
    Words,
    columns,
    exact,
    rational,
    split_biases,
    with_ones,
)

DIMENSIONS = {"in": 2, "h": 3, "out": 2, "1": 1}


def letters():
    """An alphabet on the spaces in, h, out and 1, with its letters by name."""
    alphabet = Alphabet()
    made = {
        "W": alphabet.letter("W", "h", "in"),
        "F": alphabet.letter("F", "h", "h"),
        "V": alphabet.letter("V", "out", "h"),
        "B": alphabet.letter("B", "h", "out"),
        "D": alphabet.letter("D", "h", "h", diagonal=True),
        "S": alphabet.letter("S", "h", "h", diagonal=True),
        "M": alphabet.letter("M", "h", "h", mask=True),
        "a": alphabet.letter("a", "h", "1"),
        "b": alphabet.letter("b", "h", "1"),
        "s": alphabet.letter("s", "1", "1"),
    }
    return alphabet, made


def numbers(made, seed=0):
    """A random integer matrix for every letter, of the kind the letter is."""
    rng = np.random.default_rng(seed)

    def value(word):
        ((((letter, _),), _),) = word.terms.items()
        shape = DIMENSIONS[letter.rows], DIMENSIONS[letter.cols]
        M = rng.integers(2, 60, shape).astype(object)
        if letter.mask:
            return np.diag(np.array([1, 0, 1], dtype=object))
        return np.diag(M.diagonal()) if letter.diagonal else M

    identity = np.diag(np.ones(3, dtype=int)).astype(object)
    return {name: value(word) for name, word in made.items()} | {"I_h": identity}


def evaluate(words, values):
    """The words with matrices put in, term by term: an exact array."""
    n = DIMENSIONS[words.rows]
    total = 0
    for key, c in words.terms.items():
        masks, word = key if words.form == "diagonal" else ((), key)
        first = DIMENSIONS[word[0][0].cols if word[0][1] else word[0][0].rows] if word else n
        M = np.diag(np.ones(first, dtype=object).astype(int)).astype(object)
        for letter, flipped in word:
            M = M @ (values[letter.name].T if flipped else values[letter.name])
        if words.form == "diagonal":
            M = M.diagonal()
            for letter, _ in masks:
                M = values[letter.name].diagonal() * M
        total = total + c * (np.trace(M) if words.form == "trace" else M)
    return total


def same(a, b):
    return np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


def paths(made, ends, longest, names):
    """Every product of at most `longest` letters, transposed or not, between the spaces."""
    items = [(name, flip) for name in names for flip in (False, True)]
    for size in range(1, longest + 1):
        for path in product(items, repeat=size):
            word = None
            for name, flip in path:
                M = made[name].T if flip else made[name]
                if word is not None and word.cols != M.rows:
                    break
                word = M if word is None else word @ M
            else:
                if (word.rows, word.cols) == ends:
                    yield path, word


def product_of(path, values):
    M = None
    for name, flip in path:
        one = values[name].T if flip else values[name]
        M = one if M is None else M @ one
    return M


@pytest.mark.algebra
@pytest.mark.parametrize("form", ["matrix", "diagonal", "trace"])
@pytest.mark.parametrize(
    ("names", "longest"),
    [
        (("W", "D", "S", "M"), 4),
        (("F", "D", "S", "M"), 4),
        (("a", "b", "D", "S"), 4),
        (("B", "V", "D", "M"), 4),
    ],
)
def test_words_are_equal_exactly_when_their_values_are(form, names, longest):
    """All products up to a length, sorted once by their words and once by exact values."""
    _, made = letters()
    values = numbers(made)
    of = {"matrix": lambda M: M, "diagonal": lambda M: M.diagonal(), "trace": lambda M: M.trace()}
    by_word, by_value = defaultdict(set), defaultdict(set)
    for path, word in paths(made, ("h", "h"), longest, names):
        by_word[tuple(of[form](word).terms.items())].add(path)
        by_value[tuple(np.ravel(of[form](product_of(path, values))))].add(path)
    assert set(map(frozenset, by_word.values())) == set(map(frozenset, by_value.values()))


@pytest.mark.parametrize("seed", range(20))
def test_sums_and_products_of_words_have_the_values_of_sums_and_products(seed):
    """A random expression in words, beside the same one in matrices."""
    alphabet, made = letters()
    values, rng = numbers(made, seed), np.random.default_rng(seed)
    square = [path for path, _ in paths(made, ("h", "h"), 2, ("W", "D", "a", "B", "V"))]
    words, M = alphabet.identity("h"), np.eye(3, dtype=int).astype(object)
    for _ in range(3):
        path, c = square[rng.integers(len(square))], Fraction(int(rng.integers(1, 9)), 4)
        word, value = product_of(path, made), product_of(path, values)
        words, M = [
            (words @ (word * c - made["D"]), M @ (value * c - values["D"])),
            (words + word / 3, M + value * Fraction(1, 3)),
            (-words.T @ word, -M.T @ value),
        ][rng.integers(3)]
    assert same(evaluate(words, values), M)
    assert same(evaluate(words.diagonal(), values), M.diagonal())
    assert evaluate(words.trace(), values) == M.trace()


@pytest.mark.algebra
@pytest.mark.parametrize("form", ["matrix", "diagonal", "trace"])
def test_sympy_has_the_same_value_as_the_words(form):
    _, made = letters()
    values = numbers(made)
    W, B, V, D, a = (made[name] for name in "WBVDa")
    words = W @ W.T / 2 - 3 * D @ B @ V + a @ a.T @ D
    words = words if form == "matrix" else getattr(words, form)()
    explicit = with_sizes(words.sympy(), {f"n_{space}": n for space, n in DIMENSIONS.items()})
    symbols = explicit.atoms(sympy.MatrixSymbol)
    found = explicit.subs(
        {M[ij]: values[M.name][ij] for M in symbols for ij in np.ndindex(M.shape)}
    )
    assert same(np.ravel(found), np.ravel(evaluate(words, values)))


def test_sympy_knows_the_dimensions():
    n_h, n_in = (
        sympy.Symbol("n_h", integer=True, positive=True),
        sympy.Symbol("n_in", integer=True, positive=True),
    )
    alphabet, made = letters()
    assert made["W"].sympy().shape == (n_h, n_in)
    assert (made["W"] @ made["W"].T - alphabet.identity("h")).sympy().shape == (n_h, n_h)
    assert (made["W"] * 0).sympy() == sympy.ZeroMatrix(n_h, n_in)
    assert made["a"].sympy().shape == (n_h, 1)
    assert alphabet.letter("J_h", "h+1", "h").sympy().shape == (n_h + 1, n_h)
    assert (made["D"] * 0).trace().sympy() == 0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda m: m["W1"], "W_{1}"),
        (lambda m: m["W1"] @ m["W1"].T / 2, r"\tfrac{1}{2} W_{1} W_{1}^{\top}"),
        (lambda m: -3 * m["W1"].T, r"- 3 W_{1}^{\top}"),
        (lambda m: (m["D"] @ m["B"] @ m["V"]).diagonal(), r"D\operatorname{diag}(B V)"),
        (lambda m: (m["B"] @ m["V"]).trace(), r"\operatorname{tr}(B V)"),
        (lambda m: m["J_h1"].T, r"J_{h1}^{\top}"),
        (lambda m: m["sign(W2 J_h1)"], r"\mathrm{sign(W2 J\_h1)}"),
        (lambda m: m["W1"] * 0, "0"),
    ],
)
def test_latex_reads_as_in_a_paper(make, expected):
    alphabet, made = letters()
    for name in ("W1", "J_h1", "sign(W2 J_h1)"):
        made[name] = alphabet.letter(name, "h", "in")
    assert make(made).latex() == expected


def test_words_print_as_they_are_written():
    alphabet, made = letters()
    W, B, V = made["W"], made["B"], made["V"]
    assert str(W @ W.T - 2 * B @ V) == "W W' - 2 B V"
    assert str(alphabet.identity("h") / 2) == "1/2 I_h"
    assert str(W - W) == "0"
    assert str((made["D"] @ W @ W.T).diagonal()) == "D diag(W W')"


@pytest.mark.parametrize(
    ("make", "spaces"),
    [
        (lambda m: m["W"] + m["V"], ["from space in to space h", "from space h to space out"]),
        (lambda m: m["W"] - m["B"], ["from space in to space h", "from space out to space h"]),
        (lambda m: m["W"] @ m["B"], ["from space in to space h", "from space out to space h"]),
        (lambda m: m["W"].diagonal(), ["diagonal", "from space in to space h"]),
        (lambda m: m["W"].trace(), ["trace", "from space in to space h"]),
        (lambda m: m["D"] + m["D"].trace(), ["from space h to space h", "the other a trace"]),
        (lambda m: m["D"].diagonal() @ m["D"], ["diagonal in space h"]),
    ],
)
def test_misfitting_words_are_refused_naming_the_spaces(make, spaces):
    with pytest.raises(ValueError, match=r"fit|Only a square") as error:
        make(letters()[1])
    assert all(space in str(error.value) for space in spaces)


def test_words_of_two_alphabets_do_not_mix():
    W, other = letters()[1]["W"], letters()[1]["W"]
    with pytest.raises(ValueError, match="different alphabets"):
        W + other
    with pytest.raises(ValueError, match="different alphabets"):
        W.T @ other


def test_words_have_no_elementwise_product_nor_shape():
    W = letters()[1]["W"]
    with pytest.raises(TypeError, match="no elementwise product"):
        W * W
    with pytest.raises(AttributeError, match=r"unnamed size and have no \.shape; give sizes"):
        _ = W.shape
    with pytest.raises(TypeError, match="rational factors only"):
        W * float("nan")


def test_a_letter_has_one_meaning():
    alphabet, _ = letters()
    assert alphabet.letter("W", "h", "in") == alphabet.letter("W", "h", "in")
    with pytest.raises(ValueError, match="letter W is already"):
        alphabet.letter("W", "in", "h")
    with pytest.raises(ValueError, match="must stay in its space, but goes in to h"):
        alphabet.letter("E", "h", "in", diagonal=True)


def test_transpose_reverses_a_product_and_undoes_itself():
    m = letters()[1]
    assert m["W"] @ m["W"].T == (m["W"] @ m["W"].T).T
    assert m["V"].T @ m["B"].T @ m["D"] == (m["D"] @ m["B"] @ m["V"]).T
    assert m["W"] == m["W"].T.T
    assert m["W"] @ m["W"].T != m["B"] @ m["V"]


def test_the_identity_is_neutral():
    alphabet, m = letters()
    assert alphabet.identity("h") @ m["W"] == m["W"] == m["W"] @ alphabet.identity("in")


def test_masks_are_idempotent_and_diagonal_letters_are_not():
    m = letters()[1]
    assert m["M"] @ m["M"] @ m["W"] == m["M"] @ m["W"]
    assert m["M"] @ m["D"] @ m["M"] == m["D"] @ m["M"]
    assert m["D"] @ m["D"] != m["D"]


def test_scalars_commute_and_are_their_own_transposes():
    m = letters()[1]
    a, b, D, S, W = (m[name] for name in "abDSW")
    assert a @ b.T @ D @ S @ a @ b.T == a @ a.T @ S @ D @ b @ b.T
    assert a.T @ D @ S @ b == b.T @ D @ S @ a
    assert a @ m["s"] @ b.T @ W == a @ m["s"].T @ b.T @ W
    assert (a @ b.T).trace() == (b @ a.T).trace()
    assert a @ b.T != b @ a.T


def test_the_sum_of_a_diagonal_is_the_trace():
    m = letters()[1]
    words = m["D"] @ m["W"] @ m["W"].T - m["B"] @ m["V"] / 3
    assert words.diagonal().sum() == words.trace()
    with pytest.raises(TypeError, match="Only the diagonal"):
        words.sum()


def test_relations_rewrite_words_and_their_transposes():
    alphabet = Alphabet()
    X, N = alphabet.letter("X", "in", "samples"), alphabet.letter("N", "h", "k")
    B, C = alphabet.letter("B", "h", "out"), alphabet.letter("C", "g", "h")
    B1 = alphabet.letter("B1", "g", "out")
    alphabet.relate(X @ X.T, alphabet.identity("in"))
    alphabet.relate(N.T @ B)
    alphabet.relate(C @ B, B1)
    W = alphabet.letter("W", "h", "in")
    assert W @ X @ X.T @ W.T == W @ W.T
    assert not N.T @ B
    assert not B.T @ N
    assert C @ B == B1
    assert B.T @ C.T == B1.T
    assert (X.T @ X).trace() == alphabet.identity("in").trace()  # across the seam
    assert (X.T @ X).trace() != alphabet.identity("samples").trace()


def test_a_trace_is_a_number_wherever_it_is_taken():
    m = letters()[1]
    assert (m["B"] @ m["V"]).trace() - (m["V"] @ m["B"]).trace() == 0
    assert str((m["B"] @ m["V"] @ m["M"] - m["D"]).trace() / 2) == "1/2 tr(B V M) - 1/2 tr(D)"


def test_the_trace_of_an_identity_is_the_dimension():
    alphabet, _ = letters()
    one = 2 * alphabet.identity("h").trace()
    assert str(one) == "2 tr(I_h)"
    assert one.latex() == r"2 \operatorname{tr}(I_{h})"
    assert one.sympy().doit() == 2 * sympy.Symbol("n_h", integer=True, positive=True)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda m: (m["W"], m["W"]), "must shorten words, but W = W does not"),
        (lambda m: (m["D"], m["B"] @ m["V"]), "must shorten words"),
        (lambda m: (m["D"] + m["S"], 0), "single word"),
        (lambda m: (2 * m["D"], 0), "single word"),
        (lambda m: ((m["B"] @ m["V"]).trace(), 0), "single word"),
        (lambda m: ((m["B"] @ m["V"]).diagonal(), 0), "single word"),
        (lambda m: (m["B"] @ m["V"], m["W"]), "does not fit"),
        (lambda m: (m["B"] @ m["V"], 1), "to words or to 0, not to 1"),
    ],
)
def test_a_relation_that_cannot_rewrite_is_refused(make, says):
    alphabet, made = letters()
    with pytest.raises(ValueError, match=says):
        alphabet.relate(*make(made))
    assert not alphabet.relations


def test_a_row_of_ones_is_taken_off_again_by_its_letters():
    alphabet = Alphabet()
    a = alphabet.letter("a", "h", "samples")
    W = alphabet.letter("W", "out", "h+1")
    J, o = alphabet.augmentation("h")
    assert with_ones(a) == J @ a + o @ alphabet.ones()
    assert J.T @ with_ones(a) == a
    assert o.T @ with_ones(a) == alphabet.ones()
    assert W.columns("h") == W @ J
    assert split_biases(W) == (W @ J, W @ o)
    assert a.columns("samples") == a


@pytest.mark.parametrize("number", [3, Fraction(2, 7), 0.1, np.float64(0.1), np.int64(3)])
def test_numbers_become_exact(number):
    assert Fraction(exact(number)) == Fraction(
        number.item() if isinstance(number, np.generic) else number
    )


def test_rational_matrices_are_exact_and_bounded():
    M = rational((20, 20), np.random.default_rng(0), bound=4)
    assert all(isinstance(x, Fraction) for x in M.flat)
    assert max(abs(x.numerator) for x in M.flat) <= 4
    assert max(x.denominator for x in M.flat) <= 4


def at(series, eta):
    return sum(C * eta**i for i, C in enumerate(series.coefficients))


@pytest.mark.parametrize("eta", [Fraction(1, 3), Fraction(-7)])
def test_products_of_series_are_the_products_of_their_values(eta):
    rng = np.random.default_rng(0)
    A = Series(*(rational((2, 2), rng) for _ in range(3)))
    B = Series(*(rational((2, 2), rng) for _ in range(2)))
    C = rational((2, 2), rng)
    a, b = at(A, eta), at(B, eta)
    for made, value in [
        (A @ B, a @ b),
        (A * B, a * b),
        (A + B, a + b),
        (B - A, b - a),
        (C - A, C - a),
        (C + A, C + a),
        (C @ A, C @ a),
        (A @ C, a @ C),
        (3 * A.T / 2, Fraction(3, 2) * a.T),
        (-A, -a),
        (A.diagonal(), a.diagonal()),
        (A.trace(), a.trace()),
        (A.sum(), a.sum()),
    ]:
        assert same(at(made, eta), value)
        assert made.order is None


def test_a_truncated_series_keeps_only_what_is_right():
    rng = np.random.default_rng(0)
    A = Series(*(rational((2, 2), rng) for _ in range(3)))
    cut = Series(*A.coefficients, order=1)
    assert len(cut.coefficients) == 2
    assert (A @ cut).order == (cut + A).order == cut.T.order == 1
    assert len((A @ cut).coefficients) == 2
    assert same((A @ cut).coefficients[1], (A @ A).coefficients[1])


@pytest.mark.parametrize("kind", ["array", "series", "words"])
def test_columns_leave_out_the_bias(kind):
    W = np.arange(6.0).reshape(2, 3)
    below = np.zeros((2, 5))
    if kind == "words":
        alphabet = Alphabet()
        word, under = alphabet.letter("W", "out", "h+1"), alphabet.letter("V", "h", "in")
        assert isinstance(columns(word, under), Words)
        assert columns(word, under).cols == "h"
    elif kind == "series":
        made = columns(Series(W, 2 * W), Series(below, below))
        np.testing.assert_array_equal(made.coefficients[1], 2 * W[:, :2])
    else:
        np.testing.assert_array_equal(columns(W, below), W[:, :2])
        np.testing.assert_array_equal(columns(W, np.zeros((3, 5))), W)


def test_a_potential_on_a_series_stops_at_first_order():
    rng = np.random.default_rng(0)
    rule, task = (
        ff.SignFA(beta=2.0),
        ff.Task(rng.standard_normal((2, 3)), rng.standard_normal((2, 3))),
    )
    w = ff.init((2, 3, 2))
    series = ff.over_a_step(ff.laws.neuron_potential_balance, rule, task, w)
    assert series.order == 1
    assert len(series.coefficients) == 2
