import numpy as np
import pytest
from problems import problem, sliding

import faflow as ff
from faflow import plot
from faflow.steps.kinks import kinks


def test_a_comparison_sees_the_orders_that_the_flows_have():
    rule, task, w0 = problem(ff.FA, "tanh", seed=1)
    made = ff.compare(rule, task, w0, 0.5, [0.5 / 20, 0.5 / 80, 0.5 / 40])
    np.testing.assert_array_equal(made.steps, [20, 40, 80])
    for order in (1, 2, 3):
        assert abs(made.observed(order) - order) < 0.1
    assert not made.crossed
    assert "observed" in str(made)
    assert len(plot.compared(made).get_lines()) == 3


def test_errors_are_those_of_the_steps_and_flows_by_themselves():
    rule, task, w0 = problem(ff.DFA, "tanh", seed=1)
    made = ff.compare(rule, task, w0, 0.4, [0.1], orders=(2,))
    steps = ff.iterate(rule, task, w0, eta=0.1, steps=4)
    flow = ff.integrate(ff.modified(rule, 0.1), task, w0, [0, 0.4], rtol=3e-14, atol=1e-14)
    far = [a - b for a, b in zip(steps.final, flow.final, strict=True)]
    assert made.errors[2][0] == pytest.approx(np.sqrt(sum(np.sum(D**2) for D in far)), rel=1e-8)


def test_a_flow_that_spends_its_steps_is_said_to_need_smaller_ones():
    task = ff.Task([[1.0]], [[0.0]])
    made = ff.compare(ff.GD(), task, (np.ones((1, 1)),), 2, [1, 0.5], orders=(2,), max_steps=5)
    assert np.isnan(made.errors[2]).all()
    assert made.notes[0].startswith("GD modified to order 2, eta 1: Stopped at t = ")
    assert made.notes[1].endswith("Take smaller etas.")


def test_with_momentum_the_second_order_is_seen():
    rule, task, w0 = problem(ff.FA, "tanh", seed=1)
    etas = 0.1 / np.array([200, 400])
    made = ff.compare(rule, task, w0, 0.5, etas, orders=(1, 2), momentum=0.8)
    assert abs(made.observed(1) - 1) < 0.1
    assert abs(made.observed(2) - 2) < 0.15


def test_across_a_kink_no_order_above_one_is_claimed():
    rule, given, w0 = problem(ff.FA, "relu", seed=3)
    made = ff.compare(rule, given, w0, 2, [2 / 40, 2 / 80])
    assert made.crossed
    with pytest.raises(ValueError, match=r"No order above 1 is claimed across kinks: \d+ kinks"):
        made.observed(2)
    assert "none" in str(made)
    assert "none claimed" in plot.compared(made).get_legend_handles_labels()[1][1]


def test_before_the_first_kink_relu_has_every_order():
    rule, given, w0 = problem(ff.FA, "relu", seed=3)
    first = np.inf
    fine = ff.iterate(rule, given, w0, eta=1e-4, steps=2000)
    for k in range(1, len(fine)):
        part = ff.Solution(fine.ts[: k + 1], tuple(W[: k + 1] for W in fine.w), rule, given)
        if k % 50 == 0 and kinks(part).flips:
            first = fine.ts[k - 50]
            break
    T = min(0.9 * first, 0.2)
    made = ff.compare(rule, given, w0, T, [T / 10, T / 20, T / 40])
    assert not made.crossed
    for order in (1, 2, 3):
        assert abs(made.observed(order) - order) < 0.15


def test_a_unit_that_slides_chatters_and_its_flips_grow_with_the_steps():
    rule, task, w0 = sliding()
    seen = [kinks(ff.iterate(rule, task, w0, eta=0.4 / n, steps=n)) for n in (100, 200, 400)]
    assert all(len(k.chatter) == 1 for k in seen)
    assert 1.6 < seen[1].flips / seen[0].flips < 2.4
    assert 1.6 < seen[2].flips / seen[1].flips < 2.4
    assert "which chatter, unit 0 of hidden layer 0 for sample" in str(seen[0])


