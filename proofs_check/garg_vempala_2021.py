"""Garg & Vempala 2021, "How and when random feedback works", arXiv:2111.08706 (AISTATS 2022).

Feedback alignment in the factorisation of a matrix Y (n, m) as ZW, with Z (n, r), W (r, m), the
feedback C (r, n) and the residual E = Y - ZW: dZ/dt = EWᵀ, dW/dt = CE.  In faflow's order the
weights are (W, Z) and C is B[0].  Only abstracts of the paper were read; what follows is derived
here unless it says otherwise.
"""

from functools import cache, partial
from importlib.util import find_spec

import numpy as np
from scipy.linalg import eig
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import erfcx
from scipy.stats import chi2, norm
from scipy.stats import t as student

import faflow as ff
from faflow import exact, laws
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

SHAPES = ((8, 7, 3, 4), (6, 9, 5, 2), (5, 5, 5, 5), (4, 6, 3, 9), (7, 5, 4, 1))
ENGINES = ("scipy", "diffrax") if find_spec("diffrax") else ("scipy",)
FLOOR = 1e-17


def problem(n, m, rank, r, seed=0, kind=ff.FA):
    """A task of this rank with largest singular value 2, and Gaussian feedback."""
    rng = np.random.default_rng([seed, n, m, rank, r])
    Y = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    task = ff.Task.factorisation(Y / np.linalg.norm(Y, 2) * 2)
    return task, kind((rng.standard_normal((r, n)),)), rng


def coloured(task, rng, samples=9):
    """The task with inputs of a random covariance, S = XXᵀ, and the same linear teacher."""
    X = rng.standard_normal((task.Y.shape[1], samples)) / np.sqrt(samples)
    return ff.Task(X, task.Y @ X), X @ X.T


def start(rng, rule, m, scale):
    """(W, Z) of independent Gaussian entries."""
    r, n = rule.B[0].shape
    return scale * rng.standard_normal((r, m)), scale * rng.standard_normal((n, r))


def blinded(rule, Y, mode):
    """The rule with C u = 0 for a left singular vector u of Y."""
    C, u = rule.B[0], np.linalg.svd(Y)[0][:, mode]
    return ff.FA((C - np.outer(C @ u, u),))


def flat(w):
    return np.concatenate([W.ravel() for W in w])


# The matrix law


def drift_of(law, kind, scale):
    task, rule, rng = problem(8, 7, 3, 4, kind=kind)
    sol = ff.integrate(rule, task, start(rng, rule, 7, scale), np.linspace(0, 50, 101))
    values = sol.measure(law)
    return sol.ts, np.linalg.norm(values - values[0], axis=(1, 2))


def matrix_invariant(check, kind=ff.FA, law=laws.feedback_balance):
    check.proved(ff.prove(law, kind))
    scales = (0.0, 0.1, 1.0) if kind is ff.FA else (0.1, 1.0)
    curves = [drift_of(law, kind, scale) for scale in scales]
    check.at_most(
        "drift of the law, worst of the starts",
        np.max([drift for _, drift in curves]),
        1e-9,
        fall=1e-2,
        on="8 × 7, rank 3, r = 4, t ≤ 50; starts of scale 0, 0.1, 1; seed 0",
    )
    return zip(scales, curves, strict=True)


def claim_matrix_invariant(check):
    r"""FA keeps $Q = WW^\top - CZ - Z^\top C^\top$ for every $Y$, $C$, start and rank.

    $$ C\dot Z = C E S W^\top = \dot W W^\top \quad\Rightarrow\quad \dot Q = 0 $$

    $S = XX^\top$ is the covariance of the inputs.  Proved for every size, any data and any loss,
    and seen along flows from three starts.

    Assumes: two linear layers; nothing of the data, the loss or the start.
    Proves: the statement.
    Source: derived in this project for this setting; two-layer form in Lillicrap et al. (2016).
    Class: derived
    """
    fig, ax = panels()
    for (scale, (ts, drift)), style in zip(matrix_invariant(check), ("-", "--", ":"), strict=True):
        ax.semilogy(ts, drift + FLOOR, style, color="C0", label=f"FA, start of scale {scale:g}")
    ts, drift = drift_of(laws.feedback_balance, GradientInstead, 1.0)
    ax.semilogy(ts, drift + FLOOR, color="C3", label="control: gradient descent")
    ax.axhline(1e-9, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="|Q(t) − Q(0)|", ylim=(1e-17, 1e7))
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "Drift of the matrix law.")


def control_matrix_invariant_law_of_gradient_descent(check):
    """WWᵀ - ZᵀZ along feedback alignment: a wrong law, to show that the measurement tells."""
    matrix_invariant(check, law=laws.balance)


def control_matrix_invariant_gradient_descent(check):
    """Q along gradient descent."""
    matrix_invariant(check, GradientInstead)


def control_matrix_invariant_antisymmetric(check):
    """The antisymmetric part of CZ: a wrong law, to show that the measurement tells."""

    def antisymmetric(rule, w):
        carried = rule.B[0] @ w[1]
        return carried - carried.T

    matrix_invariant(check, law=antisymmetric)


# Discrete steps


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


def discrete_gap(eta, weight, fresh):
    """Largest gap in the identity for Q, and the drift of Q at the end."""
    task, rule, rng = problem(8, 7, 3, 4)
    w = stepped(rule, task, start(rng, rule, 7, 0.3), eta, round(20 / eta), weight, fresh)
    law = np.array([laws.feedback_balance(rule, pair) for pair in zip(*w, strict=True)])
    moved = np.diff(w[0], axis=0)
    squares = np.cumsum(moved @ moved.transpose(0, 2, 1), axis=0)
    gap = np.max(np.abs(law[1:] - law[0] - (1 - 2 * weight) * squares))
    return gap, np.linalg.norm(law[-1] - law[0])


ETAS = (0.02, 0.01, 0.005, 0.0025)


def discrete_invariant(check, fresh=False):
    drifts = {}
    for weight in (0, 0.5, 1):
        gaps, drifts[weight] = zip(*(discrete_gap(e, weight, fresh) for e in ETAS), strict=True)
        check.at_most(
            f"|Q_T - Q_0 - ({1 - 2 * weight:g}) η² Σ FFᵀ|, worst of four step sizes",
            np.max(gaps),
            1e-12,
            fall=1e-3,
            on="8 × 7, rank 3, r = 4, 1,000 to 8,000 steps, seed 0",
        )
    return drifts


def claim_discrete_invariant(check):
    r"""A step of size $\eta$ moves $Q$ by exactly $(1 - 2a)\,\eta^2 FF^\top$, with $F = CE$.

    Here $Z$ moves with $W + a\,\Delta W$, and $E$ is the residual before the step:
    $a = 0$, all layers together, drifts upwards, by $O(\eta)$ in a fixed time; $a = 1$, $Z$ after
    $W$, downwards by as much; $a = \tfrac12$ keeps $Q$ exactly.

    Assumes: the residual is the one before the step.
    Source: derived in this project.
    Class: derived
    """
    drifts = discrete_invariant(check)
    on = "a = 0; follows from the identity, whose control falls: it has none of its own"
    check.order("order of the drift in η", ETAS, drifts[0], 1, on=on)
    fig, ax = panels()
    for weight, style in ((0, "C0o-"), (1, "C1s--"), (0.5, "C2^:")):
        ax.loglog(ETAS, drifts[weight], style, label=f"Z moves with W + {weight:g} ΔW")
    fresh = [discrete_gap(eta, 0.5, True)[1] for eta in ETAS]
    ax.loglog(ETAS, fresh, "C3v-", label="control: W + 0.5 ΔW, residual anew")
    ax.loglog(ETAS, 0.4 * drifts[0][0] * np.array(ETAS) / ETAS[0], "k--", lw=1, label="slope 1")
    ax.set(xlabel="step size η (time units)", ylabel="|Q_T − Q_0| after T = 20", ylim=(1e-15, 1e4))
    ax.set_xticks(ETAS, [f"{eta:g}" for eta in ETAS], minor=False)
    ax.set_xticks([], minor=True)
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "Drift of the matrix law under three orders of updating.")


def control_discrete_invariant_fresh_residual(check):
    """The residual is computed anew after W has moved."""
    discrete_invariant(check, fresh=True)


# The linear invariant


def outside_drift(kind, seed):
    task, rule, rng = problem(8, 7, 3, 11, seed, kind)
    C = rule.B[0]
    outside = np.eye(11) - C @ np.linalg.pinv(C)
    sol = ff.integrate(rule, task, start(rng, rule, 7, 0.5), np.linspace(0, 10, 41))
    return sol.ts, np.max(np.abs(outside @ (sol.w[0] - sol.w[0][0])), axis=(1, 2))


def linear_invariant(check, kind=ff.FA):
    curves = [outside_drift(kind, seed) for seed in range(5)]
    worst = [np.max(drift) for _, drift in curves]
    check.at_most("drift of (I - CC⁺)W", worst, 1e-12, fall=1e-2, on="5 problems, r > n, seeds 0-4")
    return curves


def claim_linear_invariant(check):
    r"""$(I - CC^+)W$ is constant under FA.

    The columns of $\dot W = CES$ lie in the range of $C$; not trivial when $r > n$ or $C$ is rank
    deficient.  Proved for every $N$ with $N^\top C = 0$, and seen along flows.

    Assumes: nothing of the data or the loss.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    law = lambda rule, w, N: N.T @ w[0]
    check.proved(ff.prove(law, ff.FA, letters={"N": ("h1", "k")}, relations=["N' B2 = 0"]))
    fig, ax = panels()
    for k, (ts, drift) in enumerate(linear_invariant(check)):
        ax.semilogy(ts, drift + FLOOR, "C0", lw=1, label=None if k else "FA, five problems")
    ts, drift = outside_drift(GradientInstead, 0)
    ax.semilogy(ts, drift + FLOOR, "C3", label="control: gradient descent")
    ax.axhline(1e-12, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="largest entry of the drift of (I − CC⁺)W", ylim=(1e-17, 1e3))
    ax.legend(fontsize=8)
    check.figure(fig, "The part of W outside the range of C.")


def control_linear_invariant_gradient_descent(check):
    """The error returns through Zᵀ."""
    linear_invariant(check, GradientInstead)


# Stationary points


def searched(seed, kind, blind):
    """|E| where a root search from a random start ends, and the velocity there."""
    task, rule, rng = problem(5, 4, 2, 3, seed, kind)
    rule = blinded(rule, task.Y, 1) if blind else rule
    split = lambda x: (x[:12].reshape(3, 4), x[12:].reshape(5, 3))
    x0 = 0.7 * rng.standard_normal(27)
    velocity = lambda x: flat(rule(task, split(x)))
    found = least_squares(velocity, x0, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    W, Z = split(found.x)
    return np.linalg.norm(task.Y - Z @ W), np.linalg.norm(found.fun)


def stationary_errors(kind=ff.FA, blind=False, tries=40):
    """|E| at the points where root searches from random starts end with a velocity of zero."""
    ends = [searched(seed, kind, blind) for seed in range(tries)]
    return np.array([error for error, velocity in ends if velocity <= 1e-9])


def stationary_points(check, **broken):
    errors = stationary_errors(**broken)
    ended = f"{len(errors)} of 40 root searches ended at |velocity| ≤ 1e-9"
    on = f"{ended}; 5 × 4, rank 2, r = 3, seeds 0-39"
    check.at_most("largest |E| where the velocity is zero", errors, 1e-3, fall=0.3, on=on)
    share = np.mean(errors > 1e-3)
    check.at_most("share of stationary points with |E| > 1e-3", share, 0.0, fall=0.2, on=on)
    return errors


def claim_stationary_points(check):
    r"""If $C$ is injective on $\operatorname{col}(Y)$, FA is at rest only where $E = 0$.

    $$ CE = 0,\; EW^\top = 0 \iff E = 0 $$

    With $P$ the projector on $\operatorname{col}(Y)^\perp$, $PE = -PZW$, so that
    $|PZW|^2 = -\operatorname{tr}(PEW^\top Z^\top P) = 0$; the rest of $E$ lies where $C$ is
    injective.  That $|N^\top Z|^2$ has the rate $-2|N^\top ZW|^2$ for $N^\top Y = 0$ is proved for
    every size; the stationary points are searched for from random starts.  Gradient descent rests
    at saddles as well.  At $|E| \to 0$ the velocity may vanish to second order, hence the
    tolerance.

    Assumes: C injective on col(Y); white inputs.
    Source: that FA finds the optimum is asserted in Garg & Vempala (2021), abstract; this form is
    derived in this project.
    Class: derived
    """
    squares = lambda rule, w, N: (N.T @ w[1]) @ (N.T @ w[1]).T

    def falling(rule, w, N, covariance):
        left = N.T @ w[1] @ w[0]
        return -2 * left @ covariance @ left.T

    given = {"letters": {"N": ("out", "k")}, "relations": ["N' Y = 0"]}
    check.proved(ff.prove(squares, ff.FA, loss="squared", rate=falling, **given))
    errors = stationary_points(check)
    fig, ax = panels()
    sets = {
        "FA, C injective on col(Y)": (errors, "C0o"),
        "control: C blind to one direction": (stationary_errors(blind=True), "C3v"),
        "control: gradient descent": (stationary_errors(GradientInstead), "C1s"),
    }
    for label, (values, style) in sets.items():
        ax.semilogy(np.sort(values) + FLOOR, style, ms=4, label=label)
    ax.axhline(1e-3, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="stationary points found, in order of |E|", ylabel="|E|", ylim=(1e-17, 1e4))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, "The residual at points of rest, found from forty random starts.")


def control_stationary_points_blind_feedback(check):
    """C u = 0 for a left singular vector u of Y."""
    stationary_points(check, blind=True)


def control_stationary_points_gradient_descent(check):
    """The error returns through Zᵀ, as in gradient descent, which rests at saddles."""
    stationary_points(check, kind=GradientInstead)


# The projected loss


def projected_identity(check, kind=ff.FA):
    check.proved(ff.prove(laws.projected_loss, kind, loss="squared", rate=laws.projected_loss_rate))
    gaps = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, m, r = rng.integers(2, 8, 3)
        task, rule, _ = problem(n, m, min(n, m), r, seed, kind)
        target = task.Y
        task, S = coloured(task, rng)
        w, given = start(rng, rule, m, 1.0), {"target": target, "covariance": S}
        rate = ff.over_a_step(partial(laws.projected_loss, **given), rule, task, w).coefficients[1]
        said = laws.projected_loss_rate(rule, w, **given)
        gaps.append(abs(rate - said) / abs(said))
    on = "20 problems, seeds 0-19"
    check.at_most("|dV/dt - its formula|, relative", gaps, 1e-11, fall=1e-2, on=on)


def aligned_run(sign, alpha, seed, end=20, times=81):
    """Times, V, its rates and the bound's exponent from Z(0) = ± αCᵀ and a small W(0)."""
    task, rule, rng = problem(5, 4, 3, 4, seed)
    target, C = task.Y, rule.B[0]
    task, S = coloured(task, rng)
    w0 = 1e-3 * rng.standard_normal((4, 4)), sign * alpha * C.T
    given = {"target": target, "covariance": S}
    P = np.linalg.svd(C, full_matrices=False)[0]  # an orthonormal basis of the range of C
    mu = np.linalg.eigvalsh(-P.T @ laws.feedback_balance(rule, w0) @ P)[0]
    sol = ff.integrate(rule, task, w0, np.linspace(0, end, times))
    V = sol.measure(laws.projected_loss, **given)
    rates = sol.measure(laws.projected_loss_rate, **given)
    return sol.ts, V, rates / V, mu * np.linalg.eigvalsh(S)[0]


