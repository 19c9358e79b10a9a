"""Robertson & Koyejo 2023, "Layer-wise feedback alignment is conserved in deep neural networks".

Theorems 1 and 2 are numbered as on the conference poster of that title (arXiv:2306.01870 is the
paper); what the poster does not say is derived here.
"""

from fractions import Fraction
from functools import partial

import numpy as np
from matplotlib.figure import Figure

import faflow as ff
from faflow import laws
from faflow.matrices import Series
from faflow.testing import GradientInstead

LOSSES = ("squared", "logistic", "cross_entropy", "exponential")
SIZES = (4, 6, 5, 3)
DRIFT = 5e-4


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


def definition(check, kind=ff.FA):
    worst = []
    for seed, phi in ((0, "relu"), (1, "tanh"), (2, "relu"), (3, "tanh")):
        task, w = problem(seed, phi=phi)
        rule = kind(ff.FA.random(SIZES, seed=seed).B)
        typed = typed_again(task, w, rule.B)
        worst.append(
            max(
                np.max(np.abs(V - U)) / np.max(np.abs(U))
                for V, U in zip(rule(task, w), typed, strict=True)
            )
        )
    check.at_most(
        "relative distance of the velocity", worst, 1e-13, fall=1e-2, on="4 problems, seeds 0-3"
    )


def claim_definition(check):
    """The rule that is integrated and proved is feedback alignment as the poster defines it.

    h_l = W_l a_{l-1}, a_l = φ(h_l); δ_L = -∂ℓ/∂f, δ_l = φ'(h_l) ⊙ B_{l+1}δ_{l+1}; dW_l/dt is
    δ_l a_{l-1}ᵀ summed over samples.  Compared with the formula typed again unit by unit, with
    biases, ReLU and tanh, three layers.

    Source: Robertson & Koyejo (2023), poster, "Feedback Alignment".
    Class: quoted
    """
    definition(check)


def control_definition_transposed_weights(check):
    """The error returns through the transposed weights, as in gradient descent."""
    definition(check, GradientInstead)


# Theorem 1


