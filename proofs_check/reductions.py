"""Smaller problems with exactly the same flow: what linear networks see of their data.

By these `integrate` runs linear problems in fewer numbers, and gives back the full weights.
"""

from functools import cache, partial

import numpy as np
from scipy.integrate import solve_ivp

import faflow as ff
from faflow.derivatives import flat, unflat
from faflow.flow.reduce import core
from faflow.nets import replaced
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

EXACT = 1e-12
RULES = (ff.GD, ff.FA, ff.DFA, ff.KolenPollack)
TIGHT = {"solver": "rk45", "rtol": 1e-8, "atol": 1e-10, "max_steps": None}


def apart(one, other):
    """The largest difference of two states, matrix by matrix relative to its norm."""
    both = zip(one, other, strict=True)
    return max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in both)


def moved_apart(sol, other):
    """The same of what two flows have moved, at the worst of their times."""
    gone = lambda sol, k: [a - b for a, b in zip(sol.at(k), sol.at(0), strict=True)]
    return max(apart(gone(sol, k), gone(other, k)) for k in range(1, len(sol)))


def flows_alike(check, problem, on):
    """That reduced flows end where full ones do, in as many steps."""
    off, steps = [], []
    for kind in RULES:
        rule, task, w0 = problem(kind, 0)
        reduced, full = (
            ff.integrate(rule, task, w0, [0, 1, 3], reduce=how, **TIGHT) for how in ("auto", "none")
        )
        if "reduced" not in reduced.made:
            raise AssertionError("Nothing was reduced.")
        off.append(moved_apart(reduced, full))
        steps.append(abs(reduced.made["accepted"] - full.made["accepted"]))
    on = f"{on}, until t = 3, by RK45 at rtol 1e-8, reduced and in full"
    check.at_most("difference of what two flows have moved", check.worst(off), 1e-10, on=on)
    check.at_most("difference in steps", check.worst(steps), 0, fall=1, on=on)


def show(check, what, claimed, broken, bound, caption):
    """Curves (label, times, values) of the claim and of a control, beside the bound."""
    fig, ax = panels()
    for color, (label, ts, values) in zip(("C0", "C1"), claimed, strict=False):
        ax.semilogy(ts, np.maximum(values, 1e-17), color, label=label)
    label, ts, values = broken
    ax.semilogy(ts, np.maximum(values, 1e-17), "C3", label=f"control: {label}")
    ax.axhline(bound, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel=what, ylim=(1e-17, 1e3))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, caption)


def along(rule, task, w0):
    """The flow in full, until t = 3."""
    ts = np.linspace(0, 3, 31)
    return ff.integrate(rule, task, w0, ts, reduce="none", kinks="ignore", **TIGHT)


# Samples


@cache
def many_samples(kind, seed, phi="linear", loss="squared", bias=False):
    """(rule, task, w0): three layers, 40 samples of 6 inputs, decay and rates of each layer."""
    rng = np.random.default_rng([seed, 1])
    sizes = (6, 5, 4, 3)
    X, Y = rng.standard_normal((6, 40)) / 6, rng.standard_normal((3, 40)) / 6
    Y = np.sign(Y) if loss == "logistic" else Y
    rule = kind.random(sizes, seed=seed, decay=(0.1, 0.0, 0.2), rates=(1.0, 0.5, 2.0))
    return rule, ff.Task(X, Y, phi, loss, bias), rule.start(sizes, seed=seed, bias=bias)


def turned(task):
    """The task with its samples turned to as many as it has inputs: XQ and YQ, X = XQQᵀ."""
    Q = np.linalg.svd(task.X, full_matrices=False)[2].T
    return replaced(task, X=task.X @ Q, Y=task.Y @ Q)


def velocities(check, name, on, turn=turned, **options):
    seeds = range(check.tier(quick=3, full=10))
    off = []
    for kind in RULES:
        for seed in seeds:
            rule, task, w = many_samples(kind, seed, **options)
            off.append(apart(rule(turn(task), w), rule(task, w)))
    on = f"{', '.join(kind.__name__ for kind in RULES)}; {on}, seeds 0-{len(seeds) - 1}"
    check.at_most(name, check.worst(off), EXACT, fall=1e-3, on=on)


