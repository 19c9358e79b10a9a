from fractions import Fraction

import numpy as np
import pytest
import sympy
from problems import with_sizes

import faflow as ff
from faflow import laws, nets
from faflow.matrices import Words, rational
from faflow.rules import column_potential

THREE = ("words", "flint", "sympy")


def no_half(rule, w, k=0):
    """The law of a neuron with its ½ dropped."""
    return 2 * laws.neuron_feedback_balance(rule, w, k) - (rule.B[k] @ _above(w, k)).diagonal()


def flipped(rule, w, k=0):
    """The matrix law of FA with its sign turned."""
    carried = rule.B[k] @ _above(w, k)
    return w[k] @ w[k].T + carried + carried.T


def without_bias(rule, w):
    """The matrix law of FA with the biases of its own layer left out."""
    W = w[0].map(lambda M: M.columns("in") if isinstance(M, Words) else M[:, :-1])
    carried = rule.B[0] @ _above(w, 0)
    return W @ W.T - carried - carried.T


def below_direct(rule, w):
    """What would be the law of DFA below its last hidden layer."""
    carried = rule.B[0] @ _above(w, 1) @ _above(w, 0)
    return w[0] @ w[0].T - carried - carried.T


def _above(w, k):
    return ff.rules.outgoing(w, k)


CASES = {
    # law, rule, options of the question, whether it is kept, the algebras that can answer
    "gd": (laws.balance, ff.GD, {}, True, THREE),
    "gd, biases": (laws.balance, ff.GD, {"bias": True}, True, THREE),
    "gd, rates": (laws.balance, ff.GD(rates=(2, 3)), {}, True, THREE),
    "gd, rates as floats": (laws.balance, ff.GD(rates=(0.5, 0.1)), {}, True, THREE),
    "gd, neurons": (laws.neuron_balance, ff.GD, {"activation": "piecewise"}, True, THREE),
    "gd, leaky": (laws.neuron_balance, ff.GD, {"activation": "leaky_relu(0.1)"}, True, THREE),
    "gd, layer": (laws.layer_balance, ff.GD, {"activation": "relu", "bias": True}, True, THREE),
    "fa": (laws.feedback_balance, ff.FA, {}, True, THREE),
    "fa, biases": (laws.feedback_balance, ff.FA, {"bias": True}, True, THREE),
    "fa, rates": (laws.feedback_balance, ff.FA(rates=(2, 3)), {}, True, THREE),
    "fa, neurons": (laws.neuron_feedback_balance, ff.FA, {"activation": "relu"}, True, THREE),
    "fa, neurons, biases": (
        laws.neuron_feedback_balance,
        ff.FA,
        {"activation": "piecewise", "bias": True},
        True,
        THREE,
    ),
    "fa, layer": (laws.layer_feedback_balance, ff.FA, {"activation": "relu"}, True, THREE),
    "fa, degree 2": (
        laws.neuron_feedback_balance,
        ff.FA,
        {"activation": "relu_power(2)", "degree": 2},
        True,
        THREE,
    ),
    "gd, degree 3": (
        laws.neuron_potential_balance,
        ff.GD,
        {"activation": "relu_power(3)", "degree": 3, "bias": True},
        True,
        THREE,
    ),
    "fa, potential": (laws.neuron_potential_balance, ff.FA, {"activation": "relu"}, True, THREE),
    "sign": (laws.neuron_potential_balance, ff.SignFA, {}, True, ("words", "sympy")),
    "sign, relu, biases": (
        laws.neuron_potential_balance,
        ff.SignFA,
        {"activation": "relu", "bias": True},
        True,
        ("words", "sympy"),
    ),
    "smooth sign": (
        laws.neuron_potential_balance,
        ff.SignFA(beta=2),
        {"activation": "relu"},
        True,
        ("words", "sympy"),
    ),
    "kp": (laws.mirror_difference, ff.KolenPollack, {"activation": "relu"}, True, THREE),
    "kp, rates": (laws.mirror_difference, ff.KolenPollack(rates=(2, 3)), {}, True, THREE),
    "kp, matrix": (laws.mirror_balance, ff.KolenPollack, {"bias": True}, True, THREE),
    "kp, neurons": (
        laws.neuron_mirror_balance,
        ff.KolenPollack,
        {"activation": "piecewise"},
        True,
        THREE,
    ),
    "dfa, last": (laws.feedback_balance, ff.DFA, {"depth": 3, "k": 1}, True, THREE),
    "dfa, last, neurons": (
        laws.neuron_feedback_balance,
        ff.DFA,
        {"depth": 3, "k": 1, "activation": "relu"},
        True,
        THREE,
    ),
    "dfa, below": (below_direct, ff.DFA, {"depth": 3}, False, THREE),
    "fa along gd's law": (laws.balance, ff.FA, {}, False, THREE),
    "kp along gd's layer law": (laws.layer_balance, ff.KolenPollack, {}, False, THREE),
    "sign along gd's law": (laws.neuron_balance, ff.SignFA, {}, False, ("words", "sympy")),
    "sign turned": (flipped, ff.FA, {}, False, THREE),
    "half dropped": (no_half, ff.FA, {}, False, THREE),
    "bias left out": (without_bias, ff.FA, {"bias": True}, False, THREE),
    "decay, gd": (laws.balance, ff.GD(decay=0.5), {}, False, THREE),
    "decay, fa": (laws.feedback_balance, ff.FA(decay=0.5), {}, False, THREE),
    "decay, kp": (laws.mirror_difference, ff.KolenPollack(decay=(0, 1)), {}, False, THREE),
    "rates left out": (
        lambda rule, w: laws.balance(ff.GD(), w),
        ff.GD(rates=(1, 2)),
        {},
        False,
        THREE,
    ),
    "relu, whole matrix, gd": (laws.balance, ff.GD, {"activation": "relu"}, False, THREE),
    "relu, whole matrix, fa": (laws.feedback_balance, ff.FA, {"activation": "relu"}, False, THREE),
    "relu, whole matrix, kp": (
        laws.mirror_balance,
        ff.KolenPollack,
        {"activation": "relu"},
        False,
        THREE,
    ),
    "wrong degree": (
        laws.neuron_feedback_balance,
        ff.FA,
        {"activation": "relu_power(2)"},
        False,
        THREE,
    ),
    "tanh": (
        laws.neuron_feedback_balance,
        ff.FA,
        {"activation": "tanh"},
        False,
        ("sympy",),
    ),
    "tanh, kp": (laws.mirror_difference, ff.KolenPollack, {"activation": "tanh"}, True, ("sympy",)),
    "softplus": (laws.layer_balance, ff.GD, {"activation": "softplus(2)"}, False, ("sympy",)),
}
SMALL = {2: (2, 2, 2), 3: (1, 2, 2, 1)}


