"""Ji & Telgarsky 2020, "Directional convergence and alignment in deep learning" (NeurIPS 2020).

arXiv:2006.06657, with Lyu & Li, "Gradient descent maximizes the margin of homogeneous neural
networks", arXiv:1906.05890 (ICLR 2020).  Networks f of degree L in their weights, labels ±1,
margins p = y f, the loss Σ ℓ(p) with ℓ(p) = e^{-p} or log(1 + e^{-p}), a sum and not a mean; the
smoothed margin α = ℓ⁻¹(loss).  Flows run in log-norm time until log t = 10⁵ and more.  No theorem
is cited by its number.
"""

from functools import cache, partial

import numpy as np

import faflow as ff
from faflow import laws, margins
from faflow.flow.lognorm import lognorm
from faflow.matrices import rational
from faflow.nets import any_loss, forward, shapes
from faflow.plot import panels

KINDS = {
    "linear": ((3, 1), "linear"),
    "two linear layers": ((3, 4, 1), "linear"),
    "relu²": ((4, 4, 1), "relu_power(2)"),
    "relu": ((3, 4, 1), "relu"),
    "three linear layers": ((3, 4, 4, 1), "linear"),
    "two support vectors": ((3, 4, 1), "linear"),
    "tanh": ((4, 4, 1), "tanh"),
}
LOSSES = ("exponential", "logistic")
RULES = {"GD": ff.GD, "FA": ff.FA, "DFA": ff.DFA}
TIME = "log t  (t in 1/learning rate)"
BOUND = {"color": "0.3", "ls": "--", "lw": 1}
BROKEN = {"color": "C3", "lw": 1.5}
COLOURS = ("C0", "C1", "C2", "C4", "C5")


# Data, starts and flows, shared by all claims


def separable(rng, number=3, d=3, n=20):
    """Samples that a plane through the origin separates, and not nearly degenerate ones.

    So many support vectors, each with a tenth of the multipliers λ or more, all other margins
    larger by a tenth, and the eigenvalues μ of Σ λxxᵀ at least 0.2 on their span, as deviations
    decay as t^-μ: where a share was 0.004 the asymptotics were seen only from log t = 5000.
    """
    while True:
        teacher = rng.standard_normal(d)
        teacher /= np.linalg.norm(teacher)
        X = rng.standard_normal((d, n))
        Y = np.sign(teacher @ X)[None]
        X = X + 0.3 * np.outer(teacher, Y)
        best = margins.max_margin(X, Y)
        shares, p = best.multipliers / best.multipliers.sum(), (best.direction @ X * Y)[0]
        support = shares > 1e-9
        clear = shares[support].min() > 0.1 and p[~support].min() > 1.1 * best.margin
        modes = np.linalg.eigvalsh(X * best.multipliers @ X.T)[::-1][:number]
        if support.sum() == number and clear and modes.min() > 0.2:
            return X, Y


def quadrants(rng):
    """One sample near each of (±1, ±1), exclusive or for labels, two inputs of noise."""
    corners = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [0, 0, 0, 0], [0, 0, 0, 0]])
    X = corners + 0.3 * rng.standard_normal((4, 4))
    return corners, X, (corners[0] * corners[1])[None].astype(float)


def two_classes(rng):
    """Four samples of each class near ± one direction, and units of both signs near it as well."""
    teacher = rng.standard_normal((3, 1))
    teacher /= np.linalg.norm(teacher)
    Y, signs = np.array([[1.0, -1.0] * 4]), np.array([[1.0, 1.0, -1.0, -1.0]])
    W = (teacher * signs).T + 0.5 * rng.standard_normal((4, 3))
    upper = signs * (1 + 0.3 * rng.standard_normal((1, 4)))
    return teacher * Y + 0.3 * rng.standard_normal((3, 8)), Y, (W, upper)


def drawn(kind, rng, seed):
    """Samples and weights: Gaussian, and for relu² a unit near each of the four samples.

    From Gaussian weights relu² networks may pass saddles, and units compete, for very long.
    ReLU networks slide along kinks from most starts, so that they too have a problem of their own.
    """
    sizes, phi = KINDS[kind]
    if kind == "relu":
        return two_classes(rng)
    if phi == "linear":
        return *separable(rng, 2 if kind == "two support vectors" else 3), ff.init(sizes, seed=seed)
    corners, X, Y = quadrants(rng)
    if kind != "relu²":
        return X, Y, ff.init(sizes, seed=seed)
    W = corners.T + 0.5 * rng.standard_normal((4, 4))
    return X, Y, (W, Y * (1 + 0.5 * rng.standard_normal((1, 4))))


@cache
def problem(kind, seed, loss):
    """A task and a start with α > 0.1, reached by gradient flow from weights drawn.

    A draw whose flow leaves a sample at margin 0, where no unit sees it, or slides along a kink,
    is replaced.
    """
    for attempt in range(20):
        X, Y, w0 = drawn(kind, np.random.default_rng([seed, attempt]), [seed, attempt])
        task = ff.Task(X, Y, KINDS[kind][1], loss)
        try:
            sol = lognorm(ff.GD(), task, w0, u=3, checked=False, max_steps=300, rtol=1e-6)
        except ff.Unfinished:
            continue
        separated = np.flatnonzero(sol.measure(margins.smoothed_margin, task=task) > 0.1)
        if len(separated):
            return task, sol.at(separated[0])
    raise RuntimeError(f"No draw of {kind} from seed {seed} reached α > 0.1.")


@cache
def flow(kind, seed, loss, rule, /):
    """The flow from `problem` to log t = 1.1e5, for relu² 1.1e6, and L; tanh as if L were 2."""
    task, w0 = problem(kind, seed, loss)
    rule = RULES[rule].random((len(task.X), *map(len, w0)), seed=seed)
    end, rtol = 1.1e6 if kind == "relu²" else 1.1e5, 1e-8 if kind == "linear" else 1e-7
    known = kind != "tanh"
    sol = lognorm(rule, task, w0, log_time=end, checked=known, rtol=rtol)
    return sol, margins.degree_of(task, len(w0)) if known else 2


def runs(check, kind, rule="GD"):
    """(solution, L) of several seeds, the two losses in turn; in the full tier of each loss."""
    pairs = check.tier(
        [(seed, LOSSES[seed % 2]) for seed in range(4)],
        [(seed, loss) for seed in range(6) for loss in LOSSES],
    )
    return [flow(kind, *pair, rule) for pair in pairs]


def said(check, kind, x=None):
    span = "" if x is None else f", log t from {x[0]:.0f} to {x[-1]:.0f}"
    seeds = check.tier("seeds 0-3, the two losses in turn", "seeds 0-5, each with both losses")
    drawn = {
        "relu²": "from units near the samples",
        "relu": "two classes far apart, units near them, starts that slide along kinks redrawn",
        "tanh": "one sample near each corner of a square, exclusive or",
    }
    return f"{kind}: {seeds}{span}; {drawn.get(kind, 'data not near-degenerate')}"


def homogeneous(check):
    few = ("linear", "two linear layers", "relu²")
    return check.tier(few, (*few, "three linear layers"))


def grid(kind):
    """13 values of log t over three decades: lower where 1 - cos θ falls faster, as its square."""
    return np.geomspace(1, 1000, 13) * {"linear": 60, "relu²": 1000}.get(kind, 100)


def at_log_times(sol, x, of):
    """The positive ``of(k)`` of step k at these values of log t, between steps by a power of it."""
    clock = sol.observed["log_time"]
    after = np.searchsorted(clock, x)
    share = np.log(x / clock[after - 1]) / np.log(clock[after] / clock[after - 1])
    before, there = (np.log([of(k) for k in ks]) for ks in (after - 1, after))
    return np.exp((1 - share) * before + share * there)


def of_law(sol, law, **arguments):
    """`law` as a function of the number of the step."""
    return lambda k: law(sol.rule, sol.at(k), task=sol.task, **arguments)


def norm(w):
    return np.sqrt(sum(np.sum(W**2) for W in w))


def inner(a, b):
    return sum(np.sum(A * B) for A, B in zip(a, b, strict=True))


