import re
from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb

import flint
import numpy as np
import pytest
import sympy
from problems import problem

import faflow as ff
from faflow import laws
from faflow.matrices import Series, rational
from faflow.nets import any_loss, gated, replaced
from faflow.symbolic.generators import generators
from faflow.symbolic.nullspace import BIG, exact_null_space, fraction
from faflow.symbolic.polynomials import Problem

# Exact null spaces.


@pytest.mark.parametrize("size", [1, 30, 10**5, 10**12])
@pytest.mark.parametrize("seed", range(3))
def test_null_spaces_are_those_of_another_library_however_large_their_entries(size, seed):
    rng = np.random.default_rng(seed)
    rows, columns, rank = 7, 9, 4
    left, right = (
        rng.integers(-size, size + 1, s).astype(object) for s in ((rows, rank), (rank, columns))
    )
    A = left.dot(right)
    found = exact_null_space(A)
    M = flint.fmpz_mat(A.tolist())
    assert len(found) == columns - M.rank()
    assert not any(A.dot(v).any() for v in found)
    if found:
        assert flint.fmpz_mat([v.tolist() for v in found]).rank() == len(found)


@pytest.mark.algebra
def test_a_tall_matrix_is_mixed_without_losing_rank():
    rng = np.random.default_rng(0)
    right = rng.integers(-2, 3, (290, 300))
    A = rng.integers(-1, 2, (700, 290)) @ right
    found = exact_null_space(A)
    assert len(found) == 300 - flint.fmpz_mat(A.tolist()).rank()
    assert not any(A.astype(object).dot(v).any() for v in found)


def test_fractions_come_back_from_their_residues():
    for x in (Fraction(3, 7), Fraction(-1000, 1001), Fraction(0), Fraction(5)):
        residue = x.numerator * pow(x.denominator, -1, BIG) % BIG
        assert fraction(residue, BIG) == x
    assert fraction(2, 101) == 2
    assert fraction(35, 101) == Fraction(4, 3)


# Searches.


def test_laws_that_do_not_give_all_are_noticed():
    made = Problem(ff.GD, False, (2, 2, 2), "linear", False, 0)
    laws = made.kept(2)
    assert len(generators(laws, made, 2)) == 3
    with pytest.raises(RuntimeError, match="give 3 modulo the prime, not 4"):
        generators([*laws, laws[0]], made, 2)


def test_a_scope_says_which_growths_are_searched():
    assert ff.discover(ff.FA(decay=1), (2, 2, 2)).scope.endswith("with rational c")
    assert "e^" not in ff.discover(ff.FA, (2, 2, 2)).scope


SEARCHES = {  # (rule, sizes, options): laws with multiples, laws listed, independent ones
    "gd": (ff.GD, (4, 4, 4), {}, (10, 10, 10)),
    "gd, deep": (ff.GD, (3, 4, 3, 4), {}, (16, 16, 16)),
    "gd, wide": (ff.GD, (8, 8, 8), {}, (36, 36, 36)),
    "gd, chain": (ff.GD, (1, 2, 2, 1), {"degree": 8}, (209, 6, 6)),
    "gd, relu": (ff.GD, (2, 3, 2), {"activation": "relu"}, (3, 3, 3)),
    "gd, relu, decay": (ff.GD(decay=1), (2, 3, 2), {"activation": "relu"}, (3, 3, 3)),
    "fa": (ff.FA, (2, 3, 2), {"degree": 3}, (44, 8, 7)),
    "fa, square": (ff.FA, (4, 4, 4), {"degree": 3}, (170, 10, 10)),
    "fa, numeric": (ff.FA, (2, 3, 2), {"feedback": "numeric"}, (10, 7, 7)),
    "fa, wide and numeric": (ff.FA, (8, 8, 8), {"feedback": "numeric"}, (36, 36, 36)),
    "fa, both": (ff.FA, (2, 3, 2), {"feedback": "both"}, (10, 8, 7)),
    "fa, relu": (ff.FA, (3, 4, 2), {"activation": "relu"}, (4, 4, 4)),
    "fa, squared relu": (ff.FA, (2, 2, 1), {"activation": "relu_power(2)"}, (2, 2, 2)),
    "fa, decay": (ff.FA(decay=(1, 2)), (2, 2, 1), {}, (5, 5, 4)),
    "fa, decay of a third": (
        ff.FA(decay=(Fraction(1, 3), Fraction(2, 3))),
        (2, 2, 1),
        {},
        (5, 5, 4),
    ),
    "fa, rates": (ff.FA(rates=(2, Fraction(1, 3))), (2, 2, 2), {}, (3, 3, 3)),
    "fa, biases": (ff.FA, (1, 2, 1), {"bias": True}, (7, 7, 5)),
    "dfa": (ff.DFA, (2, 2, 2, 1), {}, (7, 7, 6)),
    "dfa, numeric": (ff.DFA, (1, 2, 2, 2), {"feedback": "numeric"}, (6, 6, 6)),
    "kp": (ff.KolenPollack, (2, 2, 2), {}, (17, 7, 7)),
    "heavy ball": (ff.HeavyBall(of=ff.FA()), (1, 2, 1), {}, (3, 3, 3)),
    "heavy ball, relu": (ff.HeavyBall(of=ff.GD()), (2, 2, 1), {"activation": "relu"}, (0, 0, 0)),
}


