r"""Song, Xu & Lafferty 2021, "Convergence and alignment of gradient descent with random
backpropagation weights", arXiv:2106.06044 (NeurIPS 2021).

Two layers of width p, f = ψ(XWᵀ)β/√p, fixed feedback b in place of β, a penalty λ on β alone; all
entries of W(0), β(0) and b standard Gaussian.  The update rule, the penalty and the settings of the
experiments are known from the authors' code, the theorems only as far as excerpts show them; what
they are recalled to say and what is derived here is marked.  The loss is |e|²/2, e = f - y, a sum.
A sample is a row of X in the formulas here, as in the paper, but a column in faflow.wide.
"""

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

import faflow as ff
from faflow import data, laws, wide
from faflow.nets import replaced
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

WIDTHS = (100, 1_000, 10_000, 100_000)
DIRECT = (50, 500, 5_000, 50_000)
"""Widths at which whole networks are trained, not their reductions."""
ROOT = -1 / 2
LOOSE = {"rtol": 1e-7, "atol": 1e-9}
"""Tolerances for what is compared with a limit, from which it is 3e-4 away or more."""


def task_data(n, d, seed=0, kind="isometric"):
    """X (d, n) and y (n,) of norm √n; orthonormal samples unless `kind` says otherwise."""
    made = data.teacher_student(d, 1, n, isometric=kind != "gaussian", seed=seed)
    X, y = made.X, made.Y[0]
    if kind == "gaussian":
        X = 1.5 * X / np.sqrt(d)
    if kind == "few inputs":  # a linear network cannot fit labels of its own
        y = np.random.default_rng(seed).standard_normal(n)
    y = y * np.sqrt(n) / np.linalg.norm(y)
    if kind == "duplicates":
        X[:, 1], y[:2] = X[:, 0], (1, -1)
    return X, y


@lru_cache
def batch(p, seeds, kind="isometric"):
    """Overlaps of linear networks of width p, 5 samples of 8 inputs, seeds 0, 1, …"""
    X, y = task_data(5, 8, kind=kind)
    return wide.overlaps(wide.drawn(X, y, p, seed=seed) for seed in range(seeds))


def error(task, w):
    """e = f - y, (n,)."""
    return (ff.nets.forward(task, w)[2] - task.Y)[0]


def size_of_error(rule, w, *, task):
    return np.linalg.norm(error(task, w))


def fading(ax, widths, curves, ylabel):
    """Root mean squares over seeds against the width; of curves (label, samples, control)."""
    rms = lambda samples: np.sqrt(np.mean(np.asarray(samples) ** 2, axis=0))
    for k, (label, samples, control) in enumerate(curves):
        style = {"color": "C3", "marker": "s"} if control else {"color": f"C{k}", "marker": "o"}
        ax.loglog(widths, rms(samples), label=label, ms=4, **style)
    line = rms(curves[0][1])[0] * (np.array(widths) / widths[0]) ** ROOT
    ax.loglog(widths, line, "k--", lw=1, label="slope −1/2")
    ax.set(xlabel="width p", ylabel=ylabel)
    ax.legend(fontsize=7)


# The rule


def parameters(seed, n=6, d=9, p=12):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((d, n)) / np.sqrt(d), rng.standard_normal(n)
    return X, y, rng.standard_normal((p, d)), *rng.standard_normal((2, p))


def typed_again(X, y, W, beta, b, psi, slope, eta, penalty, steps):
    """The authors' update, neuron by neuron, of the mean squared error with its factor 2/n."""
    (p, d), n = W.shape, len(y)
    W, beta, losses = W.copy(), beta.copy(), []
    for _ in range(steps):
        e = [
            sum(beta[r] * psi(W[r] @ X[:, i]) for r in range(p)) / np.sqrt(p) - y[i]
            for i in range(n)
        ]
        losses.append(sum(one**2 for one in e) / n)
        dbeta, dW = np.zeros(p), np.zeros((p, d))
        for r in range(p):
            for i in range(n):
                z = W[r] @ X[:, i]
                dbeta[r] += 2 / n * e[i] * psi(z) / np.sqrt(p)
                dW[r] += 2 / n * e[i] * b[r] * slope(z) * X[:, i] / np.sqrt(p)
        beta = (1 - eta * penalty) * beta - eta * dbeta
        W = W - eta * dW
    return W, beta, losses


