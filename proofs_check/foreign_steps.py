"""Steps of other code: the law by which `faflow.check_step` knows feedback alignment from weights.

The law along the flow is that of Robertson & Koyejo 2023, "Implicit regularization in feedback
alignment learning mechanisms for neural networks" (arXiv:2306.01870).
"""

from itertools import product

import numpy as np

import faflow as ff
from faflow import laws
from faflow.nets import activation, replaced
from faflow.plot import panels
from faflow.testing import GradientInstead

SIZES = (6, 9, 7, 4)
BOUND = 1e-9
FALL = 1e-3


def as_it_is(step):
    return step


def resampled(step):
    """The same step with another feedback than the one that is said."""
    return ff.FA.random(SIZES, seed=100), *step[1:]


def gradient_descent(step):
    rule, *rest = step
    return GradientInstead(rule.B), *rest


def scaled(step):
    rule, *rest = step
    return ff.FA(tuple(1.1 * B for B in rule.B)), *rest


def direct(step):
    return ff.DFA.random(SIZES, seed=100), *step[1:]


def pulled(pull):
    """The same step with another slope in the way back."""

    def planted(step):
        rule, task, w, clip = step
        return rule, replaced(task, phi=task.phi._replace(pull=pull)), w, clip

    return planted


without_slope = pulled(lambda z, error: error)
late_gate = pulled(lambda z, error: error * (z > 0.3))


def clipped(step):
    """Each entry for itself, at the median of their sizes."""
    *rest, _ = step
    limit = lambda moved: np.median(np.abs(np.concatenate([V.ravel() for V in moved])))
    return *rest, lambda moved: [np.clip(V, -limit(moved), limit(moved)) for V in moved]


def zeroed(step):
    """Nothing reaches the hidden layers."""
    *rest, _ = step
    return *rest, lambda moved: [*(0 * V for V in moved[:-1]), moved[-1]]


def by_the_norm(moved):
    """All clipped by their common norm, which is harmless."""
    size = np.sqrt(sum(np.sum(V**2) for V in moved))
    return [0.3 * V / max(0.3, size) for V in moved]


def residual(fault, seed, *, loss, bias, eta, samples):
    """The relative residual of the law in the worse hidden layer, after one step on ReLU units."""
    rng = np.random.default_rng(seed)
    X, Y = (rng.standard_normal((n, samples)) for n in (SIZES[0], SIZES[-1]))
    Y = (Y.max(0) == Y).astype(float) if loss == "cross_entropy" else Y
    task = ff.Task(X, Y, activation("relu"), loss, bias=bias)
    rule = ff.FA.random(SIZES, seed=seed, rates=1 / samples)
    w = tuple(W + 0.3 * rng.standard_normal(W.shape) for W in rule.start(SIZES, bias=bias))
    made, seen, _, clip = fault((rule, task, w, by_the_norm))
    made = replaced(made, rates=rule.rates)
    after = [W + eta * V for W, V in zip(w, clip(made(seen, w)), strict=True)]
    report = ff.check_step(w, after, rule.B)
    return np.nanmax([layer.residual for layer in report.layers])  # nan where nothing moved


def residuals(check, fault):
    cases = product(("squared", "cross_entropy"), (False, True), (1e-3, 0.1, 10.0), (20, 100))
    names = ("loss", "bias", "eta", "samples")
    return [
        residual(fault, seed, **dict(zip(names, case, strict=True)))
        for case in cases
        for seed in range(check.tier(quick=2, full=10))
    ]


def one_step(check, fault=as_it_is):
    seen = residuals(check, fault)
    on = f"6-9-7-4 ReLU, {len(seen)} steps: two losses, biases, three step sizes, two batches"
    check.at_most("residual of the law", check.worst(seen), BOUND, fall=FALL, on=on)
    return seen


FAULTS = {
    "as it should be": as_it_is,
    "gradient descent": gradient_descent,
    "φ′ left out": without_slope,
    "gate opens at 0.3": late_gate,
    "feedback × 1.1": scaled,
    "resampled feedback": resampled,
    "direct feedback": direct,
    "entries clipped": clipped,
    "zeroed gradients": zeroed,
}


def claim_one_step(check):
    r"""Weights before and after a step of FA satisfy, in each unit $j$ of a hidden layer $i$,

    $$ (\Delta W_i W_i^\top)_{jj} = (B_{i+1}\Delta W_{i+1})_{jj} $$

    whatever the data, the loss, the step size and a bound on the norm of all, which it does not
    ask for.  The step adds $\eta$ times the rate of Robertson & Koyejo's law
    $\tfrac12|w|^2 - \langle b, w_+\rangle$ and the square of its own size, and that rate is the
    difference of the sides: proved zero for every size of two, three and four layers, and seen in
    steps.  Eight faults of code break it.

    Assumes: piecewise linear layers, all moved at one rate, no weight decay; biases are a column.
    Source: the law in Robertson & Koyejo (2023); as a test of steps derived in this project.
    Class: derived
    """
    for depth in (2, 3, 4):
        for bias, k in product((False, True), range(depth - 1)):
            options = {"depth": depth, "activation": "piecewise", "bias": bias, "k": k}
            check.proved(ff.prove(laws.neuron_feedback_balance, ff.FA, **options))
    one_step(check)
    fig, ax = panels()
    for row, fault in enumerate(FAULTS.values()):
        seen = residuals(check, fault)
        ax.semilogx(seen, np.full(len(seen), row), "o", ms=4, alpha=0.4, color=f"C{3 * (row > 0)}")
    ax.axvline(BOUND, color="k", ls="--", lw=1, label="bound")
    ax.axvline(FALL, color="0.6", ls=":", lw=1, label="controls beyond")
    ax.set(
        yticks=range(len(FAULTS)), yticklabels=FAULTS, xlabel="relative residual", xlim=(1e-17, 3)
    )
    ax.invert_yaxis()
    ax.legend(fontsize=8, loc="lower left")
    check.figure(
        fig, "Residual of the law after one step, right and with each fault, 6-9-7-4 ReLU."
    )


def control_one_step_gradient_descent(check):
    """The error returns through the transposed weights."""
    one_step(check, gradient_descent)


def control_one_step_without_slope(check):
    """The error passes a layer without being multiplied by φ'."""
    one_step(check, without_slope)


def control_one_step_late_gate(check):
    """The gate of φ' opens at 0.3, that of φ at 0."""
    one_step(check, late_gate)


def control_one_step_scaled_feedback(check):
    """The feedback is 1.1 times what it is said to be."""
    one_step(check, scaled)


def control_one_step_resampled_feedback(check):
    """The feedback was drawn anew."""
    one_step(check, resampled)


def control_one_step_direct_feedback(check):
    """The output error reaches every layer straight."""
    one_step(check, direct)


def control_one_step_clipped_entries(check):
    """Each entry of the update is clipped for itself."""
    one_step(check, clipped)


def control_one_step_zeroed_gradients(check):
    """The gradients of the hidden layers are zero."""
    one_step(check, zeroed)