# Euler's identities


def half_square(rule, w):
    """|w|²/2, of all layers."""
    total = (w[0] @ w[0].T).trace()
    for W in w[1:]:
        total = total + (W @ W.T).trace()
    return total / 2


def euler_rate(rule, w, target, covariance):
    """L⟨E, f⟩, the error times the output, of a deep linear network with squared loss."""
    product = w[0]
    for W in w[1:]:
        product = W @ product
    return len(w) * ((target - product) @ covariance @ product.T).trace()


NETWORKS = (
    ((4, 1), "linear", 1),
    ((4, 5, 3, 1), "linear", 3),
    ((4, 5, 3), "relu", 2),
    ((4, 5, 1), "leaky_relu(2)", 2),
    ((4, 5, 1), "relu_power(2)", 3),
    ((4, 5, 3, 2), "relu", 3),
    ((4, 3, 3, 1), "relu_power(2)", 7),
)
"""Sizes, activation and the degree L, typed by hand."""


def euler_gaps(rule, X, Y, w, phi, bias, L):
    """⟨w, ∇p⟩ - Lp for every margin p, by the rule for a loss whose error is that margin alone."""
    gaps = []
    for i, j in np.ndindex(*Y.shape):
        alone = np.array([[Y[a, j] * int(a == i)] for a in range(len(Y))], dtype=Y.dtype)
        task = ff.Task(X[:, j : j + 1], alone, phi, any_loss, bias)
        v, p = rule(task, w), Y[i, j] * forward(task, w)[2][i, 0]
        gaps.append((inner(w, v) - L * p, norm(w) * norm(v) if Y.dtype == float else 1))
    return gaps


def euler(check, kind=ff.GD, phi=None, bias=False):
    exact, floats, rates = [], [], []
    for number, (sizes, own, L) in enumerate(NETWORKS):
        activity = own if phi is None or len(sizes) == 2 else phi
        for seed in range(check.tier(5, 50)):
            rng = np.random.default_rng([seed, number])
            B = tuple(rng.standard_normal(s) for s in kind.shapes(sizes))
            X, Y = rng.standard_normal((sizes[0], 4)), rng.choice([-1.0, 1.0], (sizes[-1], 4))
            w = tuple(rng.standard_normal(s) for s in shapes(sizes, bias))
            gaps = euler_gaps(kind(B), X, Y, w, activity, bias, L)
            floats += [abs(gap) / scale for gap, scale in gaps if scale]
            for loss in LOSSES:
                small = tuple(W / norm(w) for W in w)
                task = ff.Task(X, Y, activity, loss, bias)
                p = Y * forward(task, small)[2]
                slope = np.exp(-p) if loss == "exponential" else 1 / (1 + np.exp(p))
                rate = ff.over_a_step(half_square, kind(B), task, small).coefficients[1]
                speed = norm(kind(B)(task, small))
                rates += [abs(rate - L * np.sum(slope * p)) / speed] if speed else []
        if phi is None:
            made = lambda s, rng=rng: rational(s, rng, bound=5)
            B, w = (tuple(map(made, sort)) for sort in (kind.shapes(sizes), shapes(sizes, bias)))
            Y = made((sizes[-1], 4))
            gaps = euler_gaps(kind(B), made((sizes[0], 4)), Y, w, activity, bias, L)
            exact += [abs(float(gap)) for gap, _ in gaps]
    states = f"7 networks of L = 1, 2, 3, 7; {check.tier(5, 50)} states each, seeds from 0"
    name = "|⟨w, ∇p⟩ - Lp| / (|w| |∇p|), every margin"
    check.at_most(name, floats, 1e-14, fall=1e-2, on=states)
    name = "|d|w|²/dt - 2L Σ -ℓ'(p)p| / (2|w| |dw/dt|)"
    check.at_most(name, rates, 1e-14, fall=1e-2, on=f"{states}, both losses")
    if phi is None:
        name = "|⟨w, ∇p⟩ - Lp|, exact rationals"
        check.at_most(name, exact, 0.0, fall=1e-2, on="7 networks, one rational state each")


def claim_euler_identities(check):
    r"""For a network of degree $L$, $\langle w, \nabla p_i\rangle = L p_i$ for every margin.

    $$ \tfrac{d}{dt} |w|^2 = 2L \sum_i -\ell'(p_i)\, p_i $$

    along gradient flow: Euler's identity for homogeneous functions, once for each margin and once
    summed with the loss.  Proved for every size for deep linear networks of 1 to 5 layers with
    squared loss, where the right side is $2L\langle Y - f, f\rangle$; zero in exact rationals at
    states of seven networks; seen in floating point for both losses.

    Assumes: f homogeneous of degree L in all weights together, so no biases; gradient flow.
    Source: Euler; the form is that of Lyu & Li (2020), recalled.
    Class: recalled
    """
    for depth in (1, 2, 3, 4, 5):
        check.proved(ff.prove(half_square, ff.GD, depth=depth, loss="squared", rate=euler_rate))
    euler(check)
    fig, ax = panels()
    for kind, style in {
        "two linear layers": {"color": "C0", "lw": 4},
        "relu²": {"color": "C1"},
        "tanh": BROKEN,
    }.items():
        sol, L = flow(kind, 0, "exponential", "GD")
        steps = np.flatnonzero(sol.observed["log_time"] > 1)
        ratio = [euler_ratio(sol, k, L) for k in steps]
        label = f"{kind}, L = {L}" if kind != "tanh" else "control: tanh, as if L = 2"
        ax.semilogx(sol.observed["log_time"][steps], ratio, label=label, **style)
    ax.axhline(1, label="Euler's identity", **BOUND)
    ax.set(
        xlabel=TIME,
        ylabel=r"$\langle w, -\nabla$loss$\rangle$ / $L\,\Sigma\,{-\ell'(p)}\,p$",
        ylim=(0, 1.3),
    )
    ax.legend(fontsize=8)
    check.figure(fig, "How fast the weights grow, over what Euler's identity says.")


def euler_ratio(sol, k, L):
    """⟨w, ∇α⟩ / LΣ shares·p: the same as with the loss, without underflow."""
    unit, w = margins.normalised(sol.task), sol.at(k)
    f = forward(unit, w)[2]
    return inner(w, sol.rule(unit, w)) / (L * np.sum(unit.loss.error(f, unit.Y) * f))


def control_euler_identities_tanh(check):
    """Hidden units are tanh, each network's L as before."""
    euler(check, phi="tanh")


def control_euler_identities_biases(check):
    """Every layer has biases, which count among the weights."""
    euler(check, bias=True)


def control_euler_identities_feedback_alignment(check):
    """The error returns through fixed matrices, so that the velocity is no gradient."""
    check.proved(ff.prove(half_square, ff.FA, loss="squared", rate=euler_rate))
    check.proved(ff.prove(half_square, ff.FA, depth=3, loss="squared", rate=euler_rate))


# The smoothed margin grows


STATES = (
    ((20, 1), "identity", 1),
    ((3, 1), "linear", 1),
    ((3, 4, 1), "linear", 2),
    ((3, 8, 1), "relu", 2),
    ((3, 8, 1), "relu_power(2)", 3),
    ((3, 5, 4, 2), "leaky_relu(0.1)", 3),
)
"""Networks for random states; with X the identity every vector of margins can occur."""


def random_states(each, phi=None):
    """(task, w, L) at random: labels the network's own, scaled up to an α of 0.1 to 150.

    each: how many draws of every network.
    """
    for number, (sizes, own, L) in enumerate(STATES):
        if phi is not None and len(sizes) == 2:
            continue
        for seed in range(each):
            rng = np.random.default_rng([seed, number])
            X = np.eye(sizes[0]) if own == "identity" else rng.standard_normal((sizes[0], 8))
            activity = phi or ("linear" if own == "identity" else own)
            w = tuple(rng.standard_normal(s) for s in shapes(sizes))
            f = forward(ff.Task(X, np.ones((sizes[-1], X.shape[1])), activity), w)[2]
            Y = np.sign(f)
            if np.abs(f).min() < 1e-3 * np.abs(f).max():
                continue  # the least margin would be all rounding, or 0 where no unit is active
            task = ff.Task(X, Y, activity, LOSSES[seed % 2])
            alpha = margins.smoothed_margin(ff.GD(), w, task=task)
            level = 10 ** rng.uniform(-1, 2)
            while alpha <= level:
                w = (*w[:-1], 1.5 * w[-1])
                alpha = margins.smoothed_margin(ff.GD(), w, task=task)
            yield task, w, L


