"""`check_step` against steps that are written here, in NumPy, and call nothing of faflow."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import faflow as ff
from faflow.cli import main

SIZES = (6, 9, 7, 4)
SLOPES = {"linear": lambda z: np.ones_like(z), "relu": lambda z: (z > 0).astype(z.dtype)}
SLOPES["leaky_relu(0.1)"] = lambda z: np.where(z > 0, 1, 0.1).astype(z.dtype)


class Network:
    """Some code for feedback alignment, right or with a fault, in a precision of its own.

    fault: what is wrong with it; None for nothing.
    """

    def __init__(self, fault=None, *, sizes=SIZES, phi="relu", bias=True, dtype="f8", seed=0):
        self.rng, self.dtype = np.random.default_rng(seed), np.dtype(dtype)
        self.fault, self.slope, self.before = fault, SLOPES[phi], None
        draw = lambda *shape: (self.rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(dtype)
        self.W = [draw(above, below) for below, above in pairwise(sizes)]
        self.b = [draw(1, n)[0] if bias else None for n in sizes[1:]]
        self.B = [draw(*shape) for shape in pairwise(sizes[1:])]
        self.direct = [draw(n, sizes[-1]) for n in sizes[1:-1]]
        self.fresh = lambda B: draw(*B.shape)

    def state(self):
        return [M for pair in zip(self.W, self.b, strict=True) for M in pair if M is not None]

    def step(self, *, eta=0.05, samples=20, loss="squared", factor=1, clip=None):
        """The state before and after; samples, targets and the loss are drawn anew."""
        last, number = len(self.W) - 1, self.dtype.type
        before = [M.copy() for M in self.state()]
        X = self.rng.standard_normal((self.W[0].shape[1], samples)).astype(self.dtype)
        Y = self.rng.standard_normal((len(self.W[-1]), samples)).astype(self.dtype)
        enters, fields = [X], []
        for W, b in zip(self.W, self.b, strict=True):
            fields.append(W @ enters[-1] + (0 if b is None else b[:, None]))
            enters.append(self.slope(fields[-1]) * fields[-1])
        f = fields[-1]
        if loss == "cross entropy":
            shares = np.exp(f - f.max(0))
            error = shares / shares.sum(0) - (Y.max(0) == Y)
        else:
            error = f - Y
        top = error = error * number(factor / samples)
        moves = [None] * len(self.W)
        for k in range(last, -1, -1):
            moves[k] = [error @ enters[k].T, error.sum(1)]
            if k == 0:
                break
            z, B = fields[k - 1], self.B[k - 1]
            slope, told = self.slope(z), error
            if self.fault == "gradient descent":
                B = self.W[k].T
            if self.fault == "scale":
                B = number(1.1) * B
            if self.fault == "another B":
                B = self.fresh(B)
            if self.fault == "direct feedback":
                B, told = self.direct[k - 1], top
            if self.fault == "no slope φ'":
                slope = np.ones_like(z)
            if self.fault == "wrong slope":
                slope = self.slope(z - number(0.1))
            if self.fault == "B transposed":
                B = B.T
            error = slope * (B @ told)
        if self.fault == "no update":
            moves[:-1] = [[0 * M for M in pair] for pair in moves[:-1]]
        if self.fault == "clipped at":
            middle = np.median(np.abs(np.concatenate([M.ravel() for M, _ in moves])))
            moves = [[np.clip(M, -middle, middle) for M in pair] for pair in moves]
        if clip:
            size = np.sqrt(sum((M**2).sum() for pair in moves for M in pair))
            moves = [[M * number(clip) / size for M in pair] for pair in moves]
        state = [[W, b] for W, b in zip(self.W, self.b, strict=True)]
        if self.fault == "weight decay":
            moves = self.added(moves, state, number(0.01))
        if self.fault == "momentum" and self.before is not None:
            moves = self.added(moves, self.before, number(0.9))
        self.before = moves
        self.W = [W - number(eta) * M for W, (M, _) in zip(self.W, moves, strict=True)]
        self.b = [
            None if b is None else b - number(eta) * M
            for b, (_, M) in zip(self.b, moves, strict=True)
        ]
        return before, self.state()

    def added(self, moves, other, share):
        return [
            [M if more is None else M + share * more for M, more in zip(*pair, strict=True)]
            for pair in zip(moves, other, strict=True)
        ]

    def steps(self, number, **options):
        """Lists of the states before and after several steps."""
        return tuple(map(list, zip(*(self.step(**options) for _ in range(number)), strict=True)))


def names(layer):
    return [fault.name for fault in layer.fits]


def checked(fault=None, *, number=1, phi="relu", options=None, **network):
    """The report on one step, or several, of a network."""
    net = Network(fault, phi=phi, **network)
    before, after = net.steps(number, **(options or {})) if number > 1 else net.step()
    return ff.check_step(before, after, net.B, activation=phi)


# What passes


@pytest.mark.parametrize("loss", ["squared", "cross entropy"])
@pytest.mark.parametrize(
    "harmless", [{}, {"factor": 7}, {"clip": 0.3}, {"samples": 1}, {"eta": 10}, {"eta": -0.05}]
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("phi", SLOPES)
def test_a_step_passes_at_any_size_of_batch_loss_and_clipping_by_the_norm(
    phi, bias, harmless, loss
):
    net = Network(phi=phi, bias=bias)
    before, after = net.step(loss=loss, **harmless)
    report = ff.check_step(before, after, net.B, activation=phi)
    assert report.ok, str(report)
    assert report
    assert max(layer.residual for layer in report.layers) < 1e-12  # 3e-14 seen at most
    assert [layer.law for layer in report.layers] == ["matrix" if phi == "linear" else "neuron"] * 2
    assert all(layer.fits == () for layer in report.layers)


@pytest.mark.parametrize("phi", SLOPES)
def test_a_step_in_float32_passes_at_1e_4(phi):
    for seed in range(5):
        report = checked(dtype="f4", phi=phi, seed=seed)
        assert report.ok, str(report)
        assert all(1e-9 < layer.residual < layer.threshold == 1e-4 for layer in report.layers)


def test_a_step_of_faflow_itself_passes_with_biases_as_a_column():
    task = ff.Task(np.random.default_rng(0).standard_normal((6, 20)), np.ones((4, 20)), "relu")
    task = ff.Task(task.X, task.Y, "relu", bias=True)
    rule = ff.FA.random(SIZES, seed=1)
    w0 = tuple(W + 0.1 for W in rule.start(SIZES, bias=True))
    sol = ff.iterate(rule, task, w0, eta=0.01, steps=3)
    states = [sol.at(k) for k in range(4)]
    report = ff.check_step(states[:-1], states[1:], rule.B)
    assert report.ok, str(report)
    assert report.steps == 3


def test_powers_of_relu_pass_by_their_degree():
    task = ff.Task(
        np.random.default_rng(0).standard_normal((4, 9)), np.ones((2, 9)), "relu_power(3)"
    )
    rule = ff.FA.random((4, 5, 2), seed=1)
    w0 = rule.start((4, 5, 2))
    w1 = tuple(W + 0.01 * V for W, V in zip(w0, rule(task, w0), strict=True))
    assert ff.check_step(w0, w1, rule.B, activation="relu_power(3)")
    report = ff.check_step(w0, w1, rule.B)
    assert names(report.layers[0]) == ["scale"]
    assert report.layers[0].fits[0].value == pytest.approx(3)


def test_rates_of_layers_and_decay_are_taken_off():
    task = ff.Task(np.random.default_rng(0).standard_normal((4, 9)), np.ones((2, 9)), "relu")
    rule = ff.FA.random((4, 5, 2), seed=1, rates=(1, 3), decay=(0.1, 0.2))
    w0 = rule.start((4, 5, 2))
    w1 = tuple(W + 0.01 * V for W, V in zip(w0, rule(task, w0), strict=True))
    assert ff.check_step(w0, w1, rule.B, rates=(1, 3), decay=(0.001, 0.002))
    assert not ff.check_step(w0, w1, rule.B, rates=(1, 3))
    assert not ff.check_step(w0, w1, rule.B, decay=(0.001, 0.002))


@pytest.mark.parametrize("inputs", [6, 3000])
@pytest.mark.parametrize("factor", [True, False])
def test_a_decay_may_be_a_factor_that_float32_has_rounded(factor, inputs):
    """w(1 - ηλ) - ηg, as decoupled decay does it, or w - η(g + λw)."""
    number, eta, decay = np.float32, 0.01, 0.05
    for seed in range(3):
        net = Network(sizes=(inputs, 50, 10), bias=False, dtype="f4", seed=seed)
        before, _ = net.step(samples=64, eta=eta)
        gradients = [M for M, _ in net.before]
        kept = lambda W: W * number(1 - eta * decay) if factor else W
        more = lambda W: 0 * W if factor else number(decay) * W
        after = [
            kept(W) - number(eta) * (g + more(W)) for W, g in zip(before, gradients, strict=True)
        ]
        report = ff.check_step(before, after, net.B, rates=eta, decay=eta * decay)
        assert report.verdict in ("ok", "undecided"), str(report)
        assert not ff.check_step(before, after, net.B, rates=eta)


def test_layers_may_be_taken_alone():
    """The last hidden layer under direct feedback is as under feedback alignment."""
    net = Network("direct feedback", bias=False)
    before, after = net.step()
    assert ff.check_step(before[1:], after[1:], [net.direct[1]])
    assert not ff.check_step(before, after, [net.B[0], net.direct[1]])


# What is recognised


FAULTS = ["gradient descent", "scale", "clipped at", "weight decay", "no slope φ'"]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_with_a_law_of_their_own_are_named(fault, bias, dtype):
    report = checked(fault, bias=bias, dtype=dtype)
    assert not report
    for layer in report.layers:
        assert (layer.verdict, names(layer)) == ("fault", [fault]), str(report)
        assert layer.residual > 1e-3
        if fault == "scale":
            assert layer.fits[0].value == pytest.approx(1.1, rel=1e-3)
        if fault == "weight decay":
            assert layer.fits[0].value == pytest.approx(0.01 * 0.05, rel=1e-2)


@pytest.mark.parametrize("fault", ["another B", "direct feedback", "wrong slope"])
def test_what_no_law_shows_on_relu_networks_is_left_open(fault):
    report = checked(fault, bias=False)
    below, last = report.layers
    assert below.verdict == last.verdict == "fault"
    assert below.fits == last.fits == ()
    assert below.cannot_tell == ("momentum", "another B", "direct feedback")
    assert last.cannot_tell == ("momentum", "another B")
    assert "No law shows: a slope wrong at some points" in str(report)


@pytest.mark.parametrize("fault", ["another B", "direct feedback"])
@pytest.mark.parametrize("bias", [True, False])
def test_on_linear_networks_another_feedback_and_the_direct_one_are_the_same(fault, bias):
    """BᵢBᵢ₊₁⁺ between neighbours does what Bᵢ does from the output, and BᵢBᵢ₊₁ the reverse."""
    report = checked(fault, phi="linear", bias=bias)
    below, last = report.layers
    assert names(below) == ["another B", "direct feedback"], str(report)
    assert names(last) == ["another B"], str(report)


def test_direct_feedback_past_a_narrow_linear_layer_is_no_other_b():
    """Two units cannot tell four outputs' errors to the layer below; eight steps show it."""
    sizes = (9, 6, 2, 4)
    report = checked("direct feedback", phi="linear", sizes=sizes, number=8)
    assert names(report.layers[0]) == ["direct feedback"], str(report)
    net = Network(phi="linear", sizes=sizes)
    other = [2 * B + 1 for B in net.B]
    report = ff.check_step(*net.steps(8), other, activation="linear")
    assert names(report.layers[0]) == ["another B", "direct feedback"], str(report)