FUNCTIONS = {
    "linear": (lambda z: z, lambda z: 1.0),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def update_rule(check, kind=ff.FA, on_first=0, convert=wide.from_mean_loss):
    gaps, curves = [], []
    for seed, phi in enumerate(FUNCTIONS):
        X, y, W, beta, b = parameters(seed)
        eta, penalty, steps = 0.3, 0.4, 25
        typed_W, typed_beta, typed = typed_again(
            X, y, W, beta, b, *FUNCTIONS[phi], eta, penalty, steps
        )
        own_eta, own_penalty = convert(eta, penalty, len(y))
        rule, task, w0 = wide.problem(X, y, W, beta, b, phi, penalty=own_penalty)
        rule = kind(rule.B, rates=rule.rates, decay=(on_first * own_penalty, own_penalty))
        sol = ff.iterate(rule, task, w0, eta=own_eta, steps=steps)
        end = sol.w[0][-1] - typed_W, np.sqrt(len(W)) * sol.w[1][-1][0] - typed_beta
        gaps.append(max(np.max(np.abs(part)) for part in end))
        losses = [2 * sol.loss(k) / len(y) for k in range(steps)]
        curves.append((phi, typed, losses))
    if check:
        check.at_most(
            "distance of W and β from the authors' update typed again",
            check.worst(gaps),
            1e-13,
            fall=1e-2,
            on="linear, relu and tanh, seeds 0-2, 25 steps, λ = 0.4, width 12",
        )
    return curves


def claim_update_rule(check):
    r"""The network of Song, Xu & Lafferty is an ordinary problem of this package.

    $$ w = (W, \beta^\top/\sqrt p),\quad B_2 = b/\sqrt p,\quad \text{rates } (1, 1/p),\quad
    \text{decay } (0, \lambda) $$

    With a summed loss; the authors' mean loss has the factor $2/n$, so that their step size and
    penalty are $\eta n/2$ and $2\lambda/n$ in these units.  Measured: their update typed again,
    neuron by neuron, against discrete steps of feedback alignment.

    Assumes: one output, no biases, a penalty on the output weights alone.
    Source: Song, Xu & Lafferty (2021): the pseudocode of their algorithm in a reproducibility
    summary, and the authors' simulation code.
    Class: quoted
    """
    curves = update_rule(check)
    wrong = update_rule(None, GradientInstead)
    fig, ax = panels()
    for k, (phi, typed, losses) in enumerate(curves):
        steps = np.arange(len(losses))
        ax.plot(steps, losses, color=f"C{k}", label=f"{phi}: faflow")
        ax.plot(steps[::2], typed[::2], "k.", ms=5, label="authors' update" if not k else None)
    ax.plot(steps, wrong[2][2], "C3--", label="tanh: gradient descent")
    ax.set(xlabel="steps", ylabel="mean of e² over the samples", ylim=(0, 2))
    ax.legend(fontsize=8)
    check.figure(fig, "The loss along 25 steps: the package, the update typed again, a control.")


def control_update_rule_gradient_descent(check):
    """β in place of b."""
    update_rule(check, GradientInstead)


def control_update_rule_penalty_on_both_layers(check):
    """W is penalised as well."""
    update_rule(check, on_first=1)


def control_update_rule_mean_loss_not_converted(check):
    """The penalty is taken over without its factor n/2, the step size with its factor 2/n."""
    update_rule(check, convert=lambda eta, penalty, n: (2 * eta / n, penalty))


# The error


def rates_of_error(phi, seed, formula=wide.error_rate, kind=ff.FA):
    """de/dt by a complex step along the rule's velocity, and by the formula, (n,) each."""
    X, y = task_data(8, 12, seed)
    rule, task, w = wide.drawn(X, y, 40, phi, penalty=0.7, seed=seed)
    moved = kind(rule.B, rates=rule.rates, decay=rule.decay)(task, w)
    step = 1e-30  # no difference is taken, so that none is too small
    ahead = tuple(W + 1j * step * V for W, V in zip(w, moved, strict=True))
    return ff.nets.forward(task, ahead)[2][0].imag / step, formula(rule, task, w)


def exact_error_ode(check, formula=wide.error_rate, kind=ff.FA):
    for phi in ("linear", "relu", "tanh", "erf"):
        gaps = []
        for seed in range(10):
            seen, said = rates_of_error(phi, seed, formula, kind)
            gaps.append(np.linalg.norm(seen - said) / np.linalg.norm(seen))
        check.at_most(
            f"{phi}: distance of de/dt from the formula, relative",
            check.worst(gaps),
            1e-14,
            fall=1e-2,
            on="10 random states, seeds 0-9, n = 8, d = 12, p = 40, λ = 0.7",
        )


def without_target(rule, task, w):
    return wide.error_rate(rule, task, w) + rule.decay[1] * task.Y[0]


def without_first_layer(rule, task, w):
    return wide.error_rate(rule, task, w) + wide.kernels(rule, task, w)[1] @ error(task, w)


def claim_exact_error_ode(check):
    r"""The error of a network of any width moves by two kernels and the penalty, exactly.

    $$ \dot e = -(G + H + \lambda I)\,e - \lambda y,\qquad
    G = \tfrac1p \psi\psi^\top,\quad
    H = XX^\top \circ \tfrac1p \psi' \operatorname{diag}(\beta\circ b)\,\psi'^\top $$

    $f$ is linear in $\beta$, so the penalty adds $-\lambda f = -\lambda(e + y)$.  Proved for every
    size of a linear network, with several outputs, as the rate of $Y - W_2W_1$, at three penalties
    and two rates; measured for linear, relu, tanh and erf at random states by complex steps.

    Assumes: the squared loss, one output, no biases, a penalty on β alone; the feedback is constant
    and the activation differentiable at the state.
    Source: derived in this project; the kernels G and H are those of the paper's supplement.
    Class: derived
    """
    for penalty in (0, Fraction(2, 3), 2):
        for rate in (1, Fraction(1, 7)):
            rule = ff.FA(rates=(1, rate), decay=(0, penalty))
            verdict = ff.prove(wide.residual, rule, loss="squared", rate=wide.residual_rate)
            check.proved(verdict, on=f"penalty {penalty}, rates 1 and {rate}")
    exact_error_ode(check)
    fig, ax = panels()
    for k, phi in enumerate(("linear", "relu", "tanh")):
        pairs = np.hstack([rates_of_error(phi, seed) for seed in range(3)])
        ax.plot(*pairs, "o", ms=4, color=f"C{k}", label=phi)
    pairs = np.hstack([rates_of_error("tanh", seed, without_target) for seed in range(3)])
    ax.plot(*pairs, "x", ms=5, color="C3", label="tanh, λy left out")
    ends = np.array(ax.get_xlim())
    ax.plot(ends, ends, "k--", lw=1, label="equal")
    ax.set(xlabel="de/dt along the rule", ylabel="de/dt by the formula")
    ax.legend(fontsize=8)
    check.figure(fig, "Each entry of de/dt at nine random states, and with a term left out.")


def control_exact_error_ode_without_the_targets(check):
    """The term λy is left out."""
    exact_error_ode(check, without_target)


def control_exact_error_ode_without_the_first_layer(check):
    """The kernel H is left out."""
    exact_error_ode(check, without_first_layer)


def control_exact_error_ode_gradient_descent(check):
    """β in place of b along the way, not in H."""
    check.proved(
        ff.prove(wide.residual, GradientInstead(), loss="squared", rate=wide.residual_rate)
    )
    exact_error_ode(check, kind=GradientInstead)


# The law of each neuron

PENALTY = Fraction(1, 2)
STEP = 1e-2


def law_rate(rule, w):
    """λ b_r β_r, one a neuron."""
    return PENALTY * (rule.B[0] @ w[1]).diagonal() / rule.rate(1)


def neuron_flow(phi, kind=ff.FA, on_first=0.0):
    """A flow without penalty on β, by error control if linear and in fixed steps if not."""
    X, y = task_data(8, 12)
    rule, task, w0 = wide.drawn(X, y, 60, phi, seed=0)
    rule = kind(rule.B, rates=rule.rates, decay=(on_first, 0))
    steps = {"rtol": 1e-11, "atol": 1e-13} if phi == "linear" else {"solver": "rk45", "step": STEP}
    return ff.integrate(rule, task, w0, np.linspace(0, 4, 41), **steps)


def neuron_law(check, kind=ff.FA, phis=("linear", "relu"), on_first=0.0):
    law = laws.neuron_feedback_balance
    for phi in phis:
        rates = []
        for seed in range(10):
            X, y = task_data(8, 12, seed)
            rule, task, w = wide.drawn(X, y, 60, phi, seed=seed)
            rule = kind(rule.B, rates=rule.rates, decay=(on_first, float(PENALTY)))
            rate = ff.over_a_step(law, rule, task, w).coefficients[1] - law_rate(rule, w)
            rates.append(np.max(np.abs(rate)))
        check.at_most(
            "largest |rate of ½|w_r|² - b_r β_r, less λ b_r β_r|",
            check.worst(rates),
            1e-13,
            fall=1e-2,
            on=f"{phi}: 10 random states, seeds 0-9, n = 8, d = 12, p = 60, λ = 1/2",
        )
        sol = neuron_flow(phi, kind, on_first)
        q = sol.measure(law)
        check.at_most(
            "drift of the law along a flow" + (phi != "linear") * f", fixed steps of {STEP:g}",
            np.max(np.abs(q - q[0])),
            1e-11 if phi == "linear" else 1e-5,
            fall=1e-2,
            on=f"{phi}: n = 8, d = 12, p = 60, 0 ≤ t ≤ 4, λ = 0, the worst of all neurons",
        )
        eta = 0.1
        sol = ff.iterate(sol.rule, sol.task, sol.at(0), eta=eta, steps=100)
        squares = np.cumsum(np.sum(np.diff(sol.w[0], axis=0) ** 2, axis=2), axis=0) / 2
        q = sol.measure(law)
        check.at_most(
            "|change of the law in discrete steps - ½ Σ |step of w_r|²|",
            np.max(np.abs(q[1:] - q[0] - squares)),
            1e-12,
            fall=1e-2,
            on=f"{phi}: the same, 100 steps of 0.1",
        )


def claim_neuron_law(check):
    r"""Along the flow every neuron trades alignment for weight norm, whatever the data.

    $$ \frac{d}{dt}\Bigl(b_r\beta_r - \tfrac12|w_r|^2\Bigr) = -\lambda\,b_r\beta_r $$

    Without penalty the overlap $\langle b,\beta\rangle$ grows by exactly half of what $|W|^2$ does.
    Both rates are $b_r$ times the neuron's share of the error, because $\psi'(z)z = \psi(z)$;
    without penalty a discrete step of size $\eta$ lowers the law by exactly
    $\tfrac12\eta^2|\dot w_r|^2$.  Proved for every size, every pattern of slopes and any
    loss, at two penalties and two rates, and by polynomials at given sizes; then
    measured at states, along flows and in discrete steps.

    Assumes: a linear or piecewise linear activation; the penalty on $\beta$ alone.
    Source: for general layers Lillicrap et al. (2016), supplement, and Robertson & Koyejo (2023);
    in this scaling, with penalty and discrete steps, derived in this project.
    Class: derived
    """
    law = laws.neuron_feedback_balance
    for rate in (1, Fraction(1, 7)):
        for decay, claimed in (((0, 0), None), ((0, PENALTY), law_rate)):
            rule = ff.FA(rates=(1, rate), decay=decay)
            check.proved(ff.prove(law, rule, activation="piecewise", rate=claimed))
    rule = ff.FA(rates=(1, Fraction(1, 3)), decay=(0, PENALTY))
    check.proved(ff.prove(law, rule, sizes=(2, 3, 1), samples=2, activation="relu", rate=law_rate))
    neuron_law(check)
    fig, (left, right) = panels(2)
    for k, phi in enumerate(("relu", "tanh")):
        sol = neuron_flow(phi)
        overlap = 60 * np.array([np.sum(sol.rule.B[0].T * W) for W in sol.w[1]])
        growth = np.array([np.sum(W**2) for W in sol.w[0]]) / 2
        name = phi if not k else "tanh (control)"
        color = "C3" if k else "C0"
        left.plot(sol.ts, overlap - overlap[0], color=color, label=f"⟨b, β⟩, {name}")
        left.plot(sol.ts, growth - growth[0], "k--" if not k else "C3:", label=f"½|W|², {name}")
        q = sol.measure(law)
        drift = np.max(np.abs(q - q[0]), axis=1)
        right.semilogy(sol.ts[1:], np.maximum(drift[1:], 1e-17), color=color, label=name)
    right.axhline(1e-5, color="0.4", lw=1, label="bound")
    left.set(xlabel=TIME, ylabel="change since the start", title="one width of 60, λ = 0")
    right.set(xlabel=TIME, ylabel="largest drift of a neuron's law")
    left.legend(fontsize=7)
    right.legend(fontsize=8)
    check.figure(fig, "Overlap and half the squared norm of W grow together; right, their drift.")


def control_neuron_law_tanh(check):
    """tanh is not homogeneous."""
    neuron_law(check, phis=("tanh",))


def control_neuron_law_gradient_descent(check):
    """β in place of b."""
    check.proved(ff.prove(laws.neuron_feedback_balance, GradientInstead, activation="piecewise"))
    neuron_law(check, GradientInstead, phis=("relu",))


def control_neuron_law_penalty_on_both_layers(check):
    """W is penalised as well, at rate 0.1 (one half in the proof)."""
    rule = ff.FA(decay=(PENALTY, PENALTY))
    verdict = ff.prove(laws.neuron_feedback_balance, rule, activation="piecewise", rate=law_rate)
    check.proved(verdict)
    neuron_law(check, phis=("relu",), on_first=0.1)


# The kernels at the start


def start_kernels(phi, p, seeds, correlation=0, common=False, kind="isometric"):
    """|G - its limit|, |H| and λmin(G) - γ at the start, (seeds, 3), in the operator norm."""
    X, y = task_data(4, 4, kind=kind)
    limit, norms = wide.limit_kernel(X, phi), []
    for seed in range(seeds):
        rule, task, w = wide.drawn(X, y, p, phi, correlation=correlation, seed=seed)
        if common:
            shared = np.random.default_rng([seed, 1]).standard_normal(len(X))
            w = ((w[0] + shared) / np.sqrt(2), w[1])
        G, H = wide.kernels(rule, task, w)
        least = np.linalg.eigvalsh(G)[0] - np.linalg.eigvalsh(limit)[0]
        norms.append([np.linalg.norm(G - limit, 2), np.linalg.norm(H, 2), least])
    return np.array(norms)


def kernels_at_start(check, parts=(0, 1, 2), phis=("linear", "relu", "tanh", "erf"), **broken):
    seeds, widths = check.tier((40, DIRECT), (100, WIDTHS))
    for phi in phis:
        norms = np.array([start_kernels(phi, p, seeds, **broken) for p in widths])
        for part in parts:
            check.scaling(
                f"{phi}: power of p in {('|G(0) - its limit|', '|H(0)|', 'λmin(G(0)) - γ')[part]}",
                widths,
                norms[:, :, part].T,
                ROOT,
                within=0.1,
                fall=0.3,
                on=f"widths {widths[0]} to {widths[-1]:,}, seeds 0-{seeds - 1}, orthonormal, n = 4",
            )
    if broken or 0 not in parts:
        return
    for phi in ("relu", "erf"):  # samples that are not orthogonal
        norms = np.array([start_kernels(phi, p, seeds, kind="gaussian")[:, 0] for p in widths])
        check.scaling(
            f"{phi}: power of p in |G(0) - its limit|",
            widths,
            norms.T,
            ROOT,
            within=0.1,
            fall=0.3,
            on=f"Gaussian samples, widths as above, seeds 0-{seeds - 1}, n = d = 4",
        )


def claim_kernels_at_start(check):
    r"""At the start a wide network has the last layer's kernel alone: $G\to\bar G$, $H\to 0$.

    $$ |G(0) - \bar G| = O(p^{-1/2}),\quad |H(0)| = O(p^{-1/2}),\quad
    \bar G = E_{w\sim N(0,I)}\,\psi(Xw)\,\psi(Xw)^\top $$

    Both are means over $p$ independent neurons, and those of $H$ have mean zero because $b$ is
    independent of $\beta(0)$; so $\lambda_{\min}(G)\to\gamma = \lambda_{\min}(\bar G)$.  Measured
    for linear, relu, tanh and erf networks over three decades of widths.

    Assumes: independent Gaussian neurons; b independent of β(0).
    Source: Song, Xu & Lafferty (2021) have H of order n/√p in their lemmas, recalled; the limit
    kernels of relu and erf are those of Cho & Saul (2009) and Williams (1998).
    Class: recalled
    """
    kernels_at_start(check)
    few = 6
    fig, (left, right) = panels(2)
    good = {
        phi: [start_kernels(phi, p, few).T for p in DIRECT] for phi in ("linear", "relu", "tanh")
    }
    bad = [start_kernels("relu", p, few, correlation=0.5).T for p in DIRECT]
    shared = [start_kernels("relu", p, few, common=True).T for p in DIRECT]
    for part, ax in ((0, left), (1, right)):
        curves = [
            (phi, np.array([row[part] for row in rows]).T, False) for phi, rows in good.items()
        ]
        wrong = np.array([row[part] for row in (bad if part else shared)]).T
        label = "relu, b correlated with β(0)" if part else "relu, a part of all w_r in common"
        fading(ax, DIRECT, [*curves, (label, wrong, True)], ("|G(0) − limit|", "|H(0)|")[part])
    check.figure(fig, "Root mean squares over 6 seeds; each control breaks one independence.")


def control_kernels_at_start_correlated_feedback(check):
    """b and β(0) have correlation 1/2: H tends to half the kernel of gradient descent."""
    kernels_at_start(check, parts=(1,), phis=("linear", "relu"), correlation=0.5)


def control_kernels_at_start_dependent_neurons(check):
    """The neurons share a part of their weights, each still Gaussian of the same variance."""
    kernels_at_start(check, parts=(0, 2), phis=("linear", "relu"), common=True)


# The rate at the start

CORRELATIONS = (1, -0.5, -2)


def with_feedback(X, y, p, c, seed, phi="linear"):
    """A problem with b = cβ(0) if |c| > 1, else of correlation c with it."""
    rule, task, w0 = wide.drawn(X, y, p, phi, correlation=np.clip(c, -1, 1), seed=seed)
    scale = max(1.0, abs(c))
    return ff.FA((scale * rule.B[0],), rates=rule.rates, decay=rule.decay), task, w0


def start_rate(c, p, seeds, first_layer=True, kind="isometric"):
    """-d log|e|/dt at the start, (seeds,)."""
    X, y = task_data(4, 4, kind=kind)
    rates = []
    for seed in range(seeds):
        rule, task, w = with_feedback(X, y, p, c, seed)
        e = error(task, w)
        moved = wide.error_rate(rule, task, w)
        moved = moved if first_layer else -wide.kernels(rule, task, w)[0] @ e
        rates.append(-(e @ moved) / (e @ e))
    return np.array(rates)


def initial_rate(check, correlations=(0, *CORRELATIONS), **broken):
    seeds, widths = check.tier((40, DIRECT), (40 if check.control else 120, WIDTHS))
    for c in correlations:
        gaps = [start_rate(c, p, seeds, **broken) - (1 + c) for p in widths]
        check.scaling(
            f"c = {c:g}: power of p in the rate less 1 + c",
            widths,
            np.array(gaps).T,
            ROOT,
            within=0.12,
            fall=0.3,
            on=f"widths {widths[0]} to {widths[-1]:,}, seeds 0-{seeds - 1}, n = d = 4",
        )


def claim_initial_rate(check):
    r"""Feedback of correlation $c$ with $\beta(0)$ starts to learn at rate $1 + c$, in the limit.

    $$ -\frac{d}{dt}\log|e|\,\Big|_{t=0} \to 1 + c,\qquad b = c\,\beta(0) + \text{independent} $$

    $G\to I$ from the last layer and $H\to cI$ from the first: gradient descent ($c = 1$) learns
    twice as fast as random feedback ($c = 0$), and $b = -2\beta(0)$ makes the error grow.  Measured
    for four values of $c$ over three decades of widths, at the start itself.

    Assumes: a linear network with orthonormal samples.
    Source: derived in this project; for networks in general a statement of this kind is made by
    Bordelon & Pehlevan.
    Class: derived
    """
    initial_rate(check)
    fig, (left, right) = panels(2)
    X, y = task_data(4, 4)
    ts = np.linspace(0, 0.6, 25)
    for k, c in enumerate((1, 0, -0.5)):
        made = wide.overlaps([with_feedback(X, y, DIRECT[-1], c, 0)])
        sizes = np.linalg.norm(wide.reduced_flow(made, ts).error[:, 0, 0], axis=1)
        left.semilogy(ts, sizes / sizes[0], color=f"C{k}", label=f"c = {c:g}")
        left.semilogy(ts, np.exp(-(1 + c) * ts), "k--", lw=1, label=None if k else "rate 1 + c")
    curves = [
        (f"c = {c:g}", np.array([start_rate(c, p, 6) - 1 - c for p in DIRECT]).T, False)
        for c in (1, 0, -0.5)
    ]
    wrong = np.array([start_rate(1, p, 6, first_layer=False) - 2 for p in DIRECT]).T
    fading(right, DIRECT, [*curves, ("c = 1, without H", wrong, True)], "|rate − (1 + c)|")
    left.set(xlabel=TIME, ylabel="|e(t)| / |e(0)|", title="one network of width 50,000")
    left.set_yticks([0.3, 0.4, 0.6, 1], ["0.3", "0.4", "0.6", "1"])
    left.set_yticks([], minor=True)
    left.legend(fontsize=8)
    check.figure(fig, "The first error of a wide network; right, how the rate tends to its limit.")


def control_initial_rate_without_the_first_layer(check):
    """The first layer's kernel H is left out, as if b were independent of β(0)."""
    initial_rate(check, CORRELATIONS, first_layer=False)


def control_initial_rate_gaussian_samples(check):
    """The samples are Gaussian, not orthonormal."""
    initial_rate(check, (0, -2), kind="gaussian")


# Exponential convergence


def least_rate(rule, task, w0, gamma, discrete=False):
    """The least average rate of log|e| up to any time in units of γ, and (times, |e|)."""
    observe = {"e": lambda rule, w: size_of_error(rule, w, task=task)}
    if discrete:
        sol = ff.iterate(rule, task, w0, eta=0.2, steps=200, observe=observe)
        sizes = sol.observed["e"]
        sizes = sizes[: np.argmax(sizes < 1e-12)] if sizes[-1] < 1e-12 else sizes
        return np.min(1 - sizes[1:] / sizes[:-1]) / (0.2 * gamma), (sol.ts, sizes)
    ts = np.linspace(0, 16 / gamma, 65)
    steps = {"rtol": 1e-7, "atol": 1e-12} if task.smooth else {"solver": "rk45", "step": 0.2}
    sol = ff.integrate(rule, task, w0, ts, observe=observe, **steps)
    sizes = sol.observed["e"]
    return np.min(np.log(sizes[0] / sizes[1:]) / (gamma * ts[1:])), (ts, sizes)


def fitted_rate(ts, sizes):
    """-d log|e|/dt by least squares, while |e|/|e(0)| falls from 0.1 to 1e-6."""
    inside = (sizes < 0.1 * sizes[0]) & (sizes > 1e-6 * sizes[0])
    return -np.polyfit(ts[inside], np.log(sizes[inside]), 1)[0]


def near_gamma(check, phi, rates):
    """rates: of several seeds, over γ."""
    p, bound = check.tier((800, 0.25), (3200, 0.12))
    check.at_most(
        "largest |rate fitted to |e| while it falls from 0.1 to 1e-6, over γ, less 1|",
        check.worst(np.abs(np.array(rates) - 1)),
        bound,
        fall=0.5,
        on=f"{phi}: width {p}, seeds 0-{len(rates) - 1}, n = 10, d = 20",
    )


def to_the_flow(check, phi, kind=ff.FA):
    """Distance of e in discrete steps from the flow at t = 4, against the size of a step."""
    X, y = task_data(10, 20)
    rule, task, w0 = wide.drawn(X, y, 400, phi)
    flow = error(task, ff.integrate(rule, task, w0, [0, 4.0], rtol=1e-8, atol=1e-10).final)
    taken, etas = kind(rule.B, rates=rule.rates), 0.2 / 2 ** np.arange(4)
    ends = [ff.iterate(taken, task, w0, eta=eta, steps=round(4 / eta)).final for eta in etas]
    check.order(
        f"{phi}: power of η in the distance of e from the flow's at t = 4",
        etas,
        [np.linalg.norm(error(task, end) - flow) for end in ends],
        1,
        within=0.1,
        fall=0.5,
        on="width 400, seed 0, n = 10, d = 20, η from 0.2 to 0.025",
    )


def least_positive(kernel):
    values = np.linalg.eigvalsh(kernel)
    return values[values > 1e-10][0]


def exponential_convergence(check, kind="isometric", d=20, c=0, phis=("linear", "relu", "tanh")):
    curves = {}
    seeds = check.tier(2, 3)
    for phi in phis:
        X, y = task_data(10, d, kind=kind)
        gamma = least_positive(wide.limit_kernel(X, phi))
        make = lambda p, seed, phi=phi, X=X, y=y: with_feedback(X, y, p, c, seed, phi)
        flows, steps, rates = [], [], []
        for p in check.tier((100, 800), (100, 800, 3200)):
            for seed in range(seeds):
                slow, curve = least_rate(*make(p, seed), gamma)
                flows.append(slow)
                if p == check.tier(800, 3200) and not check.control:
                    rates.append(fitted_rate(*curve) / gamma)
                curves[phi, p] = (curve[0] * gamma, curve[1])
        for seed in range(seeds):
            steps.append(least_rate(*make(1600, seed), gamma, discrete=True)[0])
        widths = check.tier("widths 100 and 800", "widths 100, 800 and 3200")
        check.at_least(
            "flow: least -log(|e(t)|/|e(0)|) / γt, over all t",
            check.worst(flows, small=False),
            1 / 4,
            fall=0.12,
            on=f"{phi}: {widths}, seeds 0-{seeds - 1}, n = 10, d = {d}, 0 < t ≤ 16/γ",
        )
        check.at_least(
            "steps: least (1 - |e(t+1)|/|e(t)|) / ηγ, over all t",
            check.worst(steps, small=False),
            1 / 4,
            fall=0.12,
            on=f"{phi}: width 1600, seeds 0-{seeds - 1}, n = 10, d = {d}, 200 steps of 0.2",
        )
        if not check.control:
            near_gamma(check, phi, rates)
            if phi != "relu":  # error control is slow at its kinks
                to_the_flow(check, phi)
    return curves


def claim_exponential_convergence(check):
    r"""Without penalty wide networks converge exponentially, at a quarter of $\gamma$ or faster.

    $$ |e(t)| \le e^{-\gamma t/4}\,|e(0)|,\qquad |e_{t+1}| \le (1 - \tfrac14\eta\gamma)\,|e_t|,
    \qquad \gamma = \lambda_{\min}(\bar G) > 0 $$

    From $\tfrac{d}{dt}|e| \le -(\lambda_{\min}(G) - |H|)\,|e|$: $G$ stays near $\bar G$ and $H$
    near zero.  The factor 4 is slack: the rate fitted to the later error is $\gamma$ up to the
    spread at one width, and the claim on the limit dynamics says what the rates tend to.  Measured
    at these widths, at every time saved and at every step; the steps of linear and tanh
    networks come to the flow in the first order of their size.

    Assumes: γ > 0, p large, η small, b independent of β(0), inputs and targets of order one;
    an activation with bounded first two derivatives, which relu, measured too, has not.
    Source: Song, Xu & Lafferty (2021): their bound on the error, its constants recalled.
    Class: recalled
    """
    curves = exponential_convergence(check)
    fig, ax = panels()
    for k, phi in enumerate(("linear", "relu", "tanh")):
        ts, sizes = curves[phi, 800]
        ax.semilogy(ts, np.maximum(sizes / sizes[0], 1e-9), color=f"C{k}", label=f"{phi}, p = 800")
    X, y = task_data(10, 20, kind="duplicates")
    gamma = least_positive(wide.limit_kernel(X, "tanh"))
    ts, sizes = least_rate(*wide.drawn(X, y, 800, "tanh"), gamma)[1]
    ax.semilogy(ts * gamma, sizes / sizes[0], color="C3", label="tanh, one input with two labels")
    ax.semilogy(ts * gamma, np.exp(-ts * gamma / 4), "k--", label="bound $e^{-\\gamma t/4}$")
    ax.set(xlabel="γ × time", ylabel="|e(t)| / |e(0)|", ylim=(1e-8, 2))
    ax.legend(fontsize=8)
    check.figure(fig, "The error along flows, the bound, and a problem with γ = 0.")


def control_exponential_convergence_one_input_with_two_labels(check):
    """The labels of one input differ: γ = 0, and its least positive neighbour gives no rate."""
    exponential_convergence(check, kind="duplicates", phis=("linear", "tanh"))


def control_exponential_convergence_fewer_inputs_than_samples(check):
    """A linear network with 5 inputs cannot fit 10 samples."""
    exponential_convergence(check, kind="few inputs", d=5, phis=("linear",))


def control_exponential_convergence_anticorrelated_feedback(check):
    """b = -2β(0): the error first grows, though in the end it goes to zero."""
    exponential_convergence(check, c=-2, phis=("linear", "relu"))


def control_exponential_convergence_gradient_descent(check):
    """β in place of b: twice the rate, and not the flow that the steps come to."""
    X, y = task_data(10, 20)
    rates = []
    for seed in range(3):
        rule, task, w0 = wide.drawn(X, y, check.tier(800, 3200), seed=seed)
        rule = GradientInstead(rule.B, rates=rule.rates)
        rates.append(fitted_rate(*least_rate(rule, task, w0, 1.0)[1]))
    near_gamma(check, "linear", rates)
    for phi in ("linear", "tanh"):
        to_the_flow(check, phi, GradientInstead)


# The limit dynamics, and how little the weights move

ETA, STEPS = 0.5, 16


@lru_cache
def trained(phi, p, seed, correlation=0.0, penalty=0.0, until=0.0):
    """Discrete training of one network: errors, and what moves, at every second step.

    until: time at which the penalty ends, 0 for never.
    Returns (errors, largest and rms move of w_r and β_r, largest |cos(b, β)|).
    """
    X, y = task_data(3, 3)
    lam = ff.Piecewise((until,), (penalty, 0.0)) if until else penalty
    rule, task, w0 = wide.drawn(X, y, p, phi, correlation=correlation, penalty=lam, seed=seed)
    steps = STEPS if not until else 2 * round((until / ETA + STEPS) / 2)

    def moved(rule, w):
        rows = np.linalg.norm(w[0] - w0[0], axis=1)
        entries = np.sqrt(p) * np.abs(w[1] - w0[1])[0]
        rms = [np.sqrt(np.mean(part**2)) for part in (rows, entries)]
        return np.array([rows.max(), entries.max(), *rms])

    observe = {"e": lambda rule, w: error(task, w), "moved": moved, "cosine": laws.alignment}
    every = 2 if not until else steps
    sol = ff.iterate(rule, task, w0, eta=ETA, steps=steps, every=every, observe=observe)
    seen = sol.observed
    return seen["e"], seen["moved"].max(0), np.abs(seen["cosine"]).max()


def limit_gap(phi, p, seed, correlation=0.0, penalty=0.0):
    """Largest distance of e from the limit's (1 - η(G + λ))e - ηλy, over all steps kept."""
    X, y = task_data(3, 3)
    errors = trained(phi, p, seed, correlation, penalty)[0]
    step = (1 - ETA * penalty) * np.eye(3) - ETA * wide.limit_kernel(X, phi)
    e, gaps = errors[0], []
    for seen in errors:
        gaps.append(np.linalg.norm(seen - e))
        for _ in range(2):
            e = step @ e - ETA * penalty * y
    return np.max(gaps)


def limit_dynamics(check, correlation=0.0, phis=("linear", "relu", "tanh")):
    seeds, widths = check.tier((8, DIRECT), (16, WIDTHS))
    for phi in phis:
        for penalty in (0.0, 0.3) if phi == "linear" else (0.0,):
            gaps = [
                [limit_gap(phi, p, seed, correlation, penalty) for p in widths]
                for seed in range(seeds)
            ]
            check.scaling(
                f"{phi}, λ = {penalty:g}: power of p in the distance from the limit",
                widths,
                gaps,
                ROOT,
                within=0.15,
                fall=0.25,
                on=f"widths {widths[0]} to {widths[-1]:,}, seeds 0-{seeds - 1}, n = d = 3,"
                f" {STEPS} steps of {ETA}",
            )


def claim_limit_dynamics(check):
    r"""In the limit of width the error of a network obeys a linear equation, for a fixed time.

    $$ e_{t+1} = e_t - \eta(\bar G + \lambda I)\,e_t - \eta\lambda y + O(p^{-1/2}) $$

    $G$ and $H$ of the exact equation of the error stay within $O(p^{-1/2})$ of $\bar G$ and 0,
    because $W$ moves by $O(p^{-1/2})$ a neuron and $\beta$ stays $c_0(t)\beta(0)$ up to as much, of
    which $b$ is independent.  So the slowest part has the rate $\gamma$ in the
    limit, not the $\gamma/4$ of the bound.  Measured along discrete training, the largest distance
    over all steps; for linear networks with a penalty too.

    Assumes: a fixed number of steps, b independent of β(0).
    Source: derived in this project from the lemmas of Song, Xu & Lafferty (2021) as recalled.
    Class: derived
    """
    limit_dynamics(check)
    fig, (left, right) = panels(2)
    X, _ = task_data(3, 3)
    step = np.eye(3) - ETA * wide.limit_kernel(X, "relu")
    ts = 2 * ETA * np.arange(STEPS // 2 + 1)
    for k, p in enumerate(DIRECT[::2]):
        errors = trained("relu", p, 0)[0]
        left.semilogy(ts, np.linalg.norm(errors, axis=1), color=f"C{k}", label=f"p = {p:,}")
        limit = [
            np.linalg.norm(np.linalg.matrix_power(step, 2 * j) @ errors[0]) for j in range(len(ts))
        ]
        left.semilogy(ts, limit, "k--", lw=1, label=None if k else "limit, from the same start")
    curves = [
        (phi, [[limit_gap(phi, p, seed) for p in DIRECT] for seed in range(6)], False)
        for phi in ("linear", "relu", "tanh")
    ]
    wrong = [[limit_gap("relu", p, seed, 0.5) for p in DIRECT] for seed in range(3)]
    fading(
        right,
        DIRECT,
        [*curves, ("relu, correlated b", wrong, True)],
        "distance of e from its limit",
    )
    left.set(xlabel=TIME, ylabel="|e(t)|", title="relu")
    left.legend(fontsize=8)
    check.figure(fig, "The error beside its limit, and the distance of the two as the width grows.")


def control_limit_dynamics_correlated_feedback(check):
    """b and β(0) have correlation 1/2, so that H does not go to zero."""
    limit_dynamics(check, correlation=0.5, phis=("linear", "tanh"))


PHASE = 1.0
"""Time of the penalised phase of the controls, in units of √p/|y|."""


def weights_move_little(check, penalty=0.0, phis=("linear", "relu", "tanh")):
    seeds, widths = check.tier((8, DIRECT), (16, WIDTHS))
    seeds = seeds if not penalty else 3
    _, y = task_data(3, 3)
    for phi in phis:
        until = lambda p: PHASE * np.sqrt(p) / np.linalg.norm(y) if penalty else 0.0
        moves = np.array(
            [
                [trained(phi, p, seed, 0.0, penalty, until(p))[1] for p in widths]
                for seed in range(seeds)
            ]
        )
        time = f"until {PHASE:g}√p/|y| + {STEPS * ETA:g}, steps" if penalty else f"{STEPS} steps"
        on = f"{phi}: widths {widths[0]} to {widths[-1]:,}, seeds 0-{seeds - 1}, n = d = 3"
        on += f", {time} of {ETA}"
        for part, name in ((2, "w"), (3, "β")):
            check.scaling(
                f"{phi}: power of p in the rms move of a {name}",
                widths,
                moves[:, :, part],
                ROOT,
                within=0.1,
                fall=0.3,
                on=on,
            )
        allowed = np.sqrt(np.log(widths)) * np.linalg.norm(y) / np.sqrt(widths)
        check.at_most(
            "largest move of any w_r or β_r, over √(log p) |y| / √p",
            check.worst((moves[:, :, :2] / allowed[:, None]).max((1, 2))),
            8,
            fall=30,
            on=on,
        )


def claim_weights_move_little(check):
    r"""Without penalty no neuron of a wide network moves far from where it started.

    $$ |w_r(t) - w_r(0)|,\ |\beta_r(t) - \beta_r(0)| \le C\,\frac{\sqrt{\log p}\;|y|}{\sqrt p} $$

    Each moves by $\tfrac1{\sqrt p}\int e\,\cdots\,dt$, and the error has a finite integral; the
    logarithm is that of the largest of $p$ Gaussian numbers.  Measured in 16 discrete steps of 1/2:
    the root mean square over the neurons falls as $p^{-1/2}$, and the largest move in these units
    stays below the same constant at all widths.

    Assumes: λ = 0 and γ > 0.
    Source: Song, Xu & Lafferty (2021): their bound on the weights' movement, recalled.
    Class: recalled
    """
    weights_move_little(check)
    fig, ax = panels()
    curves = [
        (phi, [[trained(phi, p, seed)[1][2] for p in DIRECT] for seed in range(6)], False)
        for phi in ("linear", "relu", "tanh")
    ]
    few = np.array(DIRECT[:3])
    _, y = task_data(3, 3)
    wrong = [
        trained("relu", p, 0, 0.0, 1.0, PHASE * np.sqrt(p) / np.linalg.norm(y))[1][2] for p in few
    ]
    fading(ax, DIRECT, curves, "rms move of a neuron's weights w")
    ax.loglog(few, wrong, "s-", ms=4, color="C3", label="relu, penalty for a time ∝ √p")
    ax.legend(fontsize=8)
    check.figure(fig, "How far the first layer moves, against the width.")


def control_weights_move_little_penalty(check):
    """A penalty λ = 1 on β for a time √p/|y|: every neuron moves, at any width."""
    weights_move_little(check, penalty=1.0, phis=("linear", "relu"))


# No alignment without penalty


def no_alignment_without_penalty(check, penalty=0.0, reach=None):
    seeds = check.tier(32, 100)
    finals, largest = [], []
    for p in WIDTHS:
        lam = ff.Piecewise((reach * np.sqrt(p / 5),), (penalty, 0.0)) if reach else penalty
        end = 30 + (reach * np.sqrt(p / 5) if reach else 0)
        flow = wide.reduced_flow(batch(p, seeds), np.linspace(0, end, 31), penalties=[lam], **LOOSE)
        finals.append(flow.cosine[-1, :, 0])
        largest.append(np.abs(flow.cosine[:, :, 0]).max(0))
    until = f"t ≤ {reach:g}√p/|y| + 30" if reach else "t ≤ 30"
    on = f"linear, widths 100 to 100,000, seeds 0-{seeds - 1}, n = 5, d = 8, {until}"
    for name, seen in (
        ("cos(b, β) at the end", finals),
        ("the largest |cos(b, β)| of 31 times", largest),
    ):
        check.scaling(
            f"power of p in {name}", WIDTHS, np.array(seen).T, ROOT, within=0.1, fall=0.3, on=on
        )
    if not penalty:
        few, widths = check.tier((8, DIRECT), (16, WIDTHS))
        for phi in ("relu", "tanh"):
            check.scaling(
                f"{phi}: power of p in the largest |cos(b, β)| of all times kept",
                widths,
                [[trained(phi, p, seed)[2] for p in widths] for seed in range(few)],
                ROOT,
                within=0.15,
                fall=0.3,
                on=f"widths {widths[0]} to {widths[-1]:,}, seeds 0-{few - 1}, n = d = 3,"
                f" {STEPS} steps of {ETA}",
            )
    return finals


def claim_no_alignment_without_penalty(check):
    r"""Without penalty the output weights of a wide network never align with the feedback.

    $$ \sup_t |\cos(b,\beta(t))| = O(p^{-1/2}) \to 0 $$

    $|\beta(t) - \beta(0)|$ stays bounded while $|\beta(0)|\approx\sqrt p$, and
    $\cos(b,\beta(0))$ has variance $1/p$.  One width proves nothing: at $p = 200$ the cosine can be
    0.2.  Measured over three decades of widths, linear networks along flows, relu and tanh in
    discrete steps.  The power of the largest of 31 times, -0.526 [-0.548, -0.505] in the full tier,
    is bent at the small widths: with 400 seeds it is -0.56 from 100 to 1,000, -0.54 from there to
    10,000, and -0.49 from there on.

    Assumes: λ = 0, the number of samples fixed, b independent of β(0).
    Source: Song, Xu & Lafferty (2021), recalled; the power is derived in this project.
    Class: recalled
    """
    finals = no_alignment_without_penalty(check)
    few, end = 12, 4.0
    fig, (left, right) = panels(2)
    wrong = []
    for p in WIDTHS:
        T = end * np.sqrt(p / 5)
        flow = wide.reduced_flow(batch(p, few), [0, T], penalties=[1.0], **LOOSE)
        wrong.append(flow.cosine[-1, :, 0])
    for k, p in enumerate(WIDTHS):
        left.plot([p] * len(finals[k]), finals[k], "o", ms=3, color="C0")
        left.plot([p] * few, wrong[k], "s", ms=3, color="C3")
    bars = 2 / np.sqrt(WIDTHS)
    left.fill_between(WIDTHS, -bars, bars, color="0.85", label="±2/√p", zorder=0)
    left.plot([], [], "o", ms=3, color="C0", label="no penalty")
    left.plot([], [], "s", ms=3, color="C3", label="λ = 1 for a time ∝ √p")
    left.set(xscale="log", xlabel="width p", ylabel="cos(b, β) at the end", ylim=(-0.35, 1.02))
    left.legend(fontsize=8, loc="center right")
    relu = [[trained("relu", p, seed)[2] for p in DIRECT] for seed in range(6)]
    fading(
        right,
        WIDTHS,
        [("linear, no penalty", np.array(finals).T, False)],
        "rms of cos(b, β)",
    )
    right.loglog(
        DIRECT,
        np.sqrt(np.mean(np.square(relu), axis=0)),
        "^-",
        ms=4,
        color="C1",
        label="relu, no penalty, largest over t",
    )
    right.loglog(
        WIDTHS,
        np.sqrt(np.mean(np.square(wrong), axis=1)),
        "s-",
        ms=4,
        color="C3",
        label="linear, λ = 1",
    )
    right.legend(fontsize=8)
    check.figure(
        fig,
        "The cosine of each network at the end, and its root mean square by width (of relu the"
        " largest over time).",
    )


def control_no_alignment_without_penalty_penalty(check):
    """A penalty λ = 1 on β for a time 4√p/|y|."""
    no_alignment_without_penalty(check, penalty=1.0, reach=4.0)


# The exact reduction

SCHEDULES = {
    "λ = 0.8, then 0": ff.Piecewise((6.0,), (0.8, 0.0)),
    "λ = 0.2, 2, 0.5": ff.Piecewise((3.0, 7.0), (0.2, 2.0, 0.5)),
}


def reduction_runs(kind, penalty, phi="linear", no_gram=False, discrete=False):
    """(ts, |e - e of the reduction|, |cosine - that of the reduction|, cosine, its reduction)."""
    X, y = task_data(6, 9, kind=kind)
    rule, task, w0 = wide.drawn(X, y, 50, phi, penalty=penalty, seed=1)
    made = wide.overlaps([(rule, replaced(task, phi=ff.nets.linear), w0)])
    if no_gram:
        made = replace(made, gram=np.eye(6)[None])
    if discrete:
        sol = ff.iterate(rule, task, w0, eta=0.02, steps=600, every=20)
        reduced = wide.reduced_steps(made, eta=0.02, steps=600, every=20)
    else:
        ts, precise = np.linspace(0, 12, 49), {"rtol": 1e-12, "atol": 1e-13}
        sol = ff.integrate(rule, task, w0, ts, **precise)
        reduced = wide.reduced_flow(made, ts, **precise)
    errors = np.array([error(task, sol.at(k)) for k in range(len(sol))])
    cosines = sol.measure(laws.alignment)
    said = reduced.cosine[:, 0, 0]
    gaps = np.linalg.norm(errors - reduced.error[:, 0, 0], axis=1)
    return sol.ts, gaps, np.abs(cosines - said), cosines, said


def exact_reduction(check, kinds=("isometric", "gaussian"), **broken):
    for discrete in (False, True):
        gaps = [
            reduction_runs(kind, penalty, discrete=discrete, **broken)[1:3]
            for kind in kinds
            for penalty in SCHEDULES.values()
        ]
        how, bound = ("steps", 1e-12) if discrete else ("flow", 1e-9)
        for part, name in ((0, "|e - its reduction|"), (1, "|cos(b, β) - its reduction|")):
            check.at_most(
                f"{how}: largest {name}",
                check.worst([pair[part].max() for pair in gaps]),
                bound,
                fall=0.03,
                on=f"{' and '.join(kinds)} data of seed 0, network of seed 1, two schedules of λ,"
                " n = 6, d = 9, p = 50, t ≤ 12",
            )


def claim_exact_reduction(check):
    r"""A linear network of any width is $2n + 2$ numbers, along the flow and in discrete steps.

    $$ \beta = c_0\beta(0) - \tfrac{1}{\sqrt p}V_0 a + \rho b,\qquad
    W X^\top = V_0 - \tfrac{1}{\sqrt p}\,b\,u^\top,\qquad V_0 = W(0)X^\top $$

    $$ \dot c_0 = -\lambda c_0,\quad \dot a = e - \lambda a,\quad
    \dot\rho = \tfrac1p\,u\cdot e - \lambda\rho,\quad \dot u = XX^\top e $$

    The error closes the system through $V_0^\top V_0$, $V_0^\top\beta(0)$, $V_0^\top b$ and
    $b\cdot\beta(0)$; exact for any data and any $\lambda(t)$.  Measured against the whole network,
    for isometric and Gaussian data and two schedules with jumps.

    Assumes: a linear network, one output, the squared loss.
    Source: derived in this project.
    Class: derived
    """
    exact_reduction(check)
    fig, (left, right) = panels(2)
    for k, (kind, name) in enumerate((("isometric", "isometric"), ("gaussian", "Gaussian"))):
        ts, gaps, _, cosines, said = reduction_runs(kind, SCHEDULES["λ = 0.8, then 0"])
        left.plot(ts, cosines, color=f"C{k}", label=f"network, {name} data")
        left.plot(ts[::3], said[::3], "k.", ms=5, label=None if k else "reduction")
        right.semilogy(ts, np.maximum(gaps, 1e-17), color=f"C{k}", label=f"{name} data")
    ts, gaps, _, cosines, _ = reduction_runs("gaussian", SCHEDULES["λ = 0.8, then 0"], "tanh")
    left.plot(ts, cosines, color="C3", label="tanh network, Gaussian data")
    right.semilogy(ts, np.maximum(gaps, 1e-17), color="C3", label="tanh network")
    right.axhline(1e-9, color="0.4", lw=1, label="bound")
    left.axvline(6, color="0.7", lw=1, ls=":")
    left.set(xlabel=TIME, ylabel="cos(b, β)", title="λ = 0.8 until t = 6, p = 50")
    right.set(xlabel=TIME, ylabel="|e − its reduction|")
    left.legend(fontsize=7)
    right.legend(fontsize=8)
    check.figure(
        fig, "Alignment of the network and of its 14 numbers; right, the errors' distance."
    )


def control_exact_reduction_tanh(check):
    """The network has tanh units, the reduction linear ones."""
    exact_reduction(check, phi="tanh")


def control_exact_reduction_without_the_gram_matrix(check):
    """XXᵀ is taken for the identity, on Gaussian data."""
    exact_reduction(check, kinds=("gaussian",), no_gram=True)


# Alignment under a penalty

SETTINGS = ((0.5, 1.0), (0.5, 4.0), (2.0, 1.0), (2.0, 4.0))
"""λ and κ: the penalty acts until t = κ√p/|y|."""


@lru_cache
def aligned(p, seeds, penalty, reach, fixed=None):
    """cos(b, β) and |e|/|y| when the penalty ends and 30 later, (seeds,) each."""
    T = reach * np.sqrt(p / 5) if fixed is None else fixed
    flow = wide.reduced_flow(
        batch(p, seeds),
        [0, T, T + 30],
        penalties=[ff.Piecewise((T,), (penalty, 0.0))],
        **LOOSE,
    )
    sizes = np.linalg.norm(flow.error[:, :, 0], axis=-1) / np.sqrt(5)
    return (*flow.cosine[1:, :, 0], *sizes[1:])


def whole_networks(p, seeds, penalty, reach, kind=ff.FA, placebo=False):
    """cos(b, β) of networks when the penalty ends, or of β with an independent vector, (seeds,)."""
    X, y = task_data(5, 8)
    cosines = []
    for seed in range(seeds):
        rule, task, w0 = wide.drawn(X, y, p, penalty=penalty, seed=seed)
        rule = kind(rule.B, rates=rule.rates, decay=rule.decay)
        end = ff.integrate(rule, task, w0, [0, reach * np.sqrt(p / 5)], **LOOSE).final
        fresh = np.random.default_rng([seed, 1]).standard_normal((p, 1))
        cosines.append(laws.alignment(ff.FA((fresh,)) if placebo else ff.FA(rule.B), end))
    return np.array(cosines)


def sharp_alignment(check, penalised=True, fixed=None):
    seeds = check.tier(32, 100)
    for penalty, reach in check.tier(SETTINGS[::3], SETTINGS):
        law = wide.alignment_law(penalty, [reach])
        seen = [aligned(p, seeds, penalty * penalised, reach, fixed) for p in WIDTHS]
        on = f"λ = {penalty:g}, κ = {reach:g}: seeds 0-{seeds - 1}, n = 5, d = 8, to 100,000"
        names = ("cos(b, β) at T", "cos(b, β) at T + 30", "|e(T)|/|y|")
        for part, name in enumerate(names):
            limit = law.cosine[0] if part < 2 else law.error[0]
            check.scaling(
                f"power of p in {name} less the law, λ = {penalty:g}, κ = {reach:g}",
                WIDTHS,
                np.array([row[part] for row in seen]).T - limit,
                ROOT,
                within=0.12,
                fall=0.3,
                on=on,
            )
        if penalised and fixed is None:
            check.at_most(AFTER, [row[3] for row in seen], 1e-5, fall=1e-2, on=on)


WHOLE = 1000
AFTER = "largest |e|/|y| 30 after the penalty"


def whole_alignment(check, **broken):
    penalty, reach = SETTINGS[-1]
    cosines = whole_networks(WHOLE, 5, penalty, reach, **broken)
    gaps = cosines - wide.alignment_law(penalty, [reach]).cosine[0]
    check.at_most(
        f"whole networks of width {WHOLE}: largest |cos(b, β) less the law|",
        check.worst(np.abs(gaps)),
        0.05,
        fall=0.3,
        on="λ = 2, κ = 4, seeds 0-4, n = 5, d = 8",
    )


def claim_sharp_alignment(check):
    r"""A penalty for a time of order $\sqrt p$ aligns a linear network, by a law of its own.

    $$ T = \kappa\frac{\sqrt p}{|y|},\qquad
    (1 + \lambda)\,\sigma + \tfrac13\sigma^3 = \lambda\kappa,\qquad
    \cos(b,\beta(T)) \to \frac{\sigma}{\sqrt{1+\sigma^2}},\qquad
    \frac{|e(T)|}{|y|} \to \frac{\lambda}{1+\lambda+\sigma^2} $$

    The output weights relax at rate $\lambda$ while $W$ grows along $b$ at rate $p^{-1/2}$; in slow
    time $\dot\sigma = \lambda|y|/(1+\lambda+\sigma^2)$.  When the penalty ends the cosine stays
    and the error goes to zero.  Measured over three decades of widths by the exact reduction: the
    distance from the law falls as $p^{-1/2}$; and at one width on whole networks.  That in the full
    tier one interval, [-0.554, -0.504] for cos(b, β) at T with λ = 0.5 and κ = 1, leaves out -1/2
    is chance as far as seen: 400 seeds gave [-0.524, -0.496].

    Assumes: a linear network, orthonormal samples, λ constant until T and 0 after.
    Source: that alignment stays above a positive constant is the main theorem of Song, Xu &
    Lafferty (2021), recalled; the law is derived in this project.
    Class: derived
    """
    sharp_alignment(check)
    whole_alignment(check)
    fig, (left, right) = panels(2)
    taus = np.linspace(0, 4, 41)[1:]
    for k, penalty in enumerate((0.5, 2.0)):
        for p, marker in ((100, "."), (100_000, "o")):
            ts = np.concatenate([[0], taus * np.sqrt(p / 5)])
            flow = wide.reduced_flow(batch(p, 1), ts, penalties=[penalty], **LOOSE)
            label = f"λ = {penalty:g}, p = {p:,}"
            seen = flow.cosine[1::2, 0, 0]
            left.plot(taus[::2], seen, marker, ms=4, color=f"C{k}", mfc="none", label=label)
        law = wide.alignment_law(penalty, taus).cosine
        left.plot(taus, law, "k--", lw=1, label=None if k else "law, p → ∞")
    ts = np.concatenate([[0], taus * np.sqrt(WIDTHS[-1] / 5)])
    short = wide.reduced_flow(
        batch(WIDTHS[-1], 1),
        ts,
        penalties=[ff.Piecewise((5.0,), (2.0, 0.0))],
        rtol=1e-8,
        atol=1e-10,
    )
    left.plot(taus, short.cosine[1:, 0, 0], color="C3", label="λ = 2 until t = 5, p = 100,000")
    left.set(xlabel="time (√p/|y|)", ylabel="cos(b, β)", ylim=(-0.1, 1))
    left.legend(fontsize=7, loc=(0.5, 0.16))
    curves = []
    for penalty, reach in SETTINGS[::3]:
        limit = wide.alignment_law(penalty, [reach]).cosine[0]
        gaps = np.array([aligned(p, 32, penalty, reach)[0] for p in WIDTHS]).T - limit
        curves.append((f"λ = {penalty:g}, κ = {reach:g}", gaps, False))
    wrong = np.array([aligned(p, 32, 2.0, 4.0, 5.0)[0] for p in WIDTHS]).T - limit
    fading(right, WIDTHS, [*curves, ("λ = 2 until t = 5", wrong, True)], "|cos(b, β(T)) − law|")
    check.figure(fig, "Alignment as it grows, the law dashed; right, the distance from the law.")


def control_sharp_alignment_fixed_time(check):
    """The penalty ends at T = 5, whatever the width."""
    sharp_alignment(check, fixed=5.0)


def control_sharp_alignment_penalty_for_ever(check):
    """The penalty does not end at T, so that the error stays."""
    for penalty, reach in check.tier(SETTINGS[::3], SETTINGS):
        T = reach * np.sqrt(WIDTHS[1] / 5)
        ever = wide.reduced_flow(batch(WIDTHS[1], 8), [0, T + 30], penalties=[penalty])
        sizes = np.linalg.norm(ever.error[-1, :, 0], axis=-1) / np.sqrt(5)
        on = f"λ = {penalty:g}, κ = {reach:g}, width {WIDTHS[1]}, seeds 0-7, n = 5, d = 8"
        check.at_most(AFTER, check.worst(sizes), 1e-5, fall=1e-2, on=on)


def control_sharp_alignment_no_penalty(check):
    """λ = 0, for the same times."""
    sharp_alignment(check, penalised=False)


def control_sharp_alignment_gradient_descent(check):
    """β in place of b, under the same penalty."""
    whole_alignment(check, kind=GradientInstead)


def control_sharp_alignment_independent_vector(check):
    """The cosine of β with a vector that takes no part in training."""
    whole_alignment(check, placebo=True)


# The same for any data


def any_data(check, orthonormal=False):
    seeds = check.tier(32, 100)
    X, y = task_data(5, 8, kind="gaussian")
    for penalty, reach in check.tier(((1.0, 2.0),), ((1.0, 2.0), (0.5, 4.0), (2.0, 4.0))):
        law = wide.alignment_path(X, y, penalty, [reach])
        law = wide.alignment_law(penalty, [reach]) if orthonormal else law
        seen = []
        for p in WIDTHS:
            T = reach * np.sqrt(p) / np.linalg.norm(y)
            flow = wide.reduced_flow(
                batch(p, seeds, "gaussian"), [0, T], penalties=[penalty], **LOOSE
            )
            sizes = np.linalg.norm(flow.error[-1, :, 0], axis=-1) / np.linalg.norm(y)
            seen.append((flow.cosine[-1, :, 0] - law.cosine[0], sizes - law.error[0]))
        for part, name in enumerate(("cos(b, β(T))", "|e(T)|/|y|")):
            check.scaling(
                f"power of p in {name} less the law, λ = {penalty:g}",
                WIDTHS,
                np.array([row[part] for row in seen]).T,
                ROOT,
                within=0.12,
                fall=0.3,
                on=f"one set of Gaussian data, κ = {reach:g}, networks of seeds 0-{seeds - 1},"
                " n = 5, d = 8, widths 100 to 100,000",
            )


def claim_alignment_for_any_data(check):
    r"""The same limit for any data: alignment follows an equation in $n$ variables.

    $$ \frac{du}{d\tau} = \frac{\Gamma e}{|y|},\quad
    e = -\lambda\,(\lambda I + \Gamma + uu^\top)^{-1}y,\quad
    \cos(b,\beta) \to \frac{\sigma}{\sqrt{1+\sigma^2}},\quad
    \sigma = \frac{u\cdot e}{\sqrt{e^\top\Gamma e}},\quad \Gamma = XX^\top,\quad
    \tau = \frac{t|y|}{\sqrt p} $$

    The steps that give the law for orthonormal samples, without their last: $u$ need not stay
    parallel to $y$.  Measured over three decades of widths by the exact reduction, for one set of
    Gaussian data, whose $\Gamma$ has a condition number of more than ten.

    Assumes: a linear network, a constant penalty, the number of samples fixed.
    Source: derived in this project; the paper's theorem is for isometric data.
    Class: derived
    """
    any_data(check)
    X, y = task_data(5, 8, kind="gaussian")
    taus = np.linspace(0, 4, 41)[1:]
    fig, ax = panels()
    for k, penalty in enumerate((0.5, 2.0)):
        ts = np.concatenate([[0], taus * np.sqrt(WIDTHS[-1]) / np.linalg.norm(y)])
        flow = wide.reduced_flow(batch(WIDTHS[-1], 1, "gaussian"), ts, penalties=[penalty], **LOOSE)
        seen = flow.cosine[1::2, 0, 0]
        ax.plot(taus[::2], seen, "o", ms=4, color=f"C{k}", mfc="none", label=f"λ = {penalty:g}")
        law = wide.alignment_path(X, y, penalty, taus).cosine
        ax.plot(taus, law, "k--", lw=1, label=None if k else "limit for these data")
        other = wide.alignment_law(penalty, taus).cosine
        ax.plot(taus, other, "C3-", lw=1, label=None if k else "law for orthonormal samples")
    ax.set(xlabel="time (√p/|y|)", ylabel="cos(b, β)", title="Gaussian data, p = 100,000")
    ax.legend(fontsize=8)
    check.figure(fig, "Alignment for Gaussian data beside its limit, and beside the wrong one.")


def control_alignment_for_any_data_as_if_orthonormal(check):
    """The law for orthonormal samples, on Gaussian data."""
    any_data(check, orthonormal=True)


# The error under a penalty


def error_recursion(check, c=0, target=1, phis=("linear", "relu", "tanh")):
    eta, penalty, p = 0.2, 0.5, 1600
    X, y = task_data(10, 20)
    size, curves = np.linalg.norm(y), {}
    for phi in phis:
        gamma, steps, rates = wide.gamma(X, phi), [], []
        for seed in range(check.tier(2, 10)):
            rule, task, w0 = with_feedback(X, y, p, c, seed, phi)
            rule = ff.FA(rule.B, rates=rule.rates, decay=(0, penalty))

            def pointwise(rule, w, task=task):
                e = error(task, w)
                return np.linalg.norm(e), e @ wide.error_rate(rule, task, w) / np.linalg.norm(e)

            sol = ff.iterate(rule, task, w0, eta=eta, steps=200, observe={"e": pointwise})
            sizes, moved = sol.observed["e"].T
            bound = (1 - eta * (gamma / 4 + penalty)) * sizes[:-1] + eta * penalty * target * size
            steps.append(np.max((sizes[1:] - bound) / (eta * size)))
            allowed = penalty * target * size - (gamma / 4 + penalty) * sizes
            rates.append(np.max(moved - allowed) / size)
            curves[phi] = sizes / size, gamma
        seeds = check.tier("0-1", "0-9")
        on = f"{phi}: width {p}, λ = 0.5, 200 steps of 0.2, n = 10, d = 20, seeds {seeds}"
        for name, seen in (
            ("steps: largest (|e(t+1)| less the bound) / η|y|", steps),
            ("flow, at the same states: largest (d|e|/dt less the bound) / |y|", rates),
        ):
            check.at_most(name, check.worst(seen), 0.0, fall=0.1, on=on)
    return curves


def claim_error_recursion(check):
    r"""Under a penalty the error shrinks at the rate $\gamma/4 + \lambda$, up to $\lambda|y|$.

    $$ |e_{t+1}| \le \bigl(1 - \tfrac14\eta\gamma - \eta\lambda\bigr)\,|e_t| + \eta\lambda|y|,\qquad
    \frac{d|e|}{dt} \le -\bigl(\tfrac14\gamma + \lambda\bigr)|e| + \lambda|y| $$

    At once from the exact equation of the error, wherever the symmetric part of $G + H$ is at least
    $\gamma/4$.  So a penalty that is switched off, or has a finite integral, lets the error go to
    zero.  Measured at every step, and as the exact rate at the same states, at one width.

    Assumes: γ > 0, p large, η small, b independent of β(0), inputs and targets of order one;
    an activation with bounded first two derivatives, which relu, measured too, has not.
    Source: the recursion is that of Song, Xu & Lafferty (2021), recalled.
    Class: recalled
    """
    curves = error_recursion(check)
    wrong = wide.overlaps([with_feedback(*task_data(10, 20), 1600, -2, 0)])
    anti = wide.reduced_steps(wrong, eta=0.2, steps=40, every=1, penalties=[0.5])
    fig, ax = panels()
    ts = 0.2 * np.arange(41)
    for k, (phi, (sizes, gamma)) in enumerate(curves.items()):
        ax.plot(ts, sizes[:41], color=f"C{k}", label=phi)
        bound = [sizes[0]]
        for _ in range(40):
            bound.append((1 - 0.2 * (gamma / 4 + 0.5)) * bound[-1] + 0.2 * 0.5)
        ax.plot(ts, bound, ls=("--", ":", "-.")[k], color="k", lw=1, label=f"bound, {phi}")
    sizes = np.linalg.norm(anti.error[:, 0, 0], axis=1) / np.sqrt(10)
    ax.plot(ts, sizes, color="C3", label="linear, b = −2β(0)")
    ax.set(xlabel=TIME, ylabel="|e| / |y|", ylim=(0, 2.6), title="λ = 0.5, p = 1600")
    ax.legend(fontsize=7, ncols=2)
    check.figure(fig, "The error under a penalty, and the bound iterated from the same start.")


def control_error_recursion_anticorrelated_feedback(check):
    """b = -2β(0), so that G + H is not positive at first."""
    error_recursion(check, c=-2, phis=("linear", "relu"))


def control_error_recursion_without_the_targets(check):
    """The term λ|y| is left out."""
    error_recursion(check, target=0, phis=("linear", "tanh"))


# A penalty for ever


@lru_cache
def penalised_for_ever(seed, on_first, penalty, p):
    """τ, and |e|/|y|, 1 - cos(b, β) and |b|²/p of one network, at late times."""
    X, y = task_data(4, 6)
    taus = np.concatenate([[0], np.geomspace(3e3, 3e6, 10)])
    rule, task, w0 = wide.drawn(X, y, p, seed=seed)
    rule = ff.FA(rule.B, rates=rule.rates, decay=(on_first, penalty))
    made = wide.overlaps([(rule, task, w0)])
    size = np.linalg.norm(y)
    flow = wide.reduced_flow(made, taus * np.sqrt(p) / size, solver="bdf", rtol=1e-6, atol=1e-10)
    sizes = np.linalg.norm(flow.error[1:, 0, 0], axis=1) / size
    return taus[1:], sizes, 1 - flow.cosine[1:, 0, 0], made.bb[0] / p


FOR_EVER = ((1.0, 100), (0.3, 1000))
"""λ and the width p."""


def algebraic_decay(check, on_first=0.0):
    for number, (penalty, p) in enumerate(FOR_EVER):
        seeds = check.tier((4, 3)[number], 8)
        shared = penalty if on_first else 0.0
        runs = [penalised_for_ever(seed, shared, penalty, p) for seed in range(seeds)]
        on = f"width {p}, λ = {penalty:g}, seeds 0-{seeds - 1}, n = 4, d = 6"
        on += ", τ = t|y|/√p from 3,000 to 3,000,000"
        taus, sizes = runs[0][0], np.array([run[1] for run in runs])
        law = wide.late_error(penalty, taus[-1:])[0]
        gaps = [abs(run[1][-1] * np.cbrt(run[3]) / law - 1) for run in runs]
        name = "|e|, its amplitude relative to the law, less 1, at τ = 3,000,000"
        check.scaling("power of t in |e|", taus, sizes, -2 / 3, within=0.003, fall=0.3, on=on)
        check.at_most(name, check.worst(gaps), 1e-3, fall=0.1, on=on)
        if not on_first:
            away = np.array([run[2] for run in runs])
            name = "power of t in 1 - cos(b, β)"
            check.scaling(name, taus, away, -2 / 3, within=0.003, fall=0.3, on=on)


def claim_algebraic_decay(check):
    r"""Under a penalty that never ends the error still goes to zero, as $t^{-2/3}$.

    $$ |e| \to \lambda|y|\,\Bigl(\frac{3\lambda|y|\,t}{\sqrt p}\Bigr)^{-2/3}
    \Bigl(\frac{|b|^2}{p}\Bigr)^{-1/3},\qquad 1 - \cos(b,\beta) \sim t^{-2/3} $$

    $W$ is not penalised and grows without end: in the law of alignment $\sigma^3/3 \to \lambda\tau$
    and $|e| \to \lambda|y|/\sigma^2$.  The last factor makes it right at every width.  Measured
    over three decades of late times, power and amplitude, for two pairs of penalty and width, by
    the exact reduction.

    Assumes: a linear network, orthonormal samples, λ constant.
    Source: derived in this project.
    Class: derived
    """
    algebraic_decay(check)
    fig, ax = panels()
    for k, (penalty, p) in enumerate(FOR_EVER):
        taus, sizes, away, _ = penalised_for_ever(0, 0.0, penalty, p)
        name = f"λ = {penalty:g}, p = {p:,}"
        ax.loglog(taus, sizes, "o", ms=4, color=f"C{k}", label=f"|e|/|y|, {name}")
        ax.loglog(taus, away, "^", ms=4, color=f"C{k}", label=f"1 − cos(b, β), {name}")
        law = wide.late_error(penalty, taus)
        ax.loglog(taus, law, "k--", lw=1, label=None if k else "law, $λ(3λτ)^{-2/3}$")
    taus, sizes, _, _ = penalised_for_ever(0, 1.0, *FOR_EVER[0])
    ax.loglog(taus, sizes, "s-", ms=4, color="C3", label="|e|/|y|, W penalised too")
    ax.set(xlabel="τ = time · |y|/√p", ylabel="|e|/|y|, 1 − cos(b, β)")
    ax.legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.7))
    check.figure(fig, "The late error under a constant penalty, against its law.")


