"""Closed forms of feedback alignment in chains, against solvers, quadrature and Jacobians."""

import re
from fractions import Fraction
from itertools import pairwise
from math import prod

import mpmath
import numpy as np
import pytest
import scipy.integrate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faflow import FA, Task, exact, integrate, iterate
from faflow.testing import GradientInstead

REFERENCE = 1e-11  # DOP853 at rtol 2.3e-14; 7e-13 was seen
SOLVED = 1e-9  # at rtol 1e-12; 2e-11 was seen

CHAINS = {  # s, b, w0
    "one root": (0.8, (1.3,), (0.4, -0.7)),
    "three roots": (0.3, (1.0,), (1.0, -0.3)),
    "three roots, from the middle": (0.3, (1.0,), (-0.3, -1.25)),
    "all signs": (-0.7, (-1.1,), (-0.6, 0.9)),
    "zero target": (0.0, (0.8,), (0.9, 0.4)),
    "double root": (1.0, (1.0,), (0.3, (0.3**2 - 3) / 2)),
    "from zero": (1.0, (0.7,), (0.0, 0.0)),
    "three layers": (0.9, (1.2, -0.8), (0.5, -0.4, 0.7)),
    "three layers from zero": (-1.0, (0.9, 1.1), (0.0, 0.0, 0.0)),
    "four layers": (-0.6, (0.9, 1.2, -1.1), (0.8, 0.3, -0.9, 0.2)),
    "five layers": (0.7, (1.0, 1.1, 0.9, -1.2), (0.3, -0.5, 0.8, 0.4, -0.6)),
}


def runs(*cases, diffrax):
    """Each case by SciPy, and one more by diffrax, which compiles for seconds."""
    slow = pytest.param(diffrax, "diffrax", marks=pytest.mark.jax)
    return pytest.mark.parametrize(("case", "engine"), [*((case, "scipy") for case in cases), slow])


def reference(s, b, w0, ts):
    """DOP853 on the equations of the chain, typed again."""
    L = len(w0)

    def rates(t, w):
        error = s - np.prod(w)
        return [np.prod(b[k:]) * error * np.prod(w[:k]) for k in range(L)]

    tight = {"method": "DOP853", "rtol": 2.3e-14, "atol": 1e-16}
    return scipy.integrate.solve_ivp(rates, (0, ts[-1]), w0, t_eval=ts, **tight).y


def run(s, b, w0, ts, kind=FA, **options):
    """The same chain as a network of one unit a layer."""
    rule = kind(tuple(np.array([[c]]) for c in b))
    return integrate(rule, Task([[1.0]], [[s]]), column(w0), ts, **options)


def column(w0):
    return tuple(np.array([[w]]) for w in w0)


def distance(paths, others):
    return max(np.abs(a.ravel() - b.ravel()).max() for a, b in zip(paths, others, strict=True))


@pytest.mark.parametrize("case", CHAINS)
def test_the_chain_of_feedback_alignment_meets_its_equations(case):
    ts = np.linspace(0, 8, 33)
    assert distance(exact.fa_chain(*CHAINS[case], ts), reference(*CHAINS[case], ts)) <= REFERENCE


@runs("three roots, from the middle", "all signs", "four layers", diffrax="all signs")
def test_both_engines_meet_the_chain(case, engine):
    ts = np.linspace(0, 8, 9)
    sol = run(*CHAINS[case], ts, engine=engine, rtol=1e-12, atol=1e-14)
    said = exact.fa_chain(*CHAINS[case], ts)
    assert [W.shape for W in said] == [W.shape for W in sol.w]
    assert distance(said, sol.w) <= SOLVED


def test_errors_through_the_transposed_weights_follow_another_path():
    chain, ts = CHAINS["one root"], np.linspace(0, 8, 9)
    sol = run(*chain, ts, kind=GradientInstead)
    assert distance(sol.w, exact.fa_chain(*chain, ts)) > 0.1


@pytest.mark.parametrize("case", CHAINS)
def test_discrete_steps_tend_to_the_chain_at_first_order(case):
    s, b, w0 = CHAINS[case]
    said = exact.fa_chain(s, b, w0, [1.0])
    assert order(FA(column_of(b)), Task([[1.0]], [[s]]), column(w0), said) == pytest.approx(
        1, abs=0.1
    )


def column_of(b):
    return tuple(np.array([[c]]) for c in b)