RANDOM = "(d log ã / d log|w| - L tan²θ) cos²θ, least at random states"
RISING_RANDOM = "dã/du over |ã|, least at random states"
ALONG = "(d log ã / d log|w| - L tan²θ) cos²θ, least along flows"
RISING = "d log ã / du, least along flows"
RELU = "(d log ã / d log|w| - L tan²θ) cos²θ, least at states along training"


def wrong_states(each):
    """(task, w, L): linear, ten samples close together, all of them on the wrong side: α < 0."""
    for seed in range(each):
        rng = np.random.default_rng([seed, 10])
        teacher = rng.standard_normal((3, 1))
        teacher /= np.linalg.norm(teacher)
        X = teacher + 0.05 * rng.standard_normal((3, 10))
        w = (-(10 ** rng.uniform(-2, 0)) * teacher.T,)
        yield ff.Task(X, np.ones((1, 10)), "linear", LOSSES[seed % 2]), w, 1


def growth_at(check, states, on, value=np.min, rising=True):
    """Slack of the inequality and rise of ã at these states (task, w, L)."""
    slacks, rises = [], []
    for task, w, L in states:
        slacks.append(margins.margin_slack(ff.GD(), w, task=task, degree=L))
        rise = margins.margin_growth(ff.GD(), w, task=task, degree=L)
        rises.append(rise * np.sign(margins.smoothed_margin(ff.GD(), w, task=task)))
    on = f"{len(slacks)} {on}; 1e-11 for rounding"
    check.at_least(RANDOM, value(slacks), -1e-11, fall=-0.1, on=on)
    if rising:
        check.at_least(RISING_RANDOM, value(rises), -1e-11, fall=-0.1, on=on)


def growth_at_random(check, phi=None):
    states = random_states(check.tier(100, 2000), phi)
    on = "states of networks with L = 1, 2, 3, both losses; seeds from 0"
    growth_at(check, states, on, rising=phi is None)


def least_along(sol, law, L):
    """The least of a law at the states with α > 0.1."""
    steps = np.flatnonzero(sol.measure(margins.smoothed_margin, task=sol.task) > 0.1)
    return min(map(of_law(sol, law, degree=L), steps))


def growth_along_flows(check, kind, rule="GD"):
    pairs = runs(check, kind, rule)
    least = lambda law: check.worst([least_along(sol, law, L) for sol, L in pairs], small=False)
    end = min(sol.observed["log_time"][-1] for sol, _ in pairs)
    seen = f"{said(check, kind)}; every step with α > 0.1 until log t = {end:.1e}"
    check.at_least(ALONG, least(margins.margin_slack), 0.0, fall=-0.1, on=seen)
    check.at_least(RISING, least(margins.margin_growth), 0.0, fall=-0.1, on=seen)


def growth_of_relu(check, rule=ff.GD):
    """At states of relu networks trained by `rule`, from where gradient descent separates them."""
    seeds, slacks = check.tier(3, 6), []
    for seed in range(seeds):
        X = np.random.default_rng(seed).standard_normal((3, 8))
        task = ff.Task(X, np.sign(X[:1] * X[1:2]), "relu", LOSSES[seed % 2])
        begun = ff.iterate(ff.GD(), task, ff.init((3, 20, 1), seed=seed), eta=0.005, steps=2000)
        alphas = begun.measure(margins.smoothed_margin, task=task)
        w0 = begun.at(np.flatnonzero(alphas > 0.1)[0])
        trained = rule().random((3, 20, 1), seed=seed)
        sol = ff.iterate(trained, task, w0, eta=0.01, steps=2000, every=10)
        slacks.append(least_along(sol, margins.margin_slack, 2))
    seen = f"relu, 20 units, x₁x₂'s sign as label, n = 8: seeds 0-{seeds - 1}, the two losses in"
    seen += " turn, every tenth of 2,000 steps of 0.01 with α > 0.1"
    check.at_least(RELU, check.worst(slacks, small=False), 0.0, fall=-0.1, on=seen)


def claim_margin_growth(check):
    r"""Once $\alpha > 0$, the normalised margin $\tilde a = \alpha/|w|^L$ never falls.

    $$ \frac{d \log \tilde a}{d \log |w|} \ge L \tan^2 \theta \ge 0, \qquad
       \cos\theta = \frac{\langle w, -\nabla \mathcal{L}\rangle}{|w|\, |\nabla \mathcal{L}|} $$

    With $u$ the log-norm time, $d\alpha/du = |w| |\nabla\alpha|$ and $d\log|w|/du = \cos\theta$,
    so all follows from $\langle w, \nabla\alpha\rangle \ge L\alpha$.  By Euler's identity that is
    $\sum \phi(x_i) \ge \phi(\sum x_i)$ for the losses $x_i = \ell(p_i)$, with
    $\phi(x) = -\ell'(p)\,p$ at $p = \ell^{-1}(x)$: $-x \log x$, or for the logistic loss
    $-(1 - e^{-x}) \log(e^x - 1)$.  Both are concave with $\phi(0) = 0$ (the
    second up to $x = 1.5$), so they are subadditive.  The inequality is one of states: measured at
    random ones, along training of relu networks in discrete steps, and along flows.  The premise
    $\alpha > 0$ is needed: below, the division by $\alpha$ turns the inequality round, and where
    many samples alike are all on the wrong side $\tilde a$ itself falls, for both losses.

    Assumes: homogeneous network, exponential or logistic loss, summed; alpha > 0; gradient flow.
    The flows are from data and starts selected for the powers of the other claims.
    Source: monotone smoothed margin in Lyu & Li (2020), read; this form, and the proof for the
    logistic loss by concavity, derived in this project.
    Class: derived
    """
    growth_at_random(check)
    growth_of_relu(check)
    for kind in homogeneous(check):
        growth_along_flows(check, kind)
    fig, (left, right) = panels(2)
    for phi, color in ((None, "C0"), ("tanh", "C3")):
        seen = []
        for task, w, L in random_states(100, phi):
            slack = margins.margin_slack(ff.GD(), w, task=task, degree=L)
            seen.append((margins.smoothed_margin(ff.GD(), w, task=task), slack / L + 1))
        label = "separated states" if phi is None else "control: tanh, with these L"
        left.loglog(*np.transpose(seen), ".", color=color, ms=3, label=label)
    left.axhline(1, label="the bound", **BOUND)
    left.set(xlabel="smoothed margin α", ylabel=r"$\cos^2\theta$ / L · d log α / d log |w|")
    left.set(ylim=(0.1, 1e2))
    left.legend(fontsize=8)
    for rule, color in (("GD", "C0"), ("FA", "C3")):
        for seed in range(4):
            sol, L = flow("two linear layers", seed, LOSSES[seed % 2], rule)
            a = sol.measure(margins.normalised_margin, task=sol.task)
            label = {"GD": "gradient flow", "FA": "control: feedback alignment"}[rule]
            right.semilogx(
                sol.observed["log_time"][1:], a[1:], color=color, label=None if seed else label
            )
    right.set(xlabel=TIME, ylabel="normalised margin α/|w|²", xlim=(0.1, None))
    right.legend(fontsize=8)
    check.figure(
        fig, "Left, growth of the margin at random states; right, along flows of two layers."
    )


def control_margin_growth_negative_margin(check):
    """α < 0: ten samples close together, all on the wrong side of a plane."""
    on = "states of linear networks with α < 0, the two losses in turn, seeds from 0, the largest"
    growth_at(check, wrong_states(check.tier(100, 400)), on, value=np.max)


def control_margin_growth_tanh(check):
    """Hidden units are tanh, treated as if L were 2 (or 3)."""
    growth_at_random(check, "tanh")
    growth_along_flows(check, "tanh")


