"""Robertson & Koyejo 2023, "Layer-wise feedback alignment is conserved in deep neural networks".

Theorems 1 and 2 are numbered as on the conference poster of that title (arXiv:2306.01870 is the
paper); what the poster does not say is derived here.
"""

from fractions import Fraction
from functools import cache, partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.integrate import simpson

import faflow as ff
from faflow import laws
from faflow.matrices import Series
from faflow.nets import forward
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

LOSSES = ("squared", "logistic", "cross_entropy", "exponential")
SIZES = (4, 6, 5, 3)
DRIFT = 5e-4
FLOOR = 1e-17


def problem(seed, sizes=SIZES, phi="relu", loss="squared", bias=True, samples=12):
    """Random data that fit the loss, and weights with random biases."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((sizes[0], samples)) / np.sqrt(samples)
    labels = rng.integers(max(2, sizes[-1]), size=samples)
    Y = {
        "squared": rng.standard_normal((sizes[-1], samples)),
        "cross_entropy": np.eye(sizes[-1])[:, labels % sizes[-1]],
    }.get(loss, np.sign(rng.standard_normal((sizes[-1], samples))))
    w = [
        W + bias * 0.3 * rng.standard_normal(W.shape) for W in ff.init(sizes, seed=seed, bias=bias)
    ]
    return ff.Task(X, Y, phi, loss, bias), tuple(w)


def pointwise_rate(law, rule, task, w, **arguments):
    """|rate of the law| over |velocity|: needs no solver, and no smoothness of the flow."""
    rate = ff.over_a_step(partial(law, **arguments), rule, task, w).coefficients[1]
    return np.max(np.abs(rate)) / np.sqrt(sum(np.sum(V**2) for V in rule(task, w)))


def drift_figure(check, claimed, broken, bound, caption, ylabel="|law − its start|"):
    """Drifts against time, of the claim in C0 and C1, of a control in C3, with the bound."""
    fig, ax = panels()
    for k, (label, ts, drift) in enumerate(claimed):
        ax.semilogy(ts, drift + FLOOR, f"C{k}", label=label)
    label, ts, drift = broken
    ax.semilogy(ts, drift + FLOOR, "C3", label=f"control: {label}")
    ax.axhline(bound, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel=ylabel, ylim=(1e-17, 1e9))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, caption)


def drift(law, rule, task, w, ts, **options):
    """Times and the largest drift of a law over all its entries and the hidden layers `ks`."""
    ks = options.pop("ks", (0,))
    sol = ff.integrate(rule, task, w, ts, **options)
    moved = [sol.measure(law, k=k) for k in ks]
    far = [np.abs(q - q[0]).reshape(len(q), -1).max(1) for q in moved]
    return sol.ts, np.max(far, axis=0)


# The definition


def typed_again(task, w, B):
    """The poster's update, unit by unit: δ_L = -∂ℓ/∂f, δ_l = φ'(h_l) ⊙ B_{l+1}δ_{l+1}."""
    slope = {"relu": lambda h: float(h > 0), "tanh": lambda h: 1 - np.tanh(h) ** 2}[task.phi.name]
    phi = {"relu": lambda h: max(h, 0.0), "tanh": np.tanh}[task.phi.name]
    moved = [np.zeros_like(W) for W in w]
    for x, y in zip(task.X.T, task.Y.T, strict=True):
        before, heights, a = [], [], list(x)
        for k, W in enumerate(w):
            a = [*a, 1.0] if task.bias else a
            before.append(a)
            heights.append([sum(W[i, j] * a[j] for j in range(len(a))) for i in range(len(W))])
            a = [phi(h) for h in heights[k]]
        delta = [y[i] - heights[-1][i] for i in range(len(y))]
        for k in reversed(range(len(w))):
            for i in range(len(delta)):
                for j in range(len(before[k])):
                    moved[k][i, j] += delta[i] * before[k][j]
            if k:
                carried = [
                    sum(B[k - 1][i, j] * delta[j] for j in range(len(delta)))
                    for i in range(len(w[k - 1]))
                ]
                pairs = zip(heights[k - 1], carried, strict=True)
                delta = [slope(h) * c for h, c in pairs]
    return moved


def both_velocities(seed, phi, kind):
    task, w = problem(seed, phi=phi)
    rule = kind(ff.FA.random(SIZES, seed=seed).B)
    return rule(task, w), typed_again(task, w, rule.B)


def definition(check, kind=ff.FA):
    worst = []
    for seed, phi in ((0, "relu"), (1, "tanh"), (2, "relu"), (3, "tanh")):
        pairs = zip(*both_velocities(seed, phi, kind), strict=True)
        worst.append(max(np.max(np.abs(V - U)) / np.max(np.abs(U)) for V, U in pairs))
    check.at_most(
        "relative distance of the velocity", worst, 1e-13, fall=1e-2, on="4 problems, seeds 0-3"
    )


def claim_definition(check):
    r"""The rule that is integrated and proved is feedback alignment as the poster defines it.

    $$ h_l = W_l a_{l-1},\quad a_l = \phi(h_l),\quad \delta_L = -\nabla_f\ell,\quad
       \delta_l = \phi'(h_l) \odot B_{l+1}\delta_{l+1},\quad
       \dot W_l = \sum_{\text{samples}} \delta_l a_{l-1}^\top $$

    Compared with the formula typed again unit by unit, with biases, ReLU and tanh, three layers.

    Assumes: nothing.
    Source: Robertson & Koyejo (2023), poster, "Feedback Alignment".
    Class: quoted
    """
    definition(check)
    fig, ax = panels(size=(4.6, 4.2))
    for kind, style, label in ((GradientInstead, "C3x", "control: GD"), (ff.FA, "C0.", "FA")):
        found, said = both_velocities(0, "relu", kind)
        flat = lambda parts: np.concatenate([np.ravel(V) for V in parts])
        ax.plot(flat(said), flat(found), style, label=label)
    reach = np.array(ax.get_xlim())
    ax.plot(reach, reach, "k--", lw=1, label="equal")
    ax.set(xlabel="velocity, typed again unit by unit", ylabel="velocity of the rule")
    ax.legend(fontsize=8)
    check.figure(fig, "Every entry of the velocity of a 4-6-5-3 network.")


def control_definition_transposed_weights(check):
    """The error returns through the transposed weights, as in gradient descent."""
    definition(check, GradientInstead)


# Theorem 1

SCALAR = (4, 6, 5, 1)


def tracked(kind, phi, decay=0, step=1e-3):
    """A flow of a 4-6-5-1 network, as in the poster's first experiment."""
    task, w = problem(3, SCALAR, phi, bias=False)
    rule = kind(ff.FA.random(SCALAR, seed=3).B, decay=decay)
    return ff.integrate(rule, task, w, np.linspace(0, 2, 81), solver="rk45", step=step)


