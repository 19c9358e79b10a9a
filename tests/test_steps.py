import itertools

import numpy as np
import pytest
from problems import RULES, SIZES, ending, problem

import faflow as ff
from faflow import exact, laws


@pytest.mark.parametrize("kind", RULES)
def test_a_step_adds_eta_times_the_velocity(kind):
    rule, given, w0 = problem(kind, "tanh", bias=True, decay=0.1)
    sol = ff.iterate(rule, given, w0, eta=0.3, steps=2)
    w = w0
    for n in (1, 2):
        w = tuple(W + 0.3 * V for W, V in zip(w, rule(given, w), strict=True))
        for W, kept in zip(w, sol.w, strict=True):
            np.testing.assert_array_equal(kept[n], W)
    np.testing.assert_array_equal(sol.ts, [0, 0.3, 0.6])


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("k", [0, 1])
def test_each_step_of_fa_adds_its_square_to_the_law(k, bias):
    """H(n+1) - H(n) = η² dW dWᵀ exactly, so the drift is positive semidefinite."""
    rule, given, w0 = problem(ff.FA, bias=bias, seed=1)
    eta = 0.005
    sol = ff.iterate(rule, given, w0, eta=eta, steps=200)
    H = sol.measure(laws.feedback_balance, k=k)
    moved = [rule(given, sol.at(n))[k] for n in range(200)]
    expected = np.array([eta**2 * V @ V.T for V in moved])
    scale = np.finfo(float).eps * np.abs(H).max()
    assert np.abs(np.diff(H, axis=0) - expected).max() < 20 * scale  # a few roundings a step
    assert np.linalg.eigvalsh(H[-1] - H[0]).min() > -200 * scale


@pytest.mark.parametrize("phi", ["relu", "leaky_relu(0.1)"])
def test_each_step_adds_half_the_square_of_a_row_to_the_law_of_its_neuron(phi):
    """Minibatches or not: ½η²|dw_j|²."""
    rule, given, w0 = problem(ff.FA, phi, bias=True, seed=1)
    sol = ff.iterate(rule, given, w0, eta=0.05, steps=100, batches=2)
    q = sol.measure(laws.neuron_feedback_balance)
    steps = np.diff(sol.w[0], axis=0)
    scale = np.finfo(float).eps * np.abs(q).max()
    assert np.abs(np.diff(q, axis=0) - (steps**2).sum(2) / 2).max() < 50 * scale
    assert (np.diff(q, axis=0) > -50 * scale).all()


def test_each_step_of_gd_adds_the_difference_of_two_squares():
    rule, given, w0 = problem(ff.GD, seed=1)
    sol = ff.iterate(rule, given, w0, eta=0.05, steps=50)
    H, moved = sol.measure(laws.balance), [np.diff(W, axis=0) for W in sol.w]
    expected = moved[0] @ moved[0].mT - moved[1].mT @ moved[1]
    assert np.abs(np.diff(H, axis=0) - expected).max() < 1e-14 * max(1, np.abs(H).max())


def test_kolen_pollack_keeps_its_difference_in_discrete_steps():
    rule, given, w0 = problem(ff.KolenPollack, "relu", bias=True)
    sol = ff.iterate(rule, given, w0, eta=0.05, steps=100)
    D = sol.measure(laws.mirror_difference)
    assert np.abs(D - D[0]).max() < 1e-14 * 100  # a rounding a step
    decaying = ff.KolenPollack(decay=0.5)
    D = ff.iterate(decaying, given, w0, eta=0.1, steps=20).measure(laws.mirror_difference)
    np.testing.assert_allclose(D[-1], D[0] * 0.95**20, rtol=1e-12, atol=1e-14)


