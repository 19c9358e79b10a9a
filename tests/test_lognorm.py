"""Log-norm time against physical time, closed forms, laws and quadrature."""

import numpy as np
import pytest
import scipy.integrate

import faflow as ff
from faflow import laws, margins
from faflow.flow import lognorm as module
from faflow.flow.lognorm import lognorm
from faflow.testing import assert_kept

LOSSES = ["exponential", "logistic"]
CLOSE = 1e-6  # at rtol 1e-8 of the one and 1e-10 of the other; 2e-8 was seen


def problem(sizes=(3, 4, 1), phi="linear", loss="exponential", *, seed=0, samples=6, rule=ff.GD):
    """A rule, a task labelled by the start itself, and the start, scaled up until α > 0."""
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((sizes[0], samples)), ff.init(sizes, seed=seed)
    f = ff.nets.forward(ff.Task(X, np.ones((sizes[-1], samples)), phi), w)[2]
    task = ff.Task(X, np.sign(f), phi, loss)
    while margins.smoothed_margin(ff.GD(), w, task=task) <= 0:
        w = (*w[:-1], 1.5 * w[-1])
    return rule.random(sizes, seed=seed), task, w


def not_separable():
    """Logistic regression on a point with both labels and another: the flow comes to rest."""
    task = ff.Task([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, -1.0, 1.0]], loss="logistic")
    return ff.GD(), task.with_data(task.X[:1], task.Y), (np.array([[0.3]]),)


def near_transposes(kind, w0, seed=1):
    """A rule of this kind whose feedback is that of gradient descent, and some noise."""
    rng = np.random.default_rng(seed)
    above = [W.T for W in w0[1:]]
    if kind is ff.DFA:
        above = [np.linalg.multi_dot([*above[k:], np.eye(len(w0[-1]))]) for k in range(len(above))]
    noise = lambda M: 0.3 * rng.standard_normal(M.shape)
    return kind(() if kind is ff.GD else tuple(M + noise(M) for M in above))


def one_sample(loss="exponential", start=0.5):
    return ff.GD(), ff.Task([[1.0]], [[1.0]], loss=loss), (np.array([[start]]),)


# The curve and its time


@pytest.mark.parametrize("solver", ["radau", "bdf"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA])
@pytest.mark.parametrize("sizes", [(3, 4, 1), (3, 4, 3, 2)], ids=str)
def test_the_flow_is_that_of_physical_time_at_the_time_it_says(sizes, kind, loss, solver):
    _, task, w0 = problem(sizes, "relu_power(2)" if len(sizes) == 3 else "linear", loss)
    rule = near_transposes(kind, w0)
    tight = {"rtol": 1e-9} if solver == "bdf" else {}
    sol = lognorm(rule, task, w0, log_time=3, checked=False, solver=solver, **tight)
    k = len(sol) // 2
    ts = np.exp(sol.observed["log_time"][[k, -1]])
    known = ff.integrate(rule, task, w0, [0.0, *ts])
    for W, V in zip(sol.w, known.w, strict=True):
        for mine, its in ((W[k], V[1]), (W[-1], V[2])):
            np.testing.assert_allclose(mine, its, atol=CLOSE * np.abs(its).max())


@pytest.mark.parametrize("rates", [3.0, (0.5, 2.0)])
def test_layer_rates_count(rates):
    _, task, w0 = problem()
    rule = ff.GD(rates=rates)
    sol = lognorm(rule, task, w0, log_time=2)
    known = ff.integrate(rule, task, w0, [0.0, np.exp(sol.observed["log_time"][-1])])
    for W, V in zip(sol.final, known.final, strict=True):
        np.testing.assert_allclose(W, V, atol=CLOSE * np.abs(V).max())