@pytest.mark.parametrize(
    ("name", "algebra"), [(name, a) for name, case in CASES.items() for a in case[-1]]
)
def test_every_algebra_gives_the_same_verdict(name, algebra):
    law, rule, options, kept, _ = CASES[name]
    options = dict(options)
    if algebra != "words":
        options["sizes"] = SMALL[options.pop("depth", 2)]
    verdict = ff.prove(law, rule, algebra=algebra, **options)
    assert verdict.kept is bool(verdict) is kept
    assert verdict.algebra == algebra
    assert str(verdict).startswith("kept for" if kept else "NOT kept for")


@pytest.mark.algebra
@pytest.mark.parametrize("k", [0, 5, 10])
@pytest.mark.parametrize(
    ("law", "rule", "activation", "kept"),
    [
        (laws.balance, ff.GD, "linear", True),
        (laws.neuron_balance, ff.GD, "piecewise", True),
        (laws.feedback_balance, ff.FA, "linear", True),
        (laws.neuron_feedback_balance, ff.FA, "piecewise", True),
        (laws.mirror_balance, ff.KolenPollack, "linear", True),
        (laws.neuron_potential_balance, ff.SignFA, "piecewise", True),
        (laws.balance, ff.FA, "linear", False),
        (laws.balance, ff.GD, "piecewise", False),
    ],
)
def test_words_reach_twelve_layers(law, rule, activation, kept, k):
    verdict = ff.prove(law, rule, depth=12, k=k, activation=activation, bias=True)
    assert verdict.kept is kept
    assert "every size of a 12-layer" in verdict.scope
    assert "with biases" in verdict.scope


