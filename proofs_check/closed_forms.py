"""Flows and steps that are known in closed form, beside what the engines compute.

Gradient descent from balanced starts, after Fukumizu (1998), Saxe, McClelland & Ganguli (2013),
arXiv:1312.6120, and Braun, Dominé et al. (2022); feedback alignment of chains of linear neurons,
one a layer, and of networks that split into them, derived in this project.  Inputs are white, the
loss is squared, time is in units of 1/learning rate.
"""

from functools import reduce
from importlib.util import find_spec
from itertools import pairwise

import numpy as np

import faflow as ff
from faflow import exact
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

ENGINES = ("scipy", "diffrax") if find_spec("diffrax") else ("scipy",)
TIGHT = {"rtol": 1e-12, "atol": 1e-14}
BOUND = 1e-9
FLOOR = 1e-17


def column(numbers):
    return tuple(np.array([[number]]) for number in numbers)


def chain(s, phi="linear"):
    """One input, 1, one target, and one unit a layer."""
    return ff.Task([[1.0]], [[s]], phi)


def engines(check):
    """Both engines; of a control the first, since diffrax would compile for seconds once more."""
    return ENGINES[:1] if check.control else ENGINES


def distances(paths, others):
    """The largest distance at every time."""
    gaps = [np.abs(np.asarray(a) - b) for a, b in zip(paths, others, strict=True)]
    return np.max([gap.reshape(len(gap), -1).max(1) for gap in gaps], axis=0)


COLORS = ("C0", "C1", "C2", "C4", "C5", "C6", "C7", "C8", "C9")
"""Of what is claimed; C3, red, is that of controls."""


def show(check, caption, claimed, broken, ylabel="largest |flow − closed form|", bound=BOUND):
    """Distances against time of (label, times, distances): those of the claim, and of controls."""
    fig, ax = panels()
    for (label, ts, far), color in zip(claimed, COLORS, strict=False):
        ax.semilogy(ts, far + FLOOR, color, label=label)
    for (label, ts, far), style in zip(broken, ("C3-", "C3--"), strict=False):
        ax.semilogy(ts, far + FLOOR, style, label=f"control: {label}")
    ax.axhline(bound, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel=TIME, ylabel=ylabel, ylim=(1e-18, 1e9))
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    check.figure(fig, caption)


def first_order(check, measure, on):
    """Steps tend to the closed form as their size does."""
    steps = np.array([100, 200, 400, 800])
    errors = [measure(1 / n, n) for n in steps]
    check.order("order of |steps - closed form| in η", 1 / steps, errors, 1, within=0.1, on=on)


# Gradient descent of neurons

PAIRS = ((1.0, (0.1, 0.4)), (-0.7, (0.5, 0.1)), (2.0, (-0.5, 0.2)), (1.0, (0.2, 1.5)))
TS = np.linspace(0, 6, 25)


def pair_gap(s, w0, engine="scipy", sigmoid=False, phi="linear"):
    sol = ff.integrate(ff.GD(), chain(s, phi), column(w0), TS, engine=engine, **TIGHT)
    said = np.prod(exact.gd_chain(s, w0, TS), axis=0)
    if sigmoid:
        start = w0[0] * w0[1]
        said = (s / (1 - (1 - s / start) * np.exp(-2 * s * TS)))[:, None, None]
    return distances((sol.w[1] * sol.w[0],), (said,))


def pair(check, **broken):
    for engine in engines(check):
        far = check.worst([np.max(pair_gap(*p, engine, **broken)) for p in PAIRS])
        on = "four targets and starts of both signs, t ≤ 6"
        check.at_most(f"|w₁w₂ - closed form|, {engine}", far, 1e-10, fall=1e-2, on=on)


def claim_two_neurons(check):
    r"""Gradient flow of two linear neurons is known from every start, and not only from equal ones.

    With $\lambda = w_2^2 - w_1^2$, $x = (w_1, w_2)$ and
    $F = \begin{pmatrix} -\lambda/2 & s \\ s & \lambda/2 \end{pmatrix}$,

    $$ x(t) = \frac{e^{Ft}x_0}{\sqrt{1 + \int_0^t |e^{F\tau}x_0|^2\,d\tau}} $$

    since $\dot x = Fx - \tfrac12|x|^2x$; at $\lambda = 0$ it is the sigmoid
    $w_1w_2 = s/(1 - (1 - s/u_0)e^{-2st})$.  Discrete steps tend to it at first order.

    Assumes: two linear layers of one unit, squared loss.
    Source: derived in this project; the sigmoid in Saxe, McClelland & Ganguli (2013).
    Class: derived
    """
    pair(check)
    s, w0 = PAIRS[0]
    ends = exact.gd_chain(s, w0, [1.0])

    def stepped(eta, n):
        sol = ff.iterate(ff.GD(), chain(s), column(w0), eta=eta, steps=n, every=n)
        return distances([W[-1:] for W in sol.w], ends).max()

    first_order(check, stepped, "s = 1 from (0.1, 0.4) to t = 1; its control is that of the flow")
    claimed = [(f"s = {s:g} from {w0}", TS, pair_gap(s, w0)) for s, w0 in PAIRS]
    broken = [
        ("the sigmoid", TS, pair_gap(*PAIRS[0], sigmoid=True)),
        ("tanh", TS, pair_gap(*PAIRS[0], phi="tanh")),
    ]
    caption = "Distance of the product of two neurons from its closed form."
    show(check, caption, claimed, broken, bound=1e-10)


