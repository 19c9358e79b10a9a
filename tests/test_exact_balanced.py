"""Closed forms of gradient descent from balanced starts, against solvers and each other."""

import re

import numpy as np
import pytest
import scipy.integrate

from faflow import GD, Task, exact, integrate, iterate

REFERENCE = 1e-11  # DOP853 at rtol 2.3e-14; 3e-13 was seen
SOLVED = 1e-9  # at rtol 1e-12; 5e-12 was seen
TS = np.linspace(0, 6, 25)


def reference(s, w0, ts=TS):
    """DOP853 on the equations of the chain, typed again."""

    def rates(t, w):
        error = s - np.prod(w)
        return [error * np.prod(np.delete(w, k)) for k in range(len(w))]

    tight = {"method": "DOP853", "rtol": 2.3e-14, "atol": 1e-16}
    return scipy.integrate.solve_ivp(rates, (0, ts[-1]), w0, t_eval=ts, **tight).y


def column(w0):
    return tuple(np.array([[w]]) for w in w0)


def distance(paths, others):
    return max(np.abs(a.ravel() - b.ravel()).max() for a, b in zip(paths, others, strict=True))


def order(task, w0, measure, said):
    """Of the distance after a unit of time, from 200 and 400 steps."""
    runs = [iterate(GD(), task, w0, eta=1 / n, steps=n) for n in (200, 400)]
    off = [distance(measure([W[-1:] for W in sol.w]), said) for sol in runs]
    return np.log2(off[0] / off[1])


def runs(*cases, diffrax):
    """Each case by SciPy, and one more by diffrax, which compiles for seconds."""
    slow = pytest.param(diffrax, "diffrax", marks=pytest.mark.jax)
    return pytest.mark.parametrize(("case", "engine"), [*((case, "scipy") for case in cases), slow])


# Two neurons from any start

PAIRS = {
    "unequal": (1.0, (0.1, 0.3)),
    "the other way": (1.0, (0.3, 0.1)),
    "negative target": (-0.7, (0.3, 0.1)),
    "the wrong sign": (2.0, (-0.5, 0.3)),
    "large": (1.0, (2.0, 3.0)),
    "equal": (1.0, (-0.5, -0.5)),
    "into the saddle": (1.0, (0.5, -0.5)),
    "zero target": (0.0, (0.4, 0.9)),
    "zero target, equal": (0.0, (0.4, 0.4)),
    "from next to the saddle": (1.0, (1e-9, 0.0)),
    "solved": (0.25, (0.5, 0.5)),
    "the saddle": (1.0, (0.0, 0.0)),
}


@pytest.mark.parametrize("case", PAIRS)
def test_two_neurons_meet_their_equations(case):
    assert distance(exact.gd_chain(*PAIRS[case], TS), reference(*PAIRS[case])) <= REFERENCE


@runs("unequal", "the wrong sign", diffrax="the wrong sign")
def test_both_engines_meet_two_neurons(case, engine):
    s, w0 = PAIRS[case]
    run = {"engine": engine, "rtol": 1e-12, "atol": 1e-14}
    sol = integrate(GD(), Task([[1.0]], [[s]]), column(w0), TS, **run)
    said = exact.gd_chain(s, w0, TS)
    assert [W.shape for W in said] == [W.shape for W in sol.w]
    assert distance(said, sol.w) <= SOLVED


def test_the_sigmoid_is_the_product_of_equal_neurons_alone():
    def off(s, w0):
        W1, W2 = exact.gd_chain(s, w0, TS)
        start = w0[0] * w0[1]
        sigmoid = s / (1 - (1 - s / start) * np.exp(-2 * s * TS))
        return np.abs((W1 * W2).ravel() - sigmoid).max()

    assert off(*PAIRS["equal"]) <= 4e-15  # roundings
    assert off(*PAIRS["unequal"]) > 0.05


@pytest.mark.parametrize("case", ["unequal", "the wrong sign", "large"])
def test_the_balance_of_two_neurons_is_kept(case):
    s, w0 = PAIRS[case]
    W1, W2 = exact.gd_chain(s, w0, TS)
    np.testing.assert_allclose(W2**2 - W1**2, w0[1] ** 2 - w0[0] ** 2, atol=4e-15)


