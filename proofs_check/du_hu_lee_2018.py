"""Du, Hu & Lee 2018, "Algorithmic regularization in learning deep homogeneous models: layers are
automatically balanced", NeurIPS (arXiv:1806.00900), with Arora, Cohen & Hazan 2018.

What gradient flow keeps, and feedback alignment does not: the counterpart of FA's laws.
"""

from functools import partial

import numpy as np

import faflow as ff
from faflow import laws
from faflow.plot import TIME, panels

SIZES = (4, 6, 5, 3)
FLOOR = 1e-17


def problem(seed, phi):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((SIZES[0], 12)) / np.sqrt(12)
    task = ff.Task(X, rng.standard_normal((SIZES[-1], 12)), phi, bias=True)
    return task, ff.init(SIZES, seed=seed, bias=True)


def path(law, kind, phi, seed=0):
    """Times and the largest drift of the law over both hidden layers."""
    task, w = problem(seed, phi)
    rule = kind.random(SIZES, seed=seed)
    options = {"solver": "rk45", "step": 2.5e-4} if phi == "relu" else {}
    sol = ff.integrate(rule, task, w, np.linspace(0, 0.5, 21), **options)
    values = [sol.measure(law, k=k) for k in (0, 1)]
    return sol.ts, np.max([np.abs(q - q[0]).reshape(len(q), -1).max(1) for q in values], axis=0)


def kept(check, law, phi, bound, kind=ff.GD, twice=1):
    """twice: how often the incoming weights count, 1 in the law."""

    def weighed(rule, w, k=0):
        own = w[k] @ w[k].T
        own = {"balance": own, "neuron_balance": own.diagonal()}.get(law.__name__, own.trace())
        return law(rule, w, k) + (twice - 1) * own

    for depth in (2, 3, 5):
        for k in range(depth - 1):
            verdict = ff.prove(weighed, kind, depth=depth, k=k, activation=phi, bias=True)
            check.proved(verdict, on=f"hidden layer {k + 1}")
    rates = []
    for seed in range(10):
        task, w = problem(seed, phi)
        rule = kind.random(SIZES, seed=seed)
        size = np.sqrt(sum(np.sum(V**2) for V in rule(task, w)))
        for k in (0, 1):
            series = ff.over_a_step(partial(weighed, k=k), rule, task, w)
            rates.append(np.max(np.abs(series.coefficients[1])) / size)
    on = f"{phi}, 10 random states of a 4-6-5-3 network with biases, seeds 0-9"
    check.at_most("rate over |velocity|", np.max(rates), 1e-14, fall=1e-2, on=on)
    drift = np.max(path(weighed, kind, phi)[1])
    check.at_most("drift along a flow", drift, bound, fall=2e-2, on=f"{phi}, t ≤ 0.5")


def drawn(check, law, phi, bound):
    fig, ax = panels()
    for kind, color, label in ((ff.GD, "C0", "gradient flow"), (ff.FA, "C3", "control: FA")):
        ts, drift = path(law, kind, phi)
        ax.semilogy(ts, drift + FLOOR, color, label=label)
    ax.axhline(bound, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="|law − its start|", ylim=(1e-17, 1e6))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, f"Largest drift over both hidden layers of a 4-6-5-3 network, {phi}.")


def claim_matrix_balance(check):
    r"""Gradient flow on linear networks keeps $W_iW_i^\top + b_ib_i^\top - W_{i+1}^\top W_{i+1}$.

    Proved for every size, 2 to 5 layers with biases, any data and any loss; seen at random states
    and along a flow.

    Assumes: linear layers, no weight decay.
    Proves: the statement.
    Source: Arora, Cohen & Hazan (2018), recalled; the bias's part derived in this project.
    Class: recalled
    """
    kept(check, laws.balance, "linear", 1e-9)
    drawn(check, laws.balance, "linear", 1e-9)


def control_matrix_balance_feedback_alignment(check):
    """The error returns through fixed matrices."""
    kept(check, laws.balance, "linear", 1e-9, ff.FA)


def control_matrix_balance_weighed_twice(check):
    """The incoming weights count twice: a wrong law, to show that the measurement tells."""
    kept(check, laws.balance, "linear", 1e-9, twice=2)


def claim_neuron_balance(check):
    r"""Gradient flow keeps each ReLU neuron's incoming less its outgoing squared weights.

    $$ \|W_i[j,:]\|^2 + b_{ij}^2 - \|W_{i+1}[:,j]\|^2 $$

    Proved for every size, 2 to 5 layers with biases, every pattern of active units.

    Assumes: piecewise linear activation, no weight decay.
    Proves: the statement.
    Source: Du, Hu & Lee (2018), recalled.
    Class: recalled
    """
    kept(check, laws.neuron_balance, "relu", 5e-4)
    drawn(check, laws.neuron_balance, "relu", 5e-4)


def control_neuron_balance_feedback_alignment(check):
    """The error returns through fixed matrices."""
    kept(check, laws.neuron_balance, "relu", 5e-4, ff.FA)


def control_neuron_balance_weighed_twice(check):
    """The incoming weights count twice: a wrong law, to show that the measurement tells."""
    kept(check, laws.neuron_balance, "relu", 5e-4, twice=2)


def claim_layer_balance(check):
    r"""Gradient flow keeps $\|W_i\|_F^2 + \|b_i\|^2 - \|W_{i+1}\|_F^2$ for each hidden layer.

    Proved for every size, 2 to 5 layers with biases, every pattern of active units.

    Assumes: piecewise linear activation, no weight decay.
    Proves: the statement.
    Source: Du, Hu & Lee (2018), recalled.
    Class: recalled
    """
    kept(check, laws.layer_balance, "relu", 5e-4)
    drawn(check, laws.layer_balance, "relu", 5e-4)


def control_layer_balance_feedback_alignment(check):
    """The error returns through fixed matrices."""
    kept(check, laws.layer_balance, "relu", 5e-4, ff.FA)


def control_layer_balance_weighed_twice(check):
    """The incoming weights count twice: a wrong law, to show that the measurement tells."""
    kept(check, laws.layer_balance, "relu", 5e-4, twice=2)
