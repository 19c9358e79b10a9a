"""Discrete steps against their flow, for rules that follow a gradient and for those that do not.

Backward error analysis after Hairer, Lubich & Wanner, "Geometric Numerical Integration", 2006; its
use for gradient descent after Barrett & Dherin 2020 (arXiv:2009.11162), Smith et al. 2021
(arXiv:2101.12176), Rosca et al. 2023 (arXiv:2302.01952) and Kovachki & Stuart 2021 (JMLR 22).
"""

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial

import numpy as np
import scipy.optimize
import sympy

import faflow as ff
from faflow import data, laws
from faflow.derivatives import directional, flat, jacobian, unflat
from faflow.derived import Derived
from faflow.matrices import Expression
from faflow.plot import TIME, compared, panels, spectrum
from faflow.steps.kinks import kinks as kinks_of
from faflow.steps.modified import by_formula
from faflow.steps.stability import thresholds
from faflow.testing import GradientInstead

EXACT = 1e-12
TIGHT = {"rtol": 3e-14, "atol": 1e-14}


def ends(sol):
    return np.concatenate([W[-1].ravel() for W in sol.w])


def slope(steps, errors):
    """The order seen at the two smallest steps."""
    (a, b), (c, d) = np.log(steps[-2:]), np.log(errors[-2:])
    return (d - c) / (b - a)


# Modified flows


PROBLEMS = ("factorisation", "linear", "tanh", "digits")


@cache
def problem(kind, name, seed):
    """(rule, task, w0, T): a factorisation, three linear or tanh layers, digits with tanh."""
    rng = np.random.default_rng([seed, 3])
    if name == "digits":
        task = data.by_name("digits", samples=100, seed=seed).task("tanh")
        sizes, T, rates = (64, 8, 8, 10), 2.0, 1 / task.X.shape[1]
    elif name == "factorisation":
        task = ff.Task.factorisation(rng.standard_normal((4, 5)) / 2)
        sizes, T, rates = (5, 3, 4), 1.0, 1
    else:
        X = rng.standard_normal((4, 12)) / np.sqrt(12)
        task = ff.Task(X, rng.standard_normal((3, 12)) / 2, name)
        sizes, T, rates = (4, 6, 5, 3), 1.0, 1
    made = kind.random(sizes, scale=0.6, seed=seed, rates=rates)
    return made, task, made.start(sizes, scale=0.8, seed=seed), T


@dataclass(frozen=True, eq=False)
class OtherSeries(Derived):
    """Fields that are not the modified one: ``wrong`` says in what."""

    eta: float = 0.1
    order: int = 2
    wrong: str = "sign"

    def velocity(self, task, w):
        field = partial(self.force, task)
        made = by_formula(field, w, 3)
        if self.wrong == "sign":
            second = tuple(-V for V in made[1])
        elif self.wrong == "transposed":
            pushed = -jacobian(self.force, task, w).T @ flat(made[0]) / 2
            second = unflat(pushed, w)
        else:
            second = made[1]
        moved = [V + self.eta * U for V, U in zip(made[0], second, strict=True)]
        if self.order == 3:
            JF, curved = directional(lambda x: directional(field, x, made[0])[1], w, made[0])
            JJF = directional(field, w, JF)[1]
            third = [a / 12 + b / 3 for a, b in zip(JJF, curved, strict=True)]
            moved = [V + self.eta**2 * U for V, U in zip(moved, third, strict=True)]
        return tuple(moved)


def far_from(field, kind, name, seed, order, counts=(80, 160)):
    """Distance of steps from the flow of ``field(rule, eta, order)``, for each number of steps."""
    rule, task, w0, T = problem(kind, name, seed)
    errors = []
    for K in counts:
        run = ff.iterate(rule, task, w0, eta=T / K, steps=K, every=K)
        made = field(rule, T / K, order)
        control = {"rtol": 1e-8, "atol": 1e-10} if isinstance(made, OtherSeries) else TIGHT
        flow = ff.integrate(made, task, w0, run.ts, **control)
        errors.append(np.linalg.norm(ends(run) - ends(flow)))
    return errors


def modified_flows(check, field=ff.modified, rules=(ff.GD, ff.FA), orders=(1, 2, 3, 4)):
    """In a control small networks alone."""
    seeds = range(check.tier(quick=1, full=3))
    names = ("factorisation", "linear") if check.control else PROBLEMS
    for order in orders:
        off = []
        for kind, name, seed in itertools.product(rules, names, seeds):
            if name != "digits" or order <= check.tier(quick=2, full=3):
                errors = far_from(field, kind, name, seed, order)
                off.append(abs(slope([2, 1], errors) - order))
        kinds = " and ".join(kind.__name__ for kind in rules)
        on = f"{kinds}: {', '.join(names)}; 80 and 160 steps, seeds 0-{len(seeds) - 1}"
        check.at_most(f"|order - {order}|", check.worst(off), 0.1, fall=0.3, on=on)


def claim_modified_flows(check):
    r"""Steps follow the modified flow truncated after $r$ terms to order $r$, for any rule.

    $$ \tilde F = F - \tfrac\eta2 JF + \eta^2\bigl(\tfrac13JJF + \tfrac1{12}F''(F,F)\bigr)
       - \eta^3\bigl(\tfrac14JJJF + \tfrac1{12}JF''(F,F) + \tfrac1{12}F''(F,JF)\bigr) $$

    $F$ is the velocity and $J$ its derivative, not symmetric for FA: $-\tfrac\eta2JF$ is minus the
    gradient of $\tfrac\eta4|F|^2$ for gradient descent alone; with $J^\top$ it is no correction of
    FA.  Seen on a matrix factorisation, on linear and tanh networks of three layers
    and on digits (64-8-8-10, tanh; up to $r = 3$).

    Assumes: a velocity smooth along the flow.
    Source: Hairer, Lubich & Wanner (2006), chapter IX, for any field; for gradients Barrett &
    Dherin (2020).
    Class: recalled
    """
    modified_flows(check)
    fig, axes = panels(2)
    for ax, kind in zip(axes, (ff.GD, ff.FA), strict=True):
        rule, task, w0, T = problem(kind, "linear", 0)
        compared(ff.compare(rule, task, w0, T, [T / K for K in (20, 40, 80)]), ax)
        errors = far_from(transposed, kind, "linear", 0, 2, (20, 40, 80))
        ax.loglog([T / K for K in (20, 40, 80)], errors, "C3x--", label="Jᵀ in place of J")
        ax.set_title({ff.GD: "gradient descent", ff.FA: "feedback alignment"}[kind])
        ax.legend(frameon=False, fontsize="small")
    check.figure(fig, "Steps against the flows of each order, three linear layers 4-6-5-3.")


def transposed(rule, eta, order):
    return OtherSeries(of=rule, eta=eta, order=order, wrong="transposed")


def control_modified_flows_wrong_sign(check):
    """+η/2 JF."""
    field = lambda rule, eta, order: OtherSeries(of=rule, eta=eta, wrong="sign")
    modified_flows(check, field, orders=(2,))


def control_modified_flows_transposed(check):
    """-η/2 JᵀF, minus the gradient of η/4 |F|², for FA."""
    modified_flows(check, transposed, (ff.FA,), orders=(2,))


def control_modified_flows_swapped_coefficients(check):
    """1/12 JJF + 1/3 F''(F, F) at third order."""
    field = lambda rule, eta, order: OtherSeries(of=rule, eta=eta, order=3, wrong="swapped")
    modified_flows(check, field, orders=(3,))


def transposed_is_worse(check, field=transposed):
    seeds = range(check.tier(quick=1, full=4))
    ratios = []
    for name, seed in itertools.product(("linear", "tanh"), seeds):
        ratios.append(
            far_from(field, ff.FA, name, seed, 2, (160,))[0]
            / far_from(ff.modified, ff.FA, name, seed, 1, (160,))[0]
        )
    on = f"FA, linear and tanh 4-6-5-3, 160 steps, seeds 0-{len(seeds) - 1}"
    name = "error with the correction over error without"
    check.at_least(name, check.worst(ratios, small=False), 1.2, fall=0.5, on=on)


def claim_transposed_is_worse(check):
    r"""For FA the correction of gradient descent is worse than none, on the problems named.

    $-\tfrac\eta2J^\top F$, minus the gradient of $\tfrac\eta4|F|^2$ and the implicit regulariser of
    gradient descent, leaves steps of FA farther from the corrected flow than from the flow itself;
    $-\tfrac\eta2JF$ brings them an order closer.

    Assumes: FA, whose $J$ is not symmetric.  Measured on the problems named, no theorem.
    Source: observed in this project.
    Class: derived
    """
    transposed_is_worse(check)


