"""Compiled steps give the numbers of those that are not compiled, for every option."""

import numpy as np
import pytest
from problems import RULES, ending, problem

import faflow as ff
from faflow import laws

pytestmark = pytest.mark.jax

DECAYS = (0.3, ff.Piecewise((0.35, 0.8), (0.0, 0.5, 0.1)), 0.2)


def both(rule, task, w0, **options):
    options = {"eta": 0.05, "steps": 24} | options
    return [ff.iterate(rule, task, w0, engine=engine, **options) for engine in ("numpy", "jax")]


def agree(one, two):
    """To the rounding of some steps."""
    assert one.made.keys() == two.made.keys()
    differ = {name for name in one.made if one.made[name] != two.made[name]}
    assert differ <= {"engine", "seconds"}
    np.testing.assert_array_equal(one.ts, two.ts)
    for A, B in zip((*one.w, *one.final), (*two.w, *two.final), strict=True):
        assert B.dtype == float
        np.testing.assert_allclose(A, B, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_steps_alike(kind):
    agree(*both(*problem(kind, "tanh", bias=True, decay=0.1, rates=(1.0, 0.5, 2.0))))


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.7},
        {"momentum": 0.7, "nesterov": True},
        {"order": "input first"},
        {"order": "output first", "momentum": 0.4},
        {"decay": "decoupled"},
        {"decay": "decoupled", "momentum": 0.7, "nesterov": True},
        {"eta": [0.05, 0.02] * 12},
        {"eta": lambda n: 0.1 / (1 + n)},
        {"batches": 2, "seed": 3},
        {"batches": 5},
        {"batches": ff.sampled(3, replace=True), "seed": 4},
        {"batches": lambda rng, n: [n - 1, 0]},
        {"every": 5},
    ],
    ids=lambda options: " ".join(options),
)
def test_every_option_steps_alike(options):
    """Under a decay of each layer's own, one of which jumps twice on the way."""
    agree(*both(*problem(ff.FA, "relu", seed=1, decay=DECAYS), **options))


@pytest.mark.parametrize("loss", ["squared", "logistic", "cross_entropy", "exponential"])
def test_every_loss_steps_alike(loss):
    agree(*both(*problem(ff.DFA, "softplus(2)", loss, seed=1), batches=2))


def test_derived_rules_and_scaled_outputs_step_alike():
    rule, task, w0 = problem(ff.FA, "tanh", seed=1)
    agree(*both(ff.modified(rule, 0.05, 3), task, w0))
    agree(*both(ff.modified(rule, 0.05, momentum=0.5), task, w0))
    agree(*both(ff.HeavyBall(of=rule), task, (*w0, *(0 * W for W in w0))))
    agree(*both(rule, ff.Task(task.X, task.Y, "tanh", output_scale=0.5), w0))


@pytest.mark.parametrize("steps", [1, 511, 512, 513, 1030])
def test_runs_longer_than_a_call_of_the_loop_are_put_together(steps):
    rule, task, w0 = problem(ff.FA, "tanh", seed=1)
    agree(*both(rule, task, w0, steps=steps, eta=0.01, batches=2, momentum=0.5))


def test_observables_are_those_of_the_states():
    given = problem(ff.FA, seed=1)
    one, two = both(*given, every=4, observe={"law": laws.feedback_balance})
    np.testing.assert_allclose(one.observed["law"], two.observed["law"], rtol=1e-12, atol=1e-12)
    assert two.w == ()
    agree(one, two)


@pytest.mark.parametrize("every", [1, 4])
def test_an_overflow_is_told_alike_and_leaves_what_came_before(every):
    """w ← w + w² from 1."""
    found = []
    for engine in ("numpy", "jax"):
        with pytest.raises(ff.Unfinished) as stop:
            ff.iterate(*ending(), eta=1.0, steps=2000, every=every, engine=engine)
        found.append((str(stop.value), stop.value.solution))
    (said, one), (told, two) = found
    assert said == told
    np.testing.assert_array_equal(one.ts, two.ts)
    np.testing.assert_allclose(one.w[0], two.w[0], rtol=1e-12)
    assert np.isfinite(two.w[0]).all()
    assert one.made["accepted"] == two.made["accepted"] == 10


def test_ctrl_c_leaves_the_steps_before():
    rule, task, w0 = problem(ff.GD, "tanh")
    count = []

    def law(rule, w):
        count.append(1)
        if len(count) == 5:
            raise KeyboardInterrupt
        return w[0]

    with pytest.raises(ff.Interrupted) as stop:
        ff.iterate(rule, task, w0, eta=0.1, steps=100, observe={"law": law}, engine="jax")
    sol = stop.value.solution
    np.testing.assert_allclose(sol.ts, [0, 0.1, 0.2, 0.3, 0.4])
    told = ff.iterate(rule, task, w0, eta=0.1, steps=4)
    np.testing.assert_allclose(sol.observed["law"], told.w[0], rtol=1e-12)


def test_the_users_precision_stays_as_it_is():
    import jax

    before = jax.config.jax_enable_x64
    ff.iterate(*problem(ff.GD), eta=0.1, steps=3, engine="jax")
    assert jax.config.jax_enable_x64 == before


def test_what_cannot_be_compiled_is_refused():
    rule, task, w0 = problem(ff.FA)
    uneven = lambda rng, n: list(range(1 + int(rng.integers(3))))
    with pytest.raises(ValueError, match="need batches of one size; take engine='numpy'"):
        ff.iterate(rule, task, w0, eta=0.1, steps=30, batches=uneven, engine="jax")
    with pytest.raises(ValueError, match="Unknown engine 'torch'; choose from numpy, jax"):
        ff.iterate(rule, task, w0, eta=0.1, steps=3, engine="torch")
    C, Y = np.ones((1, 1)), np.ones((1, 1))
    with pytest.raises(ValueError, match="FAStar settles its state after each step"):
        ff.iterate(
            ff.FAStar((C,)), ff.Task.factorisation(Y), (C, C), eta=0.1, steps=3, engine="jax"
        )


class Branching(ff.GD):
    def velocity(self, task, w):
        sign = 1 if float(w[0][0, 0]) > 0 else -1
        return tuple(sign * V for V in super().velocity(task, w))


def test_a_rule_that_jax_cannot_trace_is_refused_in_a_sentence():
    _, task, w0 = problem(ff.GD)
    with pytest.raises(ValueError, match="JAX cannot trace the velocity of Branching"):
        ff.iterate(Branching(), task, w0, eta=0.1, steps=2, engine="jax")
