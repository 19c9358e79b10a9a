"""Akrout, Wilson, Humphreys, Lillicrap & Tweed 2019, "Deep learning without weight transport",
NeurIPS (arXiv:1904.05391): Kolen-Pollack learning.

The feedback moves as the transposed weights do, so that the two meet under weight decay.
"""

from fractions import Fraction

import numpy as np

import faflow as ff
from faflow import laws
from faflow.plot import TIME, panels

SIZES = (4, 6, 5, 3)
DECAY = 0.3


class OneSided(ff.KolenPollack):
    """Kolen-Pollack learning whose feedback moves at half the pace."""

    def velocity(self, task, w):
        moved, depth = super().velocity(task, w), len(w) // 2 + 1
        return (*moved[:depth], *(V / 2 for V in moved[depth:]))


def flow(kind, decay=DECAY, phi="tanh", seed=0, T=20.0):
    rng = np.random.default_rng(seed)
    task = ff.Task(rng.standard_normal((4, 12)) / 4, rng.standard_normal((3, 12)), phi)
    rule = kind(decay=decay)
    return ff.integrate(rule, task, rule.start(SIZES, seed=seed), np.linspace(0, T, 81))


def difference(check, kind=ff.KolenPollack):
    rate = Fraction(3, 10)
    for k in (0, 1):
        falling = lambda rule, w, k=k: -rate * laws.mirror_difference(rule, w, k)
        rule = kind(decay=rate)
        check.proved(
            ff.prove(
                lambda rule, w, k=k: laws.mirror_difference(rule, w, k),
                rule,
                depth=3,
                activation="piecewise",
                rate=falling,
            ),
            on=f"hidden layer {k + 1}",
        )
    gaps = []
    for seed in range(3):
        sol = flow(kind, seed=seed)
        for k in (0, 1):
            law = sol.measure(laws.mirror_difference, k=k)
            said = np.exp(-DECAY * sol.ts)[:, None, None] * law[0]
            gaps.append(np.max(np.abs(law - said)))
    on = "4-6-5-3 tanh networks, t ≤ 20, seeds 0-2"
    check.at_most("|W - Bᵀ - e^{-λt}(W - Bᵀ)(0)|", np.max(gaps), 1e-9, fall=1e-2, on=on)


def claim_mirror_difference(check):
    r"""In Kolen-Pollack learning $W_{i+1} - B_{i+1}^\top$ decays as $e^{-\lambda t}$.

    Any activation, data and loss: both move by the same update.  Proved for every size of three
    layers with any pattern of slopes; seen along flows of tanh networks.

    Assumes: the same decay λ of weights and feedback.
    Source: Akrout et al. (2019), recalled.
    Class: recalled
    """
    difference(check)
    fig, ax = panels()
    for kind, color, label in (
        (ff.KolenPollack, "C0", "Kolen-Pollack"),
        (OneSided, "C3", "control: feedback at half the pace"),
    ):
        sol = flow(kind)
        for k in (0, 1):
            far = np.linalg.norm(sol.measure(laws.mirror_difference, k=k), axis=(1, 2))
            ax.semilogy(sol.ts, far / far[0], color, lw=2, label=None if k else label)
    ax.semilogy(sol.ts, np.exp(-DECAY * sol.ts), "k--", lw=1, label="$e^{-λt}$, λ = 0.3")
    ax.set(xlabel=TIME, ylabel="|W − Bᵀ| / its start")
    ax.legend(fontsize=8)
    check.figure(fig, "The distance of feedback and weights in a 4-6-5-3 tanh network.")


def control_mirror_difference_half_the_pace(check):
    """The feedback moves at half the pace of the weights."""
    difference(check, OneSided)


def balance(check, kind=ff.KolenPollack):
    for depth in (2, 3):
        for k in range(depth - 1):
            verdict = ff.prove(laws.mirror_balance, kind, depth=depth, k=k, bias=True)
            check.proved(verdict, on=f"{depth} linear layers, hidden layer {k + 1}")
            verdict = ff.prove(
                laws.neuron_mirror_balance, kind, depth=depth, k=k, activation="piecewise"
            )
            check.proved(verdict, on=f"{depth} piecewise linear layers, hidden layer {k + 1}")
    drifts = []
    for seed in range(3):
        sol = flow(kind, 0, "linear", seed, T=5.0)
        values = [sol.measure(laws.mirror_balance, k=k) for k in (0, 1)]
        drifts += [np.max(np.abs(q - q[0])) for q in values]
    on = "4-6-5-3 linear networks, t ≤ 5, seeds 0-2"
    check.at_most("drift of the law", np.max(drifts), 1e-8, fall=1e-2, on=on)


def claim_mirror_balance(check):
    r"""Kolen-Pollack learning on linear networks keeps a matrix for each hidden layer.

    $$ W_iW_i^\top + W_{i+1}^\top W_{i+1} - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top $$

    and with piecewise linear layers its diagonal.  Proved for every size, 2 and 3 layers.

    Assumes: no weight decay.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    balance(check)
    fig, ax = panels()
    for kind, color, label in (
        (ff.KolenPollack, "C0", "Kolen-Pollack"),
        (OneSided, "C3", "control: feedback at half the pace"),
    ):
        sol = flow(kind, 0, "linear", T=5.0)
        q = sol.measure(laws.mirror_balance)
        ax.semilogy(sol.ts, np.max(np.abs(q - q[0]), axis=(1, 2)) + 1e-17, color, label=label)
    ax.axhline(1e-8, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="largest entry of the law's drift", ylim=(1e-17, 1e6))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, "Drift of the matrix law of the first hidden layer, linear 4-6-5-3 network.")


def control_mirror_balance_half_the_pace(check):
    """The feedback moves at half the pace of the weights."""
    balance(check, OneSided)