def test_fastar_grows_its_gram_matrix_by_the_square_of_its_step():
    """W₁W₁ᵀ(n+1) = W₁W₁ᵀ(n) + η² F Fᵀ with F = C(Y - W₂W₁), and W₂ is refitted."""
    rng = np.random.default_rng(0)
    Y, C, W = (rng.standard_normal(s) for s in [(4, 5), (3, 4), (3, 5)])
    eta = 0.05
    sol = ff.iterate(
        ff.FAStar((C,)), ff.Task.factorisation(Y), (W, np.zeros((4, 3))), eta=eta, steps=50
    )
    gram = np.array([V @ V.T for V in sol.w[0]])
    F = np.array([C @ (Y - Z @ V) for V, Z in zip(*sol.w, strict=True)])
    expected = eta**2 * F[:-1] @ F[:-1].mT
    assert np.abs(np.diff(gram, axis=0) - expected).max() < 1e-13 * np.abs(gram).max()
    for V, Z in zip(*sol.w, strict=True):
        np.testing.assert_allclose(Z, np.linalg.lstsq(V.T, Y.T, rcond=None)[0].T, atol=1e-12)


@pytest.mark.parametrize("kind", RULES)
def test_steps_converge_to_the_flow_at_first_order(kind):
    rule, given, w0 = problem(kind, "tanh", seed=2, **({"beta": 2.0} if kind is ff.SignFA else {}))
    counts, gaps = np.array([200, 400, 800]), []
    for n in counts:
        steps = ff.iterate(rule, given, w0, eta=1 / n, steps=int(n), every=int(n))
        gaps.append(ff.gap(steps, ff.integrate(rule, given, w0, steps.ts))[-1])
    order = -np.polyfit(np.log(counts), np.log(gaps), 1)[0]
    assert 0.9 < order < 1.1


def test_a_piecewise_decay_has_at_each_step_the_value_of_its_time():
    """Targets zero and one weight: w ← w (1 - η (1 + λ(t)))."""
    given, w0 = ff.Task([[1.0]], [[0.0]]), (np.array([[1.0]]),)
    rule = ff.GD(decay=ff.Piecewise((0.5, 1.0), (0.0, 1.0, 2.0)))
    sol = ff.iterate(rule, given, w0, eta=0.25, steps=6)
    factors = [1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]
    np.testing.assert_allclose(sol.w[0][:, 0, 0], np.cumprod(factors), rtol=1e-15)


def used(sol, given, w0, eta):
    """Samples of every step of a one-layer linear run whose sample s moves column s alone."""
    moved = np.abs(np.diff(sol.w[0], axis=0)).sum(1) > 0
    return [tuple(np.flatnonzero(row)) for row in moved]


@pytest.mark.parametrize(("size", "rounds"), [(2, 3), (3, 2), (4, 1), (6, 1), (1, 6)])
def test_minibatches_take_each_sample_once_in_a_round(size, rounds):
    """X is the identity, so a step moves the columns of its samples alone."""
    given, w0 = ff.Task(np.eye(6), 100 * np.ones((1, 6))), (np.zeros((1, 6)),)
    sol = ff.iterate(ff.GD(), given, w0, eta=0.1, steps=10 * rounds, batches=size, seed=3)
    steps = used(sol, given, w0, 0.1)
    assert {len(s) for s in steps} == {size}
    orders = set()
    for start in range(0, len(steps), rounds):
        seen = [sample for step in steps[start : start + rounds] for sample in step]
        assert len(seen) == len(set(seen)) == rounds * size
        orders.add(tuple(steps[start : start + rounds]))
    if 1 <= size < 6:
        assert len(orders) > 3  # reshuffled


def test_minibatches_are_reproduced_by_their_seed():
    rule, given, w0 = problem(ff.FA, "tanh")
    run = lambda seed: ff.iterate(rule, given, w0, eta=0.1, steps=20, batches=2, seed=seed).final
    for A, B in zip(run(5), run(5), strict=True):
        np.testing.assert_array_equal(A, B)
    assert not np.array_equal(run(5)[0], run(6)[0])


def test_a_batch_of_all_samples_is_no_batch():
    rule, given, w0 = problem(ff.FA, "tanh")
    one = ff.iterate(rule, given, w0, eta=0.1, steps=5, batches=5)
    two = ff.iterate(rule, given, w0, eta=0.1, steps=5)
    assert ff.gap(one, two).max() < 1e-14  # the order of a sum