def order(rule, task, w0, said):
    """Of the distance after a unit of time, from 200 and 400 steps."""
    off = [
        distance([W[-1:] for W in iterate(rule, task, w0, eta=1 / n, steps=n).w], said)
        for n in (200, 400)
    ]
    return np.log2(off[0] / off[1])


def clock(s, b, w0, w1):
    """The time from w₁(0) to w₁, by quadrature at 40 digits: nothing of partial fractions."""
    with mpmath.workdps(40):
        s, b, start, above, w1 = map(mpmath.mpf, (s, b, *w0, w1))
        C = start**2 / 2 - b * above
        g = lambda w: b * s + C * w - w**3 / 2
        near = [start + (w1 - start) * (1 - mpmath.mpf(10) ** -k) for k in range(1, 17)]
        away = [start + (w1 - start) * mpmath.mpf(10) ** -k for k in range(16, 1, -1)]
        return mpmath.quad(lambda w: 1 / g(w), [start, *away, *near, w1])


@pytest.mark.parametrize("gap", [1e-2, 1e-6, 1e-10])
@pytest.mark.parametrize("side", [1, -1])
def test_roots_that_nearly_meet_cost_no_digits(gap, side):
    C = 1.5 + side * gap  # two real roots near -1 for +, a complex pair for -
    w0 = (-3.0, 4.5 - C)
    ts = np.array([0.5, 10.0, 0.5 / np.sqrt(gap)])
    for t, w1 in zip(ts, exact.fa_chain(1.0, 1.0, w0, ts)[0].ravel(), strict=True):
        velocity = 1 + C * w1 - w1**3 / 2
        assert abs(float(clock(1.0, 1.0, w0, w1) - t) * velocity) <= 4e-15 * abs(w1)


def test_a_start_next_to_the_unstable_root_leaves_it_when_it_should():
    s, b = 0.3, 1.0
    middle = exact.fa_chain_equilibria(s, b, (1.5, 0.2)).w[1]
    start = (middle[0] + 1e-9, middle[1] + (2 * middle[0] * 1e-9 + 1e-18) / 2)
    for t in (5.0, 20.0, 28.0, 40.0):
        w1 = exact.fa_chain(s, b, start, [t])[0].item()
        velocity = b * s + (start[0] ** 2 / 2 - b * start[1]) * w1 - w1**3 / 2
        assert abs(float(clock(s, b, start, w1) - t) * velocity) <= 1e-13


@pytest.mark.parametrize("case", CHAINS)
def test_going_on_from_a_point_of_the_chain_is_the_same_chain(case):
    s, b, w0 = CHAINS[case]
    half = [W.item() for W in exact.fa_chain(s, b, w0, [0.7])]
    whole, parts = exact.fa_chain(s, b, w0, [2.0]), exact.fa_chain(s, b, half, [1.3])
    assert distance(whole, parts) <= 2e-14  # the rounding of the point between


def test_times_come_in_any_order_and_over_all_magnitudes():
    s, b, w0 = CHAINS["three layers"]
    ts = np.array([1e300, 0.0, 1e-300, 3.0, 3.0, 1e-9])
    w = exact.fa_chain(s, b, w0, ts)
    assert [W[1, 0, 0] for W in w] == list(w0)
    assert [W[2, 0, 0] for W in w] == list(w0)
    assert np.prod([W[0, 0, 0] for W in w]) == pytest.approx(s, rel=1e-15)
    assert (w[0][3] == w[0][4]).all()
    first = b[0] * b[1] * (s - np.prod(w0))
    assert (w[0][5, 0, 0] - w0[0]) / 1e-9 == pytest.approx(first, rel=1e-6)


def test_small_weights_keep_their_digits():
    w = exact.fa_chain(1e-200, 1.0, (1e-200, 1e150), [0.0, 1e-160])
    assert w[0].ravel().tolist() == [1e-200, pytest.approx(1e-200, rel=1e-9)]
    assert w[1].ravel().tolist() == [1e150, 1e150]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda L: st.tuples(
            st.floats(-2, 2, width=16),
            st.lists(
                st.floats(0.25, 2, width=16).flatmap(lambda c: st.sampled_from([c, -c])),
                min_size=L - 1,
                max_size=L - 1,
            ),
            st.lists(st.floats(-2, 2, width=16), min_size=L, max_size=L),
        )
    )
)
def test_every_chain_ends_at_an_error_of_zero_on_its_orbit(problem):
    s, b, w0 = problem
    w = [W.item() for W in exact.fa_chain(s, b, w0, [1e300])]
    ends = exact.fa_chain_equilibria(s, b, w0)
    nearest = ends.w[np.argmin(np.abs(ends.w[:, 0] - w[0]))]
    np.testing.assert_allclose(w, nearest, rtol=1e-9, atol=1e-60)
    np.testing.assert_allclose(np.prod(ends.w, axis=1), s, rtol=1e-9, atol=1e-12)