@pytest.fixture(scope="module")
def found():
    remembered = {}

    def search(name):
        if name not in remembered:
            rule, sizes, options, _ = SEARCHES[name]
            remembered[name] = ff.discover(rule, sizes, **options)
        return remembered[name]

    return search


@pytest.mark.algebra
@pytest.mark.parametrize("name", SEARCHES)
def test_searches_find_as_many_laws_as_are_known(name, found):
    made = found(name)
    assert (made.total, len(made), made.independent) == SEARCHES[name][3]


@pytest.mark.algebra
@pytest.mark.parametrize("name", SEARCHES)
def test_every_law_found_is_proved_again_by_another_algebra(name, found):
    _, sizes, options, _ = SEARCHES[name]
    for law in list(found(name))[:8]:
        given = "given" if law.rule.B else "symbolic"
        rate = (lambda r, w, law=law: law(r, w) * -law.growth) if law.growth else None
        network = {k: v for k, v in options.items() if k in ("activation", "bias")}
        proof = ff.prove(law, law.rule, sizes=sizes, feedback=given, rate=rate, **network)
        assert proof.kept, law


@pytest.mark.algebra
@pytest.mark.parametrize(
    ("kind", "sizes", "activation", "degree"),
    [
        (ff.GD, (2, 2, 1), "linear", 3),
        (ff.FA, (2, 2, 1), "linear", 3),
        (ff.FA, (1, 2, 2), "piecewise", 2),
        (ff.DFA, (1, 2, 1, 1), "linear", 2),
        (ff.KolenPollack, (1, 2, 1), "linear", 3),
    ],
)
def test_the_number_of_laws_is_that_of_a_dense_search_at_rational_points(
    kind, sizes, activation, degree
):
    """All monomials, differentiated at as many random rational points as it takes."""
    rng = np.random.default_rng(0)
    empty = kind()
    state = empty.state(sizes).values()
    fixed = empty.shapes(sizes)
    size = sum(n * m for n, m in [*state, *fixed])
    monomials = [
        m for k in range(1, degree + 1) for m in combinations_with_replacement(range(size), k)
    ]
    moving = sum(n * m for n, m in state)
    monomials = [m for m in monomials if any(i < moving for i in m)]
    rows = []
    for _ in range(len(monomials) + 10):
        w, B = (tuple(rational(s, rng, 30) for s in shapes) for shapes in (state, fixed))
        x, e = rational((sizes[0], 1), rng, 30), rational((sizes[-1], 1), rng, 30)
        phi = ff.nets.linear
        if activation == "piecewise":
            phi = tuple(gated(rational((n, 1), rng, 30)) for n in sizes[1:-1])
        task = replaced(ff.Task([[0.0]], [[0.0]]), X=x, Y=e, phi=phi, loss=any_loss)
        v = replaced(empty, B=B)(task, w)
        value = [entry for M in (*w, *B) for entry in M.ravel()]
        moved = [entry for M in v for entry in M.ravel()] + [Fraction(0)] * (size - moving)
        row = []
        for m in monomials:
            total = Fraction(0)
            for j in range(len(m)):
                product = moved[m[j]]
                for k, i in enumerate(m):
                    product = product * (value[i] if k != j else 1)
                total += product
            row.append(total)
        rows.append(row)
    M = flint.fmpq_mat(
        len(rows), len(monomials), [flint.fmpq(c.numerator, c.denominator) for r in rows for c in r]
    )
    network = {} if activation == "linear" else {"activation": "relu"}
    made = ff.discover(kind, sizes, degree=degree, **network)
    assert made.total == len(monomials) - M.rref()[1]


@pytest.mark.parametrize("kind", [ff.GD, ff.FA])
@pytest.mark.parametrize("sizes", [(2, 3, 2), (3, 2, 2), (2, 2, 3), (2, 2, 2, 2), (1, 3, 2)])
def test_as_many_independent_laws_are_found_as_are_certified(kind, sizes):
    made = ff.discover(kind, sizes, feedback="both")
    assert made.independent == ff.certify(kind, sizes).law_rank
    certificate = ff.certify(made.rule, sizes, made if made.rule.B else list(made))
    assert certificate.complete