def theorem_1(check, kind=ff.FA, phi="relu", decay=0, prove=True):
    scalar = (4, 6, 5, 1)
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
            task, w = problem(seed, scalar, phi, loss, bias=False)
            rule = kind(ff.FA.random(scalar, seed=seed).B, decay=decay)
            rates += [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
    check.at_most(
        "largest of the laws' rates over |velocity|",
        np.max(rates),
        1e-13,
        fall=1e-2,
        on="10 problems of each of 3 losses, seeds 0-9",
    )
    task, w = problem(3, scalar, phi, bias=False)
    rule = kind(ff.FA.random(scalar, seed=3).B, decay=decay)
    drift = {}
    for step in (4e-3, 1e-3):
        sol = ff.integrate(rule, task, w, np.linspace(0, 2, 81), solver="rk45", step=step)
        drift[step] = max(np.max(np.abs(q - q[0])) for q in (sol.measure(law, k=k) for k in (0, 1)))
    check.at_most(
        f"drift along a flow, fixed steps of {step:g}",
        drift[step],
        DRIFT,
        fall=1e-2,
        on="a 4-6-5-1 network, 0 ≤ t ≤ 2; at sliding kinks the drift is of first order in the step",
    )
    check.at_most(
        "drift with a quarter of the step, relative",
        drift[1e-3] / drift[4e-3],
        0.5,
        fall=0.9,
        on="the same flow",
    )
    return sol, law


def drawn_theorem_1(check, sol, law, title):
    fig = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = fig.subplots(1, 2)
    for k in (0, 1):
        halves = [np.sum(W**2) / 2 for W in sol.w[k]]
        carried = [np.sum(sol.rule.B[k].T * W) for W in sol.w[k + 1]]
        color = f"C{k}"
        left.plot(sol.ts, halves, color=color, label=f"½|W{k + 1}|²")
        left.plot(sol.ts, carried, color=color, ls="--", label=f"⟨W{k + 2}, B{k + 2}⟩")
        left.plot(sol.ts, sol.measure(law, k=k), color=color, ls=":", lw=2.5, label="difference")
        q = sol.measure(law, k=k)
        right.semilogy(sol.ts, np.abs(q - q[0]) + 1e-17, color=color, label=f"layer {k + 1}")
    right.axhline(DRIFT, color="0.4", lw=1, label="bound")
    left.set(xlabel="time (1/learning rate)", ylabel="value", title=title)
    right.set(xlabel="time (1/learning rate)", ylabel="|law - its start|", title="drift")
    left.legend(fontsize=8, ncols=2)
    right.legend(fontsize=8)
    check.figure(fig, "The two sides of the law and their difference; right, how far it moves.")


def claim_theorem_1(check):
    """FA conserves ½|W_i|² - ⟨W_{i+1}, B_{i+1}⟩ for each layer i of a ReLU network.

    Scalar output, any differentiable loss, any data.  Proved for every size, 2 to 6 layers and
    every pattern of active units, so for leaky ReLU and linear networks as well; then seen in
    floating point at random states and along a flow.

    Source: Robertson & Koyejo (2023), poster, Theorem 1.
    Class: quoted
    """
    drawn_theorem_1(check, *theorem_1(check), "ReLU, FA: a 4-6-5-1 network")


def control_theorem_1_tanh(check):
    """tanh is not homogeneous.  Words cannot speak of it; two layers at given sizes, by SymPy."""
    law = laws.layer_feedback_balance
    check.proved(ff.prove(law, ff.FA, sizes=(2, 2, 1), activation="tanh"))
    drawn_theorem_1(check, *theorem_1(check, phi="tanh", prove=False), "tanh, FA: broken")


def control_theorem_1_gradient_descent(check):
    """The error returns through the transposed weights."""
    theorem_1(check, GradientInstead)


def control_theorem_1_weight_decay(check):
    """Weights decay at rate 0.2."""
    theorem_1(check, decay=0.2)


# The law of each neuron


def with_bias_left_out(rule, w, k=0):
    """The neuron's law without the bias of its own layer."""
    units = w[k][:, :-1] if not isinstance(w[k], Series) else w[k].map(lambda W: W[:, :-1])
    carried = rule.B[k] @ laws.outgoing(w, k)
    return (units @ units.T).diagonal() / 2 - carried.diagonal()


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
            1e-13,
            fall=1e-2,
            on=f"{activation}: 5 problems of each of 4 losses, seeds 0-4, 4-6-5-3 with biases",
        )
        task, w = problem(0, phi=activation)
        rule = kind(ff.FA.random(SIZES, scale=0.5, seed=0).B, decay=decay)
        sol = ff.integrate(rule, task, w, np.linspace(0, 1, 11), solver="rk45", step=1e-3)
        drift = [np.ptp(sol.measure(law, k=k), axis=0).max() for k in (0, 1)]
        check.at_most(
            "drift along a flow",
            np.max(drift),
            DRIFT,
            fall=1e-2,
            on=f"{activation}: 4-6-5-3 with biases, 0 ≤ t ≤ 1, fixed steps of 1e-3",
        )


def claim_neuron_law(check):
    """FA conserves ½|row j of W_i|² + ½b_{ij}² - (row j of B_{i+1})·(column j of W_{i+1}).

    One law for each hidden neuron, vector outputs, any depth, any differentiable loss, biases
    included: the bias of layer i counts, that of layer i+1 does not.  Piecewise linear layers.
    Proved for every size (2 to 6 layers, with and without biases, every pattern), and at given
    sizes by polynomials in all weights, data and slopes as an independent algebra.

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


def control_neuron_law_tanh(check):
    """tanh is not homogeneous."""
    neuron_law(check, phi="tanh")


def control_neuron_law_bias_left_out(check):
    """The bias of the neuron's own layer is left out of its law."""
    neuron_law(check, law=with_bias_left_out)


def control_neuron_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    check.proved(ff.prove(laws.neuron_feedback_balance, GradientInstead, activation="piecewise"))
    neuron_law(check, GradientInstead)


def control_neuron_law_weight_decay(check):
    """Weights decay at rate 0.2."""
    check.proved(ff.prove(laws.neuron_feedback_balance, ff.FA(decay=0.2), activation="piecewise"))
    neuron_law(check, decay=0.2)


# The matrix law of linear networks


def matrix_law(check, kind=ff.FA, phi="linear", law=laws.feedback_balance):
    for bias in (False, True):
        for depth in (2, 3, 5, 8):
            for k in range(depth - 1):
                verdict = ff.prove(law, kind, depth=depth, k=k, activation=phi, bias=bias)
                check.proved(verdict, on=f"hidden layer {k + 1}")
    drifts = []
    for seed in range(3):
        task, w = problem(seed, phi=phi)
        rule = kind(ff.FA.random(SIZES, scale=0.5, seed=seed).B)
        solver = {"solver": "rk45", "step": 2e-3} if phi != "linear" else {}
        sol = ff.integrate(rule, task, w, np.linspace(0, 2, 21), **solver)
        drifts += [np.ptp(sol.measure(law, k=k), axis=0).max() for k in (0, 1)]
    check.at_most(
        "drift along flows", np.max(drifts), 1e-8, fall=1e-2, on="3 problems, seeds 0-2, 4-6-5-3"
    )


