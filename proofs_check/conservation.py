"""Conservation laws of learning rules: what each rule keeps, and that it keeps nothing else.

After Marcotte, Gribonval & Peyré 2023, "Abide by the law and follow the flow: conservation laws for
gradient flows", NeurIPS (arXiv:2307.00144), who count the laws of gradient descent by Lie algebras.
The laws and the counts of rules that follow no gradient are derived in this project.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

import faflow as ff
from faflow import laws
from faflow.laws import outgoing
from faflow.matrices import rational, split_biases
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

SIZES = (4, 6, 5, 3)
DRIFT = 100 * 1e-10  # a hundred times the solver's rtol
KINKS = 5e-4  # fixed steps of 1e-3 through the kinks of ReLU, where the drift is of their order
FLOOR = 1e-17


# What is kept along a flow


@dataclass(frozen=True)
class Grown:
    """A law that is kept once it is multiplied by e^{growth t}."""

    law: Callable
    growth: Any

    def __call__(self, rule, w):
        return self.law(rule, w)


@cache
def flow(
    kind, seed, *, sizes=SIZES, phi="linear", bias=False, scale=0.5, T=1.0, step=None, **options
):
    """From a start of which all is random: biases, velocities and learned feedback as well.

    scale: of the start.  step: None for error control.  options: of the rule.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((sizes[0], 12)) / np.sqrt(12)
    task = ff.Task(X, rng.standard_normal((sizes[-1], 12)), phi, bias=bias)
    rule = kind.random(sizes, scale=0.5, seed=seed, **options)
    w0 = tuple(scale * rng.standard_normal(s) for s in rule.state(sizes, bias).values())
    solver = {"solver": "rk45", "step": step} if step else {}
    return ff.integrate(rule, task, w0, np.linspace(0, T, 21), **solver)


def flows(check, kind, **problem):
    """One flow a seed."""
    return [flow(kind, seed, **problem) for seed in range(check.tier(quick=2, full=5))]


def drift(law, sol):
    """Largest change of law·e^{ct} up to each time, in parts of its start if that is above 1."""
    q = sol.measure(law).reshape(len(sol), -1)
    q = q * np.exp(float(getattr(law, "growth", 0)) * sol.ts)[:, None]
    return np.max(np.abs(q - q[0]), axis=1) / max(1.0, np.max(np.abs(q[0])))


def drifts(check, name, kept, runs, on, bound=DRIFT, fall=1e-3):
    """No law moves along any of the flows; in a control each of them does, along each flow."""
    far = [np.max(drift(law, sol)) for sol in runs for law in kept]
    on = f"{on}; t ≤ {runs[0].ts[-1]:g}, seeds 0-{len(runs) - 1}"
    check.at_most(name, check.worst(far), bound, fall=fall, on=on)


@cache
def found(kind, *depths, **options):
    """All laws that a search finds at these depths, each with its proof for every size."""
    return tuple(law for depth in depths for law in ff.discover(kind, depth=depth, **options))


def proved(check, kept):
    for law in kept:
        check.proved(law.verdict, on=str(law))


def dashed(n):
    return "-".join(map(str, n))


def each_layer(law, layers=(0, 1), **arguments):
    """One law a hidden layer."""
    return [partial(law, k=k, **arguments) for k in layers]


def of_another(kept, rule):
    """The same laws, as they are for the feedback of another rule."""
    return [lambda _, w, law=law: law(rule, w) for law in kept]


def show(check, claimed, broken, caption, bound=DRIFT):
    """Drifts against time of (label, laws, solution): those of the claim, and that of a control."""
    fig, ax = panels()
    colors = [*("C0", "C1", "C2")[: len(claimed)], "C3"]
    for color, (label, kept, sol) in zip(colors, (*claimed, broken), strict=True):
        far = np.max([drift(law, sol) for law in kept], axis=0)
        ax.semilogy(sol.ts, far + FLOOR, color, label="control: " * (color == "C3") + label)
    ax.axhline(bound, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="|law − its start|, relative", ylim=(1e-17, 1e7))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, caption)


# Feedback alignment on linear networks


def linear_feedback(check, kind=ff.FA, kept=None):
    runs = flows(check, kind)
    kept = kept or found(ff.FA, 3)
    drifts(check, "drift of a law", kept, runs, "4-6-5-3, three linear layers")
    return kept, runs[0]


def claim_linear_feedback(check):
    r"""On linear networks FA keeps two matrices for each hidden layer $i$, at any depth.

    $$ W_iW_i^\top - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top \quad\text{and}\quad N_i^\top W_i,
       \qquad N_i^\top B_{i+1}B_{i+2}\cdots B_L = 0 $$

    The error reaches layer $i$ through $B_{i+1}\cdots B_L$; across its columns $W_i$ never moves.
    Proved for every size, 2, 3 and 5 layers, as all laws among words of two letters and of null
    spaces; seen along flows.

    Assumes: linear layers, no weight decay.
    Proves: the statement.
    Source: derived in this project; the first of two layers in Lillicrap et al. (2016), supplement.
    Class: derived
    """
    proved(check, found(ff.FA, 2, 3, 5))
    for depth in (2, 3, 5):  # what is found is what is stated
        for k in range(depth - 1):
            check.proved(ff.prove(laws.feedback_balance, ff.FA, depth=depth, k=k))
    kept, sol = linear_feedback(check)
    other = ff.FA.random(SIZES, seed=100)
    claimed = [("W₁W₁ᵀ − B₂W₂ − …", kept[1:2], sol), ("N₁ᵀW₁", kept[:1], sol)]
    broken = ("N₁ of another feedback", of_another(kept[:1], other), sol)
    show(check, claimed, broken, "Largest drift over the entries of the laws, linear 4-6-5-3.")


def control_linear_feedback_gradient_descent(check):
    """The error returns through the transposed weights."""
    linear_feedback(check, GradientInstead)


def control_linear_feedback_of_another_feedback(check):
    """The laws as they are for other matrices, of the same shapes."""
    linear_feedback(check, kept=of_another(found(ff.FA, 3), ff.FA.random(SIZES, seed=100)))


def control_linear_feedback_laws_of_gradient_descent(check):
    """Gradient descent's balances under FA."""
    for k in (0, 1):
        check.proved(ff.prove(laws.balance, ff.FA, depth=3, k=k), on=f"hidden layer {k + 1}")
    linear_feedback(check, kept=each_layer(laws.balance))


def surface_gap(sol):
    """|W_i(t) - W_i(0) - b_i p_{i-1}ᵀ|, p₀ being read off the first layer."""
    start, B = sol.at(0), sol.rule.B
    through = [np.ones(len(start[-1]))]
    for M in reversed(B):
        through.insert(0, M @ through[0])
    gaps = []
    for k in range(len(sol)):
        w = sol.at(k)
        p = (w[0] - start[0]).T @ through[0] / np.sum(through[0] ** 2)
        far = 0.0
        for W, W0, b in zip(w, start, through, strict=True):
            far = max(far, np.max(np.abs(W - W0 - np.outer(b, p))))
            p = W0 @ p + b * np.sum(p**2) / 2
        gaps.append(far)
    return np.array(gaps)


def scalar_output(check, kind=ff.FA, outputs=1, phi="linear"):
    for below in ((4, 6), (4, 6, 5), (3, 4, 5, 4)):
        n = (*below, outputs)
        runs = flows(check, kind, sizes=n, phi=phi)
        far = check.worst([np.max(surface_gap(sol)) for sol in runs])
        on = f"{dashed(n)}, t ≤ 1, seeds 0-{len(runs) - 1}"
        name = f"distance from the surface, {len(below)} layers"
        check.at_most(name, far, DRIFT, fall=1e-3, on=on)


def claim_scalar_output(check):
    r"""With one output FA moves a linear network along a surface of as many dimensions as inputs.

    $$ W_i(t) = W_i(0) + b_ip_{i-1}^\top, \quad p_i = W_i(0)p_{i-1} + \tfrac12|p_{i-1}|^2b_i,
       \quad b_i = B_{i+1}\cdots B_L, \quad b_L = 1 $$

    At any depth, for any data and loss: $p_0(t) = \int e\,x$, summed over the samples, is all that
    the data decide.  $\dot W_i = b_i\,e\,a_{i-1}^\top$ with $a_i$ the activity of layer $i$; so
    $\dot p_i = e\,a_i$, layer by layer, since $e\,a_i = W_i\dot p_{i-1}$.

    Assumes: linear layers, one output, no weight decay.
    Source: derived in this project.
    Class: derived
    """
    scalar_output(check)
    fig, ax = panels()
    for outputs, color, label in ((1, "C0", "one output"), (2, "C3", "control: two outputs")):
        sol = flow(ff.FA, 0, sizes=(3, 4, 5, 4, outputs))
        ax.semilogy(sol.ts, surface_gap(sol) + FLOOR, color, label=label)
    ax.axhline(DRIFT, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel="distance of the weights from the surface", ylim=(1e-17, 1e4))
    ax.legend(fontsize=8)
    check.figure(fig, "How far the weights leave the surface, FA on a linear 3-4-5-4 network.")


def control_scalar_output_two_outputs(check):
    """Two outputs, the columns of the feedback added up."""
    scalar_output(check, outputs=2)


def control_scalar_output_gradient_descent(check):
    """The error returns through the transposed weights."""
    scalar_output(check, GradientInstead)


def control_scalar_output_tanh(check):
    """Hidden units with tanh."""
    scalar_output(check, phi="tanh")


def transposed_offset(rule, w, k=0):
    """b_i - W_{i+1}ᵀb_{i+1}, what stands for the law of the biases in gradient descent."""
    own, above = (split_biases(W)[1] for W in w[k : k + 2])
    return own - outgoing(w, k).T @ above


def offset(rule, w, k=0):
    """b_i - B_{i+1}b_{i+1}; of direct feedback b_i - B_ib_L."""
    above = w[k + 1] if rule.first == 2 else w[-1]
    return split_biases(w[k])[1] - rule.B[k] @ split_biases(above)[1]


def without_biases(rule, w, k=0):
    """The matrix law less b_ib_iᵀ."""
    own = split_biases(w[k])[1]
    return laws.feedback_balance(rule, w, k) - own @ own.T