def projected_loss(check, sign=1):
    runs = [aligned_run(sign, alpha, seed) for seed in range(5) for alpha in (0.2, 0.5, 1.0)]
    on = "15 flows, 5 × 4, r = 4, Z(0) = αCᵀ, α = 0.2, 0.5, 1, random S, seeds 0-4, 81 times each"
    growth = np.max([np.max(relative) for _, _, relative, _ in runs])
    check.at_most("largest d log V/dt", growth, 0.0, fall=0.1, on=on)
    least = np.min([exponent for *_, exponent in runs])
    check.at_least("least exponent μλ_min(S) of the bound", least, 1e-4, fall=0.0, on=on)
    excess = [np.max((np.log(V / V[0]) + abs(rate) * ts)[1:]) for ts, V, _, rate in runs]
    check.at_most("largest log(V/V(0)) + |μ|λ_min(S) t", np.max(excess), 0.0, fall=0.1, on=on)
    return runs


def claim_projected_loss_identity(check):
    r"""The projected loss $V = \tfrac12\operatorname{tr}(FSF^\top)$, $F = CE$, has an exact rate.

    $$ \dot V = -|FSW^\top|^2 - \tfrac12|W^\top FS|^2 + \tfrac12\operatorname{tr}(QFS^2F^\top) $$

    From $\dot F = -FSW^\top W - CZFS$ and $\tfrac12(CZ + Z^\top C^\top) = \tfrac12(WW^\top - Q)$.
    Proved for every size, any covariance $S$; seen at random states.

    Assumes: two linear layers, squared loss.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    projected_identity(check)
    ts, V, relative, _ = aligned_run(1, 0.5, 0, end=1, times=401)
    fig, ax = panels()
    ax.plot(ts, np.gradient(V, ts), "C0", label="dV/dt along FA, from differences of V")
    ax.plot(ts, relative * V, "k--", lw=1, label="the formula")
    task, rule, rng = problem(5, 4, 3, 4, 0, GradientInstead)
    given = {"target": task.Y, "covariance": np.eye(4)}
    sol = ff.integrate(rule, task, start(rng, rule, 4, 0.7), ts)
    V = sol.measure(laws.projected_loss, **given)
    gap = np.gradient(V, ts) - sol.measure(laws.projected_loss_rate, **given)
    ax.plot(ts, gap, "C3", label="control: dV/dt − formula along gradient descent")
    ax.set(xlabel=TIME, ylabel="rate of the projected loss", xlim=(0, 0.6))
    ax.legend(fontsize=8)
    check.figure(fig, "The rate of V along a flow, and its formula.")


def control_projected_loss_identity_gradient_descent(check):
    """The error returns through Zᵀ."""
    projected_identity(check, GradientInstead)


def claim_projected_loss(check):
    r"""If $Q(0) \le 0$ on $\operatorname{range}(C)$ the projected loss never rises.

    $$ -Q(0) \ge \mu I \text{ on } \operatorname{range}(C) \;\Rightarrow\;
       V(t) \le V(0)\, e^{-\mu \lambda_{\min}(S)\, t} $$

    $Q$ is kept, and the last term of the exact rate is at most $-\mu\lambda_{\min}(S) V$.
    $Q(0) \le 0$ on $\operatorname{range}(C)$ holds from zero weights and from $Z(0) =
    \alpha C^\top$ with a small $W(0)$.  The
    sign is that of the exact rate at every saved state, not of differences.

    Assumes: Q(0) ≤ 0 on range(C); two linear layers, squared loss, any covariance.
    Source: derived in this project.
    Class: derived
    """
    runs = projected_loss(check)
    fig, ax = panels()
    for k, (ts, V, _, rate) in enumerate(runs[1::3]):
        ax.semilogy(ts, V / V[0], "C0", lw=1, label=None if k else "aligned start, α = 0.5")
        ax.semilogy(ts, np.exp(-rate * ts), "k--", lw=1, label=None if k else "bounds")
    for k in range(5):
        ts, V, _, _ = aligned_run(-1, 0.5, k)
        label = None if k else "control: anti-aligned start"
        ax.semilogy(ts, V / V[0], "C3", lw=1, label=label)
    ax.set(xlabel=TIME, ylabel="V(t) / V(0)", ylim=(1e-14, 1e6))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The projected loss from aligned starts, each with its bound.")


def control_projected_loss_anti_aligned(check):
    """Z(0) = -αCᵀ, so that Q(0) > 0."""
    projected_loss(check, sign=-1)


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
        target = task.Y
        task, S = coloured(task, rng)
        w = start(rng, rule, m, 2.0)
        law = partial(laws.lyapunov, target=target)
        rate = ff.over_a_step(law, rule, task, w).coefficients[1]
        said = laws.lyapunov_rate(rule, w, target=target, covariance=S)
        gaps.append(abs(rate - said) / abs(said))
    on = "20 problems, seeds 0-19"
    check.at_most("|dΦ/dt + tr(CESEᵀCᵀ)|, relative", np.max(gaps), 1e-11, fall=1e-1, on=on)


def lyapunov_path(kind, seed, scale):
    task, rule, rng = problem(5, 4, 2, 3, seed, kind)
    ts = np.linspace(0, 8, 81)
    sol = ff.integrate(rule, task, start(rng, rule, 4, scale), ts)
    return ts, sol.measure(laws.lyapunov, target=task.Y)


def claim_lyapunov(check):
    r"""$\Phi = \tfrac12|CZ|^2 - \langle CY, W\rangle$ falls along FA, for every data and start.

    $$ \dot\Phi = \langle CZ, CESW^\top\rangle - \langle CY, CES\rangle
                = -\operatorname{tr}(CESE^\top C^\top) $$

    At any depth with $B_2\cdots B_L$ for $C$, the last layer for $Z$ and the first for $W$.  Proved
    for every size, 2 to 5 layers, and seen at random states.

    Assumes: linear layers, squared loss.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    lyapunov(check)
    fig, (left, right) = panels(2)
    kinds = ((ff.FA, "C0", "FA, five starts"), (GradientInstead, "C3", "control: gradient descent"))
    for kind, color, label in kinds:
        for seed in range(5):
            ts, values = lyapunov_path(kind, seed, 0.8)
            said = None if seed else label
            left.plot(ts, values - values[0], color, lw=1, label=said)
            right.plot(ts, values - np.minimum.accumulate(values), color, lw=1, label=said)
    left.set(xlabel=TIME, ylabel="Φ(t) − Φ(0)")
    right.set(xlabel=TIME, ylabel="Φ(t) − its least value so far")
    right.axhline(0, color="k", ls="--", lw=1, label="never above")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    check.figure(fig, "The Lyapunov function along flows.")


def control_lyapunov_gradient_descent(check):
    """The same function along gradient descent."""
    lyapunov(check, GradientInstead)


def bounded_path(seed, scale, kind=ff.FA, feedback=1.0):
    """Φ over its lower bound Φ_*, and t min|CE|² over Φ(0) - Φ_*, along a flow."""
    task, rule, rng = problem(5, 4, 2, 3, seed, kind)
    rule = kind((feedback * rule.B[0],))
    C, r = rule.B[0], len(rule.B[0])
    w0 = start(rng, rule, 4, scale)
    sol = ff.integrate(rule, task, w0, np.linspace(0, 40, 81))
    trace, size = np.trace(laws.feedback_balance(rule, w0)), np.linalg.norm(C @ task.Y)
    below = lambda a: a**2 / 2 - size * np.sqrt(max(trace + 2 * np.sqrt(r) * a, 0.0))
    edge = max(0.0, -trace / (2 * np.sqrt(r)))
    far = edge + 10 + 4 * (size * r**0.25) ** (2 / 3) + abs(trace)
    least = minimize_scalar(below, bounds=(edge, far), method="bounded", options={"xatol": 1e-10})
    phi = sol.measure(laws.lyapunov, target=task.Y)
    told = np.sum((C @ (task.Y - sol.w[1] @ sol.w[0])) ** 2, axis=(1, 2))
    reach = np.minimum.accumulate(told) * sol.ts / (phi[0] - least.fun)
    return sol.ts, phi / least.fun, reach


def lyapunov_bound(check, kind=ff.FA, feedback=1.0):
    """Gradient descent breaks the bound of Φ where C is small, that of |CE|² where it is large."""
    seeds, scales = range(check.tier(quick=3, full=10)), (0.1, 1.0, 3.0)
    runs = [bounded_path(seed, scale, kind, feedback) for seed in seeds for scale in scales]
    on = f"5 × 4, rank 2, r = 3, starts of scale 0.1, 1, 3, seeds 0-{seeds[-1]}, t ≤ 40"
    if feedback <= 1:
        most = np.max([np.max(run[1]) for run in runs])
        check.at_most("largest Φ / Φ_*, both below 0 at their largest", most, 1.0, fall=1.5, on=on)
    if feedback >= 1:
        reach = np.max([np.max(run[2]) for run in runs])
        check.at_most("largest t min|CE|² / (Φ(0) - Φ_*)", reach, 1.0, fall=1.5, on=on)


def claim_lyapunov_bound(check):
    r"""$\Phi$ is bounded below along FA, so the projected residual falls at least as $1/\sqrt t$.

    $$ \Phi \ge \Phi_* = \min_{a \ge 0}\ \tfrac12a^2 - \|CY\|\sqrt{\operatorname{tr}Q_0
       + 2\sqrt r\,a},\qquad \min_{s \le t}|CE(s)|^2 \le \frac{\Phi(0) - \Phi_*}{t} $$

    $\|W\|^2 = \operatorname{tr}Q_0 + 2\operatorname{tr}(CZ) \le \operatorname{tr}Q_0 + 2\sqrt
    r\,\|CZ\|$ by the law, and $\int|CE|^2$ is the drop of $\Phi$.

    Assumes: white inputs for the rate.
    Source: derived in this project.
    Class: derived
    """
    lyapunov_bound(check)
    fig, ax = panels()
    for seed in range(4):
        ts, ratio, _ = bounded_path(seed, 1.0)
        ax.plot(ts, ratio, "C0", lw=1, label=None if seed else "FA")
        ts, ratio, _ = bounded_path(seed, 1.0, GradientInstead, 1e-4)
        label = None if seed else "control: gradient descent, C scaled by 1e-4"
        ax.plot(ts, ratio, "C3", lw=1, label=label)
    ax.axhline(1, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="Φ / Φ_*")
    ax.set_yscale("symlog", linthresh=2)
    ax.legend(fontsize=8)
    check.figure(fig, "The Lyapunov function over its lower bound (never above 1).")


def control_lyapunov_bound_gradient_descent(check):
    """The error returns through Zᵀ, with C scaled by 1e-4."""
    lyapunov_bound(check, kind=GradientInstead, feedback=1e-4)


def control_lyapunov_bound_gradient_descent_large_feedback(check):
    """The error returns through Zᵀ, with C scaled by 100: |CE|² falls too late."""
    lyapunov_bound(check, kind=GradientInstead, feedback=100.0)


# The Lyapunov function under discrete steps


def discrete_lyapunov_path(seed, size, kind=ff.FA):
    """What Φ gains in each step with η|W|₂² = `size`, and the gap of the identity for it."""
    task, rule, rng = problem(5, 4, 2, 3, seed, kind)
    law = partial(laws.lyapunov, target=task.Y)
    w, gains, gaps = start(rng, rule, 4, 0.7), [], []
    while len(gains) < 300 and np.linalg.norm(flat(w)) < 1e3:
        F, eta = rule.B[0] @ (task.Y - w[1] @ w[0]), size / np.linalg.norm(w[0], 2) ** 2
        now, said = law(rule, w), -eta * np.sum(F**2) + eta**2 / 2 * np.sum((F @ w[0].T) ** 2)
        w = ff.iterate(rule, task, w, eta=eta, steps=1).at(-1)
        gains.append(law(rule, w) - now)
        gaps.append(abs(gains[-1] - said) / max(1.0, abs(now)))
    return np.array(gains), np.array(gaps)


def discrete_lyapunov(check, size=1.8, kind=ff.FA):
    runs = [discrete_lyapunov_path(seed, size, kind) for seed in range(8)]
    on = f"seeds 0-7, up to 300 steps each with η|W|₂² = {size:g}, 5 × 4, rank 2, r = 3"
    if kind is ff.FA:
        rise = np.max([np.max(gains) for gains, _ in runs])
        check.at_most("largest rise of Φ in a step", rise, 1e-14, fall=1e-2, on=on)
    if size < 2:
        gap = np.max([np.max(gaps) for _, gaps in runs])
        check.at_most("gap of the identity, relative", gap, 1e-12, fall=1e-3, on=on)
    return runs


