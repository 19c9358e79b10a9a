"""Lillicrap, Cownden, Tweed & Akerman 2016, "Random synaptic feedback weights support error
backpropagation for deep learning", Nature Communications 7 (arXiv:1411.0247).

A linear network y = WAx with A (h, i), W (o, h), feedback B (h, o), target T (o, i), input
covariance Σ and E = T - WA: dW/dt = EΣAᵀ, dA/dt = BEΣ.  In faflow's order the weights are (A, W).
"""

from functools import cache, partial

import numpy as np

import faflow as ff
from faflow import exact, laws
from faflow.data import lillicrap_linear
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

FLOOR = 1e-17


def problem(seed, o=4, h=7, i=6, kind=ff.FA, white=False, feedback=None):
    """A linear task with Gaussian target, a random input covariance, and Gaussian feedback."""
    rng = np.random.default_rng([seed, o, h, i])
    T = rng.standard_normal((o, i)) / np.sqrt(i)
    B = rng.standard_normal((h, o)) if feedback is None else feedback(rng, h, o)
    X = np.eye(i) if white else rng.standard_normal((i, 2 * i)) / np.sqrt(2 * i)
    return ff.Task(X, T @ X), kind((B,)), T, rng


def weights(rng, o, h, i, scale):
    return scale * rng.standard_normal((h, i)), scale * rng.standard_normal((o, h))


# The conservation law


def law_drift(kind=ff.FA, phi="linear", law=laws.feedback_balance, seed=0, scale=0.5):
    task, rule, _, rng = problem(seed, 4, 9, 6, kind)
    task = ff.Task(task.X, task.Y, phi)
    options = {"solver": "rk45", "step": 2e-3} if phi == "relu" else {}
    sol = ff.integrate(rule, task, weights(rng, 4, 9, 6, scale), np.linspace(0, 20, 81), **options)
    values = sol.measure(law)
    return sol.ts, np.max(np.abs(values - values[0]).reshape(len(values), -1), axis=1)


def conservation(check, kind=ff.FA, phi="linear", law=laws.feedback_balance):
    if phi != "tanh":
        check.proved(ff.prove(law, kind, activation=phi))
    drift = np.max([np.max(law_drift(kind, phi, law, seed)[1]) for seed in range(3)])
    on = "o, h, i = 4, 9, 6, random covariance and start, t ≤ 20, seeds 0-2"
    check.at_most("drift of the law", drift, 1e-9, fall=0.1, on=on)


def claim_conservation(check):
    r"""$BW + W^\top B^\top - AA^\top$ is constant, for any data covariance and any start.

    $\tfrac{d}{dt}(BW) = BE\Sigma A^\top = \dot A A^\top$; add the transpose.  Proved for every
    size, any data and any loss, and seen along flows.

    Assumes: linear hidden layer.
    Proves: the statement.
    Source: the scalar case in Lillicrap et al. (2016), supplement, as quoted by others; the matrix
    form with any covariance is derived in this project.
    Class: derived
    """
    conservation(check)
    fig, ax = panels()
    cases = (
        ("linear, FA", {}, "C0"),
        ("control: gradient descent", {"kind": GradientInstead}, "C3"),
        ("control: tanh, FA", {"phi": "tanh"}, "C1"),
    )
    for label, options, color in cases:
        ts, drift = law_drift(**options)
        ax.semilogy(ts, drift + FLOOR, color, label=label)
    ax.axhline(1e-9, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="largest entry of the law's drift", ylim=(1e-17, 1e7))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "Drift of the 9 × 9 matrix law.")


def control_conservation_gradient_descent(check):
    """The error returns through Wᵀ."""
    conservation(check, GradientInstead)


def control_conservation_law_of_gradient_descent(check):
    """AAᵀ - WᵀW along feedback alignment: a wrong law, to show that the measurement tells."""
    conservation(check, law=laws.balance)


def control_conservation_relu(check):
    """ReLU hidden units, which keep the diagonal only."""
    conservation(check, phi="relu")


def control_conservation_tanh(check):
    """tanh hidden units."""
    conservation(check, phi="tanh")


# The Lyapunov function