def control_margin_growth_feedback_alignment(check):
    """Feedback alignment, on two linear layers."""
    growth_along_flows(check, "two linear layers", "FA")


def control_margin_growth_feedback_alignment_relu(check):
    """Feedback alignment, on 20 relu units."""
    growth_of_relu(check, ff.FA)


# Directional convergence


def path_of_flow(sol):
    """log 1/loss at every step, and the length of the path of w/|w| up to there."""
    of = lambda rule, w: (
        -margins.log_loss(margins.margins(rule, w, task=sol.task), sol.task.loss.name)
    )
    return sol.measure(of), margins.path_length(sol)


def path_in_hat(start, end=8e3):
    r"""log 1/f and the length of the path in the disc, along gradient flow of the Mexican hat.

    $f = e^{-q}(1 - A \sin(\varphi - q))$, $q = 1/(1 - r^2)$, $A = K/(K + 1)$, $K = 4r^4q^4$.  The
    flow falls into the valley φ - q → π/2, and is integrated in the angle φ for log v, with
    v = π/2 - φ + q: nothing is lost to cancellation there, where v ≈ 1/(4q⁴).
    """
    from scipy.integrate import Radau

    def parts(angle, v):
        q = angle - np.pi / 2 + v
        K, rise = 4 * q**2 * (q - 1) ** 2, 8 * q * (q - 1) * (2 * q - 1)
        f = 1 / (K + 1) + K / (K + 1) * 2 * np.sin(v / 2) ** 2  # 1 - A cos v, times e^q
        return q, K / (K + 1), np.sqrt(1 - 1 / q), f, rise / (K + 1) ** 2

    def field(s, y):  # s = log φ
        angle, v = np.exp(s), np.exp(y[0])
        q, A, r, f, A_rise = parts(angle, v)
        down_q = f + A_rise * np.cos(v) - A * np.sin(v)  # -df/dq at fixed φ, times e^q
        q_by_angle = 4 * r**4 * q**4 * down_q / (A * np.sin(v))
        along = np.hypot(q_by_angle / (2 * r * q**2), r)  # dr/dq = 1/(2 r q²)
        return angle * np.array([(q_by_angle - 1) / v, along])

    q, v = start
    y0, s0 = np.array([np.log(v), 0.0]), np.log(q + np.pi / 2 - v)
    stepper = Radau(field, s0, y0, np.log(end), rtol=1e-6, atol=1e-6)
    kept = [(s0, *y0)]
    with np.errstate(over="ignore"):  # of the factors by which SciPy steps for a Jacobian
        while stepper.status == "running":
            stepper.step()
            kept.append((stepper.t, *stepper.y))
    if stepper.status != "finished":
        raise RuntimeError(f"The flow in the hat stopped at angle {np.exp(stepper.t):g}.")
    s, log_v, length = np.array(kept).T
    q, _, _, f, _ = parts(np.exp(s), np.exp(log_v))
    return q - np.log(f), length


def lengths(path, edges):
    """Length gained from edge to edge of log 1/loss, which rises along every flow."""
    x, length = path
    return np.diff(np.interp(np.log(edges), np.log(np.maximum(x, 1e-9)), length))


def middle(edges):
    return np.sqrt(edges[1:] * edges[:-1])


def directional(check, paths, L, edges, on, power=True):
    """power: whether that of the length is measured too, which is for generic problems."""
    gained = np.array([lengths(path, edges) for path in paths]) ** L
    if power:
        check.scaling(
            "(length of the path per e-fold of log 1/loss)^L",
            middle(edges),
            gained / np.log(edges[1] / edges[0]) ** L,
            -1,
            within=0.1,
            fall=1,
            on=f"{on}, log 1/loss from {edges[0]:.0f} to {edges[-1]:.0f}",
        )
    last = lambda x, length: (
        1 - np.interp(edges[-1] / 10, x, length) / np.interp(edges[-1], x, length)
    )
    check.at_most(
        "share of the path's length in the last decade of log 1/loss",
        check.worst([last(*path) for path in paths]),
        0.1,
        fall=0.5,
        on=f"{on}, log 1/loss up to {edges[-1]:.0e}",
    )


LOST = "least log 1/loss over log t, at the end"
CLOSE = "largest difference of min p and α, over |w|^L, at the end"
LEAST, LARGEST = (
    f"{which} (min p - α) / (log n + (n - 1)e^(-min p))" for which in ("least", "largest")
)


def apart_at(task, w, mean=False, counted=True):
    """(min p - α) / (log n + (n - 1)e^{-min p}).

    mean: α is that of the mean of the losses; counted: whether log n is in the bound.
    """
    p = margins.margins(ff.GD(), w, task=task)
    n, least = p.size, p.min()
    alpha = margins.smoothed_margin(ff.GD(), w, task=task)
    if mean:
        x = np.exp(margins.log_loss(p, task.loss.name)) / n
        alpha = -np.log(x if task.loss.name == "exponential" else np.expm1(x))
    return (least - alpha) / (counted * np.log(n) + (n - 1) * np.exp(-least))


def equal_margins(each):
    """(task, w, L): n samples of the same margin, where the bound is met as the margin grows."""
    for seed in range(each):
        rng = np.random.default_rng([seed, 11])
        n = rng.integers(2, 21)
        w = (np.array([[rng.uniform(6, 20)]]),)
        yield ff.Task(np.ones((1, n)), np.ones((1, n)), "linear", LOSSES[seed % 2]), w, 1


def meeting(check, **broken):
    """The two normalised margins meet as said, at random states and where all p are equal."""
    each = check.tier(50, 500)
    random = [] if "counted" in broken else list(random_states(each))
    equal = [] if "mean" in broken else list(equal_margins(each))
    seen = [apart_at(task, w, **broken) for task, w, _ in [*random, *equal]]
    on = f"{len(random)} random states of L = 1, 2, 3, {len(equal)} of equal margins, both losses,"
    on += " seeds from 0; 1e-12 for rounding"
    if "counted" not in broken:
        check.at_least(LEAST, check.worst(seen, small=False), -1e-12, fall=-0.1, on=on)
    if "mean" not in broken:
        check.at_most(LARGEST, check.worst(seen), 1 + 1e-12, fall=10, on=on)


def separated(check, sols, L, on, near=1e-3, lost=0.95):
    """What separability gives: the loss falls as 1/t up to logarithms, and ã meets ā.

    near: bound of ā - ã at the end; lost: of log 1/loss over log t.
    """
    falls, apart = [], []
    for sol in sols:
        w, p = sol.at(-1), margins.margins(sol.rule, sol.at(-1), task=sol.task)
        log_loss = margins.log_loss(p, sol.task.loss.name)
        falls.append(-log_loss / sol.observed["log_time"][-1])
        least = margins.least_margin(sol.rule, w, task=sol.task, degree=L)
        apart.append(least - margins.normalised_margin(sol.rule, w, task=sol.task, degree=L))
    check.at_least(LOST, check.worst(falls, small=False), lost, fall=0.1, on=on)
    check.at_most(CLOSE, check.worst(apart), near, fall=0.3, on=on)
    if not check.control:
        seen = np.concatenate([quotients(sol) for sol in sols])
        on += "; every step with α > 0.1; 1e-9 for rounding of p up to 1e6"
        check.at_least(LEAST, seen, -1e-9, fall=-0.1, on=on)
        check.at_most(LARGEST, seen, 1 + 1e-9, fall=10, on=on)


def quotients(sol):
    """`apart_at` along a flow."""
    alphas = sol.measure(margins.smoothed_margin, task=sol.task)
    return [apart_at(sol.task, sol.at(k)) for k in np.flatnonzero(alphas > 0.1)]