def claim_discrete_lyapunov(check):
    r"""A discrete step moves $\Phi$ by $-\eta|F|^2 + \tfrac12\eta^2|FW^\top|^2$, $F = CE$, exactly.

    So $\Phi$ falls at every step with $\eta\,\|W\|_2^2 \le 2$.

    Assumes: white inputs; both layers step together.
    Source: derived in this project.
    Class: derived
    """
    runs = discrete_lyapunov(check)
    fig, ax = panels()
    for k, (gains, _) in enumerate(runs[:4]):
        ax.plot(np.cumsum(gains), "C0", lw=1, label=None if k else "η|W|² = 1.8")
    for k in range(4):
        gains, _ = discrete_lyapunov_path(k, 6.0)
        ax.plot(np.cumsum(gains), "C3", lw=1, label=None if k else "control: η|W|² = 6")
    ax.axhline(0, color="k", ls="--", lw=1, label="never above")
    ax.set_yscale("symlog", linthresh=10)
    ax.set(xlabel="steps", ylabel="Φ − its start", xlim=(0, 60), ylim=(-1e2, 1e8))
    ax.legend(fontsize=8, loc="upper right")
    check.figure(fig, "The Lyapunov function along discrete steps.")


def control_discrete_lyapunov_large_steps(check):
    """Steps with η|W|² = 6."""
    discrete_lyapunov(check, size=6.0)


def control_discrete_lyapunov_gradient_descent(check):
    """The error returns through Zᵀ."""
    discrete_lyapunov(check, kind=GradientInstead)


# Convergence from every start


@cache
def residuals(seed, blind=False):
    """Times after the start, |E| along a flow, |CE|, and |CE| of the C that is not blind."""
    task, seeing, rng = problem(5, 4, 2, 3, seed)
    rule = blinded(seeing, task.Y, 1) if blind else seeing
    w0 = start(rng, rule, 4, [0.0, 1.0, 2.0, 4.0][seed % 4])
    ts = np.concatenate([[0], np.geomspace(0.01, 1e5, 70)])
    sol = ff.integrate(rule, task, w0, ts, solver="radau", rtol=1e-8, atol=1e-10)
    E = (task.Y - sol.w[1] @ sol.w[0])[1:]
    size = lambda errors: np.linalg.norm(errors, axis=(1, 2))
    return ts[1:], size(E), size(rule.B[0] @ E), size(seeing.B[0] @ E)


def global_convergence(check, blind=False):
    starts = check.tier(quick=8, full=24)
    curves = [residuals(seed, blind)[:2] for seed in range(starts)]
    ends = [errors[-1] for _, errors in curves]
    check.at_most(
        "|E| at the end, t = 10⁵",
        np.max(ends) if not blind else np.min(ends),
        1e-8,
        fall=1e-2,
        on=f"seeds 0-{starts - 1}, starts of scale 0, 1, 2, 4; 5 × 4, rank 2, r = 3",
    )
    return curves


def told_error(check, other=False):
    """|CE| along flows whose C is blind to a direction, or that of a C which is not."""
    seeds = check.tier(quick=4, full=8)
    ends = [residuals(seed, blind=True)[3 if other else 2][-1] for seed in range(seeds)]
    value = np.max(ends) if not other else np.min(ends)
    on = f"blind C, seeds 0-{seeds - 1}, starts of scale 0, 1, 2, 4; 5 × 4, rank 2, r = 3"
    check.at_most("|CE| at the end, t = 10⁵", value, 1e-8, fall=1e-2, on=on)


def one_target(check, blind=False):
    """Y of a single column, from starts with large eigenvalues of Q of both signs for the most."""
    ends, indefinite, seeds = [], 0, check.tier(quick=6, full=30)
    for seed in range(seeds):
        task, rule, rng = problem(4, 1, 1, 3, seed)
        rule = blinded(rule, task.Y, 0) if blind else rule
        w0 = start(rng, rule, 1, 0.0 if blind else 3.0)  # or Z fits by itself
        Q = np.linalg.eigvalsh(laws.feedback_balance(rule, w0))
        indefinite += Q[0] < -1 and Q[-1] > 1
        sol = ff.integrate(rule, task, w0, [0, 3000], solver="radau", rtol=1e-8, atol=1e-10)
        ends.append(np.linalg.norm(task.Y - sol.w[1][-1] @ sol.w[0][-1]))
    value = np.max(ends) if not blind else np.min(ends)
    scale = (
        "from zero" if blind else f"starts of scale 3, {indefinite} with eigenvalues of Q beyond ±1"
    )
    on = f"4 × 1, r = 3, seeds 0-{seeds - 1}, {scale}"
    check.at_most("|E| at t = 3000, m = 1", value, 1e-8, fall=1e-2, on=on)


