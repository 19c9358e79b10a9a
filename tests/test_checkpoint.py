"""A run broken off and gone on with takes the steps of one that was not."""

import os
import signal
import threading

import numpy as np
import pytest

import faflow as ff
from faflow import data
from faflow.flow import checkpoint, run

SIZES = (5, 8, 3)
TS = np.linspace(0, 20, 7)
FALLING = ff.Piecewise((7.0,), (0.0, 0.01)), ff.Piecewise((7.0,), (0.0, 0.02))


def problem(phi="tanh", **options):
    task = data.teacher_student(5, 3, 20).task(phi)
    return ff.FA.random(SIZES, seed=1, **options), task, ff.init(SIZES, seed=2)


def stiff():
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((n, 4)))[0] for n in (12, 9))
    task = ff.Task.factorisation(U * np.geomspace(1, 1 / 30, 4) @ V.T)
    return ff.FA.random((9, 4, 12), seed=1), task, ff.init((9, 4, 12), seed=1, scale=0.1)


def broken_off(problem, ts, path, budgets, **options):
    """The run to its end, after it was broken off by each of these budgets of steps."""
    for steps in budgets:
        with pytest.raises(ff.Unfinished, match="goes on from") as caught:
            ff.integrate(*problem, ts, checkpoint=path, max_steps=steps, **options)
        assert caught.value.solution.made["accepted"] == steps
    return ff.integrate(*problem, ts, checkpoint=path, max_steps=None, **options)


def told(sol, *but):
    return {k: v for k, v in sol.made.items() if k not in ("seconds", *but)}