def claim_sufficient_statistics(check):
    r"""A linear network with squared loss learns from $XX^\top$ and $YX^\top$ alone.

    With $X = XQQ^\top$ for orthonormal columns $Q$, the samples $(XQ, YQ)$ move the weights as
    $(X, Y)$ do: every velocity is linear in the output error times the input,
    $(Y - f(X))X^\top = YX^\top - W_L\cdots W_1XX^\top$.  So the flow is the same, whatever the
    rule's feedback, decay and rates, and integrated so it takes the same steps.

    Assumes: linear layers, squared loss, no biases.
    Source: textbook; of feedback alignment derived in this project.
    Class: derived
    """
    velocities(check, "difference of velocities, relative", "6-5-4-3, 40 samples as 6")
    flows_alike(check, many_samples, "the same with decay")
    curves = []
    for kind, phi in ((ff.FA, "linear"), (ff.GD, "linear"), (ff.FA, "tanh")):
        rule, task, w0 = many_samples(kind, 0, phi=phi)
        sol, other = along(rule, task, w0), along(rule, turned(task), w0)
        off = [apart(sol.at(k), other.at(k)) for k in range(len(sol))]
        curves.append((f"{kind.__name__}, {phi}", sol.ts, off))
    what, caption = "distance of the weights, relative", "Flows by 40 samples and by 6, 6-5-4-3."
    show(check, what, curves[:2], curves[2], EXACT, caption)


def control_sufficient_statistics_tanh(check):
    """tanh sees every sample by itself."""
    velocities(check, "difference of velocities, relative", "tanh", phi="tanh")


def control_sufficient_statistics_logistic(check):
    """So does the logistic loss."""
    velocities(check, "difference of velocities, relative", "logistic loss", loss="logistic")


def control_sufficient_statistics_biases(check):
    """Biases see samples as ones, which turning does not leave as they are."""
    velocities(check, "difference of velocities, relative", "with biases", bias=True)


# Biases


def turned_beside_ones(task, scaled=True):
    """The task with 7 samples for 40 of 6 inputs: ones times Q are ones again, √(40/7) times."""
    d, many = task.X.shape
    axes = np.linalg.qr(np.vstack([np.ones(many), task.X]).T)[0]
    axes[:, 0] = 1 / np.sqrt(many)
    first = np.linalg.qr(np.column_stack([np.ones(d + 1), np.eye(d + 1, d)]))[0]
    first[:, 0] = 1 / np.sqrt(d + 1)
    Q, c = axes @ first.T, np.sqrt(many / (d + 1))
    scale = task.output_scale * (c if scaled else 1)
    return replaced(task, X=task.X @ Q / c, Y=task.Y @ Q, output_scale=scale)


def claim_statistics_with_biases(check):
    r"""With biases a linear network sees of its data the mean, and what differs from it, alone.

    Let orthonormal columns $Q$ span the rows of $X$ and of ones, $\mathbf 1_m^\top Q =
    c\,\mathbf 1_n^\top$ with $c^2 = m/n$ for the $n$ turned samples of $m$.  Then $XQ/c$ with
    targets $YQ$ and an output scale of $c$ times the old one move weights and biases as $X$ and
    $Y$ do: at every layer inputs and ones are those of the turned samples, times $cQ^\top$.

    Assumes: linear layers, squared loss, biases in every layer.
    Source: derived in this project.
    Class: derived
    """
    name, on = "difference of velocities, relative", "6-5-4-3 with biases, 40 samples as 7"
    velocities(check, name, on, turned_beside_ones, bias=True)
    problem = lambda kind, seed: many_samples(kind, seed, bias=True)
    flows_alike(check, problem, "the same with decay")
    curves = []
    for kind, scaled in ((ff.FA, True), (ff.GD, True), (ff.FA, False)):
        rule, task, w0 = problem(kind, 0)
        sol = along(rule, task, w0)
        other = along(rule, turned_beside_ones(task, scaled), w0)
        off = [apart(sol.at(k), other.at(k)) for k in range(len(sol))]
        curves.append((f"{kind.__name__}{'' if scaled else ', output scale 1'}", sol.ts, off))
    what, caption = "distance of the weights, relative", "Flows by 40 samples and by 7, biases."
    show(check, what, curves[:2], curves[2], EXACT, caption)


def control_statistics_with_biases_scale(check):
    """The output scale stays as it is, so that few samples count for few."""
    turn = partial(turned_beside_ones, scaled=False)
    name, on = "difference of velocities, relative", "with biases, output scale 1"
    velocities(check, name, on, turn, bias=True)


# Low rank


