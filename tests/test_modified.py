from fractions import Fraction
from math import factorial

import numpy as np
import pytest
import sympy
from problems import RULES, problem

import faflow as ff
from faflow import laws
from faflow.derivatives import flat
from faflow.steps.modified import by_formula, by_recursion

TIGHT = {"rtol": 3e-14, "atol": 1e-14}


def end(sol):
    return np.concatenate([W[-1].ravel() for W in sol.w])


def observed(errors, ratio=2):
    return np.log(np.array(errors[:-1]) / errors[1:])[-1] / np.log(ratio)


def moderate(kind, phi="tanh", **options):
    """A problem on which steps of 1/20 are small."""
    options |= {"beta": 2.0} if kind is ff.SignFA else {}
    return problem(kind, phi, seed=1, **options)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", RULES)
def test_steps_follow_the_modified_flow_of_each_order(kind, order):
    rule, task, w0 = moderate(kind)
    errors = []
    for K in (40, 80):
        steps = ff.iterate(rule, task, w0, eta=0.5 / K, steps=K, every=K)
        flow = ff.integrate(ff.modified(rule, 0.5 / K, order), task, w0, steps.ts, **TIGHT)
        errors.append(np.linalg.norm(end(steps) - end(flow)))
    assert abs(observed(errors) - order) < 0.1


def test_the_rates_of_layers_count_once():
    rule, task, w0 = problem(ff.FA, "tanh", seed=1, rates=(0.5, 0.3, 2.0))
    for V, U in zip(ff.modified(rule, 0.1, 1)(task, w0), rule(task, w0), strict=True):
        np.testing.assert_array_equal(V, U)
    made = ff.compare(rule, task, w0, 0.5, [0.5 / 40, 0.5 / 80], (1, 2, 3))
    for order in (1, 2, 3):
        assert abs(made.observed(order) - order) < 0.1
    law = laws.layer_feedback_balance
    assert law(ff.modified(rule, 0.1), w0) == law(rule, w0)


@pytest.mark.parametrize("kind", RULES)
def test_the_recursion_gives_what_the_formulas_give(kind):
    rule, task, w = moderate(kind, bias=True)
    field = lambda x: rule(task, x)
    for a, b in zip(by_formula(field, w, 4), by_recursion(field, w, 4), strict=True):
        assert np.abs(flat(a) - flat(b)).max() < 1e-13 * np.abs(flat(a)).max()


@pytest.mark.jax
@pytest.mark.parametrize("kind", RULES)
def test_jax_gives_the_velocity_that_dual_numbers_give(kind):
    import jax

    rule, task, w = moderate(kind, bias=True)
    made = ff.modified(rule, 0.1, 4)
    with jax.enable_x64(True):
        other = jax.jit(lambda w: made(task, w))(jax.tree.map(jax.numpy.asarray, w))
    for V, U in zip(made(task, w), other, strict=True):
        np.testing.assert_allclose(V, np.asarray(U), rtol=1e-12, atol=1e-13)


@pytest.mark.jax
def test_diffrax_follows_a_modified_flow_as_scipy_does():
    rule, task, w0 = moderate(ff.FA)
    made, ts = ff.modified(rule, 0.02, 3), [0, 0.5, 1]
    flows = [ff.integrate(made, task, w0, ts, engine=e) for e in ("scipy", "diffrax")]
    assert ff.gap(*flows).max() < 1e-8