def claim_global_convergence(check):
    r"""If $C$ is injective on $\operatorname{col}(Y)$, FA reaches $E = 0$ from every start.

    $\Phi$ falls at the rate $|CE|^2$ and is bounded below because $Q$ is kept, so $CE \to 0$ for
    every $C$; the part of $E$ outside $\operatorname{col}(Y)$ obeys
    $\tfrac{d}{dt}|PZ|^2 = -2|PZW|^2$, so $E \to 0$ if $C$ is injective there.  Almost every $C$
    will do if $r \ge \operatorname{rank}(Y)$.  The condition is sufficient, not necessary: where
    $r \ge m$, $Z$ may fit $Y$ by itself.  The loss itself may rise on the way.

    Assumes: C injective on col(Y); white inputs.  r ≥ rank(Y) alone is not enough.
    Source: that FA finds the optimum for r ≥ rank(Y) is asserted by Garg & Vempala (2021),
    abstract; every start and the condition on C are derived in this project.
    Class: derived
    """
    curves = global_convergence(check)
    told_error(check)
    one_target(check)
    fig, ax = panels()
    for k, (ts, errors) in enumerate(curves):
        ax.loglog(ts, errors + FLOOR, "C0", lw=1, label=None if k else "C injective on col(Y)")
    for k in range(4):
        ts, errors, told, _ = residuals(k, blind=True)
        ax.loglog(ts, errors, "C3", lw=1, label=None if k else "control: C blind to a direction")
        label = None if k else "|CE| of the blind C"
        ax.loglog(ts, told + FLOOR, "C1:", lw=1, label=label)
    ax.axhline(1e-8, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|Y − ZW|")
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The residual along flows from starts of four scales.")


def control_global_convergence_blind_feedback(check):
    """C u = 0 for a left singular vector u of Y, though r > rank(Y).

    None of these starts reaches E = 0, as r < m: with r ≥ m, Z may fit Y by itself.
    """
    global_convergence(check, blind=True)


def control_global_convergence_one_target_blind_feedback(check):
    """C Y = 0 for a Y of a single column, from zero weights."""
    one_target(check, blind=True)


def control_global_convergence_another_projection(check):
    """|CE| of the C before it was blinded: a wrong one, to show that the measurement tells."""
    told_error(check, other=True)


# The exact solution from zero


def closed_form(check, eps=0.0):
    for engine in ENGINES:
        worst = []
        shapes = SHAPES if engine == "scipy" else SHAPES[: check.tier(quick=2, full=5)]
        for shape in shapes:
            task, rule, rng = problem(*shape)
            ts = np.linspace(0, 20, 41)
            sol = ff.integrate(rule, task, start(rng, rule, shape[1], eps), ts, engine=engine)
            W, Z = exact.fa_from_zero(task.Y, rule.B[0], ts)
            worst.append(max(np.max(np.abs(sol.w[0] - W)), np.max(np.abs(sol.w[1] - Z))))
        check.at_most(
            f"|flow - closed form|, {engine}",
            np.max(worst),
            1e-9,
            fall=1e-3,
            on=f"{len(shapes)} shapes, t ≤ 20",
        )


def singular_values(eps, ts):
    task, rule, rng = problem(*SHAPES[0])
    sol = ff.integrate(rule, task, start(rng, rule, 7, eps), ts)
    return np.linalg.svd(sol.w[0], compute_uv=False)[:, :3]


def claim_closed_form(check):
    r"""From zero weights the FA flow is known exactly, for every $Y$, $C$, size and rank.

    $$ CY = P\,\operatorname{diag}(d)\,R^\top,\quad W = P\,\operatorname{diag}(w)\,R^\top,\quad
       Z = YR\,\operatorname{diag}\!\left(\tfrac{w^2}{2d}\right)P^\top,\quad
       \dot w_i = d_i - \tfrac12 w_i^3 $$

    Measured with SciPy, and with diffrax where it is installed; five shapes, $r$ below, at and
    above the rank.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    closed_form(check)
    ts = np.linspace(0, 6, 61)
    task, rule, _ = problem(*SHAPES[0])
    W, _ = exact.fa_from_zero(task.Y, rule.B[0], ts)
    fig, ax = panels()
    ax.plot(ts, singular_values(0.0, ts), "C0", lw=2)
    ax.plot(ts, singular_values(0.3, ts), "C3", lw=1)
    ax.plot(ts, np.linalg.svd(W, compute_uv=False)[:, :3], "k--", lw=1)
    ax.plot([], [], "C0", lw=2, label="flow from zero")
    ax.plot([], [], "k--", lw=1, label="closed form")
    ax.plot([], [], "C3", lw=1, label="control: a start of scale 0.3")
    ax.set(xlabel=TIME, ylabel="singular values of W")
    ax.legend(fontsize=8)
    check.figure(fig, "Singular values of W along the flow, and in closed form.")


def control_closed_form_other_start(check):
    """A start of scale 0.01 in place of zero."""
    closed_form(check, eps=1e-2)


def mode_gaps(seed, eps):
    """Relative gaps in the drop of Φ, in the slowest mode's late rate; and |W|³/(2 modes |CY|)."""
    task, rule, rng = problem(6, 5, 3, 3, seed)
    modes = exact.fa_modes(task.Y, rule.B[0])
    late = np.array([9.0, 12.0]) / modes.rates[-1]
    ts = np.array([0, *late, 40 / modes.rates[-1]])
    sol = ff.integrate(rule, task, start(rng, rule, 5, eps), ts, rtol=1e-12, atol=1e-14)
    phi = sol.measure(laws.lyapunov, target=task.Y)
    drop = 0.75 * np.cbrt(2) * np.sum(modes.d ** (4 / 3))
    left = np.linalg.norm(rule.B[0] @ (task.Y - sol.w[1] @ sol.w[0]), axis=(1, 2))
    rate = np.log(left[1] / left[2]) / (late[1] - late[0])
    size = np.linalg.norm(sol.w[0], axis=(1, 2)) ** 3
    bound = 2 * len(modes.d) * np.linalg.norm(rule.B[0] @ task.Y)
    drop_gap = abs(phi[0] - phi[-1] - drop) / drop
    return drop_gap, abs(rate / modes.rates[-1] - 1), np.max(size) / bound


def modes(check, eps=0.0):
    seeds = range(6)
    gaps = np.array([mode_gaps(seed, eps) for seed in seeds])
    gaps = gaps.max(0) if not eps else gaps.min(0)
    on = "6 problems, 6 × 5, rank 3, r = 3, seeds 0-5"
    check.at_most("|drop of Φ - ¾ 2^⅓ Σ d^(4/3)|, relative", gaps[0], 1e-9, fall=1e-3, on=on)
    check.at_most("|late rate of CE / (3/2)(2 d_min)^⅔ - 1|", gaps[1], 1e-3, fall=1e-2, on=on)
    check.at_most("|W|³ / (2 min(r, k) |CY|)", gaps[2], 1.0, fall=1.5, on=on)


def claim_modes(check):
    r"""From zero, each mode of $CY$ is learned at its own speed, the larger ones first.

    $$ \text{late rate } \tfrac32(2d_i)^{2/3},\qquad
       \int_0^\infty |CE|^2\,dt = \tfrac34\,2^{1/3}\sum_i d_i^{4/3},\qquad
       \|W\|_F^3 \le 2\min(r, k)\,\|CY\|_F $$

    $k$ is the rank of $Y$.  The integral is the drop of $\Phi$.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    modes(check)
    task, rule, rng = problem(6, 5, 3, 3, 0)
    found = exact.fa_modes(task.Y, rule.B[0])
    ts = np.linspace(0, 12 / found.rates[-1], 121)
    fig, ax = panels()
    for eps, color, label in ((0.0, "C0", "from zero"), (1.0, "C3", "control: a start of 1")):
        sol = ff.integrate(rule, task, start(rng, rule, 5, eps), ts, rtol=1e-12, atol=1e-14)
        left = np.linalg.norm(rule.B[0] @ (task.Y - sol.w[1] @ sol.w[0]), axis=(1, 2))
        ax.semilogy(ts, left, color, label=label)
        if not eps:
            last = left[-1] * np.exp(found.rates[-1] * (ts[-1] - ts))
            ax.semilogy(ts, last, "k--", lw=1, label="the slowest mode's late rate")
    ax.set(xlabel=TIME, ylabel="|CE|", ylim=(1e-8, 1e4))
    ax.legend(fontsize=8)
    check.figure(fig, "The projected residual, and the rate at which its slowest mode ends.")


def control_modes_other_start(check):
    """A start of scale 1 in place of zero."""
    modes(check, eps=1.0)


# The exact discrete solution from zero


def discrete_gap_from_zero(seed, eps=0.0, eta=0.1, steps=200):
    task, rule, rng = problem(*SHAPES[seed % len(SHAPES)], seed)
    w0 = start(rng, rule, task.Y.shape[1], eps)
    sol = ff.iterate(rule, task, w0, eta=eta, steps=steps)
    said = exact.discrete_fa_from_zero(task.Y, rule.B[0], eta, steps)
    return np.max([np.max(np.abs(s - e), axis=(1, 2)) for s, e in zip(sol.w, said, strict=True)], 0)


def discrete_modes(check, eps=0.0):
    gaps = [np.max(discrete_gap_from_zero(seed, eps)) for seed in range(10)]
    value = np.max(gaps) if not eps else np.min(gaps)
    on = "five shapes, η = 0.1, 200 steps, seeds 0-9"
    check.at_most("|steps - closed form|", value, 1e-12, fall=1e-3, on=on)


def claim_discrete_modes(check):
    r"""From zero weights the modes of $CY$ stay apart under discrete steps of any size as well.

    $$ w \leftarrow w + \eta d\,(1 - zw),\qquad z \leftarrow z + \eta w\,(1 - zw) $$

    Assumes: zero weights at the start; white inputs; both layers step together.
    Source: derived in this project.
    Class: derived
    """
    discrete_modes(check)
    fig, ax = panels()
    for eps, color, label in ((0.0, "C0", "from zero"), (0.01, "C3", "control: a start of 0.01")):
        for seed in range(3):
            far = discrete_gap_from_zero(seed, eps)
            ax.semilogy(far + FLOOR, color, lw=1, label=None if seed else label)
    ax.axhline(1e-12, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="steps, η = 0.1", ylabel="largest |steps − closed form|", ylim=(1e-18, 1e3))
    ax.legend(fontsize=8, loc="upper right")
    check.figure(fig, "Distance of discrete feedback alignment from its closed form.")


def control_discrete_modes_other_start(check):
    """A start of scale 0.01 in place of zero."""
    discrete_modes(check, eps=1e-2)


# Time depends on the scale of C


def half_times(scales, seed, kind=ff.FA):
    """When |E|² has fallen to half its start, for feedback of these scales."""
    times = []
    for scale in scales:
        task, rule, rng = problem(6, 5, 3, 4, seed)
        rule = kind((scale * rule.B[0],))
        slowest = exact.fa_modes(task.Y, rule.B[0]).half_times[-1]
        ts = np.concatenate([[0], np.geomspace(1e-3, 10, 80) * max(slowest, 1.0)])
        w0 = start(rng, rule, 5, 1e-6 if kind is GradientInstead else 0.0)
        sol = ff.integrate(rule, task, w0, ts, rtol=1e-8, atol=1e-10)
        error = np.sum((task.Y - sol.w[1] @ sol.w[0]) ** 2, axis=(1, 2))
        fallen = np.argmax(error <= error[0] / 2)
        between = np.log(error[fallen - 1 : fallen + 1] / error[0] * 2)
        times.append(np.interp(0, -between, ts[fallen - 1 : fallen + 1]))
    return times


SCALES = np.array([1e-3, 1e-2, 1e-1, 1.0])


def time_scale(check, kind=ff.FA):
    seeds = check.tier(quick=3, full=10)
    times = np.array([half_times(SCALES, seed, kind) for seed in range(seeds)])
    on = f"6 × 5, rank 3, r = 4, seeds 0-{seeds - 1}"
    check.scaling(
        "power of |C| in the half time", SCALES, times, -2 / 3, within=0.01, fall=0.3, on=on
    )
    return times


def claim_time_scale(check):
    r"""The time that FA needs from zero weights scales as $|C|^{-2/3}$.

    So "slower than gradient descent" depends on the scale of $C$.

    From zero, $C \to sC$ turns $(W(t), Z(t))$ into $(s^{1/3}W, s^{-1/3}Z)$ at time
    $s^{2/3}\,t$; gradient descent does not know of $C$.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    times = time_scale(check)
    fig, ax = panels()
    ax.loglog(SCALES, times.T, "C0o-", lw=1)
    ax.plot([], [], "C0o-", lw=1, label="FA")
    ax.loglog(
        SCALES, half_times(SCALES, 0, GradientInstead), "C3s-", label="control: gradient descent"
    )
    ax.loglog(SCALES, 2 * times[0, -1] * SCALES ** (-2 / 3), "k--", lw=1, label="slope −2/3")
    ax.set(xlabel="scale of the feedback C", ylabel=f"{TIME} to half the loss")
    ax.legend(fontsize=8)
    check.figure(fig, "Half times of feedback alignment against the scale of its feedback.")


def control_time_scale_gradient_descent(check):
    """The error returns through Zᵀ, which does not know of C; a start of 1e-6."""
    time_scale(check, GradientInstead)


# Alignment


def aligned_parts(kind, shape, seed, w0):
    """Least eigenvalue of sym(CZ) - ½WWᵀ, and the rate of tr(CZ), along a flow."""
    task, rule, rng = problem(*shape, seed, kind)
    begin = w0(rng, rule, shape[1])
    sol = ff.integrate(rule, task, begin, np.linspace(0, 10, 61))
    gaps = -sol.measure(laws.feedback_balance) / 2
    inner = lambda rule, w: (rule.B[0] @ w[1]).trace()
    rates = [
        ff.over_a_step(inner, rule, task, sol.at(k)).coefficients[1] for k in range(1, len(sol))
    ]
    halves = np.sum(sol.w[0] ** 2, axis=(1, 2)) / 2
    return sol.ts, np.linalg.eigvalsh(gaps)[:, 0], np.array(rates), sol.measure(inner), halves


def leaning(sign):
    """A start with Z = ±½Cᵀ and a small W such that Q is of one sign."""
    return lambda rng, rule, m: (
        0.1 * rule.B[0] @ rng.standard_normal((rule.B[0].shape[1], m)),
        sign * 0.5 * rule.B[0].T,
    )


ZERO, RANDOM = (partial(start, scale=scale) for scale in (0.0, 1.0))
ALIGNED, ANTI = leaning(1), leaning(-1)
SQUARE = ((5, 5, 5, 5), (6, 7, 3, 4), (7, 5, 4, 2))  # r ≤ n, or αCCᵀ would be singular


def inner_alignment(check, kind=ff.FA, w0=(ZERO, ALIGNED)):
    least = [
        np.min(aligned_parts(kind, shape, seed, begin)[1])
        for shape in SQUARE
        for seed in range(3)
        for begin in w0
    ]
    check.at_least(
        "least eigenvalue of ½(CZ + ZᵀCᵀ) - ½WWᵀ",
        np.min(least),
        -1e-9,
        fall=-0.05,
        on=f"three shapes, seeds 0-2, {len(w0)} kind(s) of start; 61 times, t ≤ 10",
    )
    if w0[0] in (ZERO, RANDOM):
        rates = [np.min(aligned_parts(kind, s, k, w0[0])[2]) for s in SQUARE for k in range(3)]
        check.at_least(
            "least rate of tr(CZ), from the first start",
            np.min(rates),
            -1e-9,
            fall=-0.05,
            on="three shapes, seeds 0-2, 60 states each",
        )


def claim_inner_alignment(check):
    r"""If $Q(0) \le 0$ the feedback and the weights stay aligned for ever.

    $$ \tfrac12(CZ + Z^\top C^\top) \ge \tfrac12 WW^\top \ge 0,\qquad
       \operatorname{tr}(CZ) = \tfrac12\left(\|W\|_F^2 - \operatorname{tr}Q(0)\right) $$

    From zero weights $\operatorname{tr}(CZ)$ never falls; that is the exact rate at every saved
    state.  From other starts it may fall.

    Assumes: Q(0) ≤ 0, as from zero weights, or Z(0) = αCᵀ and a small W(0) with columns in
    range(C).
    Source: that forward and feedback matrices come closer is asserted in Garg & Vempala (2021),
    abstract; this quantity is derived in this project.
    Class: derived
    """
    inner_alignment(check)
    fig, ax = panels()
    sets = (
        (ZERO, "C0", "from zero"),
        (ALIGNED, "C1", "from Z(0) = αCᵀ"),
        (ANTI, "C3", "control: from Z(0) = −αCᵀ"),
    )
    for begin, color, label in sets:
        ts, _, _, inner, halves = aligned_parts(ff.FA, SQUARE[0], 0, begin)
        ax.plot(ts, inner, color, label=label)
        ax.plot(ts, halves, color, ls=(0, (3, 2)), lw=1)
    ax.plot([], [], "k", ls=(0, (3, 2)), lw=1, label="its bound ½|W|²")
    ax.set(xlabel=TIME, ylabel="tr(CZ)", xlim=(0, 4))
    ax.legend(fontsize=8)
    check.figure(fig, "The inner product of feedback and weights, and its bound.")


def control_inner_alignment_anti_aligned(check):
    """Z(0) = -αCᵀ."""
    inner_alignment(check, w0=(ANTI,))


def control_inner_alignment_random_start(check):
    """Gaussian weights of scale 1."""
    inner_alignment(check, w0=(RANDOM,))


def control_inner_alignment_gradient_descent(check):
    """The error returns through Zᵀ, from aligned weights."""
    inner_alignment(check, kind=GradientInstead, w0=(ALIGNED,))


def asymmetry(seed, colour=False):
    """|CZ - ½WWᵀ| along a flow from zero weights."""
    task, rule, rng = problem(6, 5, 4, 4, seed)
    task = coloured(task, rng)[0] if colour else task
    sol = ff.integrate(rule, task, start(rng, rule, 5, 0.0), np.linspace(0, 10, 41))
    W, Z = sol.w
    gap = rule.B[0] @ Z - W @ W.transpose(0, 2, 1) / 2
    return sol.ts, np.linalg.norm(gap, axis=(1, 2))


def symmetric_alignment(check, colour=False):
    gaps = [np.max(asymmetry(seed, colour)[1]) for seed in range(6)]
    value = np.max(gaps) if not colour else np.min(gaps)
    on = "6 × 5, rank 4, r = 4, from zero weights, t ≤ 10, seeds 0-5"
    check.at_most("|CZ - ½WWᵀ|", value, 1e-9, fall=1e-3, on=on)


def claim_symmetric_alignment(check):
    r"""From zero weights and with white inputs $CZ = \tfrac12WW^\top$: symmetric at all times.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    symmetric_alignment(check)
    fig, ax = panels()
    for colour, color, label in ((False, "C0", "S = I"), (True, "C3", "control: a random S")):
        for seed in range(3):
            ts, gap = asymmetry(seed, colour)
            ax.semilogy(ts, gap + FLOOR, color, lw=1, label=None if seed else label)
    ax.axhline(1e-9, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="|CZ − ½WWᵀ|", ylim=(1e-17, 1e5))
    ax.legend(fontsize=8, loc="upper left")
    check.figure(fig, "The asymmetry of CZ along flows from zero weights.")


def control_symmetric_alignment_coloured_inputs(check):
    """Inputs of a random covariance."""
    symmetric_alignment(check, colour=True)


def cosine_path(Y, C):
    """Cosine of B with Wᵀ and tr(CZ) along the exact flow from zero, and times."""
    ts = np.geomspace(1e-3, 1e3, 200) / np.linalg.norm(C @ Y) ** (2 / 3)
    _, Z = exact.fa_from_zero(Y, C, ts)
    inner = np.einsum("ij,tji->t", C, Z)
    return ts, inner / np.linalg.norm(C) / np.linalg.norm(Z, axis=(1, 2)), inner


def cosine_case(seed, flat_spectrum=False):
    rng = np.random.default_rng(seed)
    C = rng.standard_normal((2, 2))
    Y = np.diag([10.0, 1.0])
    if flat_spectrum:  # all singular values of CY are the same
        Y = np.linalg.inv(C) @ np.linalg.qr(rng.standard_normal((2, 2)))[0]
    return cosine_path(Y, C)


def cosine_falls(check, flat_spectrum=False):
    runs = [cosine_case(seed, flat_spectrum) for seed in range(50)]
    falls = np.array([np.max(np.maximum.accumulate(cosine) - cosine) for _, cosine, _ in runs])
    what = "equal singular values of CY" if flat_spectrum else "Y = diag(10, 1)"
    on = f"the exact flow from zero, {what}, 50 Gaussian 2 × 2 C, seeds 0-49, 200 times"
    check.at_least("largest fall of the cosine", falls.max(), 0.3, fall=1e-3, on=on)
    if not flat_spectrum:
        gaps = []
        for seed, (_, cosine, _) in enumerate(runs):
            C, Y = np.random.default_rng(seed).standard_normal((2, 2)), np.diag([10.0, 1.0])
            begin = np.sum((C @ Y) ** 2) / np.linalg.norm(C) / np.linalg.norm(Y @ Y.T @ C.T)
            gaps.append(abs(cosine[0] - begin))
        none = f"{on}; the small times of the closed form, whose control falls: it has none here"
        check.at_most("|first cosine - |CY|²/(|C||YYᵀCᵀ|)|", np.max(gaps), 1e-5, fall=0.1, on=none)
    check.at_least(
        "share of C whose cosine falls by 0.01", np.mean(falls > 0.01), 0.15, fall=0, on=on
    )
    return runs, falls


def claim_cosine_falls(check):
    r"""The cosine between $C^\top$ and $Z$ need not grow, although $\operatorname{tr}(CZ)$ does.

    From zero weights it starts at $|CY|^2 / (|C|\,|YY^\top C^\top|)$ and falls in many cases; it is
    constant if all singular values of $CY$ are equal.  So alignment must not be tested by a
    growing cosine.

    Assumes: zero weights at the start, different singular values of CY.
    Source: derived in this project.
    Class: derived
    """
    runs, falls = cosine_falls(check)
    ts, cosine, inner = runs[np.argmax(falls)]
    fig, ax = panels()
    ax.semilogx(ts, cosine, "C0", label="cosine")
    ax.semilogx(ts, inner / inner[-1], "C1", label="tr(CZ) / its limit, which grows")
    ts, cosine, _ = cosine_case(1, True)
    ax.semilogx(ts, cosine, "C3", label="control: equal singular values of CY")
    ax.axhline(0, color="k", ls="--", lw=1, label="orthogonal")
    ax.set(xlabel=TIME, ylabel="cosine of Cᵀ and Z", ylim=(-0.05, 1.35))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "The cosine falls while the inner product grows.")


def control_cosine_falls_equal_singular_values(check):
    """All singular values of CY are equal: the cosine is constant."""
    cosine_falls(check, flat_spectrum=True)


# The loss may rise


@cache
def loss_rates(seed, case):
    """Times, loss and d log(loss)/dt along a flow of FA or FA*."""
    rng = np.random.default_rng(seed)
    n, m, k, r = {"random": (4, 4, 2, 2), "star": (5, 5, 2, 2)}.get(case, (3, 3, 3, 3))
    Y = rng.standard_normal((n, k)) @ rng.standard_normal((k, m)) / np.sqrt(k)
    C = rng.standard_normal((r, n))
    task, rule = ff.Task.factorisation(Y), ff.FA((C,))
    w0 = start(rng, rule, m, 1.0 if case in ("random", "star") else 0.0)
    T = 60 if case == "coloured" else 10
    if case == "coloured":
        S = np.diag([1.0, 0.05, 0.3])
        task = ff.Task(np.sqrt(S), Y @ np.sqrt(S))
    if case == "star":
        rule = ff.FAStar((C,))
        w0 = rule.settle(task, w0)
    sol = ff.integrate(rule, task, w0, np.linspace(0, T, 101), rtol=1e-9, atol=1e-11)
    losses = np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])
    rates = sol.measure(laws.loss_rate, task=task) / np.maximum(losses, 1e-12)
    return sol.ts, losses, rates


def loss_rises(check, cases):
    seeds = check.tier(quick=40, full=60)
    for case, said in cases:
        rates = [np.max(loss_rates(seed, case)[2]) for seed in range(seeds)]
        on = f"{said}, seeds 0-{seeds - 1}, 101 states each"
        check.at_least("largest d log(loss)/dt", np.max(rates), 0.1, fall=1e-6, on=on)
        check.at_least(
            "share of runs in which it is ever above 0.001",
            np.mean(np.array(rates) > 1e-3),
            0.1,
            fall=0.0,
            on=on,
        )


def claim_loss_rises(check):
    r"""The squared loss of FA and FA* is not monotone, although both converge.

    FA from random weights; FA* ($\dot L = -\operatorname{tr}(E^\top ZCE)$, of no sign); FA from
    zero weights if the inputs are not white.  From zero weights and white inputs it always falls.
    Taken from the exact rate at every saved state.  So a falling loss is no
    test of convergence.

    Assumes: nothing; it is a statement about what may happen.
    Source: derived in this project.
    Class: derived
    """
    cases = {
        "random": "FA from Gaussian weights, 4 × 4, rank 2, r = 2",
        "star": "FA*, 5 × 5, rank 2, r = 2",
        "coloured": "FA from zero, S = diag(1, .05, .3), 3 × 3",
    }
    loss_rises(check, cases.items())
    fig, ax = panels()
    for color, (case, label) in zip(("C0", "C1", "C2"), cases.items(), strict=True):
        worst = max(range(40), key=lambda seed: np.max(loss_rates(seed, case)[2][:60]))
        ts, losses, _ = loss_rates(worst, case)
        ax.plot(ts, losses / losses[0], color, label=label.partition(",")[0])
    ts, losses, _ = loss_rates(0, "white")
    ax.plot(ts, losses / losses[0], "C3", label="control: FA from zero, white inputs")
    ax.axhline(1, color="k", ls="--", lw=1, label="start")
    ax.set(xlabel=TIME, ylabel="loss / its start", xlim=(0, 10))
    ax.legend(fontsize=8)
    check.figure(fig, "Flows whose loss rises, and one whose loss cannot.")


def control_loss_rises_white_inputs_from_zero(check):
    """FA from zero weights with white inputs, where the exact solution falls."""
    loss_rises(check, [("white", "FA from zero, S = I, 3 × 3")])


# FA*


PANELS = np.array([0, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 80])
NODES, SHARES = np.polynomial.legendre.leggauss(12)  # integrates |CE|² to 3e-11, seeds 0-9


def starred(seed, kind=ff.FAStar, blind=False, T=80, scale=1.0, fitted=True):
    """A flow of FA* or FA from a least-squares Z, or from Z = 0, saved at Gauss-Legendre nodes."""
    task, rule, rng = problem(8, 7, 3, 4 if not blind else 3, seed)
    rule = blinded(rule, task.Y, 1) if blind else rule
    w0 = start(rng, rule, 7, scale)
    w0 = ff.FAStar(rule.B).settle(task, w0) if fitted else (w0[0], 0 * w0[1])
    inner = PANELS[:-1, None] + np.diff(PANELS)[:, None] / 2 * (1 + NODES)
    ts = np.concatenate([[0], inner[inner < T], [T]])
    return task, kind(rule.B), ff.integrate(kind(rule.B), task, w0, ts, rtol=1e-12, atol=1e-14)


def fa_star_laws(check, kind=ff.FAStar, fitted=True):
    seeds = check.tier(quick=3, full=10)
    drifts, gaps, bounds, energies = [], [], [], []
    for seed in range(seeds):
        task, rule, sol = starred(seed, kind, scale=1.0 if fitted else 0.05, fitted=fitted)
        C, Y = rule.B[0], task.Y
        G = sol.w[0] @ sol.w[0].transpose(0, 2, 1)
        drifts.append(np.max(np.linalg.norm(G - G[0], axis=(1, 2))))
        read = lambda rule, w, C=C, Y=Y: C @ Y @ w[0].T
        for k in range(0, 40, 8):
            F = C @ (Y - sol.w[1][k] @ sol.w[0][k])
            rate = ff.over_a_step(read, rule, task, sol.at(k)).coefficients[1]
            gaps.append(np.max(np.abs(rate - F @ F.T)) / max(1, np.max(np.abs(F)) ** 2))
        M = [np.trace(read(rule, sol.at(k))) for k in (0, -1)]
        told = np.sum((C @ (Y - sol.w[1] @ sol.w[0])) ** 2, axis=(1, 2))
        spent = np.sum(np.outer(np.diff(PANELS) / 2, SHARES).ravel() * told[1:-1])
        energies.append(abs(spent / (M[1] - M[0]) - 1))
        most = 2 * np.sum(np.linalg.svd(C @ Y, compute_uv=False)) * np.linalg.norm(sol.w[0][0], 2)
        bounds.append((M[1] - M[0]) / most)
    on = f"8 × 7, rank 3, r = 4, t ≤ 80, seeds 0-{seeds - 1}"
    if fitted:
        check.at_most("drift of G = WWᵀ", np.max(drifts), 1e-8, fall=1e-1, on=on)
        early = f"five states each, t ≤ 1, seeds 0-{seeds - 1}"
        check.at_most("|dM/dt - CEEᵀCᵀ|, M = CYWᵀ", np.max(gaps), 1e-9, fall=1e-2, on=early)
        value = check.worst(energies)
        check.at_most("|∫|CE|² / (tr M(T) - tr M(0)) - 1|", value, 1e-8, fall=1e-3, on=on)
    if kind is ff.FAStar or not fitted:
        value = check.worst(bounds)
        check.at_most("(tr M(T) - tr M(0)) / (2|CY|_* |W₀|₂)", value, 1.0, fall=2.0, on=on)


def claim_fa_star_laws(check):
    r"""FA* keeps $G = WW^\top$, and $M = CYW^\top$ grows in the Loewner order.

    $$ \dot G = 0,\qquad \dot M = CEE^\top C^\top \ge 0,\qquad
       \int_0^T |CE|^2\,dt = \operatorname{tr}M(T) - \operatorname{tr}M(0)
       \le 2\,\|CY\|_*\,\|W_0\|_2 $$

    Since $Z$ is the least-squares fit, $EW^\top = 0$ at all times.

    Assumes: W(0)W(0)ᵀ invertible; white inputs.
    Source: that alignment drives the convergence of FA* is asserted in Garg & Vempala (2021),
    abstract; the rule is a reconstruction, the laws are derived in this project.
    Class: derived
    """
    fa_star_laws(check)
    fig, (left, right) = panels(2)
    for kind, color, label in ((ff.FAStar, "C0", "FA*"), (ff.FA, "C3", "control: plain FA")):
        task, rule, sol = starred(0, kind, T=10)
        G = sol.w[0] @ sol.w[0].transpose(0, 2, 1)
        left.semilogy(sol.ts, np.linalg.norm(G - G[0], axis=(1, 2)) + FLOOR, color, label=label)
        M = rule.B[0] @ task.Y @ sol.w[0].transpose(0, 2, 1)
        steps = (np.diff(M, axis=0) + np.diff(M, axis=0).transpose(0, 2, 1)) / 2
        rates = np.linalg.eigvalsh(steps)[:, 0] / np.diff(sol.ts)
        right.plot(sol.ts[1:], rates, color, label=label)
    left.axhline(1e-8, color="k", ls="--", lw=1, label="bound")
    right.axhline(0, color="k", ls="--", lw=1, label="bound")
    left.set(xlabel=TIME, ylabel="|G(t) − G(0)|", ylim=(1e-17, 1e5))
    right.set(xlabel=TIME, ylabel="least eigenvalue of dM/dt (differences)")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    check.figure(fig, "The conserved G and the growing M.")


def control_fa_star_laws_plain_fa(check):
    """Z moves by feedback alignment in place of being fitted."""
    fa_star_laws(check, ff.FA)


def control_fa_star_laws_plain_fa_from_zero(check):
    """Feedback alignment from Z(0) = 0 and a W(0) of scale 0.05, which grows beyond the bound."""
    fa_star_laws(check, ff.FA, fitted=False)


def trace_gap(seed, orthonormal=True):
    """Largest |d tr(CZ)/dt - |CE|²| over |CE|², and the least rate, along FA*."""
    task, rule, rng = problem(8, 7, 3, 4, seed)
    W0, Z0 = start(rng, rule, 7, 1.0)
    W0 = np.linalg.qr(W0.T)[0].T if orthonormal else W0
    star = ff.FAStar(rule.B)
    sol = ff.integrate(star, task, star.settle(task, (W0, Z0)), np.linspace(0, 3, 31), rtol=1e-12)
    rates, told = [], []
    for w in (sol.at(k) for k in range(len(sol))):
        rates.append(np.trace(star.B[0] @ star(task, w)[1]))
        told.append(np.sum((star.B[0] @ (task.Y - w[1] @ w[0])) ** 2))
    rates, told = np.array(rates), np.array(told)
    return sol.ts, rates, told, np.max(np.abs(rates - told) / told)


def fa_star_trace(check, orthonormal=True):
    gaps = [trace_gap(seed, orthonormal)[-1] for seed in range(5)]
    value = np.max(gaps) if orthonormal else np.min(gaps)
    on = "8 × 7, rank 3, r = 4, 31 states each, t ≤ 3, seeds 0-4"
    check.at_most("|d tr(CZ)/dt - |CE|²| / |CE|²", value, 1e-7, fall=0.1, on=on)


def claim_fa_star_trace(check):
    r"""If the rows of $W(0)$ are orthonormal, $\operatorname{tr}(CZ)$ never falls along FA*.

    $$ \frac{d}{dt}\operatorname{tr}(CZ) = |CE|^2 $$

    In general it is $\operatorname{tr}(CZG)$ that grows so.

    Assumes: W(0)W(0)ᵀ = I; white inputs.
    Source: derived in this project.
    Class: derived
    """
    fa_star_trace(check)
    fig, ax = panels()
    for orthonormal, color, label in (
        (True, "C0", "orthonormal rows"),
        (False, "C3", "control: Gaussian W(0)"),
    ):
        for seed in range(2):
            ts, rates, told, _ = trace_gap(seed, orthonormal)
            ax.plot(ts, rates, color, lw=1.5, label=None if seed else label)
            ax.plot(ts, told, "k--", lw=1, label=None if seed or not orthonormal else "|CE|²")
    ax.set(xlabel=TIME, ylabel="rate of tr(CZ)", xlim=(0, 1.5))
    ax.set_yscale("symlog", linthresh=1)
    ax.legend(fontsize=8)
    check.figure(fig, "The rate of tr(CZ) along FA*, two problems each.")


def control_fa_star_trace_other_start(check):
    """Gaussian W(0)."""
    fa_star_trace(check, orthonormal=False)


def decayed(seed, kind=ff.FAStar, rate=0.2):
    """|G - e^{-2λt}G(0)| and |EWᵀ| along a flow with decay of the first layer."""
    task, rule, rng = problem(8, 7, 3, 4, seed)
    w0 = ff.FAStar(rule.B).settle(task, start(rng, rule, 7, 1.0))
    decay = rate if kind is ff.FAStar else (rate, 0)
    ts = np.linspace(0, 5, 51)
    sol = ff.integrate(kind(rule.B, decay=decay), task, w0, ts, rtol=1e-12, atol=1e-14)
    W, Z = sol.w
    G = W @ W.transpose(0, 2, 1)
    gap = np.linalg.norm(G - np.exp(-2 * rate * ts)[:, None, None] * G[0], axis=(1, 2))
    return ts, gap, np.linalg.norm((task.Y - Z @ W) @ W.transpose(0, 2, 1), axis=(1, 2))


def fa_star_decay(check, kind=ff.FAStar):
    runs = [decayed(seed, kind) for seed in range(3)]
    on = "8 × 7, rank 3, r = 4, λ = 0.2 in the first layer, t ≤ 5, seeds 0-2"
    gap, fit = (np.max([np.max(run[k]) for run in runs]) for k in (1, 2))
    check.at_most("|G - e^{-2λt}G(0)|", gap, 1e-8, fall=1e-1, on=on)
    check.at_most("|EWᵀ|", fit, 1e-8, fall=1e-1, on=on)


def claim_fa_star_decay(check):
    r"""With weight decay of $W$, FA* keeps its fit and $G = WW^\top$ falls as $e^{-2\lambda t}$.

    $\dot W = CE - \lambda W$, and $Z$ moves so that $EW^\top = 0$ lasts.

    Assumes: W(0)W(0)ᵀ invertible; white inputs.
    Source: derived in this project.
    Class: derived
    """
    fa_star_decay(check)
    fig, ax = panels()
    for kind, color, label in ((ff.FAStar, "C0", "FA*"), (ff.FA, "C3", "control: plain FA")):
        ts, gap, fit = decayed(0, kind)
        ax.semilogy(ts, gap + FLOOR, color, label=f"{label}: $|G - e^{{-2λt}}G(0)|$")
        ax.semilogy(ts, fit + FLOOR, color, ls=":", label=f"{label}: $|EW^⊤|$")
    ax.axhline(1e-8, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="gap", ylim=(1e-17, 1e9))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "Weight decay under FA*.")


def control_fa_star_decay_plain_fa(check):
    """Z moves by feedback alignment in place of being fitted."""
    fa_star_decay(check, ff.FA)


def fa_star_discrete(check, kind=ff.FAStar):
    gaps = []
    for seed in range(3):
        task, rule, rng = problem(8, 7, 3, 4, seed)
        w0 = ff.FAStar(rule.B).settle(task, start(rng, rule, 7, 1.0))
        sol = ff.iterate(kind(rule.B), task, w0, eta=0.01, steps=500)
        G, moved = sol.w[0] @ sol.w[0].transpose(0, 2, 1), np.diff(sol.w[0], axis=0)
        gaps.append(np.max(np.abs(np.diff(G, axis=0) - moved @ moved.transpose(0, 2, 1))))
    check.at_most(
        "|ΔG - η² FFᵀ|", np.max(gaps), 1e-12, fall=1e-3, on="3 runs of 500 steps, seeds 0-2"
    )
    return sol, G


def claim_fa_star_discrete(check):
    r"""A discrete step of FA* moves $G = WW^\top$ by exactly $\eta^2 FF^\top$, $F = CE$.

    Assumes: Z is fitted anew after every step; white inputs.
    Source: derived in this project.
    Class: derived
    """
    sol, G = fa_star_discrete(check)
    fig, ax = panels()
    moved = np.diff(sol.w[0], axis=0)
    squares = np.cumsum(np.sum(moved**2, axis=(1, 2)))
    drift = np.trace(G - G[0], axis1=1, axis2=2)
    ax.plot(sol.ts[1:], drift[1:], "C0", label="FA*: tr G − its start")
    ax.plot(sol.ts[1:], squares, "k--", lw=1, label="sum of squared steps")
    plain = ff.iterate(ff.FA(sol.rule.B), sol.task, sol.at(0), eta=0.01, steps=500)
    size = np.sum(plain.w[0] ** 2, axis=(1, 2))
    ax.plot(plain.ts, size - size[0], "C3", label="control: plain FA")
    ax.set(xlabel="η × steps (1/learning rate)", ylabel="change of tr WWᵀ")
    ax.set_yscale("symlog", linthresh=1e-2)
    ax.legend(fontsize=8)
    check.figure(fig, "The drift of G under discrete steps.")


def control_fa_star_discrete_plain_fa(check):
    """Z moves by feedback alignment in place of being fitted."""
    fa_star_discrete(check, ff.FA)


def fa_star_convergence(check, blind=False):
    seeds = check.tier(quick=4, full=10)
    ends = []
    for seed in range(seeds):
        task, _, sol = starred(seed, blind=blind, T=400)
        ends.append(np.linalg.norm(task.Y - sol.w[1][-1] @ sol.w[0][-1]))
    value = np.max(ends) if not blind else np.min(ends)
    on = f"8 × 7, rank 3, seeds 0-{seeds - 1}"
    check.at_most("|E| at t = 400", value, 1e-6, fall=1e-2, on=on)


def claim_fa_star_convergence(check):
    r"""FA* reaches $E = 0$ if $C$ is injective on $\operatorname{col}(Y)$.

    $\int|CE|^2$ is finite, hence $CE \to 0$; with $EW^\top = 0$ the rest follows.

    Assumes: C injective on col(Y); W(0)W(0)ᵀ invertible; white inputs.
    Source: Garg & Vempala (2021), abstract; the rule is a reconstruction.
    Class: derived
    """
    fa_star_convergence(check)
    fig, ax = panels()
    for blind, color, label in (
        (False, "C0", "FA*"),
        (True, "C3", "control: C blind to a direction"),
    ):
        for seed in range(3):
            task, _, sol = starred(seed, blind=blind)
            left = np.linalg.norm(task.Y - sol.w[1] @ sol.w[0], axis=(1, 2))
            ax.semilogy(sol.ts, left, color, lw=1, label=None if seed else label)
    ax.axhline(1e-6, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|Y − ZW|", ylim=(1e-12, 1e3))
    ax.legend(fontsize=8)
    check.figure(fig, "The residual along FA*.")


def control_fa_star_convergence_blind_feedback(check):
    """C u = 0 for a left singular vector u of Y."""
    fa_star_convergence(check, blind=True)


# Fewer columns than the rank


@cache
def sketched(seed, kind=ff.FA, colour=False, scale=0.5, blind=False):
    """The end of a flow with r below the rank: its map, Y, S, C."""
    n, m, k, r = (6, 6, 3, 3) if blind else (10, 9, 9, 3)
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, k)) @ rng.standard_normal((k, m)) / 3
    task, S, rule = ff.Task.factorisation(Y), np.eye(m), ff.FA((rng.standard_normal((r, n)),))
    rule = blinded(rule, Y, 1) if blind else rule
    if colour:
        S = np.diag(np.geomspace(0.2, 2, m))
        task = ff.Task(np.sqrt(S), Y @ np.sqrt(S))
    rule = kind(rule.B)
    W0, Z0 = start(rng, rule, m, scale)
    w0 = rule.settle(task, (W0, 0 * Z0 if blind else Z0))
    sol = ff.integrate(rule, task, w0, [0, 300], solver="radau", rtol=1e-8, atol=1e-11)
    return sol.w[1][-1] @ sol.w[0][-1], Y, S, rule.B[0]


def limit(check, cases):
    seeds = check.tier(quick=2, full=5)
    for said, options in cases.items():
        options = dict(options)
        formula = options.pop("formula", True)
        gaps = []
        for seed in range(seeds):
            product, Y, S, C = sketched(seed, **options)
            expected = exact.fa_limit(Y, C, S if formula and options.get("colour") else None)
            gaps.append(np.linalg.norm(product - expected) / np.linalg.norm(Y))
        on = f"{said}; r = 3, t = 300, seeds 0-{seeds - 1}"
        value = check.worst(gaps)
        check.at_most("|ZW - limit| / |Y|", value, 1e-7, fall=1e-2, on=on)


def claim_limit(check):
    r"""If $r < \operatorname{rank}(Y)$, FA and FA* converge to a random sketch of $Y$.

    $$ ZW \to Y S R^\top (R S R^\top)^{-1} R,\quad R = CY;\qquad
       S = I:\ \ ZW \to Y P_{\operatorname{row}(CY)} $$

    FA for every covariance $S$ of the inputs, FA* for $S = I$, where it is defined.  Not the best
    approximation of rank $r$.  The limit does not depend on the start; it is the range finder of
    randomised linear algebra without oversampling.

    Assumes: rank(CY) = r; S positive definite, and S = I for FA*.
    Source: that FA can be far from optimal for r < rank(Y) is asserted in Garg & Vempala (2021),
    abstract; the formula is derived in this project.
    Class: derived
    """
    starts = {f"FA, 10 × 9, a start of scale {s:g}": {"scale": s} for s in (0.01, 0.1, 0.5, 1.0)}
    others = {
        "FA*, 10 × 9": {"kind": ff.FAStar},
        "FA, inputs of covariance S": {"colour": True},
    }
    limit(check, starts | others)
    fig, ax = panels()
    for seed in range(5):
        product, Y, _, C = sketched(seed)
        best = np.sqrt(np.sum(np.linalg.svd(Y, compute_uv=False)[3:] ** 2))
        told = np.linalg.norm(Y - exact.fa_limit(Y, C))
        ax.plot(seed, np.linalg.norm(Y - product), "C0o", label="FA" if not seed else None)
        descent = sketched(seed, GradientInstead)[0]
        label = "control: gradient descent" if not seed else None
        ax.plot(seed, np.linalg.norm(Y - descent), "C3s", label=label)
        for value, style, name in ((told, "k_", "formula for FA"), (best, "k+", "best of rank 3")):
            ax.plot(seed, value, style, ms=14, label=name if not seed else None)
    ax.set(xlabel="problem (seed)", ylabel="|Y − ZW| at the end", xticks=range(5))
    ax.set_ylim(0, ax.get_ylim()[1] * 1.5)
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "The error left with r = 3, of 10 × 9 matrices of rank 9.")


def control_limit_gradient_descent(check):
    """The error returns through Zᵀ: the best approximation of rank r is reached."""
    limit(check, {"gradient descent": {"kind": GradientInstead}})


def control_limit_white_formula(check):
    """The formula for white inputs, on inputs that are not."""
    limit(
        check,
        {"FA, inputs of covariance S, the formula for S = I": {"colour": True, "formula": False}},
    )


def control_limit_rank_deficient(check):
    """rank(CY) < r with W(0) ≠ 0 and Z(0) = 0: the limit then depends on W(0)."""
    limit(check, {"FA, rank(CY) = 2 < r = 3": {"blind": True, "scale": 1.0}})


def near_optimal(check, adversary=False):
    """Mean squared error of the sketch over its bound, for spectra that decay below rank k'."""
    draws = check.tier(quick=400, full=4000)
    worst = []
    for r, tail in ((4, 1), (6, 3), (10, 5)):
        rng = np.random.default_rng(r)
        spectrum = np.concatenate([np.ones(tail), 0.05 * 0.7 ** np.arange(20 - tail)])
        left, right = (np.linalg.qr(rng.standard_normal((20, 20)))[0] for _ in range(2))
        Y = left * spectrum @ right.T
        errors = []
        for _ in range(draws):
            C = rng.standard_normal((r, 20))
            if adversary:
                C = C - C @ left[:, :1] @ left[:, :1].T
            errors.append(np.sum((Y - exact.fa_limit(Y, C)) ** 2))
        bound = (1 + tail / (r - tail - 1)) * np.sum(spectrum[tail:] ** 2)
        worst.append(np.mean(errors) / bound)
    check.at_most(
        "mean |Y - limit|² / bound",
        worst,
        1.0,
        fall=2.0,
        on=f"20 × 20, decaying tail, (r, k') = (4, 1), (6, 3), (10, 5), {draws} Gaussian C each",
    )
    return worst


def flat_tail(check, adversary=False, loosened=0):
    """The same for k' large singular values above a flat tail, where the bound is sharp.

    loosened: added to r - k' - 1, for a wrong bound.
    """
    n, sets, draws = check.tier(quick=(100, 10, 500), full=(200, 20, 500))
    for r, head in ((4, 1), (10, 5)):
        rng = np.random.default_rng([n, r])
        spectrum = np.concatenate([np.full(head, 1e3), np.ones(n - head)])
        left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
        Y, first = left * spectrum @ right.T, left[:, :1]
        bound = (1 + head / (r - head - 1 + loosened)) * (n - head)
        means = []
        for _ in range(sets):
            C = rng.standard_normal((draws, r, n))
            along, weights = C @ first, 1.0
            if adversary:
                C = C - along * first.T
            elif head == 1:
                # |Cu₁|^-2 has no variance: |Cu₁|², of χ²(r), by weighed draws of χ²(r - 2)
                strata = (np.arange(draws) + rng.random(draws)) / draws
                squares = chi2.ppf(strata, r - 2)
                longer = np.sqrt(squares) / np.linalg.norm(along, axis=(1, 2))
                C = C + (longer[:, None, None] - 1) * along * first.T
                weights = squares / (r - 2)
            rows = np.linalg.qr((C @ Y).transpose(0, 2, 1))[0]
            errors = np.sum(Y**2) - np.sum((Y @ rows) ** 2, axis=(1, 2))
            means.append(np.mean(weights * errors) / bound)
        mean = np.mean(means)
        half = student.ppf(0.975, sets - 1) * np.std(means, ddof=1) / np.sqrt(sets)
        on = (
            f"{n} × {n}, singular values 10³ and 1, (r, k') = ({r}, {head}), {sets} × {draws}"
            f" Gaussian C; mean {mean:.4f} ± {half:.4f} (95 %)"
        )
        value = mean + half if not check.control else mean - half
        check.at_most("confidence limit of mean |Y - limit|² / bound", value, 1.0, fall=1.02, on=on)
        if not loosened:
            sharp = (n - r) / (n - head)
            check.equal("mean / bound - (n - r)/(n - k')", mean - sharp, 0, tol=0.03, fall=1, on=on)


def claim_near_optimal(check):
    r"""With Gaussian feedback FA is near-optimal where the spectrum of $Y$ decays.

    $$ \mathbb{E}\,|Y - \lim ZW|^2
       \le \left(1 + \frac{k'}{r - k' - 1}\right) \sum_{j > k'} \sigma_j^2,\quad k' < r - 1 $$

    The limit of FA is the randomised range finder, so its bound applies.  For $k'$ singular values
    far above $n - k'$ equal ones the mean is $\tfrac{n-r}{n-k'}$ of the bound, so that it is sharp
    as $n \to \infty$.

    Assumes: C Gaussian and independent of Y; white inputs; k' ≤ r - 2.
    Source: the bound is that of Halko, Martinsson & Tropp (2011), recalled; that it speaks of FA,
    and is sharp, is derived in this project.
    Class: derived
    """
    seen = near_optimal(check)
    flat_tail(check)
    fig, ax = panels()
    ax.bar(np.arange(3) - 0.2, seen, 0.4, color="C0", label="FA, Gaussian C")
    blinded_C = near_optimal(type(check)(), adversary=True)
    ax.bar(np.arange(3) + 0.2, blinded_C, 0.4, color="C3", label="control: C blind to σ₁")
    ax.axhline(1, color="k", ls="--", lw=1, label="bound")
    ax.set(
        xticks=range(3),
        xlabel="sizes (r, k')",
        ylabel="mean squared error / bound",
        yscale="log",
        ylim=(0.05, 1e4),
    )
    ax.set_xticklabels(["(4, 1)", "(6, 3)", "(10, 5)"])
    ax.legend(fontsize=8)
    check.figure(fig, "The mean squared error of the limit over its bound.")


def control_near_optimal_adversary(check):
    """C is orthogonal to the first singular vector of Y, so not independent of it."""
    near_optimal(check, adversary=True)
    flat_tail(check, adversary=True)


def control_near_optimal_smaller_bound(check):
    """k'/(r - k') in the bound: a wrong one, to show that the measurement tells."""
    flat_tail(check, loosened=1)


# The separation from gradient descent


def separated(n, r, kappa, seed, favourable=False):
    """Y = diag(1_r, ε 1_{n-r}) with (n - r)ε² = κr, Gaussian C; FA's squared error."""
    eps = np.sqrt(kappa * r / (n - r))
    C = np.random.default_rng([seed, n, r]).standard_normal((r, n))
    C = np.eye(r, n) if favourable else C
    tau = np.linalg.svd(eps * np.linalg.solve(C[:, :r], C[:, r:]), compute_uv=False)
    squares = np.sum(tau**2 / (1 + tau**2))
    return np.diag([1.0] * r + [eps] * (n - r)), C, (n - r) * eps**2 + (1 - eps**2) * squares


def separation(check, favourable=False, kind=ff.FA):
    gaps, ratios = [], []
    for seed in range(check.tier(quick=3, full=10)):
        Y, C, said = separated(12, 2, 0.1, seed, favourable)
        task, rule = ff.Task.factorisation(Y), kind((C,))
        w0 = start(np.random.default_rng(seed), rule, 12, 0.3)
        sol = ff.integrate(rule, task, w0, [0, 1000, 2000], solver="radau", rtol=1e-9, atol=1e-11)
        error = np.sum((Y - sol.w[1][-1] @ sol.w[0][-1]) ** 2)
        gaps.append(abs(error - said) / said)
        ratios.append(error / 0.2)
    on = f"flows, 12 × 12, r = 2, κ = 0.1, seeds 0-{len(gaps) - 1}, t = 2000"
    value = check.worst(gaps)
    if not favourable:
        check.at_most("|error² of the flow / formula - 1|", value, 1e-6, fall=0.1, on=on)
    check.at_least(
        "mean error² of FA over that of the best", np.mean(ratios), 1.5, fall=1.01, on=on
    )
    return ratios


def claim_separation(check):
    r"""FA's error can exceed that of gradient descent by any factor: an explicit family.

    $$ Y = \operatorname{diag}(1_r, \varepsilon 1_{n-r}):\qquad
       |E|_{FA}^2 = (n-r)\varepsilon^2 + (1-\varepsilon^2)\sum_j \frac{\tau_j^2}{1+\tau_j^2},\qquad
       |E|_{GD}^2 = (n-r)\varepsilon^2 $$

    $\tau_j$ are the singular values of $\varepsilon C_1^{-1}C_2$, $C = [C_1\ C_2]$.  About
    typical $C$: with $C = [I\ 0]$ both errors are the same.

    Assumes: C Gaussian; white inputs; 0 < ε < 1; r < n.
    Source: that there is a separation is asserted in Garg & Vempala (2021), abstract; the family
    and its constants are derived in this project.
    Class: derived
    """
    seen = separation(check)
    fig, ax = panels()
    for k in range(len(seen)):
        _, _, said = separated(12, 2, 0.1, k)
        ax.plot(k, said / 0.2, "k_", ms=18, label=None if k else "formula")
    ax.plot(seen, "C0o", label="FA, Gaussian C")
    best = separation(type(check)(), kind=GradientInstead)
    ax.plot(best, "C3s", label="control: gradient descent")
    ax.axhline(1, color="k", ls="--", lw=1, label="best of rank r")
    ax.set(
        xlabel="draw of C (seed)",
        ylabel="squared error / that of the best",
        xticks=range(len(seen)),
    )
    ax.legend(fontsize=8)
    check.figure(fig, "Squared errors at the end of flows, κ = 0.1.")


def control_separation_favourable_feedback(check):
    """C = [I 0]: FA reaches the best approximation."""
    separation(check, favourable=True)


def control_separation_gradient_descent(check):
    """The error returns through Zᵀ."""
    separation(check, kind=GradientInstead)


def one_column(kappa):
    """E[s/(s + c²)] at s = κ for a Gaussian c: (ratio - 1) κ for r = 1 and n → ∞."""
    return np.sqrt(np.pi * kappa / 2) * erfcx(np.sqrt(kappa / 2))


def ratio_one_column(kappa, seed, favourable=False, n=2000, draws=20_000):
    """Mean squared error ratio at r = 1 over Gaussian C, its first entry by stratified draws."""
    rng = np.random.default_rng([seed, 1])
    first = norm.ppf((np.arange(draws) + rng.random(draws)) / draws) ** 2
    others = rng.chisquare(n - 1, draws)
    if favourable:  # C = [I 0]
        first, others = np.ones(draws), np.zeros(draws)
    eps2 = kappa / (n - 1)
    share = eps2 * others / (eps2 * others + first)
    return 1 + np.mean((1 - eps2) * share) / kappa


KAPPAS = np.geomspace(1e-6, 1e-3, 7)


def unbounded(check, favourable=False):
    seeds = check.tier(quick=10, full=40)
    ratios = np.array(
        [[ratio_one_column(k, seed, favourable) for k in KAPPAS] for seed in range(seeds)]
    )
    check.scaling(
        "power of κ in the error ratio, r = 1",
        KAPPAS,
        ratios,
        -0.5,
        within=0.05,
        fall=0.4,
        average="mean",
        on=f"formula, n = 2000, 20,000 stratified Gaussian C each, seeds 0-{seeds - 1}",
    )
    large = (0.01, 0.1, 1.0)
    means = [*ratios.mean(0)]
    means += [np.mean([ratio_one_column(k, s, favourable) for s in range(10)]) for k in large]
    kappas = np.array([*KAPPAS, *large])
    off = np.abs(np.array(means) * kappas / (kappas + one_column(kappas)) - 1)
    value = check.worst(off)
    on = "the same, and κ = 0.01, 0.1, 1 with seeds 0-9"
    check.at_most("|mean ratio / formula - 1|, r = 1", value, 5e-3, fall=0.3, on=on)
    return ratios


def wide_ratios(r, kappa, draws):
    """The ratio at n → ∞ for r columns: 1 + Σ 1/(κ + s/r) / r, s the spectrum of C₁C₁ᵀ.

    A Gaussian matrix is, up to rotations, bidiagonal with entries of chi distribution.  The sum is
    the logarithmic derivative of det(κr + C₁C₁ᵀ), the product of the pivots.
    """
    rng = np.random.default_rng(r)
    own = rng.chisquare(np.arange(r, 0, -1), (draws, r)).T
    below = rng.chisquare(np.arange(r - 1, 0, -1), (draws, r - 1)).T
    pivot, slope = own[0] + kappa * r, np.ones(draws)
    total = slope / pivot
    for k in range(1, r):
        across = own[k - 1] * below[k - 1] / pivot
        slope = 1 + across * slope / pivot
        pivot = own[k] + below[k - 1] + kappa * r - across
        total += slope / pivot
    return 1 + total


RANKS = np.array([20, 200, 2000, 20000])


def wide_formula(kappa):
    return 0.5 + 0.5 * np.sqrt(1 + 4 / kappa)


def wide_limit(check, formula=wide_formula):
    """The ratios at κ = 1, the last of two."""
    draws = check.tier(quick=40, full=200)
    for kappa in (4.0, 1.0):
        ratios = np.array([wide_ratios(r, kappa, draws) for r in RANKS]).T
        check.scaling(
            "power of r in |error ratio - limit|",
            RANKS,
            ratios - formula(kappa),
            -1.0,
            within=0.15,
            fall=0.4,
            on=f"κ = {kappa:g}, n → ∞, {draws} draws of each r, seeded by r",
        )
    return ratios


def twenty_columns(check, next_order=True):
    """Mean ratios at r = 20 against the limit of large r and its next order."""
    draws, kappas = check.tier(quick=4000, full=20_000), np.array([1, 0.1, 0.01])
    means = np.array([np.mean(wide_ratios(20, kappa, draws)) for kappa in kappas])
    middle = 1 / np.sqrt(kappas * (kappas + 4)) / 2
    added = ((1 / kappas + 1 / (kappas + 4)) / 4 - middle) / 20
    said = wide_formula(kappas) + next_order * added
    on = f"κ = 1, 0.1, 0.01, n → ∞, {draws} draws, seed 20; the worst of the three"
    name = "|mean ratio / (limit + next order) - 1|, r = 20"
    check.at_most(name, np.abs(means / said - 1), 0.03, fall=0.06, on=on)


def claim_unbounded(check):
    r"""The mean ratio of FA's error to that of gradient descent is unbounded.

    $$ r = 1:\ 1 + \sqrt{\tfrac{\pi}{2\kappa}}\,e^{\kappa/2}
       \operatorname{erfc}\sqrt{\tfrac{\kappa}{2}},
       \qquad r \to \infty:\ \tfrac12 + \tfrac12\sqrt{1 + 4/\kappa} $$

    $\kappa r = (n-r)\varepsilon^2$ and $n \to \infty$ in the family of the separation; the golden
    ratio at $\kappa = 1$.  The limit of large $r$ is reached as $1/r$, and the mean to the next
    order adds $\tfrac1r\left(\tfrac1{4\kappa} + \tfrac1{4(\kappa+4)}
    - \tfrac1{2\sqrt{\kappa(\kappa+4)}}\right)$.

    Assumes: C Gaussian; white inputs; 0 < ε < 1.
    Source: derived in this project; the next order by the central limit theorem of Bai &
    Silverstein (2004), recalled.
    Class: derived
    """
    ratios = unbounded(check)
    wide = wide_limit(check)
    twenty_columns(check)
    said = 1 + one_column(KAPPAS) / KAPPAS
    fig, (left, right) = panels(2)
    left.loglog(KAPPAS, ratios.T, "C0.", ms=3)
    left.plot([], [], "C0.", label="mean over 20,000 C")
    left.loglog(KAPPAS, said, "k--", lw=1, label="formula")
    favourable = [ratio_one_column(kappa, 0, True) for kappa in KAPPAS]
    left.loglog(KAPPAS, favourable, "C3", label="control: C = [I 0]")
    left.set(xlabel="κ", ylabel="error² ratio FA / GD, r = 1", ylim=(0.5, 1e4))
    left.legend(fontsize=8)
    golden = (1 + np.sqrt(5)) / 2
    right.loglog(RANKS, np.abs(wide - golden).T + FLOOR, "C0.", ms=4)
    right.plot([], [], "C0.", label="|ratio − golden ratio|")
    right.loglog(RANKS, 0.6 / RANKS, "k--", lw=1, label="slope −1")
    right.loglog(RANKS, np.abs(wide - np.sqrt(2)).T, "C3.", ms=4)
    right.plot([], [], "C3.", label="control: |ratio − √2|")
    right.set(xlabel="r", ylabel="distance of the error² ratio, κ = 1", ylim=(1e-6, 10))
    right.legend(fontsize=8)
    check.figure(fig, "The error ratio against κ for r = 1, and its limit for large r at κ = 1.")


def control_unbounded_favourable_feedback(check):
    """C = [I 0], whose ratio is 1 for every κ."""
    unbounded(check, favourable=True)


def control_unbounded_other_limit(check):
    """√(1 + 1/κ) for large r: a wrong limit, to show that the measurement tells."""
    wide_limit(check, formula=lambda kappa: np.sqrt(1 + 1 / kappa))


def control_unbounded_next_order_left_out(check):
    """The limit alone at r = 20, too small by 8 % at κ = 0.01: a wrong formula there."""
    twenty_columns(check, next_order=False)


# Representations


def limits_apart(sigma, C):
    """Cosines of FA's and GD's row spaces in the limit, and FA's error² over GD's less 1.

    sigma: the singular values of a diagonal Y, the first len(C) of them equal and the largest, the
    others 1.
    """
    r, n = C.shape
    cosines = laws.principal_angles(np.eye(r, n), C * sigma)
    return cosines, (sigma[0] ** 2 - 1) * np.sum(1 - cosines**2) / (n - r)


def representation_overlap(check, same=False):
    """Flows of FA and GD on Y of almost equal singular values, against their limits."""
    n, r, gap = 40, 2, 0.5
    sigma = np.array([1 + gap] * r + [1.0] * (n - r))
    task = ff.Task.factorisation(np.diag(sigma))
    angles, excesses = [], []
    for seed in range(check.tier(quick=3, full=8)):
        rng = np.random.default_rng(seed)
        rule = ff.FA((rng.standard_normal((r, n)) / np.sqrt(r),))
        ends = []
        for kind in (ff.FA, ff.FA) if same else (ff.FA, GradientInstead):
            w0 = start(rng, rule, n, 0.1)
            sol = ff.integrate(
                kind(rule.B), task, w0, [0, 150, 300], solver="dop853", rtol=1e-7, atol=1e-9
            )
            ends.append(sol.at(-1))
        seen = laws.principal_angles(ends[0][0], ends[1][0])
        errors = [np.sum((task.Y - Z @ W) ** 2) for W, Z in ends]
        cosines, excess = limits_apart(sigma, rule.B[0])
        angles.append(np.max(np.abs(seen - cosines)))
        excesses.append(abs(errors[0] / errors[1] - 1 - excess))
    on = f"40 × 40, r = 2, singular values 1.5 and 1, t = 300, seeds 0-{len(angles) - 1}"
    worst = np.max if not same else np.min
    check.at_most("|cosines of FA and GD - of the limits|", worst(angles), 1e-8, fall=0.1, on=on)
    name = "|error² of FA / error² of GD - of the limits|"
    check.at_most(name, worst(excesses), 1e-8, fall=1e-2, on=on)


def row_overlap(n, r, gap, seed, top=False):
    """Mean cos² between FA's and GD's row spaces and the error ratio less 1, of the limits.

    gap: δ, or None for (1 + δ)² = n.
    """
    C = np.random.default_rng([seed, n]).standard_normal((r, n))
    if top:  # the feedback reads what gradient descent learns
        C[:, r:] = 0
    first = np.sqrt(n) if gap is None else 1 + gap
    cosines, excess = limits_apart(np.concatenate([np.full(r, first), np.ones(n - r)]), C)
    return np.mean(cosines**2), excess


NS = np.array([20, 200, 2000, 20000])


def representations(check, gap=0.1, top=False):
    seeds = check.tier(quick=30, full=200)
    seen = np.array([[row_overlap(n, 3, gap, s, top) for n in NS] for s in range(seeds)])
    size = "√n" if gap is None else f"{1 + gap:g}"
    on = f"r = 3, singular values {size} and 1, Gaussian C, seeds 0-{seeds - 1}"
    said = {"within": 0.1, "fall": 0.5, "average": "mean", "on": on}
    check.scaling("power of n in the mean cos²", NS, seen[..., 0], -1.0, **said)
    if not top:
        check.scaling("power of n in error² ratio - 1", NS, seen[..., 1], -1.0, **said)
    if gap is not None:
        bound = 3 * (1 + gap) ** 2 / (NS + 3 * ((1 + gap) ** 2 - 1))
        ratios = seen[..., 0] / bound
        error = np.std(ratios, axis=0, ddof=1) / np.sqrt(seeds)
        lower = np.mean(ratios, axis=0) - student.ppf(0.975, seeds - 1) * error
        name = "lower 95 % limit of mean cos² / its bound"
        value = np.max(lower) if not top else np.min(lower)
        check.at_most(name, value, 1.0, fall=3.0, on=f"{on}; n = 20, 200, 2000, 20000")
        off = np.abs(np.mean(ratios, axis=0) - 1)[1:]
        value, name = np.max(off) if not top else np.min(off), "|mean cos² / its bound - 1|"
        on = f"{on}; that it is sharp, n = 200, 2000, 20000"
        check.at_most(name, value, 0.25, fall=3.0, on=on)
    return seen


def claim_representations(check):
    r"""FA and GD learn almost orthogonal representations at almost equal error, of large $Y$.

    $$ Y = \operatorname{diag}((1+\delta)1_r, 1_{n-r}):\qquad
       \mathbb{E}\,\overline{\cos^2\theta} \le
       \frac{(1+\delta)^2\,r}{n + (2\delta+\delta^2)\,r},\qquad
       \frac{|E|^2_{FA}}{|E|^2_{GD}} - 1
       = \frac{(2\delta+\delta^2)\sum\sin^2\theta}{n-r} $$

    GD represents the first $r$ coordinates, FA the row space of $CY$, at principal angles
    $\theta$.  For $\delta = 0$ the mean of $\overline{\cos^2\theta}$ over $C$ is $r/n$, as no
    coordinate is preferred; a concave function of that gives the bound, which is sharp as
    $n \to \infty$.  "Almost orthogonal" is this decay as $r/n$, not a bound at one size: that
    flows end at these limits is seen for $n = 40$, the powers over three decades of $n$.

    Assumes: C Gaussian; white inputs; δ > 0 fixed.
    Source: that representations can be almost orthogonal is asserted in Garg & Vempala (2021),
    abstract; the family, the bound and the rates are derived in this project.
    Class: derived
    """
    representation_overlap(check)
    seen = representations(check)
    fig, ax = panels()
    ax.loglog(NS, seen[:, :, 0].mean(0), "C0o-", label="mean cos² of FA with GD")
    ax.loglog(NS, seen[:, :, 1].mean(0), "C1s-", label="error² ratio − 1")
    ax.loglog(NS, 3 * 1.21 / (NS + 3 * 0.21), "k--", lw=1, label="bound of the mean cos²")
    top = np.mean([[row_overlap(n, 3, 0.1, s, True)[0] for n in NS] for s in range(3)], axis=0)
    ax.loglog(NS, top, "C3v-", label="control: C reads the first r coordinates")
    ax.set(xlabel="size n", ylabel="mean over draws of C", ylim=(1e-6, 30))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "Overlap of the representations and excess of the error, r = 3.")