def biases(check, kinds=(ff.FA, ff.DFA), phi="linear", instead=None):
    """instead: {what it is: laws}, in place of those that the search finds."""
    for kind in kinds:
        kept = found(kind, 3, bias=True)
        vectors = [law for law in kept if law.words.cols == "1" and not law.unknowns]
        matrices = [law for law in kept if law.words.cols == law.words.rows]
        runs, on = flows(check, kind, phi=phi, bias=True), f"{kind.__name__}, 4-6-5-3 with biases"
        for what, own in (instead or {"vectors": vectors, "matrices": matrices}).items():
            drifts(check, f"drift of the {what}", own, runs, on)
    return vectors, runs[0]


def claim_biases(check):
    r"""With biases linear FA also keeps $b_i - B_{i+1}b_{i+1}$, and DFA $b_i - B_ib_L$.

    The bias moves as the error of its layer does.  In the matrix laws $b_ib_i^\top$ joins
    $W_iW_i^\top$; those above do not count.  Proved for every size, 2 and 3 layers, and seen along
    flows.

    Assumes: linear layers, no weight decay.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    for kind in (ff.FA, ff.DFA):
        proved(check, found(kind, 2, 3, bias=True))
        for depth in (2, 3):  # what is found is what is stated
            options = {"depth": depth, "bias": True}
            for k in range(depth - 1):
                check.proved(ff.prove(offset, kind, **options, k=k))
                if kind is ff.FA or k == depth - 2:
                    check.proved(ff.prove(laws.feedback_balance, kind, **options, k=k))
    kept, sol = biases(check)
    broken = ("b₁ − W₂ᵀb₂", [transposed_offset], sol)
    caption = "Drift of the laws of the biases, DFA on a linear 4-6-5-3 network."
    show(check, [("b₁ − B₁b₃, b₂ − B₂b₃", kept, sol)], broken, caption)


def control_biases_transposed_weights(check):
    """The weights in place of the feedback, as if the rule were gradient descent."""
    biases(check, (ff.FA,), instead={"vectors": each_layer(transposed_offset)})


def control_biases_left_out(check):
    """Matrices without the product of the biases."""
    biases(check, (ff.FA,), instead={"matrices": each_layer(without_biases)})


def control_biases_tanh(check):
    """Hidden units with tanh."""
    biases(check, phi="tanh")


# Direct feedback alignment


DIRECT = ((4, 6, 5, 3), (4, 6, 2, 4), (3, 5, 4, 3, 2))


def direct_feedback(check, phi="linear", other=False):
    """other: whether P and C are those of another feedback."""
    for n in DIRECT:
        kept = [law for law in found(ff.DFA, len(n) - 1) if len(law.relations) == 2]
        if other:
            kept = of_another(kept, ff.DFA.random(n, seed=100))
        runs = flows(check, ff.DFA, sizes=n, phi=phi)
        drifts(check, f"drift of the pairs' laws, {dashed(n)}", kept, runs, f"DFA, {phi}")
    return kept, runs[0]


def claim_direct_feedback(check):
    r"""Linear DFA keeps a matrix for all that two neighbouring layers are told alike.

    $$ PW_iW_i^\top P^\top - CW_{i+1}P^\top - (CW_{i+1}P^\top)^\top,
       \qquad PB_i = CB_{i+1} $$

    $PB_i$ has its rows in the row spaces of both $B_i$ and $B_{i+1}$.  A layer $i+1$ no narrower
    than the output lets $P = I$ and $C = B_iB_{i+1}^+$; a narrow one has fewer pairs.  Proved for
    every size of 2 to 4 layers; seen with 5 and with 2 units above, and in four layers.

    Assumes: linear layers, no weight decay.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.DFA, 2, 3, 4))
    kept, sol = direct_feedback(check)
    broken = ("of another feedback", of_another(kept, ff.DFA.random(DIRECT[-1], seed=100)), sol)
    caption = "Largest drift over the pairs' laws, DFA on a linear 3-5-4-3-2 network."
    show(check, [("of the rule's own feedback", kept, sol)], broken, caption)


def control_direct_feedback_of_another_feedback(check):
    """P and C solved for other matrices."""
    direct_feedback(check, other=True)


def control_direct_feedback_tanh(check):
    """Hidden units with tanh."""
    direct_feedback(check, phi="tanh")


# Piecewise linear and homogeneous networks

ALIKE = (4, 6, 3, 3)  # DFA's feedback of the first hidden layer has here the shape that FA's has
KEPT = ((ff.FA, (0, 1)), (ff.DFA, (1,)))


def with_others(rule, w, k=0, degree=1):
    """The matrix of which the neurons' laws are half the diagonal."""
    own = w[k] @ w[k].T
    return own + degree * (laws.feedback_balance(rule, w, k) - own)


def piecewise_linear(check, law=laws.neuron_feedback_balance, cases=KEPT):
    """cases: rules, and whose hidden layers' laws to follow."""
    problem = {"sizes": ALIKE, "bias": True, "scale": 0.7, "T": 0.2}
    for kind, layers in cases:
        on, kept = f"{kind.__name__}, 4-6-3-3 with biases", each_layer(law, layers)
        runs = flows(check, kind, phi="relu", step=1e-3, **problem)
        drifts(check, "drift, ReLU, fixed steps of 1e-3", kept, runs, on, KINKS, fall=5e-3)
        runs = flows(check, kind, phi="relu_power(2)", **problem)
        drifts(check, "drift, max(z, 0)²", each_layer(law, layers, degree=2), runs, on)
    return runs[0]


def claim_piecewise_linear(check):
    r"""FA keeps one number a hidden neuron of a ReLU network, DFA in the last hidden layer alone.

    $$ \tfrac12|w_j|^2 - \langle b_j, a_j\rangle $$

    with $w_j$ row $j$ of $W_i$ and its bias, $a_j$ column $j$ of $W_{i+1}$ and $b_j$ row $j$ of the
    feedback; twice the second term for $\max(z, 0)^2$.  Proved for every size, 2 to 5 layers.  Of
    the matrix of a linear network nothing off the diagonal is left, and in lower layers of DFA
    nothing at all: seen in the controls, and certified in the count of these laws.

    Assumes: ReLU or max(z, 0)², no weight decay.
    Source: Robertson & Koyejo (2023) for FA, recalled; DFA derived in this project.
    Class: derived
    """
    for kind in (ff.FA, ff.DFA):
        for phi in ("relu", "relu_power(2)"):
            proved(check, found(kind, 2, 3, 4, 5, activation=phi, bias=True))
    sol = piecewise_linear(check)
    law = partial(laws.neuron_feedback_balance, k=1, degree=2)
    lower = partial(laws.neuron_feedback_balance, k=0, degree=2)
    caption = "Drift of the neurons' laws, DFA on a 4-6-3-3 network with max(z, 0)²."
    claimed = [("last hidden layer", [law], sol)]
    show(check, claimed, ("first hidden layer", [lower], sol), caption)


def control_piecewise_linear_off_the_diagonal(check):
    """All of the matrix of a linear network."""
    piecewise_linear(check, with_others)


def control_piecewise_linear_first_layer_of_direct_feedback(check):
    """The first hidden layer under DFA."""
    piecewise_linear(check, cases=((ff.DFA, (0,)),))


# Potentials

POTENTIALS: dict[str, Any] = {
    "GD": (ff.GD, {}),
    "FA": (ff.FA, {}),
    "signs": (ff.SignFA, {}),
    "tanh(2W)": (ff.SignFA, {"beta": 2}),
}


def potentials(check, counted=True):
    """counted: whether the degree of the activation counts in the law."""
    law = laws.neuron_potential_balance
    for degree in (2, 3):
        weight, phi = degree if counted else 1, f"relu_power({degree})"
        for name, (kind, options) in POTENTIALS.items():
            rule = kind(**options)
            for k in (0, 1):
                arguments = {"k": k, "degree": weight, "activation": phi, "bias": True}
                verdict = ff.prove(law, rule, depth=3, **arguments)
                check.proved(verdict, on=f"{name}, hidden layer {k + 1}")
            if kind is ff.FA:
                continue  # its flow with cubes is stiff; with squares it is seen above
            runs = flows(check, kind, **options, phi=phi, bias=True, scale=0.7, T=0.2)
            on = f"{name}, 4-6-5-3 with biases"
            drifts(check, f"drift, max(z, 0)^{degree}", each_layer(law, degree=weight), runs, on)
    return runs[0]


def claim_potentials(check):
    r"""If the backward weights are $\psi'(W)$, entry by entry, neurons of degree $p$ keep a number.

    $$ \tfrac12|w_j|^2 - p\sum_b\psi(W_{bj}), \qquad z\,\phi'(z) = p\,\phi(z) $$

    $\psi(W) = \tfrac12W^2$ is gradient descent, $B^\top W$ feedback alignment, $|W|$ sign feedback
    and $\tfrac1\beta\log\cosh\beta W$ its smooth form.  Proved for every size of three layers with
    biases, $p = 2$ and $3$, and seen along flows of $\max(z, 0)^p$.

    Assumes: an activation of degree p, such as max(z, 0)^p.
    Source: derived in this project; p = 1 with signs in Robertson & Koyejo (2023), version 2.
    Class: derived
    """
    sol = potentials(check)
    law = partial(laws.neuron_potential_balance, k=0)
    claimed = [("degree 3 in the law", [partial(law, degree=3)], sol)]
    caption = "Drift of the neurons' laws, tanh(2W) fed back, 4-6-5-3 with max(z, 0)³."
    show(check, claimed, ("degree 1 in the law", [law], sol), caption)


def control_potentials_degree_left_out(check):
    """The law of piecewise linear layers."""
    potentials(check, counted=False)


def changes_of_sign(sol):
    """Between which times a weight above the first hidden layer changes its sign."""
    signs = np.sign(sol.w[1])
    return np.any(signs[1:] != signs[:-1], axis=(1, 2))