def test_direct_feedback_is_not_seen_where_a_layer_above_bends_or_starts_with_biases():
    net = Network("direct feedback", sizes=(9, 6, 7, 4), phi="linear")
    net.b[0] = None
    report = ff.check_step(*net.step(), net.B, activation="linear")
    assert names(report.layers[0]) == ["another B"], str(report)
    report = ff.check_step(*net.step(), net.B, activation=["linear", "relu"])
    assert report.layers[0].cannot_tell == ("momentum", "another B", "direct feedback")


def test_feedback_in_the_shape_of_the_direct_one_is_told_apart():
    net = Network("direct feedback")
    with pytest.raises(ValueError, match=r"as direct feedback is; of that the last two layers"):
        ff.check_step(*net.step(), net.direct)


@pytest.mark.parametrize("sizes", [(6, 5, 9), (3, 9, 8)])
def test_on_linear_networks_with_few_units_or_inputs_any_feedback_would_fit(sizes):
    report = checked("another B", phi="linear", sizes=sizes, bias=False)
    assert report.layers[0].cannot_tell == ("momentum", "another B")


def test_gradients_that_do_not_arrive_are_no_update_and_never_ok():
    report = checked("no update")
    below, last = report.layers
    assert [below.verdict, last.verdict] == ["no update", "no update"]
    assert below.fits == ()
    assert str(last.fits[0]) == "no update in W2"
    assert "neither W1 nor W2 moved" in str(report)