def theorem_1(check, kind=ff.FA, phi="relu", decay=0, prove=True):
    law = laws.layer_feedback_balance
    if prove:
        for depth in (2, 3, 4, 5, 6):
            for k in range(depth - 1):
                rule = kind(decay=decay)
                verdict = ff.prove(law, rule, depth=depth, k=k, activation=phi)
                check.proved(verdict, on=f"hidden layer {k + 1}")
    rates = []
    for seed in range(10):
        for loss in ("squared", "logistic", "exponential"):
            task, w = problem(seed, SCALAR, phi, loss, bias=False)
            rule = kind(ff.FA.random(SCALAR, seed=seed).B, decay=decay)
            rates += [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
    check.at_most(
        "largest of the laws' rates over |velocity|",
        np.max(rates),
        1e-14,
        fall=1e-2,
        on="10 problems of each of 3 losses, seeds 0-9",
    )
    far = {}
    for step in (4e-3, 1e-3):
        sol = tracked(kind, phi, decay, step)
        far[step] = max(np.max(np.abs(q - q[0])) for q in (sol.measure(law, k=k) for k in (0, 1)))
    check.at_most(
        f"drift along a flow, fixed steps of {step:g}",
        far[step],
        DRIFT,
        fall=1e-2,
        on="4-6-5-1, seed 3, 0 ≤ t ≤ 2; at sliding kinks the drift is of first order in the step",
    )
    check.at_most(
        "drift with a quarter of the step, relative",
        far[1e-3] / far[4e-3],
        0.5,
        fall=0.9,
        on="the same flow",
    )


def claim_theorem_1(check):
    r"""FA conserves one number for each hidden layer of a ReLU network.

    $$ \tfrac12\|W_i(t)\|_F^2 - \langle W_{i+1}(t), B_{i+1}\rangle $$

    Scalar output, any differentiable loss, any data.  Proved for every size, 2 to 6 layers and
    every pattern of active units, so for leaky ReLU and linear networks as well; then seen in
    floating point at random states and along a flow.  The figure is the poster's first experiment.

    Assumes: scalar output; piecewise linear activation; no biases, no weight decay.
    Proves: the statement.
    Source: Robertson & Koyejo (2023), poster, Theorem 1.
    Class: quoted
    """
    theorem_1(check)
    law = laws.layer_feedback_balance
    fig, axes = panels(3, size=(4.4, 3.8))
    cases = (("linear", ff.FA, "linear, FA"), ("relu", ff.FA, "ReLU, FA"), ("tanh", ff.FA, "tanh"))
    for ax, (phi, kind, title) in zip(axes[:2], cases, strict=False):
        sol = tracked(kind, phi)
        for k in (0, 1):
            halves = np.sum(sol.w[k] ** 2, axis=(1, 2)) / 2
            carried = np.sum(sol.rule.B[k].T * sol.w[k + 1], axis=(1, 2))
            ax.plot(sol.ts, halves, f"C{k}", lw=1, label=f"½|W{k + 1}|²")
            ax.plot(sol.ts, carried, f"C{k}", lw=1, ls="-.", label=f"⟨W{k + 2}, B{k + 2}⟩")
            ax.plot(sol.ts, sol.measure(law, k=k), f"C{k}", lw=2.5, label="their difference")
            start = sol.measure(law, k=k)[0]
            ax.axhline(start, color="k", ls="--", lw=1, label="its start" if k else None)
        ax.set(xlabel=TIME, ylabel="value", title=title)
    axes[1].legend(fontsize=7, ncols=2)
    for color, (phi, kind, title) in zip(("C0", "C1", "C3"), cases, strict=True):
        sol = tracked(kind, phi)
        far = [np.abs(q - q[0]) for q in (sol.measure(law, k=k) for k in (0, 1))]
        label = f"control: {title}" if phi == "tanh" else title
        axes[2].semilogy(sol.ts, np.max(far, axis=0) + FLOOR, color, label=label)
    axes[2].axhline(DRIFT, color="k", ls="--", lw=1, label="bound")
    axes[2].set(xlabel=TIME, ylabel="|law − its start|", title="drift", ylim=(1e-17, 1e3))
    axes[2].legend(fontsize=7, loc="lower right")
    check.figure(fig, "The conserved quantity tracked in a linear and a ReLU network, 4-6-5-1.")


def control_theorem_1_tanh(check):
    """tanh is not homogeneous.  Words cannot speak of it; two layers at given sizes, by SymPy."""
    law = laws.layer_feedback_balance
    check.proved(ff.prove(law, ff.FA, sizes=(2, 2, 1), activation="tanh"))
    theorem_1(check, phi="tanh", prove=False)


def control_theorem_1_gradient_descent(check):
    """The error returns through the transposed weights."""
    theorem_1(check, GradientInstead)


def control_theorem_1_weight_decay(check):
    """Weights decay at rate 0.2."""
    theorem_1(check, decay=0.2)


# The scheme of initialisation


def scheme(seed, sizes, phi, loss, lower=0.9, upper=1.0):
    """A flow from W_{i+1}(0) = B_{i+1}ᵀ with |W_i(0)| = `lower` |W_{i+1}(0)|, in that order."""
    task, _ = problem(seed, sizes, phi, loss, bias=False)
    rng = np.random.default_rng([seed, 5])
    B, w, size = ff.FA.random(sizes, seed=seed).B, [], None
    shapes = [M.T.shape for M in B]
    raw = [M.T if upper == 1 else rng.standard_normal(s) for M, s in zip(B, shapes, strict=True)]
    for M in reversed(raw):  # the norms fall towards the input, and B with them
        size = np.sqrt(3.0) if size is None else lower * size
        w.insert(0, M / np.linalg.norm(M) * size)
    norms = [np.linalg.norm(M) for M in w]
    B = tuple(M / np.linalg.norm(M) * s for M, s in zip(B, norms, strict=True))
    first = rng.standard_normal((sizes[1], sizes[0]))
    w.insert(0, lower * norms[0] * first / np.linalg.norm(first))
    options = {"solver": "rk45", "step": 2e-3}
    return ff.integrate(ff.FA(B), task, tuple(w), np.linspace(0, 3, 31), **options)


def alignments(sol, k):
    """⟨W_{i+1}, B_{i+1}⟩, ½|W_i|² and ½|B_{i+1}|² along a flow."""
    inner = np.sum(sol.rule.B[k].T * sol.w[k + 1], axis=(1, 2))
    return inner, np.sum(sol.w[k] ** 2, axis=(1, 2)) / 2, np.sum(sol.rule.B[k] ** 2) / 2


def alignment_scheme(check, lower=0.9, upper=1.0, needed=1.0):
    least, seeds = [], check.tier(quick=2, full=8) if lower != 1 else check.tier(quick=1, full=4)
    for seed in range(seeds):
        for phi, loss in (("relu", "squared"), ("linear", "squared"), ("relu", "logistic")):
            sol = scheme(seed, (4, 6, 5, 1), phi, loss, lower, upper)
            for k in (0, 1):
                inner, half, own = alignments(sol, k)
                least.append(np.min((inner - half) / own))
    check.at_least(
        "least (⟨W_{i+1}, B_{i+1}⟩ - ½|W_i|²) / ½|B_{i+1}|²",
        np.min(least),
        needed,
        fall=0.0,
        on=f"|W_i(0)| = {lower:g} |W_{{i+1}}(0)|, 4-6-5-1: ReLU and linear, squared and logistic"
        f" loss, seeds 0-{seeds - 1}, t ≤ 3, fixed steps of 2e-3",
    )


def claim_alignment_scheme(check):
    r"""A start with $W_{i+1} = B_{i+1}$ and $\|W_i\| \le \|W_{i+1}\|$ guarantees alignment.

    $$ \langle W_{i+1}(t), B_{i+1}\rangle
       \ge \tfrac12\|W_i(t)\|_F^2 + \tfrac12\|B_{i+1}\|_F^2 > 0 $$

    The law starts at $\tfrac12\|W_i\|^2 - \|B_{i+1}\|^2 \le -\tfrac12\|B_{i+1}\|^2$ and is kept.
    ($B$ is of the shape of $W$ here.)

    Assumes: piecewise linear activation; the start of the scheme in every layer.
    Source: the scheme is that of Robertson & Koyejo (2023), poster; the bound is derived in this
    project.
    Class: quoted
    """
    for k in (0, 1):
        check.proved(
            ff.prove(laws.layer_feedback_balance, ff.FA, depth=3, k=k, activation="piecewise")
        )
    alignment_scheme(check)
    alignment_scheme(check, lower=1.0, needed=1 - 1e-3)  # equality, kept as well as kinks allow
    fig, axes = panels(2)
    for k, ax in enumerate(axes):
        sol = scheme(0, (4, 6, 5, 1), "relu", "squared")
        inner, half, own = alignments(sol, k)
        ax.plot(sol.ts, inner, "C0", label=f"⟨W{k + 2}, B{k + 2}⟩")
        ax.plot(sol.ts, half + own, "k--", lw=1, label=f"bound ½|W{k + 1}|² + ½|B{k + 2}|²")
        sol = scheme(0, (4, 6, 5, 1), "relu", "squared", upper=0)
        inner, half, own = alignments(sol, k)
        ax.plot(sol.ts, inner, "C3", label="control: random W(0)")
        ax.plot(sol.ts, half + own, "C3--", lw=1, label="its bound, not kept")
        ax.set(xlabel=TIME, ylabel="inner product", title=f"hidden layer {k + 1}")
        ax.legend(fontsize=8)
    check.figure(fig, "Alignment along the flow of a 4-6-5-1 ReLU network, squared loss.")


def control_alignment_scheme_larger_lower_weights(check):
    """|W_i(0)| = 2 |W_{i+1}(0)|."""
    alignment_scheme(check, lower=2.0)


def control_alignment_scheme_random_upper_weights(check):
    """W_{i+1}(0) random, of the same norm, in place of B_{i+1}."""
    alignment_scheme(check, upper=0)
    alignment_scheme(check, lower=1.0, upper=0)


# The law of each neuron


def with_bias_left_out(rule, w, k=0):
    """The neuron's law without the bias of its own layer."""
    units = w[k][:, :-1] if not isinstance(w[k], Series) else w[k].map(lambda W: W[:, :-1])
    carried = rule.B[k] @ laws.outgoing(w, k)
    return (units @ units.T).diagonal() / 2 - carried.diagonal()


def neuron_drift(kind=ff.FA, phi="relu", law=laws.neuron_feedback_balance, decay=0):
    task, w = problem(0, phi=phi)
    rule = kind(ff.FA.random(SIZES, scale=0.5, seed=0).B, decay=decay)
    ts = np.linspace(0, 1, 21)
    return drift(law, rule, task, w, ts, ks=(0, 1), solver="rk45", step=1e-3)


def neuron_law(check, kind=ff.FA, phi=None, law=laws.neuron_feedback_balance, decay=0):
    for activation in (phi,) if phi else ("relu", "leaky_relu(0.1)", "linear"):
        rates = []
        for loss in LOSSES:
            for seed in range(5):
                task, w = problem(seed, phi=activation, loss=loss)
                rule = kind(ff.FA.random(SIZES, seed=seed).B, decay=decay)
                rates += [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
        check.at_most(
            "rates over |velocity|",
            np.max(rates),
            1e-14,
            fall=1e-2,
            on=f"{activation}: 5 problems of each of 4 losses, seeds 0-4, 4-6-5-3 with biases",
        )
        check.at_most(
            "drift along a flow",
            neuron_drift(kind, activation, law, decay)[1],
            DRIFT,
            fall=1e-2,
            on=f"{activation}: 4-6-5-3 with biases, seed 0, 0 ≤ t ≤ 1, fixed steps of 1e-3",
        )


def claim_neuron_law(check):
    r"""FA conserves one number for each hidden neuron $j$ of layer $i$, biases included.

    $$ \tfrac12\|W_i[j,:]\|^2 + \tfrac12 b_{ij}^2 - \langle B_{i+1}[j,:], W_{i+1}[:,j]\rangle $$

    Vector outputs, any depth, any differentiable loss.  The bias of layer $i$ counts, that of layer
    $i+1$ does not.  Proved for every size (2 to 6 layers, with and without biases, every pattern),
    and at given sizes by polynomials in all weights, data and slopes as an independent algebra.

    Assumes: piecewise linear activation.
    Proves: the statement.
    Source: derived in this project from Theorem 1; stated at neuron level in Robertson & Koyejo
    (2023), abstract.
    Class: derived
    """
    law = laws.neuron_feedback_balance
    for bias in (False, True):
        for depth in (2, 3, 4, 5, 6):
            for k in range(depth - 1):
                verdict = ff.prove(law, ff.FA, depth=depth, k=k, activation="piecewise", bias=bias)
                check.proved(verdict, on=f"hidden layer {k + 1}")
    for sizes in ((3, 4, 2), (2, 3, 3, 2)):
        for k in range(len(sizes) - 2):
            check.proved(
                ff.prove(law, ff.FA, sizes=sizes, k=k, activation="piecewise", bias=True, samples=2)
            )
    neuron_law(check)
    claimed = [(phi, *neuron_drift(phi=phi)) for phi in ("relu", "leaky_relu(0.1)", "linear")]
    broken = ("bias left out", *neuron_drift(law=with_bias_left_out))
    drift_figure(check, claimed, broken, DRIFT, "Largest drift over all neurons' laws, 4-6-5-3.")


def control_neuron_law_tanh(check):
    """tanh is not homogeneous."""
    neuron_law(check, phi="tanh")


def control_neuron_law_bias_left_out(check):
    """The own bias left out of the law: a wrong one, to show that the measurement tells."""
    neuron_law(check, law=with_bias_left_out)


def control_neuron_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    check.proved(ff.prove(laws.neuron_feedback_balance, GradientInstead, activation="piecewise"))
    neuron_law(check, GradientInstead)


def control_neuron_law_weight_decay(check):
    """Weights decay at rate 0.2."""
    check.proved(ff.prove(laws.neuron_feedback_balance, ff.FA(decay=0.2), activation="piecewise"))
    neuron_law(check, decay=0.2)


# Layer rates, degrees and convolutions


def general_law(check, rates=(1, 1), degree=1, weighed=True, counted=True):
    """The neuron's law with layer rates and an activation of this degree, or without either."""
    exact_rates = tuple(map(Fraction, rates))
    phi = "relu" if degree == 1 else f"relu_power({degree})"

    def law(rule, w, k=0):
        rule = rule if weighed else ff.FA(rule.B)
        return laws.neuron_feedback_balance(rule, w, k, degree if counted else 1)

    rule = ff.FA(rates=(*exact_rates, Fraction(1)))
    for k in (0, 1):
        check.proved(ff.prove(law, rule, depth=3, k=k, activation=phi, bias=True))
    rates_seen = []
    for seed in range(5):
        task, w = problem(seed, phi=phi)
        rule = ff.FA(ff.FA.random(SIZES, seed=seed).B, rates=(*map(float, exact_rates), 1.0))
        rates_seen += [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
    on = f"degree {degree}, rates {', '.join(map(str, rates))}, 1; seeds 0-4, 4-6-5-3"
    check.at_most("rate over |velocity|", rates_seen, 1e-14, fall=1e-2, on=on)


def general_drift(weighed):
    task, w = problem(0, phi="relu_power(2)")
    rule = ff.FA(ff.FA.random(SIZES, scale=0.3, seed=0).B, rates=(2.0, 0.5, 1.0))
    degree = 2 if weighed else 1
    law = partial(laws.neuron_feedback_balance, degree=degree)
    return drift(law, rule, task, w, np.linspace(0, 0.5, 21), ks=(0, 1), rtol=1e-10)


def claim_rates_and_degrees(check):
    r"""With layer rates $\eta_i$ and an activation of degree $p$ the law is weighed by both.

    $$ \frac{1}{2\eta_i}\|W_i[j,:]\|^2
       - \frac{p}{\eta_{i+1}}\langle B_{i+1}[j,:], W_{i+1}[:,j]\rangle,
       \qquad z\,\phi'(z) = p\,\phi(z) $$

    Proved for every size of three layers with biases; seen at random states.

    Assumes: a positively homogeneous activation, such as max(z, 0)^p.
    Source: derived in this project.
    Class: derived
    """
    general_law(check, rates=(2, "1/2"))
    general_law(check, degree=2)
    general_law(check, rates=(3, "1/4"), degree=3)
    claimed = [("degree 2, rates 2, ½, 1", *general_drift(True))]
    broken = ("the law of degree 1", *general_drift(False))
    drift_figure(check, claimed, broken, 1e-8, "Largest drift over all neurons' laws, 4-6-5-3.")


def control_rates_and_degrees_unweighed(check):
    """Layer rates 2 and ½ left out: a wrong law, to show that the measurement tells."""
    general_law(check, rates=(2, "1/2"), weighed=False)


def control_rates_and_degrees_degree_left_out(check):
    """max(z, 0)², the law of degree 1: a wrong one, to show that the measurement tells."""
    general_law(check, degree=2, counted=False)


def convolved(seed, phi, feedback):
    """Channels' laws of a one-dimensional convolutional network: their rates over the velocity.

    x (channels, places), kernels K₁ (c₁, c₀, 3), K₂ (c₂, c₁, 3), any error at the output.  The
    error returns through the kernels B, of the shape of K₂, as it does through K₂ in gradient
    descent.
    """
    rng = np.random.default_rng(seed)
    f, slope = {
        "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0) * 1.0),
        "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    }[phi]
    x, K1, b1 = rng.standard_normal((2, 12)), rng.standard_normal((5, 2, 3)), rng.standard_normal(5)
    K2 = rng.standard_normal((4, 5, 3))
    B = K2 if feedback == "gradient" else rng.standard_normal(K2.shape)
    patches = lambda a: sliding_window_view(a, 3, axis=1)  # (channels, places, 3)
    h1 = np.einsum("oik,ipk->op", K1, patches(x)) + b1[:, None]
    a1 = f(h1)
    error = rng.standard_normal((4, a1.shape[1] - 2))
    V2 = np.einsum("op,ipk->oik", error, patches(a1))
    back = np.zeros_like(a1)
    for k in range(3):
        back[:, k : k + error.shape[1]] += np.einsum("oi,op->ip", B[:, :, k], error)
    inner = back * slope(h1)
    V1, v1 = np.einsum("op,ipk->oik", inner, patches(x)), inner.sum(1)
    fixed = np.random.default_rng(seed + 1000).standard_normal(K2.shape)
    against = fixed if feedback == "gradient" else B
    rates = np.einsum("oik,oik->o", K1, V1) + b1 * v1 - np.einsum("oik,oik->i", against, V2)
    return rates / np.sqrt(np.sum(V1**2) + np.sum(V2**2) + np.sum(v1**2))


def convolution(check, phi="relu", feedback="fixed"):
    rates = np.array([convolved(seed, phi, feedback) for seed in range(20)])
    check.at_most(
        "channels' rates over |velocity|",
        np.max(np.abs(rates)),
        1e-14,
        fall=1e-2,
        on="FA of convolutions, written out in this claim: no rule of the library; 20 random"
        " states, 2-5-4 channels, kernels of 3, 12 places, seeds 0-19",
    )
    return rates


def claim_convolution(check):
    r"""In convolutional layers FA conserves one number for each channel.

    $$ \tfrac12\|K_i[c]\|^2 + \tfrac12 b_{ic}^2 - \langle B_{i+1}[:,c], K_{i+1}[:,c]\rangle $$

    A channel is a neuron whose weights are shared over places.  Measured at random states.

    Assumes: piecewise linear activation; kernels shared over places, no padding.
    Source: derived in this project.
    Class: derived
    """
    rates = convolution(check)
    fig, ax = panels()
    ax.semilogy(np.sort(np.abs(rates).ravel()) + FLOOR, "C0.", label="ReLU")
    tanh = np.array([convolved(seed, "tanh", "fixed") for seed in range(20)])
    ax.semilogy(np.sort(np.abs(tanh).ravel()), "C3.", label="control: tanh")
    ax.axhline(1e-14, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="channels of 20 networks, in order", ylabel="|rate of the law| / |velocity|")
    ax.set_ylim(1e-18, 1e3)
    ax.legend(fontsize=8, loc="upper left")
    check.figure(fig, "Rates of the channels' laws at random states.")


def control_convolution_tanh(check):
    """tanh is not homogeneous."""
    convolution(check, phi="tanh")


def control_convolution_gradient_descent(check):
    """The error returns through the kernels themselves."""
    convolution(check, feedback="gradient")


# The matrix law of linear networks


def matrix_drift(kind=ff.FA, phi="linear", law=laws.feedback_balance, seed=0):
    task, w = problem(seed, phi=phi)
    rule = kind(ff.FA.random(SIZES, scale=0.5, seed=seed).B)
    solver = {"solver": "rk45", "step": 2e-3} if phi != "linear" else {}
    return drift(law, rule, task, w, np.linspace(0, 2, 21), ks=(0, 1), **solver)


def flipped(rule, w, k=0):
    """The matrix law with the other sign of the feedback term."""
    return 2 * (w[k] @ w[k].T) - laws.feedback_balance(rule, w, k)


def matrix_law(check, kind=ff.FA, phi="linear", law=laws.feedback_balance):
    for bias in (False, True):
        for depth in (2, 3, 5, 8):
            for k in range(depth - 1):
                verdict = ff.prove(law, kind, depth=depth, k=k, activation=phi, bias=bias)
                check.proved(verdict, on=f"hidden layer {k + 1}")
    drifts = [np.max(matrix_drift(kind, phi, law, seed)[1]) for seed in range(3)]
    check.at_most(
        "drift along flows", np.max(drifts), 1e-9, fall=1e-2, on="3 problems, seeds 0-2, 4-6-5-3"
    )


def claim_matrix_law(check):
    r"""On linear networks FA conserves a symmetric matrix for each hidden layer.

    $$ W_iW_i^\top + b_ib_i^\top - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top $$

    $n_i(n_i+1)/2$ laws for each hidden layer, any depth and loss, of which Theorem 1 is the trace.
    Proved for every size, 2 to 8 layers, with and without biases; then seen along flows.

    Assumes: linear layers.
    Proves: the statement.
    Source: two layers in Lillicrap et al. (2016), supplement; any depth derived in this project.
    Class: derived
    """
    matrix_law(check)
    claimed = [("linear, FA", *matrix_drift())]
    broken = ("ReLU", *matrix_drift(phi="relu"))
    drift_figure(check, claimed, broken, 1e-9, "Largest drift over all entries of the matrices.")


def control_matrix_law_relu(check):
    """With ReLU only the diagonal survives."""
    matrix_law(check, phi="relu")


def control_matrix_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    matrix_law(check, GradientInstead)


def control_matrix_law_sign_flipped(check):
    """The feedback term with the other sign: a wrong law, to show that the measurement tells."""
    matrix_law(check, law=flipped)


# Discrete steps


def adam(rule, task, w0, eta, steps):
    """Adam's steps along the rule's velocity, as (weights after each step, one array a layer)."""
    w, first, second = w0, [0.0] * len(w0), [0.0] * len(w0)
    path = [w]
    for n in range(1, steps + 1):
        v = rule(task, w)
        first = [0.9 * m + 0.1 * V for m, V in zip(first, v, strict=True)]
        second = [0.999 * s + 0.001 * V**2 for s, V in zip(second, v, strict=True)]
        w = tuple(
            W + eta * (m / (1 - 0.9**n)) / (np.sqrt(s / (1 - 0.999**n)) + 1e-8)
            for W, m, s in zip(w, first, second, strict=True)
        )
        path.append(w)
    return tuple(map(np.stack, zip(*path, strict=True)))


def discrete_run(seed, kind=ff.FA, phi="relu", optimiser=None):
    """Neurons' laws along minibatch steps, and half the sum of their squared steps."""
    task, w = problem(seed, phi=phi)
    rule, eta = kind(ff.FA.random(SIZES, seed=seed).B), 0.02 / (1 + seed)
    if optimiser:
        weights = optimiser(rule, task, w, eta / 10, 400)
    else:
        weights = ff.iterate(rule, task, w, eta=eta, steps=400, batches=4, seed=seed).w
    made = []
    for k in (0, 1):
        states = zip(*weights, strict=True)
        q = np.array([laws.neuron_feedback_balance(rule, state, k) for state in states])
        squares = np.cumsum(np.sum(np.diff(weights[k], axis=0) ** 2, axis=2), axis=0) / 2
        made.append((q, squares))
    return made


def discrete_drift(check, **broken):
    gaps = [
        np.max(np.abs(q[1:] - q[0] - squares)) / np.max(np.abs(q))
        for seed in range(5)
        for q, squares in discrete_run(seed, **broken)
    ]
    check.at_most(
        "|drift - ½ Σ |step|²| / largest law",
        np.max(gaps),
        1e-13,
        fall=1e-2,
        on="5 problems of 400 minibatch steps, seeds 0-4, η from 0.004 to 0.02",
    )


def claim_discrete_drift(check):
    r"""A step of discrete FA raises each neuron's law by exactly half its squared step.

    $$ q_j(T) - q_j(0) = \tfrac12 \sum_t \left(\|\Delta W_i[j]\|^2 + \Delta b_{ij}^2\right) \ge 0 $$

    For any step sizes and minibatches.  Preconditioners such as Adam's break every law.

    Assumes: piecewise linear activation; all layers step together; plain steps.
    Source: derived in this project.
    Class: derived
    """
    discrete_drift(check)
    fig, ax = panels()
    (q, squares), _ = discrete_run(0)
    ax.plot((q - q[0])[:, :3], "C0", lw=2)
    ax.plot(np.arange(1, len(q)), squares[:, :3], "k--", lw=1)
    (q, _), _ = discrete_run(0, optimiser=adam)
    ax.plot((q - q[0])[:, :3], "C3", lw=1)
    ax.plot([], [], "C0", lw=2, label="drift of three neurons' laws")
    ax.plot([], [], "k--", lw=1, label="½ Σ |step of the neuron's weights|²")
    ax.plot([], [], "C3", lw=1, label="control: Adam, the same neurons")
    ax.set(xlabel="minibatch steps", ylabel="law − its start")
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.legend(fontsize=8)
    check.figure(fig, "The law along discrete steps, against half the sum of squared steps.")


def control_discrete_drift_tanh(check):
    """tanh is not homogeneous."""
    discrete_drift(check, phi="tanh")


def control_discrete_drift_gradient_descent(check):
    """The error returns through the transposed weights."""
    discrete_drift(check, kind=GradientInstead)


def control_discrete_drift_adam(check):
    """Adam's steps along the same velocity."""
    discrete_drift(check, optimiser=adam)


# Weight decay


def decaying(ratio):
    """A flow with decay 0.2 below and `ratio` times that above, and its matrix law."""
    task, w = problem(1, SIZES[:3], "linear")
    rule = ff.FA(ff.FA.random(SIZES[:3], seed=1).B, decay=(0.2, ratio * 0.2))
    sol = ff.integrate(rule, task, w, np.linspace(0, 5, 51))
    return sol, sol.measure(laws.feedback_balance)


def matched_decay(check, ratio=2):
    rate = Fraction(1, 5)
    rule = ff.FA(decay=(rate, ratio * rate))
    for law in (laws.neuron_feedback_balance, laws.feedback_balance):
        falling = lambda rule, w, law=law: -2 * rate * law(rule, w)
        phi = "linear" if law is laws.feedback_balance else "piecewise"
        check.proved(ff.prove(law, rule, activation=phi, bias=True, rate=falling))
    sol, q = decaying(ratio)
    gap = np.abs(q - np.exp(-0.4 * sol.ts)[:, None, None] * q[0])
    check.at_most("|law - e^{-2λt} law(0)|", gap, 1e-9, fall=1e-2, on="a 4-6-5 network, seed 1")


def claim_matched_decay(check):
    r"""With weight decay $\lambda$ in layer $i$, $2\lambda$ above, FA's laws decay exponentially.

    $$ q(t) = e^{-2\lambda t}\,q(0) $$

    The law is quadratic in $W_i$ and linear in $W_{i+1}$, so equal decay does not do.  Proved for
    every size of two layers with biases, and seen along a flow.

    Assumes: decay 2λ above λ, biases included; linear layers, or piecewise linear for the neurons'
    laws.
    Source: derived in this project.
    Class: derived
    """
    matched_decay(check)
    fig, ax = panels()
    sol, q = decaying(2)
    ax.plot(sol.ts, q[:, range(6), range(6)], "C0", lw=2)
    ax.plot(sol.ts, np.exp(-0.4 * sol.ts)[:, None] * q[0].diagonal(), "k--", lw=1)
    sol, q = decaying(1)
    ax.plot(sol.ts, q[:, range(6), range(6)], "C3", lw=1)
    ax.plot([], [], "C0", lw=2, label="decay λ, 2λ")
    ax.plot([], [], "k--", lw=1, label="$e^{-2λt}$ × its start")
    ax.plot([], [], "C3", lw=1, label="control: decay λ, λ")
    ax.set(xlabel=TIME, ylabel="diagonal of the matrix law, λ = 0.2")
    ax.legend(fontsize=8)
    check.figure(fig, "The laws of six neurons under weight decay.")


def control_matched_decay_equal(check):
    """The same decay in both layers, which gives gradient descent its exponential."""
    matched_decay(check, ratio=1)


def equal_decay(check, own=1):
    """own: how often the term -(λ/2)|W|² counts in the rate."""
    rate, law = Fraction(1, 5), laws.neuron_feedback_balance

    def falling(rule, w):
        return -rate * law(rule, w) - own * rate / 2 * (w[0] @ w[0].T).diagonal()

    check.proved(ff.prove(law, ff.FA(decay=rate), activation="piecewise", bias=True, rate=falling))
    gaps = []
    for seed in range(10):
        task, w = problem(seed, SIZES[:3])
        rule = ff.FA(ff.FA.random(SIZES[:3], seed=seed).B, decay=0.2)
        seen = ff.over_a_step(law, rule, task, w).coefficients[1]
        said = -0.2 * law(rule, w) - own * 0.1 * np.sum(w[0] ** 2, axis=1)
        gaps.append(np.max(np.abs(seen - said)) / np.max(np.abs(seen)))
    value = np.max(gaps) if own else np.min(gaps)
    on = "10 random states, 4-6-5 with biases, ReLU, seeds 0-9"
    check.at_most("|rate of q - formula|, relative", value, 1e-13, fall=1e-2, on=on)


def claim_equal_decay(check):
    r"""With the same decay $\lambda$ in all layers a neuron's law does not decay exponentially.

    $$ \dot q_j = -\lambda q_j - \tfrac{\lambda}{2}\left(\|W_i[j,:]\|^2 + b_{ij}^2\right) $$

    Unlike the balance of gradient descent, which decays as $e^{-2\lambda t}$.  Proved for every
    size of two layers with biases.

    Assumes: piecewise linear activation.
    Source: derived in this project.
    Class: derived
    """
    equal_decay(check)
    fig, ax = panels()
    sol, q = decaying(1)
    q = q[:, range(6), range(6)] / 2
    own = np.sum(sol.w[0] ** 2, axis=2) / 2
    ax.plot(sol.ts, np.gradient(q, sol.ts, axis=0), "C0", lw=2)
    ax.plot(sol.ts, -0.2 * q - 0.2 * own, "k--", lw=1)
    ax.plot(sol.ts, -0.4 * q, "C3", lw=1)
    ax.plot([], [], "C0", lw=2, label="rate of q, from differences")
    ax.plot([], [], "k--", lw=1, label="−λq − ½λ|W|²")
    ax.plot([], [], "C3", lw=1, label="control: −2λq")
    ax.set(xlabel=TIME, ylabel="rate of six neurons' laws, λ = 0.2")
    ax.legend(fontsize=8)
    check.figure(fig, "The rates of the laws under equal decay.")


def control_equal_decay_term_left_out(check):
    """The rate -λq: a wrong formula, to show that the measurement tells."""
    equal_decay(check, own=0)


RESTING = {"linear": (3, 4, 4, 2), "relu_power(2)": (4, 5, 3)}


@cache
def at_rest(seed, phi, decay, ratio=1):
    """The end of a long flow with biases and decay: (carried, decay's prediction), velocity, |w|.

    The pairs are of each hidden layer: matrices if linear, one number for each neuron if not.
    """
    rng, sizes = np.random.default_rng(seed), RESTING[phi]
    X, Y = rng.standard_normal((sizes[0], 12)), rng.standard_normal((sizes[-1], 12))
    task = ff.Task(X, Y, phi, bias=True)
    rates = tuple(decay / ratio**k for k in range(len(sizes) - 1))
    rule = ff.FA(ff.FA.random(sizes, seed=seed).B, decay=rates)
    w0 = ff.init(sizes, seed=seed, bias=True)
    sol = ff.integrate(rule, task, w0, [0, 800], solver="radau", rtol=1e-8, atol=1e-11)
    w, pairs = sol.at(-1), []
    for k in range(len(w) - 1):
        pair = rule.B[k] @ laws.outgoing(w, k), ratio * w[k] @ w[k].T
        degree = task.activation(k).degree
        pairs.append(pair if phi == "linear" else (degree * pair[0].diagonal(), pair[1].diagonal()))
    still = max(np.max(np.abs(V)) for V in rule(task, w))
    return pairs, still, min(np.linalg.norm(W) for W in w)


def decay_aligns(check, decay=0.1):
    seeds = check.tier(quick=2, full=8)
    for phi, sizes in RESTING.items():
        runs = [at_rest(seed, phi, decay, 1 + seed % 2) for seed in range(seeds)]
        gaps = [np.max(np.abs(seen - said)) for pairs, *_ in runs for seen, said in pairs]
        value = np.max(gaps) if decay else np.min(gaps)
        widths = "-".join(map(str, sizes))
        on = (
            f"{phi}, {widths} with biases, decay {decay:g}, ratios 1 and 2 in turn, seeds"
            f" 0-{seeds - 1}, t = 800"
        )
        form = "B W_{i+1} - (λ_i/λ_{i+1}) W_iW_iᵀ"
        form = f"|{form}|" if phi == "linear" else f"|2 {form}| on the diagonal"
        check.at_most(f"{form}, at rest", value, 1e-6, fall=0.05, on=on)
        if decay:
            on = f"{phi}: that the flows have come to rest, and not at zero: assumed, so no control"
            still, least = max(run[1] for run in runs), min(run[2] for run in runs)
            check.at_most("velocity at the end", still, 1e-7, fall=1e-3, on=on)
            check.at_least("least |W_i| at the end", least, 0.3, fall=1e-3, on=on)


def claim_decay_aligns(check):
    r"""Weight decay forces alignment at every point of rest, whatever the start.

    $$ B_{i+1}W_{i+1} = \frac{\lambda_i}{\lambda_{i+1}}
       \left(W_iW_i^\top + b_ib_i^\top\right) \ge 0 $$

    for linear layers, at any depth.  With an activation of degree $p$ the diagonal says it of each
    neuron, with $p\,\langle B_{i+1}[j,:], W_{i+1}[:,j]\rangle$ on the left.  At rest $\lambda_iW_i$
    is the signal times the input, $\lambda_{i+1}W_{i+1}$ the signal above times the activity.
    Measured at the ends of flows that have come to rest away from zero weights: three linear
    layers, and two with $\max(z, 0)^2$.  ReLU itself is not run: its flows slide along kinks.

    Assumes: weight decay in every layer, biases included; a point of rest; linear layers, or a
    homogeneous activation for the neurons.
    Source: derived in this project.
    Class: derived
    """
    decay_aligns(check)
    fig, ax = panels(size=(4.8, 4.2))
    for decay, style, label in ((0.0, "C3x", "control: no decay"), (0.1, "C0o", "decay 0.1")):
        carried, own = at_rest(0, "linear", decay)[0][0]
        ax.plot(own.ravel(), carried.ravel(), style, ms=4, label=label)
    reach = np.array(ax.get_xlim())
    ax.plot(reach, reach, "k--", lw=1, label="equal")
    ax.set(xlabel="entries of $W_1W_1^⊤ + b_1b_1^⊤$ at rest", ylabel="entries of $B_2W_2$ at rest")
    ax.legend(fontsize=8)
    check.figure(fig, "What decay makes of the feedback at the end of a flow.")


def control_decay_aligns_no_decay(check):
    """No weight decay."""
    decay_aligns(check, decay=0.0)


# Potentials


def potential(check, rule, law, on):
    task, w = problem(2, SIZES, "relu")
    w = rule.start(SIZES, seed=2, bias=True)
    for k in (0, 1):
        verdict = ff.prove(law, rule, depth=3, k=k, activation="piecewise", bias=True)
        check.proved(verdict, on=f"{on}, hidden layer {k + 1}")
    rates = [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
    check.at_most("rate over |velocity|", rates, 1e-14, fall=1e-2, on=f"{on}, ReLU, seed 2")
    if getattr(rule, "beta", 1) is None:
        return  # the flow of hard signs has kinks where a weight is zero
    far, on = potential_drift(rule, law)[1], f"{on}, linear, seed 2"
    check.at_most("drift along a flow", far, 1e-9, fall=1e-2, on=on)


def potential_drift(rule, law):
    task, _ = problem(2, SIZES, "linear")
    w = rule.start(SIZES, seed=2, bias=True)
    return drift(law, rule, task, w, np.linspace(0, 1, 21), ks=(0, 1))


def claim_potential(check):
    r"""If a rule feeds back $\nabla\psi(W_{i+1})$, then $\tfrac12\|w_j\|^2 - \psi$ is conserved.

    $$ \text{GD: } \psi = \tfrac12\|W\|^2;\quad \text{sign feedback: } \|W\|_1
       \text{ or } \sum\tfrac1\beta\log\cosh\beta W;\quad
       \text{FA: } \langle B^\top, W\rangle $$

    Kolen-Pollack learning keeps $\|w_j\|^2 + \|W[:,j]\|^2 - 2\langle b_j, W[:,j]\rangle$.
    Proved for every size, three layers, with biases and every pattern of slopes; that
    $\nabla\psi$ is what is fed back is checked by finite differences where $\psi$ is no
    polynomial.  Seen along flows of linear networks, but for the hard sign, which is seen
    at a point only.

    Assumes: piecewise linear activation; ψ a sum over columns.
    Source: derived in this project; sign feedback also in Robertson & Koyejo (2023), version 2.
    Class: derived
    """
    each = laws.neuron_potential_balance
    potential(check, ff.GD(), each, "GD")
    potential(check, ff.SignFA(), each, "sign feedback")
    potential(check, ff.SignFA(beta=5.0), each, "sign feedback, tanh(5W)")
    potential(check, ff.FA.random(SIZES, seed=2), each, "FA")
    potential(check, ff.KolenPollack(), laws.neuron_mirror_balance, "Kolen-Pollack")
    claimed = [
        ("gradient descent", *potential_drift(ff.GD(), each)),
        ("tanh(5W)", *potential_drift(ff.SignFA(beta=5.0), each)),
        ("Kolen-Pollack", *potential_drift(ff.KolenPollack(), laws.neuron_mirror_balance)),
    ]
    broken = ("GD's ψ under tanh(5W)", *potential_drift(ff.SignFA(beta=5.0), laws.neuron_balance))
    drift_figure(check, claimed, broken, 1e-9, "Largest drift over all neurons, each rule its ψ.")


def control_potential_of_gradient_descent_under_sign_feedback(check):
    """Gradient descent's ψ under sign feedback: wrong, to show that the measurement tells."""
    wrong = lambda rule, w, k=0: laws.neuron_balance(rule, w, k)
    potential(check, ff.SignFA(beta=5.0), wrong, "sign feedback")


# Direct feedback alignment


def dfa_drift(sizes, phi, law, ks, seed=0):
    task, w = problem(seed, sizes, phi, bias=False)
    rule = ff.DFA.random(sizes, scale=0.5, seed=seed)
    solver = {"solver": "rk45", "step": 1e-3} if phi != "linear" else {}
    return drift(law, rule, task, w, np.linspace(0, 2, 21), ks=ks, **solver)


def dfa_last_pair(check, above=0):
    """The law of the last hidden layer, or of one `above` layers further down."""
    law = laws.neuron_feedback_balance
    rates = []
    for sizes in ((4, 6, 5, 3), (3, 5, 4, 4, 2)) if not above else ((4, 6, 3, 3), (3, 5, 4, 2, 2)):
        k = len(sizes) - 3 - above
        if not above:
            verdict = ff.prove(law, ff.DFA, depth=len(sizes) - 1, k=k, activation="piecewise")
            check.proved(verdict, on=f"{len(sizes) - 1} layers")
        for seed in range(5):
            task, w = problem(seed, sizes, bias=False)
            rates.append(pointwise_rate(law, ff.DFA.random(sizes, seed=seed), task, w, k=k))
        far = dfa_drift(sizes, "relu", law, (k,))[1]
        on = f"{'-'.join(map(str, sizes))}, hidden layer {k + 1}, t ≤ 2, seed 0"
        check.at_most("drift along a ReLU flow, fixed steps of 1e-3", far, DRIFT, fall=1e-2, on=on)
    check.at_most(
        "rate over |velocity|",
        np.max(rates) if not above else np.min(rates),
        1e-14,
        fall=1e-3,
        on="two networks of 3 and 4 layers, ReLU, seeds 0-4",
    )


def claim_dfa_last_pair(check):
    r"""Direct feedback alignment keeps FA's law in its last hidden layer, with ReLU as well.

    The last hidden layer is told the output error through $B_{L-1}$ by either rule.  Below it the
    law is broken.  Proved for every size, 3 and 4 layers; seen at random states and along flows.

    Assumes: piecewise linear activation.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    dfa_last_pair(check)
    law = laws.neuron_feedback_balance
    claimed = [("last hidden layer", *dfa_drift((4, 6, 5, 3), "relu", law, (1,)))]
    broken = ("the layer below it", *dfa_drift((4, 6, 3, 3), "relu", law, (0,)))
    drift_figure(check, claimed, broken, DRIFT, "Largest drift over the neurons' laws under DFA.")


def control_dfa_last_pair_lower_layer(check):
    """The same law one layer further down, where the feedback has the right shape for it."""
    dfa_last_pair(check, above=1)


def dfa_linear(check, sizes=(4, 6, 5, 3)):
    def law(rule, w, C):
        carried = C @ w[1]
        return w[0] @ w[0].T - carried - carried.T

    if not check.control:
        given = {"letters": {"C": ("h1", "h2")}, "relations": ["C B2 = B1"]}
        for depth in (3, 4, 5):
            check.proved(ff.prove(law, ff.DFA, depth=depth, **given))
    drifts = []
    for seed in range(5):
        task, w = problem(seed, sizes, "linear", bias=False)
        rule = ff.DFA.random(sizes, scale=0.5, seed=seed)
        C = rule.B[0] @ np.linalg.pinv(rule.B[1])
        sol = ff.integrate(rule, task, w, np.linspace(0, 2, 21))
        q = np.array([law(rule, sol.at(k), C) for k in range(len(sol))])
        drifts.append(np.max(np.abs(q - q[0]), axis=(1, 2)))
    value = np.max(drifts) if not check.control else np.min(np.max(drifts, axis=1))
    on = "5 problems, three linear layers, t ≤ 2, seeds 0-4"
    check.at_most("drift of the lower layer's law", value, 1e-9, fall=1e-3, on=on)
    return sol.ts, np.max(drifts, axis=0)


def claim_dfa_linear(check):
    r"""On linear networks DFA is FA with another feedback, $\tilde B_{i+1} = B_iB_{i+1}^+$.

    $$ W_iW_i^\top - \tilde B_{i+1}W_{i+1} - (\tilde B_{i+1}W_{i+1})^\top \ \text{ is kept} $$

    $\tilde B_{i+1}B_{i+1} = B_i$ then carries the same error.  Proved for every size of 3 to 5
    layers and every $\tilde B$ with that property; seen along flows.

    Assumes: linear layers; B_{i+1} of full column rank (layer i+1 no narrower than the output).
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    claimed = [("h₂ = 5 ≥ 3 outputs", *dfa_linear(check))]
    broken = ("h₂ = 2 < 3 outputs", *dfa_linear(type(check)(), (4, 6, 2, 3)))
    drift_figure(check, claimed, broken, 1e-9, "Largest drift of the lower layer's law under DFA.")


def control_dfa_linear_narrow(check):
    """Two units in the second hidden layer, fewer than the three outputs."""
    dfa_linear(check, (4, 6, 2, 3))


# Alignment of single neurons


def neuron_aligned(seed, sizes, share, phi="relu", loss="squared"):
    """A task and a start whose neurons j have ⟨b_j, column j⟩ = `share` |w_j|²/2 in each layer.

    Across b_j the columns are random, of the size of the row below, wherever there is room.
    """
    task, _ = problem(seed, sizes, phi, loss, bias=False)
    rng = np.random.default_rng([seed, 5])
    rows = [(M, np.linalg.norm(M, axis=1)[:, None]) for M in ff.FA.random(sizes, seed=seed).B]
    B = tuple(M / size * np.maximum(size, 0.7) for M, size in rows)  # or columns would be huge
    w = [0.5 * rng.standard_normal((sizes[1], sizes[0])) / np.sqrt(sizes[0])]
    for M in B:  # a row of M is b_j
        own, room = np.sum(M**2, axis=1), rng.standard_normal(M.shape)
        room -= M * (np.sum(M * room, axis=1) / own)[:, None]
        sizes_below = np.sum(w[-1] ** 2, axis=1)
        along = M * (share * sizes_below / 2 / own)[:, None]
        w.append((along + room * np.sqrt(sizes_below)[:, None]).T)
    return task, ff.FA(B), tuple(w)


def guarantee(check, share=1.1):
    least, seeds = [], check.tier(quick=2, full=8)
    for seed in range(seeds):
        for phi, loss in (("relu", "squared"), ("linear", "squared"), ("relu", "logistic")):
            task, rule, w = neuron_aligned(seed, (4, 6, 5, 1), share, phi, loss)
            options = {"solver": "rk45", "step": 1e-3}
            sol = ff.integrate(rule, task, w, np.linspace(0, 2, 21), **options)
            for k in (0, 1):
                inner = np.einsum("jo,toj->tj", rule.B[k], sol.w[k + 1])
                half = np.sum(sol.w[k] ** 2, axis=2) / 2
                least.append(np.min(inner - half))
    check.at_least(
        "least ⟨b_j, column j⟩ - ½|w_j|²",
        np.min(least),
        -1e-3,
        fall=-0.1,
        on=f"4-6-5-1: ReLU and linear, squared and logistic loss, seeds 0-{seeds - 1}, t ≤ 2, fixed"
        " steps of 1e-3, whose kinks cost 1e-4",
    )
    return sol, inner, half


def claim_alignment_guarantee(check):
    r"""A neuron whose law starts at $q_j(0) \le 0$ stays aligned for ever.

    $$ \langle b_j, W_{i+1}[:,j]\rangle(t) = \tfrac12\|w_j(t)\|^2 - q_j(0)
       \ge \tfrac12\|w_j(t)\|^2 $$

    With ordinary random weights $q_j(0) > 0$ for most neurons, and the guarantee begins only once
    the incoming norm has grown.

    Assumes: piecewise linear activation; q_j(0) ≤ 0.
    Source: that a sufficient condition exists is asserted in Robertson & Koyejo (2023), abstract;
    this form is derived in this project.
    Class: derived
    """
    law = laws.neuron_feedback_balance
    check.proved(ff.prove(law, ff.FA, depth=3, k=0, activation="piecewise"))
    check.proved(ff.prove(law, ff.FA, depth=3, k=1, activation="piecewise"))
    sol, inner, half = guarantee(check)
    fig, ax = panels()
    ax.plot(sol.ts, inner, "C0", lw=1.5)
    ax.plot(sol.ts, half, "k--", lw=1)
    task, rule, w = neuron_aligned(1, (4, 6, 5, 1), -1.1, "relu", "logistic")
    bad = ff.integrate(rule, task, w, sol.ts, solver="rk45", step=1e-3)
    ax.plot(sol.ts, np.einsum("jo,toj->tj", rule.B[1], bad.w[2]), "C3", lw=1)
    ax.plot([], [], "C0", label="⟨b_j, column j⟩, five neurons")
    ax.plot([], [], "k--", lw=1, label="its bound ½|w_j|²")
    ax.plot([], [], "C3", lw=1, label="control: anti-aligned start")
    ax.set(xlabel=TIME, ylabel="inner product", ylim=(-3.2, 2))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "Alignment of each neuron of the second hidden layer, logistic loss.")


def control_alignment_guarantee_anti_aligned(check):
    """⟨b_j, column j⟩ = -|w_j|²/4 at the start."""
    guarantee(check, share=-0.5)


# The cosine from norms alone


@cache
def cosine_paths(seed, phi="linear", kind=ff.FA, scale=1.0, T=1, step=1e-3):
    """Times and, of each hidden layer, the cosine of B and Wᵀ and what the norms say of it."""
    task, w = problem(seed, phi=phi)
    rule = kind(ff.FA.random(SIZES, scale=0.5, seed=seed).B)
    options = {"solver": "rk45", "step": step} if phi == "relu" else {}
    w0 = tuple(scale * W for W in w)
    sol = ff.integrate(rule, task, w0, np.linspace(0, T, 21), **options)
    fixed, pairs = ff.FA(rule.B), []
    for k in (0, 1):
        begin = laws.layer_feedback_balance(fixed, w0, k)
        seen, said = [], []
        for state in (sol.at(n) for n in range(1, len(sol))):
            sizes = np.linalg.norm(rule.B[k]) * np.linalg.norm(laws.outgoing(state, k))
            seen.append(laws.alignment(fixed, state, k))
            said.append((np.sum(state[k] ** 2) / 2 - begin) / sizes)
        pairs.append((np.array(seen), np.array(said)))
    return sol.ts[1:], pairs


def known_cosine(check, kind=ff.FA, phi=None):
    seeds = check.tier(quick=2, full=8)
    cases = (("linear", 1.0), ("relu", 1.0), ("linear", 0.0)) if phi is None else ((phi, 1.0),)
    for activation, scale in cases if kind is ff.FA else cases[:2]:  # GD never leaves zero
        how = {"T": 3 if activation == "relu" else 10, "step": 2e-3}
        how = how if check.control else {"T": 1, "step": check.tier(quick=1e-3, full=5e-4)}
        gaps = [
            np.max(np.abs(seen - said))
            for seed in range(seeds)
            for seen, said in cosine_paths(seed, activation, kind, scale, **how)[1]
        ]
        bound = 1e-9 if activation == "linear" else DRIFT
        on = f"{activation}, 4-6-5-3 with biases, start × {scale:g}, t ≤ {how['T']}"
        on = f"{on}, seeds 0-{seeds - 1}"
        value = check.worst(gaps)
        check.at_most("|cosine - (½|W_i|² - q_i(0)) / (|B||W|)|", value, bound, fall=1e-2, on=on)


def claim_known_cosine(check):
    r"""The cosine of feedback and weights is known from the norms of the weights alone.

    $$ \cos(B_{i+1}, W_{i+1}^\top)(t) = \frac{\tfrac12\|W_i(t)\|_F^2 - q_i(0)}
       {\|B_{i+1}\|_F\,\|W_{i+1}(t)\|_F},\qquad
       q_i = \tfrac12\|W_i\|_F^2 - \langle B_{i+1}^\top, W_{i+1}\rangle $$

    It is the conserved law, divided by the norms; biases of layer $i$ count in $\|W_i\|$.  Positive
    as soon as $\|W_i\|^2 > 2q_i(0)$, so at all times if $q_i(0) \le 0$, as from zero weights.  It
    need not grow, since $\|W_{i+1}\|$ may grow faster.

    Assumes: piecewise linear activation; FA, no weight decay.
    Source: derived in this project from Theorem 1 of Robertson & Koyejo (2023), poster.
    Class: derived
    """
    known_cosine(check)
    fig, axes = panels(2)
    for k, ax in enumerate(axes):
        for seed in range(2):
            ts, pairs = cosine_paths(seed, "relu")
            seen, said = pairs[k]
            ax.plot(ts, seen, "C0", lw=2, label=None if seed else "ReLU, FA")
            ax.plot(ts, said, "k--", lw=1, label=None if seed else "formula")
            ts, pairs = cosine_paths(seed, "relu", GradientInstead, step=2e-3)
            seen, said = pairs[k]
            ax.plot(ts, seen, "C3", lw=1, label=None if seed else "control: gradient descent")
            ax.plot(ts, said, "C3--", lw=1, label=None if seed else "formula along it, not kept")
        ax.axhline(0, color="0.5", lw=0.8)
        ax.set(xlabel=TIME, ylabel=f"cosine of $B_{k + 2}$ and $W_{k + 2}^⊤$")
        ax.legend(fontsize=8)
    check.figure(fig, "The cosine in both hidden layers of 4-6-5-3 ReLU networks, two starts each.")


def control_known_cosine_tanh(check):
    """tanh is not homogeneous."""
    known_cosine(check, phi="tanh")


def control_known_cosine_gradient_descent(check):
    """The error returns through the transposed weights."""
    known_cosine(check, GradientInstead)


# Where the loss must fall, and where it need not

AWKWARD = ("squared", "logistic", "exponential")


def loss_falls(
    check, share=1.1, sizes=(4, 16, 1), phis=("relu", "linear", "leaky_relu(0.1)"), of=AWKWARD
):
    cosines = []
    for seed in range(100):
        for phi in phis:
            for loss in of:
                task, rule, w = neuron_aligned(seed, sizes, share, phi, loss)
                cosines.append(laws.direction_alignment(rule, w, task=task))
    check.at_least(
        "least cosine of FA's velocity with gradient descent's",
        np.min(cosines),
        0.0,
        fall=-0.05,
        on=f"100 states of each of {len(phis)} activations and {len(of)} losses, 16 hidden units",
    )


def losses_along(share, seed=0, loss="squared"):
    task, rule, w = neuron_aligned(seed, (4, 16, 1), share, "relu", loss)
    sol = ff.integrate(rule, task, w, np.linspace(0, 3, 61), solver="rk45", step=4e-3)
    return sol.ts, np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])


def claim_loss_falls(check):
    r"""Two layers, one output, every neuron aligned: the loss never rises.

    $$ \dot L = -g^\top\Big(K_w + \sum_j w_jb_j\,D_jX^\top XD_j\Big)g,\qquad
       q_j(0) \le 0 \Rightarrow w_jb_j \ge \tfrac12\|u_j\|^2 \ge 0 $$

    Both matrices are positive semidefinite; alignment lasts for ever by the law.  Any data, any
    differentiable loss.  Taken from the velocity at random aligned states.

    Assumes: two layers, scalar output, piecewise linear activation, q_j ≤ 0 for every neuron.
    Source: derived in this project.
    Class: derived
    """
    check.proved(ff.prove(laws.neuron_feedback_balance, ff.FA, activation="piecewise"))
    loss_falls(check)
    fig, (left, right) = panels(2)
    shares = ((1.1, "C0", "aligned"), (-3.3, "C3", "control: anti-aligned"))
    for ax, loss in ((left, "squared"), (right, "logistic")):
        for share, color, label in shares:
            for seed in range(4):
                ts, losses = losses_along(share, seed, loss)
                said = None if seed else label
                ax.plot(ts, losses / losses[0], color, lw=1, label=said)
        ax.axhline(1, color="k", ls="--", lw=1, label="never above, nor rising")
        ax.set(xlabel=TIME, ylabel=f"{loss} loss / its start")
        ax.legend(fontsize=8)
    check.figure(fig, "The loss of two-layer ReLU networks with one output, four starts each.")


def control_loss_falls_anti_aligned(check):
    """w_j b_j < 0 for every neuron."""
    loss_falls(check, share=-3.3)


def control_loss_falls_vector_output(check):
    """Three outputs, every neuron aligned."""
    loss_falls(check, sizes=(4, 16, 3), phis=("relu", "linear"))


def control_loss_falls_three_layers(check):
    """Two hidden layers, one output, every neuron aligned."""
    loss_falls(check, sizes=(4, 16, 16, 1), phis=("relu", "linear"), of=("squared", "logistic"))


def one_unit(y, B, W2):
    """A flow of a 1-1-n linear network, aligned in the sense of the law."""
    task = ff.Task([[1.0]], np.array(y, dtype=float)[:, None])
    w0 = np.array([[0.1]]), np.array(W2, dtype=float)[:, None]
    rule = ff.FA((np.array([B], dtype=float),))
    sol = ff.integrate(rule, task, w0, np.linspace(0, 12, 241))
    losses = np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])
    inner = np.array([(rule.B[0] @ W)[0, 0] for W in sol.w[1]])
    rates = np.array([(rule(task, sol.at(k))[1].T @ rule.B[0].T)[0, 0] for k in range(len(sol))])
    return sol.ts, losses, inner, laws.layer_feedback_balance(rule, w0), rates