@cache
def mirrored(wrong, seed):
    """Logistic regression on inputs that come twice, mirrored in a small x₂, until log t = 12.

    wrong: whether a fifth of the labels is wrong.  Then w → w* with w₂* = 0, where w₂ tends to 0
    so slowly that it hardly has moved at the end; else the sign of x₁ is the label, and the flow
    reaches α > 0 soon.
    """
    rng = np.random.default_rng(seed)
    X = np.array([[2.0], [1e-3]]) * rng.standard_normal((2, 10))
    Y = np.sign(X[:1]) * np.where(np.arange(10) % 5, 1, -1 if wrong else 1)
    X, Y = np.hstack([X, X * [[1], [-1]]]), np.hstack([Y, Y])
    task, w0 = ff.Task(X, Y, "linear", "logistic"), (rng.standard_normal((1, 2)),)
    return lognorm(ff.GD(), task, w0, log_time=12, checked=False, rtol=1e-10, atol=1e-12)


def all_mirrored(wrong):
    return [mirrored(wrong, seed) for seed in range(4)]


MIRRORED = "logistic regression, inputs mirrored in x₂, {} labels, seeds 0-3, log t = 12"


def edges_of(kind):
    """14 edges, the middles of the intervals between them over three decades."""
    return np.geomspace(1, 2000, 14) * {"linear": 20, "relu²": 500}.get(kind, 50)


STARTS = ((1.5, 0.6), (1.5, 1.0), (1.8, 1.4))
"""q and v where the flow in the Mexican hat starts."""


def claim_directional_convergence(check):
    r"""Once $\alpha > 0$, the loss goes to 0 and the path of $w/|w|$ has finite length.

    So $w/|w|$ converges, while $|w|$ grows; and the two normalised margins meet,
    $0 \le \min p/|w|^L - \tilde{a} \le (\log n + (n - 1)e^{-\min p})/|w|^L$ (measured as the
    difference over the right side, at random states and along flows).
    Seen is more: the length gained while $\log 1/\mathcal{L}$ grows by a factor $e$ falls as
    $(\log 1/\mathcal{L})^{-1/L}$, which is summable.  A count of orders says why: what does not
    grow of the weights stays of order one, while $|w|$ grows as $(\log 1/\mathcal{L})^{1/L}$.  That
    the potential is definable in an o-minimal structure cannot be left out: in the Mexican hat of
    the control, smooth inside the disc, the flow goes round for ever.  With wrong labels $w$ itself
    converges, and so its direction, but the loss does not fall and the margins do not meet.

    Assumes: homogeneous network definable in an o-minimal structure, alpha > 0, exponential or
    logistic loss, gradient flow.  For the power, generic problems: linearly separable data redrawn
    until the multipliers of the support vectors are not small; relu² from a unit near each sample.
    Of relu the length alone, on two classes far apart, starts that slide along a kink redrawn.
    Source: Ji & Telgarsky (2020): the statement from the abstract, the conditions recalled; the
    power is derived in this project.  The hat is classical (Palis & de Melo), recalled.
    Class: derived
    """
    fig, (left, right) = panels(2)
    meeting(check)
    separated(check, all_mirrored(False), 1, MIRRORED.format("right"), near=0.1, lost=0.5)
    for number, kind in enumerate((*homogeneous(check), "relu")):
        pairs, edges = runs(check, kind), edges_of(kind)
        paths, L = [path_of_flow(sol) for sol, _ in pairs], pairs[0][1]
        directional(check, paths, L, edges, said(check, kind), power=kind != "relu")
        separated(check, [sol for sol, _ in pairs], L, said(check, kind))
        draw_path(left, right, paths[0], edges, f"{kind}, L = {L}", color=COLOURS[number])
        power = lengths(paths[0], edges)[0] * (middle(edges) / middle(edges)[0]) ** (-1 / L)
        left.plot(middle(edges), power, label=None if number else "power -1/L", **BOUND)
    hat = path_in_hat(STARTS[0])
    draw_path(left, right, hat, np.geomspace(4, 7.8e3, 14), "control: Mexican hat", **BROKEN)
    left.set(ylabel="length gained from point to point", xlabel="log 1/loss")
    right.set(ylabel="length of the path", xlabel="log 1/loss", ylim=(5e-2, 1e7), xlim=(1, None))
    right.legend(fontsize=8)
    left.legend(fontsize=8)
    check.figure(fig, "Length of the path of w/|w|, and of the path in the Mexican hat.")


def draw_path(left, right, path, edges, label, **style):
    left.loglog(middle(edges), lengths(path, edges), marker="o", ms=3, label=label, **style)
    seen = path[0] > 1
    right.loglog(path[0][seen], path[1][seen], label=label, **style)


def control_directional_convergence_not_separable(check):
    """A fifth of the labels is wrong: |w| and the loss do not move on, nor do the margins meet."""
    on = MIRRORED.format("some wrong")
    separated(check, all_mirrored(True), 1, on, near=0.1, lost=0.5)


def control_directional_convergence_mean_loss(check):
    """α of the mean of the losses, which is not below the least margin."""
    meeting(check, mean=True)


def control_directional_convergence_without_log_n(check):
    """The term log n of the bound is left out."""
    meeting(check, counted=False)


def control_directional_convergence_not_definable(check):
    """Gradient flow of the Mexican hat, definable in no o-minimal structure; as if L = 1."""
    paths = [path_in_hat(start) for start in STARTS]
    directional(check, paths, 1, np.geomspace(4, 7.8e3, 14), "Mexican hat, 3 starts")


# Alignment with the gradient


def apart(sol, x):
    """|w/|w| - v/|v||, v minus the gradient, at these values of log t: √(2 - 2 cos θ)."""
    return at_log_times(sol, x, lambda k: of_law(sol, margins.kkt_residuals)(k)[0])


STRAIGHT = "1 - cos θ at the end"


def alignment(check, kind, rule="GD"):
    x, pairs = grid(kind), runs(check, kind, rule)
    between = np.array([apart(sol, x) for sol, _ in pairs])
    check.scaling(
        "(2 - 2 cos θ)^(L/2) against log t",
        x,
        between ** pairs[0][1],
        -1,
        within=0.06,
        fall=0.5,
        on=said(check, kind, x),
    )
    straight(check, [sol for sol, _ in pairs], said(check, kind))
    return x, between, pairs[0][1]


def straight(check, sols, on, bound=2e-3):
    ends = [1 - margins.gradient_cosine(sol.rule, sol.at(-1), task=sol.task) for sol in sols]
    check.at_most(STRAIGHT, check.worst(ends), bound, fall=0.1, on=on)


def claim_alignment(check):
    r"""Once $\alpha > 0$, the weights align with minus the gradient: $\cos\theta \to 1$.

    $$ 1 - \cos\theta \sim (\log t)^{-2/L} $$

    The power is a count of orders: for $L = 1$ the weights are $\hat{w}\log t/\gamma$ up to a
    constant; for $L \ge 2$ what does not grow stays of order one and $|w| \sim (\log t)^{1/L}$.  It
    is for generic problems; near a degenerate one it is reached late, so that data are redrawn
    until three support vectors hold a tenth of the multipliers each.  ReLU networks are left
    out, since their gradient jumps.  Tanh networks are no control: saturated they are homogeneous.

    Assumes: homogeneous network with locally Lipschitz gradients, alpha > 0, exponential or
    logistic loss, gradient flow.  Generic problems: data redrawn until the multipliers of the
    support vectors are not small; relu² from a unit near each sample.
    Source: Ji & Telgarsky (2020): the statement from the abstract, the conditions recalled; the
    power is derived in this project.
    Class: derived
    """
    straight(check, all_mirrored(False), MIRRORED.format("right"), bound=1e-2)
    fig, ax = panels()
    for number, kind in enumerate(homogeneous(check)):
        x, between, L = alignment(check, kind)
        ax.loglog(x, between.T**2 / 2, color=COLOURS[number], lw=1)
        ax.plot([], [], color=COLOURS[number], label=f"{kind}, L = {L}")
        law = between[0, 0] ** 2 / 2 * (x / x[0]) ** (-2 / L)
        ax.plot(x, law, label=None if number else "power -2/L", **BOUND)
    sol, _ = flow("two linear layers", 0, "exponential", "FA")
    x = grid("two linear layers")
    ax.loglog(x, apart(sol, x) ** 2 / 2, label="control: feedback alignment", **BROKEN)
    ax.set(xlabel=TIME, ylabel="1 - cos θ", ylim=(None, 1e5))
    ax.legend(fontsize=8, ncols=2, loc="upper right")
    check.figure(fig, "Angle between the weights and minus the gradient.")