def lyapunov(check, kind=ff.FA, scale=0.0, aligned=0.0):
    """Starts are Gaussian weights of this scale or, if `aligned`, W = aligned · Bᵀ and A ∝ B."""
    identity = {"loss": "squared", "rate": laws.projected_loss_rate}
    if scale == aligned == 0:
        check.proved(ff.prove(laws.projected_loss, kind, **identity))
    rates, ends, least = [], [], []
    seeds = check.tier(quick=4, full=12) if not aligned else check.tier(quick=2, full=6)
    for seed in range(seeds):
        task, rule, T, rng = problem(seed, kind=kind)
        given = {"target": T, "covariance": task.X @ task.X.T}
        law = partial(laws.projected_loss, **given)
        w0 = weights(rng, 4, 7, 6, scale)
        if aligned:
            w0 = 0.2 * rule.B[0] @ rng.standard_normal((4, 6)), aligned * rule.B[0].T
        told_to = np.linalg.qr(rule.B[0])[0]  # the columns of BE are in the range of B
        least.append(np.linalg.eigvalsh(-told_to.T @ laws.feedback_balance(rule, w0) @ told_to)[0])
        ts = np.concatenate([[0], np.geomspace(1e-2, 3000, 60)])
        sol = ff.integrate(rule, task, w0, ts, solver="radau", rtol=1e-8, atol=1e-12)
        for k in range(len(sol) - 20):
            value, rate = ff.over_a_step(law, rule, task, sol.at(k)).coefficients[:2]
            rates.append(rate / value)
        ends.append(laws.projected_loss(rule, sol.at(-1), **given))
    start = f"W = {aligned:g} Bᵀ, A ∝ B" if aligned else f"Gaussian weights of scale {scale:g}"
    on = f"{start}; o, h, i = 4, 7, 6, random covariance, seeds 0-{seeds - 1}, 41 states each"
    if kind is ff.FA:
        check.at_most("largest d log|BEΣ^½|²/dt", np.max(rates), 0.0, fall=0.05, on=on)
    if scale == 0 and aligned >= 0:
        check.at_most("|BEΣ^½|²/2 at t = 3000", np.max(ends), 1e-12, fall=1e-3, on=on)
    if aligned:
        name = "least eigenvalue of C on the range of B, at the start"
        check.at_least(name, np.min(least), 0.1, fall=0.0, on=on)


@cache
def told(kind, scale, seed, blind=False):
    task, rule, T, rng = problem(seed, kind=kind)
    if blind:
        rule = ff.FA((rule.B[0] @ np.diag([1.0, 1, 1, 0]),))
    ts = np.concatenate([[0], np.geomspace(1e-2, 3000, 100)])
    w0 = weights(rng, 4, 7, 6, scale)
    sol = ff.integrate(rule, task, w0, ts, solver="radau", rtol=1e-8, atol=1e-12)
    given = {"target": T, "covariance": task.X @ task.X.T}
    errors = np.linalg.norm((T - sol.w[1] @ sol.w[0]) @ task.X, axis=(1, 2))
    return sol.ts[1:], sol.measure(laws.projected_loss, **given)[1:], errors[1:]


def claim_lyapunov(check):
    r"""From zero weights the squared error told to the hidden layer never rises.

    $$ \frac{d}{dt}|BE\Sigma^{1/2}|^2 = -2|BE\Sigma A^\top|^2 - |A^\top BE\Sigma|^2
       - \operatorname{tr}\left((BE\Sigma)^\top C\,(BE\Sigma)\right) $$

    $C = BW + W^\top B^\top - AA^\top$ is kept at 0, and $C \ge 0$ on the range of $B$ will do as
    well.  The identity is proved for every size; the sign is that of the exact rate at states along
    flows, which end at zero, from zero weights and from $W = B^\top$ with a small $A$.

    Assumes: zero weights at the start, or C ≥ 0 on the range of B.
    Source: the idea in Lillicrap et al. (2016), supplement; the exact identity for any covariance
    is derived in this project.
    Class: derived
    """
    lyapunov(check)
    lyapunov(check, aligned=1.0)
    fig, ax = panels()
    for seed in range(4):
        ts, values, _ = told(ff.FA, 0.0, seed)
        ax.loglog(ts, values / values[0], "C0", lw=1, label=None if seed else "FA from zero")
        ts, values, _ = told(ff.FA, 2.0, seed)
        label = None if seed else "control: FA from Gaussian weights of scale 2"
        ax.loglog(ts, values / values[0], "C3", lw=1, label=label)
    ax.axhline(1, color="k", ls="--", lw=1, label="start")
    ax.set(xlabel=TIME, ylabel="|BEΣ^½|² / its start", ylim=(1e-25, 1e6))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The squared error that the hidden layer is told.")