def test_the_terms_make_the_step_the_flow_of_the_field_through_fourth_order():
    """exp(ηD̃)x - x - ηF vanishes through η⁴ for two quadratic and cubic scalars, by SymPy."""
    x, y, eta = sympy.symbols("x y eta")
    F = [x + 2 * x * y - y**2 / 3 + x**3, 1 - x * y + x**2 / 2 - y**3]

    class Field(ff.Rule):
        def velocity(self, task, w):
            x, y = w
            return (
                x + 2 * (x * y) - y * y / 3 + x * x * x,
                1 - x * y + x * x / 2 - y * y * y,
            )

    def entry(e):
        from faflow.matrices import Expression

        out = np.empty((1, 1), dtype=object)
        out[0, 0] = Expression(e)
        return out

    terms = by_formula(lambda w: Field()(None, w), (entry(x), entry(y)), 4)
    terms = [[V.item().of for V in term] for term in terms]
    assert [sympy.expand(a - b) for a, b in zip(terms[0], F, strict=True)] == [0, 0]
    poly = lambda e: sympy.Poly(e, x, y, eta)  # much sooner than expressions expanded
    field = [poly(sum(eta**j * terms[j][i] for j in range(4))) for i in range(2)]
    D = lambda g: g.diff(x) * field[0] + g.diff(y) * field[1]
    for i, z in enumerate((x, y)):
        left, g = poly(-eta * F[i]), poly(z)
        for n in range(1, 5):
            g = D(g)
            left += g * poly(eta**n) * sympy.Rational(1, factorial(n))
        assert all(power > 4 for (_, _, power), c in left.terms() if c)


def test_the_second_term_is_the_gradient_of_its_square_for_gradient_descent_alone():
    """-½JF = -¼∇|F|² for GD, by finite differences; for FA it is another vector."""
    apart = {}
    for kind in (ff.GD, ff.FA):
        rule, task, w = moderate(kind)
        size = lambda x, rule=rule, task=task: sum(np.sum(V**2) for V in rule(task, x))
        shown = []
        for k, W in enumerate(w):
            for i in np.ndindex(*W.shape):
                h = [np.zeros_like(V) for V in w]
                h[k][i] = 1e-5
                both = [size([V + s * E for V, E in zip(w, h, strict=True)]) for s in (1, -1)]
                shown.append(-(both[0] - both[1]) / 8e-5)
        made = flat(by_formula(lambda x, r=rule, t=task: r(t, x), w, 2)[1])
        apart[kind] = np.linalg.norm(made - shown) / np.linalg.norm(made)
    assert apart[ff.GD] < 1e-6
    assert apart[ff.FA] > 0.5


@pytest.mark.parametrize("bias", [False, True])
def test_the_modified_flow_carries_the_drift_of_the_law(bias):
    """C'F₂ = ½|F₁|² for FA's law: what every step adds, per time."""
    rule, task, w = problem(ff.FA, seed=1, bias=bias)
    F, F2 = by_formula(lambda x: rule(task, x), w, 2)
    h = 1e-6
    law = lambda s: laws.layer_feedback_balance(
        rule, tuple(W + s * V for W, V in zip(w, F2, strict=True))
    )
    assert (law(h) - law(-h)) / (2 * h) == pytest.approx(np.sum(F[0] ** 2) / 2, rel=1e-8)


def drifting(rule, w, target, covariance):
    told = rule.B[0] @ (target - w[1] @ w[0]) @ covariance
    return told @ told.T * Fraction(1, 10)


def test_the_drift_of_the_law_along_the_modified_flow_is_proved_for_every_size():
    rule = ff.modified(ff.FA, Fraction(1, 10), 2)
    moving = ff.prove(laws.feedback_balance, rule, loss="squared")
    claimed = ff.prove(laws.feedback_balance, rule, loss="squared", rate=drifting)
    assert not moving.kept
    assert claimed.kept
    assert claimed.algebra == "words"
    off = ff.prove(
        laws.feedback_balance, rule, loss="squared", rate=lambda *a, **k: 2 * drifting(*a, **k)
    )
    assert not off.kept


@pytest.mark.parametrize("algebra", ["flint", "sympy"])
def test_the_drift_is_proved_at_given_sizes_too(algebra):
    rule = ff.modified(ff.FA, Fraction(1, 10), 2)
    options = {"sizes": (1, 2, 1), "loss": "squared", "algebra": algebra}
    assert ff.prove(laws.feedback_balance, rule, rate=drifting, **options).kept
    assert not ff.prove(laws.feedback_balance, rule, **options).kept