def control_alignment_feedback_alignment(check):
    """Two linear layers under feedback alignment: the upper one outgrows the lower, cos θ → 0."""
    alignment(check, "two linear layers", "FA")


def control_alignment_direct_feedback_alignment(check):
    """Three linear layers under direct feedback alignment."""
    alignment(check, "three linear layers", "DFA")


def control_alignment_not_separable(check):
    """A fifth of the labels is wrong, for as long as the claim takes with the right ones."""
    straight(check, all_mirrored(True), MIRRORED.format("some wrong"), bound=1e-2)


# KKT points


def by_least_squares(sol, k):
    """Complementarity with multipliers fitted by NNLS, which are not unique."""
    from scipy.optimize import nnls

    (W,), p = sol.at(k), margins.margins(sol.rule, sol.at(k), task=sol.task)
    fitted, _ = nnls(sol.task.X * sol.task.Y, W[0])
    return np.sum(fitted * (p - p.min())) / norm(sol.at(k)) ** 2


def allowed(sol, k, L):
    """c (n - 1) / (e L α), c = 1 for the exponential and 2 for the logistic loss."""
    factor = LOSSES.index(sol.task.loss.name) + 1
    alpha = margins.smoothed_margin(sol.rule, sol.at(k), task=sol.task)
    return factor * (sol.task.X.shape[1] - 1) / (np.e * L * alpha)


def few_margins(each, sizes):
    """(task, w, L): one input, chains of L equal weights, margins p_min + 1 or with random gaps.

    w is parallel to the gradient, so that of the steps to the bound only the last is not sharp.
    """
    for n in sizes:
        for seed in range(each):
            rng, L = np.random.default_rng([seed, n, 12]), 1 + seed % 3
            least = 10 ** rng.uniform(0.5, 2)
            gaps = np.ones(n - 1) if seed % 4 < 2 else rng.exponential(2.0, n - 1)
            X = np.concatenate([[1.0], 1 + gaps / least])[None]
            task = ff.Task(X, np.ones((1, n)), "linear", LOSSES[seed % 2])
            w = (np.array([[least ** (1 / L)]]),) * L
            if margins.smoothed_margin(ff.GD(), w, task=task) > 0:
                yield task, w, L


SLACK = "Σ λ(p - min p) / |w|² over c(n - 1)/(e L α), at single states"


def complementarity(check, states, on, bound=lambda n: 1):
    """bound: what the right side is multiplied by, in a control."""
    seen = []
    for task, w, L in states:
        n, alpha = task.X.shape[1], margins.smoothed_margin(ff.GD(), w, task=task)
        right = (LOSSES.index(task.loss.name) + 1) * (n - 1) / (np.e * L * alpha)
        seen.append(margins.kkt_residuals(ff.GD(), w, task=task)[1] / (right * bound(n)))
    check.at_most(SLACK, np.max(seen), 1.0, fall=1.3, on=f"{len(seen)} {on}")


ONE_INPUT = "states of one input and L = 1, 2, 3, w parallel to the gradient, n = {}, both losses"


def kkt(check, kind, rule="GD", own=True):
    """own: the natural multipliers, not those of NNLS."""
    x, pairs, on = grid(kind), runs(check, kind, rule), said(check, kind, grid(kind))
    L = pairs[0][1]
    between = np.array([apart(sol, x) for sol, _ in pairs])
    if own:
        name = "(|w - Σ λ∇p| / |w|)^L against log t"
        check.scaling(name, x, between**L, -1, within=0.06, fall=0.5, on=on)
    if rule != "GD":
        return None
    slack = lambda sol: (
        (lambda k: of_law(sol, margins.kkt_residuals)(k)[1])
        if own
        else (lambda k: by_least_squares(sol, k))
    )
    slacks = np.array([at_log_times(sol, x, slack(sol)) for sol, _ in pairs])
    name = "Σ λ(p - min p) / |w|² against log t"
    check.scaling(name, x, slacks, -1, within=0.06, fall=0.5, on=on)
    bounds = np.array([at_log_times(sol, x, partial(allowed, sol, L=L)) for sol, _ in pairs])
    name = "Σ λ(p - min p) / |w|² over c(n - 1)/(e L α)"
    check.at_most(name, check.worst((slacks / bounds).max(1)), 1.0, fall=10, on=on)
    return x, between, slacks, bounds, L


def claim_kkt_points(check):
    r"""Once $\alpha > 0$, $w/|w|$ tends to that of a KKT point of $\min |w|^2/2$, $p_i \ge 1$.

    $$ \frac{|w - \sum \lambda_i \nabla p_i|}{|w|} = \sqrt{2 - 2\cos\theta} \to 0, \qquad
       \frac{\sum \lambda_i (p_i - p_{\min})}{|w|^2} \le \frac{c\,(n - 1)}{e L \alpha} $$

    with $\lambda_i = |w| |\ell'(p_i)| / |\nabla\mathcal{L}|$, and $c = 1$ for the exponential, $2$
    for the logistic loss.  The bound is derived, from $|w| |\nabla\alpha| \ge L\alpha$,
    $\lambda_i |\nabla\alpha| / |w| \le c\,e^{-(p_i - p_{\min})}$ and $x e^{-x} \le 1/e$.  It is one
    of states, so measured at random ones as well, and at some where it is nearly met: with two
    margins 1 apart and $w$ parallel to the gradient the left side is 0.73 of it, for the
    exponential loss and large margins.
    Stationarity falls as $(\log t)^{-1/L}$, complementarity as $1/\log t$.

    Assumes: homogeneous network with locally Lipschitz gradients and one output, alpha > 0,
    exponential or logistic loss, gradient flow.  Generic problems: data redrawn until the
    multipliers of the support vectors are not small; relu² from a unit near each sample.
    Source: Lyu & Li (2020), read; bound and powers are derived in this project.
    Class: derived
    """
    fig, (left, right) = panels(2)
    each = check.tier(50, 500)
    states = (state for state in random_states(each) if len(state[0].Y) == 1)
    on = "random states, L = 1, 2, 3, n = 8 and 20, both losses, seeds from 0"
    complementarity(check, states, on)
    complementarity(check, few_margins(each, (2, 8, 20)), ONE_INPUT.format("2, 8, 20"))
    for number, kind in enumerate(homogeneous(check)):
        x, between, slacks, bounds, L = kkt(check, kind)
        color = COLOURS[number]
        left.loglog(x, between.T, color=color, lw=1)
        left.plot([], [], color=color, label=f"{kind}, L = {L}")
        law = between[0, 0] * (x / x[0]) ** (-1 / L)
        left.plot(x, law, label=None if number else "power -1/L", **BOUND)
        right.loglog(x, slacks.T, color=color, lw=1)
        right.plot([], [], color=color, label=f"{kind}, L = {L}")
        style = BOUND | {"ls": ("--", "-.", ":", (0, (1, 3)))[number]}
        right.plot(x, bounds[0], label=f"bound, {kind}", **style)
    sol, _ = flow("two linear layers", 0, "exponential", "FA")
    x = grid("two linear layers")
    left.loglog(x, apart(sol, x), label="control: feedback alignment", **BROKEN)
    sol, x = flow("linear", 0, "exponential", "GD")[0], grid("linear")
    fitted = at_log_times(sol, x, partial(by_least_squares, sol))
    right.loglog(x, fitted, label="control: multipliers by NNLS", **BROKEN)
    left.set(xlabel=TIME, ylabel="stationarity  |w - Σ λ∇p| / |w|", ylim=(None, 1e3))
    right.set(xlabel=TIME, ylabel="complementarity  Σ λ(p - min p) / |w|²", ylim=(None, 1e4))
    left.legend(fontsize=8, ncols=2, loc="upper right")
    right.legend(fontsize=8, ncols=2, loc="upper right")
    check.figure(fig, "How far the weights are from a KKT point, at any norm.")