def control_lyapunov_gradient_descent(check):
    """The error returns through Wᵀ: the identity fails, and zero weights are never left."""
    lyapunov(check, GradientInstead)


def control_lyapunov_other_start(check):
    """Gaussian weights of scale 2 at the start."""
    lyapunov(check, scale=2.0)


def control_lyapunov_anti_aligned(check):
    """W = -Bᵀ at the start, so that C < 0 on the range of B."""
    lyapunov(check, aligned=-1.0)


# Convergence


def convergence(check, blind=False):
    seeds = check.tier(quick=4, full=12)
    ends = [told(ff.FA, 0.0, seed, blind)[2][-1] for seed in range(seeds)]
    value = np.max(ends) if not blind else np.min(ends)
    on = f"o, h, i = 4, 7, 6, random covariance, seeds 0-{seeds - 1}, from zero"
    check.at_most("|EΣ^½| at t = 3000", value, 1e-5, fall=1e-2, on=on)


def claim_convergence(check):
    r"""From zero weights and with an injective $B$, FA's error in a linear network goes to zero.

    Lillicrap's theorem.  Proved for white inputs by the exact solution, for any covariance by the
    Lyapunov functions of this project; seen along flows.

    Assumes: linear hidden layer; zero weights at the start; B of full column rank.
    Source: Lillicrap et al. (2016), supplement.
    Class: recalled
    """
    check.proved(ff.prove(laws.lyapunov, ff.FA, loss="squared", rate=laws.lyapunov_rate))
    convergence(check)
    fig, ax = panels()
    for seed in range(4):
        for blind, color, label in ((False, "C0", "B injective"), (True, "C3", "control: B blind")):
            ts, _, errors = told(ff.FA, 0.0, seed, blind)
            ax.loglog(ts, errors + FLOOR, color, lw=1, label=None if seed else label)
    ax.axhline(1e-5, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|EΣ^½|", ylim=(1e-13, 1e2))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The error along flows from zero weights.")


def control_convergence_blind_feedback(check):
    """B carries nothing from one of the outputs."""
    convergence(check, blind=True)


# Within ninety degrees

CONDITIONS = (1, 3, 10, 100)


def conditioned(condition):
    def feedback(rng, h, o):
        left = np.linalg.qr(rng.standard_normal((h, o)))[0]
        right = np.linalg.qr(rng.standard_normal((o, o)))[0]
        return left * np.geomspace(1, 1 / condition, o) @ right

    return feedback


@cache
def cosines(seed, condition, white):
    """cos(BEΣ, WᵀEΣ), that of each column, and d log(loss)/dt along a flow from zero."""
    task, rule, T, rng = problem(seed, 3, 4, 3, white=white, feedback=conditioned(condition))
    if not white:
        Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        root = Q * np.array([1.0, 0.3, 0.1]) @ Q.T
        task = ff.Task(root, T @ root)
    ts = np.concatenate([[0], np.geomspace(0.02, 300, 50)])
    zero = np.zeros((4, 3)), np.zeros((3, 4))
    sol = ff.integrate(rule, task, zero, ts, solver="radau", rtol=1e-8, atol=1e-12)
    both, each, rates = [], [], []
    for k in range(1, len(sol)):
        A, W = sol.at(k)
        E = (T - W @ A) @ task.X @ task.X.T
        if np.linalg.norm(E) < 1e-7 * np.linalg.norm(T):
            break
        fed, back = rule.B[0] @ E, W.T @ E
        both.append(np.sum(fed * back) / (np.linalg.norm(fed) * np.linalg.norm(back)))
        each.append(
            np.sum(fed * back, 0) / np.linalg.norm(fed, axis=0) / np.linalg.norm(back, axis=0)
        )
        rates.append(laws.loss_rate(rule, (A, W), task=task) / ff.loss(task, (A, W)))
    return sol.ts[1 : len(both) + 1], np.array(both), np.array(each), np.array(rates)