def control_two_neurons_sigmoid(check):
    """The formula of equal neurons, from unequal ones."""
    pair(check, sigmoid=True)


def control_two_neurons_tanh(check):
    """The hidden neuron has tanh."""
    pair(check, phi="tanh")


EQUAL = ((1.0, 3, 0.4), (-0.8, 4, 0.9), (1.5, 5, 0.6), (1.0, 4, 1.3), (-1.0, 3, -0.5))


def equal_gap(s, L, a, engine="scipy", tilt=0.0):
    w0 = a * np.exp(tilt * np.linspace(-1, 1, L))
    sol = ff.integrate(ff.GD(), chain(s), column(w0), TS, engine=engine, **TIGHT)
    said = exact.gd_balanced_chain(s, (a,) * L, TS)
    return distances(sol.w, [W * w / a for W, w in zip(said, w0, strict=True)])


def equal(check, **broken):
    for engine in engines(check):
        cases = EQUAL if engine == "scipy" else EQUAL[: check.tier(quick=1, full=5)]
        far = check.worst([np.max(equal_gap(*case, engine, **broken)) for case in cases])
        on = f"{len(cases)} chains of 3 to 5 layers, t ≤ 6"
        check.at_most(f"|flow - closed form|, {engine}", far, BOUND, fall=1e-3, on=on)


def claim_equal_neurons(check):
    r"""A chain of $L$ linear neurons with weights of one size $a$ keeps them so: its time is known.

    $$ \dot a = a^{L-1}(s - a^L),\qquad
       t = \Big[-\frac{1}{(L-2)\,s\,a^{L-2}} - \sum_{\rho^L = s}
       \frac{\ln(a - \rho)}{L\,s\,\rho^{L-2}}\Big]_{a(0)}^{a(t)} $$

    Assumes: linear layers of one unit, L > 2, weights of one size, s not 0.
    Source: the equation in Saxe, McClelland & Ganguli (2013); its solution derived in this project.
    Class: derived
    """
    equal(check)
    claimed = [(f"L = {L}, s = {s:g}, a = {a:g}", TS, equal_gap(s, L, a)) for s, L, a in EQUAL]
    broken = [("sizes e^±0.3", TS, equal_gap(*EQUAL[0], tilt=0.3))]
    show(check, "Distance of equal neurons from their closed form.", claimed, broken)


def control_equal_neurons_unequal(check):
    """Sizes that differ by factors up to e^0.6, their product as before."""
    equal(check, tilt=0.3)


# Gradient descent of matrices

LAYERS = ((5, 4, 6, 0.0), (5, 4, 6, 0.7), (5, 4, 6, -0.4), (6, 2, 5, 0.3), (4, 9, 3, 0.0))
LATE = np.concatenate([np.linspace(0, 4, 17), [10, 40]])


def layers(m, h, n, kept, seed=0):
    """Random Y, and weights with W₂ᵀW₂ - W₁W₁ᵀ = kept·I, else as of the same seed."""
    rng = np.random.default_rng([seed, m, h, n])
    basis = lambda a, b: np.linalg.qr(rng.standard_normal((a, b)))[0]
    own = np.zeros(h)
    own[: min(m, h, n)] = rng.uniform(0.05, 0.15, min(m, h, n))
    turn, first, last = basis(h, h), min(h, m), min(h, n)
    W1 = turn[:, :first] * np.sqrt(own + max(-kept, 0))[:first] @ basis(m, first).T
    W2 = basis(n, last) * np.sqrt(own + max(kept, 0))[:last] @ turn[:, :last].T
    return rng.standard_normal((n, m)), (W1, W2)


def layers_gap(m, h, n, kept, engine="scipy", ignored=False, colour=0.0):
    Y, w0 = layers(m, h, n, kept)
    X = np.diag(np.exp(colour * np.linspace(-1, 1, m)))
    sol = ff.integrate(ff.GD(), ff.Task(X, Y), w0, LATE, engine=engine, **TIGHT)
    W1, W2 = sol.w
    seen = W2 @ W1, W1.swapaxes(1, 2) @ W1, W2 @ W2.swapaxes(1, 2)
    return distances(seen, exact.gd_balanced(Y, layers(m, h, n, 0.0)[1] if ignored else w0, LATE))