def control_algebraic_decay_penalty_on_both_layers(check):
    """W is penalised as much as β: the error stays."""
    algebraic_decay(check, on_first=1.0)


# Schedules

EDGES = np.geomspace(1, 1300, 29)
FALLING = ff.Piecewise(tuple(map(float, EDGES[:-1])), tuple(map(float, 2 / (1 + EDGES / 4) ** 2)))
"""A staircase below 2/(1 + τ/4)² in τ = t|y|/√p, whose integral is finite."""

STAIRCASES = {
    "λ = 2, 1, 0.5, 0.25, then 0": ff.Piecewise((1.0, 2.0, 3.0, 4.0), (2.0, 1.0, 0.5, 0.25, 0.0)),
    "λ = 0.5, 0, 2, then 0": ff.Piecewise((1.0, 2.0, 3.0), (0.5, 0.0, 2.0, 0.0)),
}


EXPONENTIAL = "λ = 2exp(-τ), until 4.4"
FINE = tuple(float(t) for t in np.arange(1, 45) / 10)
"""Edges of the staircase that stands for the exponential: steps of 1/10 in τ, taken at middles."""

SLOPES = STAIRCASES | {
    EXPONENTIAL: ff.Piecewise(FINE, (*(2 * float(np.exp(1 / 20 - t)) for t in FINE), 0.0))
}
SEEN = {"λ = 2, 1, 0.5, 0.25, then 0": 3.9, "λ = 0.5, 0, 2, then 0": 2.9, EXPONENTIAL: 3.95}
"""The τ at which the error is looked at, in the last step but that of 0."""


