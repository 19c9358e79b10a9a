"""Plots: what is drawn on the axes is what was measured, and nothing global changes."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure

from faflow import (
    DFA,
    FA,
    GD,
    FAStar,
    KolenPollack,
    SignFA,
    Solution,
    Task,
    compare,
    data,
    drift,
    init,
    integrate,
    iterate,
    laws,
    loss,
    plot,
    stability,
    stability_along,
)

SIZES = (6, 5, 4, 3)


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def task():
    return data.teacher_student(6, 3, 20, isometric=True).task()


def run(rule, task, **options):
    return integrate(rule, task, rule.start(SIZES, scale=0.5), np.linspace(0, 3, 16), **options)


@pytest.fixture(scope="module")
def flow(task):
    return run(FA.random(SIZES), task)


def drawn(ax, label):
    """The y values of the line of this label."""
    (line,) = (line for line in ax.get_lines() if line.get_label() == label)
    return line.get_ydata()


def test_measured_draws_the_law_with_time_in_units_of_the_learning_rate(flow, ax):
    assert plot.measured(flow, laws.layer_feedback_balance, ax, k=1) is ax
    values = flow.measure(laws.layer_feedback_balance, k=1)
    assert np.array_equal(drawn(ax, "layer feedback balance"), values)
    assert ax.get_xlabel() == "time (1/learning rate)"
    assert ax.get_ylabel() == "layer feedback balance"
    assert ax.get_legend() is None


def test_measured_draws_every_entry_and_a_legend_for_two_laws(flow, ax):
    plot.measured(flow, laws.feedback_balance, ax, label="FA")
    assert len(ax.get_lines()) == 25
    plot.measured(flow, laws.layer_balance, ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["FA", "layer balance"]


def test_drift_is_the_norm_of_the_change_on_a_logarithmic_axis_with_the_tolerance(flow, ax):
    plot.drift(flow, laws.balance, ax, k=1)
    values = flow.measure(laws.balance, k=1)
    moved = [np.linalg.norm(V - values[0]) for V in values]
    np.testing.assert_allclose(drawn(ax, "balance")[1:], moved[1:], rtol=1e-14)
    assert np.isnan(drawn(ax, "balance")[0])
    assert set(drawn(ax, "rtol 1e-10")) == {1e-10}
    assert ax.get_yscale() == "log"


def test_drift_has_no_tolerance_and_of_nothing_no_logarithm(task, ax):
    rule = FA.random(SIZES)
    steps = iterate(rule, task, rule.start(SIZES), eta=0.1, steps=3)
    plot.drift(steps, laws.feedback_balance, ax)
    assert [line.get_label() for line in ax.get_lines()] == ["feedback balance"]
    still = Figure().add_subplot()
    plot.drift(steps, lambda rule, w: np.zeros(2), still)
    assert still.get_yscale() == "linear"


def test_two_drifts_share_one_tolerance_line(flow, ax):
    plot.drift(flow, laws.feedback_balance, ax, k=0)
    plot.drift(flow, laws.feedback_balance, ax, label="upper", k=1)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["feedback balance", "rtol 1e-10", "upper"]


def test_loss_is_the_loss_of_the_task_at_every_time(flow, ax):
    plot.loss(flow, ax)
    expected = [loss(flow.task, flow.at(k)) for k in range(len(flow))]
    np.testing.assert_allclose(drawn(ax, "FA"), expected, rtol=1e-14)
    assert ax.get_ylabel() == "squared loss, summed"


def test_alignment_is_an_angle_in_degrees_in_every_hidden_layer(flow, ax):
    plot.alignment(flow, ax)
    for k in (0, 1):
        B, W = flow.rule.B[k], flow.w[k + 1][-1]
        cosine = np.sum(B * W.T) / np.sqrt(np.sum(B**2) * np.sum(W**2))
        seen = drawn(ax, f"hidden layer {k}")[-1]
        assert np.cos(np.radians(seen)) == pytest.approx(cosine, abs=1e-12)
    assert set(drawn(ax, "orthogonal")) == {90}
    low, high = ax.get_ylim()
    assert low < 0 < 90 < high


def test_alignment_leaves_out_layers_whose_feedback_has_another_shape(task, ax):
    sol = run(DFA.random(SIZES), task)
    plot.alignment(sol, ax)
    assert [line.get_label() for line in ax.get_lines()] == ["hidden layer 1", "orthogonal"]
    with pytest.raises(ValueError, match="has no angle"):
        plot.alignment(sol, ax, k=0)


def test_alignment_of_zero_weights_is_a_gap(task, ax):
    rule = FA.random(SIZES)
    sol = integrate(rule, task, rule.start(SIZES, scale=0), [0, 1, 2])
    plot.alignment(sol, ax, k=0)
    assert np.isnan(drawn(ax, "hidden layer 0")).tolist()[:2] == [True, False]


def test_a_network_without_hidden_layers_has_no_angle(task, ax):
    sol = integrate(GD(), task, init((6, 3)), [0, 1.0])
    with pytest.raises(ValueError, match="No layer of this GD has an angle"):
        plot.alignment(sol, ax)
    assert len(plot.summary(sol).axes) == 1


RULES = {
    "GD": (GD(), "neuron potential balance"),
    "FA": (FA.random(SIZES), "neuron feedback balance"),
    "DFA": (DFA.random(SIZES), "neuron feedback balance"),
    "SignFA": (SignFA(beta=2.0), "neuron potential balance"),
    "KolenPollack": (KolenPollack(), "mirror difference"),
}


@pytest.mark.parametrize("name", RULES)
def test_the_summary_shows_the_loss_the_alignment_and_the_law_the_rule_keeps(name, task):
    rule, law = RULES[name]
    left, middle, right = plot.summary(run(rule, task)).axes
    assert (left.get_ylabel(), middle.get_ylabel()[:5]) == ("squared loss, summed", "angle")
    assert np.nanmax(drawn(right, law)) < 1e-7
    assert right.figure.get_suptitle() == f"{name} on 6-5-4-3"


def test_the_summary_of_a_rule_without_a_known_law_has_no_drift(ax):
    rule = FAStar.random((4, 3, 5))
    sol = integrate(rule, Task.factorisation(np.ones((5, 4))), rule.start((4, 3, 5)), [0, 1.0])
    assert len(plot.summary(sol).axes) == 2


def test_the_summary_weighs_the_law_by_the_degree_of_the_activation(task):
    rule = FA.random(SIZES)
    cubic = Task(task.X, task.Y, "relu_power(3)")
    right = plot.summary(run(rule, cubic)).axes[-1]
    assert np.nanmax(drawn(right, "neuron feedback balance")) < 1e-7


@pytest.fixture(scope="module")
def observed(task):
    what = {"loss": partial(task_loss, task=task), "alignment": laws.alignment}
    return run(FA.random(SIZES), task, observe=what | {"layer_balance": laws.layer_balance})


def task_loss(rule, w, *, task):
    return loss(task, w)


def test_what_was_observed_is_drawn_without_weights(observed, flow, ax):
    plot.loss(observed, ax)
    np.testing.assert_allclose(drawn(ax, "FA"), observed.observed["loss"])
    for law in ("layer_balance", laws.layer_balance):
        other = Figure().add_subplot()
        plot.measured(observed, law, other)
        expected = flow.measure(laws.layer_balance)
        np.testing.assert_allclose(drawn(other, "layer balance"), expected, rtol=1e-12)
    plot.drift(observed, "layer_balance", Figure().add_subplot())


def test_the_summary_of_observables_has_a_panel_for_each(observed):
    labels = [ax.get_ylabel() for ax in plot.summary(observed).axes]
    assert labels == ["squared loss, summed", "angle of B and Wᵀ (degrees)", "layer balance"]


@pytest.mark.parametrize(
    ("law", "arguments", "words"),
    [
        (laws.balance, {}, "observed loss, alignment, layer_balance, but not 'balance'; name"),
        (laws.layer_balance, {"k": 1}, "but not 'layer_balance' with these arguments"),
        ("rank", {}, "but not 'rank'"),
    ],
)
def test_what_was_not_observed_is_refused_in_a_sentence(observed, law, arguments, words, ax):
    with pytest.raises(ValueError, match=words):
        plot.measured(observed, law, ax, **arguments)


def test_a_name_is_refused_where_nothing_was_observed(flow, ax):
    with pytest.raises(ValueError, match="observed nothing, but not 'loss'"):
        plot.measured(flow, "loss", ax)


def test_plots_without_axes_make_a_figure_that_saves_with_everything_inside(flow, tmp_path):
    figure = plot.summary(flow)
    figure.savefig(tmp_path / "run.png")
    inside = figure.get_tightbbox()
    assert inside.x0 >= 0
    assert inside.y0 >= 0
    width, height = figure.get_size_inches()
    assert inside.x1 <= width
    assert inside.y1 <= height


def test_drawing_leaves_pyplot_alone_unless_it_is_there():
    script = """
