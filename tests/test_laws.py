from fractions import Fraction

import numpy as np
import pytest
from problems import SIZES, problem, start, task

import faflow as ff
from faflow import laws, nets
from faflow.matrices import rational

RATES = (Fraction(1, 2), 3, Fraction(5, 4))


def exact_problem(kind, phi, *, bias=False, rates=1, decay=0, seed=0):
    """(rule, task, w) with rational entries."""
    rng = np.random.default_rng(seed)
    make = lambda s: rational(s, rng, bound=5)
    w = tuple(make(s) for s in nets.shapes(SIZES, bias))
    if kind is ff.KolenPollack:
        w += tuple(make(s) for s in ff.FA.shapes(SIZES))
    rule = kind(tuple(make(s) for s in kind.shapes(SIZES)), rates=rates, decay=decay)
    return rule, ff.Task(make((3, 4)), make((2, 4)), phi, bias=bias), w


def rate(law, rule, given, w, step=1, **arguments):
    """The rate of the law along the flow by a central difference, exact for a quadratic law."""
    v = rule(given, w)
    ahead, behind = (
        law(rule, tuple(W + sign * step * V for W, V in zip(w, v, strict=True)), **arguments)
        for sign in (1, -1)
    )
    return (ahead - behind) / (2 * step)


KEPT = [
    (laws.balance, ff.GD, "linear", {}),
    (laws.balance, ff.GD, "linear", {"k": 1}),
    (laws.neuron_balance, ff.GD, "relu", {}),
    (laws.neuron_balance, ff.GD, "leaky_relu(2)", {"k": 1}),
    (laws.layer_balance, ff.GD, "relu", {"k": 1}),
    (laws.feedback_balance, ff.FA, "linear", {}),
    (laws.feedback_balance, ff.FA, "linear", {"k": 1}),
    (laws.neuron_feedback_balance, ff.FA, "relu", {}),
    (laws.neuron_feedback_balance, ff.FA, "leaky_relu(2)", {"k": 1}),
    (laws.neuron_feedback_balance, ff.FA, "relu_power(2)", {"degree": 2}),
    (laws.layer_feedback_balance, ff.FA, "relu", {"k": 1}),
    (laws.layer_feedback_balance, ff.FA, "relu_power(3)", {"degree": 3}),
    (laws.feedback_balance, ff.DFA, "linear", {"k": 1}),
    (laws.neuron_feedback_balance, ff.DFA, "relu", {"k": 1}),
    (laws.neuron_potential_balance, ff.GD, "relu", {}),
    (laws.neuron_potential_balance, ff.FA, "relu", {"k": 1}),
    (laws.mirror_difference, ff.KolenPollack, "relu", {}),
    (laws.mirror_difference, ff.KolenPollack, "relu", {"k": 1}),
    (laws.mirror_balance, ff.KolenPollack, "linear", {}),
    (laws.neuron_mirror_balance, ff.KolenPollack, "relu", {"k": 1}),
]
named = lambda case: "-".join(map(str, (case[0].__name__, case[1].__name__, *case[2:])))


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("rates", [1, RATES], ids=["", "rates"])
@pytest.mark.parametrize("case", KEPT, ids=named)
def test_a_law_has_rate_zero_exactly_at_random_rational_states(case, rates, bias):
    law, kind, phi, arguments = case
    assert not np.any(
        rate(law, *exact_problem(kind, phi, bias=bias, rates=rates), **arguments) != 0
    )


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize(("phi", "degree"), [("linear", 1), ("relu", 1), ("relu_power(2)", 2)])
def test_sign_feedback_keeps_its_potential_exactly_where_no_weight_is_zero(phi, degree, bias):
    """A step so short that no weight changes its sign."""
    rule, given, w = exact_problem(ff.SignFA, phi, bias=bias, rates=RATES)
    assert min(abs(x) for W in w for x in W.flat if x) > 0
    w = tuple(np.where(W == 0, Fraction(1, 3), W) for W in w)
    for k in (0, 1):
        found = rate(
            laws.neuron_potential_balance, rule, given, w, Fraction(1, 10**9), k=k, degree=degree
        )
        assert not np.any(found != 0)


