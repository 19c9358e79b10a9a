from fractions import Fraction

import flint
import numpy as np
import pytest

import faflow as ff
from faflow.matrices import Jet, Span, batches, rational
from faflow.matrices.jets import residue
from faflow.matrices.residues import LONGEST, P, balanced, draw, echelon, inverse, product, rank
from faflow.nets import replaced


def modular(M):
    """The same matrix in flint, which does its own arithmetic."""
    return flint.nmod_mat(*M.shape, [int(v) % P for v in M.ravel()], P)


def test_the_modulus_is_a_prime():
    assert flint.fmpz(P).is_prime()


@pytest.mark.parametrize("inner", [1, LONGEST, LONGEST + 1, 3 * LONGEST + 5])
def test_products_are_exact_where_every_term_is_largest(inner):
    largest = P // 2 + 1
    a, b = np.full((2, inner), float(largest)), np.full((inner, 3), -float(largest))
    assert (product(a, b) == balanced(-inner * largest**2)).all()


@pytest.mark.parametrize("seed", range(30))
def test_rank_and_echelon_form_are_those_of_another_library(seed):
    rng = np.random.default_rng(seed)
    m, n, r = (int(v) for v in rng.integers(1, 60, 3))
    M = product(draw(rng, m, r), draw(rng, r, n))
    M[:, rng.integers(0, n)] = 0
    known = modular(M).rank()
    assert rank(M) == known
    rows, pivots = echelon(M)
    assert len(pivots) == known
    assert (rows[:, pivots] == np.eye(known)).all()
    assert not np.remainder(M - product(M[:, pivots], rows), P).any()


def test_a_span_grows_by_what_a_batch_adds():
    rng = np.random.default_rng(0)
    M = product(draw(rng, 40, 25), draw(rng, 25, 60))
    span = Span(60)
    assert [span.add(M[:10]), span.add(M[:10]), span.add(M[10:]), span.add(M)] == [10, 0, 15, 0]
    assert span.rank == 25


def test_a_rank_modulo_a_prime_never_exceeds_the_rank():
    M = np.array([[1.0, 0.0], [0.0, float(P)]])
    assert rank(np.remainder(M, P)) == 1


def test_residues_of_fractions_undo_their_denominators():
    for x in (Fraction(2, 7), Fraction(-5, 3), 12):
        assert balanced(int(residue(x)) * Fraction(x).denominator) == balanced(
            Fraction(x).numerator
        )
    assert balanced(int(inverse(17)) * 17) == 1
    assert residue(0.5) == residue(Fraction(1, 2))
    with pytest.raises(TypeError, match="rational factors only, but got nan"):
        residue(float("nan"))


def test_a_denominator_that_the_prime_divides_is_refused():
    with pytest.raises(ValueError, match=f"^-3/{P} has a denominator that the prime {P} divides"):
        residue(Fraction(-3, P))


def jets(matrices, moved=()):
    """Fractions as residues, moved by ε times each of `moved`."""
    to = lambda M: np.vectorize(residue, otypes=[float])(M)[None]
    out = tuple(Jet({0: to(M)}) for M in matrices)
    for nilpotent, directions in enumerate(moved):
        out = tuple(
            W.moved(Jet({0: to(V)}), nilpotent) for W, V in zip(out, directions, strict=True)
        )
    return out


@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
@pytest.mark.parametrize("bias", [False, True])
def test_jets_are_derivatives_of_the_rule_in_exact_arithmetic(kind, bias):
    """The second mixed difference of a rule of total degree 4 in the weights, by interpolation."""
    rng = np.random.default_rng(3)
    sizes = (2, 3, 2, 2)
    rational_of = lambda shapes: tuple(rational(s, rng) for s in shapes)
    rule = kind(rational_of(kind.shapes(sizes)))
    shapes = rule.state(sizes, bias).values()
    w, u, v = (rational_of(shapes) for _ in range(3))
    X, E = rational((2, 1), rng), rational((2, 1), rng)

    def task(kind):
        empty = ff.Task([[0.0]], [[0.0]], bias=bias)
        (x,), (e,) = kind((X,)), kind((E,))
        return replaced(empty, X=x, Y=e, loss=ff.nets.any_loss)

    def at(s, t):
        point = tuple(W + s * U + t * V for W, U, V in zip(w, u, v, strict=True))
        return rule(task(lambda M: M), point)

    modular_rule = replaced(rule, B=jets(rule.B))
    moved = modular_rule(task(jets), jets(w, (u, v)))
    nodes = range(-2, 3)  # degree 4 in s and t: five nodes give the mixed derivative exactly
    slope = {-2: Fraction(1, 12), -1: Fraction(-2, 3), 0: 0, 1: Fraction(2, 3), 2: Fraction(-1, 12)}
    exact = [
        sum(
            slope[s] * slope[t] * V
            for (s, t), V in zip(
                [(s, t) for s in nodes for t in nodes if slope[s] and slope[t]], parts, strict=True
            )
        )
        for parts in zip(
            *[at(s, t) for s in nodes for t in nodes if slope[s] and slope[t]], strict=True
        )
    ]
    for made, known in zip(moved, exact, strict=True):
        wanted = np.vectorize(residue, otypes=[float])(known)
        assert not np.remainder(made.parts.get(3, 0.0) - wanted, P).any()


def test_signs_of_residues_stand_still():
    W = Jet({0: np.array([[[3.0, -4.0]]])}, whole=True).moved(Jet({0: np.full((1, 1, 2), 5.0)}), 0)
    signs = ff.activations.sign_of(W)
    assert set(signs.parts) == {0}
    assert (signs.parts[0] == [[[1, -1]]]).all()


def test_batches_are_eliminated_as_one_by_one():
    rng = np.random.default_rng(0)
    ranks_of = [0, 1, 2, 3, 3, 2]
    A = np.array([product(draw(rng, 5, r), draw(rng, r, 4)) for r in ranks_of])
    assert batches.ranks(A).tolist() == [rank(M) for M in A] == ranks_of
    wide = np.array([product(draw(rng, 5, 2), draw(rng, 2, 6)) for _ in range(7)])
    null = batches.null_spaces(wide)
    assert null.shape == (7, 4, 6)
    assert not np.remainder(product(wide, null.mT), P).any()
    assert (batches.ranks(null) == 4).all()
    with pytest.raises(ValueError, match="null spaces of different kinds"):
        batches.null_spaces(A)


def test_inverses_of_arrays_are_those_of_numbers():
    numbers = np.array([1.0, -1.0, 2.0, 17.0, P // 2])
    assert batches.inverses(numbers).tolist() == [inverse(x) for x in numbers]