def control_transposed_is_worse_right_correction(check):
    """-η/2 JF."""
    transposed_is_worse(check, ff.modified)


class Generic(ff.Rule):
    """A field of one or two scalars whose coefficients are letters."""

    def velocity(self, task, w):
        if len(w) == 1:
            (x,) = w
            a, b, c, d = task
            return (a + b * x + c * (x * x) + d * (x * x * x),)
        x, y = w
        return (
            2 * x - y / 3 + x * y - y * y + 3 * (x * x * y),
            1 + x / 2 - x * x + 2 * (x * y) - y * y * y,
        )


def modified_series(check, terms=by_formula):
    for count in (1, 2):
        letters = sympy.symbols("x y")[:count]
        entry = lambda e: np.full((1, 1), Expression(sympy.sympify(e)), dtype=object)
        task = tuple(map(entry, sympy.symbols("a b c d")))
        at = tuple(map(entry, letters))
        made = [[V.item().of for V in term] for term in terms(partial(Generic(), task), at, 4)]
        ring = sympy.ring("x y a b c d", sympy.QQ)[0]
        made = [[ring.from_expr(sympy.expand(e)) for e in term] for term in made]
        variables, left = ring.gens[:count], 0
        for i, x in enumerate(variables):
            # powers of η in exp(ηD̃)x, of which D̃ = D₁ + ηD₂ + η²D₃ + η³D₄ takes its share
            grown = {0: x}
            total = {k: 0 * x for k in range(1, 5)} | {1: -made[0][i]}
            for n in range(1, 5):
                moved = {}
                for (k, g), (j, F) in itertools.product(grown.items(), enumerate(made, 1)):
                    if k + j <= 4:
                        change = sum(
                            (g.diff(z) * V for z, V in zip(variables, F, strict=True)), 0 * x
                        )
                        moved[k + j] = moved.get(k + j, 0 * x) + change
                grown = moved
                for k, g in grown.items():
                    total[k] += g * sympy.QQ(1, int(sympy.factorial(n)))
            left += sum(total[k] != 0 for k in total)
        on = ("a generic cubic", "a cubic field in the plane")[count - 1]
        check.at_most("powers of η up to 4 that are left", left, 0, fall=1, on=on)


def claim_modified_series(check):
    r"""The time-$\eta$ flow of $F+\eta F_2+\eta^2F_3+\eta^3F_4$ is $x+\eta F(x)$ through $\eta^4$.

    $\exp(\eta\tilde D)x - x - \eta F$ with $\tilde D = \tilde F\cdot\nabla$ has no power of $\eta$
    up to the fourth, identically in $x$: for the cubic scalar field with letters as coefficients,
    and for a cubic field in the plane, by SymPy.

    Assumes: nothing but the two fields.
    Source: Hairer, Lubich & Wanner (2006), chapter IX.
    Class: recalled
    """
    modified_series(check)


def control_modified_series_swapped_coefficients(check):
    """1/12 JJF + 1/3 F''(F, F) at third order."""

    def swapped(field, w, order):
        made = by_formula(field, w, order)
        JF, curved = directional(lambda x: directional(field, x, made[0])[1], w, made[0])
        JJF = directional(field, w, JF)[1]
        made[2] = tuple(a / 12 + b / 3 for a, b in zip(JJF, curved, strict=True))
        return made

    modified_series(check, swapped)


# The error to leading order


def leading(check, share=1.0):
    """share: of the e₁ that is predicted."""
    seeds = range(check.tier(quick=2, full=5))
    off, orders = [], []
    for kind, name, seed in itertools.product((ff.GD, ff.FA), ("linear", "tanh"), seeds):
        rule, task, w0, T = problem(kind, name, seed)
        lead = ff.leading_error(rule, task, w0, [0, T])
        e, w = (np.concatenate([M[-1].ravel() for M in part]) for part in (lead.e, lead.w))
        gaps = []
        for K in (160, 320):
            run = ff.iterate(rule, task, w0, eta=T / K, steps=K, every=K)
            gaps.append(np.linalg.norm((ends(run) - w) * K / T - share * e) / np.linalg.norm(e))
        off.append(gaps[-1])
        orders.append(abs(slope([2, 1], gaps) - 1))
    on = f"GD and FA, linear and tanh 4-6-5-3, 320 steps, seeds 0-{len(seeds) - 1}"
    check.at_most("|(w_K - w(T))/η - e₁|/|e₁|", check.worst(off), 0.1, fall=0.4, on=on)
    on = on.replace("320", "160 and 320")
    check.at_most("|its order - 1|", check.worst(orders), 0.15, fall=0.5, on=on)


def claim_leading_error(check):
    r"""One integration gives the error of all small steps: $w_k = w(t) + \eta e_1(t) + O(\eta^2)$.

    $$ \dot e_1 = Je_1 - \tfrac12JF, \qquad e_1(0) = 0, \qquad t = k\eta $$

    along the flow, for any rule.

    Assumes: a velocity smooth along the flow.
    Source: standard for Euler's method; Hairer, Nørsett & Wanner, "Solving Ordinary Differential
    Equations I".
    Class: recalled
    """
    leading(check)
    fig, ax = panels()
    rule, task, w0, T = problem(ff.FA, "tanh", 0)
    ts = np.linspace(0, T, 41)
    lead = ff.leading_error(rule, task, w0, ts)
    for k, K in enumerate((40, 80, 160)):
        run = ff.iterate(rule, task, w0, eta=T / K, steps=K, every=K // 40)
        far = np.sqrt(sum(((a - b) ** 2).sum((1, 2)) for a, b in zip(run.w, lead.w, strict=True)))
        ax.plot(ts, far * K / T, f"C{k}", label=f"η = {T / K:g}")
    ax.plot(ts, lead.norm, "k--", lw=1, label="|e₁|")
    ax.set(xlabel=TIME, ylabel="distance from the flow, over η")
    ax.legend(frameon=False, fontsize="small")
    check.figure(fig, "Steps of FA on a tanh network, three sizes, and what one integration says.")


def control_leading_error_without_the_half(check):
    """e₁' = Je₁ - JF, whose solution is twice as large."""
    leading(check, share=2.0)


# Kinks


def kinks(check, phi="relu"):
    seeds = range(check.tier(quick=5, full=8))
    slopes, flips = [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, 5])
        X = rng.standard_normal((4, 12)) / np.sqrt(12)
        task = ff.Task(X, rng.standard_normal((3, 12)) / 2, phi)
        rule = ff.FA.random((4, 6, 5, 3), scale=0.6, seed=seed)
        w0 = ff.init((4, 6, 5, 3), scale=0.8, seed=seed)
        counts = np.array([80, 160, 320])
        made = ff.compare(rule, task, w0, 2, 2 / counts, (1, 2), rtol=1e-9, atol=1e-11)
        slopes.append(np.polyfit(np.log(made.etas), np.log(made.errors[2]), 1)[0])
        flips.append(made.kinks[-1].flips)
    on = f"FA, {phi} 4-6-5-3, t ≤ 2, 80 to 320 steps, median of seeds 0-{len(seeds) - 1}"
    off = abs(np.median(slopes) - 1)  # single slopes scatter with the times of the crossings
    check.at_most("|order of the second-order flow - 1|", off, 0.25, fall=0.7, on=on)
    name = "kinks crossed in a run"
    check.at_least(name, check.worst(flips, small=False), 1, fall=0, on=on)
    return made


def claim_kinks(check):
    r"""Across kinks the modified flow of second order has order 1, as the flow has.

    The field jumps by $(Be)_jx^\top$ where a pre-activation changes its sign, and steps know the
    time of that to $O(\eta)$ only.  It may be closer by a factor; but no order above 1 is claimed
    where signs changed, by `compare` either.

    Assumes: piecewise linear units that cross kinks.  Measured on the networks named.
    Source: observed in this project.
    Class: derived
    """
    made = kinks(check)
    fig, ax = panels()
    compared(made, ax)
    check.figure(fig, "FA on a ReLU network: the correction of second order brings no order.")


def control_kinks_tanh(check):
    """tanh has no kinks: the order is 2."""
    kinks(check, "tanh")