def balanced(check, ignored=False, **broken):
    for engine in engines(check):
        cases = LAYERS if engine == "scipy" else LAYERS[1 : check.tier(quick=2, full=5)]
        cases = [case for case in cases if case[-1] or not ignored]
        far = check.worst(
            [np.max(layers_gap(*case, engine, ignored=ignored, **broken)) for case in cases]
        )
        on = f"λ from -0.4 to 0.7, {len(cases)} shapes, one with a bottleneck; t ≤ 40"
        check.at_most(f"|products - closed form|, {engine}", far, BOUND, fall=1e-2, on=on)


def claim_balanced_layers(check):
    r"""Gradient flow of two linear layers is known where $W_2^\top W_2 - W_1W_1^\top = \lambda I$.

    With $R = (W_1^\top; W_2)$ and
    $F = \begin{pmatrix} -\tfrac\lambda2 I & Y^\top \\ Y & \tfrac\lambda2 I \end{pmatrix}$,

    $$ RR^\top = e^{Ft}R_0\Big(I + R_0^\top\int_0^t e^{2F\tau}d\tau\,R_0\Big)^{-1}R_0^\top e^{Ft} $$

    for the blocks $W_2W_1$, $W_1^\top W_1$ and $W_2W_2^\top$, since
    $\dot R = FR - \tfrac12RR^\top R$.

    Assumes: two linear layers, white inputs, W₂ᵀW₂ - W₁W₁ᵀ a multiple of I.
    Source: Fukumizu (1998) and Braun, Dominé et al. (2022) at λ = 0; with λ derived anew here.
    Class: derived
    """
    balanced(check)
    claimed = [(f"{m}-{h}-{n}, λ = {k:g}", LATE, layers_gap(m, h, n, k)) for m, h, n, k in LAYERS]
    broken = [
        ("λ ignored", LATE, layers_gap(*LAYERS[1], ignored=True)),
        ("coloured inputs", LATE, layers_gap(*LAYERS[1], colour=0.3)),
    ]
    show(check, "Distance of two layers' products from their closed form.", claimed, broken)


def control_balanced_layers_balance_ignored(check):
    """The formula from weights of the same modes with λ = 0."""
    balanced(check, ignored=True)


def control_balanced_layers_coloured_inputs(check):
    """Inputs of scales e^±0.3."""
    balanced(check, colour=0.3)


# Feedback alignment of chains

TWO = (
    (0.8, (1.3,), (0.4, -0.7)),
    (0.3, (1.0,), (-0.3, -1.25)),
    (-0.7, (-1.1,), (-0.6, 0.9)),
    (1.0, (0.7,), (0.0, 0.0)),
)
DEEP = (
    (0.9, (1.2, -0.8), (0.5, -0.4, 0.7)),
    (-1.0, (0.9, 1.1), (0.0, 0.0, 0.0)),
    (-0.6, (0.9, 1.2, -1.1), (0.8, 0.3, -0.9, 0.2)),
    (0.7, (1.0, 1.1, 0.9, -1.2), (0.3, -0.5, 0.8, 0.4, -0.6)),
)
LONG = np.linspace(0, 8, 33)


def chain_gap(s, b, w0, engine="scipy", kind=ff.FA, phi="linear"):
    sol = ff.integrate(kind(column(b)), chain(s, phi), column(w0), LONG, engine=engine, **TIGHT)
    return distances(sol.w, exact.fa_chain(s, b, w0, LONG))


def chains(check, cases, kind=ff.FA, phi="linear"):
    for engine in engines(check):
        some = cases if engine == "scipy" else cases[: check.tier(quick=1, full=4)]
        far = check.worst([np.max(chain_gap(*case, engine, kind, phi)) for case in some])
        on = f"{len(some)} targets, feedbacks and starts of both signs, t ≤ 8"
        check.at_most(f"|flow - closed form|, {engine}", far, BOUND, fall=1e-3, on=on)


def chain_steps(check, s, b, w0):
    ends = exact.fa_chain(s, b, w0, [1.0])

    def stepped(eta, n):
        sol = ff.iterate(ff.FA(column(b)), chain(s), column(w0), eta=eta, steps=n, every=n)
        return distances([W[-1:] for W in sol.w], ends).max()

    first_order(check, stepped, "one chain, to t = 1; its control is that of the flow")


def show_chains(check, cases):
    claimed = [(f"s = {s:g}, {len(w0)} layers", LONG, chain_gap(s, b, w0)) for s, b, w0 in cases]
    broken = [
        ("gradient descent", LONG, chain_gap(*cases[0], kind=GradientInstead)),
        ("tanh", LONG, chain_gap(*cases[0], phi="tanh")),
    ]
    show(check, "Distance of chains of neurons from their closed form.", claimed, broken)