def in_time(schedule, unit):
    return ff.Piecewise(tuple(unit * t for t in schedule.times), schedule.values)


def law_of(name):
    """|e|/|y| at the τ where it is looked at, and the cosine at the end, by the law.

    For the exponential from its own differential equation, no staircase.
    """
    from scipy.integrate import solve_ivp

    if name != EXPONENTIAL:
        law = wide.alignment_law(SLOPES[name], [SEEN[name], 4.5])
        return law.error[0], law.cosine[1]
    lam = lambda tau: 2 * np.exp(-tau)
    move = lambda tau, sigma: lam(tau) / (1 + lam(tau) + sigma**2)
    made = solve_ivp(move, (0, FINE[-1]), [0.0], "DOP853", [SEEN[name], FINE[-1]], rtol=1e-10)
    sigma = made.y[0]
    return move(SEEN[name], sigma[0]), sigma[1] / np.sqrt(1 + sigma[1] ** 2)


def schedules(check, unscaled=False, penalised=True):
    seeds = check.tier(32, 100)
    for name, schedule in SLOPES.items():
        size, cosine = law_of(name)
        sizes, cosines = [], []
        for p in WIDTHS:
            unit = np.sqrt(p / 5)
            lam = in_time(schedule, np.sqrt(20) if unscaled else unit) if penalised else 0.0
            ts = [0, SEEN[name] * unit, 4.5 * unit + 15]
            flow = wide.reduced_flow(batch(p, seeds), ts, penalties=[lam], **LOOSE)
            sizes.append(np.linalg.norm(flow.error[1, :, 0], axis=-1) / np.sqrt(5) - size)
            cosines.append(flow.cosine[-1, :, 0] - cosine)
        for what, gaps in (
            ("cos(b, β) at the end", cosines),
            (f"|e|/|y| at τ = {SEEN[name]:g}", sizes),
        ):
            check.scaling(
                f"{name}: power of p in {what} less the law",
                WIDTHS,
                np.array(gaps).T,
                ROOT,
                within=0.12,
                fall=0.3,
                on=f"widths 100 to 100,000, seeds 0-{seeds - 1}, n = 5, d = 8",
            )