RUNS = {
    "plain": (problem(), {"rtol": 1e-9}, (37, 90)),  # goes over to ROCK4 on its way
    "fixed steps": (problem(), {"step": 0.03}, (37, 90)),
    "laws kept": (problem("linear", decay=FALLING), {"keep": "all"}, (37, 70)),
    "reduced": (problem("linear"), {"reduce": "auto", "until": "steady"}, (20, 80)),
    "observed": (problem(), {"observe": {"B": lambda rule, w: w[0] @ w[0].T}}, (37,)),
    "stabilised, reduced": (stiff(), {"rtol": 1e-6, "solver": "rock4"}, (20, 60)),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_broken_off_ends_to_the_bit_as_if_it_had_not_been(name, tmp_path):
    given, options, budgets = RUNS[name]
    options = {"rtol": 1e-10, "max_steps": None} | options
    whole = ff.integrate(*given, TS, **options)
    assert whole.made["accepted"] > max(budgets) + 1
    del options["max_steps"]
    sol = broken_off(given, TS, tmp_path / "run", budgets, **options)
    np.testing.assert_array_equal(sol.ts, whole.ts)
    for one, other in zip(sol.final, whole.final, strict=True):
        np.testing.assert_array_equal(one, other)
    if whole.w:
        for k in range(len(whole)):
            for one, other in zip(sol.at(k), whole.at(k), strict=True):
                np.testing.assert_array_equal(one, other)
    for law, values in whole.observed.items():
        np.testing.assert_array_equal(sol.observed[law], values)
    assert told(sol, "evaluations") == told(whole, "evaluations")
    more = sol.made["evaluations"] - whole.made["evaluations"]
    assert 0 <= more <= 2 * len(budgets)  # the velocity at hand is not written down


@pytest.mark.jax
@pytest.mark.parametrize("options", [{"rtol": 1e-9}, {"solver": "tsit5", "rtol": 1e-5}])
def test_so_does_one_of_diffrax(options, tmp_path):
    for given, end, budgets in ((problem(), 5.0, (100, 300)), (stiff(), 4000.0, (100, 130))):
        ts = np.linspace(0, end, 4)
        options = options | {"engine": "diffrax"}
        whole = ff.integrate(*given, ts, max_steps=None, **options)
        if whole.made["accepted"] <= max(budgets) + 1:
            budgets = (whole.made["accepted"] // 2,)
        sol = broken_off(given, ts, tmp_path / f"run{end}", budgets, **options)
        for one, other in zip(sol.w, whole.w, strict=True):
            np.testing.assert_array_equal(one, other)
        assert told(sol) == told(whole)


def test_a_run_along_kinks_goes_on_with_its_record(tmp_path):
    given, options = problem("relu"), {"rtol": 1e-8}
    whole = ff.integrate(*given, TS, max_steps=None, **options)
    assert whole.kinks.stretches
    for budgets in ((50,), (200, 1000, 2000)):
        path = tmp_path / f"run{len(budgets)}"
        sol = broken_off(given, TS, path, budgets, **options)
        for one, other in zip(sol.w, whole.w, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-9)
        assert len(sol.kinks.crossings) == len(whole.kinks.crossings)
        for one, other in zip(sol.kinks.crossings, whole.kinks.crossings, strict=True):
            assert one[1:] == other[1:]
            assert abs(one.t - other.t) < 1e-7
        for one, other in zip(sol.kinks.stretches, whole.kinks.stretches, strict=True):
            assert (*one[:3], *one[5:]) == (*other[:3], *other[5:])
            assert abs(one.start - other.start) < 1e-7


@pytest.mark.parametrize(
    ("given", "options", "budgets"),
    [
        (problem(), {"rtol": 1e-8, "solver": "radau"}, (20, 40)),
        (problem(), {"rtol": 1e-9}, (1500,)),  # by then it takes steps of ROCK4
        (problem("linear", decay=FALLING), {"keep": "all"}, (900, 1300)),  # the same
    ],
)
def test_solvers_that_look_anew_go_on_within_the_tolerance(given, options, budgets, tmp_path):
    whole = ff.integrate(*given, TS, max_steps=None, **options)
    sol = broken_off(given, TS, tmp_path / "run", budgets, **options)
    for one, other in zip(sol.w, whole.w, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)
    assert sol.made["solver"] == whole.made["solver"]


def test_a_run_that_ended_is_read_and_not_run_again(tmp_path, monkeypatch):
    path = tmp_path / "run"
    for options in ({}, {"until": 1e-2}):
        path = tmp_path / f"run{len(options)}"
        sol = ff.integrate(*problem("linear"), TS, checkpoint=path, **options)
        with monkeypatch.context() as patch:
            patch.setattr(ff.FA, "__call__", None)
            again = ff.integrate(*problem("linear"), TS, checkpoint=path, **options)
        assert told(again) == told(sol)
        np.testing.assert_array_equal(again.ts, sol.ts)
        for one, other in zip(again.w, sol.w, strict=True):
            np.testing.assert_array_equal(one, other)
        assert again.made["seconds"] >= sol.made["seconds"]


def test_ctrl_c_leaves_a_file_that_goes_on(tmp_path):
    path, whole = tmp_path / "run", ff.integrate(*problem(), TS, max_steps=None)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="goes on from"):
        ff.integrate(*problem(), TS, max_steps=None, checkpoint=path)
    timer.join()
    sol = ff.integrate(*problem(), TS, max_steps=None, checkpoint=path)
    for one, other in zip(sol.w, whole.w, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_killed_on_its_way_goes_on_from_the_last_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    path, kept, write = tmp_path / "run", [], checkpoint.Checkpoint.write

    def writes(self, standing, record, bases, seconds):
        write(self, standing, record, bases, seconds)
        self.wait = 0.0
        kept.append((standing.t, path.read_bytes()))

    monkeypatch.setattr(checkpoint.Checkpoint, "write", writes)
    whole = ff.integrate(*problem(), TS, max_steps=None, checkpoint=path)
    assert len(kept) > 3
    t, there = kept[len(kept) // 2]
    assert 0 < t < TS[-1]
    path.write_bytes(there)
    sol = ff.integrate(*problem(), TS, max_steps=None, checkpoint=path)
    for one, other in zip(sol.w, whole.w, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_file_of_another_run_is_refused_and_says_what_differs(tmp_path):
    path = tmp_path / "run"
    rule, task, w0 = problem()
    ff.integrate(rule, task, w0, TS[:2], checkpoint=path)
    before = path.read_bytes()
    others = {
        "rule": ((ff.FA.random(SIZES, seed=9), task, w0), {}),
        "w0": ((rule, task, ff.init(SIZES, seed=9)), {}),
        "task": ((rule, problem("erf")[1], w0), {}),
        "rtol": ((rule, task, w0), {"rtol": 1e-9, "atol": 1e-12}),
        "solver, relief": ((rule, task, w0), {"solver": "rk45"}),
        "keep": ((rule, task, w0), {"keep": None}),
        "observe": ((rule, task, w0), {"observe": {"law": lambda rule, w: 0.0}}),
    }
    for what, (given, options) in others.items():
        with pytest.raises(ValueError, match=f"another run, which differs in {what};"):
            ff.integrate(*given, TS[:2], checkpoint=path, **options)
    with pytest.raises(ValueError, match="another run, which differs in ts;"):
        ff.integrate(rule, task, w0, TS[:3], checkpoint=path)
    assert path.read_bytes() == before


def observing(number):
    return {"law": lambda rule, w: number * w[0][0, 0]}


def own_rule(sign):
    if sign > 0:

        class Own(ff.Rule):
            def carry(self, w, k, above, output):
                return w[k + 1].T @ above

    else:

        class Own(ff.Rule):
            def carry(self, w, k, above, output):
                return -w[k + 1].T @ above

    return Own()


def own_task(phi):
    one = ff.nets.Activation("mine", phi, lambda z, error: error)
    return ff.Task(np.eye(5), np.ones((3, 5)), one)


def test_code_tells_runs_apart_that_have_names_alike(tmp_path):
    rule, task, w0 = problem()
    pairs = {
        "observe": [((rule, task, w0), {"observe": observing(c)}) for c in (1.0, 2.0)],
        "rule": [((own_rule(sign), task, w0), {}) for sign in (1, -1)],
        "task": [((rule, own_task(f), w0), {}) for f in (lambda z: z, lambda z: z + 1)],
    }
    for what, (one, other) in pairs.items():
        path, options = tmp_path / what, {"rtol": 1e-3, "step": 0.1, "keep": None}
        ff.integrate(*one[0], TS[:2], checkpoint=path, **one[1], **options)
        ff.integrate(*one[0], TS[:2], checkpoint=path, **one[1], **options)
        with pytest.raises(ValueError, match=f"another run, which differs in {what};"):
            ff.integrate(*other[0], TS[:2], checkpoint=path, **other[1], **options)


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "run"
    path.write_text("my thesis")
    with pytest.raises(ValueError, match="is not a checkpoint of faflow"):
        ff.integrate(*problem(), TS[:2], checkpoint=path)
    assert path.read_text() == "my thesis"
    ff.integrate(*problem(), TS[:2]).save(path)
    with pytest.raises(ValueError, match="is not a checkpoint of faflow"):
        ff.integrate(*problem(), TS[:2], checkpoint=path)


@pytest.mark.parametrize("where", ["", ".", "nowhere/run"])
def test_a_file_that_cannot_be_written_is_refused_at_once(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "march", None)  # nothing is computed
    with pytest.raises(ValueError, match="no folder to write the checkpoint"):
        ff.integrate(*problem(), TS[:2], checkpoint=where)


def test_a_checkpoint_is_a_path():
    with pytest.raises(TypeError, match="must be the path of a file, but is 3"):
        ff.integrate(*problem(), TS[:2], checkpoint=3)


def test_observables_in_another_order_are_another_run(tmp_path):
    path, laws = tmp_path / "run", {"a": lambda rule, w: 0.0, "b": lambda rule, w: w[0][0, 0]}
    ff.integrate(*problem(), TS[:2], checkpoint=path, observe=laws)
    swapped = dict(reversed(laws.items()))
    with pytest.raises(ValueError, match="differs in observe;"):
        ff.integrate(*problem(), TS[:2], checkpoint=path, observe=swapped)


@pytest.mark.parametrize("observe", [None, {"law": lambda rule, w: w[0][0, 0]}])
def test_a_reduced_state_in_other_bases_is_refused(observe, tmp_path, monkeypatch):
    given, path = problem("linear"), tmp_path / "run"
    options = {"checkpoint": path, "observe": observe}
    with pytest.raises(ff.Unfinished):
        ff.integrate(*given, TS, max_steps=20, **options)
    svd = np.linalg.svd

    def turned(*a, **k):
        U, s, Vt = svd(*a, **k)
        return -U, s, -Vt

    monkeypatch.setattr(np.linalg, "svd", turned)
    with pytest.raises(ValueError, match="bases that come out otherwise"):
        ff.integrate(*given, TS, **options)
    monkeypatch.undo()
    ff.integrate(*given, TS, **options)


def test_an_observable_that_is_nan_goes_on(tmp_path):
    laws = {"law": lambda rule, w: np.array([np.nan, w[0][0, 0]])}
    sol = broken_off(problem(), TS[:3], tmp_path / "run", (30,), observe=laws)
    assert np.isfinite(sol.observed["law"][:, 1]).all()


def test_what_was_computed_is_kept_where_the_file_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "run"
    path.parent.mkdir()
    seen = {"law": lambda rule, w: float(path.parent.exists() and bool(path.parent.rmdir()))}
    with pytest.warns(RuntimeWarning, match="checkpoint .* cannot be written"):
        sol = ff.integrate(*problem(), TS[:2], checkpoint=path, observe=seen)
    assert len(sol) == 2
    path.parent.mkdir()
    with (
        pytest.warns(RuntimeWarning, match="cannot be written"),
        pytest.raises(ff.Unfinished, match="budget of steps") as caught,
    ):
        ff.integrate(*problem(), TS[:2], checkpoint=path, observe=seen, max_steps=10)
    assert caught.value.solution.made["accepted"] == 10


def test_a_law_that_fails_on_the_way_leaves_a_checkpoint(tmp_path):
    path, fails = tmp_path / "run", [True]

    def law(rule, w):
        if fails[0] and np.abs(w[0] - ff.init(SIZES, seed=2)[0]).max() > 0.01:
            raise ZeroDivisionError("not now")
        return 0.0

    with pytest.raises(ValueError, match="not now"):
        ff.integrate(*problem(), TS, checkpoint=path, observe={"law": law}, rtol=1e-6)
    assert path.exists()


@pytest.mark.parametrize("budget", [62, 63, 64, 65, 127, 128])
def test_a_break_where_stiffness_is_looked_at_changes_nothing(budget, tmp_path):
    given, options = stiff(), {"rtol": 1e-6, "engine": "scipy"}
    whole = ff.integrate(*given, [0, 8000], max_steps=None, **options)
    assert "rock4" in whole.made["solver"]
    sol = broken_off(given, [0, 8000], tmp_path / "run", (budget,), **options)
    assert told(sol, "evaluations") == told(whole, "evaluations")
    np.testing.assert_array_equal(sol.ts, whole.ts)


@pytest.mark.parametrize("budget", [5, 21, 40, 57])
def test_a_break_on_the_way_to_rest_changes_nothing(budget, tmp_path):
    options = {"until": 1e-9, "rtol": 1e-11, "solver": "dop853"}
    whole = ff.integrate(*problem("linear"), [0, 500], max_steps=None, **options)
    assert whole.made["steady"]
    assert whole.made["accepted"] > 60
    sol = broken_off(problem("linear"), [0, 500], tmp_path / "run", (budget,), **options)
    np.testing.assert_array_equal(sol.ts, whole.ts)
    np.testing.assert_array_equal(sol.final[0], whole.final[0])


def test_a_break_where_the_flow_rests_already_does_not_end_it_sooner(tmp_path):
    """It is looked at after 64 tries, and was where rejected steps left some of a budget, too."""
    rng, options = np.random.default_rng(3), {"until": 1e-6, "solver": "dop853"}
    rule = ff.FA.random((3, 6, 2), seed=1)
    task = ff.Task(rng.standard_normal((3, 8)), rng.standard_normal((2, 8)))
    given = rule, task, rule.start((3, 6, 2))
    whole = ff.integrate(*given, [0, 20], **options)
    assert whole.made["steady"]
    assert whole.made["rejected"] > 1
    for budget in range(45, whole.made["accepted"]):
        sol = broken_off(given, [0, 20], tmp_path / f"run{budget}", (budget,), **options)
        np.testing.assert_array_equal(sol.ts, whole.ts)


def test_a_budget_spent_is_spent(tmp_path):
    path, given = tmp_path / "run", problem(decay=FALLING)
    options = {"checkpoint": path, "step": 0.25}  # the decay jumps after 28 steps
    for budget in (28, 28, 10, 28):
        with pytest.raises(ff.Unfinished, match="budget of steps") as caught:
            ff.integrate(*given, TS, max_steps=budget, **options)
        assert caught.value.solution.made["accepted"] == 28


def test_a_run_that_cannot_go_on_does_not_say_that_it_can(tmp_path):
    task = ff.Task(np.ones((1, 2)), [[1.0, -1.0]], "relu_power(3)")
    w0 = np.array([[3.0]]), np.array([[-9.0]])
    with pytest.raises(ff.Unfinished) as caught:
        ff.integrate(ff.GD(decay=-9.0), task, w0, [0, 100], checkpoint=tmp_path / "run")
    assert "goes on" not in str(caught.value)