def control_representations_two_runs_of_one_feedback(check):
    """Two FA runs with the same C from different starts."""
    representation_overlap(check, same=True)


def control_representations_feedback_from_the_first_coordinates(check):
    """C reads the coordinates that GD learns."""
    representations(check, top=True)


def control_representations_growing_singular_values(check):
    """The first singular values grow as √n: δ is not fixed, and neither limit is near."""
    representations(check, gap=None)


# Any covariance


def every_covariance(check, blind=False):
    seeds = check.tier(quick=4, full=20)
    ends = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        Y, C = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
        rule = blinded(ff.FA((C,)), Y, 0) if blind else ff.FA((C,))
        task, _ = coloured(ff.Task.factorisation(Y), rng, 12)
        w0 = start(rng, rule, 4, [0.0, 0.5, 2.0][seed % 3])
        sol = ff.integrate(rule, task, w0, [0, 1e3, 1e4], solver="radau", rtol=1e-8, atol=1e-11)
        ends.append(np.linalg.norm(Y - sol.w[1][-1] @ sol.w[0][-1]))
    value = np.max(ends) if not blind else np.min(ends)
    on = f"3 × 4, r = 3, random S, starts of scale 0, 0.5, 2, seeds 0-{seeds - 1}, t = 10⁴"
    check.at_most("|Y - ZW| at the end", value, 1e-6, fall=1e-2, on=on)


