"""Garg & Vempala 2021, "How and when random feedback works", arXiv:2111.08706 (AISTATS 2022).

Feedback alignment in the factorisation of a matrix Y (n, m) as ZW, with Z (n, r), W (r, m), the
feedback C (r, n) and the residual E = Y - ZW: dZ/dt = EWᵀ, dW/dt = CE.  In faflow's order the
weights are (W, Z) and C is B[0].  Only abstracts of the paper were read; what follows is derived
here unless it says otherwise.
"""

from functools import partial
from importlib.util import find_spec

import numpy as np
from matplotlib.figure import Figure

import faflow as ff
from faflow import exact, laws
from faflow.testing import GradientInstead

SHAPES = ((8, 7, 3, 4), (6, 9, 5, 2), (5, 5, 5, 5), (4, 6, 3, 9), (7, 5, 4, 1))
ENGINES = ("scipy", "diffrax") if find_spec("diffrax") else ("scipy",)


def problem(n, m, rank, r, seed=0, kind=ff.FA):
    """A task of this rank with largest singular value about 1, and Gaussian feedback."""
    rng = np.random.default_rng([seed, n, m, rank, r])
    Y = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    task = ff.Task.factorisation(Y / np.linalg.norm(Y, 2) * 2)
    return task, kind((rng.standard_normal((r, n)),)), rng


def start(rng, task, rule, scale):
    """(W, Z) of independent Gaussian entries."""
    (r, n), m = rule.B[0].shape, len(task.X)
    return scale * rng.standard_normal((r, m)), scale * rng.standard_normal((n, r))


# The matrix law


def matrix_invariant(check, kind=ff.FA, law=laws.feedback_balance):
    check.proved(ff.prove(law, kind))
    drifts, curves = [], []
    for scale in (0.0, 0.1, 1.0):
        task, rule, rng = problem(8, 7, 3, 4, kind=kind)
        w0 = start(rng, task, rule, max(scale, 1e-3 if kind is GradientInstead else 0.0))
        sol = ff.integrate(rule, task, w0, np.linspace(0, 50, 101))
        values = sol.measure(law)
        drifts.append(np.max(np.linalg.norm(values - values[0], axis=(1, 2))))
        curves.append((sol.ts, np.linalg.norm(values - values[0], axis=(1, 2)), scale))
    on = "8 × 7, rank 3, r = 4, t ≤ 50; starts of scale 0, 0.1, 1"
    check.at_most("drift of the law, worst of 3 starts", np.max(drifts), 1e-9, fall=1e-2, on=on)
    good = kind is ff.FA and law is laws.feedback_balance
    fig = Figure(figsize=(5.5, 3.6), layout="constrained")
    ax = fig.subplots()
    for k, (ts, drift, scale) in enumerate(curves):
        style = ("-", "--", ":")[k]
        ax.semilogy(ts, drift + 1e-17, ls=style, color="C0" if good else "C3", label=f"{scale:g}")
    ax.axhline(1e-9, color="0.4", lw=1, label="bound")
    ax.set(xlabel="time (1/learning rate)", ylabel="|Q(t) - Q(0)|")
    ax.legend(title="scale of the start", fontsize=8)
    check.figure(fig, "Drift of the matrix law, three starts.")


def claim_matrix_invariant(check):
    """FA keeps Q = WWᵀ - CZ - ZᵀCᵀ, for every Y, C, start and rank.

    CdZ/dt = CEWᵀ = (dW/dt)Wᵀ; add the transpose.  Proved for every size, any data and loss.

    Source: derived in this project for this setting; two-layer form in Lillicrap et al. (2016).
    Class: derived
    """
    matrix_invariant(check)


def control_matrix_invariant_law_of_gradient_descent(check):
    """WWᵀ - ZᵀZ along feedback alignment."""
    matrix_invariant(check, law=laws.balance)