@pytest.mark.parametrize(
    ("law", "kind", "phi", "arguments"),
    [
        (laws.balance, ff.GD, "relu", {}),
        (laws.balance, ff.FA, "linear", {}),
        (laws.layer_balance, ff.FA, "linear", {}),
        (laws.feedback_balance, ff.FA, "relu", {}),
        (laws.neuron_feedback_balance, ff.FA, "relu_power(2)", {"degree": 1}),
        (laws.mirror_balance, ff.KolenPollack, "relu", {}),
        (laws.layer_balance, ff.KolenPollack, "linear", {}),
    ],
)
def test_a_wrong_law_has_a_rate(law, kind, phi, arguments):
    assert np.any(rate(law, *exact_problem(kind, phi), **arguments) != 0)


@pytest.mark.parametrize("case", KEPT, ids=named)
def test_decay_breaks_every_law(case):
    law, kind, phi, arguments = case
    found = rate(law, *exact_problem(kind, phi, decay=Fraction(1, 3)), **arguments)
    assert np.any(found != 0)


def test_layer_rates_left_out_of_a_law_break_it():
    rule, given, w = exact_problem(ff.FA, "linear", rates=RATES)
    unweighted = lambda _, w: laws.feedback_balance(ff.FA(rule.B), w)
    assert np.any(rate(unweighted, rule, given, w) != 0)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_the_matrix_laws_are_their_formulas(bias):
    rule, _, w = problem(ff.FA, bias=bias, rates=(2.0, 3.0, 5.0))
    W1, W2, B = w[0], w[1][:, :4], rule.B[0]
    np.testing.assert_allclose(laws.balance(rule, w), W1 @ W1.T / 2 - W2.T @ W2 / 3)
    feedback = W1 @ W1.T / 2 - (B @ W2 + (B @ W2).T) / 3
    np.testing.assert_allclose(laws.feedback_balance(rule, w), feedback)
    np.testing.assert_allclose(laws.neuron_balance(rule, w), np.diag(laws.balance(rule, w)))
    np.testing.assert_allclose(laws.layer_balance(rule, w), np.trace(laws.balance(rule, w)))
    np.testing.assert_allclose(laws.neuron_feedback_balance(rule, w), np.diag(feedback) / 2)
    np.testing.assert_allclose(laws.layer_feedback_balance(rule, w), np.trace(feedback) / 2)
    W2, W3, B = w[1], w[2][:, :3], rule.B[1]
    np.testing.assert_allclose(
        laws.layer_feedback_balance(rule, w, k=1, degree=2),
        np.sum(W2**2) / 2 / 3 - 2 * np.sum(W3 * B.T) / 5,
    )


def test_the_potential_laws_are_their_formulas():
    w = start(ff.GD())
    rows, columns = np.sum(w[0] ** 2, 1) / 2, w[1]
    for rule, potential in [
        (ff.GD(), np.sum(columns**2, 0) / 2),
        (ff.SignFA(), np.sum(np.abs(columns), 0)),
        (ff.SignFA(beta=3.0), np.sum(np.log(np.cosh(3 * columns)), 0) / 3),
    ]:
        found = laws.neuron_potential_balance(rule, w, degree=2)
        np.testing.assert_allclose(found, rows - 2 * potential, rtol=1e-13)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_the_mirror_laws_are_their_formulas(bias):
    rule, _, w = problem(ff.KolenPollack, bias=bias)
    W1, W2, B = w[0], w[1][:, :4], w[3]
    np.testing.assert_array_equal(laws.mirror_difference(rule, w), W2 - B.T)
    balance = W1 @ W1.T + W2.T @ W2 - B @ W2 - (B @ W2).T
    np.testing.assert_allclose(laws.mirror_balance(rule, w), balance)
    np.testing.assert_allclose(laws.neuron_mirror_balance(rule, w), np.diag(balance))
    np.testing.assert_array_equal(laws.mirror_difference(rule, w, k=1), w[2][:, :3] - w[4].T)