def test_direct_feedback_keeps_the_law_of_the_last_hidden_layer_alone():
    for k in range(4):
        if k == 3:
            assert ff.prove(laws.feedback_balance, ff.DFA, depth=5, k=k)
        else:  # B and W do not even fit
            with pytest.raises(ValueError, match="does not fit"):
                ff.prove(laws.feedback_balance, ff.DFA, depth=5, k=k)


@pytest.mark.parametrize("algebra", ["flint", "sympy"])
@pytest.mark.parametrize(
    ("law", "kind", "phi"),
    [
        (laws.balance, ff.FA, "linear"),
        (laws.feedback_balance, ff.FA, "relu"),
        (laws.layer_balance, ff.KolenPollack, "linear"),
        (no_half, ff.FA, "linear"),
    ],
)
def test_the_rate_of_a_broken_law_has_the_values_of_a_finite_step(law, kind, phi, algebra):
    """The polynomials at a random rational point, against a central difference, exactly."""
    sizes, rng = (2, 2, 1), np.random.default_rng(0)
    verdict = ff.prove(law, kind, sizes=sizes, activation=phi, algebra=algebra)
    make = lambda s: rational(s, rng, bound=4)
    w, X, E = tuple(map(make, nets.shapes(sizes))), make((2, 1)), make((1, 1))
    B = tuple(map(make, ff.FA.shapes(sizes)))
    gates = (w[0] @ X > 0).astype(int) if phi == "relu" else np.ones((2, 1), int)
    matrices = {"W1": w[0], "W2": w[1], "B2": B[0], "G1": gates, "X": X, "E": E}
    rule, state = (kind(), w + B) if kind is ff.KolenPollack else (kind(B), w)
    output = w[1] @ (gates * (w[0] @ X))
    v = rule(ff.Task(X, output + E, phi), state)
    ahead, behind = (
        law(rule, tuple(W + s * V for W, V in zip(state, v, strict=True))) for s in (1, -1)
    )
    values = {
        sympy.Symbol(f"{name}_{i + 1}_{j + 1}", real=True): sympy.Rational(
            M[i, j].numerator, M[i, j].denominator
        )
        for name, M in matrices.items()
        for i, j in np.ndindex(*M.shape)
    }
    expression = verdict.sympy()
    found = np.ravel(np.asarray(expression.subs(values), dtype=object))
    expected = np.ravel((ahead - behind) / Fraction(2))
    assert [Fraction(int(x.p), int(x.q)) for x in found] == list(expected)


def test_words_and_entries_have_the_same_rate():
    """The words of a broken law with explicit matrices put in, against the polynomials."""
    words = ff.prove(laws.layer_balance, ff.FA).sympy()
    entries = ff.prove(laws.layer_balance, ff.FA, sizes=(2, 2, 1)).sympy()
    explicit = with_sizes(words, {"n_in": 2, "n_h1": 2, "n_out": 1, "n_samples": 1})
    named = {
        M[i, j]: sympy.Symbol(f"{M.name}_{i + 1}_{j + 1}", real=True)
        for M in explicit.atoms(sympy.MatrixSymbol)
        for i, j in np.ndindex(*M.shape)
    }
    assert sympy.expand(explicit.subs(named) - entries) == 0


@pytest.mark.algebra
@pytest.mark.parametrize(
    ("law", "rule", "options"),
    [
        (laws.balance, ff.FA, {"bias": True}),
        (laws.feedback_balance, ff.FA, {"depth": 3, "k": 1}),
        (laws.neuron_balance, ff.GD, {"activation": "relu"}),
        (laws.layer_feedback_balance, ff.FA, {}),
        (laws.mirror_balance, ff.KolenPollack, {}),
        (laws.neuron_potential_balance, ff.SignFA, {"activation": "relu"}),
        (laws.neuron_potential_balance, ff.SignFA(beta=2), {"bias": True}),
    ],
)
def test_a_derivation_goes_from_velocities_over_terms_to_their_sum(law, rule, options):
    verdict = ff.prove(law, rule, **options)
    steps = verdict.derivation()
    titles = [title for title, _ in steps]
    assert titles == sorted(titles, key=lambda t: ("velocity", "rate", "sum").index(t.split()[0]))
    terms = [expression for title, expression in steps if title.startswith("rate of")]
    assert len(terms) == len(verdict.value.terms)
    *_, (_, total) = steps
    assert total == verdict.sympy()
    dimensions = {"n_in": 1, "n_h1": 2, "n_h2": 2, "n_out": 1, "n_samples": 1}
    entries = [with_sizes(one, dimensions) for one in (*terms, total)]
    symbols = {M for one in entries for M in one.atoms(sympy.MatrixSymbol)}
    rng = np.random.default_rng(0)
    values = {M[ij]: int(rng.integers(-9, 9)) for M in symbols for ij in np.ndindex(*M.shape)}
    *parts, whole = (np.asarray(one.subs(values), dtype=object) for one in entries)
    assert np.array_equal(sum(parts), whole)