def test_laws_in_paper_s_notation_are_those_of_faflow(found):
    rule, _, w = problem(ff.FA, sizes=(4, 4, 4), seed=1)
    known = laws.feedback_balance(rule, w)
    for law in found("fa, square"):
        assert law.name.startswith("(W1 W1' - B2 W2 - W2' B2')[")
        assert law.name.endswith("]  [feedback_balance, k=0]")
        i, j = (int(n) - 1 for n in law.name.split(")[")[1].split("]")[0].split(","))
        factor = law(rule, w) / known[i, j]
        assert factor == pytest.approx(1, rel=1e-12)


def test_null_spaces_of_symbolic_feedback_are_found_as_minors(found):
    """(n₂+1)-minors of [B | column of W₁]: an integer law, for every feedback."""
    minors = [law for law in found("fa") if law.degree == 3]
    rule, _, w = problem(ff.FA, sizes=(2, 3, 2), seed=3)
    for k, law in enumerate(minors):
        determinant = np.linalg.det(np.column_stack([rule.B[0], w[0][:, k]]))
        assert abs(law(rule, w)) == pytest.approx(abs(determinant), rel=1e-10)


def test_laws_measure_a_solution_and_become_sympy(found):
    sizes = (2, 3, 2)
    rule, given, w = problem(ff.FA, sizes=sizes, seed=3)
    sol = ff.integrate(rule, given, w, [0, 0.5, 1])
    for law in found("fa"):
        values = sol.measure(law)
        assert np.abs(values - values[0]).max() < 1e-8
        expression = law.sympy()
        names = {s: str(s).split("_") for s in expression.free_symbols}
        matrices = {"W1": w[0], "W2": w[1], "B2": rule.B[0]}
        at = {s: matrices[n][int(i) - 1, int(j) - 1] for s, (n, i, j) in names.items()}
        assert float(expression.subs(at)) == pytest.approx(float(law(rule, w)), rel=1e-9, abs=1e-12)
    assert "(W_{1})_{1,1}^{2}" in found("fa")[0].latex()
    assert "(B_{2})_{1,2}" in found("fa")[0].latex()
    (law, *_) = ff.discover(ff.On(network=ff.Convolution(2)), (1, 1, 1))
    assert law.latex() == "(W_{1})_{1,1}^{2} - (W_{2,1})_{1,1}^{2} - (W_{2,2})_{1,1}^{2}"
    grown = found("gd, relu, decay")[0]
    assert grown.sympy().has(sympy.exp(2 * sympy.Symbol("t", real=True)))
    assert str(grown).startswith("exp(2 t) (")


def test_a_law_that_is_found_wrong_is_not_handed_out():
    """The rate of every law is taken again along the rule itself."""
    problem = Problem(ff.GD, False, (2, 2, 1), "linear", False, 0)
    wrong = problem._polynomial({(0, 0): 1, (1, 1): -1}, Fraction(0))
    with pytest.raises(RuntimeError, match="but its rate is"):
        problem.verify(wrong)
    right = problem.kept(2)[0]
    problem.verify(right)
    with pytest.raises(RuntimeError, match="but its rate is"):
        problem.verify(replaced(right, growth=Fraction(1)))


@pytest.mark.parametrize(("degree", "total"), [(2, 6), (4, comb(8, 2) - 1), (6, comb(9, 3) - 1)])
def test_six_quadratic_laws_generate_all_of_higher_degree(degree, total):
    """Products of six independent quadratic laws: as many as monomials in six variables."""
    made = ff.discover(ff.GD, (1, 2, 2, 1), degree=degree)
    assert (made.total, len(made)) == (total, 6)