def seen_part(check, blind=False):
    """Noisy targets, and fewer samples than inputs: what the samples show is learned."""
    cases = (("noisy targets", 12, 0.5), ("singular S", 3, 0.0))
    for name, samples, noise in cases:
        ends, seeds = [], range(1 if blind else 4)
        for seed in seeds:
            rng = np.random.default_rng([seed, samples])
            Y, C = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
            X = rng.standard_normal((4, samples)) / np.sqrt(samples)
            task = ff.Task(X, Y @ X + noise * rng.standard_normal((3, samples)))
            best = task.Y @ np.linalg.pinv(X) @ X
            rule = blinded(ff.FA((C,)), task.Y, 0) if blind else ff.FA((C,))
            w0 = start(rng, rule, 4, 0.0 if blind else 0.3)  # or Z fits by itself
            sol = ff.integrate(rule, task, w0, [0, 1e4], solver="radau", rtol=1e-8, atol=1e-11)
            ends.append(np.linalg.norm(best - sol.w[1][-1] @ sol.w[0][-1] @ X))
        value = np.max(ends) if not blind else np.min(ends)
        on = f"{name}: 3 × 4, r = 3, {samples} samples, seeds 0-{seeds[-1]}, t = 10⁴"
        check.at_most("|(regression matrix - ZW)X| at the end", value, 1e-6, fall=1e-2, on=on)