def test_for_any_loss_the_derivative_of_the_error_is_unknown():
    with pytest.raises(ValueError, match=r"asked for its derivative.*take loss='squared'"):
        ff.prove(laws.feedback_balance, ff.modified(ff.FA, Fraction(1, 10), 2))


def test_for_any_activation_of_a_degree_the_derivative_of_the_slope_is_unknown():
    with pytest.raises(ValueError, match="activation of layer 1 is asked for its derivative"):
        ff.prove(
            laws.neuron_feedback_balance,
            ff.modified(ff.FA, Fraction(1, 10), 2),
            loss="squared",
            activation="relu_power(2)",
            degree=2,
        )


def test_a_law_linear_in_the_weights_is_kept_by_every_modified_flow():
    """Kolen and Pollack's difference, whose steps keep it exactly: no rate of any order."""
    for order in (2, 3):
        rule = ff.modified(ff.KolenPollack, Fraction(1, 3), order)
        assert ff.prove(laws.mirror_difference, rule, loss="squared").kept


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("decay", [0, 0.5])
def test_the_mean_over_all_orders_of_the_batches_follows_their_modified_flow(size, decay):
    """All orders of four samples enumerated: the error of a round is of third order."""
    import itertools

    rule, task, w0 = problem(ff.FA, "tanh", sizes=(2, 3, 2), decay=decay)
    task = task.with_data(task.X[:, :4], task.Y[:, :4])
    errors = {1: [], 2: []}
    for eta in (0.02, 0.01):
        ends = []
        for order in itertools.permutations(range(4)):
            w = w0
            for start in range(0, 4, size):
                n = list(order[start : start + size])
                seen = task.with_data(task.X[:, n], task.Y[:, n])
                w = tuple(W + eta * V for W, V in zip(w, rule(seen, w), strict=True))
            ends.append(flat(w))
        for order, found in errors.items():
            flow = ff.integrate(
                ff.modified(rule, eta, order, batches=size), task, w0, [0, eta * 4 / size]
            )
            found.append(np.linalg.norm(np.mean(ends, axis=0) - end(flow)))
    assert abs(observed(errors[1]) - 2) < 0.1
    assert abs(observed(errors[2]) - 3) < 0.15


def test_batches_of_a_rule_whose_samples_interact_are_refused():
    class Centred(ff.FA):
        def velocity(self, task, w):
            mean = task.X.sum(axis=1, keepdims=True) / task.X.shape[1]
            return super().velocity(task.with_data(task.X - mean, task.Y), w)

    rule, task, w = problem(ff.FA)
    task = task.with_data(task.X[:, :4], task.Y[:, :4])
    with pytest.raises(ValueError, match="Centred are no sums over samples"):
        ff.modified(Centred(rule.B), 0.1, batches=2)(task, w)
    with pytest.raises(ValueError, match="HeavyBall of FA are no sums over samples"):
        ff.modified(ff.HeavyBall(of=rule), 0.1, batches=2)(task, (*w, *w))


def test_momentum_needs_its_own_factor_and_its_own_start():
    rule, task, w0 = moderate(ff.FA)
    errors = {"flow": [], "modified": [], "no shift": [], "no factor": []}
    beta, T = 0.8, 0.5
    for K in (200, 400):
        eta = T / K * (1 - beta)
        steps = ff.iterate(rule, task, w0, eta=eta, steps=K, every=K, momentum=beta)
        made = ff.modified(rule, eta, momentum=beta)
        start = made.shifted(task, w0)
        tried = {
            "flow": (rule, w0),
            "modified": (made, start),
            "no shift": (made, w0),
            "no factor": (ff.modified(rule, T / K), start),
        }
        for name, (field, at) in tried.items():
            errors[name].append(
                np.linalg.norm(end(steps) - end(ff.integrate(field, task, at, [0, T], **TIGHT)))
            )
    orders = {name: observed(found) for name, found in errors.items()}
    assert abs(orders.pop("modified") - 2) < 0.15
    assert max(orders.values()) < 1.3