def slides(check, samples=2):
    """A ReLU unit that one sample pushes to its kink from above, and the other from below."""
    X, Y = np.array([[1.0, 0.5], [0.0, 0.8]])[:, :samples], np.array([[-2.0, 1.5]])[:, :samples]
    task, rule = ff.Task(X, Y, "relu"), ff.FA((np.ones((1, 1)),))
    w0 = np.array([[0.05, 1.0]]), np.array([[1.0]])
    counts = np.array([100, 200, 400, 800])
    seen = [kinks_of(ff.iterate(rule, task, w0, eta=0.4 / K, steps=int(K))) for K in counts]
    flips = np.maximum([k.flips for k in seen], 1)
    on = "FA, one ReLU unit, t ≤ 0.4, 100 to 800 steps"
    check.order("order of the number of flips", counts, flips, 1, within=0.15, fall=0.7, on=on)
    try:
        control = {"solver": "dop853", "rtol": 1e-10, "atol": 1e-12, "kinks": "ignore"}
        made = ff.integrate(rule, task, w0, [0, 0.4], max_steps=400, **control)
    except ff.Unfinished as stop:
        made = stop.solution
    name = "share of the time that error control passes in 400 steps"
    check.at_most(name, made.ts[-1] / 0.4, 0.5, fall=0.99, on="dop853, rtol 1e-10")


def claim_slides(check):
    r"""A unit pushed to its kink from both sides chatters, and stops error control.

    One sample pushes a unit off while another pushes it on.  Steps then cross the kink to and fro,
    as often as there are steps; an adaptive solver creeps, since no step is small enough.

    Assumes: opposite pushes at the kink.  Measured on one unit with two samples.
    Source: Filippov (1988) for sliding; the example made in this project.
    Class: recalled
    """
    slides(check)


def control_slides_one_sample(check):
    """The other sample left out: the kink is crossed once."""
    slides(check, samples=1)


# Laws in discrete steps

ETAS = (1e-3, 0.1, 10.0)
LOSSES = ("squared", "cross_entropy")


def stepped(kind, phi, loss, seed, sizes=(4, 6, 5, 3), **options):
    rng = np.random.default_rng([seed, 7])
    X = rng.standard_normal((4, 12)) / np.sqrt(12)
    Y = rng.standard_normal((3, 12))
    if loss == "cross_entropy":
        Y = np.eye(3)[:, rng.integers(3, size=12)]
    task = ff.Task(X, Y, phi, loss, bias=True)
    rule = kind(ff.FA.random(sizes, scale=0.6, seed=seed).B) if kind is not ff.GD else ff.GD()
    w0 = tuple(W + 0.3 * rng.standard_normal(W.shape) for W in ff.init(sizes, seed=seed, bias=True))
    return ff.iterate(rule, task, w0, **options)


def residuals(check, cases, law_of, activations, on, bound=EXACT, fall=1e-4):
    """Largest residual of the drift over rules, activations, losses, step sizes and batches."""
    seeds, far = range(check.tier(quick=2, full=10)), []
    for kind, phi, seed in itertools.product(cases, activations, seeds):
        found = []
        for loss, eta, batches in itertools.product(LOSSES, ETAS, (None, 5)):
            steps = 1 if eta > 1 else 3  # of the largest just one, after which the next overflows
            run = stepped(kind, phi, loss, seed, eta=eta, steps=steps, batches=batches)
            found += [ff.drift(law_of[kind], run, k=k).residual for k in (0, 1)]
        far.append(np.max(found))  # a control falls somewhere, for each network
    on = f"{on}, 4-6-5-3 with biases, two losses, η = 0.001, 0.1, 10, seeds 0-{len(seeds) - 1}"
    check.at_most("|seen - predicted|, relative", check.worst(far), bound, fall=fall, on=on)


LAYERS = {
    ff.FA: laws.layer_feedback_balance,
    ff.GD: laws.layer_balance,
    GradientInstead: laws.layer_feedback_balance,
}
NEURONS = {
    ff.FA: laws.neuron_feedback_balance,
    ff.GD: laws.neuron_balance,
    GradientInstead: laws.neuron_feedback_balance,
}
WHOLE = {ff.FA: laws.feedback_balance, ff.GD: laws.balance, GradientInstead: laws.feedback_balance}


def claim_one_step(check):
    r"""A step of FA adds $\tfrac{\eta^2}2|F_i|^2$ to its law, for any step size, loss and samples.

    $$ C_i(w+\eta F) - C_i(w) = \tfrac{\eta^2}2|F_i|^2,
       \qquad C_i = \tfrac12|W_i|^2 - \langle W_{i+1},B_{i+1}^\top\rangle $$

    exactly, and for gradient descent $\eta^2(|F_i|^2-|F_{i+1}|^2)$ to $|W_i|^2-|W_{i+1}|^2$: the
    linear part vanishes as it does in the flow, and the law is quadratic.  So the law of FA never
    falls.  With piecewise linear units, biases of layer $i$ counted.

    Assumes: piecewise linear layers; all layers step together; no decay.
    Source: derived in this project; the law of the flow in Robertson & Koyejo (2023).
    Class: derived
    """
    units = ("linear", "relu", "leaky_relu(0.1)")
    residuals(check, (ff.FA, ff.GD), LAYERS, units, "FA and GD")
    for law, kind in ((laws.layer_feedback_balance, ff.FA), (laws.layer_balance, ff.GD)):
        for k in (0, 1):
            check.proved(ff.prove(law, kind, depth=3, k=k, activation="relu"))
    fig, axes = panels(2)
    run = stepped(ff.FA, "relu", "squared", 0, eta=0.005, steps=300, batches=5)
    ff.plot.law_of_steps(ff.drift(laws.layer_feedback_balance, run, k=1), axes[0])
    run = stepped(ff.FA, "tanh", "squared", 0, eta=0.005, steps=300, batches=5)
    ff.plot.law_of_steps(ff.drift(laws.layer_feedback_balance, run, k=1), axes[1])
    axes[0].set_title("ReLU")
    axes[1].set_title("control: tanh")
    check.figure(fig, "The law of FA under steps on five samples each, η = 0.005.")


def control_one_step_tanh(check):
    """tanh is not homogeneous."""
    residuals(check, (ff.FA,), LAYERS, ("tanh",), "FA")


def control_one_step_gradient_descent(check):
    """The error returns through the transposed weights."""
    residuals(check, (GradientInstead,), LAYERS, ("linear", "relu"), "GD with FA's laws")


def claim_neurons_in_a_step(check):
    r"""The same holds for each neuron, and on linear networks for the whole matrix.

    $$ \tfrac12|w_j|^2 - b_j\cdot w_j^+ \;\text{ gains }\; \tfrac{\eta^2}2|F_{ij}|^2, \qquad
       W_iW_i^\top - B_{i+1}W_{i+1} - (\cdot)^\top \;\text{ gains }\; \eta^2F_iF_i^\top \succeq 0 $$

    Assumes: piecewise linear units for neurons, linear ones for the matrix.
    Source: derived in this project.
    Class: derived
    """
    units = ("linear", "relu", "leaky_relu(0.1)")
    residuals(check, (ff.FA, ff.GD), NEURONS, units, "FA and GD, neurons")
    residuals(check, (ff.FA, ff.GD), WHOLE, ("linear",), "FA and GD, matrices")
    for depth in (2, 3):
        check.proved(ff.prove(laws.feedback_balance, ff.FA, depth=depth))
        check.proved(ff.prove(laws.neuron_feedback_balance, ff.FA, depth=depth, activation="relu"))


def control_neurons_in_a_step_matrix_of_relu(check):
    """The matrix on a ReLU network."""
    residuals(check, (ff.FA,), WHOLE, ("relu",), "FA, matrices")


def integral(check, power=0):
    """power: of η by which the integral is wrong."""
    seeds = range(check.tier(quick=2, full=5))
    for name, law in (("factorisation", laws.feedback_balance), ("linear", LAYERS[ff.FA])):
        off = []
        for seed in seeds:
            rule, task, w0, T = problem(ff.FA, name, seed)
            K = 400
            run = ff.iterate(rule, task, w0, eta=T / K, steps=K)
            made = ff.drift(law, run)
            said = made.integral[-1] * (T / K) ** power
            off.append(np.linalg.norm(made.cumulative[-1] - said) / np.linalg.norm(said))
        on = f"FA, {name}, 400 steps to t = 1, seeds 0-{len(seeds) - 1}"
        check.at_most("drift less its integral, over that", check.worst(off), 0.03, fall=0.5, on=on)