def test_a_layer_above_that_stands_still_is_named():
    net = Network()
    before, after = net.step()
    report = ff.check_step(before, [*after[:4], *before[4:]], net.B)
    assert [layer.verdict for layer in report.layers] == ["ok", "fault"]
    assert str(report.layers[1].fits[0]) == "no update in W3"


def test_weights_that_are_only_stored_again_have_not_moved():
    net = Network()
    before, after = net.step()
    again = [M * (1 + 2e-16) for M in before]
    for stored in (again, before):
        assert {a.verdict for a in ff.check_step(before, stored, net.B).layers} == {"no update"}
    report = ff.check_step(before, [*again[:2], *after[2:]], net.B)
    assert str(report.layers[0].fits[0]) == "no update in W1"


def test_momentum_passes_at_first_and_is_named_from_the_second_step_on():
    assert checked("momentum")
    report = checked("momentum", number=3)
    for layer in report.layers:
        assert layer.residuals[0] < 1e-12
        assert names(layer) == ["momentum"]
        assert layer.fits[0].value == pytest.approx(0.9)


def test_a_feedback_drawn_anew_is_told_from_another_one_by_as_many_steps_as_unknowns():
    net = Network()
    before, after = net.steps(12)
    other = [2 * B + 1 for B in net.B]
    report = ff.check_step(before, after, other)
    assert [names(layer) for layer in report.layers] == [["another B"]] * 2
    drawn = checked("another B", number=12)
    assert [names(layer) for layer in drawn.layers] == [[]] * 2
    assert [a.cannot_tell for a in drawn.layers] == [
        ("another B in each step", "direct feedback"),
        ("another B in each step",),
    ]
    linear = checked("another B", number=3, phi="linear")
    assert "another B in each step" in names(linear.layers[1]), str(linear)


def test_where_b_is_the_transpose_gradient_descent_fits_as_well():
    net = Network()
    net.B = [W.T.copy() for W in net.W[1:]]
    report = ff.check_step(*net.step(), net.B)
    assert report.ok
    assert [names(layer) for layer in report.layers] == [["gradient descent"]] * 2
    assert "gradient descent fits as well" in str(report)


def test_one_hidden_unit_is_no_evidence_for_a_scale():
    report = checked("another B", sizes=(5, 1, 3), bias=False)
    assert report.layers[0].verdict == "fault"
    assert report.layers[0].fits == ()
    assert {"scale", "weight decay"} <= set(report.layers[0].cannot_tell)


def moved_by(F, G, seed=0, dtype="f8"):
    """The report on weights that moved so in two layers, as no network would."""
    rng = np.random.default_rng(seed)
    before = [rng.standard_normal(M.shape).astype(dtype) for M in (F, G)]
    after = [W + M.astype(dtype) for W, M in zip(before, (F, G), strict=True)]
    return ff.check_step(before, after, [rng.standard_normal(G.shape)], layout="W").layers[0]


def test_equal_entries_in_one_row_are_of_equal_inputs_and_not_clipped():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (1, 9))
    assert names(moved_by(rng.standard_normal((7, 1)) * images, rng.standard_normal((4, 7)))) == []
    two = rng.uniform(-1, 1, (7, 9))
    two[0, 0] = two[1, 1] = 1.1
    assert names(moved_by(two, rng.standard_normal((4, 7)))) == []
    both = np.clip(rng.standard_normal((7, 9)), -0.5, 0.5)
    layer = moved_by(both, rng.standard_normal((4, 7)))
    assert str(layer.fits[0]) == "clipped at 0.5 in W1"