@pytest.mark.parametrize("eta", [0.1, 0.5, 1.0])
def test_the_principal_flow_passes_through_the_steps_of_a_linear_field(eta):
    """Also where they spiral outwards while the flow converges."""
    A = np.array([[-1.0, 3.0], [-2.0, -0.5]])

    class Linear(ff.Rule):
        def velocity(self, task, w):
            return (A @ w[0],)

    task, w0 = ff.Task([[1.0]], [[1.0], [1.0]]), (np.array([[1.0], [2.0]]),)
    steps = ff.iterate(Linear(), task, w0, eta=eta, steps=8)
    flow = ff.integrate(ff.principal(Linear(), eta), task, w0, steps.ts, **TIGHT)
    size = np.abs(steps.w[0]).max()
    assert ff.gap(steps, flow).max() < 1e-12 * size
    series = ff.integrate(ff.modified(Linear(), eta, 4), task, w0, steps.ts)
    assert ff.gap(steps, series).max() > 1e-4 * size


def test_the_principal_flow_is_of_second_order_where_the_field_is_not_linear():
    """And it is defined though J is singular: here it has laws."""
    rule, task, w0 = problem(ff.FA, sizes=(2, 2, 2), seed=1)
    errors = []
    for K in (40, 80):
        steps = ff.iterate(rule, task, w0, eta=0.2 / K, steps=K, every=K)
        flow = ff.integrate(ff.principal(rule, 0.2 / K), task, w0, steps.ts)
        errors.append(ff.gap(steps, flow)[-1])
    assert abs(observed(errors) - 2) < 0.1


def test_no_real_flow_passes_through_steps_that_change_sign():
    task, w0 = ff.Task([[1.0]], [[0.0]]), (np.ones((1, 1)),)
    with pytest.raises(ff.Unfinished, match=r"eigenvalue -0.5.*no real flow") as stop:
        ff.integrate(ff.principal(ff.GD(), 1.5), task, w0, [0, 1])
    assert len(stop.value.solution) == 1
    flow = ff.integrate(ff.principal(ff.GD(), 0.5), task, w0, [0, 1])
    assert flow.final[0].item() == pytest.approx(0.25, rel=1e-8)