def control_kkt_points_half_the_constant(check):
    """Half of c, with two samples."""
    states = few_margins(check.tier(50, 500), (2,))
    complementarity(check, states, ONE_INPUT.format("2"), bound=lambda n: 1 / 2)


def control_kkt_points_without_the_number_of_samples(check):
    """The factor n - 1 is left out, with twenty samples."""
    states = few_margins(check.tier(50, 500), (20,))
    complementarity(check, states, ONE_INPUT.format("20"), bound=lambda n: 1 / (n - 1))


def control_kkt_points_multipliers_by_least_squares(check):
    """Linear, λ by NNLS: as small a residual, but other samples than the support vectors."""
    kkt(check, "linear", own=False)


def control_kkt_points_feedback_alignment(check):
    """Two linear layers under feedback alignment."""
    kkt(check, "two linear layers", "FA")


# Rates


def best_margin(sol, kind, L):
    """The limit of α/|w|^L: γ L^{-L/2} for linear layers, γ of the SVM; else extrapolated.

    Extrapolated from two times a factor 8 apart, as the distance falls like (log t)^(-2/L).
    """
    if KINDS[kind][1] == "linear":
        return margins.max_margin(sol.task.X, sol.task.Y).margin * L ** (-L / 2)
    x = grid(kind)[-1] * np.array([1 / 8, 1])
    early, late = at_log_times(sol, x, of_law(sol, margins.normalised_margin, degree=L))
    return late + (late - early) / (8 ** (2 / L) - 1)


def loss_law(sol, k, L, a):
    """loss · t · (log t)^(2 - 2/L) · L² a^(2/L)."""
    log_t = sol.observed["log_time"][k]
    p = margins.margins(sol.rule, sol.at(k), task=sol.task)
    log_loss = margins.log_loss(p, sol.task.loss.name)
    return np.exp(log_loss + log_t) * log_t ** (2 - 2 / L) * L**2 * a ** (2 / L)


def norm_law(sol, k, L, a):
    """|w| (a / log t)^(1/L)."""
    return norm(sol.at(k)) * (a / sol.observed["log_time"][k]) ** (1 / L)


FLAT, NEAR = "loss · t · (log t)^(2-2/L) L² a^(2/L) against log t", "its distance from 1 at the end"
FLAT_NORM, NEAR_NORM = (
    "|w| (a / log t)^(1/L) against log t",
    "that one's distance from 1 at the end",
)
NEAR_MEAN = "mean loss · t · (log t)^(2-2/L) L² a^(2/L), its distance from 1 at the end"
CLOSER = "distance of loss · t · … from 1, against log t"


def rates(
    check,
    kind,
    degree=None,
    margin=best_margin,
    measured=(FLAT, NEAR, FLAT_NORM, NEAR_NORM, CLOSER),
):
    """degree: L if not the network's own; margin: what a is; measured: names of the evidence."""
    pairs, x, on = runs(check, kind), grid(kind), said(check, kind, grid(kind))
    L, values, norms = degree or pairs[0][1], [], []
    for sol, _ in pairs:
        a = margin(sol, kind, L)
        values.append(at_log_times(sol, x, partial(loss_law, sol, L=L, a=a)))
        norms.append(at_log_times(sol, x, partial(norm_law, sol, L=L, a=a)))
    values, norms = np.array(values), np.array(norms)
    if FLAT in measured:
        check.scaling(FLAT, x, values, 0, within=0.02, fall=0.2, on=on)
    if NEAR in measured:
        check.at_most(NEAR, check.worst(np.abs(values[:, -1] - 1)), 1e-3, fall=0.05, on=on)
    if FLAT_NORM in measured:
        check.scaling(FLAT_NORM, x, norms, 0, within=0.02, fall=0.1, on=on)
    if NEAR_NORM in measured and KINDS[kind][1] == "linear":
        check.at_most(NEAR_NORM, check.worst(np.abs(norms[:, -1] - 1)), 2e-3, fall=0.03, on=on)
    if CLOSER in measured and L > 1:
        check.scaling(CLOSER, x, np.abs(values - 1), -0.88, within=0.1, fall=0.5, on=on)
    return x, values, norms, L


def rates_of_mean_loss(check, kind, own_time=True):
    """The first limit for the mean loss, whose flow takes n times as long to the same states."""
    x, gaps, seeds = grid(kind)[-1:], [], check.tier(2, 6)
    for seed in range(seeds):
        task, w0 = problem(kind, seed, LOSSES[seed % 2])
        n, L = task.X.shape[1], margins.degree_of(task, len(w0))
        rule = ff.GD(rates=1 / n) if own_time else ff.GD()
        sol = lognorm(rule, task, w0, log_time=1.1 * x[0], rtol=1e-7)
        law = partial(loss_law, sol, L=L, a=best_margin(sol, kind, L))
        gaps.append(abs(at_log_times(sol, x, law)[0] / n - 1))
    on = f"{kind}: seeds 0-{seeds - 1}, the two losses in turn, log t = {x[0]:.0f}; data not"
    on += " near-degenerate"
    check.at_most(NEAR_MEAN, check.worst(gaps), 1e-3, fall=0.05, on=on)


def claim_rates(check):
    r"""The loss falls as $1/(t (\log t)^{2-2/L})$, $|w|$ grows as $(\log t)^{1/L}$, sharply.

    $$ \mathcal{L} \cdot t \cdot (\log t)^{2-2/L} \to \frac{1}{L^2 a^{2/L}}, \qquad
       \frac{|w|}{(\log t)^{1/L}} \to a^{-1/L}, \qquad a = \lim \tilde{a} $$

    From $d\alpha/dt = |\nabla\alpha|^2 e^{-\alpha}$ with $|w| |\nabla\alpha| \sim L\alpha$ and
    $|w| \sim (\alpha/a)^{1/L}$.  For $L = 1$ the first limit is met beyond all powers of $\log t$;
    for $L > 1$ the distance from it falls as $\log\log t / \log t$, which looks like the power
    $-0.88$ over these three decades of $\log t$.  For linear layers $a = \gamma L^{-L/2}$ with the
    margin $\gamma$ of the SVM, found without a flow.  A mean loss has the same limit: its flow
    passes the same states at $n$ times the time, where the loss is an $n$-th.

    Assumes: homogeneous network, alpha > 0, exponential or logistic loss, gradient flow.
    Generic problems: data redrawn until the multipliers of the support vectors are not small; relu²
    from a unit near each sample.
    Source: rates in Lyu & Li (2020), read; the constants are derived in this project.
    Class: derived
    """
    for kind in ("linear", "two linear layers"):
        rates_of_mean_loss(check, kind)
    fig, (left, right) = panels(2)
    for number, kind in enumerate(homogeneous(check)):
        x, values, norms, L = rates(check, kind)
        left.semilogx(x, values.T, color=COLOURS[number], lw=1)
        left.plot([], [], color=COLOURS[number], label=f"{kind}, L = {L}")
        right.semilogx(x, norms.T, color=COLOURS[number], lw=1)
        right.plot([], [], color=COLOURS[number], label=f"{kind}, L = {L}")
    sol, _ = flow("relu²", 0, "exponential", "GD")
    a, x = own_margin(sol, "relu²", 2), grid("relu²")
    label = "control: relu², as if L = 2"
    left.plot(x, at_log_times(sol, x, partial(loss_law, sol, L=2, a=a)), label=label, **BROKEN)
    right.plot(x, at_log_times(sol, x, partial(norm_law, sol, L=2, a=a)), label=label, **BROKEN)
    for ax in (left, right):
        ax.axhline(1, label="the limit", **BOUND)
        ax.legend(fontsize=8)
    left.set(xlabel=TIME, ylabel=r"loss $\cdot\ t\ (\log t)^{2-2/L}\ L^2 a^{2/L}$")
    right.set(xlabel=TIME, ylabel=r"$|w|\ (a/\log t)^{1/L}$")
    check.figure(fig, "Loss and norm of the weights over what the theory says.")


def own_margin(sol, kind, L):
    """`best_margin` for the network's own degree, whatever L is said to be."""
    return best_margin(sol, kind, margins.degree_of(sol.task, len(sol.w)))