def test_entries_of_one_size_are_those_of_signs_and_not_clipped():
    rng = np.random.default_rng(0)
    near = [0.01 - 1e-6 * rng.random(shape) for shape in ((30, 20), (10, 30))]
    for moved in (near, [0 * M + 0.01 for M in near]):
        assert names(moved_by(*moved, dtype="f4")) == ["entries of one size"]
    far = [0.01 - 1e-4 * rng.random(shape) for shape in ((30, 20), (10, 30))]
    assert names(moved_by(*far, dtype="f4")) == []


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_first_step_of_adam_is_one_of_signs(dtype):
    net = Network(dtype=dtype, sizes=(20, 30, 10))
    before, after = net.step(loss="cross entropy")
    steps = [(old - new) / 0.05 for old, new in zip(before, after, strict=True)]
    adam = [W - 0.001 * g / (np.abs(g) + 1e-8) for W, g in zip(before, steps, strict=True)]
    report = ff.check_step(before, [M.astype(dtype) for M in adam], net.B)
    assert [names(layer) for layer in report.layers] == [["entries of one size"]], str(report)


def test_an_update_that_is_zero_in_one_of_two_steps_has_no_size():
    rng = np.random.default_rng(0)
    W1, W2, B = (rng.standard_normal(s) for s in ((4, 3), (2, 4), (4, 2)))
    signs = lambda W: W + 0.1 * np.sign(rng.standard_normal(W.shape))
    after = [[signs(W1), signs(W2)], [signs(W1), W2]]
    report = ff.check_step([[W1, W2]] * 2, after, [B], layout="W.T")
    assert report.verdict == "fault"


def test_updates_of_a_few_last_places_are_not_clipped():
    net = Network("another B", sizes=(1, 2, 3, 5), phi="linear", dtype="f4", seed=18)
    report = ff.check_step(*net.step(eta=1e-6, samples=11), net.B, activation="linear")
    assert [names(layer) for layer in report.layers] == [[]] * 2, str(report)


def test_weights_that_grow_by_a_part_of_themselves_do_not_decay():
    net = Network()
    before, after = net.step()
    grown = [new + 1e-3 * old for old, new in zip(before, after, strict=True)]
    assert [names(layer) for layer in ff.check_step(before, grown, net.B).layers] == [[]] * 2


def test_a_small_residual_is_not_explained_by_a_slightly_smaller_one():
    phi = "leaky_relu(0.1)"
    net = Network("wrong slope", sizes=(5, 3, 5, 5), phi=phi, dtype="f4", seed=2563247770)
    report = ff.check_step(*net.step(eta=0.017198958520216308, samples=41), net.B, activation=phi)
    assert 1e-4 < report.layers[0].residual < 1e-3
    assert [(a.verdict, a.fits) for a in report.layers] == [("fault", ())] * 2, str(report)


# What one norm, or the law alone, would hide


