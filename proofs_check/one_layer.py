"""One linear layer: the flow of least squares, which every learning rule shares.

A textbook result, and the one that deeper networks are compared with.
"""

import numpy as np

import faflow as ff
from faflow import exact
from faflow.plot import TIME, panels

RULES = (ff.GD, ff.FA, ff.DFA, ff.SignFA)


def problem(seed, loss="squared"):
    """Six inputs, one of them never seen, with biases; every other problem has four samples."""
    rng = np.random.default_rng(seed)
    samples = 4 if seed % 2 else 20
    X = rng.standard_normal((6, samples)) * np.array([2, 1, 0.5, 0.3, 0.1, 0])[:, None]
    Y = rng.standard_normal((3, samples))
    return ff.Task(X, np.sign(Y) if loss != "squared" else Y, loss=loss, bias=True), rng


def gap(seed, kind, decay=0.0, said_decay=None, loss="squared"):
    """Times and the largest distance of the flow from the closed form."""
    task, rng = problem(seed, loss)
    W0, ts = rng.standard_normal((3, 7)), np.linspace(0, 10, 21)
    sol = ff.integrate(kind((), decay=decay), task, (W0,), ts, rtol=1e-11, atol=1e-13)
    square = ff.Task(task.X, task.Y, bias=True)
    said = exact.one_layer(square, W0, ts, decay=decay if said_decay is None else said_decay)
    return ts, np.max(np.abs(sol.w[0] - said), axis=(1, 2))


def least_squares(check, **broken):
    gaps = [
        np.max(gap(seed, kind, decay, **broken)[1])
        for seed in range(3)
        for kind in RULES
        for decay in (0.0, 0.2)
        if not (broken.get("said_decay") == 0.0 and decay == 0.0)
    ]
    value = check.worst(gaps)
    on = "GD, FA, DFA, sign feedback; decay 0 and 0.2; 20 and 4 samples; t ≤ 10, seeds 0-2"
    check.at_most("|flow - closed form|", value, 1e-9, fall=1e-2, on=on)


def claim_least_squares(check):
    r"""Every rule moves a single linear layer by the same flow, known in closed form.

    $$ \dot W = (Y - WX)X^\top - \lambda W $$

    Directions that no sample shows stay as they were, or decay.

    Assumes: one layer, squared loss.
    Source: a textbook result.
    Class: recalled
    """
    least_squares(check)
    fig, ax = panels()
    for label, options, color in (
        ("squared loss, decay 0.2", {"decay": 0.2}, "C0"),
        ("control: formula without decay", {"decay": 0.2, "said_decay": 0.0}, "C3"),
        ("control: logistic loss", {"decay": 0.2, "loss": "logistic"}, "C1"),
    ):
        ts, far = gap(0, ff.FA, **options)
        ax.semilogy(ts, far + 1e-17, color, label=label)
    ax.axhline(1e-9, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="largest |flow − closed form|", ylim=(1e-17, 1e6))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, "Distance of the flow of one linear layer from its closed form.")


def control_least_squares_decay_left_out(check):
    """The formula without the flow's decay: a wrong one, to show that the measurement tells."""
    least_squares(check, said_decay=0.0)


def control_least_squares_logistic_loss(check):
    """The flow of the logistic loss."""
    least_squares(check, loss="logistic")