def claim_chain_of_two(check):
    r"""FA of two linear neurons follows a cubic, from every start: its time is a sum of logarithms.

    $$ C = \tfrac12w_1^2 - bw_2,\qquad \dot w_1 = g(w_1) = bs + Cw_1 - \tfrac12w_1^3,\qquad
       t = \sum_{g(r) = 0} \frac{1}{g'(r)}\ln\frac{w_1(t) - r}{w_1(0) - r} $$

    At $s = 0$ it is Bernoulli's equation; at a double root $r^3 = -bs$, where $C = \tfrac32r^2$,
    $x = (w_1 + 2r)/(w_1 - r)$ obeys $x - \ln|x| = \tfrac92r^2t + \text{const}$, solved by
    Lambert's function.

    Assumes: two linear layers of one unit, squared loss, b not 0.
    Source: derived in this project; C as in Lillicrap et al. (2016).
    Class: derived
    """
    chains(check, TWO)
    chain_steps(check, *TWO[0])
    ts = np.append(LONG, [1e3, 1e8])
    forgotten = [(1.3, (0.7, -0.4)), (-1.0, (1.0, -0.5)), (1.3, (-0.7, 0.9)), (1.0, (1.0, 0.5))]
    far = [
        distances(exact.fa_forgetting(b, w0, ts), exact.fa_chain(0.0, b, w0, ts))
        for b, w0 in forgotten
    ]
    on = "four starts, t ≤ 1e8; two formulas for one flow, the other one under control"
    check.at_most("|Bernoulli - logarithms|", np.max(far), 1e-13, on=on)
    starts = [(w, w**2 / 2 - 1.5) for w in (0.25, -3.0, 5.0, -0.75)]
    far = [
        distances(exact.fa_double_root(1.0, 1.0, w0, ts), exact.fa_chain(1.0, 1.0, w0, ts))
        for w0 in starts
    ]
    check.at_most("|Lambert - logarithms and powers|", np.max(far), 1e-13, on=on)
    show_chains(check, TWO)


def control_chain_of_two_gradient_descent(check):
    """The error returns through the weight."""
    chains(check, [case for case in TWO if any(case[2])], GradientInstead)


def control_chain_of_two_tanh(check):
    """The hidden neuron has tanh."""
    chains(check, TWO, phi="tanh")


def claim_deep_chain(check):
    r"""FA of a chain of any depth $L$ follows one polynomial of degree $2^L - 1$, and ends solved.

    $$ C_k = \tfrac12w_k^2 - b_{k+1}w_{k+1},\qquad w_{k+1} = \frac{w_k^2/2 - C_k}{b_{k+1}},\qquad
       \dot w_1 = \beta\,\big(s - w_1w_2(w_1)\cdots w_L(w_1)\big),\quad \beta = b_2\cdots b_L $$

    The leading coefficient of the right side is negative whatever the signs of $b$, so that every
    start ends where the error is zero; the time is the integral of its partial fractions.

    Assumes: linear layers of one unit, squared loss, no b is 0.
    Source: derived in this project.
    Class: derived
    """
    chains(check, DEEP)
    chain_steps(check, *DEEP[0])
    rng, left = np.random.default_rng(0), []
    for _ in range(check.tier(quick=20, full=200)):
        L = int(rng.integers(2, 5))
        s, b, w0 = rng.standard_normal(), rng.standard_normal(L - 1), rng.standard_normal(L)
        left.append(abs(s - np.prod(exact.fa_chain(s, b, w0, [1e12]))))
    on = (
        f"{len(left)} random chains of 2 to 4 layers, in closed form; a control is that of the flow"
    )
    check.at_most("error at t = 1e12", np.max(left), 1e-9, on=on)
    show_chains(check, DEEP)


def control_deep_chain_gradient_descent(check):
    """The error returns through the weights."""
    chains(check, [case for case in DEEP if any(case[2])], GradientInstead)


def control_deep_chain_tanh(check):
    """The hidden neurons have tanh."""
    chains(check, [case for case in DEEP if len(case[2]) < 5], phi="tanh")


# Where chains rest


def orbit(C, s, b=1.0):
    """A start (w₁, w₂) on the orbit of this C."""
    return 0.0, -C / b


def equilibria(check, kind=ff.FA, cubed=27 / 8):
    wrong, off, numbers = [], [], []
    rng = np.random.default_rng(0)
    for _ in range(check.tier(quick=60, full=400)):
        s, b, C = rng.uniform(-2, 2), rng.choice([-1, 1]) * rng.uniform(0.3, 2), rng.uniform(-1, 4)
        ends = exact.fa_chain_equilibria(s, b, orbit(C, s, b))
        wrong.append((len(ends.w) == 3) != (cubed * (b * s) ** 2 < C**3))
        numbers.append(len(ends.w))
        for w, rate in zip(ends.w, ends.rates, strict=True):
            rule = kind(column((b,)))
            velocity = lambda w, rule=rule, s=s: np.ravel(rule(chain(s), column(w)))
            J = [(velocity(w + h) - velocity(w - h)) / 2e-6 for h in 1e-6 * np.eye(2)]
            eigenvalue = np.trace(J)  # the other one is zero, along the surface of zero error
            off.append(abs(eigenvalue - rate) / max(1, abs(rate)))
    both = f"{len(wrong)} random orbits, {numbers.count(3)} of them with three equilibria"
    check.at_most("share of orbits with another number", np.mean(wrong), 0.0, fall=0.03, on=both)
    check.at_most(
        "share of equilibria whose rate is no eigenvalue to 1e-7, relative",
        np.mean(np.array(off) > 1e-7),
        0.0,
        fall=0.9,
        on=both,
    )