def relu_step(n, *, row=None, size=1.0, dtype="f8", seed=0):
    """A step of a 6-n-4 network, `size` times larger in unit 0; feedback to `row` is another."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape)
    W1, W2, B, X, error = draw(n, 6), draw(4, n) / n**0.5, draw(n, 4), draw(6, 20), draw(4, 20)
    W1[0] *= size
    z, used = W1 @ X, B.copy()
    used[slice(0, 0) if row is None else row] = draw(
        *used[slice(0, 0) if row is None else row].shape
    )
    moved = [(z > 0) * (used @ error) @ X.T, error @ np.maximum(z, 0).T]
    before = [M.astype(dtype) for M in (W1, W2)]
    after = [(M - 0.3 * move).astype(dtype) for M, move in zip(before, moved, strict=True)]
    return ff.check_step(before, after, [B])


@pytest.mark.parametrize("n", [30, 300])
def test_a_single_unit_of_many_is_judged_by_itself(n):
    assert relu_step(n, dtype="f4").verdict == "ok"
    assert relu_step(n, dtype="f2").verdict in ("ok", "undecided")
    for dtype in ("f4", "f2"):
        assert relu_step(n, row=5, dtype=dtype).verdict == "fault"


@pytest.mark.parametrize(("dtype", "size"), [("f8", 1e5), ("f4", 300.0)])
def test_one_large_unit_hides_no_others(dtype, size):
    assert relu_step(30, size=size, dtype=dtype).verdict != "fault"
    for seed in range(10):
        report = relu_step(30, row=slice(1, None), size=size, dtype=dtype, seed=seed)
        assert report.verdict == "fault", str(report)


def test_of_a_linear_layer_what_the_law_does_not_see_is_seen():
    """Noise at right angles to the rows of W1, and then to the columns of W1 in ΔW2."""
    for sizes, k in (((30, 8, 3), 0), ((3, 8, 5), 1)):
        net = Network(sizes=sizes, phi="linear", bias=False)
        before, after = net.step()
        assert ff.check_step(before, after, net.B, activation="linear")
        noise = net.rng.standard_normal(before[k].shape)
        W = before[0]
        if k == 0:
            after[0] = after[0] + noise - noise @ np.linalg.pinv(W) @ W
        else:
            after[1] = after[1] + noise @ (np.eye(8) - W @ np.linalg.pinv(W))
        report = ff.check_step(before, after, net.B, activation="linear")
        assert report.verdict == "fault", str(report)


def test_a_feedback_is_not_named_where_one_always_fits():
    """To one sample, to a step that is given twice, and along a smooth path."""
    gate = {"phi": "linear", "sizes": (8, 7, 5)}
    for seed in range(20):
        net = Network("another B", seed=seed, **gate)
        report = ff.check_step(*net.step(samples=3), net.B, activation="linear")
        assert "another B" in report.layers[0].cannot_tell, str(report)
        net = Network("wrong slope", seed=seed, sizes=(6, 9, 4))
        before, after = net.step()
        twice = ff.check_step([before, before], [after, after], net.B)
        assert names(twice.layers[0]) == [], str(twice)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_of_one_sample_any_feedback_fits_also_beside_the_rounding_of_weights(dtype):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        W1, W2, B, x = (
            rng.standard_normal(s).astype(dtype) for s in ((9, 10), (4, 9), (9, 4), (10, 1))
        )
        error = W2 @ (W1 @ x) - 1
        told = (B @ error) * (rng.random((9, 1)) < 0.5).astype(dtype)
        eta = np.dtype(dtype).type(0.01)
        after = [W1 - eta * told @ x.T, W2 - eta * error @ (W1 @ x).T]
        report = ff.check_step([W1, W2], after, [B], activation="linear")
        assert "another B" in report.layers[0].cannot_tell, str(report)


def wrong_gate_path(eta, steps, seed):
    """Steps on the same samples, whose way back has a gate |z| < 1 besides."""
    rng = np.random.default_rng(seed)
    W1, W2, B = rng.standard_normal((9, 6)), rng.standard_normal((3, 9)) / 3, None
    B, X, Y = (
        rng.standard_normal((9, 3)),
        rng.standard_normal((6, 20)),
        rng.standard_normal((3, 20)),
    )
    before, after = [], []
    for _ in range(steps):
        z = W1 @ X
        error = W2 @ np.maximum(z, 0) - Y
        before.append([W1, W2])
        W2 = W2 - eta * error @ np.maximum(z, 0).T
        W1 = W1 - eta * ((z > 0) & (np.abs(z) < 1)) * (B @ error) @ X.T
        after.append([W1, W2])
    return ff.check_step(before, after, [B])


@pytest.mark.parametrize(("eta", "steps"), [(1e-3, 4), (1e-4, 4), (1e-4, 6)])
def test_no_feedback_is_named_for_a_smooth_path(eta, steps):
    for seed in range(20):
        report = wrong_gate_path(eta, steps, seed)
        assert report.verdict == "fault"
        assert names(report.layers[0]) == [], str(report)


def test_a_step_with_all_units_open_is_not_said_to_lack_a_slope():
    net = Network("wrong slope", sizes=(6, 9, 4))
    net.b[0] = net.b[0] + 20
    before, after = net.step()
    after[0] = after[0] - after[0] @ np.ones((6, 6)) / 100
    net.b[0][:] = 0
    report = ff.check_step(before, after, net.B)
    if "no slope φ'" in names(report.layers[0]):
        assert "or all are, and something else is wrong" in str(report)


# What did not move


def test_a_bias_that_moves_alone_is_an_update():
    """The input of the second layer is dead, so that its weights stand still, and rightly."""
    net = Network(sizes=(3, 5, 6, 4))
    net.b[0] = -50 + 0 * net.b[0]
    report = ff.check_step(*net.step(), net.B)
    assert [a.verdict for a in report.layers] == ["undecided", "ok"], str(report)


def test_steps_of_a_few_last_places_are_undecided():
    net = Network(sizes=(20, 30, 10), dtype="f2")
    before, after = net.step(eta=0.003)
    assert (before[0] != after[0]).any()
    report = ff.check_step(before, after, net.B)
    assert report.verdict == "undecided", str(report)


# The layout of B


def test_the_layout_of_b_is_told_by_its_shape():
    net = Network()
    before, after = net.step()
    assert ff.check_step(before, after, net.B).layout == "W.T"
    report = ff.check_step(before, after, [B.T for B in net.B])
    assert report.ok
    assert report.layout == "W"


@pytest.mark.parametrize(("turn", "layout"), [(False, "W.T"), (True, "W")])
def test_of_square_feedback_the_layout_is_the_one_that_fits(turn, layout):
    net = Network(sizes=(5, 5, 5, 5))
    before, after = net.step()
    B = [B.T if turn else B for B in net.B]
    report = ff.check_step(before, after, B)
    assert report.ok
    assert report.layout == layout
    assert ff.check_step(before, after, B, layout=layout)
    wrong = ff.check_step(before, after, B, layout="W" if layout == "W.T" else "W.T")
    assert [names(a) for a in wrong.layers] == [["B transposed"]] * 2


def test_of_symmetric_or_wrong_square_feedback_the_layout_cannot_be_told():
    net = Network(sizes=(5, 5, 5))
    net.B = [B + B.T for B in net.B]
    before, after = net.step()
    report = ff.check_step(before, after, net.B)
    assert report.ok
    assert report.layout == "either"
    other = ff.check_step(before, after, [net.fresh(net.B[0])])
    assert (other.ok, other.layout) == (False, "either")
    assert "cannot be told" in str(other)


def test_a_layout_that_is_undecided_is_taken_before_one_that_is_faulty():
    net = Network(sizes=(7, 3, 3), phi="linear", bias=False, dtype="f4")
    before, after = net.step(eta=1e-4)
    for turned in (net.B, [B.T for B in net.B]):
        report = ff.check_step(before, after, turned, activation="linear")
        assert report.layers[0].verdict == "undecided", str(report)


# Precision


def test_small_steps_in_float32_are_undecided_and_large_faults_still_seen():
    net = Network(dtype="f4")
    before, after = net.step(eta=1e-4)
    report = ff.check_step(before, after, net.B)
    assert {layer.verdict for layer in report.layers} == {"undecided"}
    assert not report
    assert "rounding hides it" in str(report)
    assert "not decided" in str(report)
    wrong = ff.check_step(before, after, [2 * B for B in net.B])
    assert {layer.verdict for layer in wrong.layers} == {"fault"}


def test_float32_numbers_are_known_in_float64():
    net = Network(dtype="f4")
    before, after = ([M.astype(float) for M in state] for state in net.step())
    report = ff.check_step(before, after, net.B)
    assert report.ok
    assert {layer.threshold for layer in report.layers} == {1e-4}
    assert not ff.check_step(before, after, net.B, threshold=1e-9)


def small_integers(rng, *shape):
    return rng.integers(-3, 4, shape).astype(float)


def test_integers_are_short_but_not_rounded():
    """Exact arithmetic in small integers, with one row of B replaced, is wrong by much."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        W1, W2, B, X = (small_integers(rng, *s) for s in ((30, 6), (4, 30), (30, 4), (6, 3)))
        z, error = W1 @ X, small_integers(rng, 4, 3)
        up = W2 - error @ np.maximum(z, 0).T
        right = [W1 - ((z > 0) * (B @ error)) @ X.T, up]
        assert ff.check_step([W1, W2], right, [B]), str(ff.check_step([W1, W2], right, [B]))
        j = rng.choice(np.flatnonzero((z > 0).any(axis=1)))
        B[j] += 1 + np.abs(B[j])
        wrong = [W1 - ((z > 0) * (B @ error)) @ X.T, up]
        B[j] = -B[j]
        report = ff.check_step([W1, W2], wrong, [B])
        assert report.layers[0].bits == 53
        if (wrong[0][j] != right[0][j]).any() and report.layers[0].residual > 0:
            assert report.verdict == "fault", str(report)


