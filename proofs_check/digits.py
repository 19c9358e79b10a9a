"""Feedback alignment on real data: the digits that ship with scikit-learn.

What the papers say of small or random problems, seen on 1,797 handwritten digits of 8 by 8 pixels:
the laws, learning, and the angle between feedback and weights (Lillicrap et al. 2016).
"""

from functools import cache

import numpy as np

import faflow as ff
from faflow import data, laws
from faflow.plot import panels
from faflow.testing import GradientInstead

SIZES = (64, 32, 10)
STEPS, BATCH = 3000, 20
MEAN_TIME = "time (1/learning rate of the mean loss)"


def targets(digits, shuffled, seed):
    """One-hot labels, or the same in a random order."""
    order = np.random.default_rng(seed).permutation(digits.Y.shape[1])
    return digits.Y[:, order] if shuffled else digits.Y


@cache
def trained(kind=ff.FA, phi="relu", shuffled=False, seed=0):
    """A 64-32-10 network with biases after 3,000 minibatch steps of the mean squared loss."""
    digits = data.digits(seed=seed)
    task = ff.Task(digits.X, targets(digits, shuffled, seed), phi, bias=True)
    rule = kind(ff.FA.random(SIZES, scale=0.2, seed=seed).B)
    w0 = ff.init(SIZES, seed=seed, bias=True)
    sol = ff.iterate(rule, task, w0, eta=0.02 / BATCH, steps=STEPS, batches=BATCH, seed=seed)
    return digits, sol


def angle(sol, k):
    """Degrees between B and Wᵀ at saved time k."""
    return np.degrees(np.arccos(laws.alignment(ff.FA(sol.rule.B), sol.at(k))))


def tested(digits, sol, phi, every):
    """Accuracy and loss on the held-out digits, the loss relative to the mean target's."""
    test = digits.test_task(phi, bias=True)
    constant = np.sum((digits.Y_test - digits.Y.mean(1, keepdims=True)) ** 2) / 2
    times = range(0, len(sol), every)
    return (
        sol.ts[::every],
        np.array([sol.accuracy(k, test) for k in times]),
        np.array([sol.loss(k, test) / constant for k in times]),
    )


def learning_figure(check, unit, claimed, broken):
    """Accuracy and loss on held-out digits of (label, times, accuracies, losses)."""
    fig, (left, right) = panels(2, size=(4.8, 3.6))
    for k, (label, ts, accuracies, losses) in enumerate(claimed):
        left.plot(ts, accuracies, f"C{k}", label=label)
        right.semilogy(ts, losses, f"C{k}", label=label)
    label, ts, accuracies, losses = broken
    left.plot(ts, accuracies, "C3", label=f"control: {label}")
    right.semilogy(ts, losses, "C3", label=f"control: {label}")
    left.axhline(0.1, color="k", lw=1, ls="--", label="chance")
    right.axhline(1, color="k", lw=1, ls="--", label="always the mean target")
    left.set(xlabel=unit, ylabel="accuracy on held-out digits", ylim=(0, 1))
    right.set(xlabel=unit, ylabel="loss on held-out digits, relative")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    check.figure(fig, "Accuracy and loss on the held-out digits.")


# Discrete steps


def sgd_moves(kind=ff.FA, phi="relu"):
    """The neurons' laws along the steps, and half the sums of their squared steps."""
    _, sol = trained(kind, phi)
    q = sol.measure(laws.neuron_feedback_balance)
    return q, np.cumsum(np.sum(np.diff(sol.w[0], axis=0) ** 2, axis=2), axis=0) / 2


def sgd_law(check, kind=ff.FA, phi="relu"):
    q, predicted = sgd_moves(kind, phi)
    gap = np.max(np.abs(q[1:] - q[0] - predicted)) / np.max(np.abs(q))
    check.at_most(
        "|drift - ½ Σ |step|²| / largest law",
        gap,
        1e-13,
        fall=1e-3,
        on=f"digits, 64-32-10, {STEPS} steps of {BATCH} samples, seed 0",
    )
    return q, predicted


def claim_sgd_law(check):
    r"""Minibatch FA on digits moves each ReLU neuron's law by half its squared steps, exactly.

    $$ q_j(T) - q_j(0) = \tfrac12 \sum_t \|\Delta W_1[j], \Delta b_j\|^2 $$

    A 64-32-10 network with biases, squared loss, 3,000 steps of 20 digits.

    Assumes: piecewise linear activation; plain steps, all layers together.
    Source: derived in this project.
    Class: derived
    """
    q, predicted = sgd_law(check)
    fig, ax = panels()
    ax.plot((q - q[0])[:, :6], "C0", lw=2)
    ax.plot(np.arange(1, len(q)), predicted[:, :6], "k--", lw=1)
    q, _ = sgd_moves(phi="tanh")
    ax.plot((q - q[0])[:, :6], "C3", lw=1)
    ax.plot([], [], "C0", label="six ReLU neurons' laws")
    ax.plot([], [], "k--", label="½ Σ |step|²")
    ax.plot([], [], "C3", label="control: six tanh neurons' laws")
    ax.set(xlabel="minibatch steps", ylabel="law − its start")
    ax.legend(fontsize=8)
    check.figure(fig, "The laws of six neurons, against half the sum of their squared steps.")