def claim_drift_integral(check):
    r"""All steps together move FA's law by $\tfrac\eta2\int|F_i|^2dt\,(1+O(\eta))$ along the flow.

    The factor for momentum and the mean for batches are in `drift`.

    Assumes: linear layers, no decay; with kinks, no slide along one.
    Source: derived in this project.
    Class: derived
    """
    integral(check)
    etas, off = [], []
    rule, task, w0, T = problem(ff.FA, "linear", 0)
    run = ff.iterate(rule, task, w0, eta=T / 4000, steps=2000, momentum=0.5)
    made = ff.drift(laws.layer_feedback_balance, run)
    ratio = made.cumulative[-1] / made.integral[-1]
    check.equal("drift over its integral, β = 0.5", ratio, 1, tol=0.03, on="linear, 2000 steps")
    for K in (100, 200, 400):
        run = ff.iterate(rule, task, w0, eta=T / K, steps=K)
        made = ff.drift(laws.layer_feedback_balance, run)
        etas.append(T / K)
        off.append(abs(made.cumulative[-1] / made.integral[-1] - 1))
    check.order("order of the ratio less 1", etas, off, 1, on="linear, 100 to 400 steps")


def control_drift_integral_of_order_zero(check):
    """½ ∫ |F|² dt, as if the drift did not vanish with η."""
    integral(check, power=-1)


def control_drift_integral_of_order_two(check):
    """½ η² ∫ |F|² dt."""
    integral(check, power=1)


LAMBDA = 0.3


def decayed(check, naive=False, factors=(1, 2)):
    """Relative residuals of the two formulas, typed here."""
    seeds, far, matched = range(check.tier(quick=2, full=10)), [], []
    for phi, seed in itertools.product(("linear", "relu"), seeds):
        rule, task, w0, _ = problem(ff.FA, "linear", seed)
        task, eta, B = replace(task, phi=phi), 0.05, rule.B
        law = lambda w, k, B=B: np.sum(w[k] ** 2) / 2 - np.sum(w[k + 1] * B[k].T)
        run = ff.iterate(replace(rule, decay=LAMBDA), task, w0, eta=eta, steps=50)
        a = 1 - eta * LAMBDA
        for n, k in itertools.product(range(50), (0, 1)):
            w, after, F = run.at(n), run.at(n + 1), rule(task, run.at(n))
            A, g, size = np.sum(w[k + 1] * B[k].T), np.sum(w[k] * F[k]), np.sum(F[k] ** 2)
            said = a**2 * law(w, k) + eta**2 / 2 * size
            if not naive:
                said -= eta * LAMBDA * a * A + eta**2 * LAMBDA * g
            far.append(abs(law(after, k) - said) / max(1, abs(law(w, k))))
        for k in (0, 1):
            decay = [0.0, 0.0, 0.0]
            decay[k], decay[k + 1] = factors[0] * LAMBDA, factors[1] * LAMBDA
            decaying = replace(rule, decay=tuple(decay))
            run = ff.iterate(decaying, task, w0, eta=eta, steps=50, decay="decoupled")
            for n in range(50):
                w, after, F = run.at(n), run.at(n + 1), rule(task, run.at(n))
                said = np.exp(-2 * eta * LAMBDA) * (law(w, k) + eta**2 / 2 * np.sum(F[k] ** 2))
                matched.append(abs(law(after, k) - said) / max(1, abs(law(w, k))))
    on = f"FA, linear and ReLU 4-6-5-3, 50 steps of 0.05, seeds 0-{len(seeds) - 1}"
    # in a control the largest one along each run must fall, as a law may be right in some step
    return np.max(far), np.max(matched), on


def claim_decayed_steps(check):
    r"""Under weight decay the step of FA's law is exact, too; matched decay makes it exponential.

    With $W\leftarrow aW+\eta F$, $a=1-\eta\lambda$, for all layers
    $$ C_i \leftarrow a^2C_i - \eta\lambda a\langle W_{i+1},B^\top\rangle
       - \eta^2\lambda\langle W_i,F_i\rangle + \tfrac{\eta^2}2|F_i|^2, $$
    and with decay $\lambda$ on layer $i$ and $2\lambda$ on layer $i+1$ after the step,
    $W_i\leftarrow e^{-\eta\lambda}(W_i+\eta F_i)$,
    $$ C_i \leftarrow e^{-2\eta\lambda}\bigl(C_i + \tfrac{\eta^2}2|F_i|^2\bigr). $$
    The law is quadratic in $W_i$ and linear in $W_{i+1}$; so uniform decay leaves no exponential.

    Assumes: piecewise linear layers; all layers step together.
    Source: derived in this project.
    Class: derived
    """
    far, matched, on = decayed(check)
    check.at_most("residual, uniform decay", far, EXACT, on=on)
    check.at_most("residual, matched decay", matched, EXACT, on=on)


def control_decayed_steps_as_gradient_descent(check):
    """a²C + ½η²|F|², as if the law decayed by itself."""
    far, _, on = decayed(check, naive=True)
    check.at_most("residual, uniform decay", far, EXACT, fall=1e-3, on=on)


def control_decayed_steps_equal_decays(check):
    """Layer i + 1 decays as layer i does."""
    _, matched, on = decayed(check, factors=(1, 1))
    check.at_most("residual, matched decay", matched, EXACT, fall=1e-3, on=on)


RATE = Fraction(1, 3)


def uncorrected(rule, w, k=0):
    """-2λC."""
    return -2 * RATE * laws.layer_feedback_balance(rule, w, k)


def decaying(rule, w, k=0):
    """-2λC - λ⟨W₊, Bᵀ⟩."""
    told = (rule.B[k] @ laws.outgoing(w, k)).trace()
    return uncorrected(rule, w, k) - RATE * told


