import numpy as np
import pytest

import faflow as ff
from faflow import teacher_student as ts
from faflow.testing import GradientInstead


def student(seed, K=2, M=3, d=4, scale=0.7):
    rng = np.random.default_rng(seed)
    w, v, F = scale * rng.standard_normal((K, d)), rng.standard_normal(K), rng.standard_normal(K)
    return w, v, rng.standard_normal((M, d)) / np.sqrt(d), rng.standard_normal(M), F


def sampled(phi, w, v, u, a, F, kind, samples=400_000, seed=0):
    """The velocity of faflow's rule, and the loss, averaged over so many Gaussian inputs."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((w.shape[1], samples // 2))
    X = np.hstack([X, -X])  # odd averages vanish, as they do over all inputs
    scale = np.sqrt(2) if phi == "erf" else 1.0  # g(z) = erf(z/√2)
    f = ff.nets.activation(phi).f
    task = ff.Task(X, a[None] @ f(u @ X / scale), phi)
    rule = kind((F[:, None],), rates=(scale**-2 / samples, 1 / samples))
    W = w / scale, v[None]
    moved = rule(task, W)
    return scale**2 * moved[0] / scale, moved[1][0], ff.loss(task, W) / samples


@pytest.mark.parametrize("kind", [ff.FA, GradientInstead])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_erf_rates_are_those_of_the_rule_on_many_samples(kind, seed):
    w, v, u, a, F = student(seed)
    dw, dv, loss = sampled("erf", w, v, u, a, F, kind)
    told = None if kind is GradientInstead else F
    dQ, dR, dv_said, said = ts.erf_rates(w @ w.T, w @ u.T, u @ u.T, v, a, told)
    near = {"rtol": 0, "atol": 2e-2}  # four standard errors of 400,000 samples
    np.testing.assert_allclose(dw @ u.T, dR, **near)
    np.testing.assert_allclose(dw @ w.T + w @ dw.T, dQ, **near)
    np.testing.assert_allclose(dv, dv_said, **near)
    np.testing.assert_allclose(loss, said, **near)


@pytest.mark.parametrize("kind", [ff.FA, GradientInstead])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_relu_rates_are_those_of_the_rule_on_many_samples(kind, seed):
    w, v, u, a, F = student(seed)
    dw, dv, loss = sampled("relu", w, v, u, a, F, kind)
    told = None if kind is GradientInstead else F
    dw_said, dv_said, said = ts.relu_rates(w, v, u, a, told)
    near = {"rtol": 0, "atol": 2e-2}  # four standard errors of 400,000 samples
    np.testing.assert_allclose(dw, dw_said, **near)
    np.testing.assert_allclose(dv, dv_said, **near)
    np.testing.assert_allclose(loss, said, **near)


def test_the_averages_of_three_fields_are_those_of_monte_carlo():
    from scipy.special import erf

    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 3))
    C = A @ A.T
    x = np.linalg.cholesky(C) @ rng.standard_normal((3, 1_000_000))
    g, slope = erf(x / np.sqrt(2)), np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)
    for a, b, c in ((0, 1, 2), (0, 0, 1), (2, 1, 2), (1, 1, 1)):
        assert abs(np.mean(slope[a] * x[b] * g[c]) - ts.field_average(C, a, b, c)) < 5e-3
        assert abs(np.mean(g[a] * g[b]) - ts.output_average(C, a, b)) < 5e-3


def test_gradient_descent_is_the_gradient_of_the_relu_loss():
    w, v, u, a, _ = student(3)
    dw, dv, _ = ts.relu_rates(w, v, u, a)
    h = 1e-6
    for moved, index in ((dw, (0, 2)), (dw, (1, 3))):
        e = np.zeros_like(w)
        e[index] = h
        up, down = (ts.relu_rates(w + s * e, v, u, a)[2] for s in (1, -1))
        assert moved[index] == pytest.approx(-(up - down) / (2 * h), rel=1e-6, abs=1e-8)
    e = np.array([h, 0])
    up, down = (ts.relu_rates(w, v + s * e, u, a)[2] for s in (1, -1))
    assert dv[0] == pytest.approx(-(up - down) / (2 * h), rel=1e-6, abs=1e-8)


def test_gradient_descent_is_the_gradient_of_the_erf_loss():
    w, v, u, a, _ = student(4)
    loss = lambda w: ts.erf_rates(w @ w.T, w @ u.T, u @ u.T, v, a)[3]
    dQ, dR, _, _ = ts.erf_rates(w @ w.T, w @ u.T, u @ u.T, v, a)
    h, grad = 1e-6, np.zeros_like(w)
    for index in np.ndindex(*w.shape):
        e = np.zeros_like(w)
        e[index] = h
        grad[index] = (loss(w + e) - loss(w - e)) / (2 * h)
    np.testing.assert_allclose(-grad @ u.T, dR, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(-grad @ w.T - w @ grad.T, dQ, rtol=1e-6, atol=1e-8)


def test_the_teacher_itself_is_at_rest():
    _, _, u, a, F = student(5, K=3)
    for told in (F, None):
        dw, dv, loss = ts.relu_rates(u, a, u, a, told)
        assert max(np.abs(dw).max(), np.abs(dv).max(), abs(loss)) < 1e-14
        dQ, dR, dv, loss = ts.erf_rates(u @ u.T, u @ u.T, u @ u.T, a, a, told)
        assert max(np.abs(dQ).max(), np.abs(dR).max(), np.abs(dv).max(), abs(loss)) < 1e-14


def test_students_of_a_batch_do_not_see_each_other():
    parts = [student(s) for s in (0, 1, 2)]
    u, a = parts[0][2:4]
    w, v, F = (np.stack([p[k] for p in parts]) for k in (0, 1, 4))
    together = ts.relu_flow(w, v, u, a, [0, 1], F)
    for k in range(3):
        alone = ts.relu_flow(w[k], v[k], u, a, [0, 1], F[k])
        np.testing.assert_allclose(together.overlaps[0][-1, k], alone.overlaps[0][-1], rtol=1e-12)
        assert together.loss[-1, k] == pytest.approx(alone.loss[-1], rel=1e-10)


def test_the_relu_steps_are_of_second_order():
    w, v, u, a, F = student(6)
    ends = [ts.relu_flow(w, v, u, a, [0, 2], F, step=h).v[-1] for h in (0.1, 0.05, 0.025, 0.00625)]
    errors = [np.abs(end - ends[-1]).max() for end in ends[:-1]]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 2) < 0.35)


def test_the_neurons_law_holds_for_relu_students():
    w, v, u, a, F = student(7)
    found = ts.relu_flow(w, v, u, a, np.linspace(0, 5, 11), F, step=0.005)
    law = np.sum(found.overlaps[0] ** 2, axis=-1) / 2 - F * found.v
    assert np.ptp(law, axis=0).max() < 1e-5  # the step's error, of second order


W, V, U, A = np.ones((2, 3)), np.ones(2), np.ones((4, 3)), np.ones(4)
BAD = {
    "w and v": (lambda flow: flow(W, np.ones(3), U, A, [0, 1]), "w must be"),
    "inputs": (lambda flow: flow(W, V, np.ones((4, 2)), A, [0, 1]), "u must be"),
    "teacher": (lambda flow: flow(W, V, U, np.ones(3), [0, 1]), "u must be"),
    "feedback": (lambda flow: flow(W, V, U, A, [0, 1], np.ones(3)), "F must have the shape"),
    "not finite": (lambda flow: flow(W * np.nan, V, U, A, [0, 1]), "w must be finite"),
    "times": (lambda flow: flow(W, V, U, A, [1, 0]), "ts must increase"),
    "one time": (lambda flow: flow(W, V, U, A, [0]), "at least two"),
}


@pytest.mark.parametrize("flow", [ts.erf_flow, ts.relu_flow])
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_in_a_sentence(flow, what):
    call, said = BAD[what]
    with pytest.raises(ValueError, match=said):
        call(flow)


def test_a_step_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="step must be a positive number"):
        ts.relu_flow(W, V, U, A, [0, 1], step=0)


def test_students_that_overflow_are_an_error_that_keeps_what_was_reached():
    with pytest.raises(ff.Unfinished, match="overflow") as stop, np.errstate(all="ignore"):
        ts.relu_flow(30 * W, 30 * V, U, A, [0, 1e-9, 50], step=0.5)
    assert list(stop.value.solution.ts) == [0, 1e-9]
    assert np.isfinite(stop.value.solution.loss).all()