def test_polynomial_laws_differentiate_to_zero_on_series_of_fractions(found):
    rng = np.random.default_rng(0)
    rule = ff.KolenPollack()
    w = tuple(rational(s, rng) for s in rule.state((2, 2, 2)).values())
    task = ff.Task(rational((2, 3), rng), rational((2, 3), rng))
    moved = tuple(Series(W, V) for W, V in zip(w, rule(task, w), strict=True))
    for law in found("kp"):
        assert law(rule, moved).coefficients[1] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"degree": 0}, "degree must be a positive integer, but is 0"),
        ({"degree": 2.0}, r"degree must be a positive integer, but is 2\.0"),
        ({"depth": 3}, r"sizes \(2, 3, 2\) have depth 2, not 3"),
        ({"feedback": "random"}, "Unknown feedback 'random'; choose from symbolic, numeric, both"),
        ({"activation": "tanh"}, "Polynomial laws need homogeneous activations, but tanh is none"),
        ({"seed": -1}, "seed must be an integer of at least 0, but is -1"),
        ({"sizes": (2,)}, "sizes must be at least two positive widths"),
        ({"depth": True, "sizes": (2, 3)}, "depth must be a positive integer, but is True"),
        ({"length": 0}, "length must be a positive integer, but is 0"),
        ({"form": "foo"}, "Unknown form 'foo'; choose from matrix, diagonal, trace"),
        ({"length": 2}, "length is of words; give no sizes, or leave out length=2"),
        ({"form": "trace"}, "form is of words; give no sizes"),
        ({"ends": ("h1", "h1")}, "ends is of words; give no sizes"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ff.discover(ff.FA, **({"sizes": (2, 3, 2)} | options))


@pytest.mark.parametrize("feedback", ["numeric", "both"])
def test_the_feedback_that_laws_are_for_is_named(feedback):
    search = lambda rule, sizes=(1, 2, 1), **more: ff.discover(
        rule, sizes, feedback=feedback, **more
    )
    drawn = search(ff.FA, seed=3)
    numbers = [[int(x) for x in row] for row in drawn.rule.B[0]]
    assert f" feedback B2 = {numbers} drawn with seed 3; " in str(drawn)
    assert drawn.rule.B[0].shape == (2, 1)
    twice = search(ff.DFA, (1, 2, 2, 1)).scope
    assert re.search(r"feedback B1 = \[\[.*\]\], B2 = \[\[.*\]\] drawn with seed 0$", twice)
    assert search(ff.FA, (1, 7, 2), degree=1).scope.endswith(" feedback drawn with seed 0")
    own = search(ff.FA.random((1, 2, 1))).scope
    assert own.endswith(" this feedback")
    assert "drawn" not in own
    for kind in (ff.GD, ff.KolenPollack):
        assert search(kind).scope.endswith("any data, any loss")


@pytest.mark.parametrize("kind", [ff.GD, ff.KolenPollack])
def test_rules_without_fixed_feedback_are_not_proved_for_this_one(kind):
    law = laws.balance if kind is ff.GD else laws.mirror_difference
    assert ff.prove(law, kind, sizes=(2, 2, 2), feedback="given").scope.endswith("any loss")


@pytest.mark.parametrize("B", [[[Fraction(1, 3)], [Fraction(5, 2)]], [[0.1], [-0.7]]])
def test_both_kinds_of_feedback_are_searched_for_fractions(B):
    rule = ff.FA((np.array(B, dtype=object),))
    both = ff.discover(rule, (1, 2, 1), feedback="both")
    numeric = ff.discover(rule, (1, 2, 1), feedback="numeric")
    assert (both.total, both.independent) == (numeric.total, numeric.independent)
    special = both[0].at(rule)
    assert all(isinstance(c, int) for c in special.terms.values())
    w = ff.init((1, 2, 1))
    assert special(rule, w) / both[0](rule, w) == pytest.approx(
        special(rule, (2 * w[0], 3 * w[1])) / both[0](rule, (2 * w[0], 3 * w[1]))
    )


def test_feedback_in_floats_is_taken_exactly():
    """Coefficients of 53 bits and more, beyond what either prime can tell apart."""
    rule = ff.FA.random((2, 3, 2), seed=1)
    made = ff.discover(rule, (2, 3, 2), feedback="numeric")
    assert (made.total, made.independent) == (10, 7)
    (null, *_) = (law for law in made if law.degree == 1)
    for law in made:
        assert ff.prove(law, rule, sizes=(2, 3, 2), feedback="given").kept
    assert max(map(abs, null.terms.values())) > 2**61


def test_decay_in_floats_is_shown_as_a_decimal():
    (law,) = ff.discover(ff.GD(decay=0.1))
    assert str(law).startswith("exp(0.2 t) (W1 W1'")
    assert law.latex().startswith("e^{0.2 t}")
    assert str(ff.discover(ff.GD(decay=0.1), (1, 1, 1))[0]).startswith("exp(0.2 t) (")
    assert str(ff.certify(ff.GD(decay=0.1), (2, 2, 1))).startswith("GD with decay 0.1 on 2-2-1")


@pytest.mark.parametrize("decay", ["1e-400", "1e+30", "1e+5000", "1e-7", "1/999"])
def test_decay_of_any_size_is_shown_and_never_as_zero(decay):
    rule = ff.FA(decay=Fraction(decay))
    assert f"exp({decay} t) (N1' W1)" in str(ff.discover(rule))
    assert str(ff.certify(rule, (1, 2, 1))).startswith(f"FA with decay {decay} on 1-2-1")
    whole = int(Fraction(decay))
    assert str(ff.discover(ff.FA(decay=whole))) == str(ff.discover(ff.FA(decay=Fraction(whole))))


def test_rules_that_are_no_polynomials_are_refused():
    with pytest.raises(ValueError, match="The velocities of SignFA are no polynomials"):
        ff.discover(ff.SignFA, (2, 3, 2))