@pytest.mark.parametrize(("digits", "bits"), [("f4", 24), ("f2", 11), ("f8", 53)])
def test_the_bits_of_numbers_are_seen_however_they_are_stored(digits, bits):
    rng = np.random.default_rng(0)
    numbers = lambda *shape: rng.standard_normal(shape).astype(digits).astype(float)
    before, after = ([numbers(4, 3), numbers(2, 4)] for _ in range(2))
    (layer,) = ff.check_step(before, after, [numbers(4, 2)]).layers
    assert layer.bits == bits
    whole = [np.round(100 * M) for M in before], [np.round(100 * M) for M in after]
    assert ff.check_step(*whole, [numbers(4, 2)]).layers[0].bits == 53


def test_few_short_numbers_are_not_taken_for_half_precision():
    """A step of a 1-2-1 network by hand: x = 1, error 1, η = 1/2, B = (1, 2)ᵀ."""
    before = [np.array([[1.0], [3.0]]), np.array([[1.0, 1.0]])]
    after = [np.array([[0.5], [2.0]]), np.array([[0.5, -0.5]])]
    (layer,) = ff.check_step(before, after, [np.array([[1.0], [2.0]])]).layers
    assert (layer.verdict, layer.residual, layer.threshold) == ("ok", 0, 1e-9)


def test_half_precision_is_decided_only_for_steps_beyond_its_rounding():
    net = Network(dtype="f2")
    small = ff.check_step(*net.step(), net.B)
    assert {a.verdict for a in small.layers} == {"undecided"}
    assert {a.threshold for a in small.layers} == {1e-2}


def test_float16_has_no_finer_numbers_below_its_smallest_normal_ones():
    for seed in range(20):
        net = Network(dtype="f2", bias=False, seed=seed)
        net.W = [W * np.float16(1e-3) for W in net.W]
        report = ff.check_step(*net.step(), net.B)
        assert "fault" not in {a.verdict for a in report.layers}, str(report)


def test_a_law_of_zeros_says_nothing():
    net = Network(bias=False)
    before, _ = net.step()
    zero = [np.zeros_like(before[0]), *before[1:]]
    moved = [before[0], *before[1:-1], before[-1] + 1]
    report = ff.check_step(zero, moved, [0 * B for B in net.B])
    assert report.layers[0].verdict == "undecided"
    assert "both sides of the law are zero" in str(report)


