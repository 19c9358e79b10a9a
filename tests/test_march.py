"""Steps in turns: going over to a stabilised method, control of steps, what is allowed."""

import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.integrate
from problems import one_layer, problem

import faflow as ff
from faflow.flow import engine_diffrax, engine_scipy
from faflow.flow.control import Control, judged
from faflow.flow.methods import tableau

ENGINES = ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)]


def stiff(cond=30, seed=0):
    """Feedback alignment whose last modes are `cond` times slower than its first ones."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((n, 6)))[0] for n in (20, 16))
    rule = ff.FA((rng.standard_normal((6, 20)) / np.sqrt(20),))
    w0 = ff.init((16, 6, 20), scale=0.1, seed=1)
    return rule, ff.Task.factorisation(U * np.geomspace(1, 1 / cond, 6) @ V.T), w0


def far(one, other):
    both = zip(one.final, other.final, strict=True)
    return max(np.abs(A - B).max() / np.abs(B).max() for A, B in both)


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stiff_flow_goes_over_to_a_stabilised_method(engine, rtol):
    """And ends where the explicit one does, with half of its evaluations and less."""
    *given, w0 = stiff()
    control = {"rtol": rtol, "atol": rtol / 1000, "max_steps": None}
    fine = ff.integrate(*given, w0, [0, 4000], solver="dop853", rtol=1e-12, max_steps=None)
    sol = ff.integrate(*given, w0, [0, 4000], engine=engine, **control)
    first = {"scipy": "dop853"}.get(engine, "tsit5" if rtol >= 1e-7 else "dopri8")
    then = "rkc2" if rtol >= 1e-5 else "rock4"
    assert sol.made["solver"].startswith(f"{first}, from t = ")
    assert sol.made["solver"].endswith(then)
    assert far(sol, fine) < 30 * rtol
    explicit = ff.integrate(*given, w0, [0, 4000], solver="dop853", **control)
    assert sol.made["evaluations"] < explicit.made["evaluations"] / 2


def test_a_flow_limited_by_its_errors_does_not():
    *given, w0 = stiff(cond=2)
    sol = ff.integrate(*given, w0, [0, 60], rtol=1e-10)
    assert sol.made["accepted"] > 64
    assert sol.made["solver"] == "dop853"


def test_a_named_solver_is_kept_and_fixed_steps_are_left_alone():
    *given, w0 = stiff()
    sol = ff.integrate(*given, w0, [0, 2000], solver="rk45", rtol=1e-4, atol=1e-7)
    assert sol.made["solver"] == "rk45"
    assert ff.integrate(*given, w0, [0, 500], step=1.0).made["solver"] == "dop853"


def test_going_over_does_not_depend_on_speed_or_on_how_a_run_is_looked_at():
    *given, w0 = stiff()
    runs = [ff.integrate(*given, w0, [0, 1500], rtol=1e-6, max_steps=n) for n in (None, 50_000)]
    assert runs[0].made["solver"] == runs[1].made["solver"]
    for A, B in zip(runs[0].final, runs[1].final, strict=True):
        np.testing.assert_array_equal(A, B)


@pytest.mark.parametrize("solver", ["rkc2", "rock4"])
@pytest.mark.parametrize("engine", ENGINES)
def test_stabilised_methods_take_no_fixed_steps(engine, solver):
    given, w0, _ = one_layer()
    with pytest.raises(ValueError, match=f"{solver} takes no fixed steps"):
        ff.integrate(ff.GD(), given, w0, [0, 1], solver=solver, engine=engine, step=0.1)


@pytest.mark.jax
@pytest.mark.parametrize("solver", ["rkc2", "rock4"])
@pytest.mark.parametrize("phi", ["linear", "tanh"])  # with a bound of the radius, and measured
def test_both_engines_make_the_same_of_a_stabilised_method(solver, phi):
    rule, given, w0 = problem(ff.FA, phi, sizes=(6, 5, 3), seed=3)
    runs = [
        ff.integrate(rule, given, w0, [0, 2], solver=solver, engine=engine, rtol=1e-6, atol=1e-8)
        for engine in ("scipy", "diffrax")
    ]
    assert far(*runs) < 1e-4
    counts = [run.made["evaluations"] for run in runs]
    assert 0.7 < counts[0] / counts[1] < 1.4


@pytest.mark.parametrize(("solver", "expected"), [("rk45", 3.31), ("dop853", 6.39), ("rk23", 2.51)])
def test_explicit_methods_are_stable_as_far_as_their_polynomials_say(solver, expected):
    """3.31 and 2.51 are those of Dormand & Prince's and of Bogacki & Shampine's pairs."""
    assert engine_scipy.stable(solver) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("solver", ["rk23", "rk45", "dop853"])
def test_explicit_pairs_are_those_of_scipy_to_the_last_digit(solver):
    ours, theirs = tableau(solver), getattr(scipy.integrate, engine_scipy.SOLVERS[solver])
    np.testing.assert_array_equal(ours.A[:, : theirs.A.shape[1]], theirs.A)
    assert not ours.A[:, theirs.A.shape[1] :].any()
    np.testing.assert_array_equal(ours.b, theirs.B)
    errors = [theirs.E5, theirs.E3] if solver == "dop853" else [theirs.E]
    np.testing.assert_array_equal(ours.errors, errors)
    assert ours.order == theirs.error_estimator_order + 1


@pytest.mark.jax
@pytest.mark.parametrize("solver", ["tsit5", "dopri5", "dopri8", "bosh3"])
def test_explicit_pairs_are_those_of_diffrax_to_the_last_digit(solver):
    dfx = pytest.importorskip("diffrax")
    made = getattr(dfx, engine_diffrax.SOLVERS[solver])()
    ours, theirs = tableau(solver), made.tableau
    assert theirs.fsal
    for row, expected in zip([*ours.A, ours.b][1:], theirs.a_lower, strict=True):
        np.testing.assert_array_equal(row[: len(expected)], expected)
        assert not row[len(expected) :].any()
    np.testing.assert_array_equal(ours.errors, [theirs.b_error])
    assert ours.order == made.error_order(dfx.ODETerm(lambda t, y, args: y))


@pytest.mark.parametrize(
    ("engine", "unneeded"),
    [
        ("scipy", ("scipy.", "jax")),
        pytest.param("diffrax", ("scipy.", "diffrax", "equinox"), marks=pytest.mark.jax),
    ],
)
def test_a_run_imports_nothing_that_it_does_not_need(engine, unneeded):
    """SciPy's import takes several times as long as a short run, diffrax's as many."""
    made = (
        "import sys, numpy as np, faflow as ff;"
        "task = ff.Task.factorisation(np.random.default_rng(0).standard_normal((20, 20)));"
        "rule, w0 = ff.FA.random((20, 5, 20), seed=1), ff.init((20, 5, 20), seed=2);"
        f"ff.integrate(rule, task, w0, [0, 1], engine={engine!r});"
        f"assert not any(name.startswith({unneeded}) for name in sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", made], check=True)


# One step and the next


def test_a_step_with_too_large_an_error_is_shortened_and_the_next_one_not_lengthened():
    stands, h, previous, held = judged(1.0, 1.0, 32.0, 0.5, False, 5)
    assert not stands
    assert h == pytest.approx(0.45)  # 0.9 / 32^(1/5)
    assert (previous, held) == (0.5, True)
    stands, h, _, held = judged(h, h, 1e-3, 0.5, held, 5)
    assert stands
    assert h == pytest.approx(0.45)
    assert not held


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_an_error_that_is_no_number_shortens_most(error):
    stands, h, _, held = judged(1.0, 1.0, error, 1.0, False, 5)
    assert (stands, held) == (False, True)
    assert h == pytest.approx(0.2)


def test_steps_settle_where_the_error_is_what_the_controller_aims_at():
    """With errors (h/H)^5 the size tends to a fixed share of H, without swinging."""
    h, previous, held, sizes = 0.01, 1.0, False, []
    for _ in range(60):
        _, h, previous, held = judged(h, h, (h / 2.0) ** 5, previous, held, 5)
        sizes.append(h)
    assert sizes[-1] == pytest.approx(2 * 0.9 ** (1 / 0.3), rel=1e-3)
    assert np.all(np.diff(sizes[5:]) > -1e-9) or np.ptp(sizes[20:]) < 0.01


def test_a_step_cut_short_by_a_time_asked_for_leaves_what_was_planned():
    stands, h, previous, held = judged(0.01, 1.0, 1e-12, 0.3, False, 5)
    assert stands
    assert (h, previous, held) == (1.0, 0.3, False)
    _, h, _, _ = judged(0.5, 1.0, 0.9, 0.3, False, 5)
    assert h < 0.5


def test_tolerances_are_for_matrices_whatever_their_size():
    control = Control.of(1e-3, 1e-6, [100, 4])
    np.testing.assert_allclose(control.floors, [1e-5, 2e-6])


@pytest.mark.parametrize("solver", ["dop853", "rk45", "rk23"])
def test_errors_fall_with_the_tolerance(solver):
    given, w0, exact = one_layer()
    wrong = []
    for rtol in (1e-4, 1e-6, 1e-8):
        sol = ff.integrate(ff.GD(), given, w0, [0, 2], solver=solver, rtol=rtol, atol=rtol / 100)
        wrong.append(np.abs(sol.final[0] - exact(2)).max())
    assert all(error < 10 * rtol for error, rtol in zip(wrong, (1e-4, 1e-6, 1e-8), strict=True))
    assert wrong[0] > 5 * wrong[1] > 25 * wrong[2]


# At rest


@pytest.mark.parametrize("solver", ["dop853", pytest.param("tsit5", marks=pytest.mark.jax)])
def test_a_run_ends_where_its_flow_has_come_to_rest(solver):
    """One linear layer: the velocity falls as the error does, to the share asked for."""
    given, w0, exact = one_layer()
    sol = ff.integrate(ff.GD(), given, w0, [0, 0.5, 1e6], solver=solver, until=1e-6)
    assert sol.made["steady"]
    assert list(sol.ts[:2]) == [0, 0.5]
    end = sol.ts[-1]
    speed = lambda w: np.linalg.norm(ff.GD()(given, (w,))[0])
    assert speed(sol.final[0]) <= 1e-6 * speed(w0[0])
    assert end < 1e4
    assert np.abs(sol.final[0] - exact(end)).max() < 1e-8
    assert len(sol.w[0]) == len(sol.ts) == 3


def test_rest_is_relative_to_the_start_and_by_default_the_tolerance():
    *given, w0 = stiff(cond=2)
    sol = ff.integrate(*given, w0, [0, 1e9], rtol=1e-6, until="steady")
    v0, v1 = (np.sqrt(sum(np.sum(V**2) for V in given[0](given[1], sol.at(k)))) for k in (0, -1))
    assert v1 <= 1e-6 * v0
    assert sol.ts[-1] < 1e9
    again = ff.integrate(*given, w0, [0, 1e9], rtol=1e-6, until="steady")
    assert again.ts[-1] == sol.ts[-1]


def test_a_flow_that_has_not_come_to_rest_says_so_and_ends_at_its_time():
    *given, w0 = stiff()
    sol = ff.integrate(*given, w0, [0, 3], until=1e-8)
    assert not sol.made["steady"]
    assert sol.ts[-1] == 3
    for wrong in ("soon", 0, 2.0, -1e-3):
        with pytest.raises(ValueError, match="until must be 'steady' or a share between 0 and 1"):
            ff.integrate(*given, w0, [0, 3], until=wrong)


def test_a_decay_that_jumps_later_does_not_keep_a_flow_from_resting():
    given, w0, _ = one_layer()
    rule = ff.GD(decay=ff.Piecewise((1.0, 500.0), (0.0, 0.5, 0.0)))
    sol = ff.integrate(rule, given, w0, [0, 1000], until=1e-6)
    assert sol.made["steady"]
    assert 1 < sol.ts[-1] < 500


def test_rest_is_that_of_the_full_problem_where_a_run_is_reduced():
    """What lies beside the reduced inputs decays, and is part of the velocity."""
    rng = np.random.default_rng(0)
    X, Y = np.zeros((10, 4)), rng.standard_normal((3, 4))
    X[:4] = rng.standard_normal((4, 4))
    w0 = ff.init((10, 5, 3), seed=2)
    w0[0][:, 4:] *= 1000
    rule = ff.FA.random((10, 5, 3), seed=1, decay=(0.02, 0))
    ends = [
        ff.integrate(rule, ff.Task(X, Y), w0, [0, 3000], until=1e-2, reduce=how, rtol=1e-8)
        for how in ("auto", "none")
    ]
    assert "reduced" in ends[0].made
    assert 100 < ends[0].ts[-1] < 400
    assert 0.8 < ends[0].ts[-1] / ends[1].ts[-1] < 1.25


def test_flows_that_turn_round_are_left_to_explicit_methods():
    rule = ff.HeavyBall(of=ff.GD(), friction=0.01)
    rng = np.random.default_rng(0)
    given = ff.Task(rng.standard_normal((3, 9)), rng.standard_normal((2, 9)))
    sol = ff.integrate(rule, given, rule.start((3, 2)), [0, 200], rtol=1e-6, max_steps=None)
    assert sol.made["solver"] == "dop853"


@pytest.mark.parametrize("budget", [20.0, np.int64(20)])
def test_a_budget_is_a_whole_number_of_any_kind(budget):
    given, w0, _ = one_layer()
    with pytest.raises(ff.Unfinished, match="budget of steps"):
        ff.integrate(ff.GD(), given, w0, [0, 1e3], max_steps=budget, reduce="none")
    with pytest.raises(ValueError, match=r"max_steps must be a whole number, but is 2\.5"):
        ff.integrate(ff.GD(), given, w0, [0, 1], max_steps=2.5)


@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.SignFA, ff.KolenPollack])
def test_one_layer_has_no_law_between_layers(kind):
    given = ff.Task(np.eye(4), np.ones((2, 4)))
    rule = kind.random((4, 2))
    sol = ff.integrate(rule, given, rule.start((4, 2)), [0, 1])
    assert "drift" not in sol.made


def test_a_layer_that_does_not_learn_has_no_law_to_watch():
    rule, given, w0 = problem(ff.FA, sizes=(4, 3, 2), rates=(0.0, 1.0))
    assert "drift" not in ff.integrate(rule, given, w0, [0, 1]).made


@pytest.mark.parametrize("engine", ["scipy", pytest.param("diffrax", marks=pytest.mark.jax)])
def test_rest_met_at_a_time_asked_for_is_recorded_once(engine):
    rng = np.random.default_rng(0)
    task = ff.Task(rng.standard_normal((5, 20)), rng.standard_normal((3, 20)))
    rule = ff.FA.random((5, 8, 3), seed=0, rates=1 / 20)
    w0, ts = ff.init((5, 8, 3), seed=0), np.linspace(0, 500, 1001)
    sol = ff.integrate(rule, task, w0, ts, until=1e-4, rtol=1e-8, engine=engine)
    assert sol.made["steady"]
    assert (np.diff(sol.ts) > 0).all()
    at_rest = tuple(0 * W for W in w0)
    ends = ff.integrate(ff.GD(), task, at_rest, [0, 100], until="steady", engine=engine)
    assert (np.diff(ends.ts) > 0).all()


def test_a_solver_that_took_no_step_is_not_named():
    rng = np.random.default_rng(0)
    task = ff.Task(rng.standard_normal((5, 20)), rng.standard_normal((3, 20)))
    rule = ff.FA.random((5, 8, 3), seed=0)
    for seed in range(6):
        w0 = ff.init((5, 8, 3), seed=seed)
        sol = ff.integrate(rule, task, w0, [0, 1e5], rtol=1e-6, until="steady")
        named = [float(t) for t in re.findall(r"from t = ([0-9.e+]+)", sol.made["solver"])]
        assert all(t < 0.99999 * sol.ts[-1] for t in named)