def growth(eta, rate, w, s, b):
    """|error| after a step of size `eta` near the equilibrium w over that before it."""
    start = np.array(w) + 1e-7 * np.array([b, w[0]])
    sol = ff.iterate(ff.FA(column((b,))), chain(s), column(start), eta=eta, steps=1)
    error = s - np.ravel(sol.w[0] * sol.w[1])
    return abs(error[1] / error[0])


def claim_unstable_solutions(check):
    r"""Between two stable solutions of two neurons lies one that FA leaves, its loss being zero.

    $$ \text{three equilibria} \iff C^3 > \tfrac{27}{8}(bs)^2,\qquad
       \text{rate } C - \tfrac32w_*^2,\qquad \eta_* = \frac{2}{\tfrac32w_*^2 - C} $$

    All of them solve the task.  The rate is positive at the middle one and negative at the
    others, where steps are stable below $\eta_*$.

    Assumes: two linear layers of one unit, squared loss, b not 0.
    Source: derived in this project.
    Class: derived
    """
    equilibria(check)
    s, b, w0 = 0.3, 1.0, orbit(0.925, 0.3)
    ends = exact.fa_chain_equilibria(s, b, w0)
    on = "C = 0.925, s = 0.3, b = 1; their control is that of the rates"
    check.at_most("|loss| at the three equilibria", np.abs(np.prod(ends.w, 1) - s), 1e-15, on=on)
    signs = np.array([-1, 1, -1]) * ends.rates
    check.at_least("rates, as signed as they should be", signs, 0.1, fall=0.0, on=on)
    seen = [
        growth(f * e, r, w, s, b) for w, r, e in zip(*ends, strict=True) if e for f in (0.97, 1.03)
    ]
    told = [abs(1 - 2 * f) for e in ends.etas if e for f in (0.97, 1.03)]
    check.equal("growth of the error over a step of 0.97 and 1.03 η*", seen, told, tol=1e-5, on=on)
    fig, ax = panels()
    ts = np.linspace(0, 60, 121)
    for step, color in ((-1e-6, "C0"), (0.0, "C1"), (1e-6, "C2")):
        w1 = ends.w[1, 0] + step
        w = exact.fa_chain(s, b, (w1, (w1**2 / 2 - 0.925) / b), ts)
        ax.plot(ts, w[0].ravel(), color, label=f"from the middle one {step:+g}")
    for k, w in enumerate(ends.w[:, 0]):
        ax.axhline(w, color="k", ls="--", lw=1, label=None if k else "equilibria")
    ax.set(xlabel=TIME, ylabel="w₁", ylim=(-2, 3))
    ax.legend(fontsize=8, loc="upper left")
    check.figure(
        fig, "Two neurons from the unstable solution: rounding alone moves the middle line."
    )


def control_unstable_solutions_gradient_descent(check):
    """The rates beside the Jacobian of gradient descent, and twice the bound for the number."""
    equilibria(check, GradientInstead, cubed=27 / 4)


# The law of the steps

LAWFUL = (TWO[0], TWO[2], DEEP[0], DEEP[2])
COUNTS = np.array([200, 400, 800, 1600])


def law_drift(s, b, w0, n, corrected=True, kind=ff.FA):
    """Largest drift of the laws over n steps to t = 2."""
    sol = ff.iterate(kind(column(b)), chain(s), column(w0), eta=2 / n, steps=n)
    law = exact.fa_chain_law(s, b, sol.w, eta=2 / n if corrected else 0.0)
    return np.abs(law - law[:, :1]).max()


def law(check, **broken):
    for case in LAWFUL:
        drifts = [law_drift(*case, n, **broken) for n in COUNTS]
        on = f"{len(case[2])} layers, s = {case[0]:g}, 200 to 1,600 steps to t = 2"
        check.order("order of the drift in η", 2 / COUNTS, drifts, 2, within=0.1, fall=0.5, on=on)