@pytest.mark.parametrize("solver", ["radau", "bdf"])
def test_the_time_of_one_sample_is_exact_up_to_exp_of_1e5(solver):
    """dw/dt = exp(-w), so that t = exp(w) - exp(w₀)."""
    sol = lognorm(*one_sample(), log_time=1e5, solver=solver)
    w, log_time = sol.w[0][:, 0, 0], sol.observed["log_time"]
    late = log_time > 0  # before, exp(w) - exp(w₀) would lose the digits
    known = w[late] + np.log1p(-np.exp(0.5 - w[late]))
    np.testing.assert_allclose(log_time[late], known, rtol=1e-9, atol=1e-6)  # of the cubics
    assert sol.observed["log_time"][0] == -np.inf
    assert sol.observed["log_time"][-1] >= 1e5


def test_the_time_of_one_logistic_sample_is_exact():
    """dw/dt = 1/(1 + exp(w)), so that t = w + exp(w) - w₀ - exp(w₀)."""
    sol = lognorm(*one_sample("logistic"), log_time=600)
    w, log_time = sol.w[0][:, 0, 0], sol.observed["log_time"]
    late = log_time > 0
    known = np.log(w[late] - 0.5 + np.exp(w[late]) - np.exp(0.5))
    np.testing.assert_allclose(log_time[late], known, rtol=1e-9, atol=1e-6)


def test_in_log_norm_time_the_norm_grows_by_the_cosine():
    """d log|w| = cos(w, v) du: |w| = |w₀| exp(u) for a single weight."""
    sol = lognorm(*one_sample(), u=5.0)
    np.testing.assert_allclose(sol.w[0][:, 0, 0], 0.5 * np.exp(sol.ts), rtol=1e-7)  # 1e-8 a step


def test_a_degree_above_two_goes_on_where_the_flow_of_log_loss_would_end_in_finite_time():
    """w³ has -∇loss/loss = 3w², whose flow ends at 1/(3w₀); here |w| grows a hundredfold."""
    task = ff.Task([[1.0]], [[1.0]], loss="exponential")
    w0 = tuple(np.array([[1.0]]) for _ in range(3))
    sol = lognorm(ff.GD(), task, w0, growth=np.log(100))
    a = sol.w[0][1:, 0, 0]
    rate = lambda x: np.exp(-(x**3) + a[0] ** 3) * x**2  # da/dt times a constant
    first = scipy.integrate.quad(lambda x: 1 / rate(x), 1, a[0])[0]
    assert sol.observed["log_time"][1] == pytest.approx(np.log(first) + a[0] ** 3, rel=1e-7)
    assert sol.observed["log_time"][-1] == pytest.approx(a[-1] ** 3 - np.log(3 * a[-1] ** 4))


@pytest.mark.parametrize(
    ("c0", "slope0", "c1", "slope1"),
    [(0, 1, 1, 1), (0, -3, -2, -1), (5, 2e5, 1e5, 3e5), (1e5, -1e5, 5, -10), (0, 4, 0, -4)],
)
def test_the_integral_over_a_step_is_that_of_a_cubic_exponent(c0, slope0, c1, slope1):
    width = 0.7
    cubic = scipy.interpolate.CubicHermiteSpline([0, width], [c0, c1], [slope0, slope1])
    x = np.linspace(0, width, 2001)
    top = cubic(x).max()
    shifted = lambda s: np.exp(cubic(s) - top)
    peak = x[np.argmax(cubic(x))]
    near = [abs(peak - 10.0**-k) for k in range(1, 8)]
    known = scipy.integrate.quad(shifted, 0, width, points=[peak, *near], limit=500)[0]
    seen = module._log_integral(width, c0, slope0, c1, slope1)
    assert seen - top == pytest.approx(np.log(known), abs=1e-7)  # quad's own


# What flows keep and what grows along them


@pytest.mark.parametrize(("kind", "law"), [(ff.GD, laws.balance), (ff.FA, laws.feedback_balance)])
def test_the_laws_of_a_flow_are_kept(kind, law):
    rule, task, w0 = problem(rule=kind)
    sol = lognorm(rule, task, w0, growth=2, checked=False)
    assert_kept(law, sol)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phi", ["linear", "relu_power(2)"])
def test_the_normalised_margin_rises_at_every_step(phi, loss):
    rule, task, w0 = problem(phi=phi, loss=loss)
    sol = lognorm(rule, task, w0, log_time=1e3)
    assert (np.diff(sol.measure(margins.normalised_margin, task=task)) > 0).all()