def with_signs_of_the_start(sol):
    """The neurons' law with the signs that the weights had at first."""
    signs = np.sign(sol.w[1][0])
    return lambda _, w: (w[0] @ w[0].T).diagonal() / 2 - (signs.T @ w[1]).diagonal()


SIGNED = (4, 8, 6, 3)


def sign_changes(check, now=True):
    """now: whether the law has the signs of each time, or those of the start."""
    law = partial(laws.neuron_potential_balance, k=0)
    runs = flows(check, ff.SignFA, sizes=SIGNED)
    far = [np.max(drift(law if now else with_signs_of_the_start(sol), sol)) for sol in runs]
    on = f"4-8-6-3, linear, t ≤ 1, seeds 0-{len(runs) - 1}"
    check.at_most("drift of the neurons' law", check.worst(far), DRIFT, fall=1e-2, on=on)
    if now:
        seen = [np.sum(changes_of_sign(sol)) for sol in runs]
        on += "; that there are any is assumed, so no control"
        check.at_least("intervals of 0.05 with a change of sign", np.min(seen), 1, fall=0, on=on)
    return law, runs[0]


def claim_sign_changes(check):
    r"""Under sign feedback $\tfrac12|w_j|^2 - |a_j|_1$ is kept through changes of sign.

    $a_j$ is column $j$ of $W_{i+1}$.  Where an entry of it is zero, $|W|$ has no derivative but no
    jump either, so the law holds along all of the flow.  Proved for every size of 2 to 5 layers,
    with $|W| = \operatorname{sign}(W)W$; seen along flows in which weights change their signs.

    Assumes: piecewise linear activation, in the flows linear; no weight decay.
    Source: derived in this project; the law also in Robertson & Koyejo (2023), version 2.
    Class: derived
    """
    proved(check, found(ff.SignFA, 2, 3, 4, 5, activation="piecewise"))
    law, sol = sign_changes(check)
    broken = ("signs of the start", [with_signs_of_the_start(sol)], sol)
    caption = "Drift of the first layer's neurons' laws through changes of sign, linear 4-8-6-3."
    show(check, [("signs of each time", [law], sol)], broken, caption)


def control_sign_changes_signs_of_the_start(check):
    """The signs as they were at the start, in place of absolute values."""
    sign_changes(check, now=False)


def signs_held(check, held=True):
    """held: whether to look where no sign changes, or where one does."""
    matrix = next(law for law in found(ff.SignFA, 3) if not law.unknowns)
    runs, moved = flows(check, ff.SignFA, sizes=SIGNED), []
    for sol in runs:
        q = sol.measure(matrix)
        over = np.max(np.abs(np.diff(q, axis=0)), axis=(1, 2))
        moved.append(np.max(over[changes_of_sign(sol) != held]))
    on = f"intervals of 0.05, 4-8-6-3, linear, t ≤ 1, seeds 0-{len(runs) - 1}"
    check.at_most("change of the matrix law", check.worst(moved), DRIFT, fall=1e-2, on=on)
    return matrix, runs[0]


def claim_signs_held(check):
    r"""Linear networks with sign feedback keep a matrix, but only while the signs last.

    $$ W_iW_i^\top - S^\top W_{i+1} - (S^\top W_{i+1})^\top,
       \qquad S = \operatorname{sign}W_{i+1} $$

    With $S$ held it is feedback alignment's law.  Where $W_{bj}$ changes its sign row $j$ of
    $S^\top W_{i+1}$ jumps by $2W_{bk}$ at every $k \ne j$, and not at all on the diagonal.  Proved
    for every size of 2 to 5 layers while signs last; seen between the changes along flows.

    Assumes: linear layers, no weight decay, no change of sign of a weight in W_{i+1}.
    Source: derived in this project.
    Class: derived
    """
    proved(check, [law for law in found(ff.SignFA, 2, 3, 4, 5) if not law.unknowns])
    matrix, sol = signs_held(check)
    fig, ax = panels()
    j = int(np.argmax(np.any(np.sign(sol.w[1]) != np.sign(sol.w[1][0]), axis=(0, 1))))
    for i, entry in enumerate(sol.measure(matrix)[:, j].T):
        ax.plot(sol.ts, entry - entry[0], "C0" if i == j else "C3", lw=2.5 if i == j else 1)
    for t in sol.ts[1:][changes_of_sign(sol)]:
        ax.axvline(t, color="0.8", lw=1, zorder=0)
    ax.plot([], [], "C0", label="on the diagonal")
    ax.plot([], [], "C3", label="off the diagonal")
    ax.plot([], [], color="0.8", label="a sign has changed")
    ax.set(xlabel=TIME, ylabel="entries of the matrix − their start")
    ax.legend(fontsize=8)
    check.figure(fig, "A row of the matrix, of a neuron with a change of sign, linear 4-8-6-3.")


def control_signs_held_where_one_changes(check):
    """The intervals in which a weight changes its sign."""
    signs_held(check, held=False)


# Kolen-Pollack learning