@lru_cache
def under_falling(seed, constant=False, p=100):
    """λ, |e|/|y| and cos(b, β) at the end of each step of a falling staircase."""
    unit = np.sqrt(p / 5)
    X, y = task_data(5, 8)
    made = wide.overlaps([wide.drawn(X, y, p, seed=seed)])
    schedule = in_time(FALLING, unit)
    ts = np.concatenate([[0], schedule.times])
    lam = 2.0 if constant else schedule
    flow = wide.reduced_flow(made, ts, penalties=[lam], solver="bdf", rtol=1e-7, atol=1e-11)
    sizes = np.linalg.norm(flow.error[1:, 0, 0], axis=1) / np.sqrt(5)
    return np.array(FALLING.values[:-1]), sizes, flow.cosine[1:, 0, 0]


def falling(check, constant=False):
    seeds = check.tier(4, 12)
    runs = [under_falling(seed, constant) for seed in range(seeds)]
    lams = runs[0][0]
    late = lams <= 0.05
    check.scaling(
        "power of λ(t) in |e(t)| on a falling staircase, λ from 0.05 to 0.00003",
        lams[late],
        np.array([run[1][late] for run in runs]),
        1,
        within=0.03,
        fall=0.3,
        on=f"width 100, λ below 2/(1 + τ/4)², seeds 0-{seeds - 1}, n = 5, d = 8",
    )
    law = wide.alignment_law(FALLING, (1 - 1e-12) * np.array(FALLING.times))
    amplitudes, cosines, few = [], [], check.tier(1, 3)
    for seed in range(few):
        _, sizes, cosine = under_falling(seed, constant, WIDTHS[-1])
        amplitudes.append(np.abs(sizes / law.error - 1).max())
        cosines.append(np.abs(cosine - law.cosine).max())
    on = f"width 100,000, {few} seeds from 0, the same staircase, all λ from 1.3 to 0.00003, n = 5"
    on += ", d = 8"
    name = "largest |amplitude of |e| relative to the law, less 1|, at the ends of the steps"
    check.at_most(name, check.worst(amplitudes), 0.05, fall=1, on=on)
    name = "largest |cos(b, β) less the law|, at the ends of the steps"
    check.at_most(name, check.worst(cosines), 0.02, fall=0.05, on=on)