def control_rates_wrong_degree(check):
    """A network of degree 3, in whose law L is 2; a is that of the degree 3."""
    rates(check, "relu²", degree=2, margin=own_margin, measured=(FLAT, NEAR, FLAT_NORM))


def control_rates_mean_loss_in_the_time_of_the_sum(check):
    """The mean loss, at the times at which the flow of the sum passes."""
    for kind in ("linear", "two linear layers"):
        rates_of_mean_loss(check, kind, own_time=False)


def control_rates_tanh(check):
    """Hidden units are tanh, as if L = 2: saturated they are of degree 1."""
    rates(check, "tanh", measured=(FLAT, FLAT_NORM, CLOSER))


def control_rates_margin_of_class_means(check):
    """The margin of the mean of the classes in place of the largest margin."""

    def mean_margin(sol, kind, L):
        direction = class_mean(sol.task)
        least = (sol.task.Y * (direction @ sol.task.X)).min()
        return max(least, 1e-6) * L ** (-L / 2)  # it need not separate, and 0 has no logarithm

    for kind in ("linear", "two linear layers"):
        rates(check, kind, margin=mean_margin, measured=(NEAR, NEAR_NORM))


# Maximum margin


def class_mean(task):
    mean = (task.X * task.Y).sum(1)
    return mean / np.linalg.norm(mean)


def svm(task):
    return margins.max_margin(task.X, task.Y).direction


def product(w):
    """What a deep linear network does to its input, (d_out, d_in)."""
    effective = w[0]
    for W in w[1:]:
        effective = W @ effective
    return effective


def distances(sol, x, to):
    """Distance of the direction of the linear map to that of `to`, at these values of log t."""
    goal = to(sol.task)
    unit = lambda k: (lambda M: M[0] / np.linalg.norm(M))(product(sol.at(k)))
    return at_log_times(sol, x, lambda k: np.linalg.norm(unit(k) - goal))


def rank_one(sol, x):
    """Second over first singular value of the first layer, at these values of log t."""
    values = lambda k: np.linalg.svd(sol.at(k)[0], compute_uv=False)
    return at_log_times(sol, x, lambda k: values(k)[1] / values(k)[0])


def balance_drift(sol):
    values = [sol.measure(laws.balance, k=k) for k in range(len(sol.w) - 1)]
    return max(np.abs(value - value[0]).max() for value in values) / norm(sol.at(-1)) ** 2


DISTANCE, RANK = (
    "distance of the direction to the SVM's, against log t",
    "(σ₂/σ₁)^L of W₁ against log t",
)
DRIFT = "drift of W₁W₁ᵀ - W₂ᵀW₂ and of each next pair, over |w|²"


def deep(check):
    return check.tier(("two linear layers",), ("two linear layers", "three linear layers"))


def claim_maximum_margin(check):
    r"""Deep linear networks tend to the direction $\hat{w}$ of the SVM, their layers to rank one.

    $$ \left| \frac{\beta}{|\beta|} - \hat{w} \right| \sim \frac{1}{\log t}, \qquad
       \frac{\sigma_2(W_1)}{\sigma_1(W_1)} \sim (\log t)^{-1/L}, \qquad \beta = W_L \cdots W_1 $$

    One layer: $\beta = \hat{w} \log t/\gamma$ up to a constant.  Deeper, gradient flow keeps
    $W_kW_k^\top - W_{k+1}^\top W_{k+1}$ (proved for every size), so that all singular values but
    the largest stay of order one.  What the support vectors do not span of $W_1$ hardly moves: if
    they do not span the inputs, the distance falls only as $(\log t)^{-1/L}$.  $\hat{w}$ comes
    from least-distance programming, which knows no flow.

    Assumes: linear network with one output, separable samples whose support vectors span the
    inputs (for the first power), alpha > 0, gradient flow.  Data redrawn until the multipliers of
    the support vectors are not small.
    Source: direction and rank in Ji & Telgarsky (2020) and the papers it builds on, recalled; the
    powers are derived in this project.
    Class: derived
    """
    check.proved(ff.prove(laws.balance, ff.GD))
    check.proved(ff.prove(laws.balance, ff.GD, depth=3, k=1))
    fig, (left, right) = panels(2)
    for number, kind in enumerate(("linear", *deep(check))):
        x = grid(kind)
        seen = np.array([distances(sol, x, svm) for sol, _ in runs(check, kind)])
        check.scaling(DISTANCE, x, seen, -1, within=0.06, fall=0.2, on=said(check, kind, x))
        left.loglog(x, seen.T, color=COLOURS[number], lw=1)
        left.plot([], [], color=COLOURS[number], label=f"{kind}, to the SVM")
        left.plot(x, seen[0, 0] * x[0] / x, label=None if number else "power -1", **BOUND)
    for number, kind in enumerate(deep(check), start=1):
        pairs, x = runs(check, kind), grid(kind)
        L = pairs[0][1]
        ratios = np.array([rank_one(sol, x) for sol, _ in pairs])
        check.scaling(RANK, x, ratios**L, -1, within=0.06, fall=0.5, on=said(check, kind, x))
        drifts = [balance_drift(sol) for sol, _ in pairs]
        check.at_most(DRIFT, check.worst(drifts), 1e-7, fall=1e-2, on=said(check, kind))
        right.loglog(x, ratios.T, color=COLOURS[number], lw=1)
        right.plot([], [], color=COLOURS[number], label=f"{kind}, L = {L}")
        power = ratios[0, 0] * (x / x[0]) ** (-1 / L)
        right.plot(x, power, label="power -1/L" if number == 1 else None, **BOUND)
    sol, x = flow("two linear layers", 0, "exponential", "GD")[0], grid("two linear layers")
    left.plot(x, distances(sol, x, class_mean), label="control: to the class means", **BROKEN)
    right.plot(x, rank_one(two_outputs(0), x), label="control: two outputs", **BROKEN)
    left.set(xlabel=TIME, ylabel="distance of the direction")
    right.set(xlabel=TIME, ylabel="σ₂/σ₁ of the first layer")
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    check.figure(
        fig, "Left, linear networks find the SVM's direction; right, in layers of rank one."
    )


def two_outputs(seed):
    """The flow of two linear layers with two outputs, labels by a plane each."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((3, 6))
    task = ff.Task(X, np.sign(rng.standard_normal((2, 3)) @ X), "linear", LOSSES[seed % 2])
    w0 = ff.init((3, 4, 2), seed=seed)
    return lognorm(ff.GD(), task, w0, log_time=1.1e5, checked=False, rtol=1e-7)


def control_maximum_margin_class_means(check):
    """The direction of the class means, a classifier as good to the eye, in place of the SVM's."""
    for kind in ("linear", "two linear layers"):
        x = grid(kind)
        seen = np.array([distances(sol, x, class_mean) for sol, _ in runs(check, kind)])
        check.scaling(DISTANCE, x, seen, -1, within=0.06, fall=0.2, on=said(check, kind, x))


def control_maximum_margin_support_vectors_do_not_span(check):
    """Two support vectors in three dimensions."""
    kind, x = "two support vectors", grid("two support vectors")
    seen = np.array([distances(sol, x, svm) for sol, _ in runs(check, kind)])
    check.scaling(DISTANCE, x, seen, -1, within=0.06, fall=0.2, on=said(check, kind, x))


def control_maximum_margin_two_outputs(check):
    """Two outputs, whose classifiers are separate: the first layer keeps two directions."""
    x = grid("two linear layers")
    ratios = np.array([rank_one(two_outputs(seed), x) for seed in range(3)])
    check.scaling(RANK, x, ratios**2, -1, within=0.06, fall=0.5, on="3 seeds, log t to 1e5")


def control_maximum_margin_feedback_alignment(check):
    """Feedback alignment does not keep the layers balanced."""
    check.proved(ff.prove(laws.balance, ff.FA))
    drifts = [balance_drift(sol) for sol, _ in runs(check, "two linear layers", "FA")]
    check.at_most(DRIFT, check.worst(drifts), 1e-7, fall=1e-2, on=said(check, "two linear layers"))