class OneSided(ff.KolenPollack):
    """Kolen-Pollack learning whose feedback moves at half the pace."""

    def velocity(self, task, w):
        moved = super().velocity(task, w)
        return (*self.weights(moved), *(V / 2 for V in moved[len(w) // 2 + 1 :]))


def mirrored(rule, w, k=0, sign=1):
    """W_iW_iᵀ - B_{i+1}B_{i+1}ᵀ, or with the other sign."""
    B = w[len(w) // 2 + 1 + k]
    return w[k] @ w[k].T - sign * (B @ B.T)


def mirrors(check, kind=ff.KolenPollack, sign=1, ratio=1):
    """ratio: of the weight decays of neighbouring layers."""
    decay = tuple(0.25 * ratio**k for k in range(3))
    for k in (0, 1):
        law = partial(mirrored, k=k, sign=sign)
        falling = lambda rule, w, law=law: -law(rule, w) / 2
        verdict = ff.prove(law, kind(decay=decay), depth=3, rate=falling)
        check.proved(verdict, on=f"three layers, hidden layer {k + 1}")
    kept = [Grown(partial(mirrored, k=k, sign=sign), 0.5) for k in (0, 1)]
    runs = flows(check, kind, decay=decay)
    drifts(check, "drift of e^{2λt} times the law", kept, runs, "4-6-5-3, linear, decay λ = ¼")
    return kept, runs[0]


def claim_mirrors(check):
    r"""In Kolen-Pollack learning the feedback keeps the balance that the weights keep in GD.

    $$ e^{2\lambda t}\left(W_iW_i^\top - B_{i+1}B_{i+1}^\top\right) $$

    is kept on linear networks with the same weight decay $\lambda$ of all layers and of the
    feedback.  $B_{i+1}$ moves by $a_i\delta_{i+1}^\top$, as $W_{i+1}^\top$ does.  With
    $e^{\lambda t}(W_{i+1} - B_{i+1}^\top)$, which is kept at any activation, it makes up the matrix
    $W_iW_i^\top + W_{i+1}^\top W_{i+1} - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top$.  Proved for every
    size of three layers at λ = ¼, all laws among words of two letters as well; seen along flows.

    Assumes: linear layers, the same decay everywhere.
    Source: derived in this project; the difference in Akrout et al. (2019), recalled.
    Class: derived
    """
    proved(check, found(ff.KolenPollack(decay=0.25), 2, 3, 4))
    kept, sol = mirrors(check)
    wrong = [Grown(partial(mirrored, k=k, sign=-1), 0.5) for k in (0, 1)]
    caption = "Largest drift over both hidden layers, linear 4-6-5-3, decay ¼."
    show(check, [("WᵢWᵢᵀ − BBᵀ", kept, sol)], ("WᵢWᵢᵀ + BBᵀ", wrong, sol), caption)


def control_mirrors_half_the_pace(check):
    """The feedback moves at half the pace of the weights."""
    mirrors(check, OneSided)


def control_mirrors_sum(check):
    """The sum of the two in place of their difference: a wrong law."""
    mirrors(check, sign=-1)


def control_mirrors_doubled_decay(check):
    """Each layer decays twice as fast as the one below."""
    mirrors(check, ratio=2)


# Weight decay


MATCHED = {ff.FA: (2, laws.feedback_balance), ff.GD: (1, laws.balance)}
"""Of each rule the ratio of the decays of neighbouring layers, and the law that is kept then."""


def matched_decays(check, ratios=None):
    """ratios: in place of those matched to the rules."""
    for kind, (ratio, square) in MATCHED.items():
        ratio = ratios[kind] if ratios else ratio
        decay = tuple(0.125 * ratio**k for k in range(3))
        kept = [Grown(partial(square, k=k), 2 * decay[k]) for k in (0, 1)]
        for k, law in enumerate(kept):
            falling = lambda rule, w, law=law: -law.growth * law(rule, w)
            verdict = ff.prove(law, kind(decay=decay), depth=3, rate=falling)
            check.proved(verdict, on=f"{kind.__name__}, hidden layer {k + 1}")
        runs = flows(check, kind, decay=decay)
        name = f"drift of e^{{2λt}} times {kind.__name__}'s law"
        drifts(check, name, kept, runs, "linear 4-6-5-3")
    return kept, runs[0]


def claim_matched_decays(check):
    r"""FA's matrices outlast weight decay that doubles from layer to layer, GD's one that is equal.

    $$ e^{2\lambda_it}\left(W_iW_i^\top - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top\right)
       \text{ if } \lambda_{i+1} = 2\lambda_i, \qquad
       e^{2\lambda_it}\left(W_iW_i^\top - W_{i+1}^\top W_{i+1}\right)
       \text{ if } \lambda_{i+1} = \lambda_i $$

    The first is linear in $W_{i+1}$, the second quadratic.  Proved for every size of three layers;
    seen along flows with decays ⅛, ¼, ½ and ⅛, ⅛, ⅛.

    Assumes: linear layers.
    Source: derived in this project.
    Class: derived
    """
    kept, sol = matched_decays(check)
    other = flow(ff.GD, 0, decay=(0.125, 0.25, 0.5))
    caption = "Largest drift of e^{2λt} times GD's law over both hidden layers, linear 4-6-5-3."
    show(check, [("decays ⅛, ⅛, ⅛", kept, sol)], ("decays ⅛, ¼, ½", kept, other), caption)


def control_matched_decays_exchanged(check):
    """FA with the same decay everywhere, gradient descent with doubling ones."""
    matched_decays(check, {ff.FA: 1, ff.GD: 2})


# Momentum


def turned(rule, w, k=0, sign=1):
    """W_iV_iᵀ + B_{i+1}V_{i+1} less its transpose, or with the other sign of the feedback."""
    V = w[len(w) // 2 :]
    made = w[k] @ V[k].T + sign * (rule.B[k] @ V[k + 1])
    return made - made.T


FRICTION = 2


def momentum(check, of=ff.FA, kept=None, phi="linear", friction=FRICTION):
    runs = flows(check, ff.HeavyBall, of=of, friction=friction, phi=phi)
    kept = kept or found(ff.HeavyBall(of=ff.FA(), friction=FRICTION), 3)
    drifts(check, "drift of a law times its e^{μt}", kept, runs, "4-6-5-3")
    return kept, runs[0]


def claim_momentum(check):
    r"""With momentum, $\ddot W = -\mu\dot W + {}$ FA, a linear network keeps angular momenta.

    $$ e^{\mu t}\left(W_iV_i^\top - V_iW_i^\top + B_{i+1}V_{i+1} - (B_{i+1}V_{i+1})^\top\right),
       \qquad e^{\mu t}N_i^\top V_i, \qquad N_i^\top(V_i + \mu W_i) $$

    for each hidden layer, $V = \dot W$ and $N_i$ the left null space of $B_{i+1}\cdots B_L$.
    Proved for every size, 2 to 4 layers, at μ = 2, as all laws among words of two letters; seen
    along flows.

    Assumes: linear layers; heavy-ball momentum with friction μ, no weight decay.
    Source: derived in this project.
    Class: derived
    """
    rule = ff.HeavyBall(of=ff.FA(), friction=FRICTION)
    proved(check, found(rule, 2, 3, 4))
    for k in (0, 1):
        falling = lambda rule, w, k=k: -FRICTION * turned(rule, w, k)
        verdict = ff.prove(turned, rule, depth=3, k=k, rate=falling)
        check.proved(verdict, on=f"as typed above, hidden layer {k + 1}")
    kept, sol = momentum(check)
    wrong = [Grown(partial(turned, sign=-1), FRICTION)]
    caption = "Largest drift over the laws, linear 4-6-5-3, friction 2."
    broken = ("the feedback with the other sign", wrong, sol)
    show(check, [("the laws", kept, sol)], broken, caption)


def control_momentum_other_sign(check):
    """The feedback's term with the other sign: a wrong law, to show that the measurement tells."""
    momentum(check, kept=[Grown(partial(turned, k=k, sign=-1), FRICTION) for k in (0, 1)])


def control_momentum_half_the_friction(check):
    """Friction 1 in the flow, 2 in the laws."""
    momentum(check, friction=1)


def control_momentum_gradient_descent(check):
    """The error returns through the transposed weights."""
    momentum(check, of=GradientInstead)


def control_momentum_tanh(check):
    """Hidden units with tanh."""
    momentum(check, phi="tanh")


# Discrete steps

STEPS = 64  # a unit of time, so that a step of 1/64 is exact in floats and in fractions


class InTurn(ff.FA):
    """Feedback alignment whose layers step one after another, from the input up."""

    def __call__(self, task, w):
        moved = list(w)
        for k in range(len(w)):
            moved[k] = moved[k] + super().__call__(task, moved)[k] / STEPS
        return tuple(STEPS * (after - W) for after, W in zip(moved, w, strict=True))


def exact_gaps(kind, phi, seed):
    """Entries of H(w + ηv) - H(w) - η²vvᵀ at a state of fractions."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rational(shape, rng)
    task = ff.Task(draw(SIZES[0], 3), draw(SIZES[-1], 3), phi)
    rule = kind(tuple(draw(*s) for s in ff.FA.shapes(SIZES)))
    w = tuple(draw(*s) for s in rule.state(SIZES).values())
    v = [V / STEPS for V in rule(task, w)]
    after = tuple(W + V for W, V in zip(w, v, strict=True))
    law = laws.feedback_balance
    return [law(rule, after, k) - law(rule, w, k) - v[k] @ v[k].T for k in (0, 1)]


def euler_steps(check, kind=ff.FA, phi="linear"):
    seeds = range(check.tier(quick=3, full=20))
    gaps = [np.max(np.abs(gap)) for seed in seeds for gap in exact_gaps(kind, phi, seed)]
    on = f"4-6-5-3 of fractions, 3 samples, steps of 1/64, seeds 0-{len(seeds) - 1}"
    check.at_most("|H(w + ηv) - H(w) - η²vvᵀ|, exactly", check.worst(gaps), 0, fall=1e-2, on=on)
    least, made = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        task = ff.Task(rng.standard_normal((4, 12)) / 4, rng.standard_normal((3, 12)), phi)
        rule = kind(ff.FA.random(SIZES, scale=0.5, seed=seed).B)
        run = ff.iterate(rule, task, ff.init(SIZES, seed=seed), eta=1 / STEPS, steps=200)
        for k in (0, 1):
            q = run.measure(laws.feedback_balance, k=k)
            least.append(np.min(np.linalg.eigvalsh(np.diff(q, axis=0))))
            made.append(np.linalg.eigvalsh(q - q[0]))
    on = f"200 steps of 1/64, 4-6-5-3, seeds 0-{len(seeds) - 1}"
    name, value = "least eigenvalue of a step of H", check.worst(least, small=False)
    check.at_least(name, value, -1e-14, fall=-1e-6, on=on)
    return run.ts, made[0]


def claim_euler_steps(check):
    r"""A discrete step of linear FA adds a positive semidefinite matrix to each law.

    $$ H_i \leftarrow H_i + \eta^2v_iv_i^\top,
       \qquad H_i = W_iW_i^\top - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top $$

    where $\eta v_i$ is the step of $W_i$: what is linear in the step cancels, as it does in the
    flow, and $H_i$ is linear in $W_{i+1}$.  So the drift grows in the Loewner order, for any step
    sizes, data and loss.  That the linear part vanishes is proved for every size of 2 to 4 layers;
    the whole is seen without rounding in fractions, and the order along iterations.

    Assumes: linear layers; all layers step together; no weight decay.
    Source: derived in this project.
    Class: derived
    """
    for depth in (2, 3, 4):
        for k in range(depth - 1):
            check.proved(ff.prove(laws.feedback_balance, ff.FA, depth=depth, k=k))
    fig, axes = panels(2)
    for ax, kind, color, title in (
        (axes[0], ff.FA, "C0", "feedback alignment"),
        (axes[1], InTurn, "C3", "control: layers step in turn"),
    ):
        ts, eigenvalues = euler_steps(check if kind is ff.FA else type(check)(), kind)
        ax.plot(ts, eigenvalues, color, lw=1)
        ax.axhline(0, color="k", ls="--", lw=1)
        ax.set(xlabel=TIME, ylabel="eigenvalues of H₁ − H₁(0)", title=title)
        ax.set_yscale("symlog", linthresh=1e-6)
    check.figure(fig, "The eigenvalues of the drift of the first layer's law, η = 1/64, 4-6-5-3.")


def control_euler_steps_gradient_descent(check):
    """The error returns through the transposed weights."""
    euler_steps(check, GradientInstead)


def control_euler_steps_layers_in_turn(check):
    """The layers step one after another, each with what those below have become."""
    euler_steps(check, InTurn)


def control_euler_steps_relu(check):
    """Hidden units with ReLU, which keep the diagonal alone."""
    euler_steps(check, phi="relu")


# How many laws there are


@cache
def certified(kind, n, activation="linear", bias=False, **options):
    """With generic feedback; `n` are the layers' widths, input first."""
    # with seed 0 the signs drawn for 2-3-2-2 are singular, and singular feedback has more laws
    return ff.certify(kind(**options), n, activation=activation, bias=bias, seed=1)


def networks(*ranges):
    """All networks of so many layers of units, each up to a width: (layers, widest), …."""
    up_to = lambda widest, layers: itertools.product(range(1, widest + 1), repeat=layers)
    return [n for layers, widest in ranges for n in up_to(widest, layers)]


def shapes(check):
    """The networks to count in: in the full tier up to 5 x 5 x 5, 4 x 4 x 4 x 4 and 3 x … x 3."""
    return networks(*check.tier(quick=((3, 3), (4, 2)), full=((3, 5), (4, 4), (5, 3))))


def show_counts(check, cases, broken, label, caption):
    """The counts said against those certified, and other counts said."""
    fig, ax = panels(size=(4.6, 4.2))
    for seen, style, name in ((cases, "C0o", "the formula"), (broken, "C3x", f"control: {label}")):
        ax.plot([c.at_most for c, _ in seen], [n for _, n in seen], style, ms=5, label=name)
    reach = np.array([0, max(n for _, n in (*cases, *broken))])
    ax.plot(reach, reach, "k--", lw=1, label="equal")
    ax.set(xlabel="laws at most, certified", ylabel="laws by the formula")
    ax.legend(fontsize=8)
    check.figure(fig, caption)


def every(n):
    return True


def none(n):
    return 0


def hidden(n):
    return sum(n[1:-1])


def crossed(n):
    """Entries of the weights above the first layer."""
    return sum(below * above for below, above in itertools.pairwise(n[1:]))


def pairs(k):
    """Entries above the diagonal of a k x k matrix."""
    return k * (k - 1) // 2


def carried(n):
    """Rank of what carries the error to each layer: the least width from there to the output."""
    return [min(n[i:]) for i in range(len(n))]


def null_count(n):
    """Entries of all N_iᵀW_i."""
    c = carried(n)
    return sum((n[i] - c[i]) * n[i - 1] for i in range(1, len(n) - 1))


def feedback_count(n):
    c = carried(n)
    return null_count(n) + sum(n[i] * c[i] - pairs(c[i]) for i in range(1, len(n) - 1))


def matrices_count(n):
    """Entries of the symmetric matrices alone."""
    return sum(k * (k + 1) // 2 for k in n[1:-1])


def count_feedback(check, count=feedback_count, made=None, where=every):
    """made: certificates of networks in place of the plain ones.  where: of which networks."""
    made = made or partial(certified, ff.FA)
    cases = [(made(n), count(n)) for n in shapes(check) if where(n)]
    check.certified(cases, "FA, linear")
    return cases


def claim_count_feedback(check):
    r"""Linear FA with generic feedback has exactly so many independent laws, and no others.

    $$ \sum_{i<L}(n_i - c_i)n_{i-1} + \sum_{i<L}\left[n_ic_i - \tfrac12c_i(c_i - 1)\right],
       \qquad c_i = \min(n_i, \dots, n_L) $$

    $c_i$ is the rank of $B_{i+1}\cdots B_L$.  The first sum counts $N_i^\top W_i$, the second
    $W_iW_i^\top - B_{i+1}W_{i+1} - (B_{i+1}W_{i+1})^\top$ without its part between null vectors,
    which follows from the first.  For each shape two ranks modulo a prime, of the laws' derivatives
    and of the brackets of the velocities, add up to the number of weights, which proves the count
    there: no laws of any other form, near a generic point and for all data.

    Assumes: linear layers; generic feedback; laws for all data and losses.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.FA, 2, 3, 4))
    cases = count_feedback(check)
    broken = [(c, matrices_count(c.sizes)) for c, _ in cases]
    caption = "Laws of linear FA, each shape of the sweep a point."
    show_counts(check, cases, broken, "matrices alone", caption)


def control_count_feedback_matrices_alone(check):
    """A count without null spaces, of the shapes where it is another."""
    other = lambda n: matrices_count(n) != feedback_count(n)
    count_feedback(check, matrices_count, where=other)


def control_count_feedback_null_spaces_not_listed(check):
    """Only the matrices are listed: bounds that do not meet, where null spaces are wide enough."""
    made = lambda n: ff.certify(ff.FA, n, each_layer(laws.feedback_balance, range(len(n) - 2)))
    count_feedback(check, made=made, where=lambda n: len(n) == 3 and n[0] >= n[1] > n[2])


def control_count_feedback_rank_one(check):
    """Feedback of rank one, which lets more stand still, with inputs enough to see it."""
    ramp = lambda shape: np.outer(*(np.arange(1, k + 1) for k in shape))
    made = lambda n: ff.certify(ff.FA(tuple(map(ramp, ff.FA.shapes(n)))), n)
    count_feedback(check, made=made, where=lambda n: min(n[1:]) > 1 and n[0] >= n[1])


def of_rank(n, rank):
    """Feedback of a rank below the full one, in small integers."""
    rng = np.random.default_rng([*n, rank])
    B = rng.integers(-3, 4, (n[1], rank)) @ rng.integers(-3, 4, (rank, n[2]))
    return B if np.linalg.matrix_rank(B) == rank else of_rank((*n, 0), rank)


def deficient_count(n, rank, narrow=True):
    idle = max(n[1] - rank - n[0], 0) * narrow
    return (n[1] - rank) * n[0] + n[1] * rank - pairs(rank) + (n[2] - rank) * idle


def count_deficient(check, count=deficient_count, where=every, kept=None):
    """where: of which (n₀, n₁, n₂, ρ).  kept: the laws to count, as a rule's words say them."""
    least = check.tier(quick=((1, 2), 3, 2), full=((1, 2), 4, 3))
    cases = []
    for n in itertools.product(least[0], range(1, least[1] + 1), range(1, least[2] + 1)):
        for rank in range(min(n[1:])):
            if where((*n, rank)):
                cases.append((ff.certify(ff.FA((of_rank(n, rank),)), n, kept), count(n, rank)))
    check.certified(cases, "FA, linear, feedback of less than full rank")
    return cases


def claim_count_deficient(check):
    r"""With feedback of rank $\rho$ linear FA of two layers has exactly so many independent laws.

    $$ (n_1 - \rho)n_0 + n_1\rho - \tfrac12\rho(\rho - 1)
       + (n_2 - \rho)\max(n_1 - \rho - n_0, 0) $$

    The first terms are those of generic feedback, for the rank there is.  The last counts
    $W_2Nm$ with $m^\top N^\top W_1 = 0$, $N^\top B = 0$: what neither the input reaches nor the
    error, so that $W_2Nm$ moves by $Ex^\top W_1^\top Nm = 0$; $BW_2Nm$ follows from the matrix law.
    It is there where the hidden layer is wider than input and rank together, and its laws are
    minors of $(N^\top W_1, N^\top W_2^\top)$, which a search at these sizes finds.

    Assumes: linear layers, two of them; generic feedback of its rank; laws for all data and losses.
    Source: derived in this project.
    Class: derived
    """
    cases = count_deficient(check)
    rank = lambda c: np.linalg.matrix_rank(c.rule.B[0].astype(float))
    broken = [(c, deficient_count(c.sizes, rank(c), narrow=False)) for c, _ in cases]
    broken = [(c, n) for (c, n), (_, count) in zip(broken, cases, strict=True) if n != count]
    caption = "Laws of linear FA with feedback of less than full rank, each network a point."
    show_counts(check, cases, broken, "idle units left out", caption)


def control_count_deficient_idle_units_left_out(check):
    """Without the last term, where it counts."""
    wide = lambda case: case[1] - case[3] > case[0]
    count_deficient(check, partial(deficient_count, narrow=False), wide)


def control_count_deficient_words_alone(check):
    """Only laws that words can say, where there are others: bounds that do not meet."""
    wide = lambda case: case[1] - case[3] > case[0] and case[2] > 1  # else a chain's local laws
    count_deficient(check, where=wide, kept=found(ff.FA, 2))


def direct_count(n, pairwise=True):
    """pairwise: whether neighbouring hidden layers share anything."""
    out, c = n[-1], [min(k, n[-1]) for k in n]
    total, last = 0, len(n) - 2
    for i in range(1, last + 1):
        shared = c[i] if i == last else max(0, c[i] + c[i + 1] - out) * pairwise
        total += (n[i] - c[i]) * n[i - 1] + (n[i] - c[i] + shared) * shared - pairs(shared)
    return total


def count_direct(check, count=direct_count):
    """In a control of the networks for which another number is said."""
    sizes = [n for n in shapes(check) if not check.control or count(n) != direct_count(n)]
    cases = [(certified(ff.DFA, n), count(n)) for n in sizes]
    check.certified(cases, "DFA, linear")
    return cases


def claim_count_direct(check):
    r"""Linear DFA with generic feedback has exactly so many independent laws, and no others.

    $$ \sum_{i<L}(n_i - c_i)n_{i-1}
       + \sum_{i<L}\left[(n_i - c_i + k_i)k_i - \tfrac12k_i(k_i - 1)\right], \qquad
       c_i = \min(n_i, n_L), \quad k_{L-1} = c_{L-1}, $$

    and $k_i = \max(0, c_i + c_{i+1} - n_L)$ below, the dimension of what the row spaces of $B_i$
    and $B_{i+1}$ share.  Certified shape by shape, as for FA.

    Assumes: linear layers; generic feedback; laws for all data and losses.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.DFA, 2, 3, 4))
    cases = count_direct(check)
    broken = [(c, direct_count(c.sizes, pairwise=False)) for c, _ in cases]
    caption = "Laws of linear DFA, each shape of the sweep a point."
    show_counts(check, cases, broken, "last matrix alone", caption)


def control_count_direct_as_feedback(check):
    """FA's count, where it is another."""
    count_direct(check, feedback_count)


def control_count_direct_last_matrix_alone(check):
    """No pairs of neighbouring hidden layers, where there are any."""
    count_direct(check, partial(direct_count, pairwise=False))


PIECEWISE = {
    ff.GD: hidden,
    ff.FA: hidden,
    ff.SignFA: hidden,
    ff.DFA: lambda n: n[-2],
    ff.KolenPollack: lambda n: hidden(n) + crossed(n),
}


def count_piecewise(check, counts=None, activation="relu", where=every):
    """counts: {rule: count}, in place of those of all rules.  where: of which networks."""
    sizes = networks(*check.tier(quick=((3, 2), (4, 2)), full=((3, 4), (4, 2), (5, 2))))
    counts, cases = counts or PIECEWISE, []
    for kind, bias in itertools.product(counts, (False, True)):
        made = partial(certified, kind, activation=activation, bias=bias)
        cases += [(made(n), counts[kind](n)) for n in sizes if where(n)]
    names = ", ".join(kind.__name__ for kind in counts)
    check.certified(cases, f"{names}, {activation}, with and without biases")
    return cases


def claim_count_piecewise(check):
    r"""A ReLU network has one law a hidden neuron under GD, FA and sign feedback, and no others.

    DFA has only those of the last hidden layer, $n_{L-1}$, whatever its depth; Kolen-Pollack
    learning one a hidden neuron and the entries of $W_{i+1} - B_{i+1}^\top$.  With biases as many.
    Certified shape by shape.

    Assumes: laws for all data, losses and patterns of active units; generic feedback, for sign
    feedback signs that last.
    Source: GD in Marcotte et al. (2023), recalled; the others derived in this project.
    Class: derived
    """
    for kind in PIECEWISE:
        proved(check, found(kind, 2, 3, activation="relu", bias=True))
    cases = count_piecewise(check)
    deep = [(c, hidden(c.sizes)) for c, _ in cases if isinstance(c.rule, ff.DFA)]
    caption = "Laws of ReLU networks, five rules, each shape of the sweep a point."
    show_counts(check, cases, deep, "one a hidden neuron under DFA", caption)


def control_count_piecewise_all_layers_of_direct_feedback(check):
    """One law a hidden neuron of every layer under DFA."""
    count_piecewise(check, {ff.DFA: hidden}, where=lambda n: len(n) > 3)


def control_count_piecewise_linear(check):
    """FA and gradient descent in linear networks, hidden layers of two units or more."""
    both = {ff.FA: hidden, ff.GD: hidden}
    count_piecewise(check, both, "linear", where=lambda n: min(n[1:-1]) > 1)


def gradient_count(n, bias=False):
    """Of two layers; a bias is one more input."""
    inputs, width, outputs = n
    rank = min(width, inputs + bias + outputs)
    return rank * width - pairs(rank)


def count_gradient(check, count=gradient_count, kept=None, where=every):
    """kept: laws to list in place of those found.  where: of which networks."""
    sizes = [n for n in networks((3, check.tier(quick=4, full=6))) if where(n)]
    make = certified if kept is None else partial(ff.certify, laws=kept)
    both = itertools.product(sizes, (False, True))
    cases = [(make(ff.GD, n, bias=bias), count(n, bias)) for n, bias in both]
    check.certified(cases, "GD, two linear layers, with and without biases")
    return cases


def full_rank_count(n, bias=False):
    """Entries of the symmetric matrix."""
    return n[1] * (n[1] + 1) // 2


def claim_count_gradient(check):
    r"""Gradient descent on two linear layers has exactly so many independent laws.

    $$ rn_1 - \tfrac12r(r - 1), \qquad r = \min(n_1, n_0 + n_2) $$

    for the balance $W_1W_1^\top - W_2^\top W_2$, whose rank is $r$ at most.  A bias counts as one
    more input.  Certified shape by shape.

    Assumes: linear layers; laws for all data and losses.
    Source: Marcotte et al. (2023), proposition 4.2, recalled; biases derived in this project.
    Class: recalled
    """
    proved(check, found(ff.GD, 2, bias=True))
    cases = count_gradient(check)
    broken = [(c, full_rank_count(c.sizes)) for c, _ in cases]
    caption = "Laws of gradient descent on two linear layers, each shape of the sweep a point."
    show_counts(check, cases, broken, "all entries of the matrix", caption)


def control_count_gradient_all_entries(check):
    """All entries of the matrix, with more hidden units than inputs and outputs."""
    count_gradient(check, full_rank_count, where=lambda n: n[1] > n[0] + n[2] + 1)


def control_count_gradient_neurons_alone(check):
    """Only the diagonal of the balance is listed: bounds that do not meet.

    Without chains of width one, whose local laws would make up for what is not listed.
    """
    where = lambda n: n[1] > 1 and (n[0], n[2]) != (1, 1)
    count_gradient(check, kept=[laws.neuron_balance], where=where)


def count_biases(check, more=hidden):
    """more: how many laws there are besides those without biases."""
    sizes = networks(*check.tier(quick=((3, 3), (4, 2)), full=((3, 4), (4, 3), (5, 2))))
    cases = [
        (certified(kind, n, bias=True), certified(kind, n).law_rank + more(n))
        for kind, n in itertools.product((ff.FA, ff.DFA), sizes)
    ]
    check.certified(cases, "FA and DFA, linear, with biases")
    return cases


def claim_count_biases(check):
    r"""With biases linear FA and DFA have one law more for each hidden neuron, and no others.

    $b_i - B_{i+1}b_{i+1}$, or $b_i - B_ib_L$.  Certified shape by shape against the count without.

    Assumes: linear layers; generic feedback; laws for all data and losses.
    Source: derived in this project.
    Class: derived
    """
    for kind in (ff.FA, ff.DFA):
        proved(check, found(kind, 2, 3, bias=True))
    cases = count_biases(check)
    broken = [(c, n - hidden(c.sizes)) for c, n in cases]
    caption = "Laws of linear FA and DFA with biases, each shape of the sweep a point."
    show_counts(check, cases, broken, "as many as without biases", caption)


def control_count_biases_none(check):
    """As many as without biases."""
    count_biases(check, more=none)


def count_mirrors(check, more=crossed):
    """more: how many laws there are besides those of gradient descent."""
    sizes = networks(*check.tier(quick=((3, 3), (4, 2)), full=((3, 4), (4, 3), (5, 2))))
    cases = [
        (certified(ff.KolenPollack, n), certified(ff.GD, n).law_rank + more(n))
        for n in sizes
        if not chained(n)
    ]
    check.certified(cases, "Kolen-Pollack learning against GD, linear")
    return cases


def claim_count_mirrors(check):
    r"""Linear Kolen-Pollack learning has the laws of gradient descent and $W_{i+1} - B_{i+1}^\top$.

    As many in all as gradient descent has and entries of $B$.  Certified shape by shape, where
    the laws listed for gradient descent are all it has.

    Assumes: linear layers; no two layers of width one around two or more wider ones; laws for all
    data and losses.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.KolenPollack, 2, 3, 4))
    cases = count_mirrors(check)
    broken = [(c, n - crossed(c.sizes)) for c, n in cases]
    caption = "Laws of linear Kolen-Pollack learning, each shape of the sweep a point."
    show_counts(check, cases, broken, "those of gradient descent", caption)


def control_count_mirrors_without_the_difference(check):
    """As many as gradient descent has."""
    count_mirrors(check, more=none)


# What gradient descent has besides


def chained(n, apart=3, ends=True):
    """Whether two layers of width one enclose at least two hidden layers, all of them wider."""
    inner = n if ends else (2, *n[1:-1], 2)
    ones = [i for i, width in enumerate(inner) if width == 1]
    return any(b - a >= apart for a, b in itertools.pairwise(ones))


def chains(check, kinds=(ff.GD, ff.KolenPollack), activation="linear", **said):
    """said: of `chained`."""
    sizes = networks(*check.tier(quick=((4, 3), (5, 2)), full=((4, 4), (5, 3))))
    names, expected = (
        " and ".join(k.__name__ for k in kinds),
        {n for n in sizes if chained(n, **said)},
    )
    on = f"{names}, {activation}, {len(sizes)} networks of 4 and 5 layers of units"
    made = [[certified(kind, n, activation) for n in sizes] for kind in kinds]
    wrong = [len({c.sizes for c in own if not c.complete} ^ expected) for own in made]
    name = "networks whose laws listed are not all, other than said"
    check.at_most(name, check.worst(wrong), 0, fall=1, on=on)
    if not check.control:
        apart = [c.sizes for own in made for c in own if c.count != c.at_most]
        on += ", with the local laws of chains: a proof of each count, so no control"
        check.at_most("networks whose bounds do not meet", len(apart), 0, fall=1, on=on)
    return made[0]


def beyond_polynomials(check, kind=ff.GD, degree=4):
    """One law of 1-2-2-1 is no function of polynomials that are kept."""
    n = (1, 2, 2, 1)
    polynomials = ff.discover(kind, n, degree=degree, feedback="numeric").independent
    extra = certified(kind, n).count - polynomials
    on = f"{kind.__name__}, 1-2-2-1, all polynomials of degree at most {degree}"
    check.equal("laws that are no functions of polynomials", extra, 1, tol=0, fall=1, on=on)


def claim_chains(check):
    r"""Between two layers of width one linear gradient descent has local laws besides its balances.

    Exactly where they enclose at least two hidden layers, all of them wider; input and output
    count.  With four layers of units these are 1-a-b-1, with five 1-a-b-c-1, 1-a-b-1-x and
    x-1-a-b-1, where a, b, c ≥ 2: 9 of all networks up to widths of 4, and 32 up to widths of 3.  In
    all others the balances are proved to be all.  The weights between layers $a$ and $b$ move along
    a single field times a number,

    $$ \dot W_i = \alpha\beta\,(W_b\cdots W_{i+1})^\top(W_{i-1}\cdots W_{a+1})^\top, $$

    so that they keep one law fewer than they are, locally; with these the bounds meet everywhere.
    1-2-2-1 has 7 laws, of which 6 are balances, and the seventh is no function of polynomial laws
    of degree at most 4, in the full tier 8.  Kolen-Pollack learning has the same exceptions.

    Assumes: linear layers; laws for all data and losses.
    Source: derived in this project; widths of 2 and more in Marcotte et al. (2023), recalled.
    Class: derived
    """
    for kind in (ff.GD, ff.KolenPollack):
        proved(check, found(kind, 3, 4))
    made = chains(check)
    beyond_polynomials(check, degree=check.tier(quick=4, full=8))
    fig, ax = panels(size=(4.6, 4.2))
    for chosen, style, label in (
        ([c for c in made if c.complete], "C0o", "other shapes"),
        ([c for c in made if not c.complete], "C3o", "shapes with such a chain"),
    ):
        ax.plot([c.at_most for c in chosen], [c.law_rank for c in chosen], style, ms=5, label=label)
    ax.axline((0, 0), slope=1, color="k", ls="--", lw=1, label="equal")
    ax.set(xlabel="laws, certified", ylabel="balances among them")
    ax.legend(fontsize=8)
    check.figure(fig, "How many of gradient descent's laws are balances, each shape a point.")


def control_chains_one_hidden_layer(check):
    """One hidden layer between layers of width one said to be enough."""
    chains(check, apart=2)


def control_chains_ends_left_out(check):
    """Input and output said not to count."""
    chains(check, ends=False)


def control_chains_relu(check):
    """ReLU networks, of which all laws are listed at any widths."""
    chains(check, kinds=(ff.GD,), activation="relu")


def control_chains_feedback_alignment(check):
    """FA, whose polynomial laws are all it has."""
    chains(check, kinds=(ff.FA,))
    beyond_polynomials(check, ff.FA)


# Counts with weight decay


def matched(ratio):
    """One law for each neuron of a layer above which the decay is `ratio` times that below."""
    return lambda n, decay: sum(
        n[i] for i in range(1, len(n) - 1) if decay[i] == ratio * decay[i - 1]
    )


DECAYS = ((1, 1, 1), (1, 2, 4), (1, 1, 3), (1, 3, 3), (1, 2, 5), (1, 3, 6), (1, 3, 7))
RATIOS = {ff.FA: 2, ff.GD: 1}


def count_decays(check, ratios=None, decays=DECAYS):
    """ratios: in place of those of the rules."""
    cases, sizes = [], networks(check.tier(quick=(4, 2), full=(4, 3)))
    for kind, ratio in (ratios or RATIOS).items():
        for decay, n in itertools.product(decays, sizes):
            cases.append((certified(kind, n, "relu", decay=decay), matched(ratio)(n, decay)))
    check.certified(cases, "FA and GD with decay, three layers, ReLU")
    return cases


def ends_balance(rule, w):
    """|W₁|² - |W₃|²."""
    return laws.layer_balance(rule, w, 0) + laws.layer_balance(rule, w, 1)


def claim_count_decays(check):
    r"""Under weight decay a ReLU network keeps the neurons' laws of matched layers, and no others.

    FA those of layer $i$ if $\lambda_{i+1} = 2\lambda_i$, gradient descent if
    $\lambda_{i+1} = \lambda_i$, with a factor $e^{2\lambda_it}$; the laws counted may depend on
    time.  So decay that is the same everywhere leaves FA none.  Layers of gradient descent that are
    no neighbours but decay alike keep $\|W_i\|^2 - \|W_j\|^2$ in all: decays 2, 1, 2 leave this one
    law.  Certified for networks of three layers, seven triples of decays.

    Assumes: laws for all data, losses and patterns of active units; generic feedback.
    Source: derived in this project.
    Class: derived
    """
    cases = count_decays(check)
    both = Grown(ends_balance, 4)
    falling = lambda rule, w: -4 * ends_balance(rule, w)
    rule = ff.GD(decay=(2, 1, 2))
    check.proved(ff.prove(ends_balance, rule, depth=3, activation="relu", rate=falling))
    alike = [(ff.certify(rule, n, [both], activation="relu"), 1) for n in networks((4, 2))]
    check.certified(alike, "GD with decays 2, 1, 2, three layers, ReLU")
    broken = [(c, matched(1)(c.sizes, c.rule.decay)) for c, _ in cases if isinstance(c.rule, ff.FA)]
    caption = "Laws of ReLU networks of three layers under decay, each shape and decay a point."
    show_counts(check, cases, broken, "FA counted as GD", caption)


def control_count_decays_exchanged(check):
    """FA counted as gradient descent, and the other way round, with decays matched to one."""
    count_decays(check, {ff.FA: 1, ff.GD: 2}, decays=((1, 1, 1), (1, 2, 4)))


def narrow(n):
    """Whether no hidden layer is wider than what it is told of from below and above together."""
    return all(n[i] <= n[i - 1] + carried(n)[i] for i in range(1, len(n) - 1))


def narrower(n):
    """Whether all hidden layers are narrower than their neighbours together."""
    return all(n[i] < n[i - 1] + n[i + 1] for i in range(1, len(n) - 1))


def doubling(n):
    return tuple(2**k for k in range(len(n) - 1))


UNMATCHED = (
    (ff.FA, lambda n: 1, narrow, null_count),
    (ff.GD, doubling, narrower, none),
)
LINEAR_DECAYS = (
    (ff.FA, doubling, every, feedback_count),
    (ff.GD, lambda n: 1, lambda n: not chained(n), lambda n: certified(ff.GD, n).law_rank),
    *UNMATCHED,
)
"""Rule, its decays in a network, in which networks, and how many laws."""


def count_linear_decays(check, cases=LINEAR_DECAYS, wide=False):
    """wide: the networks that are left out, in place of the others."""
    sizes = networks(*check.tier(quick=((3, 4), (4, 2)), full=((3, 5), (4, 3))))
    made = [
        (certified(kind, n, decay=decay(n)), count(n))
        for kind, decay, fits, count in cases
        for n in sizes
        if fits(n) != wide
    ]
    check.certified(made, "FA and GD with decay, linear")
    return made


def claim_count_linear_decays(check):
    r"""Matched decay keeps all laws of a linear network, other decays hardly any.

    Matched is $\lambda_{i+1} = 2\lambda_i$ for FA and $\lambda_{i+1} = \lambda_i$ for gradient
    descent: as many laws as without decay, which may depend on time.  FA with the same decay
    everywhere keeps $e^{\lambda t}N_i^\top W_i$ alone and gradient descent with doubling ones
    nothing, if no hidden layer is so wide that it keeps a volume:

    $$ n_i \le n_{i-1} + \min(n_i, \dots, n_L) \text{ for FA}, \qquad
       n_i < n_{i-1} + n_{i+1} \text{ for GD.} $$

    Assumes: linear layers; generic feedback; laws for all data and losses; these widths, and in
    matched gradient descent no two layers of width one around two or more wider ones.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.FA(decay=1), 2, 3))
    for depth in (2, 3):
        proved(check, found(ff.FA(decay=doubling(range(depth + 1))), depth))
        proved(check, found(ff.GD(decay=1), depth))
    cases = count_linear_decays(check)
    broken = count_linear_decays(type(check)(), UNMATCHED, wide=True)
    caption = "Laws of linear networks under decay, each shape of the sweep a point."
    show_counts(check, cases, broken, "wide layers", caption)


def control_count_linear_decays_wide_layers(check):
    """Unmatched decays, hidden layers so wide that they keep volumes besides."""
    count_linear_decays(check, UNMATCHED, wide=True)


# Volumes of wide layers

UNEQUAL = (0.125, 0.375, 0.25)


def volume(rule, w, k=0):
    """det [W_i, W_{i+1}ᵀ], of a hidden layer as wide as its neighbours together."""
    return np.linalg.det(np.hstack([w[k], outgoing(w, k).T]))


def feedback_volume(rule, w):
    """det [W₁, B₂, column of W₂ᵀ] for each, of a layer one wider than its neighbours together."""
    return np.linalg.det(np.array([np.hstack([w[0], rule.B[0], row[:, None]]) for row in w[1]]))


def volumes(check, phi="linear", below=1):
    """below: how often the decay of the incoming weights counts in the exponent."""
    first, second, third = UNEQUAL
    cases = (
        (ff.GD, (2, 5, 3), volume, below * 2 * first + 3 * second),
        (ff.GD, (2, 3, 5, 2), partial(volume, k=1), below * 3 * second + 2 * third),
        (ff.FA, (2, 5, 2), feedback_volume, below * 2 * first + second),
    )
    for kind, n, law, growth in cases:
        runs = flows(check, kind, sizes=n, decay=UNEQUAL[: len(n) - 1], phi=phi, scale=1.0)
        name = f"drift of {kind.__name__}'s volume, {dashed(n)}"
        drifts(check, name, [Grown(law, growth)], runs, phi)
    return Grown(law, growth), runs[0]


FEW = ((ff.GD, (1, 2, 1)), (ff.GD, (1, 3, 2)), (ff.FA, (1, 3, 1)))


def count_volumes(check, counts=(1, 1, 3)):
    cases = []
    for (kind, n), count in zip(FEW, counts, strict=True):
        rule = kind(decay=UNEQUAL[:2])
        kept = tuple(ff.discover(rule, n, degree=3))
        if not check.control:
            proved(check, kept)
        cases.append((ff.certify(rule, n, kept), count))
    check.certified(cases, "GD on 1-2-1 and 1-3-2, FA on 1-3-1, linear, decays ⅛ and ⅜")


def claim_volumes(check):
    r"""A wide layer of a linear network keeps a volume under any weight decay.

    $$ e^{(\lambda_in_{i-1} + \lambda_{i+1}n_{i+1})t}\det\left[W_i,\ W_{i+1}^\top\right]
       \text{ in GD}, \qquad
       e^{(\lambda_1n_0 + \lambda_2)t}\det\left[W_1,\ B_2,\ a\right]
       \text{ in FA of two layers,} $$

    with $n_i = n_{i-1} + n_{i+1}$ in the first, $n_1 = n_0 + n_2 + 1$ and $a$ any column of
    $W_2^\top$ in the second.  $W_i$ moves within the columns of $W_{i+1}^\top$ and these within
    those of $W_i$, so that $[W_i, W_{i+1}^\top]$ is multiplied from the right, at a rate whose
    trace is that of the decays; wider layers keep all minors of that size.  Without decay these are
    functions of the other laws, with decay they are not.  Found and proved among polynomials at
    1-2-1, 1-3-2 and 1-3-1, where they are certified to be all laws together with $N_1^\top W_1$;
    seen along flows.

    Assumes: linear layers.
    Source: derived in this project.
    Class: derived
    """
    count_volumes(check)
    law, sol = volumes(check)
    broken = ("the factor left out", [law.law], sol)
    caption = "Drift of FA's volumes, linear 2-5-2, decays ⅛ and ⅜."
    show(check, [("with its factor e^{ct}", [law], sol)], broken, caption)


def control_volumes_lower_decay_left_out(check):
    """The factor of the layer above alone."""
    volumes(check, below=0)


def control_volumes_tanh(check):
    """Hidden units with tanh."""
    volumes(check, phi="tanh")


def control_volumes_not_counted(check):
    """A count without them."""
    count_volumes(check, counts=(0, 0, 2))


# Counts with momentum

DRIVEN = {kind: kind() for kind in (ff.FA, ff.GD, ff.DFA)}


def angular_count(n):
    c = carried(n)
    turns = sum(pairs(n[i]) - pairs(n[i] - c[i]) for i in range(1, len(n) - 1))
    return 2 * null_count(n) + turns


def with_momentum(kind, n, activation):
    return certified(ff.HeavyBall, n, activation, of=DRIVEN[kind], friction=FRICTION)


def count_momentum(check, sizes, made=with_momentum):
    """FA on linear networks."""
    cases = [(made(ff.FA, n, "linear"), angular_count(n)) for n in sizes]
    check.certified(cases, "heavy ball on FA, linear")
    return cases


def count_momentum_relu(check, sizes, made=with_momentum):
    cases = [(made(kind, n, "relu"), 0) for kind, n in itertools.product(DRIVEN, sizes)]
    check.certified(cases, "heavy ball on FA, DFA and GD, ReLU")


def claim_count_momentum(check):
    r"""With momentum linear FA has exactly so many laws, and a ReLU network has none.

    $$ \sum_{i<L}\left[2(n_i - c_i)n_{i-1} + \tfrac12n_i(n_i - 1)
       - \tfrac12(n_i - c_i)(n_i - c_i - 1)\right], \qquad c_i = \min(n_i, \dots, n_L) $$

    may depend on time: $N_i^\top V_i$, $N_i^\top W_i$ and the angular momenta, but for those
    between null vectors.  Certified shape by shape, ReLU under FA, DFA and gradient descent.

    Assumes: friction; generic feedback; laws for all data, losses and patterns of active units; in
    linear networks n_i ≤ n_{i-1} + c_i.
    Source: derived in this project; none for ReLU and gradient descent in Marcotte et al. (2024),
    "Keep the momentum", ICML (arXiv:2405.12888), recalled.
    Class: derived
    """
    sizes = networks(*check.tier(quick=((3, 2),), full=((3, 3), (4, 2))))
    proved(check, found(ff.HeavyBall(of=ff.FA(), friction=FRICTION), 2, 3))
    cases = count_momentum(check, [n for n in sizes if narrow(n)])
    count_momentum_relu(check, sizes)
    broken = [(c, feedback_count(c.sizes)) for c, _ in cases]
    caption = "Laws of linear FA with momentum, each shape of the sweep a point."
    show_counts(check, cases, broken, "as many as without momentum", caption)


def control_count_momentum_wide_layers(check):
    """Hidden layers wider than what they are told of."""
    count_momentum(check, [(1, 3, 1), (1, 4, 1), (2, 4, 1)])


def control_count_momentum_without(check):
    """The same rules without momentum, in both kinds of networks."""
    sizes = [(3, 3, 2), (2, 2, 2), (2, 2, 2, 2)]
    count_momentum(check, sizes, certified)
    count_momentum_relu(check, sizes, certified)


# Where training can lead


def directions(check, kind=ff.FA, extras=(0, 1, 3), least=1):
    """extras: by how much hidden layers are wider than the output.  least: units at both ends."""
    cases = []
    for depth in check.tier(quick=(2, 3), full=(2, 3, 4)):
        for inputs, outputs in itertools.product(range(least, 4), repeat=2):
            for wider in itertools.product(extras, repeat=depth - 1):
                c = certified(kind, (inputs, *(outputs + k for k in wider), outputs))
                moving = inputs * outputs + (depth - 1) * pairs(outputs)
                cases.append((c, c.dimension - moving))
    check.certified(cases, f"{kind.__name__}, linear, 1 to 3 inputs and outputs")


def claim_directions(check):
    r"""From a start linear FA reaches a surface of few dimensions, however wide the hidden layers.

    $$ n_0n_L + (L - 1)\,\tfrac12n_L(n_L - 1) $$

    is the number of weights less that of laws, if no hidden layer is narrower than the output:
    flows of whatever data and losses, one after another, stay on a surface of so many dimensions.
    With one output they are $n_0$.  Two layers of gradient descent, wide enough, have
    $\tfrac12(n_0 + n_2)(n_0 + n_2 - 1)$.

    Assumes: linear layers; generic feedback; no hidden layer narrower than the output.
    Source: derived in this project.
    Class: derived
    """
    proved(check, found(ff.FA, 2, 3, 4))
    directions(check)
    fig, ax = panels()
    ks = range(2, 9)
    for kind, style, label in ((ff.FA, "C0o-", "FA"), (ff.GD, "C3v-", "control: gradient descent")):
        left = [c.dimension - c.law_rank for c in (certified(kind, (3, k, 2)) for k in ks)]
        ax.plot(ks, left, style, ms=5, label=label)
    ax.axhline(3 * 2 + pairs(2), color="k", ls="--", lw=1, label="the formula")
    ax.set(xlabel="hidden units", ylabel="dimensions", ylim=(0, 13))
    ax.legend(fontsize=8)
    check.figure(fig, "Dimensions that data can lead a linear 3-n-2 network through.")


def control_directions_narrow_layer(check):
    """Hidden layers one unit narrower than the output."""
    directions(check, extras=(-1,), least=2)


def control_directions_gradient_descent(check):
    """The error returns through the transposed weights."""
    directions(check, ff.GD, extras=(1, 3), least=2)


# A table of counts

RULES = {"GD": ff.GD, "FA": ff.FA, "DFA": ff.DFA, "signs": ff.SignFA, "KP": ff.KolenPollack}
TABLE = (  # network, its activation and biases, weight decay, and the number of laws of each rule
    ((2, 3, 2), "linear", False, 0, {"GD": 6, "FA": 7, "DFA": 7, "signs": 7, "KP": 12}),
    ((3, 4, 1), "linear", False, 0, {"GD": 10, "FA": 13, "DFA": 13, "signs": 13, "KP": 14}),
    ((2, 3, 2, 2), "linear", False, 0, {"GD": 9, "FA": 10, "DFA": 10, "signs": 10, "KP": 19}),
    ((3, 3, 3, 1), "linear", False, 0, {"GD": 12, "FA": 18, "DFA": 18, "signs": 18, "KP": 24}),
    ((2, 3, 2), "linear", True, 0, {"GD": 6, "FA": 10, "DFA": 10, "KP": 12}),
    ((2, 3, 1), "relu", False, 0, {"GD": 3, "FA": 3, "DFA": 3, "signs": 3, "KP": 6}),
    ((2, 3, 2), "relu", False, 0, {"GD": 3, "FA": 3, "DFA": 3, "signs": 3, "KP": 9}),
    ((3, 4, 1), "relu", False, 0, {"GD": 4, "FA": 4, "DFA": 4, "signs": 4, "KP": 8}),
    ((2, 3, 2, 2), "relu", False, 0, {"GD": 5, "FA": 5, "DFA": 2, "signs": 5, "KP": 15}),
    ((2, 2, 2, 2, 1), "relu", False, 0, {"GD": 6, "FA": 6, "DFA": 2, "signs": 6, "KP": 16}),
    ((2, 3, 2), "relu", False, 1, {"GD": 3, "FA": 0, "KP": 9}),
    ((2, 3, 2), "relu", False, (1, 2), {"GD": 0, "FA": 3, "KP": 6}),
    ((2, 3, 2), "linear", False, (1, 2), {"GD": 0, "FA": 7, "KP": 6}),
    ((2, 2, 2, 2), "linear", False, (1, 2, 4), {"GD": 0, "FA": 6, "KP": 8}),
)


def table(check, said=None, where=lambda row: True, diagonal=False):
    """said: {rule: another} whose column is said of it.  diagonal: list the neurons' laws alone."""
    cases = []
    for row in filter(where, TABLE):
        n, activation, bias, decay, counts = row
        for name, other in (said or {name: name for name in counts}).items():
            if diagonal:
                law = laws.neuron_balance if name == "GD" else laws.neuron_feedback_balance
                listed = [partial(law, k=k) for k in range(len(n) - 2)]
                made = ff.certify(RULES[name], n, listed, activation=activation, bias=bias)
            else:
                made = certified(RULES[name], n, activation, bias, decay=decay)
            cases.append((made, counts[other]))
    check.certified(cases, "GD, FA, DFA, sign feedback, Kolen-Pollack learning")
    return cases


def claim_table(check):
    r"""So many laws has each rule in networks small enough to be listed, and no others.

    $$ \begin{array}{lrrrrr}
       & \text{GD} & \text{FA} & \text{DFA} & \text{signs} & \text{KP} \\
       \text{linear 2-3-2} & 6 & 7 & 7 & 7 & 12 \\
       \text{linear 3-4-1} & 10 & 13 & 13 & 13 & 14 \\
       \text{linear 2-3-2-2} & 9 & 10 & 10 & 10 & 19 \\
       \text{linear 3-3-3-1} & 12 & 18 & 18 & 18 & 24 \\
       \text{linear 2-3-2 with biases} & 6 & 10 & 10 & & 12 \\
       \text{ReLU 2-3-1} & 3 & 3 & 3 & 3 & 6 \\
       \text{ReLU 2-3-2} & 3 & 3 & 3 & 3 & 9 \\
       \text{ReLU 3-4-1} & 4 & 4 & 4 & 4 & 8 \\
       \text{ReLU 2-3-2-2} & 5 & 5 & 2 & 5 & 15 \\
       \text{ReLU 2-2-2-2-1} & 6 & 6 & 2 & 6 & 16 \\
       \text{ReLU 2-3-2, decay 1} & 3 & 0 & & & 9 \\
       \text{ReLU 2-3-2, decays 1, 2} & 0 & 3 & & & 6 \\
       \text{linear 2-3-2, decays 1, 2} & 0 & 7 & & & 6 \\
       \text{linear 2-2-2-2, decays 1, 2, 4} & 0 & 6 & & & 8
       \end{array} $$

    Of Kolen-Pollack learning (KP) the feedback counts as weights; with decay the laws may depend on
    time.  Certified, with numbers that no formula here has made.

    Assumes: laws for all data, losses and patterns of active units; generic feedback; for sign
    feedback signs that last, and of full rank.
    Source: GD in Marcotte et al. (2023), recalled; the others derived in this project.
    Class: derived
    """
    table(check)
    fig, ax = panels(size=(7.5, 4.2))
    rows = [row for row in TABLE if row[3] == 0]
    for k, (name, kind) in enumerate(RULES.items()):
        own = [(i, row) for i, row in enumerate(rows) if name in row[4]]
        made = [certified(kind, *row[:3], decay=0).law_rank for _, row in own]
        label = None if k else "certified"
        ax.bar([i + 0.16 * (k - 2) for i, _ in own], made, 0.14, color=f"C{k}", label=name)
        said = [row[4][name] for _, row in own]
        ax.plot([i + 0.16 * (k - 2) for i, _ in own], said, "k_", ms=8, label=label and "the table")
    shown = [f"{a}{', biases' * b}\n{'-'.join(map(str, n))}" for n, a, b, *_ in rows]
    ax.set(ylabel="independent laws", xticks=range(len(rows)), xticklabels=shown)
    ax.tick_params(axis="x", labelsize=7)
    ax.legend(fontsize=8, ncols=3)
    check.figure(fig, "Laws certified, against those of the table, without weight decay.")


def control_table_exchanged(check):
    """FA and gradient descent exchanged, where they differ."""
    table(check, {"GD": "FA", "FA": "GD"}, where=lambda row: row[4]["GD"] != row[4]["FA"])


def control_table_neurons_alone(check):
    """Only the neurons' laws are listed of linear networks: bounds that do not meet."""
    linear = lambda row: row[1] == "linear" and row[3] == 0
    table(check, {"GD": "GD", "FA": "FA"}, linear, diagonal=True)