VECTOR = {"y": (1.5, 1.5), "B": (1, 0), "W2": (0.1, -3)}
SCALAR_CASE = {"y": (1.5,), "B": (1,), "W2": (0.1,)}


def loss_may_rise(check, case):
    _, losses, inner, law, _ = one_unit(**case)
    on = "a 1-1-n linear network, q(0) = -0.095, t ≤ 12"
    check.at_least("largest loss / its start", losses.max() / losses[0], 2.0, fall=1.0, on=on)
    if len(case["y"]) > 1:
        on = "that every neuron is aligned for ever: assumed, so without a control"
        check.at_most("the law at the start", law, 0.0, fall=0.1, on=on)
        check.at_least(
            "least alignment / its start", inner.min() / inner[0], 1 - 1e-9, fall=0.5, on=on
        )


def claim_loss_may_rise(check):
    r"""With several outputs the loss can rise although every neuron is aligned for ever.

    Widths 1-1-2, $B = (1, 0)$, $W_1 = 0.1$, $W_2 = (0.1, -3)^\top$, $x = 1$, $y = (1.5, 1.5)$: the
    law is negative and the alignment $BW_2$ never falls below its start, but the loss more than
    doubles first.  Weight alignment is not gradient alignment.

    Assumes: nothing; an example.
    Source: derived in this project.
    Class: derived
    """
    loss_may_rise(check, VECTOR)
    ts, losses, inner, *_ = one_unit(**VECTOR)
    fig, ax = panels()
    ax.plot(ts, losses / losses[0], "C0", label="loss / its start, two outputs")
    ax.plot(ts, inner, "C1", label="alignment $BW_2$")
    ts, losses, *_ = one_unit(**SCALAR_CASE)
    ax.plot(ts, losses / losses[0], "C3", label="control: loss / its start, one output")
    ax.axhline(1, color="k", ls="--", lw=1, label="start of the loss")
    ax.set(xlabel=TIME, ylabel="value", ylim=(0, 3.6))
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "A loss that doubles while the alignment grows.")