def test_feedback_alignment_loses_its_normalised_margin():
    _, task, w0 = problem()
    rule = near_transposes(ff.FA, w0)
    sol = lognorm(rule, task, w0, log_time=1e4)
    a = sol.measure(margins.normalised_margin, task=task)
    assert a[-1] < 0.95 * a.max()
    assert -0.5 < margins.margin_growth(rule, sol.final, task=task) < -0.1  # → -1/2


def test_a_linear_classifier_ends_in_the_direction_of_the_svm():
    rule, task, w0 = problem((3, 1), samples=12, seed=3)
    sol = lognorm(rule, task, w0, log_time=1e4)
    w = sol.final[0][0]
    best = margins.max_margin(task.X, task.Y).direction
    assert np.linalg.norm(w / np.linalg.norm(w) - best) < 1e-2  # of order 1/log t


# Where it ends


def test_it_ends_exactly_at_u():
    assert lognorm(*problem(), u=0.75).ts[-1] == 0.75


@pytest.mark.parametrize(("what", "end"), [("growth", 0.8), ("log_time", 4.0)])
def test_it_ends_with_the_first_step_that_reaches_its_end(what, end):
    sol = lognorm(*problem(), **{what: end})
    norms = np.sqrt(sum(np.sum(W**2, axis=(1, 2)) for W in sol.w))
    seen = {"growth": np.log(norms / norms[0]), "log_time": sol.observed["log_time"]}[what]
    assert seen[-2] < end <= seen[-1]


def test_the_first_of_several_ends_counts():
    sol = lognorm(*problem(), u=0.2, growth=50, log_time=1e9)
    assert sol.ts[-1] == 0.2


def test_a_solution_keeps_its_log_times_in_a_file(tmp_path):
    sol = lognorm(*problem(), u=0.5)
    sol.save(tmp_path / "run.npz")
    back = ff.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(back.observed["log_time"], sol.observed["log_time"])
    np.testing.assert_array_equal(back.w[0], sol.w[0])
    assert "log-norm time" in str(back)


# What is refused


def test_a_start_that_is_not_separated_is_refused_with_its_margin():
    rule, task, w0 = problem()
    with pytest.raises(ValueError, match=r"α = -1\.79"):  # -log 6: all margins are about 0
        lognorm(rule, task, tuple(1e-9 * W for W in w0), u=1)


def test_a_start_that_is_not_separated_can_be_followed_unchecked():
    rule, task, w0 = problem()
    sol = lognorm(rule, task, tuple(0.3 * W for W in w0), log_time=5, checked=False)
    alpha = sol.measure(margins.smoothed_margin, task=task)
    assert alpha[0] < 0 < alpha[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"phi": "tanh"}, "must be homogeneous, but tanh"), ({"bias": True}, "biases")],
)
def test_networks_that_are_not_homogeneous_are_refused_unless_unchecked(options, words):
    task = ff.Task(np.eye(2), np.ones((1, 2)), loss="logistic", **options)
    w0 = ff.init((2, 3, 1), bias=task.bias, seed=1)
    with pytest.raises(ValueError, match=words):
        lognorm(ff.GD(), task, w0, u=1)
    assert lognorm(ff.GD(), task, w0, u=0.1, checked=False).ts[-1] == 0.1


def test_other_losses_are_refused():
    with pytest.raises(ValueError, match="not squared"):
        lognorm(ff.GD(), ff.Task(np.eye(2), np.ones((1, 2))), (np.ones((1, 2)),), u=1)


@pytest.mark.parametrize("decay", [0.1, (0.0, 0.2)])
def test_weight_decay_is_refused(decay):
    _, task, w0 = problem()
    with pytest.raises(ValueError, match="linear in the output error and has no weight decay"):
        lognorm(ff.GD(decay=decay), task, w0, u=1)