def control_sgd_law_tanh(check):
    """tanh is not homogeneous."""
    sgd_law(check, phi="tanh")


def control_sgd_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    sgd_law(check, GradientInstead)


def sgd_angles(kind, seed):
    _, sol = trained(kind, seed=seed)
    return np.array([angle(sol, k) for k in range(0, len(sol), 10)])


def sgd_alignment(check, kind=ff.FA):
    curves = [sgd_angles(kind, seed) for seed in range(3)]
    ends, turns = [c[-1] for c in curves], [c[0] - c[-1] for c in curves]
    on = "digits, seeds 0-2"
    check.at_most("angle at the end, largest of 3", np.max(ends), 65, fall=80, on=on)
    check.at_least("fall of the angle, least of 3", np.min(turns), 25, fall=5, on=on)
    return curves


def claim_sgd_alignment(check):
    r"""Under FA the angle between $B$ and $W_2^\top$ falls by at least 25, to at most 65 degrees.

    A 64-32-10 ReLU network with biases on digits, 3,000 minibatch steps.

    Assumes: nothing; an observation.
    Source: that forward weights align with the feedback is in Lillicrap et al. (2016).
    Class: derived
    """
    curves = sgd_alignment(check)
    fig, ax = panels()
    for seed, curve in enumerate(curves):
        steps = 10 * np.arange(len(curve))
        ax.plot(steps, curve, "C0", lw=1, label=None if seed else "FA, three seeds")
    ax.plot(steps, sgd_angles(GradientInstead, 0), "C3", label="control: gradient descent")
    ax.axhline(65, color="k", lw=1, ls="--", label="needed at the end")
    ax.axhline(90, color="0.5", lw=1, ls=":", label="orthogonal")
    ax.set(xlabel="minibatch steps", ylabel="angle of B and Wᵀ (degrees)", ylim=(40, 110))
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "The angle of the forward weights to the fixed feedback.")


def control_sgd_alignment_gradient_descent(check):
    """Under gradient descent nothing draws the weights towards a B that is never used."""
    sgd_alignment(check, GradientInstead)


def sgd_learning(check, shuffled=False):
    curves = []
    for seed in range(3):
        digits, sol = trained(shuffled=shuffled, seed=seed)
        curves.append((f"seed {seed}", *tested(digits, sol, "relu", 60)))
    on = "digits, a quarter held out, seeds 0-2"
    least = np.min([accuracies[-1] for _, _, accuracies, _ in curves])
    check.at_least("accuracy on the test, least of 3", least, 0.9, fall=0.3, on=on)
    most = np.max([losses[-1] for *_, losses in curves])
    name = "test loss / that of the mean target, largest of 3"
    check.at_most(name, most, 0.5, fall=0.9, on=on)
    return curves


def claim_sgd_learning(check):
    r"""FA learns: a ReLU network gets 90 % of the held-out digits right in 3,000 steps.

    The test loss ends below half the loss of always answering the mean target.

    Assumes: nothing; an observation.
    Source: an observation of this project, on digits; first seen by Lillicrap et al. (2016).
    Class: derived
    """
    curves = sgd_learning(check)
    digits, sol = trained(shuffled=True)
    unit = "step size × minibatch steps (1/learning rate)"
    learning_figure(check, unit, curves, ("shuffled labels", *tested(digits, sol, "relu", 60)))


def control_sgd_learning_shuffled_labels(check):
    """Labels shuffled among the training digits."""
    sgd_learning(check, shuffled=True)


# Flows


@cache
def flow(kind=ff.FA, phi="linear", shuffled=False, seed=0):
    """The flow of the mean squared loss on 200 digits."""
    digits = data.digits(samples=200, seed=seed)
    task = ff.Task(digits.X, targets(digits, shuffled, seed), phi, bias=True)
    rule = kind(ff.FA.random(SIZES, scale=0.5, seed=seed).B, rates=1 / 200)
    w0 = ff.init(SIZES, seed=seed, bias=True)
    return digits, ff.integrate(rule, task, w0, np.linspace(0, 20, 41), rtol=1e-9, atol=1e-11)