import sys
import numpy as np
from faflow import FA, Task, init, integrate, plot
assert "matplotlib" not in sys.modules
sol = integrate(FA((np.ones((2, 3)),)), Task(np.eye(2), np.ones((3, 2))), init((2, 2, 3)), [0, 1])
plot.summary(sol)
plot.loss(sol)
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
assert plot.loss(sol).figure is plt.gcf()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_without_matplotlib_the_error_names_the_extra(flow, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'faflow\[plot\]'"):
        plot.loss(flow)


def test_a_solution_loaded_without_how_it_was_made_can_be_drawn(flow, ax):
    bare = Solution(flow.ts, flow.w, flow.rule, flow.task)
    plot.drift(bare, laws.feedback_balance, ax)
    assert len(plot.summary(bare).axes) == 3


def labels(ax):
    return ax.get_legend_handles_labels()[1]


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    rule = FA.random((3, 4, 2))
    task = Task(rng.standard_normal((3, 5)), rng.standard_normal((2, 5)), "tanh")
    return rule, task, init((3, 4, 2))


def test_compared_draws_every_order_against_the_step_size(small, ax):
    made = compare(*small, 0.2, [0.2 / 10, 0.2 / 20, 0.2 / 40], orders=(1, 2))
    assert plot.compared(made, ax) is ax
    for order, name in zip((1, 2), labels(ax), strict=True):
        assert name == f"order {order}: slope {made.observed(order):.2f}"
        assert np.array_equal(drawn(ax, name), made.errors[order])
    assert np.array_equal(ax.get_lines()[0].get_xdata(), made.etas)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step size η", "|steps − flow| at t = 0.2")


def test_the_spectrum_is_drawn_with_the_region_of_steps_that_are_stable(small, ax):
    rule, task, w0 = small
    found = stability(rule, task, w0)
    plot.spectrum(found, ax=ax)
    grows = np.abs(1 + found.eta * found.values) > 1 + 1e-9
    assert f"{(~grows).sum()} modes that decay" in labels(ax)
    edge = ax.get_lines()[0].get_xydata()
    np.testing.assert_allclose(np.abs(1 + edge[:, 0] + 1j * edge[:, 1]), 1, rtol=1e-12)
    decaying = found.eta * found.values[~grows]
    assert np.array_equal(drawn(ax, f"{(~grows).sum()} modes that decay"), decaying.imag)
    assert drawn(ax, "critical") == [found.eta * found.critical.imag]
    assert ax.get_title() == f"η = {found.eta:.4g}"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Re ηλ", "Im ηλ")


def test_beyond_the_threshold_the_spectrum_shows_the_modes_that_grow(small, ax):
    rule, task, w0 = small
    found = stability(rule, task, w0, momentum=0.5)
    eta = 1.5 * found.eta
    plot.spectrum(found, eta, ax)
    roots = [np.abs(np.roots([1, -(1.5 + eta * v), 0.5])).max() for v in found.values]
    assert f"{(np.array(roots) > 1 + 1e-9).sum()} modes that grow" in labels(ax)
    edge = ax.get_lines()[0].get_xydata()
    ellipse = ((edge[:, 0] + 1.5) / 1.5) ** 2 + (edge[:, 1] / 0.5) ** 2
    np.testing.assert_allclose(ellipse, 1, rtol=1e-12)
    assert ax.get_title() == f"η = {eta:.4g}, β = 0.5"


def test_a_spectrum_without_a_threshold_asks_for_a_step_size(small, ax):
    rule, task, w0 = small
    still = stability(rule, Task(task.X, 0 * task.Y), tuple(0 * W for W in w0))
    with pytest.raises(ValueError, match=r"no η\* to draw; give eta="):
        plot.spectrum(still, ax=ax)
    assert labels(plot.spectrum(still, 0.1, ax)) == ["stable"]


def test_the_edge_is_drawn_along_the_run_with_the_step_size_dashed(small, ax):
    rule, task, w0 = small
    times, found = stability_along(iterate(rule, task, w0, eta=0.1, steps=20), [0, 10, 20])
    plot.edge(times, found, 0.1, ax)
    assert np.array_equal(drawn(ax, "η*"), [one.eta for one in found])
    assert np.array_equal(drawn(ax, "2/ρ(J)"), [one.naive for one in found])
    assert set(drawn(ax, "η = 0.1")) == {0.1}
    assert ax.get_ylabel() == "step size"


def test_the_law_of_steps_is_drawn_as_seen_as_told_and_to_leading_order(small, ax):
    rule, task, w0 = small
    sol = iterate(rule, Task(task.X, task.Y), w0, eta=0.05, steps=20)
    made = drift(laws.feedback_balance, sol)
    plot.law_of_steps(made, ax)
    H = sol.measure(laws.feedback_balance)
    changed = np.linalg.norm(H - H[0], axis=(1, 2))
    np.testing.assert_allclose(drawn(ax, "seen"), changed, atol=1e-14)
    np.testing.assert_allclose(drawn(ax, "predicted, exact"), changed, atol=1e-14)
    told = np.linalg.norm(made.integral, axis=(1, 2))
    np.testing.assert_allclose(drawn(ax, "leading order"), told, rtol=1e-12)
    decaying = iterate(FA(rule.B, decay=0.1), task, w0, eta=0.05, steps=3)
    other = plot.law_of_steps(drift(laws.feedback_balance, decaying), Figure().add_subplot())
    assert "leading order" not in labels(other)


@pytest.fixture(scope="module")
def turning():
    """Weights that fit their targets, at which every mode of feedback alignment turns."""
    w = init((3, 4, 2), scale=0.7, seed=76)
    return FA.random((3, 4, 2), seed=76), Task(np.eye(3), w[1] @ w[0]), w


def test_step_sizes_are_marked_where_they_are(task, ax):
    rule = FA.random(SIZES, seed=1)
    plot.compared(compare(rule, task, rule.start(SIZES), 0.1, [0.05, 0.025], orders=(1,)), ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.05", "0.025"]
    assert not len(ax.get_xticks(minor=True))


@pytest.mark.parametrize(
    ("momentum", "part", "groups"),
    [
        (0, 0.9, ["stable", "6 modes that decay", "critical"]),
        (0, 1.1, ["stable", "4 modes that decay", "2 modes that grow", "critical"]),
        (0.5, 9, ["stable", "6 modes that grow", "critical"]),
    ],
)
def test_the_spectrum_tells_modes_that_decay_from_those_that_grow(
    turning, momentum, part, groups, ax
):
    found = stability(*turning, momentum=momentum)
    plot.spectrum(found, part * found.eta, ax)
    assert ax.get_legend_handles_labels()[1] == groups
    drawn = np.concatenate([line.get_xdata() for line in ax.get_lines()[1:-3]])
    np.testing.assert_allclose(np.sort(drawn), np.sort(part * found.eta * found.values.real))


def test_the_legend_of_a_spectrum_hides_no_mode(turning):
    ax = plot.spectrum(stability(*turning))
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y1 <= ax.get_window_extent().y0


def test_a_spectrum_of_modes_that_only_grow_has_no_step_size_of_its_own(ax):
    flat = Task([[1.0]], [[0.0]])
    found = stability(GD(decay=-2), flat, (np.ones((1, 1)),))
    with pytest.raises(ValueError, match=r"No mode decays, so that there is no η\* to draw"):
        plot.spectrum(found, ax=ax)
    assert "1 modes that grow" in plot.spectrum(found, 0.1, ax).get_legend_handles_labels()[1]


def test_the_edge_is_drawn_at_every_time_with_the_step_size_dashed(turning, ax):
    rule, given, w = turning
    steps = iterate(rule, given, w, eta=0.1, steps=2)
    times, found = stability_along(steps)
    limit, naive, size = plot.edge(times, found, 0.1, ax).get_lines()
    np.testing.assert_array_equal(limit.get_xdata(), steps.ts)
    np.testing.assert_allclose(limit.get_ydata(), [one.eta for one in found])
    assert (naive.get_ydata() > limit.get_ydata()).all()
    assert limit.get_marker() != "None"
    assert list(size.get_ydata()) == [0.1, 0.1]


def test_what_a_krylov_space_may_have_missed_is_said(ax):
    rule, sizes = FA.random((8, 6, 6, 4), seed=1), (8, 6, 6, 4)
    given = data.teacher_student(8, 4, 10, seed=1).task("tanh")
    found = stability(rule, given, init(sizes, seed=2), through="krylov")
    assert found.note
    assert f"does not decay along at least {len(found.growing)} modes" in str(found)
    plot.edge([0, 1], [found, found], ax=ax)
    assert ax.get_lines()[0].get_label() == "η*, at some times an upper bound"


@pytest.mark.parametrize(("decay", "lines"), [(0, 3), (0.1, 2)])
def test_the_law_of_steps_is_drawn_as_seen_predicted_and_to_leading_order(decay, lines, ax):
    rule = FA.random(SIZES, seed=1, decay=decay)
    given = Task(np.eye(SIZES[0]), np.ones((SIZES[-1], SIZES[0])))
    steps = iterate(rule, given, rule.start(SIZES), eta=0.05, steps=4)
    plot.law_of_steps(drift(laws.feedback_balance, steps), ax)
    seen, predicted, *rest = ax.get_lines()
    assert len(rest) == lines - 2
    np.testing.assert_allclose(seen.get_ydata(), predicted.get_ydata(), atol=1e-12)
    values = steps.measure(laws.feedback_balance)
    assert seen.get_ydata()[-1] == pytest.approx(np.linalg.norm(values[-1] - values[0]))