def claim_schedules(check):
    r"""Under any staircase of penalties the alignment follows the same law, piece by piece.

    $$ \tau = \frac{t|y|}{\sqrt p},\qquad
    \frac{d\sigma}{d\tau} = \frac{\lambda(\tau)}{1+\lambda(\tau)+\sigma^2},\qquad
    |e| \to \frac{\lambda(\tau)\,|y|}{1+\lambda(\tau)+\sigma^2} $$

    A schedule of finite integral keeps its alignment, and the error follows the penalty to zero;
    what counts is the integral in units of $\sqrt p/|y|$.  Measured: the error under way and the
    final cosine under three schedules over three decades of widths, and error and cosine over three
    decades of a falling penalty.  One of the three is $2e^{-\tau}$ as 44 steps, beside the law of
    the exponential itself.  Of the error the powers fitted in the full tier are -0.47 for the first
    staircase and -0.46 for the exponential, within the tolerance but with intervals that leave out
    -1/2, as do those of 400 seeds: terms of higher order, which are not derived here, bend them.

    Assumes: a linear network, orthonormal samples, a penalty piecewise constant in τ.
    Source: that schedules with a finite sum give both convergence and alignment is in Song, Xu &
    Lafferty (2021), recalled; the law is derived in this project.
    Class: derived
    """
    schedules(check)
    falling(check)
    fig, (left, right) = panels(2)
    taus = np.linspace(0, 5, 51)
    unit = np.sqrt(WIDTHS[-1] / 5)
    made = [in_time(schedule, unit) for schedule in SLOPES.values()]
    flow = wide.reduced_flow(batch(WIDTHS[-1], 1), taus * unit, penalties=made, **LOOSE)
    for k, (name, schedule) in enumerate(SLOPES.items()):
        left.plot(
            taus[1::2], flow.cosine[1::2, 0, k], "o", ms=4, color=f"C{k}", mfc="none", label=name
        )
        law = wide.alignment_law(schedule, taus[1:]).cosine
        left.plot(taus[1:], law, "k--", lw=1, label=None if k else "law, p → ∞")
    short = in_time(STAIRCASES["λ = 2, 1, 0.5, 0.25, then 0"], np.sqrt(20))
    flow = wide.reduced_flow(batch(WIDTHS[-1], 1), taus * unit, penalties=[short], **LOOSE)
    left.plot(taus, flow.cosine[:, 0, 0], color="C3", label="the first one in times not scaled")
    left.set(xlabel="time (√p/|y|)", ylabel="cos(b, β)", title="p = 100,000", ylim=(-0.05, 1))
    left.legend(fontsize=7, loc=(0.5, 0.1))
    lams, sizes, _ = under_falling(0)
    right.loglog(FALLING.times, lams, "k--", lw=1, label="λ")
    right.loglog(FALLING.times, sizes, "o", ms=4, color="C0", label="|e|/|y|")
    wrong = under_falling(0, constant=True)[1]
    right.loglog(FALLING.times, wrong, "s-", ms=3, color="C3", label="|e|/|y|, λ = 2 for ever")
    right.set(xlabel="time (√p/|y|)", ylabel="λ, |e|/|y|", title="p = 100")
    right.legend(fontsize=8)
    check.figure(
        fig, "Alignment under three schedules; right, the error follows a falling penalty."
    )


def control_schedules_times_not_scaled(check):
    """The same steps in times of width 100, whatever the width."""
    schedules(check, unscaled=True)


def control_schedules_no_penalty(check):
    """λ = 0."""
    schedules(check, penalised=False)


def control_schedules_constant(check):
    """λ = 2 for ever: the error falls, but not as a falling penalty would."""
    falling(check, constant=True)


# The largest stable step

STIFF = (0.5, 4.0)
"""λ and κ of the phase that stiffens the network."""

RAISED = 1.0
"""λ afterwards, where it does not end."""


@lru_cache
def stiffened(p, seeds, reach=None):
    """Networks when the penalty ends."""
    penalty, kappa = STIFF
    T = kappa * np.sqrt(p / 5) if reach is None else reach
    return wide.reduced_flow(batch(p, seeds), [0, T], penalties=[penalty], **LOOSE)


def stiffness(p, seeds, reach=None):
    """Largest eigenvalue of G + H when the penalty ends, (seeds,)."""
    return np.linalg.eigvalsh(stiffened(p, seeds, reach).kernel()[-1, :, 0])[:, -1]


def discrete_errors(p, seeds, factor, steps=40, reach=None, after=0.0, counted=True):
    """Step size and |e|/|y|, (steps + 1, seeds), in discrete steps under the penalty `after`.

    The step size is `factor` times the limit's bound, 2/(1 + σ² + after).
    counted: whether the bound has the penalty in it.
    """
    sigma = wide.alignment_law(STIFF[0], [STIFF[1]]).sigma[0]
    eta = factor * 2 / (1 + sigma**2 + after * counted)
    made, start = batch(p, seeds), stiffened(p, seeds, reach)
    run = wide.reduced_steps(made, eta=eta, steps=steps, every=1, penalties=[after], start=start)
    return eta, np.linalg.norm(run.error[:, :, 0], axis=-1) / np.sqrt(5)


TINY = 1e-6
"""|e|/|y| at which the factor of a step is looked at: W hardly moves, and no rounding is seen."""