def control_loss_may_rise_one_output(check):
    """The same with one output, where an aligned loss cannot rise."""
    loss_may_rise(check, SCALAR_CASE)


def output_alignment(check, orthonormal=False, scale=0.0, flows=50):
    """The least eigenvalue of sym(W₂B) against that of sym(BW₂), from starts of this scale."""
    hidden, output = [], []
    for seed in range(flows):
        rng = np.random.default_rng(seed)
        C = rng.standard_normal((2, 2))
        C = np.linalg.qr(C)[0] if orthonormal else C
        task = ff.Task.factorisation(rng.standard_normal((2, 2)))
        w0 = tuple(scale * rng.standard_normal((2, 2, 2)))
        sol = ff.integrate(ff.FA((C,)), task, w0, np.linspace(0, 20, 81)[1:] - 0.25)
        for products, kept in ((C @ sol.w[1], hidden), (sol.w[1] @ C, output)):
            both = (products + products.transpose(0, 2, 1)) / 2
            kept.append(np.min(np.linalg.eigvalsh(both)))
    negative = np.mean(np.array(output) < -1e-3)
    on = f"{flows} FA flows, starts of scale {scale:g}, n = m = r = 2, seeds 0-{flows - 1}"
    if scale == 0:
        check.at_least(
            "share of flows in which sym(W₂B) is ever negative", negative, 0.3, fall=0, on=on
        )
    if not orthonormal:
        check.at_least("least eigenvalue of sym(BW₂)", np.min(hidden), -1e-9, fall=-0.1, on=on)
    return np.array(hidden), np.array(output)