def within_ninety(check, white=True, conditions=CONDITIONS):
    seeds = check.tier(quick=6, full=30)
    runs = [cosines(seed, c, white) for seed in range(seeds) for c in conditions]
    inputs = "white" if white else "other"
    on = f"{inputs} inputs, 3-4-3, from zero, cond(B) = {conditions}, seeds 0-{seeds - 1}"
    least, most = np.min([r[1].min() for r in runs]), np.max([r[3].max() for r in runs])
    check.at_least("least cosine of BEΣ and WᵀEΣ", least, 0.0, fall=-0.1, on=on)
    check.at_most("largest d log(loss)/dt", most, 1e-9, fall=1e-2, on=on)


def claim_within_ninety_degrees(check):
    r"""From zero weights, with white inputs, FA's hidden signal stays within 90° of GD's.

    $$ \langle BE, W^\top E\rangle = \operatorname{tr}\left(G^{-1}u\,
       \operatorname{diag}\left(\tfrac{m^2}{2}(s - \tfrac{m^3}{2})^2\right)u^\top\right) \ge 0,
       \qquad G = B^\top B $$

    and the loss never rises, whatever the condition number of $B$.  With other inputs both fail,
    unless $B^\top B$ is a multiple of the identity.  Taken from exact rates at every saved state.

    Assumes: zero weights at the start; white inputs, or BᵀB a multiple of I; B injective.
    Source: the angle of 90° in Lillicrap et al. (2016); the conditions are derived in this project.
    Class: derived
    """
    within_ninety(check)
    within_ninety(check, white=False, conditions=(1,))
    fig, ax = panels()
    for seed in range(6):
        ts, both, *_ = cosines(seed, 10, True)
        ax.semilogx(ts, both, "C0", lw=1, label=None if seed else "white inputs, cond(B) = 10")
        ts, both, *_ = cosines(seed, 10, False)
        label = None if seed else "control: other inputs, cond(B) = 10"
        ax.semilogx(ts, both, "C3", lw=1, label=label)
    ax.axhline(0, color="k", ls="--", lw=1, label="90 degrees")
    ax.set(xlabel=TIME, ylabel="cosine of BEΣ and WᵀEΣ", ylim=(-1, 1.6))
    ax.legend(fontsize=8)
    check.figure(fig, "Alignment of the hidden layer's error signals along flows from zero.")


def control_within_ninety_degrees_other_inputs(check):
    """Input covariance with eigenvalues 1, 0.09, 0.01, condition numbers of B of 10 and 100."""
    within_ninety(check, white=False, conditions=(10, 100))


def single_samples(check, condition=10):
    seeds = check.tier(quick=20, full=60)
    least = np.array([np.min(cosines(seed, condition, True)[2]) for seed in range(seeds)])
    on = f"o, h, i = 3, 4, 3, white inputs, from zero, seeds 0-{seeds - 1}"
    share = np.mean(least < -1e-3)
    check.at_least("share of flows with a sample beyond 90°", share, 0.2, fall=0.0, on=on)
    return least


def claim_single_samples(check):
    r"""Single samples can be more than 90° off although the average over samples never is.

    $e^\top W B e$ has no sign for a general $B$; with $B^\top B = cI$ it is never negative.

    Assumes: zero weights at the start; white inputs; an example is enough.
    Source: derived in this project.
    Class: derived
    """
    least = single_samples(check)
    fig, ax = panels()
    ax.plot(np.sort(least), "C0o", ms=4, label="cond(B) = 10")
    ax.plot(np.sort(single_samples(type(check)(), 1)), "C3v", ms=4, label="control: BᵀB = I")
    ax.axhline(0, color="k", ls="--", lw=1, label="90 degrees")
    ax.set(xlabel="flows, in order", ylabel="least cosine of a single sample")
    ax.legend(fontsize=8)
    check.figure(fig, "The worst sample of each flow from zero, white inputs.")