def late_factors(p, seeds, aligned=True, share=0.9, steps=100):
    """|e_{t+1}|/|e_t| and max |1 - ηλ_i|, (seeds,) each, where |e|/|y| falls below `TINY`.

    η is `share` of the least bound 2/λmax of these networks when the penalty ends.
    aligned: λ_i are those of G + H at that step; else those before any training.
    """
    made, start = batch(p, seeds), stiffened(p, seeds)
    eta = float(share * 2 / stiffness(p, seeds).max())
    run = wide.reduced_steps(made, eta=eta, steps=steps, every=1, penalties=[0.0], start=start)
    sizes = np.linalg.norm(run.error[:, :, 0], axis=-1) / np.sqrt(5)
    if not (sizes[-1] < TINY).all():
        raise RuntimeError(f"A network of width {p} has not reached {TINY:g} in {steps} steps.")
    late, each = np.argmax(sizes < TINY, axis=0), np.arange(seeds)
    kernels = run.kernel()[late - 1, each, 0] if aligned else start.kernel()[0, :, 0]
    factors = np.abs(1 - eta * np.linalg.eigvalsh(kernels)).max(axis=1)
    return sizes[late, each] / sizes[late - 1, each], factors


def law_under_penalty(eta, steps=40, p=WIDTHS[-1]):
    """|e|/|y| of the law so many steps after λ rose from 0.5 to 1."""
    schedule = ff.Piecewise((STIFF[1],), (STIFF[0], RAISED))
    return wide.alignment_law(schedule, STIFF[1] + steps * eta / np.sqrt(p / 5) * np.ones(1)).error


def step_size_bound(check, reach=None, factor=0.9, parts=(0, 1, 2, 3), counted=True, aligned=True):
    seeds = check.tier(32, 100)
    sigma = wide.alignment_law(STIFF[0], [STIFF[1]]).sigma[0]
    on = f"λ = 0.5 until 4√p/|y|, seeds 0-{seeds - 1}, n = 5, d = 8"
    if 0 in parts:
        check.scaling(
            "power of p in the largest eigenvalue of G + H less 1 + σ²",
            WIDTHS,
            np.array([stiffness(p, seeds, reach) for p in WIDTHS]).T - (1 + sigma**2),
            ROOT,
            within=0.12,
            fall=0.3,
            on=on + ", widths 100 to 100,000",
        )
    if 1 in parts:
        pairs = [late_factors(p, seeds, aligned) for p in WIDTHS[1:]]
        check.at_most(
            "largest |late |e(t+1)|/|e(t)| less max |1 - ηλ_i| of the same network|",
            check.worst([np.abs(seen - said) for seen, said in pairs]),
            1e-6,
            fall=0.05,
            on=on + ", widths 1,000 to 100,000, every network, η 0.9 of the least bound 2/λmax of"
            f" a width, where |e|/|y| falls below {TINY:g}",
        )
    if 2 in parts:
        check.at_most(
            "largest |e|/|y| 40 steps after the penalty, η near the bound",
            check.worst(discrete_errors(WIDTHS[-1], seeds, factor)[1][-1]),
            1e-3,
            fall=1.0,
            on=f"{on}, width 100,000, η {factor} of 2/(1 + σ²)",
        )
    if 3 in parts:
        eta, sizes = discrete_errors(WIDTHS[-1], seeds, factor, after=RAISED, counted=counted)
        check.at_most(
            "largest |(|e|/|y|) less the law| 40 steps after λ rises to 1, η near the bound",
            check.worst(np.abs(sizes[-1] - law_under_penalty(eta))),
            0.02,
            fall=1.0,
            on=f"{on}, width 100,000, η {factor} of 2/(1 + σ²{' + λ' * counted})",
        )


def claim_step_size_bound(check):
    r"""Alignment makes a network stiff: the largest stable step falls to $2/(1+\sigma^2+\lambda)$.

    $$ \lambda_{\max}(G+H) \to 1 + \sigma^2,\qquad
    \frac{|e_{t+1}|}{|e_t|} \to \max_i |1 - \eta\lambda_i|\ (\lambda = 0),\qquad
    \eta < \frac{2}{\lambda_{\max}(G+H)+\lambda} $$

    The growing part of $W$ adds $\sigma\sigma^\top$ to $G$, so that a step that is stable at the
    start can blow up later.  The factor is that of late times, the $\lambda_i$ those of the same
    network's $G+H$ then; it needs a step that is stable for this network, and at width 100 the
    bound of some is far below the limit's.  Measured after a penalised phase: the eigenvalue over
    three decades of widths; without penalty the factor, of every network of the widths from 1,000
    on, with a step below the bounds of all of a width (at 100 the slowest parts of some networks
    are too alike to be told apart before rounding); and 40 steps of 0.9 times the limit's bound at
    width 100,000, where 1.1 blows up: without penalty, and under a larger one, where the error goes
    to its law.

    Assumes: a linear network, orthonormal samples; for the factor, no penalty and a step below the
    network's own bound.
    Source: derived in this project.
    Class: derived
    """
    step_size_bound(check)
    fig, (left, right) = panels(2)
    for k, factor in enumerate((0.75, 0.9, 0.97)):
        sizes = discrete_errors(WIDTHS[-1], 1, factor)[1][:, 0]
        left.semilogy(
            np.maximum(sizes, 1e-17), color=("C0", "C1", "C2")[k], label=f"{factor} of the bound"
        )
    sizes = discrete_errors(WIDTHS[-1], 1, 1.1)[1][:, 0]
    left.semilogy(sizes, color="C3", label="1.1 of the bound")
    for factor, style in ((0.9, "C4--"), (1.1, "C3:")):
        sizes = discrete_errors(WIDTHS[-1], 1, factor, after=RAISED)[1][:, 0]
        left.semilogy(sizes, style, label=f"{factor} of the bound, λ = 1")
    left.set(xlabel="steps after λ = 0.5", ylabel="|e|/|y|", title="p = 100,000")
    left.legend(fontsize=8)
    sigma = wide.alignment_law(STIFF[0], [STIFF[1]]).sigma[0]
    good = np.array([stiffness(p, 32) for p in WIDTHS]).T - (1 + sigma**2)
    wrong = np.array([stiffness(p, 32, 5.0) for p in WIDTHS]).T - (1 + sigma**2)
    curves = [("penalty until 4√p/|y|", good, False), ("penalty until t = 5", wrong, True)]
    fading(right, WIDTHS, curves, "|λmax(G + H) − (1 + σ²)|")
    check.figure(
        fig, "The error after the penalty, or as it rises, in steps; right, the eigenvalue."
    )


def control_step_size_bound_fixed_time(check):
    """The penalty ends at t = 5, whatever the width: no stiffness in the limit."""
    step_size_bound(check, reach=5.0, parts=(0,))


def control_step_size_bound_eigenvalues_of_the_start(check):
    """The factor of a step by the eigenvalues before any training."""
    step_size_bound(check, parts=(1,), aligned=False)


def control_step_size_bound_larger_step(check):
    """A step of 1.1 times the bound; at the start it is well below it."""
    step_size_bound(check, factor=1.1, parts=(2, 3))


def control_step_size_bound_without_the_penalty(check):
    """A step of 3/4 times 2/(1 + σ²), the bound without penalty, under λ = 1."""
    step_size_bound(check, factor=0.75, parts=(3,), counted=False)


# The published experiment

PUBLISHED = (200, 400, 800, 1600, 3200, 6400, 12800)
PENALTIES = (0.0, 0.2, 0.3, 0.5)
STEP_SIZE = 1e-3
SETTLED = {"block": 1000, "change": 1e-3}