def test_rules_that_are_not_linear_in_the_error_are_refused():
    class Signed(ff.GD):
        def carry(self, w, k, above, output):
            return np.sign(super().carry(w, k, above, output))

    _, task, w0 = problem()
    with pytest.raises(ValueError, match="linear in the output error"):
        lognorm(Signed(), task, w0, u=1)


def test_a_state_with_more_than_weights_is_refused():
    _, task, _ = problem()
    rule = ff.KolenPollack()
    with pytest.raises(ValueError, match="whose state is its weights"):
        lognorm(rule, task, rule.start((3, 4, 1)), u=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Say where to end"),
        ({"u": -1}, "u must be a positive number"),
        ({"growth": np.inf}, "growth must be a positive number"),
        ({"log_time": "late"}, "log_time must be a positive number"),
        ({"u": 1, "solver": "rk45"}, "Unknown solver 'rk45'; choose from radau, bdf"),
        ({"u": 1, "rtol": 2}, "rtol must be"),
        ({"u": 1, "atol": 0}, "atol must be"),
        ({"u": 1, "max_steps": 0}, "max_steps must be a positive number"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        lognorm(*problem(), **options)


def test_zero_weights_are_refused():
    _, task, w0 = problem()
    with pytest.raises(ValueError, match="w0 is zero"):
        lognorm(ff.GD(), task, tuple(0 * W for W in w0), u=1, checked=False)


# What was computed before a failure is kept


def test_a_spent_budget_keeps_the_steps_taken():
    with pytest.raises(ff.Unfinished, match="after 7 steps: the budget of steps") as caught:
        lognorm(*problem(), growth=4, max_steps=7)
    sol = caught.value.solution
    assert len(sol) == 8
    again = lognorm(*problem(), growth=4)
    np.testing.assert_array_equal(sol.w[0], again.w[0][:8])


def test_a_budget_of_just_the_steps_needed_suffices():
    sol = lognorm(*problem(), growth=1)
    assert len(lognorm(*problem(), growth=1, max_steps=len(sol) - 1)) == len(sol)


def test_seconds_are_a_budget_too():
    with pytest.raises(ff.Unfinished, match="the budget of 1e-09 seconds is spent"):
        lognorm(*problem(), growth=4, max_seconds=1e-9)


def test_a_flow_that_comes_to_rest_says_that_the_samples_are_not_separated():
    with pytest.raises(ff.Unfinished, match=r"not separated, α = -.*come to rest") as caught:
        lognorm(*not_separable(), log_time=100, checked=False, max_steps=300)
    sol = caught.value.solution
    assert abs(sol.final[0][0, 0]) < 1e-6  # the best weight for a point with both labels is 0


def test_a_flow_without_a_velocity_is_told_so():
    task = ff.Task([[1.0]], [[1.0]], "relu", "logistic")
    dead = np.array([[-1.0]]), np.array([[1.0]])
    with pytest.raises(ff.Unfinished, match="velocity is zero") as caught:
        lognorm(ff.GD(), task, dead, u=1, checked=False)
    assert len(caught.value.solution) == 1


def test_a_relu_network_that_slides_along_a_kink_names_the_unit():
    rng = np.random.default_rng(2)
    X, w0 = rng.standard_normal((2, 6)), ff.init((2, 5, 1), seed=6, scale=3)
    f = ff.nets.forward(ff.Task(X, np.ones((1, 6)), "relu"), w0)[2]
    task = ff.Task(X, np.where(f < 0, -1.0, 1.0), "relu", "logistic")
    with pytest.raises(ff.Unfinished, match=r"It slides: .* unit 1 of hidden layer 0 for sample 5"):
        lognorm(ff.GD(), task, w0, growth=3, checked=False, max_steps=500)


def test_ctrl_c_keeps_the_steps_taken():
    calls = 0

    class Stopped(ff.GD):
        def carry(self, w, k, above, output):
            nonlocal calls
            calls += 1
            if calls > 300:
                raise KeyboardInterrupt
            return super().carry(w, k, above, output)

    _, task, w0 = problem()
    with pytest.raises(ff.Interrupted, match="Ctrl-C") as caught:
        lognorm(Stopped(), task, w0, growth=4)
    assert len(caught.value.solution) > 2