def test_every_keeps_the_start_and_every_so_many_steps():
    rule, given, w0 = problem(ff.GD, "tanh")
    dense = ff.iterate(rule, given, w0, eta=0.1, steps=9)
    sparse = ff.iterate(rule, given, w0, eta=0.1, steps=9, every=3)
    np.testing.assert_array_equal(sparse.ts, dense.ts[::3])
    for A, B in zip(sparse.w, dense.w, strict=True):
        np.testing.assert_array_equal(A, B[::3])


def test_observing_steps_is_measuring_them_afterwards():
    rule, given, w0 = problem(ff.FA, "tanh")
    kept = ff.iterate(rule, given, w0, eta=0.1, steps=6, every=2)
    seen = ff.iterate(rule, given, w0, eta=0.1, steps=6, every=2, observe={"law": laws.balance})
    np.testing.assert_array_equal(seen.observed["law"], kept.measure(laws.balance))
    assert seen.w == ()
    for A, B in zip(seen.final, kept.final, strict=True):
        np.testing.assert_array_equal(A, B)


def test_an_overflow_names_its_step_and_leaves_what_came_before():
    """w ← w + w² from 1 with η = 1: 1, 2, 6, 42, …; squares beyond 1e308 at step 11."""
    rule, given, w0 = ending()
    value, exact = 1, [1]
    while value < 2**1024:
        value += value**2
        exact.append(value)
    with pytest.raises(ff.Unfinished, match=rf"overflow at step {len(exact) - 1}, t = ") as stop:
        ff.iterate(rule, given, w0, eta=1.0, steps=100)
    sol = stop.value.solution
    assert len(sol) == len(exact) - 1
    np.testing.assert_allclose(sol.w[0][:, 0, 0], np.array(exact[:-1], float), rtol=1e-13)
    assert sol.made["accepted"] == len(exact) - 2


def test_an_overflow_keeps_the_last_finite_weights_between_the_steps_kept():
    """With every=4 the steps 0, 4 and 8 are kept; of 1, 2, 6, 42, … step 10 is the last finite."""
    rule, given, w0 = ending()
    with pytest.raises(ff.Unfinished) as stop:
        ff.iterate(rule, given, w0, eta=1.0, steps=100, every=4)
    np.testing.assert_allclose(stop.value.solution.ts, [0, 4, 8, 10])


def test_too_large_a_step_on_a_quadratic_loss_overflows():
    """|1 - η λ| > 1 makes the error grow by that factor a step."""
    given, w0 = ff.Task([[2.0]], [[0.0]]), (np.array([[1.0]]),)
    with pytest.raises(ff.Unfinished, match="eta = 1 is too large") as stop:
        ff.iterate(ff.GD(), given, w0, eta=1.0, steps=10_000)
    values = stop.value.solution.w[0][:50, 0, 0]
    np.testing.assert_allclose(values, (-3.0) ** np.arange(50), rtol=1e-13)


def test_ctrl_c_leaves_the_steps_before():
    rule, given, w0 = problem(ff.GD, "tanh")
    count = []

    def law(rule, w):
        count.append(1)
        if len(count) == 5:
            raise KeyboardInterrupt
        return w[0]

    with pytest.raises(ff.Interrupted) as stop:
        ff.iterate(rule, given, w0, eta=0.1, steps=100, observe={"law": law})
    sol = stop.value.solution
    np.testing.assert_allclose(sol.ts, [0, 0.1, 0.2, 0.3, 0.4])
    dense = ff.iterate(rule, given, w0, eta=0.1, steps=4)
    np.testing.assert_array_equal(sol.observed["law"], dense.w[0])


def test_the_gap_is_the_largest_distance_at_each_time():
    rule, given, w0 = problem(ff.GD, "tanh")
    one = ff.iterate(rule, given, w0, eta=0.1, steps=3)
    two = ff.iterate(rule, given, w0, eta=0.05, steps=6, every=2)
    expected = [
        max(np.abs(A[n] - B[n]).max() for A, B in zip(one.w, two.w, strict=True)) for n in range(4)
    ]
    np.testing.assert_array_equal(ff.gap(one, two), expected)
    assert expected[0] == 0 < expected[1]