def claim_matrix_law(check):
    """On linear networks FA conserves the matrix W_iW_iᵀ + b_ib_iᵀ - B_{i+1}W_{i+1} - (…)ᵀ.

    n_i(n_i+1)/2 laws for each hidden layer, any depth and loss, of which Theorem 1 is the trace.
    Proved for every size, 2 to 8 layers, with and without biases; then seen along flows.

    Source: two layers in Lillicrap et al. (2016), supplement; any depth derived in this project.
    Class: derived
    """
    matrix_law(check)


def control_matrix_law_relu(check):
    """With ReLU only the diagonal survives."""
    matrix_law(check, phi="relu")


def control_matrix_law_gradient_descent(check):
    """The error returns through the transposed weights."""
    matrix_law(check, GradientInstead)


def control_matrix_law_sign_flipped(check):
    """The feedback term with the other sign."""

    def flipped(rule, w, k=0):
        return 2 * (w[k] @ w[k].T) - laws.feedback_balance(rule, w, k)

    matrix_law(check, law=flipped)


# Discrete steps


def discrete_drift(check, kind=ff.FA, phi="relu", batches=4):
    gaps, drifts = [], []
    for seed in range(5):
        task, w = problem(seed, phi=phi)
        rule = kind(ff.FA.random(SIZES, seed=seed).B)
        eta = 0.02 / (1 + seed)
        sol = ff.iterate(rule, task, w, eta=eta, steps=400, batches=batches, seed=seed)
        for k in (0, 1):
            q = sol.measure(laws.neuron_feedback_balance, k=k)
            predicted = np.cumsum(np.sum(np.diff(sol.w[k], axis=0) ** 2, axis=2), axis=0) / 2
            gaps.append(np.max(np.abs(q[1:] - q[0] - predicted)) / np.max(np.abs(q)))
            drifts.append((sol.ts[1:], q[1:] - q[0], predicted))
    check.at_most(
        "|drift - ½ Σ |step|²| / largest law",
        np.max(gaps),
        1e-12,
        fall=1e-2,
        on="5 problems of 400 minibatch steps, seeds 0-4, η from 0.004 to 0.02",
    )
    fig = Figure(figsize=(5.5, 3.6), layout="constrained")
    ax = fig.subplots()
    ts, drift, predicted = drifts[0]
    color = "C0" if kind is ff.FA and phi == "relu" else "C3"
    ax.plot(ts, drift[:, :3], color=color)
    ax.plot(ts, predicted[:, :3], "k:", lw=1)
    ax.plot([], [], color=color, label="drift of the law, three neurons")
    ax.plot([], [], "k:", label="½ Σ |step of the neuron's weights|²")
    ax.set(xlabel="time (step size × number of steps)", ylabel="law - its start", title=phi)
    ax.legend(fontsize=8)
    check.figure(fig, "The law along discrete steps, against half the sum of squared steps.")


def claim_discrete_drift(check):
    """A step of discrete FA raises each neuron's law by exactly ½|step of its own weights|².

    q_j(T) - q_j(0) = ½ Σ_t |ΔW_i[j], Δb_{ij}|², for any step sizes and minibatches, all layers
    moving together.  The drift is never negative.

    Source: derived in this project.
    Class: derived
    """
    discrete_drift(check)


def control_discrete_drift_tanh(check):
    """tanh is not homogeneous."""
    discrete_drift(check, phi="tanh")


def control_discrete_drift_gradient_descent(check):
    """The error returns through the transposed weights."""
    discrete_drift(check, GradientInstead)


# Weight decay


def matched_decay(check, ratio=2):
    rate = Fraction(1, 5)
    rule = ff.FA(decay=(rate, ratio * rate))
    for law in (laws.neuron_feedback_balance, laws.feedback_balance):
        falling = lambda rule, w, law=law: -2 * rate * law(rule, w)
        phi = "linear" if law is laws.feedback_balance else "piecewise"
        check.proved(ff.prove(law, rule, activation=phi, bias=True, rate=falling))
    task, w = problem(1, SIZES[:3], "linear")
    rule = ff.FA(ff.FA.random(SIZES[:3], seed=1).B, decay=(0.2, ratio * 0.2))
    sol = ff.integrate(rule, task, w, np.linspace(0, 5, 51))
    q = sol.measure(laws.feedback_balance)
    gap = np.abs(q - np.exp(-0.4 * sol.ts)[:, None, None] * q[0])
    check.at_most("|law - e^{-2λt} law(0)|", gap, 1e-8, fall=1e-2, on="a 4-6-5 network, seed 1")