def claim_corrected_law(check):
    r"""Steps of FA in a chain keep $C_k - \tfrac\eta2G_k$ to $O(\eta^2)$, and $C_k$ to $O(\eta)$.

    $$ \frac{dG_k}{dw_1} = \Big(\frac{dw_k}{dw_1}\Big)^2\dot w_1,\qquad
       \text{of two layers } G_1 = bsw_1 + \tfrac12C_1w_1^2 - \tfrac18w_1^4 $$

    Every step adds to $C_k$ half the square of what it adds to $w_k$.

    Assumes: linear layers of one unit, squared loss, steps of one size.
    Source: derived in this project.
    Class: derived
    """
    law(check)
    fig, ax = panels()
    for case, color in zip(LAWFUL, ("C0", "C1", "C2", "C4"), strict=True):
        label = f"{len(case[2])} layers, s = {case[0]:g}"
        ax.loglog(2 / COUNTS, [law_drift(*case, n) for n in COUNTS], f"{color}o-", label=label)
    raw = [law_drift(*LAWFUL[0], n, corrected=False) for n in COUNTS]
    ax.loglog(2 / COUNTS, raw, "C3v--", label="control: uncorrected")
    ax.loglog(2 / COUNTS, (2 / COUNTS) ** 2, "k--", lw=1, label="slope 2")
    ax.set(xlabel="step size η (time units)", ylabel="drift of the law to t = 2", ylim=(1e-8, 1e2))
    ax.set_xticks(2 / COUNTS, [f"{eta:g}" for eta in 2 / COUNTS])
    ax.set_xticks([], minor=True)
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "Drift of the corrected law of a chain under discrete steps.")


def control_corrected_law_uncorrected(check):
    """The law of the flow."""
    law(check, corrected=False)


# From zero weights

SHAPES = ((8, 7, 3, 4), (6, 9, 5, 2), (5, 5, 5, 5), (4, 6, 3, 9))
SIZES = (0.01, 0.1, 0.3, 0.5)


def factorisation(n, m, rank, r, seed=0):
    """Y of this rank, and Gaussian feedback, so that the fastest mode has kappa = 1."""
    rng = np.random.default_rng([seed, n, m, rank, r])
    Y = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    C = rng.standard_normal((r, n))
    return Y, C / np.linalg.norm(C @ Y, 2) * np.sqrt(2)


def step_gap(shape, eta, start=0.0, steps=60):
    """Distances of steps of so much of the fastest mode's time from those of the modes."""
    Y, C = factorisation(*shape)
    rng = np.random.default_rng(1)
    w0 = (start * rng.standard_normal((len(C), Y.shape[1])), start * rng.standard_normal(C.T.shape))
    sol = ff.iterate(ff.FA((C,)), ff.Task.factorisation(Y), w0, eta=eta, steps=steps)
    far = distances(sol.w, exact.discrete_fa_from_zero(Y, C, eta, steps))
    return far / max(np.abs(W).max() for W in sol.w)


def steps_of_any_size(check, start=0.0):
    far = [np.max(step_gap(shape, eta, start)) for shape in SHAPES for eta in SIZES]
    on = "four shapes, 60 steps of 0.01 to 0.5 times the fastest mode's time; at 0.6 they overflow"
    check.at_most("|steps - modes|, relative", check.worst(far), 1e-13, fall=1e-4, on=on)


def claim_steps_of_any_size(check):
    r"""From zero weights FA's modes stay apart at every step size, to the last digits.

    With $CY = P\operatorname{diag}(d)R^\top$: $W_1 = P\operatorname{diag}(w)R^\top$,
    $W_2 = YR\operatorname{diag}(z)P^\top$,

    $$ w \leftarrow w + \eta d\,(1 - zw),\qquad z \leftarrow z + \eta w\,(1 - zw) $$

    Assumes: two linear layers, zero weights at the start, white inputs, both layers step together.
    Source: derived in this project.
    Class: derived
    """
    steps_of_any_size(check)
    fig, ax = panels()
    for k, eta in enumerate(SIZES):
        ax.semilogy(
            step_gap(SHAPES[0], eta) + FLOOR, f"C{k}" if k < 3 else "C4", label=f"η = {eta:g}"
        )
    ax.semilogy(step_gap(SHAPES[0], 0.1, 0.01) + FLOOR, "C3", label="control: a start of 0.01")
    ax.axhline(1e-13, color="k", ls="--", lw=1, label="bound")
    ax.set(xlabel="steps", ylabel="largest |steps − modes|, relative", ylim=(1e-18, 1e3))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(
        fig, "Distance of discrete feedback alignment from its modes, 8 × 7, rank 3, r = 4."
    )


def control_steps_of_any_size_other_start(check):
    """A start of scale 0.01 in place of zero."""
    steps_of_any_size(check, start=0.01)


HALF = 1.181437