def claim_decayed_flow(check):
    r"""Under uniform decay the flow of FA's law is not closed: it does not decay by itself.

    $$ \dot C_i = -2\lambda C_i - \lambda\langle W_{i+1},B_{i+1}^\top\rangle $$

    Proved for every size, 2 and 3 layers, $\lambda = 1/3$, piecewise linear units.

    Assumes: piecewise linear layers.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    decayed_flow(check, decaying)


def decayed_flow(check, rate):
    for depth, k in ((2, 0), (3, 0), (3, 1)):
        options = {"depth": depth, "k": k, "activation": "relu", "rate": partial(rate, k=k)}
        rule = ff.FA(decay=RATE)
        check.proved(ff.prove(laws.layer_feedback_balance, rule, **options))


def control_decayed_flow_as_gradient_descent(check):
    """-2λC alone, which would be e^{-2λt}."""
    decayed_flow(check, uncorrected)


# Batches


def batch_means(check, corrected=True):
    rng = np.random.default_rng(0)
    far = []
    for kind, seed in itertools.product((ff.FA, ff.GD), range(check.tier(quick=2, full=5))):
        rng = np.random.default_rng([seed, 11])
        task = ff.Task(rng.standard_normal((3, 8)), rng.standard_normal((2, 8)), "relu")
        rule, w = kind.random((3, 4, 2), seed=seed), ff.init((3, 4, 2), seed=seed)
        only = lambda n, task=task: task.with_data(task.X[:, n], task.Y[:, n])
        own = np.stack([rule(only([n]), w)[0].ravel() for n in range(8)])
        scatter = own.var(axis=0).sum()
        for b in (1, 2, 3, 5, 8):
            every = [list(n) for n in itertools.combinations(range(8), b)]
            mean = np.mean([np.sum((rule(only(n), w)[0] / b) ** 2) for n in every])
            said = np.sum(own.mean(axis=0) ** 2)
            said += scatter / b * ((8 - b) / 7 if corrected else 0)
            if corrected or b < 5:
                far.append(abs(mean - said) / mean)
    on = "all batches of 1, 2, 3, 5 and 8 of 8 samples, FA and GD, ReLU 3-4-2"
    check.at_most("|mean - formula|, relative", check.worst(far), EXACT, fall=1e-2, on=on)


def claim_batch_means(check):
    r"""Small batches pump FA's law: on average a step adds the noise of the batch as well.

    $$ E|F_i^b|^2 = |F_i|^2 + \frac{\operatorname{tr}\Sigma_i}b\,\frac{N-b}{N-1} $$

    for batches of $b$ of $N$ samples drawn without replacement, $F$ and $F^b$ means over samples
    and $\Sigma_i$ the covariance of single samples.  The law itself is a number that never falls,
    whatever the batches are, since each step adds $\tfrac{\eta^2}2|F_i^b|^2$.

    Assumes: batches that are equally likely.
    Source: the variance of a mean without replacement (survey sampling).
    Class: recalled
    """
    batch_means(check)
    rule, task, w0, _ = problem(ff.FA, "linear", 0)
    run = ff.iterate(rule, replace(task, phi="relu"), w0, eta=0.05, steps=300, batches=2)
    q = run.measure(laws.layer_feedback_balance)
    on = "300 steps of two samples each, ReLU 4-6-5-3"
    check.at_least("least change of the law in a step", np.diff(q), -1e-14, fall=-1e-6, on=on)


def control_batch_means_without_noise(check):
    """|F|² alone."""
    batch_means(check, corrected=False)


@dataclass(frozen=True, eq=False)
class OtherRounds(Derived):
    """F - (η/2) of F'F of the whole mean, or of the mean of Fₖ'ᵀFₖ."""

    eta: float = 0.1
    transposed: bool = False

    def velocity(self, task, w):
        N, total = task.X.shape[1], 0
        F = tuple(V / N for V in self.force(task, w))
        if not self.transposed:
            moved = directional(lambda x: tuple(V / N for V in self.force(task, x)), w, F)[1]
            return tuple(V - self.eta / 2 * U for V, U in zip(F, moved, strict=True))
        for n in range(N):
            one = task.with_data(task.X[:, [n]], task.Y[:, [n]])
            total = total + jacobian(self.force, one, w).T @ flat(self.force(one, w)) / N
        return tuple(V - self.eta / 2 * U for V, U in zip(F, unflat(total, w), strict=True))


def rounds(check, field=ff.modified, sizes=(1,)):
    off = []
    for seed, size in itertools.product(range(check.tier(quick=2, full=4)), sizes):
        rng = np.random.default_rng([seed, 13])
        task = ff.Task(rng.standard_normal((2, 4)), rng.standard_normal((2, 4)), "tanh")
        rule, w0 = ff.FA.random((2, 3, 2), seed=seed), ff.init((2, 3, 2), seed=seed)
        errors = []
        for eta in (0.005, 0.0025):
            stops = []
            for order in itertools.permutations(range(4)):
                w = w0
                for start in range(0, 4, size):
                    n = list(order[start : start + size])
                    seen = task.with_data(task.X[:, n], task.Y[:, n])
                    w = tuple(W + eta * V for W, V in zip(w, rule(seen, w), strict=True))
                stops.append(flat(w))
            batches = {"batches": size} if field is ff.modified else {}
            made, end = field(rule, eta=eta, **batches), 4 // size * eta
            flow = ff.integrate(made, task, w0, [0, end], **TIGHT)
            errors.append(np.linalg.norm(np.mean(stops, axis=0) - ends(flow)))
        off.append(abs(slope([2, 1], errors) - 3))
    sizes = " and ".join(map(str, sizes))
    on = f"batches of {sizes}, all 24 orders of 4 samples, η = 0.005, 0.0025, FA, tanh 2-3-2"
    check.at_most("|order of a round's error - 3|", check.worst(off), 0.2, fall=0.6, on=on)


def claim_rounds(check):
    r"""In the mean over all orders a round of batches follows a modified flow of its own.

    $$ \tilde F = \frac1m\sum_kF_k - \frac\eta2\,\frac1m\sum_kF_k'F_k $$

    for $m$ batches with velocities $F_k$, each used once: the error of a round is of third order.
    Not $F'F$ of the mean velocity, as for full batches, nor the gradient form $F_k'^\top F_k$.

    Assumes: a smooth velocity.
    Source: Smith, Dherin, Barrett & De (2021), for gradients; for any velocities derived in this
    project.
    Class: derived
    """
    rounds(check, sizes=(1, 2))


def control_rounds_as_full_batches(check):
    """F'F of the mean velocity."""
    rounds(check, lambda rule, eta: OtherRounds(of=rule, eta=eta))


def control_rounds_transposed(check):
    """The mean of Fₖ'ᵀFₖ, the gradient form."""
    rounds(check, lambda rule, eta: OtherRounds(of=rule, eta=eta, transposed=True))


# Momentum

BETA = 0.8


def ball(kind, phi, seed, nesterov=False, steps=100):
    rule, task, w0, _ = problem(ff.FA, "linear", seed)
    rule, task = (rule if kind is ff.FA else kind(rule.B)), replace(task, phi=phi)
    options = {"momentum": BETA, "nesterov": nesterov}
    return ff.iterate(rule, task, w0, eta=0.01, steps=steps, **options)


def memory(check, phis=("linear", "relu"), kind=ff.FA, forget=False):
    """The recursion, typed here, along runs.  forget: leaves out what is carried over."""
    seeds, far = range(check.tier(quick=2, full=5)), []
    for phi, seed, nesterov in itertools.product(phis, seeds, (False, True)):
        run = ball(kind, phi, seed, nesterov)
        B, size = run.rule.B, lambda V: np.sum(V**2)
        v = [[np.zeros_like(W) for W in run.at(0)]]
        v += [
            [b - a for a, b in zip(run.at(n), run.at(n + 1), strict=True)]
            for n in range(len(run) - 1)
        ]
        for k in (0, 1):
            q = run.measure(laws.layer_feedback_balance, k=k)
            for n in range(1, len(run) - 1):
                now, then, w = v[n + 1][k], v[n][k], run.at(n)
                if nesterov:
                    along = np.sum(w[k] * then) - np.sum(v[n][k + 1] * B[k].T)
                    said = BETA * (along + BETA * size(then)) - BETA * np.sum(then * now)
                else:
                    said = BETA * (q[n] - q[n - 1] + size(then) / 2)
                said = (0 if forget else said) + size(now) / 2
                far.append(abs(q[n + 1] - q[n] - said) / max(1, np.abs(q).max()))
    on = f"β = 0.8, with and without Nesterov, 4-6-5-3, 100 steps, seeds 0-{len(seeds) - 1}"
    check.at_most("residual of the recursion", np.max(far), EXACT, fall=1e-4, on=f"{phis}, {on}")
    if not forget:
        runs = itertools.product(phis, seeds, (False, True))
        made = [
            ff.drift(LAYERS[ff.FA], ball(kind, *run), k=k).residual for run in runs for k in (0, 1)
        ]
        name = "|seen - predicted| by drift, relative"
        check.at_most(name, np.max(made), EXACT, fall=1e-5, on=f"{phis}, {on}")


def claim_momentum_recursion(check):
    r"""With momentum FA's law moves by an exact recursion in what moved the weights.

    $$ \Delta C_k = \beta\bigl(\Delta C_{k-1} + \tfrac12|v_k|^2\bigr) + \tfrac12|v_{k+1}|^2 $$

    where $v_k$ is the part of layer $i$ in step $k$; with Nesterov's momentum
    $\beta[\ell(w_k;v_k)+\beta|v_k|^2] - \beta\langle v_k,v_{k+1}\rangle + \tfrac12|v_{k+1}|^2$,
    $\ell(w;v) = \langle W_i,v_i\rangle - \langle v_{i+1},B^\top\rangle$.

    Assumes: piecewise linear layers, no decay.
    Source: derived in this project.
    Class: derived
    """
    memory(check)


def control_momentum_recursion_without_memory(check):
    """½|v|² alone, as without momentum."""
    memory(check, forget=True)


def control_momentum_recursion_tanh(check):
    """tanh is not homogeneous."""
    memory(check, phis=("tanh",))


def control_momentum_recursion_gradient_descent(check):
    """The error returns through the transposed weights."""
    memory(check, kind=GradientInstead)


FRICTION = Fraction(3, 2)


def pushed(rule, w, friction=FRICTION):
    """C'(w)V + μC, with C the law of FA's first layer."""
    W1, W2, V1, V2 = w
    along = (V1 @ W1.T).trace() - (rule.B[0] @ V2).trace()
    return along + friction * ((W1 @ W1.T).trace() / 2 - (rule.B[0] @ W2).trace())


def motion(rule, w):
    return (w[2] @ w[2].T).trace()


def momentum_integral(check, law=pushed, activation="relu"):
    rule = ff.HeavyBall(of=ff.FA(), friction=FRICTION)
    check.proved(ff.prove(law, rule, rate=motion, activation=activation))