def test_a_derivation_needs_words():
    with pytest.raises(ValueError, match="needs words; prove without sizes"):
        ff.prove(laws.balance, ff.GD, sizes=(2, 2, 2)).derivation()


def test_a_broken_law_shows_its_rate():
    words = ff.prove(laws.layer_balance, ff.FA)
    assert str(words) == (
        "NOT kept for every size of a 2-layer linear network, any data, any loss;"
        " rate 2 tr(B2 E X' W1') - 2 tr(E X' W1' W2')"
    )
    assert words.latex() == (
        r"2 \operatorname{tr}(B_{2} E X^{\top} W_{1}^{\top})"
        r" - 2 \operatorname{tr}(E X^{\top} W_{1}^{\top} W_{2}^{\top})"
    )
    entries = ff.prove(laws.neuron_balance, ff.FA, sizes=(1, 1, 1))
    assert "rate at entry (0,): " in str(entries)
    assert entries.latex().count("(W_{2})_{1,1}") >= 1
    assert ff.prove(laws.balance, ff.GD, sizes=(1, 1, 1)).offence() == "rate 0"


def test_a_verdict_says_for_what_it_holds():
    assert str(ff.prove(laws.balance, ff.GD)) == (
        "kept for every size of a 2-layer linear network, any data, any loss"
    )
    assert "sizes 2-3-2 of a piecewise linear network" in str(
        ff.prove(laws.neuron_balance, ff.GD, sizes=(2, 3, 2), activation="relu")
    )
    assert "homogeneous (degree 2)" in ff.prove(laws.balance, ff.GD, activation="relu_power").scope


def null_law(rule, w, *, N):
    return N.T @ w[0]


def bridged(rule, w, *, C):
    carried = C @ w[1]
    return w[0] @ w[0].T - carried - carried.T


@pytest.mark.parametrize(
    ("law", "rule", "depth", "letters", "relation"),
    [
        (null_law, ff.FA, 2, {"N": ("h1", "null")}, "N' B2 = 0"),
        (null_law, ff.FA, 3, {"N": ("h1", "null")}, "N' B2 = 0"),
        (bridged, ff.DFA, 3, {"C": ("h1", "h2")}, "C B2 = B1"),
    ],
)
def test_a_law_may_hold_under_a_relation_alone(law, rule, depth, letters, relation):
    with_it = ff.prove(law, rule, depth=depth, letters=letters, relations=[relation])
    assert with_it
    assert f"assuming {relation}" in with_it.scope
    without = ff.prove(law, rule, depth=depth, letters=letters)
    assert not without
    wrong = ff.prove(law, rule, depth=depth, letters=letters, relations=["X X' = I"])
    assert not wrong
    assert not wrong.decided