def test_a_gap_needs_the_same_times_and_shapes():
    rule, given, w0 = problem(ff.GD, "tanh")
    run = lambda **options: ff.iterate(rule, given, w0, **({"eta": 0.1, "steps": 3} | options))
    for other in (run(steps=4), run(eta=0.2)):
        with pytest.raises(ValueError, match=r"the same times; integrate with ts=steps\.ts"):
            ff.gap(run(), other)
    with pytest.raises(ValueError, match="keep weights of the same shapes"):
        ff.gap(run(), run(observe={"law": laws.balance}))
    small, task, w = problem(ff.GD, sizes=(2, 2))
    with pytest.raises(ValueError, match="keep weights of the same shapes"):
        ff.gap(run(), ff.iterate(small, task, w, eta=0.1, steps=3))


def test_what_was_made_is_told():
    rule, given, w0 = problem(ff.GD, "tanh")
    made = ff.iterate(rule, given, w0, eta=0.1, steps=7, batches=2).made
    assert (made["engine"], made["accepted"], made["eta"], made["batches"]) == (
        "iterate",
        7,
        0.1,
        2,
    )
    assert (len(given.X), *map(len, w0)) == SIZES


def test_a_step_that_learns_at_first_blows_up_as_the_weights_grow():
    """At zero any step is stable; at the minimum that FA reaches only those below 2/(3κ)."""
    Y, C = np.array([[1.0]]), np.array([[4.0]])
    task, rule, zero = ff.Task.factorisation(Y), ff.FA((C,)), (np.zeros((1, 1)), np.zeros((1, 1)))
    limit = 2 / exact.fa_modes(Y, C).rates[0]
    calm = ff.iterate(rule, task, zero, eta=0.5 * limit, steps=100)
    assert calm.loss(-1) <= 1e-28
    with pytest.raises(ff.Unfinished, match=r"eta = 0\.366667 is too large") as stop:
        ff.iterate(rule, task, zero, eta=1.1 * limit, steps=100)
    assert stop.value.solution.loss(2) < stop.value.solution.loss(0) / 2


# Momentum, schedules, samplers, the order of layers, and decay.


@pytest.mark.parametrize("nesterov", [False, True], ids=["heavy ball", "nesterov"])
@pytest.mark.parametrize("beta", [0.3, 0.9])
def test_momentum_on_a_quadratic_loss_has_the_roots_of_its_recursion(beta, nesterov):
    """x² - (1 + β - ηλ) x + β, and with Nesterov's point x² - (1 + β)(1 - ηλ) x + β (1 - ηλ)."""
    given, w0, eta = ff.Task([[1.0]], [[0.0]]), (np.array([[1.0]]),), 0.2  # λ = 1
    sol = ff.iterate(ff.GD(), given, w0, eta=eta, steps=60, momentum=beta, nesterov=nesterov)
    if nesterov:
        x, y = np.roots([1, -(1 + beta) * (1 - eta), beta * (1 - eta)]).astype(complex)
    else:
        x, y = np.roots([1, -(1 + beta - eta), beta]).astype(complex)
    first = 1 - eta  # from v = 0 both begin with a plain step
    a, b = np.linalg.solve([[1, 1], [x, y]], [1, first])
    n = np.arange(61)
    np.testing.assert_allclose(sol.w[0][:, 0, 0], (a * x**n + b * y**n).real, atol=1e-13)
    np.testing.assert_allclose(sol.ts, 0.2 * n / (1 - beta), rtol=1e-14)