# Two layers: Bernoulli's equation, the double root, equilibria


@pytest.mark.parametrize(
    ("b", "w0"),
    [
        (1.3, (0.7, -0.4)),
        (1.3, (-0.7, 0.9)),
        (-1.0, (1.0, -0.5)),
        (1.0, (1.0, 0.5)),
        (0.5, (0.0, 1.0)),
        (0.5, (0.0, -1.0)),
        (2.0, (0.0, 0.0)),
    ],
)
def test_a_target_of_zero_is_bernoullis_equation(b, w0):
    ts = np.append(np.linspace(0, 8, 33), [1e3, 1e300])
    said = exact.fa_forgetting(b, w0, ts)
    assert distance(said, exact.fa_chain(0.0, b, w0, ts)) <= 1e-15  # roundings
    early = [W[:33] for W in said]
    assert distance(early, reference(0.0, (b,), w0, ts[:33])) <= REFERENCE


EPS = 2.0**-13


@pytest.mark.parametrize("w1", [0.25, -3.0, 5.0, -1e4, 1e6, -1 - EPS, EPS - 1, 2 - EPS, -1.0, 2.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_double_root_is_lamberts_function(w1, sign):
    # s = b = 1 or s = -b = 1: C = 3/2 without rounding, the double root at -1 or 1
    w0 = (sign * w1, sign * (w1**2 / 2 - 1.5))
    ts = np.append(np.linspace(0, 8, 33), [1e4, 1e300])
    said = exact.fa_double_root(1.0, sign, w0, ts)
    for W, V in zip(said, exact.fa_chain(1.0, sign, w0, ts), strict=True):
        np.testing.assert_allclose(W, V, rtol=2e-15, atol=1e-15)
    if abs(w1) < 10:
        assert distance([W[:33] for W in said], reference(1.0, (sign,), w0, ts[:33])) <= REFERENCE


def test_the_double_root_attracts_from_one_side_and_repels_on_the_other():
    late = lambda w1: exact.fa_chain(1.0, 1.0, (w1, w1**2 / 2 - 1.5), [1e9])[0].item()
    assert late(-2.0) == pytest.approx(-1, abs=1e-8)  # algebraically, 2/(3t)
    assert late(-0.9) == pytest.approx(2, abs=1e-15)
    rates = exact.fa_chain_equilibria(1.0, 1.0, (0.0, -1.5)).rates
    assert rates.tolist() == [0.0, -4.5]


moderate = st.floats(-2, 2, width=16)


@settings(max_examples=60, deadline=None)
@given(moderate, moderate.filter(lambda b: abs(b) > 0.1), moderate, moderate)
def test_two_layers_have_three_equilibria_exactly_where_their_law_says(s, b, w1, w2):
    C = w1**2 / 2 - b * w2
    told = C**3 - 27 / 8 * (b * s) ** 2
    assume(abs(told) > 1e-9)
    ends = exact.fa_chain_equilibria(s, b, (w1, w2))
    assert len(ends.w) == (3 if told > 0 else 1)
    np.testing.assert_allclose(ends.w[:, 0] * ends.w[:, 1], s, atol=1e-12)
    np.testing.assert_allclose(ends.rates, C - 3 / 2 * ends.w[:, 0] ** 2, atol=1e-12)
    stable = [True, False, True] if told > 0 else [True]
    assert (ends.rates < 0).tolist() == stable
    assert (ends.etas > 0).tolist() == stable


@pytest.mark.parametrize("case", ["three roots", "all signs", "three layers", "four layers"])
def test_rates_at_equilibria_are_eigenvalues_of_the_velocities_jacobian(case):
    s, b, w0 = CHAINS[case]
    rule, task = FA(column_of(b)), Task([[1.0]], [[s]])
    velocity = lambda w: np.ravel(rule(task, column(w)))
    ends = exact.fa_chain_equilibria(s, b, w0)
    for w, rate, eta in zip(*ends, strict=True):
        h = 1e-6
        J = [(velocity(w + h * e) - velocity(w - h * e)) / (2 * h) for e in np.eye(len(w))]
        values = np.linalg.eigvals(np.array(J).T)
        found = values[np.argmax(np.abs(values))]
        assert found.imag == 0
        assert found.real == pytest.approx(rate, rel=1e-7)  # of central differences
        assert sorted(np.abs(values))[-2] < 1e-6  # the laws move along the surface of zero error
        assert eta == pytest.approx(-2 / rate if rate < 0 else 0)


@pytest.mark.parametrize("layers", [5, 6, 7])
def test_rates_of_deep_chains_alternate_and_are_those_of_the_product(layers):
    """Roots of a polynomial on the line attract and repel by turns."""
    for b, w0 in (([1.0] * (layers - 1), [3.0] * layers), ([0.7, -1.2, 1, 1, -1, 2], [1.5] * 7)):
        w, rates, etas = exact.fa_chain_equilibria(1.0, b[: layers - 1], w0[:layers])
        assert np.abs(np.prod(w, axis=1) - 1).max() < 1e-9
        signs = np.sign(rates[rates != 0])  # but for the double root of a symmetric chain
        assert signs[0] == signs[-1] == -1
        assert (signs[1:] == -signs[:-1]).all()
        assert ((etas > 0) == (rates < 0)).all()
        for weights, rate in zip(w, rates, strict=True):
            at = [Fraction(x) for x in weights]
            each = [
                prod(map(Fraction, b[k : layers - 1])) * prod(at[:k]) * prod(at[:k] + at[k + 1 :])
                for k in range(layers)
            ]
            # rounded weights: each share of the rate to 1e-16, of which large ones may cancel
            error = 1e-12 * max(map(abs, each))
            assert abs(float(-sum(each)) - rate) <= 1e-9 * abs(rate) + error


@pytest.mark.parametrize("case", ["three roots", "three layers"])
def test_steps_grow_by_one_plus_eta_times_the_rate_about_an_equilibrium(case):
    s, b, w0 = CHAINS[case]
    rule, task = FA(column_of(b)), Task([[1.0]], [[s]])
    for w, rate, eta in zip(*exact.fa_chain_equilibria(s, b, w0), strict=True):
        for size in (0.97 * eta, 1.03 * eta) if eta else (0.1,):
            w = np.array(w)
            start = w + 1e-7 * np.ravel(rule(task, column(w * (1 + 1e-3))))
            sol = iterate(rule, task, column(start), eta=size, steps=2)
            error = s - np.prod([W.ravel() for W in sol.w], axis=0)
            assert error[1] / error[0] == pytest.approx(1 + size * rate, rel=1e-5)
            assert (abs(error[2]) < abs(error[0])) == (0 < size < eta)


def test_gradient_descent_rests_at_the_origin_which_feedback_alignment_leaves():
    sol = run(1.0, (1.0,), (0.0, 0.0), [0.0, 50.0], kind=GradientInstead)
    assert not any(W.any() for W in sol.w)
    w = exact.fa_chain(1.0, 1.0, (0.0, 0.0), [50.0])
    assert w[0].item() * w[1].item() == pytest.approx(1, abs=1e-14)


def test_a_start_whose_terms_cancel_has_no_double_root():
    for w0 in ((2e6, 2e12), (-1e4, 5e7 - 1.5 + 4e-5), (-1e9, 5e17)):
        with pytest.raises(ValueError, match="fa_chain takes any start"):
            exact.fa_double_root(1.0, 1.0, w0, [1.0])


def test_forgetting_goes_on_where_the_exponent_leaves_the_range_of_floats():
    ends = exact.fa_forgetting(1.0, (2.0, 1e3), [1e306])
    assert [W.item() for W in ends] == [0, pytest.approx(998)]  # w₂ - w₁²/2 is kept
    assert exact.fa_forgetting(1.0, (2.0, 3.0), [1e308])[1].item() == pytest.approx(1)


def test_a_start_at_an_equilibrium_rests_even_where_it_is_unstable():
    # C = 3/2 + 1/8, bs = 9/8: w₁ = -1.5 is a root, exactly; and the origin where s = 0
    w = exact.fa_chain(0.75, 1.5, (-1.5, -0.5), [0.0, 1e3, 1e300])
    assert w[0].ravel().tolist() == [-1.5] * 3
    assert w[1].ravel().tolist() == [-0.5] * 3
    unstable = exact.fa_chain_equilibria(0.0, 1.0, (0.0, -1.0))
    assert unstable.w[1].tolist() == [0, -1]
    assert unstable.rates[1] == 1
    w = exact.fa_chain(0.0, 1.0, (0.0, -1.0), [0.0, 1e3, 1e300])
    assert not w[0].any()
    assert w[1].ravel().tolist() == [-1] * 3


# The law of the steps


@pytest.mark.parametrize("case", ["three roots", "all signs", "three layers", "four layers"])
def test_the_corrected_law_is_kept_to_second_order(case):
    s, b, w0 = CHAINS[case]
    rule, task = FA(column_of(b)), Task([[1.0]], [[s]])

    def drifts(n, corrected):
        sol = iterate(rule, task, column(w0), eta=2 / n, steps=n)
        law = exact.fa_chain_law(s, b, sol.w, eta=corrected * 2 / n)
        return np.abs(law - law[:, :1]).max()

    for corrected, expected in ((1, 2), (0, 1)):
        coarse, fine = (drifts(n, corrected) for n in (400, 800))
        assert np.log2(coarse / fine) == pytest.approx(expected, abs=0.1)


def test_the_law_of_the_flow_is_kept_and_its_correction_is_the_formula_of_two_layers():
    s, b, w0 = CHAINS["three roots"]
    w = exact.fa_chain(s, b, w0, np.linspace(0, 8, 9))
    law = exact.fa_chain_law(s, b, w)
    assert law.shape == (1, 9, 1, 1)
    assert np.abs(law - law[:, :1]).max() <= 1e-15
    w1, w2 = np.array([0.7, -1.3]), np.array([0.2, 0.5])
    C = w1**2 / 2 - b[0] * w2
    G = b[0] * s * w1 + C * w1**2 / 2 - w1**4 / 8
    said = exact.fa_chain_law(s, b, (w1, w2), eta=0.3)
    np.testing.assert_allclose(said, [C - 0.15 * G], rtol=1e-14)


# Deep networks from zero


def orthogonal(sizes, seed=0):
    """Y of norm 1.5, and feedback of orthogonal columns of random lengths."""
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((sizes[-1], sizes[0]))
    B = tuple(
        rng.uniform(0.6, 1.4) * np.linalg.qr(rng.standard_normal(shape))[0]
        for shape in FA.shapes(sizes)
    )
    return 1.5 * Y / np.linalg.norm(Y, 2), B


def zeros(sizes):
    return tuple(np.zeros((n, m)) for m, n in pairwise(sizes))


@runs((5, 6, 4, 3), (3, 7, 5, 3), (3, 6, 5, 5, 2), diffrax=(5, 6, 4, 3))
def test_modes_of_a_deep_network_are_chains_of_their_own(case, engine):
    Y, B = orthogonal(case)
    ts = np.linspace(0, 8, 9)
    run = {"engine": engine, "rtol": 1e-12, "atol": 1e-14}
    sol = integrate(FA(B), Task.factorisation(Y), zeros(case), ts, **run)
    assert distance(sol.w, exact.fa_orthogonal_from_zero(Y, B, ts)) <= SOLVED


def test_discrete_steps_tend_to_the_deep_network_at_first_order():
    sizes = (5, 6, 4, 3)
    Y, B = orthogonal(sizes)
    said = exact.fa_orthogonal_from_zero(Y, B, [1.0])
    assert order(FA(B), Task.factorisation(Y), zeros(sizes), said) == pytest.approx(1, abs=0.1)


def test_generic_feedback_in_the_middle_mixes_the_modes():
    sizes = (5, 6, 4, 3)
    Y, B = orthogonal(sizes)
    U, _, Vt = np.linalg.svd(Y, full_matrices=False)

    def mixed(B):
        sol = integrate(FA(B), Task.factorisation(Y), zeros(sizes), [0.0, 1.0])
        W1, W2, W3 = sol.at(-1)
        inner = U.T @ W3 @ W2 @ W1 @ Vt.T
        return np.linalg.norm(inner - np.diag(inner.diagonal())) / np.linalg.norm(inner)

    generic = (np.random.default_rng(1).standard_normal(B[0].shape), B[1])
    assert mixed(B) < 1e-10
    assert mixed(generic) > 0.1
    with pytest.raises(ValueError, match=re.escape("B[0] must have orthogonal columns")):
        exact.fa_orthogonal_from_zero(Y, generic, [1.0])


def test_two_layers_of_orthogonal_feedback_are_those_of_any_feedback():
    Y, B = orthogonal((4, 6, 3))
    ts = np.linspace(0, 8, 9)
    assert (
        distance(exact.fa_orthogonal_from_zero(Y, B, ts), exact.fa_from_zero(Y, B[0], ts)) < 1e-14
    )


def test_the_deep_network_takes_a_white_task_and_a_target_below_full_rank():
    rng = np.random.default_rng(2)
    X = np.linalg.qr(rng.standard_normal((6, 4)))[0]
    Y, B = orthogonal((4, 6, 4, 3))
    Y[2] = Y[0]
    task, ts = Task(X, Y), np.linspace(0, 8, 5)
    said = exact.fa_orthogonal_from_zero(task, B, ts)
    sol = integrate(FA(B), task, zeros((6, 6, 4, 3)), ts, rtol=1e-12, atol=1e-14)
    assert distance(sol.w, said) <= SOLVED


# What is refused

chain, T = exact.fa_chain, [0.0, 1.0]
Q = np.eye(4)[:, :3]
WRONG = {
    "one layer": (lambda: chain(1.0, (), (1.0,), T), "at least two weights"),
    "too deep": (lambda: chain(1.0, (1.0,) * 7, (1.0,) * 8, T), "at most 7 layers"),
    "weights as a number": (lambda: chain(1.0, 1.0, 2.0, T), "w0 must be numbers"),
    "weights as matrices": (lambda: chain(1.0, 1.0, column((1, 2)), T), "w0[0] must be a real"),
    "NaN in w0": (lambda: chain(1.0, 1.0, (1.0, np.nan), T), "w0[1] must be finite"),
    "target as text": (lambda: chain("1", 1.0, (1.0, 1.0), T), "s must be a real number"),
    "infinite target": (lambda: chain(np.inf, 1.0, (1.0, 1.0), T), "s must be finite"),
    "no feedback": (lambda: chain(1.0, 0.0, (1.0, 1.0), T), "b must have no zeros"),
    "too little feedback": (lambda: chain(1.0, 1.0, (1.0, 1.0, 1.0), T), "b must be 2 numbers"),
    "too much feedback": (lambda: chain(1.0, (1.0, 2.0), (1.0, 1.0), T), "b must be 1 number"),
    "complex feedback": (lambda: chain(1.0, 1j, (1.0, 1.0), T), "b[0] must be a real number"),
    "negative time": (lambda: chain(1.0, 1.0, (1.0, 1.0), [-1.0]), "at least 0"),
    "infinite time": (lambda: chain(1.0, 1.0, (1.0, 1.0), [np.inf]), "finite times"),
    "times as text": (lambda: chain(1.0, 1.0, (1.0, 1.0), ["now"]), "sequence of numbers"),
    "equilibria": (lambda: exact.fa_chain_equilibria(1.0, 0.0, (1.0, 1.0)), "no zeros"),
    "shapes of the law": (lambda: exact.fa_chain_law(1.0, 1.0, ([1.0], 2.0)), "of one shape"),
    "step of the law": (lambda: exact.fa_chain_law(1.0, 1.0, (1.0, 2.0), eta=np.nan), "eta must"),
    "three neurons": (lambda: exact.fa_forgetting(1.0, (1.0, 1.0, 1.0), T), "must have 2 weights"),
    "out of range": (lambda: exact.fa_forgetting(1.0, (1e200, 1.0), T), "range of floats"),
    "single roots": (lambda: exact.fa_double_root(1.0, 1.0, (1.0, 1.0), T), "3(bs)^⅔/2"),
    "triple root": (lambda: exact.fa_double_root(0.0, 1.0, (0.0, 0.0), T), "bs other than 0"),
    "a matrix": (lambda: exact.fa_orthogonal_from_zero(np.eye(3), Q, T), "B must be one to"),
    "columns of B": (
        lambda: exact.fa_orthogonal_from_zero(np.eye(2), (Q,), T),
        "B[0] must have 2 columns",
    ),
    "rank of B": (
        lambda: exact.fa_orthogonal_from_zero(np.eye(4), (Q.T,), T),
        "B[0] must have orthogonal columns",
    ),
    "B of zeros": (lambda: exact.fa_orthogonal_from_zero(np.eye(3), (0 * Q,), T), "other than 0"),
    "tanh": (
        lambda: exact.fa_orthogonal_from_zero(Task(np.eye(3), np.eye(3), "tanh"), (Q,), T),
        "linear network",
    ),
    "colours": (
        lambda: exact.fa_orthogonal_from_zero(Task(2 * np.eye(3), np.eye(3)), (Q,), T),
        "needs whitened inputs",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_arguments_outside_the_domain_are_refused_in_a_sentence(what):
    call, words = WRONG[what]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