def claim_momentum_integral(check):
    r"""Along the flow with momentum FA's law has a first integral that remembers the motion.

    $$ m\,\ddot C + \dot C = m|\dot W_1|^2, \qquad
       C + m\dot C - m\int|\dot W_1|^2dt = \text{const} $$

    where $m\ddot W + \dot W = F$; as a heavy ball of friction $\mu = 1/\sqrt m$ the rate of
    $C'(W)V + \mu C$ is $|V_1|^2$.  Proved for two layers of every size, $\mu = 3/2$.

    Assumes: piecewise linear layers, no decay.
    Proves: the statement.
    Source: derived in this project.
    Class: derived
    """
    momentum_integral(check)


def control_momentum_integral_of_the_law(check):
    """μC alone, as without momentum."""

    def alone(rule, w):
        return pushed(rule, w) - pushed(rule, (w[0] - w[0], w[1] - w[1], w[2], w[3]))

    momentum_integral(check, alone)


def control_momentum_integral_half_the_friction(check):
    """Half of μ."""
    momentum_integral(check, partial(pushed, friction=FRICTION / 2))


def twist(check, phi="linear", kind=ff.FA, shrink=BETA):
    seeds, far = range(check.tier(quick=2, full=5)), []
    for seed in seeds:
        run = ball(kind, phi, seed)
        # from a push of its own, since from rest the twist is zero
        rng = np.random.default_rng([seed, 17])
        v = [0.1 * rng.standard_normal(W.shape) for W in run.at(0)]
        w, rule, task, made = list(run.at(0)), run.rule, run.task, []
        for _ in range(60):
            F = rule(task, tuple(w))
            for k in (0, 1):
                turned, told = v[k] @ w[k].T, rule.B[k] @ v[k + 1]
                made.append(turned - turned.T - told + told.T)
            v = [BETA * V + 0.01 * G for V, G in zip(v, F, strict=True)]
            w = [W + V for W, V in zip(w, v, strict=True)]
        for k in (0, 1):
            path = np.array(made[k::2])
            off = path[1:] - shrink * path[:-1]
            far.append(np.abs(off).max() / np.abs(path[0]).max())
    on = f"{phi} 4-6-5-3, β = 0.8, 60 steps from v ≠ 0, seeds 0-{len(seeds) - 1}"
    check.at_most("|Λ(k+1) - βΛ(k)|, relative", check.worst(far), EXACT, fall=1e-3, on=on)


def claim_momentum_twist(check):
    r"""An antisymmetric law survives momentum, also for FA, and shrinks by $\beta$ in every step.

    $$ \Lambda_i = (v_iW_i^\top - W_iv_i^\top) - (B_{i+1}v_{i+1} - (B_{i+1}v_{i+1})^\top),
       \qquad \Lambda_i^{(k+1)} = \beta\,\Lambda_i^{(k)} $$

    exactly, where $v$ is what moves the weights: $\eta F$ has $F_iW_i^\top = B_{i+1}F_{i+1}$, which
    cancels.  Gradient descent has such laws from its rotation symmetry; FA has no such symmetry.

    Assumes: linear layers, no decay.
    Source: derived in this project; for gradient descent Marcotte, Gribonval & Peyré (2024).
    Class: derived
    """
    twist(check)


def control_momentum_twist_relu(check):
    """Hidden units with ReLU."""
    twist(check, phi="relu")


def control_momentum_twist_gradient_descent(check):
    """The error returns through the transposed weights."""
    twist(check, kind=GradientInstead)


def control_momentum_twist_constant(check):
    """Λ kept instead of shrunk."""
    twist(check, shrink=1.0)


def heavy(check, make):
    """Orders of the flows that ``make(rule, task, w0, eta)`` gives with their starts."""
    seeds, off = range(check.tier(quick=1, full=3)), []
    for name, seed in itertools.product(("linear", "tanh"), seeds):
        rule, task, w0, T = problem(ff.FA, name, seed)
        errors = []
        for K in (800, 1600):
            eta = T / K * (1 - BETA)
            run = ff.iterate(rule, task, w0, eta=eta, steps=K, every=K, momentum=BETA)
            field, start, end = make(rule, task, w0, eta)
            flow = ff.integrate(field, task, start, [0, end or T], **TIGHT)
            w = np.concatenate([W[-1].ravel() for W in flow.w[: len(w0)]])
            errors.append(np.linalg.norm(ends(run) - w))
        off.append(abs(slope([2, 1], errors) - 2))
    on = f"FA, linear and tanh 4-6-5-3, β = 0.8, 800 and 1600 steps, seeds 0-{len(seeds) - 1}"
    check.at_most("|order - 2|", check.worst(off), 0.15, fall=0.6, on=on)


def ball_flow(rule, task, w0, eta, shift=True, factor=True):
    made = ff.modified(rule, eta, momentum=BETA)
    start = made.shifted(task, w0) if shift else w0
    return made if factor else ff.modified(rule, eta / (1 - BETA)), start, None


def claim_momentum_flow(check):
    r"""Steps with momentum follow a modified flow of second order, from a start that lies behind.

    $$ \tilde F = F - \frac h2\,\frac{1+\beta}{1-\beta}JF, \quad h = \frac\eta{1-\beta}, \quad
       \tilde w_0 = w_0 - \frac{h\beta}{1-\beta}F(w_0) $$

    from $v_0=0$, in the time $t=kh$.  Without the shift, which is what building up $v$ costs, or
    with the factor of plain steps, the order is 1.

    Assumes: a smooth velocity.
    Source: Kovachki & Stuart (2021) and Ghosh et al. (2023), for gradients; the shift derived in
    this project.
    Class: derived
    """
    heavy(check, ball_flow)


def control_momentum_flow_without_shift(check):
    """From w₀."""
    heavy(check, partial(ball_flow, shift=False))


def control_momentum_flow_with_the_factor_of_plain_steps(check):
    """-h/2 JF."""
    heavy(check, partial(ball_flow, factor=False))


def second_order(rule, task, w0, eta, share=None):
    """m w'' + w' = F as a heavy ball of friction 1/√m in the time t/√m."""
    h = eta / (1 - BETA)
    m = h / 2 * (1 + BETA) / (1 - BETA)
    share = (1 - BETA) / (1 + BETA) if share is None else share
    push = tuple(np.sqrt(m) * share * V for V in rule(task, w0))
    field = ff.HeavyBall(of=rule, friction=float(1 / np.sqrt(m)))
    return field, (*w0, *push), 1.0 / np.sqrt(m)


def claim_second_order_flow(check):
    r"""As a flow of second order steps with momentum need a velocity at the start.

    $$ m\,w'' + w' = F, \quad m = \frac h2\,\frac{1+\beta}{1-\beta}, \quad
       w'(0) = \frac{1-\beta}{1+\beta}F(w_0) \;\text{ for }\; v_0 = 0 $$

    is right to second order; $w'(0)=0$, which looks like $v_0=0$, only to first.

    Assumes: a smooth velocity.
    Source: the equation in Kovachki & Stuart (2021); its start derived in this project.
    Class: derived
    """
    heavy(check, second_order)


def control_second_order_flow_from_rest(check):
    """w'(0) = 0."""
    heavy(check, partial(second_order, share=0.0))


# Stability


@cache
def fitted(seed, scale=0.8):
    """(rule, task, w) of FA on a factorisation, its targets met."""
    rng = np.random.default_rng([seed, 19])
    task = ff.Task.factorisation(rng.standard_normal((4, 7)))
    rule, w0 = ff.FA.random((7, 5, 4), seed=seed), ff.init((7, 5, 4), scale=scale, seed=seed)
    w = ff.integrate(rule, task, w0, [0, 300], rtol=1e-12, atol=1e-14).final
    # what is left of the error is taken away by the targets
    return rule, ff.Task.factorisation(w[1] @ w[0]), w


def turning(seed, rate):
    """(rule, task, w): targets met, W₂B = A with a turning part as large as asked for."""
    rng = np.random.default_rng([seed, 23])
    A0 = rng.standard_normal((3, 3))
    A = 0.3 * A0 @ A0.T + rate * (A0 - A0.T)
    W = 0.3 * rng.standard_normal((6, 3)), rng.standard_normal((3, 6))
    rule = ff.FA((np.linalg.pinv(W[1]) @ A,))
    return rule, ff.Task.factorisation(W[1] @ W[0]), W