def test_flips_are_counted_one_by_one():
    task = ff.Task([[1.0, -1.0]], [[1.0, 1.0]], ("relu", "tanh"))
    path = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]).reshape(-1, 1, 1)
    ones = np.ones((6, 1, 1))
    sol = ff.Solution(np.arange(6.0), (path, path, ones), ff.GD(), task)
    assert kinks(sol) == (10, 2, ((0, 0, 0, 5), (0, 0, 1, 5)), (0, 0))


def test_weights_fed_back_by_their_signs_make_kinks_where_these_change():
    """Also inside another rule; not where tanh(beta W) comes back, nor in the first layer."""
    task = ff.Task([[1.0]], [[1.0]])
    path = np.array([1.0, -1.0, -2.0, 1.0]).reshape(-1, 1, 1)
    made = lambda rule: kinks(ff.Solution(np.arange(4.0), (path, path), rule, task))
    assert made(ff.SignFA()) == made(ff.modified(ff.SignFA(), 0.1)) == (2, 1, (), (2, 1))
    assert str(made(ff.SignFA())) == "2 changes of sign by 1 weights fed back by it"
    assert made(ff.SignFA(beta=2.0)).flips == made(ff.GD()).flips == 0


def test_across_a_change_of_sign_no_order_above_one_is_claimed():
    rule, task, w0 = problem(ff.SignFA, seed=3)
    made = ff.compare(rule, task, w0, 0.4, [0.02, 0.01], orders=(1, 2))
    assert made.crossed
    with pytest.raises(ValueError, match=r"No order above 1 is claimed across kinks: .*fed back"):
        made.observed(2)
    with pytest.raises(ValueError, match="leading error needs a smooth rule; give SignFA a beta"):
        ff.leading_error(rule, task, w0, [0, 1])


def test_the_flow_that_steps_are_compared_with_is_as_fine_as_the_smallest_of_them():
    """Across kinks: on a quarter of the largest size it would itself be as far as they are."""
    rule, task, w0 = sliding()
    etas = [0.4 / n for n in (4, 64)]
    made = ff.compare(rule, task, w0, 0.4, etas, orders=(1,))
    alone = ff.compare(rule, task, w0, 0.4, etas[1:], orders=(1,))
    assert made.errors[1][1] == pytest.approx(alone.errors[1][0], rel=1e-9)


def test_a_decay_that_jumps_does_so_where_a_step_begins():
    rule, task, w0 = problem(ff.FA, "tanh", seed=1, decay=ff.Piecewise((0.25,), (0.0, 1.0)))
    made = ff.compare(rule, task, w0, 0.5, [0.5 / 40, 0.5 / 80])
    for order in (1, 2, 3):
        assert abs(made.observed(order) - order) < 0.15
    with pytest.raises(ValueError, match=r"decay jumps at t = 0\.25, which every step size must"):
        ff.compare(rule, task, w0, 0.5, [0.5 / 5])
    with pytest.raises(ValueError, match="leading error needs a decay that is constant in time"):
        ff.leading_error(rule, task, w0, [0, 0.5])


def test_a_smooth_task_has_no_kinks():
    rule, task, w0 = problem(ff.GD, "tanh")
    assert str(kinks(ff.iterate(rule, task, w0, eta=0.1, steps=3))) == "no kinks crossed"


def test_a_flow_that_slides_is_followed_in_fixed_steps_and_said_so():
    rule, task, w0 = sliding()
    made = ff.compare(rule, task, w0, 0.4, [0.01, 0.005], orders=(1,))
    assert made.notes == (
        "Where kinks are crossed the flows take fixed steps of eta/4, in error by as much there.",
    )
    assert np.isfinite(made.errors[1]).all()


def test_errors_at_rounding_show_no_order():
    """Targets met and no decay: nothing moves."""
    task = ff.Task(np.eye(2), np.zeros((1, 2)))
    made = ff.compare(ff.GD(), task, (np.zeros((1, 2)),), 1, [0.5, 0.25], orders=(1,))
    with pytest.raises(ValueError, match="No order can be seen from the errors"):
        made.observed(1)