def control_matrix_invariant_gradient_descent(check):
    """Q along gradient descent."""
    matrix_invariant(check, GradientInstead)


def control_matrix_invariant_antisymmetric(check):
    """The antisymmetric part of CZ in place of Q, which no symmetry protects."""

    def antisymmetric(rule, w):
        carried = rule.B[0] @ w[1]
        return carried - carried.T

    matrix_invariant(check, law=antisymmetric)


# Discrete steps


def discrete_invariant(check, fresh=False):
    task, rule, rng = problem(8, 7, 3, 4)
    w0, etas = start(rng, task, rule, 0.3), (0.02, 0.01, 0.005, 0.0025)
    drifts = {}
    for weight in (0, 0.5, 1):
        gaps, drifts[weight] = [], []
        for eta in etas:
            w = stepped(rule, task, w0, eta, round(20 / eta), weight, fresh)
            law = np.array([laws.feedback_balance(rule, pair) for pair in zip(*w, strict=True)])
            moved = np.diff(w[0], axis=0)
            squares = np.cumsum(moved @ moved.transpose(0, 2, 1), axis=0)
            gaps.append(np.max(np.abs(law[1:] - law[0] - (1 - 2 * weight) * squares)))
            drifts[weight].append(np.linalg.norm(law[-1] - law[0]))
        check.at_most(
            f"|Q_T - Q_0 - ({1 - 2 * weight:g}) η² Σ FFᵀ|, worst of four step sizes",
            np.max(gaps),
            1e-12,
            fall=1e-3,
            on="8 × 7, rank 3, r = 4, 1,000 to 8,000 steps",
        )
    return etas, drifts


def stepped(rule, task, w0, eta, steps, weight=0, fresh=False):
    """(W, Z) at every step, Z moving with W + weight · ΔW, and with a fresh residual if asked."""
    if weight == 0 and not fresh:
        return ff.iterate(rule, task, w0, eta=eta, steps=steps).w
    kept, (W, Z) = [w0], w0
    for _ in range(steps):
        E, moved = task.Y - Z @ W, eta * rule(task, (W, Z))[0]
        E = task.Y - Z @ (W + moved) if fresh else E
        W, Z = W + moved, Z + eta * E @ (W + weight * moved).T
        kept.append((W, Z))
    return tuple(map(np.stack, zip(*kept, strict=True)))


def claim_discrete_invariant(check):
    """A step of size η moves Q by exactly (1 - 2a) η² FFᵀ, F = CE, if Z moves with W + a ΔW.

    The residual E is that before the step.  a = 0, all layers together: upwards, and O(η) after a
    fixed time.  a = 1, Z after W: downwards by as much.  a = 1/2: Q is kept exactly.

    Source: derived in this project.
    Class: derived
    """
    etas, drifts = discrete_invariant(check)
    check.order("order of the drift in η", etas, drifts[0], 1)
    fig = Figure(figsize=(5, 3.6), layout="constrained")
    ax = fig.subplots()
    for weight, style in ((0, "o-"), (1, "s--"), (0.5, "^:")):
        ax.loglog(etas, drifts[weight], style, label=f"Z moves with W + {weight:g} ΔW")
    ax.loglog(etas, 1.3 * drifts[0][0] * np.array(etas) / etas[0], "k:", lw=1, label="slope 1")
    ax.set(xlabel="step size η", ylabel="|Q_T - Q_0| after T = 20")
    ax.set_xticks(etas, [f"{eta:g}" for eta in etas], minor=False)
    ax.set_xticks([], minor=True)
    ax.legend(fontsize=8)
    check.figure(fig, "Drift of the matrix law under three orders of updating.")


def control_discrete_invariant_fresh_residual(check):
    """The residual is computed anew after W has moved."""
    discrete_invariant(check, fresh=True)


# The linear invariant