def test_two_neurons_over_all_magnitudes_of_time():
    ts = np.array([1e300, 0.0, 1e-300, 5.0, 1e4])
    W1, W2 = (W.ravel() for W in exact.gd_chain(1.0, (0.5, -0.5), ts))
    assert W1[0] == W2[0] == W1[4] == 0  # e^-1e4 underflows
    assert W1[[1, 2]] == pytest.approx(0.5, rel=1e-15)
    W1, W2 = (W.ravel() for W in exact.gd_chain(1.0, (0.5, -0.5 + 1e-14), ts))
    assert (W1 * W2)[[0, 4]] == pytest.approx(1, abs=1e-15)  # it leaves the saddle
    assert exact.gd_chain(1.0, (0.0, 0.0), ts)[0].any() == np.False_


def test_two_neurons_over_all_magnitudes_of_weights_and_target():
    for t, ends in ((0.0, [1, 2]), (1.0, [1e100, 1e100]), (1e200, [1e100, 1e100])):
        W1, W2 = exact.gd_chain(1e200, (1.0, 2.0), [t])
        assert [W1.item(), W2.item()] == pytest.approx(ends, rel=1e-15)
    tiny = [W.item() for W in exact.gd_chain(1.0, (1e-160, 3e-160), [0.0])]
    assert tiny == pytest.approx([1e-160, 3e-160], rel=1e-15, abs=0)


def test_a_start_close_to_the_way_into_the_saddle_keeps_its_digits():
    # from w₂ = -w₁ + ε the growing part is all that is left at the end of the fall
    s, eps = 1.0, 2.0**-40
    W1, _ = exact.gd_chain(s, (0.5, eps - 0.5), [10.0, 14.0])
    # sum and difference p = w₁ + w₂, q = w₁ - w₂ hold the small part apart
    rates = lambda t, y: [
        y[0] * (s - (y[0] ** 2 - y[1] ** 2) / 4),
        -y[1] * (s - (y[0] ** 2 - y[1] ** 2) / 4),
    ]
    tight = {"method": "DOP853", "rtol": 2.3e-14, "atol": 1e-30}
    y = scipy.integrate.solve_ivp(rates, (0, 14), [eps, 1 - eps], t_eval=[10, 14], **tight).y
    np.testing.assert_allclose(W1.ravel(), (y[0] + y[1]) / 2, rtol=1e-11)


@pytest.mark.parametrize("case", ["unequal", "the wrong sign", "into the saddle", "zero target"])
def test_discrete_steps_tend_to_two_neurons_at_first_order(case):
    s, w0 = PAIRS[case]
    said = exact.gd_chain(s, w0, [1.0])
    seen = order(Task([[1.0]], [[s]]), column(w0), lambda w: w, said)
    assert seen == pytest.approx(1, abs=0.1)


# Longer chains of equal sizes