def spectra(check, transposed=False):
    seeds, far, still = range(check.tier(quick=6, full=12)), [], []
    for seed in seeds:
        rule, task, w = fitted(seed)
        J = jacobian(rule, task, w)
        back = w[1].T if transposed else rule.B[0]
        K = np.kron(w[1] @ back, np.eye(7)) + np.kron(np.eye(4), w[0].T @ w[0])
        values = np.linalg.eigvals(J)
        values = values[np.argsort(-np.abs(values))]
        kernel = -np.linalg.eigvals(K)
        apart = np.abs(values[: len(kernel), None] - kernel)
        pairs = scipy.optimize.linear_sum_assignment(apart)  # one to one, multiple ones as well
        far.append(apart[pairs].max() / np.abs(kernel).max())
        still.append(np.abs(values[len(kernel) :]).max() / np.abs(kernel).max())
    on = f"FA, factorisation 4 x 7 by 5 units, targets met, seeds 0-{len(seeds) - 1}"
    name = "eigenvalues of J less those of -K, one to one"
    check.at_most(name, check.worst(far), 1e-10, fall=1e-2, on=on)
    return np.max(still), on


def claim_spectrum(check):
    r"""Where FA fits its targets, $J$ has the spectrum of minus the tangent kernel, and zeros.

    $$ K = (W_2B)\otimes I + I\otimes W_1^\top W_1 $$

    for two linear layers on white inputs.  $J=-PG$ where $F=Pe$ and $G$ is the derivative of the
    output, and $K=GP$.  The other eigenvalues are zero: each law is a direction that $J$ does not
    reach.

    Assumes: targets met, squared loss, whitened inputs.
    Source: derived in this project.
    Class: derived
    """
    still, on = spectra(check)
    check.at_most("the other eigenvalues, over the largest", still, 1e-6, fall=1e-2, on=on)


def control_spectrum_of_gradient_descent(check):
    """The kernel of gradient descent, W₂W₂ᵀ in place of W₂B."""
    spectra(check, transposed=True)


def growth(check, limit=None, factor_of=lambda step, mode: 1 + step * mode):
    """Perturbs along the critical mode and follows it for some steps of 0.95 and 1.05 η*.

    limit: in place of η*, on turning spectra and below it alone.  factor_of: what is predicted.
    """
    off, sides = [], []
    cases = [turning(0, rate) for rate in (1.0, 3.0)]
    cases += [] if check.control else [fitted(seed) for seed in range(check.tier(quick=2, full=6))]
    for rule, task, w in cases:
        made = ff.stability(rule, task, w)
        eta = limit(made) if limit else made.eta
        for factor in (0.95,) if limit else (0.95, 1.05):
            step = factor * eta
            mode = [1e-7 * M / np.linalg.norm(flat(made.mode)) for M in made.mode]
            start = tuple(W + M.real for W, M in zip(w, mode, strict=True))
            run = ff.iterate(rule, task, start, eta=step, steps=12)
            path = np.array([flat(run.at(n)) - flat(w) for n in range(13)])
            basis = np.stack([flat(made.mode).real, flat(made.mode).imag], axis=1)
            shares = np.linalg.lstsq(basis, path.T, rcond=None)[0]
            z = shares[0] - 1j * shares[1]
            if limit is None:
                said = factor_of(step, made.critical)
                off.append(np.abs(z[1:] / z[:-1] - said).max())
            seen = np.abs(z[-1] / z[0]) ** (1 / 12)
            sides.append((1 - seen) if factor < 1 else (seen - 1))
    on = "FA, targets met: generic and turning spectra, 12 steps"
    if limit is None:
        check.at_most("growth and turn less 1 + ηλ", check.worst(off), 1e-4, on=on)
    if check.control and limit is None:
        return
    name = "shrinks below η*, grows above: least margin a step"
    check.at_least(name, check.worst(sides, small=False), 1e-5, fall=-1e-2, on=on)


def claim_growth(check):
    r"""Steps are stable up to $\eta^* = \min -2\operatorname{Re}\lambda/|\lambda|^2$.

    A small perturbation along a mode of $J$ is multiplied by $1+\eta\lambda$ in every step, which
    grows it by $|1+\eta\lambda|$ and turns it by its argument.  With the complex spectra of rules
    that follow no gradient, $\eta^*$ may lie far below $2/\rho(J)$, the rule of gradient descent.

    Assumes: a state at rest, small perturbations.
    Source: standard for linear maps.
    Class: recalled
    """
    growth(check)
    fig, axes = panels(2)
    for ax, case, title in (
        (axes[0], fitted(0), "from a start of scale 0.8"),
        (axes[1], turning(0, 3.0), "made to turn"),
    ):
        spectrum(ff.stability(*case), ax=ax)
        ax.set_title(f"{title}, {ax.get_title()}", fontsize="medium")
    check.figure(fig, "ηλ at η*, targets met, FA on two factorisations.")


def control_growth_two_over_radius(check):
    """2/ρ(J) as the threshold: at 0.95 of it perturbations grow."""
    growth(check, limit=lambda made: made.naive)


def control_growth_of_a_real_mode(check):
    """1 - η|λ|, as if the mode did not turn."""
    growth(check, factor_of=lambda step, mode: 1 - step * abs(mode))


def critical(low=0.5, high=0.9, digits=9):
    """The step size h below which p ← p + h(1 - rp), r ← r + h(1 - rp)p stays bounded from 0."""

    def bounded(h):
        p = r = 0.0
        for _ in range(20_000):
            left = 1 - r * p
            p, r = p + h * left, r + h * left * p
            if abs(p) > 1e3:
                return False
            if abs(left) < 1e-12:
                return True
        return abs(left) < 0.1

    for _ in range(int(np.ceil(np.log2((high - low) * 10**digits)))):
        middle = (low + high) / 2
        low, high = (middle, high) if bounded(middle) else (low, middle)
    return (low + high) / 2


KAPPA = 0.646143
"""To six digits."""


def ends_of_runs(check, kappa):
    """Largest loss reached at 0.99 of the threshold, least at 1.01."""
    seeds, below, above = range(check.tier(quick=4, full=12)), [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, 29])
        n, m, r = ((4, 6, 3), (5, 3, 4), (3, 3, 3))[seed % 3]
        S, B = rng.standard_normal((n, m)), rng.standard_normal((r, n))
        rule, task = ff.FA((B,)), ff.Task.factorisation(S)
        w0 = np.zeros((r, m)), np.zeros((n, r))
        eta = kappa * np.linalg.norm(B @ S, 2) ** (-2 / 3)
        for factor, found in ((0.99, below), (1.01, above)):
            try:
                run = ff.iterate(rule, task, w0, eta=factor * eta, steps=3000, every=3000)
                w = run.final
                told = np.linalg.norm(B @ (S - w[1] @ w[0])) / np.linalg.norm(B @ S)
            except ff.Unfinished:
                told = np.inf
            found.append(min(told, 1e6))
    return below, above, f"FA from zero, three shapes, seeds 0-{len(seeds) - 1}, 3000 steps"


def claim_kappa(check):
    r"""From zero discrete FA on white inputs diverges beyond $\eta_c=\kappa\|BS\|_2^{-2/3}$.

    $\kappa = 0.646143$ to six digits, for any target $S$ and any feedback $B$.  The run falls
    apart into scalar maps $p\leftarrow p+h(1-rp)$, $r\leftarrow r+h(1-rp)p$ with
    $h=\eta d^{1/3}$, $d$ the eigenvalues of $BS(BS)^\top$.  At $0.99\,\eta_c$ the part of the
    error that $B$ sees goes to zero, and at $1.01\,\eta_c$ the weights overflow.  The threshold of
    the state where the flow ends, $\tfrac43 4^{-1/3} = 0.83995$, is too large: the discrete run
    ends where the curvature is larger, since every step adds to the law.

    Assumes: two linear layers, whitened inputs, zero start.
    Source: derived in this project.
    Class: derived
    """
    check.equal("κ", critical(), KAPPA, tol=5e-7, on="bisection of the scalar map")
    below, above, on = ends_of_runs(check, KAPPA)
    check.at_most("error that B sees at 0.99 η_c", np.max(below), 1e-6, fall=1e-2, on=on)
    check.at_least("error that B sees at 1.01 η_c", np.min(above), 1e5, fall=1, on=on)
    fig, ax = panels()
    rule, task = ff.FA(([[1.0]],)), ff.Task.factorisation([[1.0]])
    w0 = np.zeros((1, 1)), np.zeros((1, 1))
    for factor, color in ((0.9, "C0"), (0.99, "C1"), (1.01, "C3")):
        try:
            run = ff.iterate(rule, task, w0, eta=factor * KAPPA, steps=60)
        except ff.Unfinished as stop:
            run = stop.solution
        left = np.minimum(np.abs(1 - (run.w[1] * run.w[0])[:, 0, 0]), 1e8)
        ax.semilogy(np.arange(len(left)), left, f"{color}.-", lw=1, label=f"{factor:g} η_c")
    ax.set(xlabel="step", ylabel="|error|", ylim=(1e-12, 1e6))
    ax.legend(frameon=False, fontsize="small")
    check.figure(fig, "One unit from zero: just below η_c the error goes to zero, just above not.")