def claim_matched_decay(check):
    """With weight decay λ in layer i and 2λ in layer i+1, FA's laws decay as e^{-2λt}.

    The law is quadratic in W_i and linear in W_{i+1}, so equal decay does not do.  Proved for
    every size of two layers with biases, and seen along a flow.

    Source: derived in this project.
    Class: derived
    """
    matched_decay(check)


def control_matched_decay_equal(check):
    """The same decay in both layers, which gives gradient descent its exponential."""
    matched_decay(check, ratio=1)


# Potentials


def potential(check, rule, law, on):
    task, w = problem(2, SIZES, "relu")
    w = rule.start(SIZES, seed=2, bias=True)
    for k in (0, 1):
        verdict = ff.prove(law, rule, depth=3, k=k, activation="piecewise", bias=True)
        check.proved(verdict, on=f"{on}, hidden layer {k + 1}")
    rates = [pointwise_rate(law, rule, task, w, k=k) for k in (0, 1)]
    check.at_most("rate over |velocity|", rates, 1e-13, fall=1e-2, on=f"{on}, ReLU")
    if getattr(rule, "beta", 1) is None:
        return  # the flow of hard signs has kinks where a weight is zero
    linear, _ = problem(2, SIZES, "linear")
    sol = ff.integrate(rule, linear, w, np.linspace(0, 1, 11))
    drift = [np.ptp(sol.measure(law, k=k), axis=0).max() for k in (0, 1)]
    check.at_most("drift along a flow", drift, 1e-8, fall=1e-2, on=f"{on}, linear")


def claim_potential(check):
    """If a rule feeds back the gradient of ψ(W_{i+1}), then ½|w_j|² - ψ(column j) is conserved.

    GD: ψ = |column|²/2.  Sign feedback: ψ = Σ|W|, an L1 norm; smoothed, Σ log cosh(βW)/β.  FA:
    ψ = ⟨b_j, column⟩.  Kolen-Pollack learning keeps |w_j|² + |column|² - 2⟨b_j, column⟩.
    Proved for every size, three layers, with biases and every pattern of slopes; that ψ' is what
    is fed back is checked by finite differences where ψ is no polynomial.  Seen along flows of
    linear networks, but for the hard sign, which is seen at a point only.

    Source: derived in this project; sign feedback also in Robertson & Koyejo (2023), version 2.
    Class: derived
    """
    each = laws.neuron_potential_balance
    potential(check, ff.GD(), each, "GD")
    potential(check, ff.SignFA(), each, "sign feedback")
    potential(check, ff.SignFA(beta=5.0), each, "sign feedback, tanh(5W)")
    potential(check, ff.FA.random(SIZES, seed=2), each, "FA")
    potential(check, ff.KolenPollack(), laws.neuron_mirror_balance, "Kolen-Pollack")


def control_potential_of_gradient_descent_under_sign_feedback(check):
    """Gradient descent's ψ along sign feedback."""
    wrong = lambda rule, w, k=0: laws.neuron_balance(rule, w, k)
    potential(check, ff.SignFA(beta=5.0), wrong, "sign feedback")


# Theorem 2