@pytest.mark.parametrize(
    ("T", "etas", "options", "words"),
    [
        (1, [0.3], {}, "etas must divide T, but 0.3 goes 3.33333 times into 1"),
        (-1, [0.5], {}, "T must be a positive time, but is -1"),
        (1, "a", {}, "etas must be positive step sizes, but is 'a'"),
        (1, [0.5, -1], {}, "etas must be positive step sizes"),
        (1, [], {}, "etas must be positive step sizes"),
        (1, [0.5, 0.5], {}, "etas must be different from one another"),
        (1, [2.0], {}, "etas must divide T, but 2 goes 0.5 times"),
        (1, [0.5], {"orders": (5,)}, "orders must be integers from 1 to 4"),
        (1, [0.5], {"orders": 2}, "orders must be integers from 1 to 4, but is 2"),
        (1, [0.1], {"orders": (3,), "momentum": 0.5}, "integers from 1 to 2 with momentum"),
        (1, [0.1], {"momentum": 2}, "momentum must be from 0 to below 1"),
    ],
)
def test_bad_questions_are_refused(T, etas, options, words):
    rule, task, w0 = problem(ff.FA, "tanh")
    with pytest.raises(ValueError, match=words):
        ff.compare(rule, task, w0, T, etas, **options)


@pytest.mark.parametrize("kind", [ff.GD, ff.FA])
def test_the_leading_error_is_approached_at_first_order(kind):
    """(w_K - w(T))/η - e₁ halves with η."""
    rule, task, w0 = problem(kind, "tanh", seed=1)
    lead = ff.leading_error(rule, task, w0, [0, 0.25, 0.5])
    off = []
    for K in (80, 160):
        steps = ff.iterate(rule, task, w0, eta=0.5 / K, steps=K)
        e = [(a - b[-1]) / (0.5 / K) for a, b in zip(steps.final, lead.w, strict=True)]
        far = np.sqrt(sum(np.sum((a - b[-1]) ** 2) for a, b in zip(e, lead.e, strict=True)))
        off.append(far / lead.norm[-1])
    assert off[0] < 0.1
    assert 1.7 < off[0] / off[1] < 2.3


def test_the_leading_error_of_one_linear_layer_is_known():
    """w' = -w: (1 - η)^{t/η} = e^{-t}(1 - ηt/2 + …); the bound is then the error itself."""
    task, w0 = ff.Task([[1.0]], [[0.0]]), (np.ones((1, 1)),)
    ts = np.linspace(0, 2, 5)
    lead = ff.leading_error(ff.GD(), task, w0, ts, bound=True)
    np.testing.assert_allclose(lead.e[0][:, 0, 0], -ts / 2 * np.exp(-ts), atol=1e-9)
    np.testing.assert_allclose(lead.bound, ts / 2 * np.exp(-ts), rtol=1e-5)


@pytest.mark.parametrize("kind", [ff.GD, ff.FA])
def test_the_bound_holds(kind):
    rule, task, w0 = problem(kind, "tanh", seed=1)
    lead = ff.leading_error(rule, task, w0, [0, 0.25, 0.5], bound=True)
    assert (lead.bound[1:] > lead.norm[1:]).all()
    assert np.isnan(ff.leading_error(rule, task, w0, [0, 0.5]).bound).all()


def test_the_leading_error_refuses_kinks_and_late_starts():
    rule, task, w0 = problem(ff.FA, "relu")
    with pytest.raises(ValueError, match=r"needs a smooth activation.*relu has kinks"):
        ff.leading_error(rule, task, w0, [0, 1])
    rule, task, w0 = problem(ff.FA, "tanh")
    with pytest.raises(ValueError, match="ts must start at 0"):
        ff.leading_error(rule, task, w0, [0.5, 1])


def test_an_order_that_was_not_compared_is_not_there():
    rule, task, w0 = problem(ff.GD, "tanh")
    made = ff.compare(rule, task, w0, 0.2, [0.1, 0.05], orders=(1,))
    with pytest.raises(ValueError, match="Orders 1 were compared, not 2"):
        made.observed(2)


def test_what_one_integration_says_is_printed_in_a_sentence():
    task, w0 = ff.Task([[1.0]], [[0.0]]), (np.ones((1, 1)),)
    lead = ff.leading_error(ff.GD(), task, w0, [0, 2], bound=True)
    assert str(lead) == (
        "steps of size η are 0.135 η from the flow at t = 2, to leading order, bound 0.135 η"
    )