@pytest.mark.parametrize("kind", [ff.FA, ff.GD])
def test_the_layer_law_moves_by_its_recursion_under_momentum(kind):
    """ΔC(n) = β (ΔC(n-1) + ½|v(n)|²) + ½|v(n+1)|², for GD less that of the layer above."""
    rule, given, w0 = problem(kind, "relu", bias=True, seed=1)
    beta, law = 0.8, laws.layer_feedback_balance if kind is ff.FA else laws.layer_balance
    sol = ff.iterate(rule, given, w0, eta=0.01, steps=200, momentum=beta, batches=2)
    C = sol.measure(law).ravel() * (1 if kind is ff.FA else 0.5)
    v = [np.diff(W, axis=0, prepend=W[:1]) for W in sol.w]
    squares = (v[0] ** 2).sum((1, 2))
    if kind is ff.GD:  # the biases above are no part of the law
        squares = squares - (v[1][:, :, :-1] ** 2).sum((1, 2))
    moved = np.diff(C)
    told = beta * (moved[:-1] + squares[1:-1] / 2) + squares[2:] / 2
    assert np.abs(moved[1:] - told).max() < 1e-13 * max(1, np.abs(C).max())
    assert np.abs(moved[1:] - squares[2:] / 2).max() > 1e-4  # without memory it is another


def test_the_antisymmetric_law_of_momentum_shrinks_by_beta_at_each_step():
    """Λ = v₁W₁ᵀ - W₁v₁ᵀ - (B v₂ - (B v₂)ᵀ), of linear networks."""
    beta = 0.9
    for phi, kept in (("linear", True), ("relu", False)):
        rule, given, w0 = problem(ff.FA, phi, seed=1)
        sol = ff.iterate(rule, given, w0, eta=0.01, steps=30, momentum=beta)
        V = [np.diff(W, axis=0) for W in sol.w]
        half = V[0] @ sol.w[0][1:].mT - rule.B[0] @ V[1]
        L = half - half.mT
        gap = np.abs(L[1:] - beta * L[:-1]).max()
        assert (gap < 1e-14) if kept else (gap > 1e-4)


def test_momentum_follows_the_flow_at_first_order():
    rule, given, w0 = problem(ff.FA, "tanh", seed=2)
    counts, gaps = np.array([400, 800, 1600]), []
    for n in counts:
        run = {"eta": 0.5 / n, "steps": int(n), "every": int(n), "momentum": 0.5}
        steps = ff.iterate(rule, given, w0, **run)  # t = 1
        gaps.append(ff.gap(steps, ff.integrate(rule, given, w0, steps.ts))[-1])
    order = -np.polyfit(np.log(counts), np.log(gaps), 1)[0]
    assert 0.9 < order < 1.1


def test_step_sizes_may_change():
    rule, given, w0 = problem(ff.FA, "tanh")
    etas = [0.1, 0.2, 0.05, 0.1]
    one = ff.iterate(rule, given, w0, eta=etas, steps=4)
    two = ff.iterate(rule, given, w0, eta=lambda n: etas[n], steps=4)
    w = w0
    for eta in etas:
        w = ff.iterate(rule, given, w, eta=eta, steps=1).final
    for A, B, C in zip(one.final, two.final, w, strict=True):
        np.testing.assert_array_equal(A, B)
        np.testing.assert_array_equal(A, C)
    np.testing.assert_allclose(one.ts, [0, 0.1, 0.3, 0.35, 0.45])
    assert one.made["eta"] == etas


@pytest.mark.parametrize(("order", "first"), [("input first", 0), ("output first", 1)])
def test_layers_in_turn_see_those_before_them(order, first):
    rule, given, w0 = problem(ff.FA, "tanh", sizes=(3, 4, 2), bias=True)
    eta, w = 0.3, list(w0)
    for k in (first, 1 - first):
        w[k] = w[k] + eta * rule(given, tuple(w))[k]
    sol = ff.iterate(rule, given, w0, eta=eta, steps=1, order=order)
    for A, B in zip(sol.final, w, strict=True):
        np.testing.assert_array_equal(A, B)
    together = ff.iterate(rule, given, w0, eta=eta, steps=1)
    assert ff.gap(sol, together).max() > 1e-3