def two_layer(seed, start, *, d=10, samples=4, hidden=6, out=1):
    """Fewer samples than inputs; a start with alignment > 0 for ever: all laws ≤ 0."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((d, samples))
    task = ff.Task(X, rng.standard_normal((out, samples)))
    rule = ff.FA.random((d, hidden, out), seed=seed)
    W1 = start["scale"] * rng.standard_normal((hidden, samples)) @ X.T / d
    if start.get("outside"):
        W1 = W1 + 0.3 * rng.standard_normal((hidden, d))
    if start.get("blind"):
        u = np.linalg.svd(task.Y @ np.linalg.pinv(X))[0][:, 0]
        rule = ff.FA((rule.B[0] - np.outer(rule.B[0] @ u, u),))
    W2 = start["sign"] * 0.5 * rule.B[0].T
    return task, rule, (W1, W2)


def minimum_norm(check, times=60, hidden=6, out=1, **start):
    start = {"scale": 0.05, "sign": 1} | start
    distances = []
    for seed in range(10):
        task, rule, w0 = two_layer(seed, start, hidden=hidden, out=out)
        sol = ff.integrate(rule, task, w0, [0, times / 2, times], rtol=1e-8, atol=1e-11)
        least = task.Y @ np.linalg.pinv(task.X)
        product = sol.w[1][-1] @ sol.w[0][-1]
        distances.append(np.linalg.norm(product - least) / np.linalg.norm(least))
    check.at_most(
        "|W₂W₁ - YX⁺| / |YX⁺|", np.max(distances), 1e-7, fall=1e-2, on="10 problems, seeds 0-9"
    )


def claim_minimum_norm(check):
    """FA on a two-layer linear network with fewer samples than inputs finds the minimum norm.

    Squared loss, the columns of X independent, rows of W₁(0) in their span: if the loss tends to
    0 then W₂W₁ tends to YX⁺, of all interpolating maps the one of least norm.  Every dW₁ lies in
    that span, so this neither needs nor follows from the conservation law; that the loss tends
    to 0 needs B of full column rank.  One output and three, from small W₁(0) and from zero.

    Source: Robertson & Koyejo (2023), poster, Theorem 2, for one output; several outputs and the
    condition on B are derived in this project.
    Class: derived
    """
    minimum_norm(check)
    minimum_norm(check, out=3)
    minimum_norm(check, out=3, scale=0.0)


def control_minimum_norm_start_outside_the_span(check):
    """W₁(0) has a part outside the span of the data, which stays."""
    minimum_norm(check, outside=True)


def control_minimum_norm_blind_feedback(check):
    """B u = 0 for a left singular vector u of YX⁺, six hidden units, W₁(0) = 0: the loss stays."""
    minimum_norm(check, out=3, scale=0.0, blind=True)


def exponential(check, sign=1):
    slacks, excesses, curves = [], [], []
    for seed in range(10):
        task, rule, w0 = two_layer(seed, {"scale": 0.05, "sign": sign})
        aligned = abs(float(laws.layer_feedback_balance(rule, w0)))
        rate = aligned * np.linalg.eigvalsh(task.X.T @ task.X)[0]
        ts = np.linspace(0, 3 / rate, 61)
        sol = ff.integrate(rule, task, w0, ts)
        losses = np.array([ff.loss(task, sol.at(k)) for k in range(len(sol))])
        excess = np.log(losses / losses[0]) + 2 * rate * ts
        slacks.append(np.max(excess[1:]))
        products = [np.sum(rule.B[0].T * W2) for W2 in sol.w[1]]
        excesses.append(np.min(products) / aligned - 1)
        curves.append((ts * rate, losses / losses[0]))
    check.at_most(
        "largest log(loss / bound), worst of 10",
        np.max(slacks),
        0.0,
        fall=0.1,
        on="10 problems, seeds 0-9, 60 times each",
    )
    check.at_least(
        "least alignment ⟨W₂, B₂⟩ / a, less 1", np.min(excesses), -1e-9, fall=-0.5, on="the same"
    )
    fig = Figure(figsize=(5.5, 3.6), layout="constrained")
    ax = fig.subplots()
    for scaled, losses in curves:
        ax.semilogy(scaled, losses, color="C0" if sign > 0 else "C3", lw=1)
    ax.semilogy(scaled, np.exp(-2 * scaled), "k--", label="bound $e^{-2rt}$")
    ax.plot([], [], color="C0" if sign > 0 else "C3", label="ten problems")
    title = "aligned start" if sign > 0 else "anti-aligned start"
    ax.set(xlabel="r × time", ylabel="loss / its start", title=title)
    ax.set_ylim(bottom=1e-12)
    ax.legend(fontsize=8)
    check.figure(fig, "Squared loss against the bound of the theorem, r = a λ_min(XᵀX).")


def claim_exponential(check):
    """With positive alignment for all time, two-layer linear FA converges exponentially.

    Scalar output, columns of X independent.  If the law q = ½|W₁|² - ⟨W₂, B₂⟩ starts at -a < 0,
    alignment stays at least a, and |e(t)| ≤ |e(0)| e^{-rt} with r = a λ_min(XᵀX): from
    de/dt = -e(XᵀW₁ᵀW₁X + ⟨W₂, B₂⟩XᵀX).

    Source: Robertson & Koyejo (2023), poster, Theorem 2; the rate derived in this project.
    Class: derived
    """
    exponential(check)


def control_exponential_anti_aligned(check):
    """W₂(0) = -B₂ᵀ/2, the alignment negative at first: the loss rises above the bound."""
    exponential(check, sign=-1)