@cache
def low_rank(kind, seed, white=True, phi="linear", loss="squared"):
    """(rule, task, w0): 9 inputs, three layers, targets of rank 2; XXᵀ = 0.64 I or not."""
    rng = np.random.default_rng([seed, 2])
    sizes = (9, 2, 3, 8)
    Y = rng.standard_normal((8, 2)) @ rng.standard_normal((2, 9)) / 4
    Y = np.outer(np.sign(Y[:, 0]), np.sign(Y[0])) if loss == "logistic" else Y  # of rank 1
    X = 0.8 * np.linalg.qr(rng.standard_normal((9, 9)))[0]
    X = X if white else np.diag(rng.uniform(0.5, 2, 9)) @ X
    rule = kind.random(sizes, seed=seed)
    return rule, ff.Task(X, Y, phi, loss), rule.start(sizes, seed=seed)


def beside(moved, *rows):
    """The share of a matrix beside what the rows of others span."""
    whole = np.vstack(rows)
    _, s, Vt = np.linalg.svd(whole, full_matrices=False)
    seen = Vt[s > 1e-12 * s[0]]
    return np.linalg.norm(moved - moved @ seen.T @ seen) / np.linalg.norm(moved)


def spaces_kept(check, on, rules=RULES, inputs_only=False, **options):
    """That the first layer stays in the rows of YXᵀ and itself, and the last in columns of Y."""
    seeds = range(check.tier(quick=3, full=10))
    first, last = [], []
    for kind in rules:
        for seed in seeds:
            rule, task, w0 = low_rank(kind, seed, **options)
            control = {"reduce": "none", "solver": "rk45", "rtol": 1e-8, "max_steps": None}
            end = ff.integrate(rule, task, w0, [0, 3], **control).final
            first.append(beside(end[0] - w0[0], task.Y @ task.X.T, w0[0]))
            last.append(beside((end[2] - w0[2]).T, task.Y.T, w0[2].T))
    on = f"{', '.join(kind.__name__ for kind in rules)}; {on}, t = 3, seeds 0-{len(seeds) - 1}"
    name = "share of what W₁ moved beside the rows of YXᵀ and W₁(0)"
    check.at_most(name, check.worst(first), 1e-11, fall=1e-4, on=on)
    if not inputs_only:
        name = "share of what W₃ moved beside the columns of Y and W₃(0)"
        check.at_most(name, check.worst(last), 1e-11, fall=1e-4, on=on)


def claim_low_rank(check):
    r"""On white inputs, weights stay in what the targets and they themselves span at the start.

    With $XX^\top = c^2I$ errors times inputs are $YX^\top - c^2W_L\cdots W_1$, so rows of $W_1$
    stay in the span of those of $YX^\top$ and $W_1(0)$, and columns of $W_L$ in that of those of
    $Y$ and $W_L(0)$.  The flow in these spaces is one of the same rule, which gives back the full
    one.

    Assumes: linear layers, squared loss, no biases; white inputs.
    Source: derived in this project.
    Class: derived
    """
    spaces_kept(check, "9-2-3-8, Y of rank 2, XXᵀ = 0.64 I")
    flows_alike(check, low_rank, "the same")
    curves = []
    for kind, white in ((ff.FA, True), (ff.GD, True), (ff.FA, False)):
        rule, task, w0 = low_rank(kind, 0, white)
        sol = along(rule, task, w0)
        off = [beside(sol.w[0][k] - w0[0], task.Y @ task.X.T, w0[0]) for k in range(1, len(sol))]
        inputs = "white inputs" if white else "inputs that are not white"
        curves.append((f"{kind.__name__}, {inputs}", sol.ts[1:], off))
    what, caption = "share beside", "What W₁ moved beside the rows of YXᵀ and W₁(0), 9-2-3-8."
    show(check, what, curves[:2], curves[2], 1e-11, caption)


def control_low_rank_inputs(check):
    """Inputs that are not white turn errors out of the span of the targets, for the first layer."""
    spaces_kept(check, "inputs of sizes 0.4 to 1.6", inputs_only=True, white=False)


def control_low_rank_tanh(check):
    """tanh units take what enters out of the span, for the first layer."""
    spaces_kept(check, "tanh", inputs_only=True, phi="tanh")


def control_low_rank_logistic(check):
    """The logistic loss bends the error of each output by itself."""
    spaces_kept(check, "logistic loss", loss="logistic")


# The core


@cache
def two_layers(kind, seed, white=True, phi="linear"):
    """(rule, task, w0): 30 inputs, 4 hidden units, 25 outputs, Y of full rank; XXᵀ = 0.64 I."""
    rng = np.random.default_rng([seed, 3])
    sizes = (30, 4, 25)
    Y = rng.standard_normal((25, 30)) / 5
    X = 0.8 * np.linalg.qr(rng.standard_normal((30, 30)))[0]
    X = X if white else np.diag(rng.uniform(0.5, 2, 30)) @ X
    rule = kind.random(sizes, seed=seed, decay=(0.05, 0.1))
    return rule, ff.Task(X, Y, phi, output_scale=1.5), rule.start(sizes, seed=seed)