@pytest.mark.parametrize("options", [{"depth": 2}, {"depth": 4}, {"sizes": (2, 2, 2)}], ids=str)
@pytest.mark.parametrize("rule", [ff.FA, ff.DFA])
def test_a_claimed_rate_is_decided_like_zero(rule, options):
    claimed = ff.prove(laws.lyapunov, rule, loss="squared", rate=laws.lyapunov_rate, **options)
    assert str(claimed).startswith("has the claimed rate for")
    turned = lambda rule, w, *, target, covariance: (
        -laws.lyapunov_rate(rule, w, target=target, covariance=covariance)
    )
    wrong = ff.prove(laws.lyapunov, rule, loss="squared", rate=turned, **options)
    assert str(wrong).startswith("does NOT have the claimed rate for")
    assert not ff.prove(laws.lyapunov, rule, loss="squared", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"algebra": "maple"}, "Unknown algebra 'maple'; choose from auto, words, flint, sympy"),
        ({"activation": "tanh"}, r"tanh is not; give sizes, for instance prove\(law, rule, sizes="),
        ({"sizes": (2, 2, 2), "depth": 3}, r"sizes \(2, 2, 2\) have depth 2, not 3"),
        ({"algebra": "flint"}, "'flint' needs sizes"),
        ({"sizes": (2, 2, 2), "algebra": "words"}, "without sizes"),
        ({"sizes": (2, 2, 2), "relations": ["X X' = I"]}, "without sizes"),
        ({"sizes": (2, 2, 2), "algebra": "flint", "activation": "tanh"}, "flint has polynomials"),
        ({"depth": 0}, "depth must be a positive integer, but is 0"),
        ({"k": 1}, "balance cannot be evaluated for GD: tuple index out of range"),
        ({"n": 1}, "balance takes no argument 'n'"),
        ({"loss": "logistic"}, "Unknown loss 'logistic' in a proof"),
        ({"activation": "gelu"}, "Unknown activation 'gelu'"),
        ({"relations": ["X X'"]}, "A relation reads"),
        ({"relations": ["= 0"]}, "A relation reads"),
        ({"relations": ["X ="]}, "A relation reads"),
        ({"relations": ["Q X = 0"]}, "Unknown letter 'Q' in 'Q X = 0'; choose from W1, W2, X, E"),
        ({"relations": ["X = X"]}, "must shorten words"),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_asked_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ff.prove(laws.balance, ff.GD, **options)


@pytest.mark.parametrize("sizes", [None, (2, 2, 2)])
def test_a_law_beyond_the_algebra_is_refused(sizes):
    with pytest.raises(ValueError, match="cannot evaluate this law"):
        ff.prove(laws.alignment, ff.FA, sizes=sizes)


def test_a_decay_that_changes_in_time_is_refused():
    with pytest.raises(ValueError, match="no single flow; prove each piece"):
        ff.prove(laws.balance, ff.GD(decay=ff.Piecewise((1.0,), (0, 1))))


def test_over_a_step_is_the_law_after_a_step():
    """law(w + ηv) term by term in η, exactly."""
    rng = np.random.default_rng(0)
    w = tuple(rational(s, rng) for s in nets.shapes((2, 3, 2)))
    rule = ff.FA((rational((3, 2), rng),))
    given, eta = ff.Task(rational((2, 4), rng), rational((2, 4), rng)), Fraction(1, 7)
    series = ff.over_a_step(laws.feedback_balance, rule, given, w).coefficients
    stepped = tuple(W + eta * V for W, V in zip(w, rule(given, w), strict=True))
    expected = laws.feedback_balance(rule, stepped)
    assert np.array_equal(sum(C * eta**i for i, C in enumerate(series)), expected)
    assert not np.any(series[1] != 0)
    V = rule(given, w)[0]
    assert np.array_equal(series[2], V @ V.T)


def test_a_law_of_another_smoothness_is_not_kept():
    """The feedback tanh(W) and the potential of tanh(5W) are different words."""
    other = lambda rule, w: laws.neuron_potential_balance(ff.SignFA(beta=5.0), w)
    assert ff.prove(laws.neuron_potential_balance, ff.SignFA(beta=1.0), activation="piecewise")
    assert not ff.prove(other, ff.SignFA(beta=1.0), activation="piecewise")


@pytest.mark.parametrize("options", [{}, {"sizes": (2, 2, 1), "algebra": "sympy"}])
def test_a_potential_whose_derivative_is_not_the_feedback_is_refused(options):
    def wrong(rule, w):
        psi = column_potential(w[1], rule._feedback, lambda W: 7 * W**2)
        return (w[0] @ w[0].T).diagonal() / 2 - psi

    with pytest.raises(ValueError, match="derivative must be the slope"):
        ff.prove(wrong, ff.SignFA(beta=2.0), **options)


def test_one_sample_does_not_speak_for_all_where_a_law_sees_the_data():
    """x'Mx is a number for one sample: SMS = SM'S holds then and not for more."""

    def law(rule, w, target, covariance):
        M = w[0].T @ rule.B[0] @ target
        return covariance @ M @ covariance - covariance @ M.T @ covariance

    for options in ({"sizes": (2, 2, 1)}, {"activation": "piecewise"}):
        with pytest.raises(ValueError, match="is zero"):
            ff.prove(law, ff.FA, loss="squared", **options)
    options = {"sizes": (2, 2, 1), "loss": "squared", "rate": laws.lyapunov_rate}
    assert "any 1 sample," in ff.prove(laws.lyapunov, ff.FA, **options).scope
    assert not ff.prove(law, ff.FA, sizes=(2, 2, 1), loss="squared", samples=2)
    assert not ff.prove(law, ff.FA, loss="squared")