@pytest.mark.parametrize("kind", [ff.FA, ff.DFA])
@pytest.mark.parametrize("sizes", [(3, 4, 2), (3, 4, 3, 2), (2, 3, 2, 3, 2)], ids=str)
def test_the_rate_of_the_lyapunov_function_is_its_formula(kind, sizes):
    """Exactly, at rational states, for targets YX of any teacher; and it is never positive."""
    rng = np.random.default_rng(0)
    make = lambda s: rational(s, rng, bound=4)
    rule = kind(tuple(make(s) for s in kind.shapes(sizes)))
    X, Y, w = make((sizes[0], 4)), make((sizes[-1], sizes[0])), tuple(map(make, nets.shapes(sizes)))
    found = rate(laws.lyapunov, rule, ff.Task(X, Y @ X), w, target=Y)
    assert found == laws.lyapunov_rate(rule, w, target=Y, covariance=X @ X.T)
    assert found < 0


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2, 2, 3)], ids=str)
def test_the_projected_loss_and_its_rate_are_their_formulas(sizes):
    """Exactly, at rational states; the loss typed again."""
    rng = np.random.default_rng(0)
    make = lambda s: rational(s, rng, bound=4)
    rule = ff.FA(tuple(make(s) for s in ff.FA.shapes(sizes)))
    X, Y, w = make((sizes[0], 4)), make((sizes[-1], sizes[0])), tuple(map(make, nets.shapes(sizes)))
    given = {"target": Y, "covariance": X @ X.T}
    told = rule.B[0] @ (Y - w[1] @ w[0]) @ X
    assert laws.projected_loss(rule, w, **given) == np.sum(told * told) / 2
    task = ff.Task(X, Y @ X)
    one, two = (rate(laws.projected_loss, rule, task, w, step, **given) for step in (1, 2))
    found = (4 * one - two) / 3  # exact for the fourth power that it is along a step
    assert found == laws.projected_loss_rate(rule, w, **given)


@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_the_rate_of_the_loss_is_that_of_a_small_step(kind):
    rule, given, w = problem(kind)
    v, h = rule(given, w), 1e-5
    ahead, behind = (
        ff.loss(given, rule.weights(tuple(W + s * V for W, V in zip(w, v, strict=True))))
        for s in (h, -h)
    )
    seen = laws.loss_rate(rule, w, task=given)
    assert seen == pytest.approx((ahead - behind) / (2 * h), rel=1e-7)  # h² and rounding


def test_what_carries_the_error_to_the_first_layer():
    fa, dfa = ff.FA.random(SIZES), ff.DFA.random(SIZES)
    np.testing.assert_allclose(laws.end_to_end_feedback(fa, 3), fa.B[0] @ fa.B[1])
    np.testing.assert_array_equal(laws.end_to_end_feedback(dfa, 3), dfa.B[0])


def test_the_feedback_of_each_rule_stands_for_the_transposed_weights():
    for kind, expected in [
        (ff.GD, lambda r, w: w[1].T),
        (ff.FA, lambda r, w: r.B[0]),
        (ff.DFA, lambda r, w: r.B[0]),
        (ff.SignFA, lambda r, w: np.sign(w[1].T)),
        (ff.KolenPollack, lambda r, w: w[3]),
    ]:
        rule, _, w = problem(kind)
        np.testing.assert_array_equal(laws.feedback_of(rule, w), expected(rule, w))


def test_alignment_is_the_cosine_of_an_angle():
    w = start(ff.GD())
    transposed = tuple(W.T for W in w[1:])
    opposite = tuple(-3 * W for W in transposed)
    assert laws.alignment(ff.GD(), w) == pytest.approx(1)
    assert laws.alignment(ff.FA(transposed), w, k=1) == pytest.approx(1)
    assert laws.alignment(ff.FA(opposite), w) == pytest.approx(-1)
    rule = ff.FA.random(SIZES, seed=4)
    B, V = rule.B[0].ravel(), w[1].T.ravel()
    assert laws.alignment(rule, w) == pytest.approx(B @ V / np.sqrt(B @ B) / np.sqrt(V @ V))