def test_modified_flows_can_be_saved():
    rule, task, w0 = moderate(ff.FA, decay=0.1)
    sol = ff.integrate(ff.modified(rule, 0.05, 3), task, w0, [0, 0.5])
    again = []

    def check(tmp):
        sol.save(tmp)
        again.append(ff.load(tmp))

    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder) / "modified.npz")
    assert (again[0].rule.eta, again[0].rule.order, again[0].rule.of.decay) == (0.05, 3, 0.1)
    for V, U in zip(again[0].rule(task, w0), sol.rule(task, w0), strict=True):
        np.testing.assert_array_equal(V, U)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0,), {}, "eta must be a positive number, but is 0"),
        (("a",), {}, "eta must be a positive number, but is 'a'"),
        ((0.1, 5), {}, "order must be an integer from 1 to 4, but is 5"),
        ((0.1, 2.0), {}, "order must be an integer from 1 to 4, but is 2.0"),
        ((0.1, 3), {"momentum": 0.5}, "With batches or momentum the order is 1 or 2, not 3"),
        ((0.1,), {"momentum": 1}, "momentum must be from 0 to below 1, but is 1"),
        ((0.1,), {"momentum": 0.5, "batches": 2}, "takes batches or momentum, not both"),
        ((0.1,), {"batches": 0}, "batches must be None or a positive integer"),
    ],
)
def test_bad_numbers_are_refused(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        ff.modified(ff.GD(), *arguments, **options)


def test_a_decay_that_jumps_between_steps_has_no_modified_flow():
    """Of its error, which is of first order there, nothing could be made up for."""
    _, task, w0 = problem(ff.GD)
    run = lambda rule, end, *made, **options: ff.integrate(
        ff.modified(rule, *made, **options), task, w0, [0, end], rtol=1e-4, atol=1e-4
    )
    jumping = ff.GD(decay=ff.Piecewise((0.503,), (0.0, 2.0)))
    for made in ({"eta": 0.01, "order": 2}, {"eta": 0.1, "momentum": 0.5}):
        with pytest.raises(ValueError, match="which every step size must divide"):
            run(jumping, 0.6, **made)
        run(jumping, 0.5, **made)  # which no step has met yet
    run(jumping, 0.6, 0.01, 1)
    run(ff.GD(decay=ff.Piecewise((0.5,), (0.0, 2.0))), 0.6, 0.01, 3)


def test_batches_must_fill_the_rounds():
    rule, task, w = problem(ff.FA)
    with pytest.raises(ValueError, match="batches of 2 must divide the 5 samples"):
        ff.modified(rule, 0.1, batches=2)(task, w)


@pytest.mark.parametrize("wrong", ["FA", ff.FAStar(), None])
def test_what_is_no_rule_that_moves_weights_has_no_modified_flow(wrong):
    with pytest.raises(TypeError, match="needs a rule that moves weights"):
        ff.modified(wrong, 0.1)


def test_the_principal_flow_refuses_what_it_cannot_do():
    rule, task, w = problem(ff.FA, sizes=(10, 20, 20, 2))
    with pytest.raises(ValueError, match="up to 400 weights, not 640"):
        ff.principal(rule, 0.1)(task, w)
    with pytest.raises(ValueError, match=r"eta must be a positive number, but is -1"):
        ff.principal(rule, -1)


@pytest.mark.parametrize("kind", RULES)
def test_rates_and_decay_of_layers_enter_a_modified_flow_once(kind):
    """F - (η/2) J F with J by finite differences of the rule as it is, rates and decay in it."""
    rule, task, w = moderate(kind, rates=(1.0, 2.0, 0.5), decay=(0.1, 0.2, 0.3))
    F = rule(task, w)
    at = lambda s: flat(rule(task, tuple(W + s * V for W, V in zip(w, F, strict=True))))
    told = flat(F) - 0.1 / 2 * (8 * (at(1e-4) - at(-1e-4)) - at(2e-4) + at(-2e-4)) / 0.0012
    made = flat(ff.modified(rule, 0.1)(task, w))
    assert np.abs(made - told).max() < 1e-6 * np.abs(told).max()  # of the differences
    for made in (ff.modified(rule, 0.1, 1), ff.modified(ff.modified(rule, 0.1, 1), 0.1, 1)):
        for V, U in zip(F, made(task, w), strict=True):
            np.testing.assert_array_equal(V, U)


def test_rates_enter_a_principal_flow_once():
    """It tends to the velocity as the steps vanish."""
    rule, task, w = problem(ff.FA, "tanh", sizes=(2, 3, 2), rates=(1.0, 3.0), decay=0.1)
    for V, U in zip(rule(task, w), ff.principal(rule, 1e-9)(task, w), strict=True):
        np.testing.assert_allclose(U, V, atol=1e-7)


@pytest.mark.jax
def test_diffrax_follows_a_modified_flow_of_momentum():
    rule, task, w0 = moderate(ff.FA)
    made, ts = ff.modified(rule, 0.02, momentum=0.5), [0, 0.5]
    flows = [ff.integrate(made, task, w0, ts, engine=e) for e in ("scipy", "diffrax")]
    assert ff.gap(*flows).max() < 1e-8


def test_the_layers_of_a_modified_rule_are_those_of_the_rule():
    """Kolen and Pollack's feedback moves with the layer whose mirror it is, in whatever order."""
    rule, task, w0 = moderate(ff.KolenPollack)
    run = lambda r: ff.iterate(r, task, w0, eta=0.1, steps=2, order="input first")
    assert ff.gap(run(rule), run(ff.modified(rule, 0.1, 1))).max() == 0