def half_gap(shape, kind=ff.FA, start=0.0):
    """|t₁/₂ g^⅓ - 1.181437| of each mode along the flow, by where u = ½ is crossed."""
    Y, C = factorisation(*shape)
    P, d, Rt = np.linalg.svd(C @ Y, full_matrices=False)
    kept = d > 1e-9
    told = HALF * d[kept] ** (-2 / 3)
    w0 = start * np.ones((len(C), Y.shape[1])), start * C.T
    gaps = []
    for k, t in enumerate(told):
        ts = np.array([0, 0.999 * t, t, 1.001 * t])
        sol = ff.integrate(kind((C,)), ff.Task.factorisation(Y), w0, ts, **TIGHT)
        learned = [P[:, k] @ C @ W2 @ W1 @ Rt[k] / d[k] for W1, W2 in zip(*sol.w, strict=True)]
        slope = (learned[3] - learned[1]) / (ts[3] - ts[1])
        gaps.append(abs((0.5 - learned[2]) / slope / t) * HALF if slope else np.inf)
    return gaps


def half_time(check, **broken):
    gaps = [gap for shape in SHAPES for gap in half_gap(shape, **broken)]
    on = "every mode of four shapes; 1.181437 is rounded"
    check.at_most("|t₁/₂ g^⅓ - 1.181437|", check.worst(gaps), 1e-6, fall=1e-3, on=on)


def claim_half_time(check):
    r"""From zero weights half of each mode is learned at $1.181437\,g^{-1/3}$: there is no plateau.

    $$ g = d^2 \text{ an eigenvalue of } (CY)^\top CY,\qquad
       t_{1/2} = \Big(\frac2g\Big)^{1/3}\int_0^{2^{-1/3}}\frac{du}{1 - u^3} $$

    Gradient descent rests at zero.

    Assumes: two linear layers, zero weights at the start, white inputs.
    Source: derived in this project.
    Class: derived
    """
    half_time(check)
    fig, ax = panels()
    Y, C = factorisation(*SHAPES[0])
    ts = np.linspace(0, 6, 61)
    P, d, Rt = np.linalg.svd(C @ Y, full_matrices=False)
    for start, style in ((0.0, "-"), (0.3, "--")):
        w0 = start * np.ones((len(C), Y.shape[1])), start * C.T
        W1, W2 = ff.integrate(ff.FA((C,)), ff.Task.factorisation(Y), w0, ts).w
        for k in range(3):
            label = f"mode {k + 1}" if not start else "control: a start of 0.3" * (k == 0)
            learned = np.einsum("i,tij,j->t", P[:, k] @ C, W2 @ W1, Rt[k]) / d[k]
            ax.plot(ts * d[k] ** (2 / 3), learned, f"C{k}{style}", lw=1, label=label or None)
    ax.axvline(HALF, color="k", ls=":", lw=1, label="1.181437")
    ax.set(xlabel="time · g^⅓", ylabel="share of the mode learned", xlim=(0, 4), ylim=(-0.1, 1.9))
    ax.legend(fontsize=8, ncols=2, loc="upper left")
    check.figure(fig, "All modes from zero are one curve of their own time.")


def control_half_time_other_start(check):
    """A start of scale 0.3."""
    half_time(check, start=0.3)


def aligned(shape, q):
    """Y, feedback of orthonormal rows, and an upper layer with CW₂ = P diag(q) Pᵀ."""
    n, m, r = shape
    rng = np.random.default_rng([*shape, q[0] > 0])
    C = np.linalg.qr(rng.standard_normal((n, r)))[0].T
    Y = rng.standard_normal((n, m))
    P = np.linalg.svd(C @ Y)[0]
    return Y, C, C.T @ (P * np.resize(q, r)) @ P.T


def aligned_gap(shape, q, engine="scipy", tilt=0.0):
    Y, C, W2 = aligned(shape, q)
    start = W2 + tilt * np.random.default_rng(1).standard_normal(W2.shape)
    w0 = np.zeros((len(C), Y.shape[1])), start
    sol = ff.integrate(ff.FA((C,)), ff.Task.factorisation(Y), w0, LONG, engine=engine, **TIGHT)
    return distances(sol.w, exact.fa_from_commuting(Y, C, W2, LONG))


SPREAD = (0.7, -0.4, 1.5)
ALIGNED = (((5, 4, 3), (0.5,)), ((5, 4, 3), SPREAD), ((6, 3, 6), (2.0,)), ((6, 3, 6), SPREAD))
ALIGNED += (((5, 4, 3), (-0.5,)), ((4, 7, 2), (-1.0,)))


def commuting(check, **broken):
    for engine in engines(check):
        cases = ALIGNED if engine == "scipy" else ALIGNED[: check.tier(quick=2, full=4)]
        far = check.worst([np.max(aligned_gap(*case, engine, **broken)) for case in cases])
        on = f"{len(cases)} problems, q alike and different, of both signs, t ≤ 8"
        check.at_most(f"|flow - closed form|, {engine}", far, BOUND, fall=1e-3, on=on)