def claim_every_covariance(check):
    r"""Two-layer linear networks learn a linear target under FA, for inputs of any covariance.

    $E\|y - ZWx\|^2$ with $y = Yx$ is the factorisation problem weighted by $S$.  White inputs are
    needed less than the abstract suggests: the laws $Q$ and $\Phi$ are proved for every $S$, so
    $CES^{1/2} \to 0$.  With noisy targets $Y$ is their regression matrix, and with a singular $S$
    what the samples show of it is learned.

    Assumes: S positive definite; C injective on col(Y).
    Source: isotropic inputs and a linear target in Garg & Vempala (2021), abstract; every S is
    derived in this project.
    Class: derived
    """
    check.proved(ff.prove(laws.feedback_balance, ff.FA, loss="squared"))
    check.proved(ff.prove(laws.lyapunov, ff.FA, loss="squared", rate=laws.lyapunov_rate))
    every_covariance(check)
    seen_part(check)
    fig, ax = panels()
    for blind, color, label in (
        (False, "C0", "C injective"),
        (True, "C3", "control: C blind to σ₁"),
    ):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            Y, C = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
            rule = blinded(ff.FA((C,)), Y, 0) if blind else ff.FA((C,))
            task, _ = coloured(ff.Task.factorisation(Y), rng, 12)
            ts = np.concatenate([[0], np.geomspace(1e-2, 1e4, 60)])
            sol = ff.integrate(rule, task, start(rng, rule, 4, 0.5), ts, solver="radau", rtol=1e-8)
            left = np.linalg.norm(Y - sol.w[1] @ sol.w[0], axis=(1, 2))
            ax.loglog(ts[1:], left[1:] + FLOOR, color, lw=1, label=None if seed else label)
    ax.axhline(1e-6, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|Y − ZW|", ylim=(1e-17, 1e2))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The residual along flows with random covariances.")