NETWORKS = st.fixed_dictionaries(
    {
        "sizes": st.lists(st.integers(1, 8), min_size=3, max_size=5),
        "phi": st.sampled_from(list(SLOPES)),
        "bias": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def powers_of_ten(low, high):
    return st.floats(low, high).map(lambda power: 10**power)


@settings(max_examples=150, deadline=None)
@given(
    network=NETWORKS,
    precision=st.sampled_from([("f8", 1e-6), ("f4", 1e-3)]),
    eta=powers_of_ten(0, 4),
    samples=st.integers(1, 30),
    loss=st.sampled_from(["squared", "cross entropy"]),
)
def test_right_steps_are_never_called_faulty(network, precision, eta, samples, loss):
    dtype, smallest = precision
    net = Network(**network, dtype=dtype)
    before, after = net.step(eta=smallest * eta, samples=samples, loss=loss)
    report = ff.check_step(before, after, net.B, activation=network["phi"])
    for layer in report.layers:
        assert layer.verdict != "fault", str(report)


@settings(max_examples=150, deadline=None)
@given(
    network=NETWORKS,
    eta=powers_of_ten(-6, 1),
    samples=st.integers(2, 30),
    fault=st.sampled_from([*FAULTS, "another B", "direct feedback", "wrong slope", "no update"]),
)
def test_wrong_steps_are_never_called_right(network, eta, samples, fault):
    net, right = Network(fault, **network), Network(**network)
    before, after = net.step(eta=eta, samples=samples)
    _, good = right.step(eta=eta, samples=samples)
    far = lambda one, other: [
        np.linalg.norm(M - N) for M, N in zip(one, other, strict=True) if M.ndim == 2
    ]
    both = zip(far(good, after), far(good, before), strict=True)
    assume(any(off > 0.05 * moved for off, moved in both))  # no fault if all gates are open
    report = ff.check_step(before, after, net.B, activation=network["phi"])
    assert not report, str(report)


# What comes in


class Tensor:
    """What PyTorch's tensors do, as far as it goes."""

    def __init__(self, array, dtype="torch.float64"):
        self.array, self.dtype = array, dtype

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.array.astype("f4"))

    def numpy(self):
        if "bfloat16" in str(self.dtype):
            raise TypeError("no such numbers in NumPy")
        return self.array


def test_tensors_and_names_of_a_state_dict_are_read():
    net = Network()
    states = []
    for state in net.step():
        named = {f"{k // 2}.{'bias' if k % 2 else 'weight'}": M for k, M in enumerate(state)}
        feedback = {f"{k + 1}.weight_backward": B.T for k, B in enumerate(net.B)}
        feedback |= {"0.weight_backward": np.zeros((9, 6)), "bias_backward": np.zeros(3)}
        order = sorted(named | feedback, key=lambda name: (name[0], "bias" in name))
        states.append({name: Tensor((named | feedback)[name]) for name in order})
    report = ff.check_step(*states, states[0])
    assert report.ok, str(report)
    assert report.layers[0].name == "0.weight"
    assert report.layout == "W"


def test_states_are_matched_by_name_and_not_by_order():
    net = Network(sizes=(8, 8, 8, 8), bias=False)
    before, after = (dict(zip("abc", state, strict=True)) for state in net.step())
    assert ff.check_step(before, {name: after[name] for name in "acb"}, net.B)
    turned = lambda state: {name: state[name] for name in "cab"}
    net = Network(sizes=(8, 8, 8, 8), bias=False)
    states = [[dict(zip("abc", s, strict=True)) for s in one] for one in net.steps(2)]
    assert ff.check_step(*([one[0], turned(one[1])] for one in states), net.B)
    with pytest.raises(ValueError, match="must have the same names, but differ in 'd'"):
        ff.check_step(before, after | {"d": after["a"]}, net.B)


def test_names_that_end_in_bias_alone_leave_out_no_weights():
    net = Network(sizes=(6, 9, 4))
    named = [dict(zip(("W1", "bias", "W2", "b2"), state, strict=True)) for state in net.step()]
    assert ff.check_step(*named, net.B)


def test_gradients_of_fewer_digits_than_their_weights_are_hinted_at():
    net = Network(dtype="f4")
    start = [M.astype(float) for M in net.state()]
    net.step()
    gradients = [M for pair in net.before for M in pair]
    fine = [W - 0.05 * M for W, M in zip(start, gradients, strict=True)]
    report = ff.check_step(start, fine, net.B)
    assert "as little as by arithmetic in 32 bits: if so, give threshold=1e-4" in str(report)
    assert ff.check_step(start, fine, net.B, threshold=1e-4)


def test_bfloat16_is_known_by_its_name():
    net = Network()
    before, after = ([Tensor(M, "torch.bfloat16") for M in state] for state in net.step())
    assert {a.threshold for a in ff.check_step(before, after, net.B).layers} == {5e-2}


@pytest.mark.jax
def test_jax_arrays_are_read():
    jnp = pytest.importorskip("jax.numpy")
    net = Network(dtype="f4")
    before, after = ([jnp.asarray(M) for M in state] for state in net.step())
    assert ff.check_step(before, after, [jnp.asarray(B) for B in net.B])


def convolved(X, W, b):
    """Stride 1, no padding; X (samples, in, height, width)."""
    windows = np.lib.stride_tricks.sliding_window_view(X, W.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, W) + b[:, None, None], windows


@pytest.mark.parametrize("phi", ["relu", "linear"])
@pytest.mark.parametrize("fault", [None, "scale", "gradient descent"])
def test_convolutions_and_flattened_channels_have_the_law_too(fault, phi):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    W1, W2, W3 = draw(4, 2, 3, 3), draw(5, 4, 2, 3), draw(3, 5 * 5 * 4)
    b1, b2, b3 = (0.3 * rng.standard_normal(n) for n in (4, 5, 3))
    B2, B3 = draw(*W2.shape), draw(*W3.shape)
    X, slope = rng.standard_normal((6, 2, 8, 8)), SLOPES[phi]
    z1, seen1 = convolved(X, W1, b1)
    z2, seen2 = convolved(slope(z1) * z1, W2, b2)
    flat = (slope(z2) * z2).reshape(6, -1)
    error = flat @ W3.T + b3 - rng.standard_normal((6, 3))
    back2, back3 = (W2, W3) if fault == "gradient descent" else (B2, B3)
    back2 = 1.1 * back2 if fault == "scale" else back2
    d2 = slope(z2) * (error @ back3).reshape(z2.shape)
    padded = np.pad(d2, [(0, 0), (0, 0), (1, 1), (2, 2)])
    turned = back2[:, :, ::-1, ::-1].swapaxes(0, 1)
    d1 = slope(z1) * convolved(padded, turned, np.zeros(4))[0]
    moves = [np.einsum("nohw,nchwij->ocij", d, s) for d, s in ((d1, seen1), (d2, seen2))]
    moves = [moves[0], d1.sum((0, 2, 3)), moves[1], d2.sum((0, 2, 3)), error.T @ flat, error.sum(0)]
    before = [W1, b1, W2, b2, W3, b3]
    after = [M - 0.01 * move for M, move in zip(before, moves, strict=True)]
    report = ff.check_step(before, after, [B2, B3], activation=phi)
    turned = ff.check_step(before, after, [B2.swapaxes(0, 1), B3.T], activation=phi)
    assert turned.layers == report.layers
    assert (report.layout, turned.layout) == ("W", "W.T")
    assert [a.verdict for a in report.layers] == (
        ["ok", "ok"] if fault is None else ["fault", "ok" if fault == "scale" else "fault"]
    ), str(report)
    if fault:
        assert names(report.layers[0]) == [fault]


def pieces(**changed):
    net = Network(bias=False)
    before, after = net.step()
    return {"before": before, "after": after, "B": net.B} | changed


def with_entry(arrays, k, value):
    arrays = [M.copy() for M in arrays]
    arrays[k][0, 1] = value
    return arrays


GOOD = pieces()
W, B = GOOD["before"], GOOD["B"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"before": W[:1], "after": W[:1]}, "before has 1 layers of weights, but a law takes two"),
        ({"after": [W[0][:, :5], *W[1:]]}, r"after\[0\] is \(9, 5\), but before\[0\] is \(9, 6\)"),
        (
            {"before": [M.T for M in W], "after": [M.T for M in W]},
            r"before\[2\] must have 9 columns for the rows of before\[1\] \(9, 7\), but is"
            r" \(7, 4\); weights \(in, out\), of Keras or Flax, must be transposed",
        ),
        ({"after": W[:2]}, "after has 2 layers, but before 3"),
        (
            {"after": with_entry(W, 1, np.nan)},
            r"after\[1\] must be finite, but entry \(0, 1\) is nan",
        ),
        ({"B": with_entry(B, 0, np.inf)}, r"B\[0\] must be finite, but entry \(0, 1\) is inf"),
        ({"B": B[:1]}, "B must have 2 matrices, one for each layer above the first, but has 1"),
        ({"B": [B[1], B[0]]}, r"B\[0\] must have the shape of before\[1\], \(7, 9\), or of its tr"),
        ({"B": [B[0], B[1].T]}, r"B\[1\] has the shape of W, but those before it the shape of W.T"),
        ({"layout": "W"}, "B has the shape of W.T, not the shape of W"),
        ({"layout": "w"}, "Unknown layout 'w'; choose from W.T, W"),
        ({"before": W[0]}, "before must be a list of arrays"),
        (
            {"before": [W[0] + 1j, *W[1:]]},
            r"before\[0\] must be an array of real numbers, but is c",
        ),
        ({"before": [*W, np.ones(3)]}, r"\(3,\) cannot be the biases of before\[2\], \(4, 7\)"),
        ({"before": [np.ones(3), *W]}, r"before\[0\] of shape \(3,\) is neither weights nor"),
        ({"before": [*W, np.ones(4), np.ones(4)]}, "normalisation has no law"),
        (
            {"before": [W[0], np.ones((7, 10)), np.ones(7)]},
            r"before\[1\] has biases, and a column for them: \(7, 10\)",
        ),
        ({"before": [W], "after": [W, W]}, "must both be lists of as many states"),
        ({"activation": "tanh"}, "as for relu, leaky_relu and linear; tanh is not so"),
        ({"activation": ["relu"]}, "activation has 1 entries, but there are 2 hidden layers"),
        ({"rates": (1, 2)}, "rates has 2 entries, but there are 3 layers"),
        ({"rates": 0}, "rates must not be 0"),
        ({"decay": "much"}, "decay must be finite numbers, but has 'much'"),
        ({"threshold": 2}, "threshold must be between 0 and 1, but is 2"),
        ({"before": [np.zeros((0, 3)), *W]}, r"before\[0\] has no entries: its shape is \(0, 3\)"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(changed, says):
    with pytest.raises(ValueError, match=says) as error:
        ff.check_step(**(GOOD | changed))
    assert "\n" not in str(error.value)


# The command


@pytest.fixture
def files(tmp_path):
    """Writes weights before and after a step, and feedback; gives the names of the files."""

    def write(fault=None, phi="relu", **arrays):
        net = Network(fault, phi=phi)
        before, after = net.step()
        paths = []
        for name, state in {"before": before, "after": after, "B": net.B}.items():
            paths.append(str(tmp_path / f"{name}.npz"))
            np.savez(paths[-1], *arrays.get(name, state))
        return paths

    return write


@pytest.mark.parametrize(("fault", "status"), [(None, 0), ("gradient descent", 1)])
def test_the_command_prints_the_table_and_its_status_is_the_answer(files, capsys, fault, status):
    assert main(["lint", *files(fault)]) == status
    out, err = capsys.readouterr()
    assert err == ""
    answer = "NO" if fault else "yes"
    assert out.startswith(
        f"one step of feedback alignment with this B (the shape of W.T): {answer}"
    )
    assert re.search(r"arr_0 +9 units +[\d.e-]+ +[\d.e-]+ +" + ("fault" if fault else "ok"), out)
    assert ("gradient descent" in out) == bool(fault)


def test_the_command_takes_what_the_function_takes(files):
    paths = files(phi="linear")
    assert main(["lint", *paths, "--activation", "linear"]) == 0
    assert main(["lint", *paths, "--activation", "linear,relu", "--layout", "W.T"]) == 0
    assert main(["lint", *paths, "--rates", "1,2,1"]) == 1
    assert main(["lint", *paths, "--decay", "0.1"]) == 1
    assert main(["lint", *paths, "--threshold", "1e-20"]) == 1


def test_the_command_finds_the_feedback_in_a_saved_state_dict(tmp_path):
    net, paths = Network(bias=False), []
    for name, state in zip(("before", "after"), net.step(), strict=True):
        layers = {f"{k}.weight": W for k, W in enumerate(state)}
        layers |= {f"{k + 1}.weight_backward": B.T for k, B in enumerate(net.B)}
        paths.append(str(tmp_path / f"{name}.npz"))
        np.savez(paths[-1], **layers)
    assert main(["lint", *paths, paths[0]]) == 0


@pytest.mark.parametrize("wrong", ["tanh", "no file", "shape"])
def test_bad_input_of_the_command_is_one_line_and_status_2(files, capsys, tmp_path, wrong):
    paths = files(B=[np.ones((2, 2))]) if wrong == "shape" else files()
    if wrong == "no file":
        paths[0] = str(tmp_path / "none.npz")
    options = ["--activation", "tanh"] if wrong == "tanh" else []
    assert main(["lint", *paths, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"faflow: [^\n]+\n", err), err