def claim_output_alignment(check):
    r"""Alignment in the hidden layer, $\operatorname{sym}(BW_2) \ge 0$, gives none at the output.

    $\operatorname{sym}(W_2B)$ has a negative eigenvalue in about half of all small flows from zero
    weights.  What does hold is
    $(Be)^\top(BW_2)(Be) \ge 0$.  With orthonormal $B$ the two have the same eigenvalues.

    Assumes: several outputs; zero weights at the start, white inputs.
    Source: derived in this project.
    Class: derived
    """
    hidden, output = output_alignment(check)
    fig, ax = panels()
    ax.plot(np.sort(output), "C0o", ms=4, label="sym($W_2B$), Gaussian B")
    ax.plot(np.sort(hidden), "C1s", ms=3, label="sym($BW_2$), Gaussian B")
    ax.plot(
        np.sort(output_alignment(type(check)(), True)[1]),
        "C3v",
        ms=3,
        label="control: sym($W_2B$), orthonormal B",
    )
    ax.axhline(0, color="k", ls="--", lw=1, label="aligned above")
    ax.set(xlabel="flows, in order", ylabel="least eigenvalue along the flow")
    ax.legend(fontsize=8)
    check.figure(fig, "The least eigenvalue of the alignment in fifty flows from zero weights.")