def test_matched_decoupled_decay_keeps_an_exact_law():
    """With λ₂ = 2λ₁ and a = e^{-ηλ₁}: C ← a² (C + ½|ηF|²)."""
    decay = (0.5, 1.0)
    rule, given, w0 = problem(ff.FA, "relu", sizes=(3, 4, 2), decay=decay)
    eta, law = 0.1, laws.layer_feedback_balance
    a = np.exp(-eta * decay[0])
    plain = ff.FA(rule.B)
    for kind, kept in (("decoupled", True), ("coupled", False)):
        sol = ff.iterate(rule, given, w0, eta=eta, steps=50, decay=kind, batches=2)
        C = sol.measure(law).ravel()
        before = sol.w[0][1:] / a - sol.w[0][:-1]  # ηF, where the decay comes after
        told = a**2 * (C[:-1] + (before**2).sum((1, 2)) / 2)
        gap = np.abs(C[1:] - told).max()
        assert (gap < 1e-14 * 10) if kept else (gap > 1e-4)
    same = ff.iterate(plain, given, w0, eta=eta, steps=5, decay="decoupled")
    assert ff.gap(same, ff.iterate(plain, given, w0, eta=eta, steps=5)).max() == 0


def test_samplers_choose_the_samples_of_each_step():
    given, w0 = ff.Task(np.eye(6), 100 * np.ones((1, 6))), (np.zeros((1, 6)),)
    run = lambda batches, seed=3: ff.iterate(
        ff.GD(), given, w0, eta=0.1, steps=200, batches=batches, seed=seed
    )
    steps = used(run(ff.sampled(2)), given, w0, 0.1)
    assert {len(s) for s in steps} == {2}
    assert len(set(steps)) == 15  # every pair comes, and some at once again
    assert any(set(a) & set(b) for a, b in itertools.pairwise(steps))
    twice = used(run(ff.sampled(2, replace=True)), given, w0, 0.1)
    assert {len(s) for s in twice} == {1, 2}
    np.testing.assert_array_equal(run(ff.sampled(2)).final[0], run(ff.sampled(2)).final[0])
    assert used(run(lambda rng, n: [n - 1]), given, w0, 0.1) == [(5,)] * 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"momentum": 1}, "momentum must be from 0 to below 1, but is 1"),
        ({"momentum": True}, "momentum must be from 0 to below 1, but is True"),
        ({"nesterov": True}, "nesterov needs momentum, and all layers together"),
        ({"momentum": 0.5, "nesterov": 1}, "nesterov must be True or False, but is 1"),
        ({"order": "down"}, "Unknown order 'down'; choose from together, input first"),
        ({"decay": "none"}, "Unknown decay 'none'; choose from coupled, decoupled"),
        ({"eta": [0.1, 0.2]}, "eta has 2 entries, but there are 3 steps"),
        ({"eta": lambda n: 0.1 - 0.1 * n}, "eta must be a positive number, but is 0.* at step 2"),
        ({"batches": lambda rng, n: [n]}, "indices from 0 to 4, but gave"),
        ({"batches": ff.sampled(9)}, "9 samples cannot be drawn from 5 without replacement"),
    ],
)
def test_options_of_steps_are_checked(options, says):
    rule, given, w0 = problem(ff.GD)
    with pytest.raises(ValueError, match=says):
        ff.iterate(rule, given, w0, **({"eta": 0.1, "steps": 3} | options))


def test_decay_inside_momentum_is_not_decoupled():
    rule = ff.HeavyBall(of=ff.GD(decay=0.1))
    _, given, _ = problem(ff.GD)
    with pytest.raises(ValueError, match="has its decay inside"):
        ff.iterate(rule, given, rule.start(SIZES), eta=0.1, steps=1, decay="decoupled")


def test_a_run_with_a_schedule_comes_back_from_its_file(tmp_path):
    rule, given, w0 = problem(ff.FA, "tanh")
    sol = ff.iterate(rule, given, w0, eta=[0.1, 0.2], steps=2, momentum=0.5, batches=ff.sampled(2))
    sol.save(tmp_path / "run.npz")
    back = ff.load(tmp_path / "run.npz")
    assert back.made == sol.made
    np.testing.assert_array_equal(back.w[0], sol.w[0])


def test_a_size_of_samples_is_checked():
    with pytest.raises(ValueError, match="size must be a positive integer, but is 0"):
        ff.sampled(0)