def programmed(p):
    """How many steps the published code takes before it looks at the loss."""
    return round(5000 * np.sqrt(p) // 14)


def published_data(p, seed):
    """Gaussian X (150, 50) and the answers y (50,) of a linear teacher."""
    made = data.teacher_student(150, 1, 50, seed=[seed, p])
    return made.X, made.Y[0]


def published_problem(p, seed, phi="linear", penalty=0.0):
    return wide.drawn(*published_data(p, seed), p, phi, penalty=penalty, seed=[seed, p, 1])


@lru_cache
def published_batch(p, seeds):
    return wide.overlaps(published_problem(p, seed) for seed in range(seeds))


@lru_cache
def table(widths, seeds, penalties=PENALTIES):
    """Final cosines (widths, seeds, penalties) by the published stopping rule, and the steps."""
    eta = wide.from_mean_loss(STEP_SIZE, 0, 50)[0]
    lams = [wide.from_mean_loss(1, penalty, 50)[1] for penalty in penalties]
    runs = [
        wide.until_settled(
            published_batch(p, seeds), eta=eta, steps=programmed(p), penalties=lams, **SETTLED
        )
        for p in widths
    ]
    return np.array([run.cosine[0] for run in runs]), np.array([run.steps for run in runs])


@lru_cache
def begun(p, seeds, penalties=PENALTIES[1:], convert=wide.from_mean_loss, slower=1):
    """cos(b, β) after the programmed steps, (seeds, penalties)."""
    eta = wide.from_mean_loss(STEP_SIZE, 0, 50)[0] / slower
    lams = [convert(1, penalty, 50)[1] for penalty in penalties]
    made = published_batch(p, seeds)
    return wide.reduced_steps(made, eta=eta, steps=programmed(p), penalties=lams).cosine[-1]


@lru_cache
def begun_limit(p, seeds, penalties=PENALTIES[1:]):
    """The limit of `begun` for the data of each seed."""
    eta, lams = wide.from_mean_loss(STEP_SIZE, np.array(penalties), 50)
    limits = []
    for seed in range(seeds):
        X, y = published_data(p, seed)
        tau = programmed(p) * eta * np.linalg.norm(y) / np.sqrt(p)
        limits.append([wide.alignment_path(X, y, float(lam), [tau]).cosine[0] for lam in lams])
    return np.array(limits)


def trained_directly(check, phi="linear"):
    """Largest distance of e and of cos(b, β) from the reduction, after the programmed steps."""
    gaps = []
    few = check.control or not check.full
    for p in (200,) if few else (200, 400, 800):
        eta, penalty = wide.from_mean_loss(STEP_SIZE, 0.2, 50)
        rule, task, w0 = published_problem(p, 0, phi, penalty)
        steps = programmed(p)
        sol = ff.iterate(rule, task, w0, eta=eta, steps=steps, every=steps)
        made = wide.overlaps([(rule, replaced(task, phi=ff.nets.linear), w0)])
        run = wide.reduced_steps(made, eta=eta, steps=steps)
        cosine = laws.alignment(rule, sol.final) - run.cosine[-1, 0, 0]
        gaps.append([np.abs(error(task, sol.final) - run.error[-1, 0, 0]).max(), abs(cosine)])
    check.at_most(
        "trained directly: largest distance of e and of cos(b, β) from the reduction",
        check.worst(gaps),
        1e-11,
        fall=1e-2,
        on=f"{'width 200' if few else 'widths 200, 400 and 800'}, seed 0, λ = 0.2,"
        " all programmed steps",
    )


def published_tiers(check):
    """Widths and repetitions; fewer for controls."""
    full = (PUBLISHED[::3], 10) if check.control else (PUBLISHED, 50)
    return check.tier(((200, 800), 3), full)


def without_penalty(check, cosines):
    """cosines: (widths, seeds)."""
    widths, seeds = published_tiers(check)
    check.at_most(
        "without penalty: largest √p · rms of cos(b, β), of all widths",
        check.worst(np.sqrt(widths) * np.sqrt(np.mean(cosines**2, axis=1))),
        4,
        fall=8,
        on=f"widths {widths[0]} to {widths[-1]:,}, {seeds} repetitions, n = 50, d = 150",
    )


LEAST = {0.2: (0.55, 0.35), 0.3: (0.7, 0.4), 0.5: (0.8, 0.5)}
"""Of each penalty, what the claim needs of the mean cosine, and what a control may have."""


def with_penalty(check, cosines):
    """cosines: (widths, seeds, penalties)."""
    widths, seeds = published_tiers(check)
    for k, (penalty, (bound, fall)) in enumerate(LEAST.items()):
        check.at_least(
            f"with penalty {penalty:g}: least mean of cos(b, β), of all widths",
            check.worst(cosines[:, :, k].mean(axis=1), small=False),
            bound,
            fall=fall,
            on=f"widths {widths[0]} to {widths[-1]:,}, {seeds} repetitions, n = 50, d = 150",
        )


def each_entry(check, cosines):
    """The published table: one line a width and a penalty.  cosines: (widths, seeds, penalties)."""
    widths, seeds = published_tiers(check)
    for i, k in np.ndindex(len(widths), len(PENALTIES)):
        seen, penalty = cosines[i, :, k], PENALTIES[k]
        name = f"p = {widths[i]}, λ = {penalty:g}: "
        on = f"mean {seen.mean():.3f}, standard deviation {seen.std(ddof=1):.3f}"
        on += f" of {seeds} repetitions, n = 50, d = 150"
        if penalty:
            bound, fall = LEAST[penalty]
            check.at_least(name + "mean of cos(b, β)", seen.mean(), bound, fall=fall, on=on)
        else:
            size = np.sqrt(widths[i]) * np.sqrt(np.mean(seen**2))
            bound = 3.5 if widths[i] < 1600 else 2
            check.at_most(name + "√p · rms of cos(b, β)", size, bound, fall=7, on=on)


def grown_later(check, cosines, penalties):
    """cosines: (widths, seeds, penalties), at the end."""
    (*_, widest), seeds = published_tiers(check)
    seeds = min(seeds, 12)
    grown = cosines[-1, :seeds] - begun(widest, seeds, penalties)
    check.at_least(
        "with penalty: least growth of the mean cos(b, β) after the programmed steps",
        check.worst(grown.mean(axis=0), small=False),
        0.15,
        fall=0.02,
        on=f"width {widest:,}, {seeds} repetitions, n = 50, d = 150",
    )


def programmed_steps(check, **broken):
    widest, seeds = PUBLISHED[-1], check.tier(3, 12)
    gaps = begun(widest, seeds, **broken) - begun_limit(widest, seeds)
    check.at_most(
        "after the programmed steps: |mean of cos(b, β) less its limit|, largest of penalties",
        check.worst(np.abs(gaps.mean(axis=0))),
        0.04,
        fall=0.2,
        on=f"width 12,800, λ = 0.2, 0.3, 0.5, {seeds} repetitions, n = 50, d = 150",
    )


def claim_published_experiment(check):
    r"""Published settings, linear networks: aligned with a penalty, little and fading without.

    $n = 50$ samples of $d = 150$ Gaussian inputs, a linear teacher, widths 200 to 12,800, 50
    repetitions, step size $10^{-3}$, $5000\sqrt p/14$ steps and on in thousands until the mean
    squared error changes by less than $10^{-3}$, penalty never switched off; the final
    $\cos(b,\beta)$ is recorded.  Without penalty its root mean square is below $4/\sqrt p$ at all
    widths; of all 50 repetitions below $3.5/\sqrt p$, and below $2/\sqrt p$ from p = 1600 on: the
    mean is 0.195 (standard deviation 0.060) at p = 200 and 0.002 (0.008) at 12,800.  With
    $\lambda$ = 0.2, 0.3, 0.5 the mean is above 0.55, 0.7, 0.8 at each width; seen are 0.79, 0.87,
    0.92 at p = 200, falling to 0.63, 0.78, 0.87 at 12,800.

    By the exact reduction in discrete steps, equal to direct training.  After the programmed steps
    the cosine is what the limit for any data says, without a free number.  It grows by 0.15 or more
    after that, while the stopping rule goes on, so that the rule shapes the published numbers.

    Assumes: data, teacher and network drawn anew in each repetition; the rule compares the loss
    with that 1,000 steps before, for the first time 1,000 steps after the programmed ones.
    Source: the settings are those of the authors' code (Song, Xu & Lafferty 2021); its 10e-4 is
    read as $10^{-3}$.  No figure was read; the numbers are this project's.
    Class: derived
    """
    widths, seeds = published_tiers(check)
    cosines, steps = table(widths, seeds)
    trained_directly(check)
    without_penalty(check, cosines[:, :, 0])
    with_penalty(check, cosines[:, :, 1:])
    grown_later(check, cosines[:, :, 1:], PENALTIES[1:])
    programmed_steps(check)
    if check.full:
        each_entry(check, cosines)
    fig, (left, right) = panels(2)
    for k, penalty in enumerate(PENALTIES):
        color = ("C3", "C0", "C1", "C2")[k]
        label = f"λ = {penalty:g}" if penalty else "no penalty (control)"
        mean, spread = cosines[:, :, k].mean(1), cosines[:, :, k].std(1)
        left.errorbar(widths, mean, spread, fmt="o-", ms=4, capsize=3, color=color, label=label)
        right.loglog(widths, steps[:, :, k].mean(1), "o-", ms=4, color=color, label=label)
    one = (0.2,)
    left.plot(
        widths,
        [begun(p, 4, one).mean() for p in widths],
        "x:",
        color="C0",
        label="λ = 0.2, programmed steps",
    )
    limits = [begun_limit(p, 4, one).mean() for p in widths]
    left.plot(widths, limits, "k--", lw=1, label="λ = 0.2, their limit")
    left.set(xscale="log", xlabel="width p", ylabel="cos(b, β) at the end", ylim=(-0.05, 1.45))
    right.loglog(widths, [programmed(p) for p in widths], "k--", lw=1, label="programmed")
    right.set(xlabel="width p", ylabel="mean number of steps")
    for ax in (left, right):
        ax.set_xticks(widths, [f"{p}" for p in widths], fontsize=7)
        ax.set_xticks([], minor=True)
    left.set_yticks(np.arange(0, 1.1, 0.2))
    left.legend(fontsize=7, ncols=2, loc="upper center")
    right.legend(fontsize=7)
    check.figure(
        fig,
        f"Final alignment, mean and standard deviation of {seeds} repetitions; right, the steps"
        " that the stopping rule takes.",
    )


def control_published_experiment_no_penalty(check):
    """λ = 0 where a penalty is meant."""
    cosines = table(*published_tiers(check), penalties=(0.0,))[0]
    with_penalty(check, np.repeat(cosines, len(LEAST), axis=2))
    grown_later(check, cosines, (0.0,))


def control_published_experiment_penalty(check):
    """λ = 0.2 where none is meant."""
    without_penalty(check, table(*published_tiers(check), penalties=(0.2,))[0][:, :, 0])


def control_published_experiment_penalty_not_converted(check):
    """The penalty without its factor n/2 of the mean loss."""
    programmed_steps(check, convert=lambda eta, penalty, n: (2 * eta / n, penalty))


def control_published_experiment_smaller_step(check):
    """Step size 1e-4 in place of 1e-3, for as many steps."""
    programmed_steps(check, slower=10)


def control_published_experiment_relu(check):
    """The network trained directly has relu units."""
    trained_directly(check, phi="relu")


# The same with other activations

NONLINEAR_SETTINGS = {"relu": (1e-2, 0.2), "tanh": (1e-1, 0.005), "sigmoid": (1e-1, 0.005)}
"""Step size and the largest penalty, both for the mean loss; for sigmoid that of tanh."""

GAIN = {"relu": (0.4, 0.2), "tanh": (0.15, 0.05), "sigmoid": (0.15, 0.05)}
"""What the claim needs, and what a control may have by chance, of order 1/√p."""


@lru_cache
def published_run(phi, p, seed, penalised, kind=ff.FA):
    """cos(b, β) after each block of steps, the first of the programmed ones, until settled."""
    made = data.teacher_student(150, 1, 50, hidden=p, phi=phi, seed=[seed, p])
    size, penalty = NONLINEAR_SETTINGS[phi]
    eta, lam = wide.from_mean_loss(size, penalty * penalised, 50)
    rule, task, w = wide.drawn(made.X, made.Y[0], p, phi, penalty=lam, seed=[seed, p, 1])
    rule, feedback = kind(rule.B, rates=rule.rates, decay=rule.decay), ff.FA(rule.B)
    cosines, losses, steps = [], [], programmed(p)
    while len(losses) < 2 or abs(losses[-1] - losses[-2]) >= SETTLED["change"]:
        if len(losses) > 100:
            raise RuntimeError(f"{phi} of width {p}, seed {seed}, does not settle.")
        w = ff.iterate(rule, task, w, eta=eta, steps=steps, every=steps).final
        cosines.append(laws.alignment(feedback, w))
        losses.append(np.mean(error(task, w) ** 2))
        steps = SETTLED["block"]
    return cosines


def published_activations(check):
    """p, activations and seeds."""
    return check.tier((50, ("relu",), 1), (200, tuple(NONLINEAR_SETTINGS), 2))


def published_nonlinear(check, penalised=True, kind=ff.FA, apart=0):
    """apart: how far the seeds of the two runs compared are apart, for a control."""
    p, phis, seeds = published_activations(check)
    if check.control:
        seeds = 1
    for phi in phis:
        ends = np.array(
            [
                [
                    published_run(phi, p, seed + apart, penalised, kind)[-1],
                    published_run(phi, p, seed, False, kind)[-1],
                ]
                for seed in range(seeds)
            ]
        )
        size, penalty = NONLINEAR_SETTINGS[phi]
        on = f"{phi}: width {p}, λ = {penalty:g}, seeds 0-{seeds - 1}, steps of {size:g}, n = 50"
        on += ", d = 150, a teacher of the same shape"
        gained = check.worst(ends[:, 0] - ends[:, 1], small=False)
        name = "with penalty: least gain of the final cos(b, β) over no penalty"
        on += ", both runs of one seed" if not apart else ", the first run of the next seed"
        bound, fall = GAIN[phi]
        check.at_least(name, gained, bound, fall=fall, on=on)


def claim_published_nonlinear(check):
    r"""In the published settings with relu, tanh and sigmoid units a penalty raises the alignment.

    As with linear networks, $n = 50$, $d = 150$, and the same number of steps and stopping rule;
    the teacher is a random network of the same width and activation.  Whole networks trained
    directly, at one width, well below the largest published; with the largest penalty of each
    activation and with none.  The bounds are no theorem's; the least gains seen are, in the quick
    tier at p = 50, 0.48 for relu, and in the full tier at p = 200, 0.61 for relu, 0.19 for tanh and
    0.27 for sigmoid.

    Assumes: data, teacher and network drawn anew for each seed; relu alone in the quick tier.
    Source: step sizes and penalties are those of the authors' code (Song, Xu & Lafferty 2021),
    but for the penalty of sigmoid, taken from tanh.  No figure was read; the numbers are this
    project's.
    Class: derived
    """
    published_nonlinear(check)
    p, phis, _ = published_activations(check)
    fig, ax = panels()
    blocks = lambda cosines: programmed(p) + SETTLED["block"] * np.arange(len(cosines))
    for k, phi in enumerate(phis):
        for penalised in (True, False):
            cosines = published_run(phi, p, 0, penalised)
            color, name = (f"C{k}", "penalty") if penalised else ("C3", "none (control)")
            ax.plot(blocks(cosines), cosines, "os^"[k] + "-", color=color, label=f"{phi}, {name}")
        bound = {"color": "0.4", "lw": 1, "ls": ("-", "--", ":")[k]}
        ax.axhline(cosines[-1] + GAIN[phi][0], label=f"{phi}, bound with penalty", **bound)
    ax.set(xlabel="steps", ylabel="cos(b, β)", ylim=(0, 1), title=f"p = {p}, seed 0")
    ax.legend(fontsize=8)
    check.figure(fig, "Alignment after the programmed steps, and on until the loss settles.")


def control_published_nonlinear_no_penalty(check):
    """λ = 0 where a penalty is meant, with data and a network of the next seed."""
    published_nonlinear(check, penalised=False, apart=1)


def control_published_nonlinear_gradient_descent(check):
    """β in place of b, under the same penalty."""
    published_nonlinear(check, kind=GradientInstead)


# Other activations

NONLINEAR = {"relu": 1.0, "tanh": 0.3}
"""Penalties on β."""


@lru_cache
def nonlinear_run(phi, p, seed, penalised=True, kind=ff.FA, placebo=False, fixed=None, ever=False):
    """cos(b, β) and |e|/|y| at 60 after the penalty, which lasts 6√p/|y|; steps of 0.1."""
    X, y = task_data(10, 20)
    T = 6 * np.sqrt(p / 10) if fixed is None else fixed
    penalty = NONLINEAR[phi] * penalised
    schedule = penalty if ever else ff.Piecewise((T,), (penalty, 0.0))
    rule, task, w0 = wide.drawn(X, y, p, phi, penalty=schedule, seed=seed)
    rule = kind(rule.B, rates=rule.rates, decay=rule.decay)
    steps = round((T + 60) / 0.1)
    end = ff.iterate(rule, task, w0, eta=0.1, steps=steps, every=steps).final
    fresh = np.random.default_rng([seed, 1]).standard_normal((p, 1))
    cosine = laws.alignment(ff.FA((fresh,)) if placebo else ff.FA(rule.B), end)
    return cosine, np.linalg.norm(error(task, end)) / np.sqrt(10)


def nonlinear_alignment(check, parts=(0, 1), phis=tuple(NONLINEAR), **broken):
    widths, seeds = check.tier(((100, 300, 900), 2), ((100, 400, 1600), 4))
    for phi in phis:
        runs = [[nonlinear_run(phi, p, seed, **broken) for p in widths] for seed in range(seeds)]
        cosines, sizes = np.moveaxis(np.array(runs), 2, 0)
        on = f"widths {widths[0]} to {widths[-1]}, seeds 0-{seeds - 1}, n = 10, d = 20"
        if 0 in parts:
            check.at_least(
                f"{phi}: least over the widths of the mean cos(b, β)",
                check.worst(cosines.mean(0), small=False),
                0.65,
                fall=0.35,
                on=on,
            )
        if 1 in parts:
            check.at_most(
                f"{phi}: largest |e|/|y| at the end", check.worst(sizes), 1e-5, fall=1e-2, on=on
            )


def claim_nonlinear_alignment(check):
    r"""Networks of relu and of tanh units align under a penalty too, at each of these widths.

    A penalty on $\beta$ ($\lambda = 1$ for relu, 0.3 for tanh) for the time $6\sqrt p/|y|$ and then
    none for a time of 60: the mean cosine is above 0.65, and the error is gone.  Measured on whole
    networks in discrete steps.  Nothing is said here of a limit.

    Assumes: orthonormal samples, steps of 0.1.
    Source: Song, Xu & Lafferty (2021) show such networks aligning in simulations, recalled.
    Class: derived
    """
    nonlinear_alignment(check)
    widths = (100, 300, 900)
    fig, ax = panels()
    for k, phi in enumerate(NONLINEAR):
        for control in (False, True):
            runs = [[nonlinear_run(phi, p, s, not control)[0] for p in widths] for s in range(2)]
            color, name = ("C3", "no penalty") if control else (f"C{k}", f"λ = {NONLINEAR[phi]:g}")
            marker = "os"[k]
            ax.semilogx(widths, np.mean(runs, 0), color=color, label=f"{phi}, {name}", ls="-:"[k])
            ax.semilogx(widths, np.transpose(runs), marker, color=color, ms=4)
    ax.axhline(0.65, color="0.4", lw=1, label="bound")
    ax.set(xlabel="width p", ylabel="cos(b, β) at the end", ylim=(-0.1, 1))
    ax.set_xticks(widths, [str(p) for p in widths])
    ax.set_xticks([], minor=True)
    ax.legend(fontsize=8, loc="center right")
    check.figure(fig, "Final alignment of relu and tanh networks, two seeds, mean as lines.")


def control_nonlinear_alignment_no_penalty(check):
    """λ = 0."""
    nonlinear_alignment(check, parts=(0,), penalised=False)


def control_nonlinear_alignment_short_time(check):
    """The penalty lasts until t = 1/2, whatever the width."""
    nonlinear_alignment(check, parts=(0,), fixed=0.5)


def control_nonlinear_alignment_gradient_descent(check):
    """β in place of b."""
    nonlinear_alignment(check, parts=(0,), phis=("relu",), kind=GradientInstead)


def control_nonlinear_alignment_independent_vector(check):
    """The cosine of β with a vector that takes no part in training."""
    nonlinear_alignment(check, parts=(0,), phis=("relu",), placebo=True)


def control_nonlinear_alignment_penalty_for_ever(check):
    """The penalty does not end, so that the error stays."""
    nonlinear_alignment(check, parts=(1,), phis=("relu",), ever=True)