def by_core(rule, task, w0, end):
    """(W, Z) at the end of a flow of two layers, by the equations of its core."""
    W, Z = w0
    (B,), s, decay = rule.B, task.output_scale, rule.decay
    squares = np.trace(task.X @ task.X.T) / len(task.X)  # c²
    Y, scale = task.Y @ task.X.T / (s * squares), s * np.sqrt(squares)
    Q = np.linalg.qr(np.vstack([B @ Y, W]).T)[0]
    A, hidden, speed = B @ Y @ Q, len(W), scale**2
    start = W @ Q, B @ Z, np.eye(hidden), np.zeros((Q.shape[1], hidden))

    def velocity(t, y):
        W, M, P, G = unflat(y, start)
        S = W @ W.T
        moved = A - M @ W, A @ W.T - M @ S, -P @ S, W.T - G @ S
        decays = decay[0], decay[1], decay[1], decay[1]
        both = zip(moved, decays, (W, M, P, G), strict=True)
        return flat(tuple(speed * V - c * X for V, c, X in both))

    out = solve_ivp(velocity, (0, end), flat(start), "DOP853", rtol=1e-10, atol=1e-12)
    W, _, P, G = unflat(out.y[:, -1], start)
    return W @ Q.T, Z @ P + Y @ Q @ G


def cores(check, kind, on, **options):
    """How far what the core of feedback alignment gives back is from the flow in full."""
    seeds = range(check.tier(quick=3, full=10))
    off = []
    for seed in seeds:
        rule, task, w0 = two_layers(kind, seed, **options)
        full = ff.integrate(rule, task, w0, [0, 2], reduce="none", rtol=1e-10, solver="dop853")
        given = by_core(rule, task, w0, 2)
        gone = [[b - a for a, b in zip(w0, end, strict=True)] for end in (given, full.final)]
        off.append(apart(*gone))
    on = f"{on}, 30-4-25, seeds 0-{len(seeds) - 1}"
    check.at_most(
        "difference of what was moved, relative", check.worst(off), 1e-8, fall=1e-2, on=on
    )


def claim_core(check):
    r"""Two layers of feedback alignment on white inputs have a flow of the hidden layer's size.

    $$ \dot W' = A - MW',\quad \dot M = AW'^\top - MW'W'^\top,\quad
       \dot P = -PW'W'^\top,\quad \dot G = W'^\top - GW'W'^\top $$

    for $W = W'Q^\top$, $M = BZ$, $A = BYQ$, and $Z = Z_0P + YQG$, with $Y$ for $YX^\top/c^2$ where
    $XX^\top = c^2I$, in units of time of $1/c^2$, and $Q$ spanning the rows of $BY$ and $W_0$: no
    matrix has more than $2r$ rows or columns for $r$ hidden units, whatever the targets.

    Assumes: two linear layers, squared loss, white inputs, fixed feedback; decay is added to each.
    Source: derived in this project.
    Class: derived
    """
    cores(check, ff.FA, "FA with decay, t = 2")
    rule, task, w0 = two_layers(ff.FA, 0)
    made = core(rule, task, w0)
    far = apart(made.lift(made.rule(made.task, made.w0)), rule(task, w0))
    check.at_most("velocity by faflow's core, difference", far, EXACT, on="30-4-25, FA with decay")
    curves, ts = [], np.linspace(0, 2, 11)
    for white in (True, False):
        rule, task, w0 = two_layers(ff.FA, 0, white=white)
        sol = ff.integrate(rule, task, w0, ts, reduce="none", rtol=1e-10, solver="dop853")
        off = [apart(by_core(rule, task, w0, ts[k]), sol.at(k)) for k in range(1, len(ts))]
        curves.append(("white inputs" if white else "inputs that are not white", ts[1:], off))
    what, caption = "distance of the weights, relative", "Flows by the core and in full, 30-4-25."
    show(check, what, curves[:1], curves[1], 1e-8, caption)


def control_core_gradient_descent(check):
    """The error returns through the transposed weights, which the core does not see."""
    cores(check, GradientInstead, "GD from the same start")


def control_core_inputs(check):
    """Inputs that are not white."""
    cores(check, ff.FA, "FA, inputs of sizes 0.5 to 2", white=False)


def control_core_tanh(check):
    """The hidden units have tanh."""
    cores(check, ff.FA, "FA, tanh", phi="tanh")
