"""Nøkland 2016, "Direct feedback alignment provides learning in deep neural networks", NeurIPS
(arXiv:1609.01596).

The output error e reaches every hidden layer by a fixed matrix of its own: δ_i = (B_i e) ⊙ φ'(h_i).
"""

import numpy as np
from scipy.integrate import solve_ivp

import faflow as ff
from faflow import laws
from faflow.plot import TIME, panels

FLOOR = 1e-17


# With one hidden layer DFA is FA


def velocity_gaps(sizes):
    """Largest relative distance of DFA's velocity from FA's, with the same matrices."""
    gaps = []
    for seed in range(10):
        for phi in ("relu", "tanh", "linear"):
            rng = np.random.default_rng(seed)
            task = ff.Task(
                rng.standard_normal((sizes[0], 8)), rng.standard_normal((sizes[-1], 8)), phi
            )
            w = ff.init(sizes, seed=seed)
            B = ff.DFA.random(sizes, seed=seed).B
            pairs = list(zip(ff.DFA(B)(task, w), ff.FA(B)(task, w), strict=True))
            largest = max(np.max(np.abs(V)) for V, _ in pairs)
            gaps.append(max(np.max(np.abs(V - U)) for V, U in pairs) / largest)
    return np.array(gaps)


def one_hidden_layer(check, sizes=(4, 6, 3)):
    gaps = velocity_gaps(sizes)
    value = gaps.max() if not check.control else gaps.min()
    on = "linear, ReLU and tanh, seeds 0-9, the same feedback matrices"
    check.at_most("|DFA - FA| / largest velocity", value, 1e-15, fall=1e-3, on=on)
    return gaps


def claim_one_hidden_layer(check):
    r"""With one hidden layer direct feedback alignment is feedback alignment.

    $$ \delta_1 = (B_1 e) \odot \phi'(h_1) = (B_2\,\delta_2) \odot \phi'(h_1) $$

    So FA's laws are DFA's; proved for every size as well.  With more layers the rules differ.

    Assumes: one hidden layer.
    Source: Nøkland (2016), recalled.
    Class: recalled
    """
    check.proved(ff.prove(laws.neuron_feedback_balance, ff.DFA, activation="piecewise"))
    check.proved(ff.prove(laws.feedback_balance, ff.DFA))
    gaps = one_hidden_layer(check)
    fig, ax = panels()
    ax.semilogy(np.sort(gaps) + FLOOR, "C0o", ms=4, label="4-6-3")
    ax.semilogy(np.sort(velocity_gaps((4, 3, 3, 3))), "C3v", ms=4, label="control: 4-3-3-3")
    ax.axhline(1e-15, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="networks, in order", ylabel="|DFA − FA| / largest velocity", ylim=(1e-18, 1e3))
    ax.legend(fontsize=8)
    check.figure(fig, "The two rules' velocities with the same feedback matrices.")


def control_one_hidden_layer_two_layers(check):
    """Two hidden layers, of the widths that let both rules use the same matrices."""
    one_hidden_layer(check, sizes=(4, 3, 3, 3))


# The lemma


def inner_products(seed, turn=0.0, at_zero=True, T=12.0):
    """⟨Wᵀd₂, d₁⟩ along dW/dt = d₂hᵀ, dh/dt = d₁, which turns by `turn` radians per unit of time."""
    rng = np.random.default_rng(seed)
    h0, d1, d2 = rng.standard_normal(5), rng.standard_normal(5), rng.standard_normal(4)
    across = np.linalg.qr(np.stack([d1, rng.standard_normal(5)]).T)[0][:, 1] * np.linalg.norm(d1)
    W0 = np.zeros((4, 5)) if at_zero else 10 * rng.standard_normal((4, 5))
    direction = lambda t: np.cos(turn * t) * d1 + np.sin(turn * t) * across

    def velocity(t, y):
        h = y[20:]
        return np.concatenate([np.outer(d2, h).ravel(), direction(t)])

    ts = np.linspace(0, T, 481)
    y0 = np.concatenate([W0.ravel(), h0])
    y = solve_ivp(velocity, (0, T), y0, "DOP853", t_eval=ts, rtol=1e-10, atol=1e-12).y.T
    inner = lambda t, row: d2 @ row[:20].reshape(4, 5) @ direction(t)
    seen = np.array([inner(t, row) for t, row in zip(ts, y, strict=True)])
    said = np.sum(d2**2) * (h0 @ d1 * ts + np.sum(d1**2) * ts**2 / 2)
    crossing = max(0.0, -2 * h0 @ d1 / np.sum(d1**2))
    return ts, seen, said, crossing