@pytest.mark.parametrize("relation", ["W2 W1 = 0", "E = 0", "X E' = 0"])
def test_a_relation_of_what_moves_is_refused(relation):
    with pytest.raises(ValueError, match="moves along the flow"):
        ff.prove(laws.feedback_balance, ff.FA, relations=[relation])


@pytest.mark.parametrize("name", ["W1", "B2", "X", "E"])
def test_a_letter_of_the_problem_cannot_be_named_again(name):
    with pytest.raises(ValueError, match="is the problem's own"):
        ff.prove(laws.feedback_balance, ff.FA, letters={name: ("h1", "in")})


@pytest.mark.parametrize("options", [{}, {"sizes": (2, 2, 2)}])
@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda w: None, "None"),
        (lambda w: tuple(w), "a tuple"),
        (lambda w: [w[0] @ w[0].T], "a list"),
        (lambda w: "W1", "a str"),
        (lambda w: {"W1": w[0]}, "a dict"),
    ],
)
def test_a_law_that_returns_no_matrix_is_told_what_it_returned(returned, says, options):
    def law(rule, w):
        return returned(w)

    message = f"The law law must return a matrix or a number, but returned {says}.$"
    with pytest.raises(ValueError, match=message):
        ff.prove(law, ff.FA, **options)


@pytest.mark.parametrize("options", [{}, {"sizes": (2, 2, 2)}])
def test_momentum_given_as_its_class_has_the_scope_of_an_instance(options):
    given = ff.prove(laws.balance, ff.HeavyBall, **options)
    made = ff.prove(laws.balance, ff.HeavyBall(), **options)
    assert given.scope == made.scope
    assert " of a " in given.scope


@pytest.mark.parametrize(
    "law",
    [
        lambda rule, w: rule.B[0] @ rule.B[0].T,
        lambda rule, w: laws.feedback_balance(rule, w) * 0,
        lambda rule, w: w[0] is w[1],
    ],
)
@pytest.mark.parametrize("options", [{}, {"sizes": (2, 2, 2)}])
def test_a_law_that_says_nothing_of_the_weights_is_refused(law, options):
    with pytest.raises(ValueError, match="zero or does not depend on the weights"):
        ff.prove(law, ff.FA, **options)


def test_the_hard_sign_law_decays_with_matched_decay():
    """½|w|² and Σ|w₊| both scale as e^(-2λt) if the layers decay by λ and 2λ."""
    rate = lambda rule, w: -2 * Fraction(1, 3) * laws.neuron_potential_balance(rule, w)
    rule = ff.SignFA(decay=(Fraction(1, 3), Fraction(2, 3)))
    law = laws.neuron_potential_balance
    assert ff.prove(law, rule, activation="piecewise", rate=rate)
    assert ff.prove(law, rule, sizes=(2, 2, 1), algebra="sympy", rate=rate)
    smooth = ff.SignFA(beta=2.0, decay=(Fraction(1, 3), Fraction(2, 3)))
    assert not ff.prove(law, smooth, activation="piecewise", rate=rate)


def test_the_lyapunov_rate_takes_the_layers_rates():
    rule = ff.FA(rates=(1, 2, 3))
    rate = laws.lyapunov_rate
    assert ff.prove(laws.lyapunov, rule, depth=3, loss="squared", rate=rate)


