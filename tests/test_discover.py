import numpy as np
import pytest
import sympy
from problems import problem

import faflow as ff
from faflow import laws

NULL = "N1' W1, where N1' B2 = 0"
BALANCE = "W1 W1' - B2 W2 - W2' B2'  [feedback_balance, k=0]"
DEEP_FA = [
    "N1' W1, where N1' B2 B3 = 0",
    BALANCE,
    "N2' W2, where N2' B3 = 0",
    "W2 W2' - B3 W3 - W3' B3'  [feedback_balance, k=1]",
]
DEEP_DFA = [
    "N1' W1, where N1' B1 = 0",
    "P1 W1 W1' P1' - P1 W2' Q1' - Q1 W2 P1', where P1 B1 = Q1 B2",
    "N2' W2, where N2' B2 = 0",
    "W2 W2' - B2 W3 - W3' B2'  [feedback_balance, k=1]",
]
NEURONS = "1/2 diag(W1 W1') - diag(B2 W2)  [neuron_feedback_balance, k=0]"
MIRROR = [
    "W1 W1' + W2' W2 - B2 W2 - W2' B2'  [mirror_balance, k=0]",
    "W2 - B2'  [mirror_difference, k=0]",
]
CASES = {
    "gd": (ff.GD, {}, ["W1 W1' - W2' W2  [balance, k=0]"]),
    "gd, relu": (
        ff.GD,
        {"activation": "relu"},
        ["diag(W1 W1') - diag(W2' W2)  [neuron_balance, k=0]"],
    ),
    "gd, squared relu": (
        ff.GD,
        {"activation": "relu_power(2)"},
        ["1/2 diag(W1 W1') - diag(W2' W2)  [neuron_potential_balance, k=0]"],
    ),
    "fa": (ff.FA, {}, [NULL, BALANCE]),
    "fa, deep": (ff.FA, {"depth": 3}, DEEP_FA),
    "fa, longer words": (ff.FA, {"length": 3}, [NULL, BALANCE]),
    "fa, biases": (
        ff.FA,
        {"bias": True},
        [
            "b1 - B2 b2",
            NULL,
            "W1 W1' + b1 b1' - B2 W2 - W2' B2'  [feedback_balance, k=0]",
        ],
    ),
    "fa, relu, deep": (
        ff.FA,
        {"activation": "relu", "depth": 3},
        [NEURONS, "1/2 diag(W2 W2') - diag(B3 W3)  [neuron_feedback_balance, k=1]"],
    ),
    "fa, relu, matrix": (ff.FA, {"activation": "relu", "form": "matrix"}, []),
    "fa, trace": (
        ff.FA,
        {"form": "trace"},
        ["1/2 tr(W1 W1') - tr(B2 W2)  [layer_feedback_balance, k=0]"],
    ),
    "fa, upper": (ff.FA, {"depth": 3, "ends": ("h2", "h2")}, DEEP_FA[3:]),
    "fa, rates": (
        ff.FA(rates=(2, 3)),
        {},
        [NULL, "1/2 W1 W1' - 1/3 B2 W2 - 1/3 W2' B2'  [feedback_balance, k=0]"],
    ),
    "fa, doubling decay": (
        ff.FA(decay=(1, 2)),
        {},
        [
            "exp(t) (N1' W1), where N1' B2 = 0",
            "exp(2 t) (W1 W1' - B2 W2 - W2' B2')  [feedback_balance, k=0]",
        ],
    ),
    "fa, uniform decay": (ff.FA(decay=1), {}, ["exp(t) (N1' W1), where N1' B2 = 0"]),
    "fa, relu, uniform decay": (ff.FA(decay=1), {"activation": "relu"}, []),
    "gd, relu, uniform decay": (
        ff.GD(decay=1),
        {"activation": "relu"},
        ["exp(2 t) (diag(W1 W1') - diag(W2' W2))  [neuron_balance, k=0]"],
    ),
    "gd, doubling decay": (ff.GD(decay=(1, 2)), {}, []),
    "dfa, deep": (ff.DFA, {"depth": 3}, DEEP_DFA),
    "dfa, deep, relu": (
        ff.DFA,
        {"depth": 3, "activation": "relu"},
        ["1/2 diag(W2 W2') - diag(B2 W3)  [neuron_feedback_balance, k=1]"],
    ),
    "signs": (ff.SignFA, {}, ["N1' W1, where N1' S2 = 0", "W1 W1' - S2 W2 - W2' S2'"]),
    "signs, relu": (
        ff.SignFA,
        {"activation": "relu"},
        ["1/2 diag(W1 W1') - diag(S2 W2)  [neuron_potential_balance, k=0]"],
    ),
    "kp": (ff.KolenPollack, {}, MIRROR),
    "kp, decay": (
        ff.KolenPollack(decay=2),
        {},
        [
            f"exp({c} t) ({law.replace('  [', ')  [')}"
            for c, law in zip((4, 2), MIRROR, strict=True)
        ],
    ),
    "heavy ball, fa": (
        ff.HeavyBall(of=ff.FA(), friction=2),
        {},
        [
            "exp(2 t) (N1' V1), where N1' B2 = 0",
            "N1' V1 + 2 N1' W1, where N1' B2 = 0",
            "exp(2 t) (V1 W1' + V2' B2' - B2 V2 - W1 V1')",
        ],
    ),
    "heavy ball, gd, relu": (ff.HeavyBall(of=ff.GD()), {"activation": "relu"}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_discovery_finds_the_known_laws_and_no_other(name):
    rule, options, expected = CASES[name]
    assert [str(law) for law in ff.discover(rule, **options)] == expected


@pytest.mark.parametrize("name", CASES)
def test_what_is_discovered_is_kept_at_a_random_state(name):
    """By a central difference along the velocity, exact for laws of degree two but for rounding."""
    rule, options, _ = CASES[name]
    sizes = (3, 4, 2) if options.get("depth", 2) == 2 else (3, 4, 5, 2)
    phi, bias = options.get("activation", "linear"), options.get("bias", False)
    kind = rule if isinstance(rule, type) else type(rule)
    own = {} if isinstance(rule, type) else {"decay": rule.decay, "rates": rule.rates}
    if kind is ff.HeavyBall:
        own = {"of": type(rule.of), "friction": rule.friction}
    made, given, w = problem(kind, phi, sizes=sizes, bias=bias, seed=1, **own)
    if kind is ff.HeavyBall:
        w = tuple(np.random.default_rng(0).standard_normal(W.shape) for W in w)
    if bias:
        w = tuple(W + np.random.default_rng(1).standard_normal(W.shape) for W in w)
    v, h = made(given, w), 1e-3
    for law in ff.discover(rule, **options):
        after, before = (
            law(made, tuple(W + s * h * V for W, V in zip(w, v, strict=True))) for s in (1, -1)
        )
        rate = (after - before) / (2 * h) + float(law.growth) * law(made, w)
        assert np.abs(law(made, w)).max() > 0.01
        assert np.abs(rate).max() < 1e-10 * max(1, np.abs(v[0]).max() * np.abs(w[0]).max())


@pytest.mark.parametrize("name", CASES)
def test_a_law_found_carries_a_proof_and_its_scope(name):
    rule, options, _ = CASES[name]
    for law in ff.discover(rule, **options):
        assert law.verdict.kept
        assert law.verdict.algebra == "words"
        assert law.verdict.claimed == bool(law.growth)
        jumps = "S2" in str(law) and "diag" not in str(law)
        assert ("while no weight changes its sign" in law.verdict.scope) == jumps
        gates = options.get("activation") == "relu"
        assert ("activation patterns" in law.verdict.scope) == gates


def test_a_law_found_measures_a_solution():
    rule, given, w = problem(ff.DFA, sizes=(3, 4, 3, 2), seed=1)
    sol = ff.integrate(rule, given, w, [0, 0.5, 1])
    found = ff.discover(ff.DFA, depth=3)
    assert len(found) == 4
    for law in found:
        values = sol.measure(law)
        assert values[0].size
        assert np.abs(values - values[0]).max() < 1e-8
    assert np.abs(np.diff(sol.measure(laws.balance), axis=0)).max() > 1e-3


def test_laws_found_become_sympy_and_latex():
    (law,) = ff.discover(ff.GD)
    n, m, p = (sympy.Symbol(f"n_{s}", integer=True, positive=True) for s in ("h1", "in", "out"))
    W1, W2 = sympy.MatrixSymbol("W1", n, m), sympy.MatrixSymbol("W2", p, n)
    sizes = {n: 3, m: 2, p: 2}
    difference = (law.sympy() - (W1 * W1.T - W2.T * W2)).subs(sizes)
    assert difference.as_explicit().expand() == sympy.zeros(3, 3)
    assert law.latex() == r"W_{1} W_{1}^{\top} - W_{2}^{\top} W_{2}"
    (grown,) = ff.discover(ff.GD(decay=1), activation="relu")
    assert grown.sympy().has(sympy.exp(2 * sympy.Symbol("t", real=True)))
    assert grown.latex().startswith(r"e^{2 t} \left(")


@pytest.mark.algebra
def test_laws_of_twelve_layers_are_found():
    found = ff.discover(ff.FA, depth=12)
    assert len(found) == 22  # a balance and a null space for each of 11 hidden layers
    assert {law.name for law in found} == {"", *(f"feedback_balance, k={k}" for k in range(11))}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"form": "column"}, "Unknown form 'column'; choose from matrix, diagonal, trace"),
        ({"ends": ("h1", "h2")}, "ends must be two spaces among null1, out, h1, in"),
        ({"ends": ("h1",)}, "ends must be two spaces"),
        ({"length": 0}, "length must be a positive integer, but is 0"),
        ({"activation": "tanh"}, "Words know only homogeneous activations, but tanh is not"),
        ({"depth": 0}, "depth must be a positive integer, but is 0"),
        ({"depth": True}, "depth must be a positive integer, but is True"),
        ({"length": 2.0}, r"length must be a positive integer, but is 2\.0"),
        ({"degree": 0}, "degree must be a positive integer, but is 0"),
        ({"feedback": "foo"}, "Unknown feedback 'foo'; choose from symbolic, numeric, both"),
        ({"seed": "a"}, "seed must be an integer of at least 0, but is 'a'"),
        ({"degree": 2}, "degree is of polynomials; give sizes, or leave out degree=2"),
        ({"feedback": "symbolic"}, "feedback is of polynomials; give sizes"),
        ({"seed": 0}, "seed is of polynomials; give sizes, or leave out seed=0"),
        ({"ends": [["h1"], "in"]}, "ends must be two spaces among null1, out, h1, in"),
        ({"ends": "in"}, "ends must be two spaces"),
        ({"ends": ("h1", "in"), "form": "diagonal"}, "A diagonal needs equal ends, but they are"),
        ({"ends": ["h1", "in"], "form": "trace"}, "A trace needs equal ends, but they are"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ff.discover(ff.FA, **options)