def control_single_samples_orthonormal(check):
    """BᵀB = I."""
    single_samples(check, condition=1)


# The exact solution


def exact_gap(seed, white=True, scale=0.0):
    task, rule, _, rng = problem(seed, white=white)
    ts = np.linspace(0, 20, 41)
    sol = ff.integrate(rule, task, weights(rng, 4, 7, 6, scale), ts)
    target = task.Y @ np.linalg.pinv(task.X)
    A, W = exact.fa_from_zero(target, rule.B[0], ts)
    gaps = (np.max(np.abs(s - e), axis=(1, 2)) for s, e in zip(sol.w, (A, W), strict=True))
    return ts, np.max(list(gaps), axis=0)


def exact_solution(check, **broken):
    gaps = [np.max(exact_gap(seed, **broken)[1]) for seed in range(4)]
    value = check.worst(gaps)
    on = "o, h, i = 4, 7, 6, Gaussian B, t ≤ 20, seeds 0-3"
    check.at_most("|flow - closed form|", value, 1e-9, fall=1e-2, on=on)


def claim_exact_solution(check):
    r"""With white inputs, an injective $B$ and zero weights the flow is known in closed form.

    $$ G = B^\top B,\; G^{1/2}T = u\,\operatorname{diag}(s)\,v^\top:\quad
       A = BG^{-1/2}u\,\operatorname{diag}(m)\,v^\top,\quad
       W = G^{-1/2}u\,\operatorname{diag}\left(\tfrac{m^2}{2}\right)u^\top G^{-1/2}B^\top,\quad
       \dot m_k = s_k - \tfrac12m_k^3 $$

    It is the solution of the matrix factorisation, with $s$ the singular values of $BT$.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    exact_solution(check)
    fig, ax = panels()
    for label, options, color in (
        ("white inputs, from zero", {}, "C0"),
        ("control: other inputs", {"white": False}, "C3"),
        ("control: a start of scale 0.3", {"scale": 0.3}, "C1"),
    ):
        ts, gap = exact_gap(0, **options)
        ax.semilogy(ts, gap + FLOOR, color, label=label)
    ax.axhline(1e-9, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="largest |flow − closed form|", ylim=(1e-17, 1e6))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "Distance of the flow from the closed form.")


def control_exact_solution_other_inputs(check):
    """A random input covariance."""
    exact_solution(check, white=False)


def control_exact_solution_other_start(check):
    """A start of scale 0.3."""
    exact_solution(check, scale=0.3)


SIZES = np.array([1e-3, 1e-2, 1e-1, 1.0])


@cache
def half_times(seed, kind):
    """When the error is half its start, for targets of these sizes, from 1e-4 or zero."""
    times = []
    for size in SIZES:
        task, rule, T, rng = problem(seed, kind=kind, white=True)
        task = ff.Task.factorisation(size * T)
        w0 = weights(rng, 4, 7, 6, 1e-4 if kind is GradientInstead else 0.0)
        end = 40 / size if kind is GradientInstead else 40 / size ** (2 / 3)
        ts = np.concatenate([[0], np.geomspace(1e-3, 1, 100) * end])
        sol = ff.integrate(rule, task, w0, ts, rtol=1e-8, atol=1e-12)
        error = np.linalg.norm(size * T - sol.w[1] @ sol.w[0], axis=(1, 2))
        fallen = np.argmax(error <= error[0] / 2)
        between = -np.log(error[fallen - 1 : fallen + 1] / error[0] * 2)
        times.append(np.interp(0, between, ts[fallen - 1 : fallen + 1]))
    return times


def no_plateau(check, kind=ff.FA):
    seeds = check.tier(quick=3, full=10)
    times = np.array([half_times(seed, kind) for seed in range(seeds)])
    on = f"o, h, i = 4, 7, 6, white inputs, seeds 0-{seeds - 1}"
    check.scaling(
        "power of |T| in the half time", SIZES, times, -2 / 3, within=0.01, fall=0.1, on=on
    )
    return times


def claim_no_plateau(check):
    r"""FA leaves zero weights at once, in a time that scales as $s^{-2/3}$ with the target.

    Zero is a saddle for gradient descent, which needs $\log(1/\text{start})/s$ from a small start.

    Assumes: zero weights at the start; white inputs.
    Source: derived in this project.
    Class: derived
    """
    times = no_plateau(check)
    fig, ax = panels()
    ax.loglog(SIZES, times.T, "C0o-", lw=1)
    ax.plot([], [], "C0o-", lw=1, label="FA from zero")
    ax.loglog(SIZES, half_times(0, GradientInstead), "C3s-", label="control: GD from 1e-4")
    ax.loglog(SIZES, 2 * times[0, -1] * SIZES ** (-2 / 3), "k--", lw=1, label="slope −2/3")
    ax.set(xlabel="size of the target", ylabel=f"{TIME} to half the error")
    ax.legend(fontsize=8)
    check.figure(fig, "Half times against the size of the target.")


def control_no_plateau_gradient_descent(check):
    """The error returns through Wᵀ, from a start of 1e-4."""
    no_plateau(check, GradientInstead)


def pseudo_inverse_angle(seed, equal, scale=0.0):
    """Sine of the angle between W at the end of a flow and B⁺, and the gap of its formula."""
    task, rule, T, rng = problem(seed, 4, 7, 6, white=True)
    B = rule.B[0]
    if equal:  # B T with equal singular values
        root = np.linalg.cholesky(B.T @ B).T  # |root T| = |B T|
        T = np.linalg.solve(root, np.linalg.qr(rng.standard_normal((6, 4)))[0].T)
        task = ff.Task.factorisation(T)
    slowest, w0 = exact.fa_modes(T, B).rates[-1], weights(rng, 4, 7, 6, scale)
    sol = ff.integrate(rule, task, w0, [0, 30 / slowest], rtol=1e-11, atol=1e-13)
    W, inverse = sol.w[1][-1], np.linalg.pinv(B)
    said = exact.fa_limit_weights(T, B)[1]
    off = W - inverse * np.sum(W * inverse) / np.sum(inverse**2)
    return np.linalg.norm(off) / np.linalg.norm(W), np.max(np.abs(W - said))


def pseudo_inverse(check, equal=True, scale=0.0):
    runs = np.array([pseudo_inverse_angle(seed, equal, scale) for seed in range(6)])
    worst = np.max if not check.control else np.min
    value = worst(runs[:, 0])
    on = f"o, h, i = 4, 7, 6, white inputs, starts of scale {scale:g}, seeds 0-5"
    check.at_most("sine of the angle of W(∞) and B⁺", value, 1e-8, fall=0.05, on=on)
    if equal:
        check.at_most("|W(∞) - closed form|", worst(runs[:, 1]), 1e-9, fall=1e-2, on=on)
    return runs[:, 0]


def claim_pseudo_inverse(check):
    r"""$W$ ends as a multiple of the pseudo-inverse of $B$ if and only if all $s_k$ are equal.

    $$ W(\infty) = G^{-1/2}u\,\operatorname{diag}\left(\tfrac12(2s)^{2/3}\right)u^\top
       G^{-1/2}B^\top $$

    Assumes: zero weights at the start; white inputs; T of full row rank, B injective.
    Source: that W tends to a pseudo-inverse of B is said in Lillicrap et al. (2016); the condition
    is derived in this project.
    Class: derived
    """
    seen = pseudo_inverse(check)
    fig, ax = panels()
    ax.semilogy(np.degrees(np.arcsin(seen)) + FLOOR, "C0o", label="equal singular values of BT")
    general = pseudo_inverse(type(check)(), equal=False)
    ax.semilogy(np.degrees(np.arcsin(general)), "C3v", label="control: Gaussian T")
    ax.axhline(np.degrees(1e-8), color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="problem (seed)", ylabel="angle of W(∞) and B⁺ (degrees)", ylim=(1e-16, 1e5))
    ax.legend(fontsize=8)
    check.figure(fig, "The angle between the weights learned and the pseudo-inverse of B.")


def control_pseudo_inverse_other_targets(check):
    """A Gaussian target: the singular values of BT differ."""
    pseudo_inverse(check, equal=False)


def control_pseudo_inverse_other_start(check):
    """Gaussian weights of scale 0.3 at the start."""
    pseudo_inverse(check, scale=0.3)


# The published linear task


@cache
def published(seed, kind="FA"):
    """The linear task of the paper as a flow of the loss averaged over N(0, I) inputs."""
    rng = np.random.default_rng(seed)
    data = lillicrap_linear(400, seed=seed)
    T = data.Y @ np.linalg.pinv(data.X)
    task = ff.Task.factorisation(T)
    A, W = (rng.uniform(-0.01, 0.01, s) for s in ((20, 30), (10, 20)))
    B = rng.uniform(-0.5, 0.5, (20, 10))
    rule = {
        "FA": ff.FA((B,)),
        "GD": GradientInstead((B,)),
        "readout": ff.FA((B,), rates=(0, 1)),
    }[kind]
    sol = ff.integrate(rule, task, (A, W), np.linspace(0, 25, 101), rtol=1e-7, atol=1e-9)
    errors = np.linalg.norm(T - sol.w[1] @ sol.w[0], axis=(1, 2)) ** 2 / np.sum(T**2)
    fed, back = [], []
    for k in range(len(sol)):
        E = T - sol.w[1][k] @ sol.w[0][k]
        fed.append(B @ E)
        back.append(sol.w[1][k].T @ E)
    inner = [
        np.sum(f * b) / np.linalg.norm(f) / np.linalg.norm(b)
        for f, b in zip(fed, back, strict=True)
    ]
    return sol.ts, errors, np.degrees(np.arccos(inner))


def linear_task(check, kind="FA"):
    seeds = check.tier(quick=5, full=20)
    runs = [published(seed, kind) for seed in range(seeds)]
    on = f"30-20-10, the paper's start and feedback, seeds 0-{seeds - 1}"
    errors, angles = [r[1][-1] for r in runs], [r[2][-1] for r in runs]
    check.at_most("relative squared error at t = 25", np.max(errors), 1e-2, fall=0.2, on=on)
    value = np.max(angles) if not check.control else np.mean(angles)
    check.at_most("angle of BE and WᵀE at t = 25 (degrees)", value, 60, fall=80, on=on)
    return runs


def claim_linear_task(check):
    r"""On the paper's linear task FA learns, and its signal turns towards back-propagation's.

    30-20-10, $x \sim N(0, I)$, $T$ uniform in $[-1, 1]$, weights in $[-0.01, 0.01]$, $B$ in
    $[-0.5, 0.5]$; the flow of the loss averaged over all inputs.  With only the readout learning,
    most of the error is left at that time.

    Assumes: nothing; an observation, from the paper's settings.
    Source: settings of Lillicrap et al. (2016) as quoted by a public re-implementation.
    Class: quoted
    """
    runs = linear_task(check)
    fig, (left, right) = panels(2)
    for k, (ts, errors, angles) in enumerate(runs[:3]):
        left.semilogy(ts, errors, "C0", lw=1, label=None if k else "FA, three problems")
        right.plot(ts, angles, "C0", lw=1, label=None if k else "FA, three problems")
    for kind, color, label in (
        ("GD", "C1", "gradient descent"),
        ("readout", "C3", "control: readout only"),
    ):
        ts, errors, angles = published(0, kind)
        left.semilogy(ts, errors, color, label=label)
        if kind == "readout":
            right.plot(ts, angles, color, label=label)
    left.axhline(1e-2, color="k", ls="--", lw=1, label="needed at the end")
    right.axhline(90, color="0.5", ls=":", lw=1, label="orthogonal")
    right.axhline(60, color="k", ls="--", lw=1, label="needed at the end")
    left.set(xlabel=TIME, ylabel="squared error / its start")
    right.set(xlabel=TIME, ylabel="angle of BE and WᵀE (degrees)", ylim=(0, 125))
    left.legend(fontsize=8)
    right.legend(fontsize=8, ncols=2)
    check.figure(fig, "Learning and alignment on the linear task, 30-20-10.")


def control_linear_task_readout_only(check):
    """The first layer does not learn."""
    linear_task(check, "readout")