def linear_invariant(check, kind=ff.FA):
    drifts = []
    for seed in range(5):
        task, rule, rng = problem(8, 7, 3, 11, seed, kind)
        C = rule.B[0]
        outside = np.eye(11) - C @ np.linalg.pinv(C)
        w0 = start(rng, task, rule, 0.5)
        sol = ff.integrate(rule, task, w0, np.linspace(0, 10, 11))
        drifts.append(np.max(np.abs(outside @ (sol.w[0] - sol.w[0][0]))))
    check.at_most("drift of (I - CC⁺)W", np.max(drifts), 1e-12, fall=1e-2, on="5 problems, r > n")


def claim_linear_invariant(check):
    """(I - CC⁺)W is constant under FA, since the columns of dW/dt lie in the range of C.

    Not trivial when r > n.  Proved for every N with N'C = 0, by words.

    Source: derived in this project.
    Class: derived
    """
    check.proved(
        ff.prove(
            lambda rule, w, N: N.T @ w[0],
            ff.FA,
            letters={"N": ("h1", "k")},
            relations=["N' B2 = 0"],
        )
    )
    linear_invariant(check)


def control_linear_invariant_gradient_descent(check):
    """The error returns through Zᵀ."""
    linear_invariant(check, GradientInstead)


# The Lyapunov function


def lyapunov(check, kind=ff.FA):
    for depth in (2, 3, 4, 5):
        check.proved(
            ff.prove(laws.lyapunov, kind, depth=depth, loss="squared", rate=laws.lyapunov_rate)
        )
    gaps = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, m, r = rng.integers(2, 8, 3)
        task, rule, _ = problem(n, m, min(n, m), r, seed, kind)
        task = ff.Task(rng.standard_normal((m, 9)), task.Y @ rng.standard_normal((m, 9)))
        target, S = task.Y @ np.linalg.pinv(task.X), task.X @ task.X.T
        w = start(rng, task, rule, 2.0)
        law = partial(laws.lyapunov, target=target)
        rate = ff.over_a_step(law, rule, task, w).coefficients[1]
        said = laws.lyapunov_rate(rule, w, target=target, covariance=S)
        gaps.append(abs(rate - said) / abs(said))
    check.at_most(
        "|dΦ/dt + tr(CESEᵀCᵀ)|, relative", np.max(gaps), 1e-11, fall=1e-1, on="20 problems"
    )


def claim_lyapunov(check):
    """Φ = ½|CZ|² - ⟨CY, W⟩ falls along FA: dΦ/dt = -tr(CESEᵀCᵀ), S the input covariance.

    ⟨CZ, CESWᵀ⟩ - ⟨CY, CES⟩ = -tr(CESEᵀCᵀ).  At any depth with B₂⋯B_L for C, the last layer for
    Z and the first for W.  Proved for every size, 2 to 5 layers.

    Source: derived in this project.
    Class: derived
    """
    lyapunov(check)


def control_lyapunov_gradient_descent(check):
    """The same function along gradient descent."""
    lyapunov(check, GradientInstead)


# Convergence from every start


def global_convergence(check, blind=False):
    ends, curves = [], []
    for seed in range(12):
        task, rule, rng = problem(5, 4, 2, 3, seed)
        C = rule.B[0]
        if blind:
            u = np.linalg.svd(task.Y)[0][:, 1]
            rule = ff.FA((C - np.outer(C @ u, u),))
        w0 = start(rng, task, rule, [0.0, 1.0, 2.0, 4.0][seed % 4])
        ts = np.concatenate([[0], np.geomspace(0.01, 1000, 60)])
        sol = ff.integrate(rule, task, w0, ts, solver="radau", rtol=1e-8, atol=1e-10)
        errors = [np.linalg.norm(task.Y - Z @ W) for W, Z in zip(*sol.w, strict=True)]
        ends.append(errors[-1])
        curves.append((ts[1:], errors[1:]))
    check.at_most(
        "|E| at the end",
        np.max(ends) if not blind else np.min(ends),
        1e-4,
        fall=1e-2,
        on="12 starts of scale 0, 1, 2, 4; t ≤ 1000",
    )
    fig = Figure(figsize=(5.5, 3.6), layout="constrained")
    ax = fig.subplots()
    for ts, errors in curves:
        ax.loglog(ts, errors, color="C3" if blind else "C0", lw=1)
    ax.axhline(1e-4, color="0.4", lw=1, label="needed at the end")
    ax.plot([], [], color="C3" if blind else "C0", label="twelve starts")
    ax.set(xlabel="time (1/learning rate)", ylabel="|Y - ZW|")
    ax.set_title("C blind to one direction of Y" if blind else "C injective on col(Y)")
    ax.legend(fontsize=8)
    check.figure(fig, "The residual along flows from starts of four scales.")