CHAINS = {
    "two": (1.0, (0.3, 0.3)),
    "three": (1.0, (0.3, 0.3, 0.3)),
    "three, from above": (1.0, (2.0, 2.0, 2.0)),
    "three, signs": (-1.0, (0.4, -0.4, 0.4)),
    "three, wrong sign": (1.0, (1.0, -1.0, 1.0)),
    "four": (1.0, (0.5, -0.5, -0.5, 0.5)),
    "four, zero target": (0.0, (1.0, 1.0, 1.0, 1.0)),
    "five": (1.5, (0.6, 0.6, 0.6, 0.6, 0.6)),
    "at the saddle": (1.0, (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("case", CHAINS)
def test_equal_neurons_meet_their_equations(case):
    said = exact.gd_balanced_chain(*CHAINS[case], TS)
    assert distance(said, reference(*CHAINS[case])) <= REFERENCE


@runs("three, signs", "five", diffrax="three, signs")
def test_both_engines_meet_equal_neurons(case, engine):
    s, w0 = CHAINS[case]
    run = {"engine": engine, "rtol": 1e-12, "atol": 1e-14}
    sol = integrate(GD(), Task([[1.0]], [[s]]), column(w0), TS, **run)
    assert distance(exact.gd_balanced_chain(s, w0, TS), sol.w) <= SOLVED


@pytest.mark.parametrize("case", ["two", "three", "four, zero target", "five"])
def test_discrete_steps_tend_to_equal_neurons_at_first_order(case):
    s, w0 = CHAINS[case]
    said = exact.gd_balanced_chain(s, w0, [1.0])
    seen = order(Task([[1.0]], [[s]]), column(w0), lambda w: w, said)
    assert seen == pytest.approx(1, abs=0.1)


def test_the_implicit_time_of_equal_neurons_is_the_sum_over_roots():
    s, a0, L, t = 1.5, 0.4, 4, 3.0
    a = exact.gd_balanced_chain(s, (a0,) * L, [t])[0].item()
    roots = s ** (1 / L) * np.exp(2j * np.pi * np.arange(L) / L)

    def time(a):
        logs = np.sum(np.log(a - roots) / (L * s * roots ** (L - 2)))
        return -1 / ((L - 2) * s * a ** (L - 2)) - logs.real

    assert time(a) - time(a0) == pytest.approx(t, abs=1e-12)


def test_two_equal_neurons_are_two_neurons():
    s, w0 = CHAINS["two"]
    assert distance(exact.gd_balanced_chain(s, w0, TS), exact.gd_chain(s, w0, TS)) <= 1e-15


def test_a_deep_chain_waits_for_the_power_of_its_start():
    ts = [4.9e5, 5.1e5]  # 1/(2a²)
    a = exact.gd_balanced_chain(1.0, (1e-3,) * 4, ts)[0].ravel()
    assert a[0] < 0.01
    assert a[1] == pytest.approx(1, abs=1e-12)
    a = exact.gd_balanced_chain(-1.0, (1.0,) * 4, [1e10, 1e300])[0].ravel()
    np.testing.assert_allclose(a, [(2e10) ** -0.5, 2**-0.5 * 1e-150], rtol=1e-9)


def test_an_unequal_chain_leaves_the_formula():
    start = np.array([0.3, 0.5, 0.3])
    size = np.prod(start) ** (1 / 3)
    off = (
        np.prod(reference(1.0, start), axis=0)
        - exact.gd_balanced_chain(1.0, (size,) * 3, TS)[0].ravel() ** 3
    )
    assert np.abs(off).max() > 1e-2


# Two layers of matrices


def balanced(m, h, n, kept, seed=0, scale=0.1):
    """Random Y, and weights with W₂ᵀW₂ - W₁W₁ᵀ = kept·I."""
    rng = np.random.default_rng(seed)
    basis = lambda a, b: np.linalg.qr(rng.standard_normal((a, b)))[0]
    own = np.zeros(h)
    own[: min(m, h, n)] = scale * rng.uniform(0.5, 1.5, min(m, h, n))
    turn, first, last = basis(h, h), min(h, m), min(h, n)
    W1 = turn[:, :first] * np.sqrt(own + max(-kept, 0))[:first] @ basis(m, first).T
    W2 = basis(n, last) * np.sqrt(own + max(kept, 0))[:last] @ turn[:, :last].T
    return rng.standard_normal((n, m)), (W1, W2)


def products(w):
    """W₂W₁, W₁ᵀW₁ and W₂W₂ᵀ of weights with a time axis."""
    W1, W2 = w
    return W2 @ W1, W1.swapaxes(1, 2) @ W1, W2 @ W2.swapaxes(1, 2)


SHAPES = {  # m, h, n, λ
    "balanced": (5, 4, 6, 0.0),
    "the last is larger": (5, 4, 6, 0.7),
    "the first is larger": (5, 4, 6, -0.4),
    "wide": (4, 9, 3, 0.0),
    "a bottleneck": (6, 2, 5, 0.3),
    "one unit a layer": (1, 1, 1, 0.5),
}


@runs(*SHAPES, diffrax="the last is larger")
def test_both_engines_meet_balanced_layers(case, engine):
    Y, w0 = balanced(*SHAPES[case])
    ts = np.array([0.0, 0.3, 1.0, 2.0, 4.0])
    run = {"engine": engine, "rtol": 1e-12, "atol": 1e-14}
    sol = integrate(GD(), Task.factorisation(Y), w0, ts, **run)
    said = exact.gd_balanced(Y, w0, ts)
    assert [P.shape for P in said] == [P.shape for P in products(sol.w)]
    assert distance(said, products(sol.w)) <= SOLVED


@pytest.mark.parametrize("case", ["balanced", "the last is larger", "the first is larger"])
def test_layers_that_ignore_their_balance_go_elsewhere(case):
    m, h, n, kept = SHAPES[case]
    Y, w0 = balanced(m, h, n, kept)
    P0, ts = np.vstack([w0[0].T, w0[1]]), np.linspace(0.5, 4, 8)
    P0 = P0 @ P0.T
    F = np.block([[np.zeros((m, m)), Y.T], [Y, np.zeros((n, n))]])
    rates, V = np.linalg.eigh(F)
    start, far = V.T @ P0 @ V, []
    for t, seen in zip(ts, exact.gd_balanced(Y, w0, ts).network, strict=True):
        J = np.diag(
            np.where(rates == 0, t, np.expm1(2 * rates * t) / np.where(rates, 2 * rates, 1))
        )
        E = np.diag(np.exp(rates * t))
        P = V @ E @ start @ np.linalg.solve(np.eye(m + n) + J @ start, E) @ V.T
        far.append(np.abs(P[m:, :m] - seen).max())
    assert (max(far) > 0.05) == (kept != 0)
    assert kept or max(far) < 1e-6  # digits that the formula as it stands loses


@pytest.mark.parametrize("t", [100.0, 400.0])
@pytest.mark.parametrize("case", ["balanced", "a bottleneck"])
def test_a_bottleneck_never_learns_more_modes_than_it_has_units(case, t):
    Y, w0 = balanced(*SHAPES[case])
    h = SHAPES[case][1]
    U, s, Vt = np.linalg.svd(Y)
    best = U[:, :h] * s[:h] @ Vt[:h]
    assert np.abs(exact.gd_balanced(Y, w0, [t]).network[0] - best).max() <= 1e-13


def test_layers_without_a_target_forget_in_their_own_time():
    _, w0 = balanced(*SHAPES["balanced"])
    before = w0[1] @ w0[0]
    said = exact.gd_balanced(0 * before, w0, [0.0, 1e-300, 3.0, 1e12]).network
    U, s, Vt = np.linalg.svd(before, full_matrices=False)
    np.testing.assert_allclose(said[:2], [before] * 2, atol=1e-15)
    np.testing.assert_allclose(said[2], U * (s / (1 + 2 * 3 * s)) @ Vt, atol=1e-14)
    assert np.abs(said[3]).max() < 1e-12


def test_layers_of_one_unit_are_two_neurons():
    s, w0 = PAIRS["the wrong sign"]
    W1, W2 = exact.gd_chain(s, w0, TS)
    said = exact.gd_balanced([[s]], column(w0), TS)
    assert distance(said, products((W1, W2))) <= 4e-15


def test_the_hidden_units_turn_in_a_way_that_the_products_do_not_say():
    Y, w0 = balanced(*SHAPES["balanced"])
    m, t = 5, 1.0
    F = np.block([[np.zeros((m, m)), Y.T], [Y, np.zeros((6, 6))]])
    R = np.vstack([w0[0].T, w0[1]])
    rates, V = np.linalg.eigh(F)
    J = V * np.where(np.abs(rates) < 1e-12, t, np.expm1(2 * rates * t) / (2 * rates)) @ V.T
    values, K = np.linalg.eigh(np.eye(4) + R.T @ J @ R)
    said = V * np.exp(rates * t) @ V.T @ R @ (K / np.sqrt(values)) @ K.T  # the symmetric root
    W1, W2 = integrate(GD(), Task.factorisation(Y), w0, [0, t], rtol=1e-12, atol=1e-14).at(-1)
    seen = np.vstack([W1.T, W2])
    assert np.abs(said @ said.T - seen @ seen.T).max() < 1e-9
    assert np.abs(said - seen).max() > 1e-3


@pytest.mark.parametrize("case", ["balanced", "the last is larger"])
def test_discrete_steps_tend_to_balanced_layers_at_first_order(case):
    Y, w0 = balanced(*SHAPES[case])
    said = exact.gd_balanced(Y, w0, [1.0])
    assert order(Task.factorisation(Y), w0, products, said) == pytest.approx(1, abs=0.1)


def test_balanced_layers_take_orthonormal_samples_and_times_in_any_order():
    rng = np.random.default_rng(3)
    X = np.linalg.qr(rng.standard_normal((7, 5)))[0]
    Y, (V1, W2) = balanced(*SHAPES["balanced"])
    w0 = V1 @ X.T, W2  # weights in the span of the samples
    task, ts = Task(X, Y), np.array([3.0, 0.0, 1.0])
    said = exact.gd_balanced(task, w0, ts)
    sol = integrate(GD(), task, w0, np.sort(ts), rtol=1e-12, atol=1e-14)
    assert distance([P[[1, 2, 0]] for P in said], products(sol.w)) <= SOLVED


# What is refused

T, I3 = [0.0, 1.0], np.eye(3)
WRONG = {
    "three neurons": (lambda: exact.gd_chain(1.0, (1.0, 1.0, 1.0), T), "must have 2 weights"),
    "NaN": (lambda: exact.gd_chain(np.nan, (1.0, 1.0), T), "s must be finite"),
    "a matrix": (lambda: exact.gd_chain([[1.0]], (1.0, 1.0), T), "s must be a real number"),
    "negative time": (lambda: exact.gd_chain(1.0, (1.0, 1.0), [-1.0]), "at least 0"),
    "range": (lambda: exact.gd_chain(1.0, (1e200, 1e300), T), "leave the range of floats"),
    "unequal": (lambda: exact.gd_balanced_chain(1.0, (1.0, 1.1), T), "of one absolute value"),
    "one neuron": (lambda: exact.gd_balanced_chain(1.0, (1.0,), T), "at least two weights"),
    "one matrix": (lambda: exact.gd_balanced(I3, I3, T), "w0 must be two matrices"),
    "three matrices": (lambda: exact.gd_balanced(I3, (I3, I3, I3), T), "w0 must be two matrices"),
    "shapes": (lambda: exact.gd_balanced(I3, (I3, I3[:2]), T), "w0 must be (h, 3) and (3, h)"),
    "not balanced": (
        lambda: exact.gd_balanced(I3, (I3, np.diag([1.0, 2.0, 3.0])), T),
        "needs weights with W₂ᵀW₂ - W₁W₁ᵀ = λI",
    ),
    "overflow": (lambda: exact.gd_balanced(I3, (1e200 * I3, I3), T), "needs weights with"),
    "infinite": (
        lambda: exact.gd_balanced(I3, (np.inf * np.ones((3, 3)), I3), T),
        "must be finite",
    ),
    "too long": (lambda: exact.gd_balanced(I3, (I3, I3), [1e300]), "ts must be at most 1e+06"),
    "colours": (lambda: exact.gd_balanced(Task(2 * I3, I3), (I3, I3), T), "needs whitened inputs"),
    "unseen inputs": (
        lambda: exact.gd_balanced(Task(I3[:, :2], I3[:, :2]), (I3, I3), T),
        "needs W₁ with rows in the range of X, but 1.0e+00",
    ),
    "tanh": (lambda: exact.gd_balanced(Task(I3, I3, "tanh"), (I3, I3), T), "linear network"),
}


@pytest.mark.parametrize("what", WRONG)
def test_arguments_outside_the_domain_are_refused_in_a_sentence(what):
    call, words = WRONG[what]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