def control_output_alignment_orthonormal(check):
    """Orthonormal B, with which both alignments have the same eigenvalues."""
    output_alignment(check, orthonormal=True)


def control_output_alignment_random_start(check):
    """Gaussian weights of scale 1 at the start: sym(BW₂) is negative as well."""
    output_alignment(check, scale=1.0, flows=5)


# Dominance


def dominated(check, share=1.1, out=1):
    """The exponent -d log L/dt less twice the least eigenvalue of the kernel that q promises."""
    slacks, leasts = [], []
    for seed in range(200):
        task, rule, w = neuron_aligned(seed, (14, 40, out), share, "relu")
        heights, _, _ = forward(task, w)
        masks = (heights[0] > 0).astype(float)
        q = laws.neuron_feedback_balance(rule, w)
        gram = task.X.T @ task.X
        kernel = sum(-a * np.outer(m, m) * gram for a, m in zip(q, masks, strict=True))
        leasts.append(np.linalg.eigvalsh(kernel)[0])
        slacks.append(-laws.loss_rate(rule, w, task=task) / ff.loss(task, w) - 2 * leasts[-1])
    on = f"200 states of a 14-40-{out} ReLU network, 12 samples, squared loss, seeds 0-199"
    if share > 0:
        check.at_least("least -d log L/dt - 2κ", np.min(slacks), 0.0, fall=-0.05, on=on)
    if out == 1:
        check.at_least("least κ", np.min(leasts), 1e-5, fall=0.0, on=on)
    return np.array(slacks), np.array(leasts)


def claim_dominance(check):
    r"""Where the aligned kernel dominates, the squared loss falls at least at its rate.

    $$ \dot L \le -2\kappa L,\qquad
       \kappa = \lambda_{\min}\Big(\sum_j (-q_j)\,D_jX^\top XD_j\Big) $$

    The $q_j \le 0$ are the neurons' conserved laws, $D_j$ the pattern of samples on which neuron
    $j$ is active; the rate lasts as long as the patterns keep the matrix nonsingular.  Taken
    from the velocity at random aligned states.

    Assumes: two layers, scalar output, ReLU, squared loss, q_j ≤ 0.
    Source: that convergence follows from alignment dominance is asserted in Robertson & Koyejo
    (2023), version 2, abstract; its definition was not read, this form is derived in this project.
    Class: derived
    """
    slacks, leasts = dominated(check)
    fig, ax = panels()
    ax.loglog(2 * leasts, slacks + 2 * leasts, "C0.", label="aligned states, one output")
    many, kappas = dominated(type(check)(), out=3)
    seen = many + 2 * kappas
    ax.loglog(2 * kappas, np.maximum(seen, 1e-3), "C3.", label="control: three outputs")
    reach = np.array([1e-3, 1e1])
    ax.loglog(reach, reach, "k--", lw=1, label="bound")
    ax.set(xlabel="2κ (learning rate)", ylabel="−d log L/dt (learning rate; below 0 at the floor)")
    ax.legend(fontsize=8)
    check.figure(fig, "The rate at which the loss falls, against the promised one.")


def control_dominance_three_outputs(check):
    """Three outputs, every neuron aligned."""
    dominated(check, out=3)


def control_dominance_anti_aligned(check):
    """w_j b_j < 0 for every neuron."""
    dominated(check, share=-3.3)


# Theorem 2


def two_layer(seed, *, scale=0.05, sign=1, outside=False, blind=False, hidden=6, out=1):
    """Four samples in ten dimensions; a start with alignment > 0 for ever: all laws ≤ 0."""
    rng, d = np.random.default_rng(seed), 10
    X = rng.standard_normal((d, 4))
    task = ff.Task(X, rng.standard_normal((out, 4)))
    rule = ff.FA.random((d, hidden, out), seed=seed)
    W1 = scale * rng.standard_normal((hidden, 4)) @ X.T / d
    if outside:
        W1 = W1 + 0.3 * rng.standard_normal((hidden, d))
    if blind:
        u = np.linalg.svd(task.Y @ np.linalg.pinv(X))[0][:, 0]
        rule = ff.FA((rule.B[0] - np.outer(rule.B[0] @ u, u),))
    return task, rule, (W1, sign * 0.5 * rule.B[0].T)


@cache
def learned(seed, times=25, kind=ff.FA, **start):
    """The map learned, that of least norm, and the state at both ends."""
    task, rule, w0 = two_layer(seed, **start)
    sol = ff.integrate(kind(rule.B), task, w0, [0, times / 2, times], rtol=1e-8, atol=1e-11)
    least = task.Y @ np.linalg.pinv(task.X)
    return sol.w[1][-1] @ sol.w[0][-1], least, sol, task


def minimum_norm(check, **start):
    distances = []
    for seed in range(10):
        product, least, _, _ = learned(seed, **start)
        distances.append(np.linalg.norm(product - least) / np.linalg.norm(least))
    value = check.worst(distances)
    check.at_most("|W₂W₁ - YX⁺| / |YX⁺|", value, 1e-7, fall=1e-2, on="10 problems, seeds 0-9")


def claim_minimum_norm(check):
    r"""FA on a two-layer linear network finds the minimum-norm solution.

    $$ W_2W_1 \to YX^+ $$

    There are fewer samples than inputs.

    Every row of $\dot W_1$ lies in the span of the samples, so this neither needs nor follows from
    the conservation law; that the loss tends to 0 needs $B$ of full column rank.  One output and
    three, from small $W_1(0)$ and from zero.  The figure is the poster's second experiment.

    Assumes: squared loss; samples independent; rows of W₁(0) in their span; B of full column rank.
    Source: Robertson & Koyejo (2023), poster, Theorem 2, for one output; several outputs and the
    condition on B are derived in this project.
    Class: quoted
    """
    minimum_norm(check)
    minimum_norm(check, out=3)
    minimum_norm(check, out=3, scale=0.0)
    fig, ax = panels(size=(4.8, 4.2))
    for outside, style, label in (
        (True, "C3x", "control: W₁(0) outside the span"),
        (False, "C0o", "FA"),
    ):
        product, least, _, _ = learned(0, out=3, outside=outside)
        ax.plot(least.ravel(), product.ravel(), style, ms=4, label=label)
    reach = np.array(ax.get_xlim())
    ax.plot(reach, reach, "k--", lw=1, label="equal")
    ax.set(xlabel="weight of the minimum-norm solution", ylabel="weight learned, $W_2W_1$")
    ax.legend(fontsize=8)
    check.figure(
        fig, "FA-learned weights against the minimum-norm solution, ten inputs, 3 outputs."
    )


def control_minimum_norm_start_outside_the_span(check):
    """W₁(0) has a part outside the span of the data, which stays."""
    minimum_norm(check, outside=True)


def control_minimum_norm_blind_feedback(check):
    """B u = 0 for a left singular vector u of YX⁺, six hidden units, W₁(0) = 0: the loss stays."""
    minimum_norm(check, out=3, scale=0.0, blind=True)


def excess(seed, kind):
    """(|W₁|² + |W₂|²) / 2‖W₂W₁‖_* at the end: 1 for the factors of least norm."""
    task, rule, w0 = two_layer(seed, out=3, scale=0.0)
    rng = np.random.default_rng([seed, 7])
    small = [1e-3 * rng.standard_normal(W.shape) for W in w0]
    small[0] = small[0] @ task.X @ np.linalg.pinv(task.X)
    sol = ff.integrate(kind(rule.B), task, tuple(small), [0, 60], rtol=1e-8, atol=1e-11)
    W1, W2 = sol.at(-1)
    nuclear = np.sum(np.linalg.svd(W2 @ W1, compute_uv=False))
    return (np.sum(W1**2) + np.sum(W2**2)) / (2 * nuclear), ff.loss(task, (W1, W2))


def factors(check, kind=ff.FA):
    runs = np.array([excess(seed, kind) for seed in range(8)])
    on = "8 problems, 3 outputs, 10 inputs, 4 samples, starts of 1e-3, seeds 0-7, t = 60"
    check.at_least("least (|W₁|² + |W₂|²) / 2‖W₂W₁‖_*", runs[:, 0].min(), 1.05, fall=1.01, on=on)
    if kind is ff.FA:
        on = "that the map is learned: assumed, so without a control"
        check.at_most("largest loss at the end", runs[:, 1].max(), 1e-12, fall=1e-2, on=on)
    return runs[:, 0]


def claim_factors_not_minimal(check):
    r"""FA's map is that of least norm, but its factors are not.

    $$ |W_1|^2 + |W_2|^2 > 2\|W_2W_1\|_* $$

    From small weights gradient descent ends balanced, with factors of least norm; FA does not.

    Assumes: two linear layers, small weights at the start with rows in the span of the samples.
    Source: derived in this project.
    Class: derived
    """
    seen = factors(check)
    fig, ax = panels()
    ax.plot(seen, "C0o", label="FA")
    ax.plot(factors(type(check)(), GradientInstead), "C3v", label="control: gradient descent")
    ax.axhline(1, color="k", ls="--", lw=1, label="factors of least norm")
    ax.set(xlabel="problem (seed)", ylabel="(|W₁|² + |W₂|²) / 2‖W₂W₁‖_*")
    ax.legend(fontsize=8)
    check.figure(fig, "The norm of the factors over the least for their product.")


def control_factors_not_minimal_gradient_descent(check):
    """The error returns through W₂ᵀ."""
    factors(check, GradientInstead)


def any_rule(check, outside=False):
    for kind in (ff.FA, ff.DFA, ff.GD):
        gaps = []
        for seed in range(check.tier(quick=3, full=8)):
            rng = np.random.default_rng(seed)
            sizes = (10, 6, 5, 3)
            task = ff.Task(rng.standard_normal((10, 4)), rng.standard_normal((3, 4)))
            rule = kind.random(sizes, scale=0.7, seed=seed)
            w = list(ff.init(sizes, scale=0.7, seed=seed))
            span = task.X @ np.linalg.pinv(task.X)
            w[0] = w[0] if outside else w[0] @ span
            ends = [0, 1000, 2000]
            sol = ff.integrate(rule, task, tuple(w), ends, solver="radau", rtol=1e-8, atol=1e-11)
            W1, W2, W3 = sol.at(-1)
            least = task.Y @ np.linalg.pinv(task.X)
            gaps.append(np.linalg.norm(W3 @ W2 @ W1 - least) / np.linalg.norm(least))
        value = check.worst(gaps)
        check.at_most(
            "|W₃W₂W₁ - YX⁺| / |YX⁺|",
            value,
            1e-6,
            fall=1e-2,
            on=f"{kind.__name__}, 10-6-5-3, 4 samples, seeds 0-{len(gaps) - 1}, t = 2000",
        )