def test_alignment_leaves_the_biases_out():
    rule, _, w = problem(ff.FA, bias=True)
    bare = tuple(W[:, :-1] for W in w)
    assert laws.alignment(rule, w) == laws.alignment(rule, bare)


def test_direct_feedback_has_no_angle_with_weights_of_another_shape():
    rule, _, w = problem(ff.DFA)
    assert -1 <= laws.alignment(rule, w, k=1) <= 1
    with pytest.raises(
        ValueError, match=r"DFA feeds layer 0 through a \(4, 2\) matrix, .*\(4, 3\)"
    ):
        laws.alignment(rule, w, k=0)


def test_direction_alignment_is_one_for_gd_and_its_sign_flips_with_the_feedback():
    given, w = task("tanh", sizes=(3, 4, 2)), start(ff.GD(), sizes=(3, 4, 2))
    assert laws.direction_alignment(ff.GD(), w, task=given) == pytest.approx(1)
    assert laws.direction_alignment(ff.FA((w[1].T,)), w, task=given) == pytest.approx(1)
    V, G = ff.FA((-w[1].T,))(given, w), ff.GD()(given, w)
    expected = (np.sum(G[1] ** 2) - np.sum(G[0] ** 2)) / (np.sum(G[0] ** 2) + np.sum(G[1] ** 2))
    np.testing.assert_array_equal(V[1], G[1])
    found = laws.direction_alignment(ff.FA((-w[1].T,)), w, task=given)
    assert found == pytest.approx(expected)


def test_direction_alignment_of_kolen_pollack_sees_the_forward_weights_alone():
    rule, given, w = problem(ff.KolenPollack, "tanh")
    fa = ff.FA(w[3:])
    assert laws.direction_alignment(rule, w, task=given) == pytest.approx(
        laws.direction_alignment(fa, w[:3], task=given)
    )


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2])
def test_principal_angles_of_planes_turned_by_an_angle(angle):
    c, s = np.cos(angle), np.sin(angle)
    first = np.array([[1.0, 0, 0, 0], [0, 2.0, 0, 0]])
    second = np.array([[3.0, 0, 0, 0], [1.0, c, s, 0]])
    np.testing.assert_allclose(laws.principal_angles(first, second), [1, c], atol=1e-15)


def test_representations_are_the_activities_without_the_bias_row():
    rule, given, w = problem(ff.GD, "tanh", bias=True)
    first = np.tanh(w[0] @ np.vstack([given.X, np.ones(5)]))
    np.testing.assert_allclose(laws.representations(rule, w, task=given), first)
    second = np.tanh(w[1] @ np.vstack([first, np.ones(5)]))
    np.testing.assert_allclose(laws.representations(rule, w, task=given, k=1), second)


def test_principal_angles_see_only_the_row_space():
    """span(e1) against span(e2) and itself; a zero matrix has no directions."""
    twice = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    np.testing.assert_allclose(laws.principal_angles(twice, np.array([[0.0, 1, 0]])), [0])
    np.testing.assert_allclose(laws.principal_angles(twice, np.array([[2.0, 0, 0]])), [1])
    assert len(laws.principal_angles(np.zeros((2, 3)), twice)) == 0


def test_the_direction_of_a_rule_takes_its_rates_and_decay():
    rng = np.random.default_rng(0)
    task = ff.Task(rng.standard_normal((3, 5)), rng.standard_normal((2, 5)))
    w = ff.init((3, 4, 2), seed=1)
    rule = ff.GD(decay=3.0, rates=(1.0, 5.0))
    flat = lambda parts: np.concatenate([V.ravel() for V in parts])
    a, b = flat(rule(task, w)), flat(ff.GD()(task, w))
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert laws.direction_alignment(rule, w, task=task) == pytest.approx(expected)
    assert expected < 0.99