def lemma(check, **broken):
    gaps, shares = [], []
    for seed in range(20):
        ts, seen, said, crossing = inner_products(seed, **broken)
        gaps.append(np.max(np.abs(seen - said)) / np.max(np.abs(said)))
        late = ts > crossing + 0.05
        shares.append(np.mean(seen[late] <= 0))
    value = np.max(gaps) if not check.control else np.median(gaps)
    on = "the lemma's own equations, no rule of the library; 20 cases, h in R⁵, d₂ in R⁴, t ≤ 12"
    check.at_most("|⟨Wᵀd₂, d₁⟩ - formula|, relative", value, 1e-8, fall=1e-2, on=on)
    if broken.get("turn"):
        check.at_most(
            "share of later times with ⟨Wᵀd₂, d₁⟩ ≤ 0", np.mean(shares), 0.0, fall=0.1, on=on
        )
    elif not check.control:
        check.at_most(
            "share of later times with ⟨Wᵀd₂, d₁⟩ ≤ 0", np.max(shares), 0.0, fall=0.1, on=on
        )


def claim_lemma(check):
    r"""If the hidden updates keep their directions, the weights between them align with both.

    $$ \dot h = d_1,\ \dot W = d_2h^\top,\ W(0) = 0:\quad
       \langle W^\top d_2, d_1\rangle = |d_2|^2\left(\langle h_0, d_1\rangle t
       + \tfrac12|d_1|^2t^2\right) > 0 \text{ for } t > \max\left(0,
       \tfrac{-2\langle h_0, d_1\rangle}{|d_1|^2}\right) $$

    Constant directions are what real trajectories do not have: a local statement.

    Assumes: constant directions d₁, d₂ for one data point; W(0) = 0.
    Source: after a lemma of Nøkland (2016), which was not read; this form is derived in this
    project.
    Class: derived
    """
    lemma(check)
    fig, ax = panels()
    seeds = [seed for seed in range(20) if inner_products(seed)[3] > 0.5][:3]
    for k, seed in enumerate(seeds):
        ts, seen, said, crossing = inner_products(seed, T=6.0)
        ax.plot(ts, seen, "C0", lw=2, label=None if k else "constant directions")
        ax.plot(ts, said, "k--", lw=1, label=None if k else "formula")
        ax.plot(crossing, 0, "ko", ms=4, label=None if k else "predicted crossing")
        ts, seen, *_ = inner_products(seed, turn=3.0, T=6.0)
        ax.plot(ts, seen, "C3", lw=1, label=None if k else "control: d₁ turns, 3 rad/time")
    ax.axhline(0, color="0.5", lw=0.8)
    ax.set(xlabel=TIME, ylabel="⟨Wᵀd₂, d₁⟩")
    ax.set_yscale("symlog", linthresh=10)
    ax.set_ylim(top=2e4)
    ax.legend(fontsize=8, loc="upper left")
    check.figure(fig, "The inner product of the two updates through the weights between them.")


def control_lemma_turning_direction(check):
    """d₁ turns by 3 radians per unit of time."""
    lemma(check, turn=3.0)


def control_lemma_other_start(check):
    """W(0) is random."""
    lemma(check, at_zero=False)