def claim_minimum_norm_any_rule(check):
    r"""FA, DFA and gradient descent share the minimum-norm limit, at any depth.

    $$ \dot W_1 = (\,\cdot\,)\,X^\top,\ W_1(0)P_\perp = 0,\ L \to 0 \;\Rightarrow\;
       W_L\cdots W_1 \to YX^+ $$

    It is a property of the first layer alone.  Measured on three-layer networks.

    Assumes: linear layers; rows of W₁(0) in the span of the samples; the loss tends to 0.
    Source: derived in this project.
    Class: derived
    """
    any_rule(check)
    fig, ax = panels()
    for outside, marker in ((False, "o"), (True, "x")):
        for k, kind in enumerate((ff.FA, ff.DFA, ff.GD)):
            rng = np.random.default_rng(0)
            sizes = (10, 6, 5, 3)
            task = ff.Task(rng.standard_normal((10, 4)), rng.standard_normal((3, 4)))
            rule, w = (
                kind.random(sizes, scale=0.7, seed=0),
                list(ff.init(sizes, scale=0.7, seed=0)),
            )
            w[0] = w[0] if outside else w[0] @ task.X @ np.linalg.pinv(task.X)
            ts = np.concatenate([[0], np.geomspace(0.1, 1000, 25)])
            sol = ff.integrate(rule, task, tuple(w), ts, solver="radau", rtol=1e-8, atol=1e-11)
            least = task.Y @ np.linalg.pinv(task.X)
            far = np.linalg.norm(sol.w[2] @ sol.w[1] @ sol.w[0] - least, axis=(1, 2))
            color = "C3" if outside else f"C{k}"
            said = f"{kind.__name__}" if not outside else "control: outside the span"
            said = said if not (outside and k) else None
            ax.loglog(
                ts[1:],
                far[1:] / np.linalg.norm(least) + FLOOR,
                color,
                marker=marker,
                ms=3,
                lw=1,
                label=said,
            )
    ax.axhline(1e-6, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|W₃W₂W₁ − YX⁺| / |YX⁺|", ylim=(1e-14, 1e3))
    ax.legend(fontsize=8, ncols=2)
    check.figure(fig, "Distance from the minimum-norm map along three-layer flows.")


def control_minimum_norm_any_rule_outside_the_span(check):
    """W₁(0) has a part outside the span of the data."""
    any_rule(check, outside=True)


def outside_part(check, hidden=6):
    gaps, norms = [], []
    for seed in range(10):
        product, least, sol, task = learned(seed, out=3, outside=True, hidden=hidden)
        beyond = np.eye(10) - task.X @ np.linalg.pinv(task.X)
        said = least + sol.w[1][-1] @ sol.w[0][0] @ beyond
        gaps.append(np.linalg.norm(product - said) / np.linalg.norm(least))
        norms.append(np.linalg.norm(product) / np.linalg.norm(least))
    value = check.worst(gaps)
    on = "10 problems, three outputs, seeds 0-9"
    check.at_most("|W₂W₁ - YX⁺ - W₂W₁(0)P⊥| / |YX⁺|", value, 1e-7, fall=1e-2, on=on)
    return norms


def claim_outside_the_span(check):
    r"""What the samples do not show of $W_1(0)$ stays.

    $$ W_2W_1 \to YX^+ + W_2(\infty)\,W_1(0)P_\perp $$

    So without a start in the span of the samples the limit is not the minimum-norm map.

    Assumes: two linear layers, squared loss, B of full column rank.
    Source: derived in this project.
    Class: derived
    """
    law = lambda rule, w, N: w[0] @ N
    check.proved(ff.prove(law, ff.FA, letters={"N": ("in", "k")}, relations=["X' N = 0"]))
    norms = outside_part(check)
    fig, ax = panels()
    ax.plot(norms, "C0o", label="start partly outside the span")
    inside = [
        np.linalg.norm(p) / np.linalg.norm(m) for p, m, *_ in (learned(s, out=3) for s in range(10))
    ]
    ax.plot(inside, "C3x", label="control: start in the span")
    ax.axhline(1, color="k", ls="--", lw=1, label="minimum norm")
    ax.set(xlabel="problem (seed)", ylabel="norm of the map learned / least norm")
    ax.legend(fontsize=8)
    check.figure(fig, "The norm of the interpolating map that is learned.")


def control_outside_the_span_two_hidden_units(check):
    """Two hidden units for three outputs, which no rule can fit: the loss stays."""
    outside_part(check, hidden=2)


# Exponential convergence to the global optimum


def many_samples(seed, sign, noise):
    """Twenty samples in four dimensions, of a linear target and noise; all laws ≤ 0."""
    rng, sizes = np.random.default_rng([seed, 20]), (4, 6, 1)
    X, target = rng.standard_normal((4, 20)), rng.standard_normal((1, 4))
    task = ff.Task(X, target @ X + noise * rng.standard_normal((1, 20)))
    rule = ff.FA.random(sizes, seed=seed)
    return task, rule, (0.05 * rng.standard_normal((6, 4)), sign * 0.5 * rule.B[0].T)


def exponential_run(seed, sign, many=False, noise=0.0):
    task, rule, w0 = many_samples(seed, sign, noise) if many else two_layer(seed, sign=sign)
    aligned = abs(float(laws.layer_feedback_balance(rule, w0)))
    rate = aligned * np.linalg.svd(task.X, compute_uv=False)[-1] ** 2
    sol = ff.integrate(rule, task, w0, np.linspace(0, 3 / rate, 61))
    losses = np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])
    rates = sol.measure(laws.loss_rate, task=task)
    inner = np.array([np.sum(rule.B[0].T * W2) for W2 in sol.w[1]])
    return sol, losses, rates / losses, rate, inner / aligned


def exponential(check, sign=1, many=False, noise=0.0):
    runs = [exponential_run(seed, sign, many, noise) for seed in range(10)]
    data = "20 samples in R⁴" if many else "4 samples in R¹⁰"
    on = f"{data}, noise {noise:g}, 10 problems, seeds 0-9, 61 times each"
    slack = [
        np.max(np.log(losses / losses[0])[1:] + 2 * r * sol.ts[1:]) for sol, losses, _, r, _ in runs
    ]
    check.at_most("largest log(loss / bound), worst of 10", np.max(slack), 0.0, fall=0.1, on=on)
    early = [np.max(relative / (2 * r) + 1) for _, _, relative, r, _ in runs]
    check.at_most("largest d log(loss)/dt / 2r + 1", np.max(early), 0.0, fall=0.1, on=on)
    least = np.min([np.min(inner) - 1 for *_, inner in runs])
    if not noise:
        check.at_least("least alignment ⟨W₂, B₂⟩ / a, less 1", least, -1e-9, fall=-0.5, on=on)
    return runs


def claim_exponential(check):
    r"""With positive alignment for all time, two-layer linear FA converges exponentially.

    $$ |y - Xw_t| \le e^{-rt}\,|y - Xw_0|,\qquad r = a\,\sigma_{\min}(X)^2 $$

    If the law $q = \tfrac12\|W_1\|^2 - \langle W_2, B_2\rangle$ starts at $-a < 0$, alignment stays
    at least $a$, and $\dot e = -e\,(X^\top W_1^\top W_1X + \langle W_2, B_2\rangle X^\top X)$.
    With more samples than inputs $X^\top X$ is singular, but the $e$ of a linear target lies where
    it is not.  The rate is tested by the exact rate of the loss and by the bound itself.

    Assumes: scalar output; samples independent, or a linear target and inputs that span their
    space; q(0) < 0; squared loss.
    Source: Robertson & Koyejo (2023), poster, Theorem 2; the rate derived in this project.
    Class: quoted
    """
    check.proved(ff.prove(laws.layer_feedback_balance, ff.FA, loss="squared"))
    runs = exponential(check)
    exponential(check, many=True)
    fig, ax = panels()
    for k, (sol, losses, _, rate, _) in enumerate(runs):
        label = "ten aligned starts" if not k else None
        ax.semilogy(sol.ts * rate, losses / losses[0], "C0", lw=1, label=label)
    for k in range(5):
        sol, losses, _, rate, _ = exponential_run(k, -1)
        label = None if k else "control: anti-aligned starts"
        ax.semilogy(sol.ts * rate, losses / losses[0], "C3", lw=1, label=label)
    ax.semilogy(sol.ts * rate, np.exp(-2 * sol.ts * rate), "k--", label="bound $e^{-2rt}$")
    ax.set(xlabel="r × time", ylabel="squared loss / its start", ylim=(1e-12, 1e4))
    ax.legend(fontsize=8, loc="upper right")
    check.figure(fig, "Squared loss against the bound of the theorem.")


def control_exponential_anti_aligned(check):
    """W₂(0) = -B₂ᵀ/2, the alignment negative at first: the loss rises above the bound."""
    exponential(check, sign=-1)
    exponential(check, sign=-1, many=True)


def control_exponential_noisy_targets(check):
    """More samples than inputs, and targets that no linear map fits: some loss stays."""
    exponential(check, many=True, noise=1.0)


@cache
def optimum_run(seed, blind, out=3):
    task, rule, w0 = two_layer(seed, out=out, scale=0.0, blind=blind)
    rng = np.random.default_rng([seed, 6])
    span = task.X @ np.linalg.pinv(task.X)
    scale = 0.0 if blind else (0.0, 0.3, 1.0)[seed % 3]
    w0 = tuple(scale * rng.standard_normal(W.shape) for W in w0)
    w0 = (w0[0] @ span, w0[1])  # the optimum reached is then the one of least norm
    ts = np.concatenate([[0], np.geomspace(0.01, 25, 50)])
    sol = ff.integrate(rule, task, w0, ts, solver="dop853", rtol=1e-8, atol=1e-12)
    least = task.Y @ np.linalg.pinv(task.X)
    far = np.linalg.norm(sol.w[1] @ sol.w[0] - least, axis=(1, 2)) / np.linalg.norm(least)
    return ts[1:], far[1:], np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])[1:]


def global_optimum(check, blind=False):
    runs = [optimum_run(seed, blind) for seed in range(10)]
    ends = [losses[-1] for _, _, losses in runs]
    value = np.max(ends) if not blind else np.min(ends)
    on = "seeds 0-9, 3 outputs, 4 samples, Gaussian starts of scale 0, 0.3, 1, t = 25"
    check.at_most("squared loss at the end", value, 1e-14, fall=1e-2, on=on)
    return runs


def claim_global_optimum(check):
    r"""In two-layer linear networks FA's weights converge to a global optimum.

    $\Phi$ falls at the rate of the squared projected error and is bounded below.  Proved for every
    size that it falls so; the convergence is measured.  The figure is the poster's third
    experiment.

    Assumes: squared loss; samples independent; B of full column rank.
    Source: Robertson & Koyejo (2023), poster, third experiment; the argument is derived in this
    project.
    Class: quoted
    """
    check.proved(ff.prove(laws.lyapunov, ff.FA, loss="squared", rate=laws.lyapunov_rate))
    runs = global_optimum(check)
    fig, ax = panels()
    for k, (ts, far, _) in enumerate(runs):
        ax.loglog(ts, far + FLOOR, "C0", lw=1, label=None if k else "FA, ten problems")
    for k in range(3):
        ts, far, _ = optimum_run(k, True)
        ax.loglog(ts, far, "C3", lw=1, label=None if k else "control: B blind to a direction")
    ax.axhline(1e-6, color="k", ls="--", lw=1, label="one part in a million")
    ax.set(xlabel=TIME, ylabel="distance from the optimum, relative")
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "Convergence of the weights to the global optimum.")


def control_global_optimum_blind_feedback(check):
    """B u = 0 for a left singular vector u of YX⁺."""
    global_optimum(check, blind=True)


# Deep linear networks


def deep_lyapunov(check, kinds=(ff.FA, ff.DFA)):
    for kind in kinds:
        for depth in (3, 4, 5, 6):
            verdict = ff.prove(
                laws.lyapunov, kind, depth=depth, loss="squared", rate=laws.lyapunov_rate
            )
            check.proved(verdict, on=f"{kind.__name__}, {depth} layers")
        gaps = []
        for seed in range(10):
            sizes = (4, 6, 5, 5, 4, 3)
            rng = np.random.default_rng(seed)
            target, X = rng.standard_normal((3, 4)), rng.standard_normal((4, 9))
            task = ff.Task(X, target @ X)
            rule = kind((ff.DFA if kind is ff.DFA else ff.FA).random(sizes, seed=seed).B)
            w, given = ff.init(sizes, seed=seed), {"target": target, "covariance": X @ X.T}
            law = partial(laws.lyapunov, target=target)
            rate = ff.over_a_step(law, rule, task, w).coefficients[1]
            gaps.append(abs(rate / laws.lyapunov_rate(rule, w, **given) - 1))
        value = check.worst(gaps)
        on = f"{kind.__name__}, random states of five layers, random S, seeds 0-9"
        check.at_most("|dΦ/dt / formula - 1|", value, 1e-11, fall=1e-2, on=on)