def control_every_covariance_blind_feedback(check):
    """C u = 0 for the first left singular vector u of Y."""
    every_covariance(check, blind=True)
    seen_part(check, blind=True)


def isotropic_loss(check, case="white"):
    seeds = check.tier(quick=30, full=60)
    rates = [np.max(loss_rates(seed, case)[2]) for seed in range(seeds)]
    check.at_most(
        "largest d log(loss)/dt from zero weights",
        np.max(rates),
        1e-9,
        fall=1e-2,
        on=f"3 × 3, r = 3, seeds 0-{seeds - 1}, 101 states each",
    )


def claim_isotropic_loss(check):
    r"""From zero weights and with white inputs the loss of FA never rises.

    $$ E = Y\left(I - R\,\operatorname{diag}(u^3)\,R^\top\right),\quad \dot u_i \ge 0 $$

    Taken from the exact rate of the loss at every saved state.

    Assumes: zero weights at the start; S = I.
    Source: derived in this project.
    Class: derived
    """
    isotropic_loss(check)
    fig, ax = panels()
    sets = (("white", "C0", "S = I"), ("coloured", "C3", "control: S = diag(1, .05, .3)"))
    for case, color, label in sets:
        for seed in range(30):
            ts, losses, _ = loss_rates(seed, case)
            rise = losses / np.minimum.accumulate(losses)
            rise = np.where(losses > 1e-12, rise, 1.0)
            ax.plot(ts, rise, color, lw=1, label=None if seed else label)
    ax.axhline(1, color="k", ls="--", lw=1, label="never above")
    ax.set(xlabel=TIME, ylabel="loss / its least value so far")
    ax.legend(fontsize=8)
    check.figure(
        fig, "How far the loss rises above its least value, along thirty flows from zero weights."
    )


def control_isotropic_loss_coloured_inputs(check):
    """S = diag(1, .05, .3)."""
    isotropic_loss(check, "coloured")


# Stability of the global minima


def minimum(seed, aligned):
    """A task with a global minimum (W, Z) of it, stable or not by the sign of `aligned`."""
    rng = np.random.default_rng(seed)
    W, Z = rng.standard_normal((3, 3)), rng.standard_normal((2, 3))
    C = aligned * Z.T + 0.3 * rng.standard_normal((3, 2))
    return ff.Task.factorisation(Z @ W), ff.FA((C,)), (W, Z)


def predicted(rule, w):
    """-(λ_i(ZC) + s_j(W)²): the spectrum of FA at a global minimum, white inputs."""
    W, Z = w
    return -np.add.outer(np.linalg.eigvals(Z @ rule.B[0]), np.linalg.eigvalsh(W.T @ W)).ravel()


def jacobian(rule, task, w, h=1e-4):
    """Of the velocity, by central differences of fourth order: exact for cubic velocities."""
    shapes, x = [M.shape for M in w], flat(w)
    cut = np.cumsum([M.size for M in w])[:-1]
    velocity = lambda x: flat(
        rule(task, tuple(p.reshape(s) for p, s in zip(np.split(x, cut), shapes, strict=True)))
    )
    columns = []
    for e in np.eye(len(x)):
        d1, d2 = (velocity(x + k * h * e) - velocity(x - k * h * e) for k in (1, 2))
        columns.append((8 * d1 - d2) / (12 * h))
    return np.array(columns).T


def stability(check, kind=ff.FA):
    distances, rates = [], []
    for seed in range(8):
        for aligned in (0.5, -1.5):
            task, rule, w = minimum(seed, aligned)
            J = jacobian(kind(rule.B), task, w)
            found, said = np.linalg.eigvals(J), predicted(rule, w)
            scale = np.max(np.abs(said))
            distances.append(np.max([np.min(np.abs(found - value)) for value in said]) / scale)
            top = np.max(said.real)
            if top > 0.1:
                rates.append((growth(kind(rule.B), task, w, J, top), top))
    value = check.worst(distances)
    on = "16 minima, Z 2 × 3, W 3 × 3, seeds 0-7"
    check.at_most("distance of -(λ_i(ZC) + s_j²) from the spectrum", value, 1e-7, fall=1e-2, on=on)
    gaps = [abs(seen - said) / said for seen, said in rates]
    value = check.worst(gaps)
    on = f"{len(rates)} unstable minima of the 16"
    check.at_most("|growth along the flow / predicted - 1|", value, 0.02, fall=0.5, on=on)


def growth(rule, task, w, J, rate):
    """The rate at which a perturbation grows along the most unstable mode, in a time of 3/rate.

    Its share of that mode is told by the left eigenvector, so that a rotation does not matter.
    """
    values, left, right = eig(J, left=True)
    top = np.argmax(values.real)
    direction = np.real(right[:, top])
    cut = np.cumsum([M.size for M in w])[:-1]
    parts = [p.reshape(M.shape) for p, M in zip(np.split(1e-7 * direction, cut), w, strict=True)]
    w0 = tuple(M + p for M, p in zip(w, parts, strict=True))
    sol = ff.integrate(rule, task, w0, [0, 3 / rate], rtol=1e-12, atol=1e-14)
    shares = [abs(left[:, top].conj() @ (flat(sol.at(k)) - flat(w))) for k in (0, 1)]
    return np.log(shares[1] / shares[0]) * rate / 3


def stays(check, kind=GradientInstead):
    """How far the weights move from unstable minima of FA, over the distance they start at."""
    moved = []
    for seed in range(8):
        task, rule, w = minimum(seed, -1.5)
        top = np.max(predicted(rule, w).real)
        if top < 0.1:
            continue
        rng = np.random.default_rng([seed, 7])
        away = tuple(1e-4 * rng.standard_normal(M.shape) for M in w)
        w0 = tuple(M + d for M, d in zip(w, away, strict=True))
        sol = ff.integrate(kind(rule.B), task, w0, np.linspace(0, 20 / top, 41))
        far = [np.linalg.norm(flat(sol.at(k)) - flat(w)) for k in range(len(sol))]
        moved.append(np.max(far) / np.linalg.norm(flat(away)))
    value = check.worst(moved)
    on = f"{len(moved)} unstable minima of FA, starts at 1e-4, times of 20 over the rate, seeds 0-7"
    name = "gradient descent: largest distance from the minimum over that at the start"
    check.at_most(name, value, 2.0, fall=200.0, on=on)


def claim_unstable_minima(check):
    r"""A global minimum need not be stable under FA.

    $$ \dot E = -ZCE - EW^\top W \quad\Rightarrow\quad
       \text{spectrum } -\left(\lambda_i(ZC) + s_j(W)^2\right) \text{ at } E = 0 $$

    Unstable if some $\operatorname{Re}\lambda_i(ZC) + s_j(W)^2 < 0$, and $E$ decays to first order
    if all are positive; zero decides nothing.  Under gradient descent every minimum is stable or
    neutral.  Compared with the eigenvalues of the velocity's
    Jacobian, and with growth along flows.

    Assumes: E = 0; white inputs.
    Source: derived in this project.
    Class: derived
    """
    stability(check)
    stays(check)
    fig, ax = panels()
    task = ff.Task.factorisation([[0.5]])
    cases = (
        (ff.FA(([[1.0]],)), (-1.0, -0.5), "C0", "FA at (−1, −.5): eigenvalue +.75"),
        (ff.FA(([[1.0]],)), (-0.5, -1.0), "C1", "FA at (−.5, −1): eigenvalue −.5"),
        (ff.GD(), (-1.0, -0.5), "C3", "control: gradient descent at (−1, −.5)"),
    )
    ts = np.linspace(0, 20, 201)
    for rule, (z, w), color, label in cases:
        sol = ff.integrate(rule, task, (np.array([[w + 1e-4]]), np.array([[z + 1e-4]])), ts)
        ax.semilogy(ts, np.abs(0.5 - sol.w[1] @ sol.w[0]).ravel() + FLOOR, color, label=label)
    ax.semilogy(ts[:120], 1.4e-4 * np.exp(0.75 * ts[:120]), "k--", lw=1, label="rate .75")
    ax.set(xlabel=TIME, ylabel="|y − zw|, y = .5, c = 1", ylim=(1e-17, 1e6))
    ax.legend(fontsize=8, loc="upper right")
    check.figure(fig, "A minimum that FA leaves, and that gradient descent does not.")


def control_unstable_minima_gradient_descent(check):
    """The error returns through Zᵀ: no minimum is left at the predicted rate."""
    stability(check, GradientInstead)


def control_unstable_minima_fa_from_the_same_starts(check):
    """FA in place of gradient descent: it leaves every one of these minima."""
    stays(check, ff.FA)