def control_kappa_of_the_flows_end(check):
    """The threshold of the state where the flow ends."""
    below, _, on = ends_of_runs(check, 4 / 3 * 4 ** (-1 / 3))
    check.at_most("error that B sees at 0.99 η_c", np.min(below), 1e-6, fall=1e-2, on=on)


class Linear(ff.Rule):
    """dw/dt = Aw, the matrix A given as the task's targets."""

    def velocity(self, task, w):
        return (task.Y @ w[0],)


def principal(check, field=ff.principal):
    seeds, far = range(check.tier(quick=4, full=10)), []
    for seed, eta in itertools.product(seeds, (0.1, 0.5, 1.0)):
        rng = np.random.default_rng([seed, 31])
        A = rng.standard_normal((4, 4))
        A = A - A.T - 0.2 * np.eye(4) if seed % 2 else (A - A.T) / 2 - np.eye(4) / 3
        task, w0 = ff.Task(np.ones((1, 4)), A), (rng.standard_normal((4, 1)),)
        run = ff.iterate(Linear(), task, w0, eta=eta, steps=8)
        if eta < 1 and field is not ff.principal:
            continue  # there the series still converges
        flow = ff.integrate(field(Linear(), eta), task, w0, run.ts, **TIGHT)
        far.append(ff.gap(run, flow).max() / max(np.abs(W).max() for W in run.w))
    on = f"turning linear fields in 4 dimensions, η = 0.1, 0.5, 1, seeds 0-{len(seeds) - 1}"
    check.at_most("distance of 8 steps, relative", check.worst(far), 1e-10, fall=1e-2, on=on)


def claim_principal(check):
    r"""The principal flow passes through the steps of a linear field, also where these diverge.

    $$ \tilde F = \frac{\log(I+\eta J)}{\eta J}F $$

    for $J$ that is not symmetric: a real flow, as long as no eigenvalue of $I+\eta J$ is on the
    negative real axis.  The truncated series fails once $|\eta\lambda|>1$.

    Assumes: a linear field.
    Source: Rosca, Wu, Qin & Dherin (2023), for gradients.
    Class: recalled
    """
    principal(check)


def control_principal_series(check):
    """The series to fourth order, at |ηλ| > 1."""
    principal(check, lambda rule, eta: ff.modified(rule, eta, 4))


def ellipse(check, limits=thresholds):
    rng = np.random.default_rng(0)
    count = check.tier(quick=10_000, full=40_000)
    values = -rng.exponential(size=count) + 3j * rng.standard_normal(count)
    betas = rng.choice([0, 0.3, 0.5, 0.9, 0.99], size=count)
    wrong = 0
    for beta in np.unique(betas):
        lam = values[betas == beta]
        eta = limits(lam, beta)
        for factor, stable in ((0.999, True), (1.001, False)):
            half = (1 + beta + factor * eta * lam) / 2
            root = np.sqrt(half**2 - beta)
            radius = np.maximum(np.abs(half + root), np.abs(half - root))
            wrong += np.sum((radius < 1) != stable)
    on = f"{count} random λ and β, at 0.999 and 1.001 of the threshold"
    check.at_most("modes on the wrong side", wrong, 0, fall=100, on=on)


def claim_ellipse(check):
    r"""Steps with momentum are stable where $\eta\lambda$ lies inside an ellipse.

    It is centred at $-(1+\beta)$, with half axes $1+\beta$ along the real axis, $1-\beta$ across:
    $$ \eta^* = \frac{2a/(1+\beta)}{a^2/(1+\beta)^2+\omega^2/(1-\beta)^2},
       \qquad \lambda = -a+i\omega $$
    For real $\lambda$ momentum multiplies the range by $1+\beta$; a mode that turns loses all of it
    as $\beta$ goes to 1.

    Assumes: linear modes, heavy-ball momentum.
    Source: derived in this project; for real λ Polyak (1964).
    Class: derived
    """
    ellipse(check)
    fig, axes = panels(3, size=(4.2, 3.6))
    rule, task, w = turning(0, 1.0)
    for ax, beta in zip(axes, (0, 0.5, 0.9), strict=True):
        spectrum(ff.stability(rule, task, w, momentum=beta), ax=ax)
    check.figure(fig, "ηλ at η*, the same state of FA with β = 0, 0.5 and 0.9.")


def control_ellipse_without_narrowing(check):
    """Half axes 1 + β both."""

    def round_ones(values, beta):
        return 2 * (1 + beta) * -values.real / np.abs(values) ** 2

    ellipse(check, round_ones)


# Noise


def noise(check, drop=None):
    """Order of the mean's error against all 2^K paths; drop: a term of its equation."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    task = ff.Task(X, Y)
    fa = ff.FA((rng.standard_normal((2, 2)),))
    w0, T, off, spread = ff.init((2, 2, 2), scale=0.6, seed=3), 0.8, [], []
    for rule in (fa, ff.GD()):
        errors, scatter, counts = [], [], check.tier(quick=(6, 11), full=(8, 15))
        for K in counts:
            eta, states = T / K, [np.stack([W] * 1) for W in w0]
            for _ in range(K):
                states = _branched(rule, task, states, eta)
            every = np.concatenate([W.reshape(len(W), -1) for W in states], axis=1)
            mean, covariance = _predicted(rule, task, w0, T, eta, drop)
            errors.append(np.linalg.norm(every.mean(0) - mean))
            scatter.append(np.linalg.norm(np.cov(every, rowvar=False, bias=True) - covariance))
        off.append(abs(slope([1 / K for K in counts], errors) - 2))
        spread.append(abs(slope([1 / K for K in counts], scatter) - 2))
    on = f"FA and GD, linear 2-2-2, two samples one by one, all paths of {counts} steps"
    check.at_most("|order of the mean - 2|", check.worst(off), 0.1, fall=0.5, on=on)
    if drop != "size":
        name = "|order of the covariance - 2|"
        check.at_most(name, check.worst(spread), 0.25, fall=0.5, on=on)


def _branched(rule, task, states, eta):
    """Every state after a step on each of the samples, (paths, rows, columns)."""
    grown = []
    for n in range(task.X.shape[1]):
        seen = task.with_data(task.X[:, [n]], task.Y[:, [n]])
        moved = [rule(seen, w) for w in zip(*states, strict=True)]
        grown.append(
            [W + eta * np.stack(V) for W, V in zip(states, zip(*moved, strict=True), strict=True)]
        )
    return [np.concatenate(parts) for parts in zip(*grown, strict=True)]


def _predicted(rule, task, w0, T, eta, drop):
    if drop == "noise":  # all samples at half the rate, corrected for the steps' size alone
        rule = replace(rule, rates=0.5)
        flow = ff.integrate(ff.modified(rule, eta), task, w0, [0, T])
        return ends(flow), 0
    made = ff.moments(rule, task, w0, [0, T], eta=eta, size=1)
    mean = np.concatenate([W[-1].ravel() for W in made.w])
    if drop == "size":  # to first order what -(η/2)JF adds is taken away again
        rule = replace(rule, rates=0.5)
        both = [ends(ff.integrate(f, task, w0, [0, T])) for f in (rule, ff.modified(rule, eta))]
        mean = mean - both[1] + both[0]
    return mean, made.covariance[-1]


def claim_noise(check):
    r"""The mean of steps on random samples follows a flow with two corrections, to second order.

    $$ m' = F - \tfrac\eta2JF + \tfrac\eta2F''\!:\!P, \qquad P' = JP + PJ^\top + \Sigma, \qquad
       E\,w_k = m + O(\eta^2) $$

    with $\Sigma$ the covariance of a batch's velocity; $\eta P$ is that of the weights, to second
    order.  Against all $2^K$ paths of two samples, so without sampling error.

    Assumes: a smooth velocity; samples drawn anew at each step.
    Source: the order-2 equation of Li, Tai & E (2019), for gradients; for any velocity derived in
    this project.
    Class: derived
    """
    noise(check)


def control_noise_without_the_noise(check):
    """F''P left out."""
    noise(check, drop="noise")


def control_noise_without_the_step(check):
    """JF left out."""
    noise(check, drop="size")