@pytest.mark.parametrize(
    ("rule", "options", "said"),
    [
        ("FA", {}, "must be a Rule"),
        (ff.FAStar, {}, "FAStar solves a linear system"),
        (ff.FA(decay=(1, 2, 3)), {}, "decay has 3 entries, but there are 2 layers"),
        (ff.FA, {"sizes": 3}, "sizes must be at least two positive widths"),
        (ff.FA, {"sizes": (2, 0, 2)}, "sizes must be at least two positive widths"),
        (ff.FA, {"sizes": (2, 2, 2), "samples": 0}, "samples must be a positive integer"),
        (ff.FA, {"sizes": (2, 2, 2), "samples": True}, "samples must be a positive integer"),
        (ff.FA, {"depth": True}, "depth must be a positive integer, but is True"),
        (ff.FA, {"letters": {"N": "h1"}}, "must be .rows, cols."),
        (ff.FA, {"letters": {"N": 3}}, "must be .rows, cols."),
        (ff.FA, {"letters": ["N"]}, r"letters must be {name: \(rows, cols\)}, not \['N'\]"),
        (ff.FA, {"relations": [3]}, r"relations must be a list of texts, not \[3\]"),
        (ff.FA, {"relations": "X X' = I"}, 'relations must be a list of texts, not "X X'),
    ],
)
def test_a_proof_asked_wrongly_is_refused_in_a_sentence(rule, options, said):
    with pytest.raises((ValueError, TypeError), match=said):
        ff.prove(laws.feedback_balance, rule, **options)


def across(X):
    """A law that holds for the inputs X alone: what W₁ does to a direction orthogonal to them."""
    normal = np.linalg.svd(X)[0][:, -1:]
    exact = np.array([[Fraction(int(n))] for n in np.rint(normal / normal[-1]).ravel()])

    def law(rule, w):
        return w[0] @ exact

    return law


def test_a_law_of_the_drawn_data_is_kept_for_them_and_for_no_others():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]])
    Y = np.array([[1.0, 2.0]])
    law = across(X)
    assert not ff.prove(law, ff.GD, sizes=(3, 2, 1))
    verdict = ff.prove(law, ff.GD, sizes=(3, 2, 1), task=ff.Task(X, Y))
    assert verdict.kept
    assert verdict.scope == "sizes 3-2-1 of a linear network, these 2 samples, squared loss"
    assert not ff.prove(law, ff.GD, sizes=(3, 2, 1), task=ff.Task(X + 1, Y))
    one = ff.prove(law, ff.GD, sizes=(3, 2, 1), task=ff.Task(X[:, :1], Y[:, :1]))
    assert one.scope == "sizes 3-2-1 of a linear network, this sample, squared loss"


def test_a_law_of_one_feedback_is_kept_for_it_and_for_no_other():
    normal = np.array([[Fraction(1)], [Fraction(1)], [Fraction(-1)]])
    special = ff.FA((np.array([[1, 0], [0, 1], [1, 1]]),))

    def law(rule, w):
        return normal.T @ w[0]

    assert not ff.prove(law, ff.FA, sizes=(2, 3, 2))
    assert not ff.prove(law, special, sizes=(2, 3, 2))
    verdict = ff.prove(law, special, sizes=(2, 3, 2), feedback="given")
    assert verdict.kept
    assert verdict.scope.endswith("any data, any loss, this feedback")
    other = ff.FA((np.array([[1, 0], [0, 1], [1, 2]]),))
    assert not ff.prove(law, other, sizes=(2, 3, 2), feedback="given")


def test_a_matrix_law_of_signs_is_local_and_its_diagonal_is_not():
    def balance(rule, w):
        carried = rule.constants(w)["S2"] @ w[1]
        return w[0] @ w[0].T - carried - carried.T

    def diagonal(rule, w):
        return balance(rule, w).diagonal()

    local = "while no weight changes its sign"
    for sizes in (None, (2, 2, 1)):
        assert local in ff.prove(balance, ff.SignFA, sizes=sizes).scope
        assert local not in ff.prove(diagonal, ff.SignFA, sizes=sizes).scope


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"feedback": "given"}, "have sizes; give them"),
        ({"feedback": "mine"}, "Unknown feedback 'mine'; choose from symbolic, given"),
        ({"feedback": "given", "sizes": (2, 3, 2)}, "must be the 1 matrices B2, but has 0"),
        ({"task": ff.Task([[1.0]], [[1.0]]), "sizes": (2, 3, 1)}, "The task goes from 1 to 1"),
        (
            {"task": ff.Task([[1.0]], [[1.0]]), "sizes": (1, 3, 1), "bias": True},
            "A task says its activation, biases",
        ),
        (
            {"task": ff.Task([[1.0]], [[1.0]], loss="logistic"), "sizes": (1, 3, 1)},
            "needs the squared loss",
        ),
    ],
)
def test_data_and_feedback_that_cannot_be_taken_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ff.prove(laws.feedback_balance, ff.FA, **options)