def flow_drift(kind=ff.FA, phi="linear"):
    _, sol = flow(kind, phi)
    q = sol.measure(laws.feedback_balance)
    return sol.ts, np.max(np.abs(q - q[0]), axis=(1, 2)) / np.max(np.abs(q))


def flow_law(check, kind=ff.FA, phi="linear"):
    drift = flow_drift(kind, phi)[1]
    check.at_most(
        "relative drift of the matrix law", drift, 1e-7, fall=1e-2, on="200 digits, t ≤ 20, seed 0"
    )


def claim_flow_law(check):
    r"""The FA flow of a linear network on digits keeps the matrix law entry by entry.

    $$ W_1W_1^\top + bb^\top - B_2W_2 - (B_2W_2)^\top $$

    64-32-10 with biases, 200 digits, mean squared loss, $t \le 20$.

    Assumes: linear layers.
    Source: derived in this project.
    Class: derived
    """
    flow_law(check)
    fig, ax = panels()
    for phi, kind, color, label in (
        ("linear", ff.FA, "C0", "linear, FA"),
        ("tanh", ff.FA, "C3", "control: tanh, FA"),
    ):
        ts, drift = flow_drift(kind, phi)
        ax.semilogy(ts, drift + 1e-17, color, label=label)
    ax.axhline(1e-7, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=MEAN_TIME, ylabel="relative drift of the law", ylim=(1e-17, 1e4))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, "All 32 × 32 entries of the matrix law, along the flow on digits.")


def control_flow_law_tanh(check):
    """tanh is not homogeneous."""
    flow_law(check, phi="tanh")


def control_flow_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    flow_law(check, GradientInstead)


def flow_angles(kind, phi):
    _, sol = flow(kind, phi)
    return sol.ts, np.array([angle(sol, k) for k in range(len(sol))])


def flow_alignment(check, kind=ff.FA):
    curves = [(phi, *flow_angles(kind, phi)) for phi in ("linear", "tanh")]
    ends = [degrees[-1] for *_, degrees in curves]
    turns = [degrees[0] - degrees[-1] for *_, degrees in curves]
    check.at_most(
        "angle at the end, larger of 2",
        np.max(ends),
        75,
        fall=80,
        on="linear, tanh; t ≤ 20, seed 0",
    )
    check.at_least("fall of the angle, lesser of 2", np.min(turns), 15, fall=5, on="the same")
    return curves


def claim_flow_alignment(check):
    r"""Along the FA flow on digits, linear or tanh, the angle of $B$ and $W_2^\top$ falls.

    By 15 degrees or more, to 75 or less.  200 digits, mean squared loss, $t \le 20$.

    Assumes: nothing; an observation.
    Source: that forward weights align with the feedback is in Lillicrap et al. (2016).
    Class: derived
    """
    fig, ax = panels()
    for k, (phi, ts, degrees) in enumerate(flow_alignment(check)):
        ax.plot(ts, degrees, f"C{k}", label=f"FA, {phi}")
    for phi, style in (("linear", "-"), ("tanh", ":")):
        ax.plot(*flow_angles(GradientInstead, phi), "C3", ls=style, label=f"control: GD, {phi}")
    ax.axhline(75, color="k", lw=1, ls="--", label="needed at the end")
    ax.set(xlabel=MEAN_TIME, ylabel="angle of B and Wᵀ (degrees)", ylim=(45, 115))
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "Alignment along the flow on digits.")


def control_flow_alignment_gradient_descent(check):
    """Along gradient descent the angle to an unused B stays where it was."""
    flow_alignment(check, GradientInstead)


def flow_learning(check, shuffled=False):
    curves = []
    for phi in ("linear", "tanh"):
        digits, sol = flow(phi=phi, shuffled=shuffled)
        curves.append((phi, *tested(digits, sol, phi, 1)))
        right = curves[-1][2][-1]
        check.at_least(
            f"accuracy on the test, {phi}", right, 0.8, fall=0.3, on="449 digits, t = 20, seed 0"
        )
    return curves


def claim_flow_learning(check):
    r"""The FA flow learns: trained on 200 digits, 80 % of the held-out ones are right at $t = 20$.

    Linear and tanh networks, 64-32-10 with biases, mean squared loss.

    Assumes: nothing; an observation.
    Source: an observation of this project, on digits.
    Class: derived
    """
    curves = flow_learning(check)
    digits, sol = flow(phi="tanh", shuffled=True)
    learning_figure(check, MEAN_TIME, curves, ("shuffled, tanh", *tested(digits, sol, "tanh", 1)))


def control_flow_learning_shuffled_labels(check):
    """Labels shuffled among the training digits."""
    flow_learning(check, shuffled=True)