def deep_run(kind, sizes, scale, seed, T=300.0, times=60, coloured=False):
    """A flow of a deep linear network on whitened data, or on inputs of a random covariance."""
    rng = np.random.default_rng([seed, len(sizes)])
    target = rng.standard_normal((sizes[-1], sizes[0]))
    task = ff.Task.factorisation(target / np.linalg.norm(target, 2))
    if coloured:
        X = rng.standard_normal((sizes[0], 12)) / np.sqrt(12)
        task = ff.Task(X, task.Y @ X)
    rule = kind((ff.DFA if kind is ff.DFA else ff.FA).random(sizes, seed=seed).B)
    w = tuple(scale * W for W in ff.init(sizes, seed=seed))
    ts = np.concatenate([[0], np.geomspace(1e-2, T, times)])
    return ff.integrate(rule, task, w, ts, solver="radau", rtol=1e-8, atol=1e-11)


def deep_phi(sol):
    return sol.measure(laws.lyapunov, target=sol.task.Y)


def deep_drop(check, kinds=(ff.FA, ff.DFA)):
    """The drop of Φ along flows, against Simpson's rule in log t for the squared carried error."""
    sizes, seeds = (4, 5, 5, 4), check.tier(quick=1, full=4)
    for kind in kinds:
        gaps = []
        for seed in range(seeds):
            sol = deep_run(kind, sizes, 0.8, seed, T=30, times=201)
            given = {"target": sol.task.Y, "covariance": np.eye(sizes[0])}
            phi, rate = deep_phi(sol), sol.measure(laws.lyapunov_rate, **given)
            begin = sol.ts[1] * (rate[0] + rate[1]) / 2
            passed = begin + simpson(rate[1:] * sol.ts[1:], x=np.log(sol.ts[1:]))
            gaps.append(abs((phi[-1] - phi[0]) / passed - 1))
        value = check.worst(gaps)
        on = f"{kind.__name__}, 4-5-5-4, Gaussian weights, seeds 0-{seeds - 1}, t ≤ 30"
        name = "|drop of Φ / ∫|B̃E|² - 1|"
        check.at_most(name, value, 5e-4, fall=0.1, on=on)  # the quadrature costs 5e-5


def claim_deep_lyapunov(check):
    r"""FA and DFA on deep linear networks have a Lyapunov function, at any depth.

    $$ \Phi_L = \tfrac12\|\tilde BW_L\|^2 - \langle\tilde BY, W_1\rangle,\qquad
       \dot\Phi_L = -\operatorname{tr}(\tilde BESE^\top\tilde B^\top) $$

    $\tilde B = B_2\cdots B_L$, or $B_1$ of DFA.  $\dot W_1 = \tilde BES$ and $\tilde B\dot W_L =
    \tilde BES(W_{L-1}\cdots W_1)^\top$, so both terms telescope.  Proved for every size, 3 to 6
    layers.

    Assumes: linear layers, squared loss.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    deep_lyapunov(check)
    deep_drop(check, kinds=check.tier(quick=(ff.FA,), full=(ff.FA, ff.DFA)))
    fig, ax = panels()
    sizes = (4, 5, 5, 4)
    cases = ((ff.FA, "C0", "FA"), (ff.DFA, "C1", "DFA"), (GradientInstead, "C3", "control: GD"))
    for kind, color, label in cases:
        for seed in range(3):
            sol = deep_run(kind, sizes, 1.0, seed, T=30)
            values = deep_phi(sol)
            rise = values - np.minimum.accumulate(values)
            ax.semilogx(sol.ts[1:], rise[1:], color, lw=1, label=None if seed else label)
    ax.axhline(0, color="k", ls="--", lw=1, label="never above")
    ax.set(xlabel=TIME, ylabel="Φ(t) − its least value so far")
    ax.legend(fontsize=8)
    check.figure(fig, "How far Φ rises along flows of 4-5-5-4 networks, three starts each.")


def control_deep_lyapunov_gradient_descent(check):
    """The error returns through the transposed weights."""
    deep_lyapunov(check, kinds=(GradientInstead,))
    deep_drop(check, kinds=(GradientInstead,))


def deaf(B):
    """Feedback alignment that hears nothing of the last output."""
    return ff.FA((*B[:-1], B[-1] * (np.arange(B[-1].shape[1]) < B[-1].shape[1] - 1)))


WIDTHS = ((4, 5, 5, 4), (4, 6, 5, 3), (3, 6, 6, 5, 3))
NARROW = (4, 6, 2, 3)


@cache
def deep_end(kind, sizes, scale, seed, coloured=False):
    """|E|, |B̃E| and, for deaf feedback, |B̃E| of one that hears, at the end of a flow."""
    sol = deep_run(kind, sizes, scale, seed, T=3000.0, times=2, coloured=coloured)
    product = sol.w[0][-1]
    for W in sol.w[1:]:
        product = W[-1] @ product
    E = sol.task.Y @ np.linalg.pinv(sol.task.X) - product
    rules = sol.rule, ff.FA.random(sizes, seed=seed)
    return np.linalg.norm(E), *(
        np.linalg.norm(laws.end_to_end_feedback(rule, len(sol.w)) @ E) for rule in rules
    )


def deep_convergence(check, kinds=(ff.FA, ff.DFA), widths=WIDTHS, scales=(0.0, 0.8)):
    seeds = check.tier(quick=1, full=3)
    for kind in kinds:
        ends = [
            deep_end(kind, sizes, scale, seed)[0]
            for sizes in widths
            for scale in scales
            for seed in range(seeds)
        ]
        # of the flows of the blind control one is left with 0.005, so that their mean is taken
        value = np.max(ends) if not check.control else np.mean(ends)
        networks = ", ".join("-".join(map(str, sizes)) for sizes in widths)
        starts = f"weights of scale {', '.join(map(str, scales))}"
        on = f"{kind.__name__}, {networks}, {starts}, seeds 0-{seeds - 1}, t = 3000"
        check.at_most("|E| at the end", value, 1e-4, fall=1e-2, on=on)


def deep_coloured(check, kinds=(ff.FA, ff.DFA)):
    """The same for inputs of a random covariance."""
    seeds = check.tier(quick=1, full=4)
    for kind in kinds:
        scales = (0.0,) if check.control else check.tier(quick=(0.8,), full=(0.0, 0.8))
        runs = [
            deep_end(kind, WIDTHS[0], s, seed, coloured=True)[0]
            for s in scales
            for seed in range(seeds)
        ]
        value = check.worst(runs)
        starts = f"weights of scale {', '.join(map(str, scales))}"
        on = f"{kind.__name__}, 4-5-5-4, random S, {starts}, seeds 0-{seeds - 1}, t = 3000"
        check.at_most("|E| at the end", value, 1e-6, fall=1e-3, on=on)


def deep_told(check, other=False):
    """|B̃E| where E does not vanish: with deaf feedback, and where the network is too narrow."""
    seeds = check.tier(quick=1, full=3)
    cases = [(deaf, WIDTHS[0], 0.0)]
    if not other:
        cases += [(deaf, WIDTHS[0], 0.8), (ff.FA, NARROW, 0.0), (ff.FA, NARROW, 0.8)]
    ends = [deep_end(*case, seed)[2 if other else 1] for case in cases for seed in range(seeds)]
    value = np.max(ends) if not other else np.min(ends)
    on = f"deaf to one output, 4-5-5-4, and 4-6-2-3; seeds 0-{seeds - 1}, t = 3000"
    check.at_most("|B̃E| at the end", value, 1e-6, fall=1e-3, on=on)


def claim_deep_convergence(check):
    r"""Deep linear networks learn under FA and DFA from every start, including all-zero weights.

    The matrix laws bound $\|W_i\|^2$ by $\|B_{i+1}W_{i+1}\|$, so everything is bounded by $\Phi_L$,
    and $\tilde BE \to 0$; with $\tilde B$ of full column rank, $E \to 0$.  With deaf feedback and
    in too narrow networks, of which the bound says nothing, $\tilde BE$ is seen to vanish though
    $E$ does not.  Gradient descent never leaves zero weights.

    Assumes: linear layers; widths that do not rise from the first hidden layer to the output (FA)
    or hidden layers no narrower than the output (DFA); a positive definite covariance of the
    inputs.
    Source: derived in this project.
    Class: derived
    """
    deep_convergence(check)
    deep_coloured(check, kinds=check.tier(quick=(ff.FA,), full=(ff.FA, ff.DFA)))
    deep_told(check)
    fig, ax = panels()
    cases = (
        (ff.FA, WIDTHS[0], "C0", "FA, 4-5-5-4, zero start"),
        (ff.DFA, WIDTHS[0], "C1", "DFA, 4-5-5-4, zero start"),
        (deaf, WIDTHS[0], "C3", "control: FA deaf to one output"),
    )
    for kind, sizes, color, label in cases:
        for seed in range(2):
            sol = deep_run(kind, sizes, 0.0, seed)
            product = sol.w[2] @ sol.w[1] @ sol.w[0]
            far = np.linalg.norm(sol.task.Y - product, axis=(1, 2))
            ax.loglog(sol.ts[1:], far[1:] + FLOOR, color, lw=1, label=None if seed else label)
    ax.axhline(1e-4, color="k", ls="--", lw=1, label="needed at the end")
    ax.set(xlabel=TIME, ylabel="|Y − W₃W₂W₁|", ylim=(1e-15, 1e2))
    ax.legend(fontsize=8, loc="lower left")
    check.figure(fig, "The residual along flows of three-layer linear networks.")


def control_deep_convergence_blind_feedback(check):
    """The last feedback carries nothing from one of the outputs, from zero weights.

    What is left is the distance of its row of Y from the span of the other rows.
    """
    deep_convergence(check, kinds=(deaf,), scales=(0.0,))
    deep_coloured(check, kinds=(deaf,))


def control_deep_convergence_gradient_descent_from_zero(check):
    """Gradient descent from zero weights, a saddle it never leaves."""
    deep_convergence(check, kinds=(GradientInstead,), scales=(0.0,))
    deep_coloured(check, kinds=(GradientInstead,))


def control_deep_convergence_narrow(check):
    """A hidden layer of two units below three outputs: the rank of the product is too small."""
    deep_convergence(check, kinds=(ff.FA,), widths=(NARROW,))


def control_deep_convergence_another_projection(check):
    """B̃ of feedback that hears all outputs: a wrong one, to show that the measurement tells."""
    deep_told(check, other=True)


def deep_rates(seed, sizes):
    """Largest relative rates of |B̃E|² and of the loss along an FA flow from zero weights."""
    sol = deep_run(ff.FA, sizes, 0.0, seed, T=100, times=80)
    given = {"target": sol.task.Y, "covariance": np.eye(sizes[0])}
    law = partial(laws.projected_loss, **given)
    told, true = [], []
    for k in range(1, len(sol)):
        series = ff.over_a_step(law, sol.rule, sol.task, sol.at(k)).coefficients
        told.append(series[1] / max(series[0], 1e-12))
        loss = ff.loss(sol.task, sol.at(k))
        true.append(laws.loss_rate(sol.rule, sol.at(k), task=sol.task) / max(loss, 1e-12))
    return sol.ts[1:], np.max(told), np.max(true), np.array(told)


def deep_rises(check, sizes=(4, 5, 5, 4)):
    seeds = check.tier(quick=10, full=30)
    runs = [deep_rates(seed, sizes) for seed in range(seeds)]
    on = f"FA from zero weights, seeds 0-{seeds - 1}, 80 states each"
    for name, column in (("|B̃E|", 1), ("the loss", 2)):
        share = np.mean([run[column] > 1e-3 for run in runs])
        check.at_least(f"share of flows in which {name} ever rises", share, 0.1, fall=0.0, on=on)
    return runs


def claim_deep_rises(check):
    r"""With three layers or more neither $|\tilde BE|$ nor the loss is monotone; $\Phi_L$ is.

    With two layers both fall from zero weights and white inputs.  Taken from the exact rates at
    every saved state.

    Assumes: nothing; it is a statement about what may happen.
    Source: derived in this project.
    Class: derived
    """
    runs = deep_rises(check)
    fig, ax = panels()
    for k, (ts, _, _, told) in enumerate(runs[:6]):
        ax.semilogx(ts, told, "C0", lw=1, label=None if k else "4-5-5-4, six problems")
    for k in range(3):
        ts, _, _, told = deep_rates(k, (4, 5, 4))
        ax.semilogx(ts, told, "C3", lw=1, label=None if k else "control: 4-5-4")
    ax.axhline(0, color="k", ls="--", lw=1, label="rises above")
    ax.set(xlabel=TIME, ylabel="d log|B̃E|²/dt (learning rate)")
    ax.set_yscale("symlog", linthresh=0.1)
    ax.legend(fontsize=8, loc="lower right")
    check.figure(fig, "The rate of the projected error along flows from zero weights.")


def control_deep_rises_two_layers(check):
    """Two layers, where both must fall."""
    deep_rises(check, sizes=(4, 5, 4))