def claim_global_convergence(check):
    """If C is injective on the column space of Y, the FA flow reaches E = 0 from every start.

    Φ falls at rate |CE|² and is bounded below because Q is kept, so CE → 0; the part of E outside
    col(Y) obeys d|PZ|²/dt = -2|PZW|², so E → 0.  Almost every C will do if r ≥ rank(Y).

    Source: that FA finds the optimum for r ≥ rank(Y) is asserted by Garg & Vempala (2021),
    abstract; every start and the condition on C are derived in this project.
    Class: derived
    """
    global_convergence(check)


def control_global_convergence_blind_feedback(check):
    """C u = 0 for a left singular vector u of Y, though r > rank(Y): no start may reach E = 0."""
    global_convergence(check, blind=True)


# The exact solution from zero


def closed_form(check, eps=0.0):
    for engine in ENGINES:
        worst = []
        for shape in SHAPES:
            task, rule, rng = problem(*shape)
            w0 = start(rng, task, rule, eps)
            ts = np.linspace(0, 20, 41)
            sol = ff.integrate(rule, task, w0, ts, engine=engine)
            W, Z = exact.fa_from_zero(task.Y, rule.B[0], ts)
            worst.append(max(np.max(np.abs(sol.w[0] - W)), np.max(np.abs(sol.w[1] - Z))))
        check.at_most(
            f"|flow - closed form|, {engine}", np.max(worst), 1e-9, fall=1e-3, on="5 shapes, t ≤ 20"
        )
    task, rule, rng = problem(*SHAPES[0])
    ts = np.linspace(0, 6, 61)
    sol = ff.integrate(rule, task, start(rng, task, rule, eps), ts)
    W, _ = exact.fa_from_zero(task.Y, rule.B[0], ts)
    fig = Figure(figsize=(5.5, 3.6), layout="constrained")
    ax = fig.subplots()
    ax.plot(ts, np.linalg.svd(sol.w[0], compute_uv=False)[:, :3], color="C0" if not eps else "C3")
    ax.plot(ts, np.linalg.svd(W, compute_uv=False)[:, :3], "k:", lw=1.5)
    ax.plot([], [], color="C0" if not eps else "C3", label=f"flow from a start of scale {eps:g}")
    ax.plot([], [], "k:", label="closed form from zero")
    ax.set(xlabel="time (1/learning rate)", ylabel="singular values of W")
    ax.legend(fontsize=8)
    check.figure(fig, "Singular values of W along the flow, and in closed form.")


def claim_closed_form(check):
    """From zero start the FA flow is known exactly, for every Y, C and rank.

    With CY = P diag(d) Rᵀ: W = P diag(w) Rᵀ, Z = YR diag(w²/2d) Pᵀ, dw_i/dt = d_i - w_i³/2.
    Measured with SciPy, and with diffrax where it is installed; five shapes, r below, at and above
    the rank.

    Source: derived in this project.
    Class: derived
    """
    closed_form(check)


def control_closed_form_other_start(check):
    """A start of scale 0.01 in place of zero."""
    closed_form(check, eps=1e-2)