def claim_commuting_start(check):
    r"""From $W_1 = 0$ FA is known exactly if $CW_2$ is symmetric and commutes with $CY(CY)^\top$.

    With $CY = P\operatorname{diag}(d)R^\top$, $CW_2(0)P = P\operatorname{diag}(q)$:

    $$ W_1 = P\operatorname{diag}(w)R^\top,\quad
       W_2 = W_2(0)\big(I - P\operatorname{diag}(1 - x)P^\top\big)
       + YR\operatorname{diag}\Big(\frac{q(1 - x) + w^2/2}{d}\Big)P^\top $$

    $$ \dot w = g(w) = d - qw - \tfrac12w^3,\qquad
       x = e^{-\int w^2dt} = \Big(\frac{g(w)}{d}\Big)^{2/3}e^{2qt/3} $$

    Assumes: two linear layers, white inputs, W₁ = 0 at the start, W₂ as said.
    Source: derived in this project.
    Class: derived
    """
    commuting(check)
    claimed = [
        (f"{n}-{r}-{m}, q = {', '.join(map(str, q))}", LONG, aligned_gap((n, m, r), q))
        for (n, m, r), q in ALIGNED
    ]
    broken = [("W₂ off by 0.05", LONG, aligned_gap(*ALIGNED[0], tilt=0.05))]
    show(check, "Distance of feedback alignment from its closed form.", claimed, broken)


def control_commuting_start_generic(check):
    """A Gaussian part of scale 0.05 in W₂."""
    commuting(check, tilt=0.05)


DIMS = ((5, 6, 4, 3), (3, 7, 5, 3), (3, 6, 5, 5, 2))


def deep(sizes, seed=0):
    """Y of norm 1.5, and feedback of orthogonal columns of random lengths."""
    rng = np.random.default_rng([seed, *sizes])
    Y = rng.standard_normal((sizes[-1], sizes[0]))
    shapes = ff.FA.shapes(sizes)
    B = [rng.uniform(0.6, 1.4) * np.linalg.qr(rng.standard_normal(shape))[0] for shape in shapes]
    return 1.5 * Y / np.linalg.norm(Y, 2), B, rng


def deep_gap(sizes, engine="scipy", generic=False, start=0.0):
    Y, B, rng = deep(sizes)
    used = [0.5 * rng.standard_normal(B[0].shape), *B[1:]] if generic else B
    w0 = tuple(start * rng.standard_normal((n, m)) for m, n in pairwise(sizes))
    sol = ff.integrate(
        ff.FA(tuple(used)), ff.Task.factorisation(Y), w0, LONG, engine=engine, **TIGHT
    )
    U, _, Vt = np.linalg.svd(Y, full_matrices=False)
    inner = U.T @ reduce(np.matmul, reversed(sol.w)) @ Vt.T
    mixed = np.linalg.norm(inner * (1 - np.eye(inner.shape[1])), axis=(1, 2))
    return distances(sol.w, exact.fa_orthogonal_from_zero(Y, B, LONG)), mixed


def orthogonal(check, **broken):
    for engine in engines(check):
        some = DIMS if engine == "scipy" else DIMS[: check.tier(quick=1, full=3)]
        gaps = [deep_gap(sizes, engine, **broken) for sizes in some]
        on = f"{len(some)} networks of 3 or 4 layers, t ≤ 8"
        far = check.worst([np.max(gap) for gap, _ in gaps])
        check.at_most(f"|flow - closed form|, {engine}", far, BOUND, fall=1e-2, on=on)
        mixed = check.worst([np.max(mixed) for _, mixed in gaps])
        check.at_most(f"what modes share, {engine}", mixed, BOUND, fall=1e-2, on=on)


def claim_orthogonal_feedback(check):
    r"""From zero, modes of $Y$ are chains of their own at any depth if $B_k^\top B_k = \beta_k^2I$.

    With $Y = U\operatorname{diag}(s)V^\top$, $Q_L = U$ and $Q_{k-1} = B_kQ_k/\beta_k$:

    $$ W_1 = Q_1\operatorname{diag}(w_1)V^\top,\quad W_k = Q_k\operatorname{diag}(w_k)Q_{k-1}^\top,
       \quad w_{k+1} = \frac{w_k^2}{2\beta_{k+1}},\quad
       \dot w_1 = \beta_2\cdots\beta_L\,(s - w_1\cdots w_L) $$

    Assumes: linear layers, zero weights at the start, white inputs, orthogonal feedback.
    Source: derived in this project.
    Class: derived
    """
    orthogonal(check)
    claimed = [("-".join(map(str, sizes)), LONG, deep_gap(sizes)[0]) for sizes in DIMS]
    broken = [
        ("generic B₂", LONG, deep_gap(DIMS[0], generic=True)[0]),
        ("a start of 0.1", LONG, deep_gap(DIMS[0], start=0.1)[0]),
    ]
    show(check, "Distance of deep feedback alignment from its chains.", claimed, broken)


def control_orthogonal_feedback_generic(check):
    """A Gaussian B₂."""
    orthogonal(check, generic=True)


def control_orthogonal_feedback_other_start(check):
    """A Gaussian start of scale 0.1."""
    orthogonal(check, start=0.1)
