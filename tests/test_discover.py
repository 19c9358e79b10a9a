import numpy as np
import pytest
from problems import problem, start, task

import faflow as ff

CASES = {
    "gd": (ff.GD, {}, ["W1 W1' - W2' W2"]),
    "fa": (ff.FA, {}, ["W1 W1' - B2 W2 - W2' B2'"]),
    "fa, upper": (ff.FA, {"depth": 3, "ends": ("h2", "h2")}, ["W2 W2' - B3 W3 - W3' B3'"]),
    "fa, trace": (ff.FA, {"form": "trace"}, ["tr(W1 W1') - 2 tr(B2 W2)"]),
    "fa, relu, a neuron": (
        ff.FA,
        {"activation": "relu", "form": "diagonal"},
        ["diag(W1 W1') - 2 diag(B2 W2)"],
    ),
    "fa, relu, matrix": (ff.FA, {"activation": "relu"}, []),
    "dfa, last": (ff.DFA, {"depth": 3, "ends": ("h2", "h2")}, ["W2 W2' - B2 W3 - W3' B2'"]),
    "dfa, below": (ff.DFA, {"depth": 3, "ends": ("h1", "h1")}, []),
    "dfa, below, products": (ff.DFA, {"depth": 3, "ends": ("h1", "h1"), "length": 3}, []),
    "kp, difference": (ff.KolenPollack, {"ends": ("out", "h1"), "length": 1}, ["W2 - B2'"]),
    "tanh of degree none": (ff.GD, {"activation": "relu", "length": 1}, []),
}


def scaled(words):
    """The words with their first coefficient one, as text."""
    first = sorted(words.terms.items(), key=lambda item: str(item[0]))[0][1]
    return {key: c / first for key, c in words.terms.items()}


def value(words, matrices):
    """The words at a state, in floats."""
    total = 0
    for key, c in words.terms.items():
        _, word = key if words.form == "diagonal" else ((), key)
        M = None
        for letter, flipped in word:
            one = matrices[letter.name].T if flipped else matrices[letter.name]
            M = one if M is None else M @ one
        M = {"matrix": M, "diagonal": M.diagonal(), "trace": M.trace()}[words.form]
        total = total + float(c) * M
    return total


def rate(words, rule, given, w):
    """Of quadratic words, by a central difference along the flow: exact but for rounding."""
    v = rule(given, w)
    depth, sides = len(rule.weights(w)), []
    for sign in (1, -1):
        moved = tuple(W + sign * V for W, V in zip(w, v, strict=True))
        named = {f"W{k + 1}": W for k, W in enumerate(moved[:depth])}
        named |= {f"B{k + 2}": B for k, B in enumerate(moved[depth:])}
        named |= {f"B{k + rule.first}": B for k, B in enumerate(rule.B)}
        sides.append(value(words, named))
    return np.abs(sides[0] - sides[1]).max(), np.abs(sides[0]).max()


@pytest.mark.parametrize("name", CASES)
def test_discovery_finds_the_known_laws_and_no_other(name):
    kind, options, expected = CASES[name]
    found = ff.discover(kind, **options)
    assert len(found) == len(expected)
    for law, text in zip(found, expected, strict=True):
        assert same_up_to_scale(law, text), law


def same_up_to_scale(law, text):
    """Whether the words are the sum written in `text`, or a multiple of it."""
    written = {}
    for term in text.replace("- ", "+ -").split("+ "):
        sign, body = (-1, term[1:]) if term.startswith("-") else (1, term)
        body = body.strip()
        number, _, rest = body.partition(" ")
        written[rest if number.isdigit() else body] = sign * (
            int(number) if number.isdigit() else 1
        )
    have = {str(law._with({key: 1})): c for key, c in law.terms.items()}
    first = next(iter(have))
    if set(have) != set(written):
        return False
    return all(have[t] * written[first] == written[t] * have[first] for t in have)


def test_kolen_pollack_has_two_quadratic_laws():
    """Its mirror balance, and the square of the difference that is kept."""
    found = ff.discover(ff.KolenPollack)
    assert len(found) == 2
    values = []
    rule, _, w = problem(ff.KolenPollack, sizes=(3, 4, 2))
    named = {"W1": w[0], "W2": w[1], "B2": w[2]}
    for law in found:
        values.append(value(law, named).ravel())
    D = w[1] - w[2].T
    known = [ff.laws.mirror_balance(rule, w).ravel(), (D.T @ D).ravel()]
    assert np.linalg.matrix_rank(np.array(values)) == 2
    assert np.linalg.matrix_rank(np.array([*values, *known]), tol=1e-10) == 2


@pytest.mark.parametrize("name", [*CASES, "kp"])
def test_what_is_discovered_is_kept_at_a_random_state(name):
    kind, options, _ = CASES.get(name, (ff.KolenPollack, {}, None))
    phi = options.get("activation", "linear")
    sizes = (3, 4, 2) if options.get("depth", 2) == 2 else (3, 4, 3, 2)
    rule = kind.random(sizes, seed=1)
    given, w = task(phi, sizes=sizes, seed=1), start(rule, sizes=sizes, seed=1)
    for law in ff.discover(kind, **options):
        change, size = rate(law, rule, given, w)
        assert change < 1e-12 * max(1, size)  # rounding in a few products


def test_rates_enter_what_is_discovered():
    (law,) = ff.discover(ff.FA(rates=(2, 3)))
    assert same_up_to_scale(law, "3 W1 W1' - 2 B2 W2 - 2 W2' B2'")


def test_decay_leaves_no_law():
    assert ff.discover(ff.FA(decay=0.1)) == []


def test_layer_doubling_decay_has_no_constant_law_either():
    assert ff.discover(ff.FA(decay=(1, 2))) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"form": "column"}, "Unknown form 'column'; choose from matrix, diagonal, trace"),
        ({"ends": ("h1", "h2")}, "ends must be two spaces among in, h1, out"),
        ({"ends": ("h1",)}, "ends must be two spaces"),
        ({"activation": "tanh"}, "Words know only homogeneous activations, but tanh is not"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ff.discover(ff.FA, **options)
