import json
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow import laws
from faflow.nets import Activation, Loss

SAVED = {
    "gd": (ff.GD, "linear", {}),
    "fa": (ff.FA, "leaky_relu(0.1)", {"rates": (1, 0.5, 2.0), "decay": (0.1, 0, 0.3)}),
    "dfa": (
        ff.DFA,
        ("tanh", "relu_power(3)"),
        {"decay": ff.Piecewise((0.3, 0.6), (0, 0.1, 1 / 3))},
    ),
    "sign": (ff.SignFA, "softplus(2.5)", {"beta": 1 / 3}),
    "hard sign": (ff.SignFA, "erf", {}),
    "kp": (
        ff.KolenPollack,
        ["sigmoid", "leaky_relu(0.1)"],
        {"decay": (0, ff.Piecewise((0.5,), (1, 2.5)), ff.Piecewise((), (0.25,)))},
    ),
}


def same(a, b):
    assert type(a) is type(b)
    assert len(a) == len(b)
    for A, B in zip(a, b, strict=True):
        assert A.dtype == B.dtype
        np.testing.assert_array_equal(A, B)


@pytest.mark.parametrize("observe", [None, {"law": laws.balance, "a b/c": laws.layer_balance}])
@pytest.mark.parametrize("name", SAVED)
def test_a_solution_comes_back_to_the_bit(name, observe, tmp_path):
    kind, phi, options = SAVED[name]
    rule, given, w0 = problem(kind, phi, "logistic", bias=True, seed=2, **options)
    given = ff.Task(given.X, given.Y, phi, "logistic", True, 1 / 3)
    sol = ff.integrate(rule, given, w0, [0, 0.5, 1], observe=observe)
    sol.save(tmp_path / "run")
    back = ff.load(tmp_path / "run")
    np.testing.assert_array_equal(back.ts, sol.ts)
    same(back.w, sol.w)
    same(back.final, sol.final)
    same(back.rule.B, sol.rule.B)
    assert type(back.rule) is type(sol.rule)
    for field in ("decay", "rates", *(["beta"] if kind is ff.SignFA else [])):
        assert getattr(back.rule, field) == getattr(sol.rule, field)
        assert type(getattr(back.rule, field)) is type(getattr(sol.rule, field))
    assert back.rule.jumps() == sol.rule.jumps()
    np.testing.assert_array_equal(back.task.X, given.X)
    np.testing.assert_array_equal(back.task.Y, given.Y)
    assert back.task.loss is given.loss
    assert (back.task.bias, back.task.output_scale) == (True, 1 / 3)
    assert [back.task.activation(k).name for k in (0, 1)] == [
        given.activation(k).name for k in (0, 1)
    ]
    assert back.made == sol.made
    assert list(back.observed) == list(sol.observed)
    for one in sol.observed:
        np.testing.assert_array_equal(back.observed[one], sol.observed[one])
    assert str(back) == str(sol)
    same(back.rule.at(0.7)(back.task, back.final), rule.at(0.7)(given, sol.final))


def test_a_factorisation_and_a_partial_solution_come_back(tmp_path):
    rng = np.random.default_rng(0)
    Y, C, W = (rng.standard_normal(s) for s in [(4, 5), (3, 4), (3, 5)])
    with pytest.raises(ff.Unfinished) as stop:
        ff.integrate(
            ff.FAStar((C,)), ff.Task.factorisation(Y), (W, np.zeros((4, 3))), [0, 99], max_steps=5
        )
    sol = stop.value.solution
    sol.save(tmp_path / "partial.npz")
    same(ff.load(tmp_path / "partial.npz").w, sol.w)


def small(**options):
    rule, given, w0 = problem(ff.FA, "tanh", sizes=(3, 4, 2))
    return ff.iterate(rule, given, w0, eta=0.1, steps=3, **options)


def test_iterations_come_back_too(tmp_path):
    sol = small(batches=np.int64(2))
    sol.save(tmp_path / "steps.npz")
    back = ff.load(tmp_path / "steps.npz")
    assert back.made == sol.made
    same(back.w, sol.w)


def test_a_file_holds_no_pickle(tmp_path):
    path = tmp_path / "run.npz"
    small().save(path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as entry:
                version = np.lib.format.read_magic(entry)
                assert version in [(1, 0), (2, 0), (3, 0)]
                _, _, dtype = np.lib.format.read_array_header_1_0(entry)
                assert not dtype.hasobject


def edited(path, **changes):
    """The file at `path` with other words in what it says about itself."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays["about"])) | changes
    np.savez(path, **(arrays | {"about": np.array(json.dumps(about))}))


def test_a_file_of_a_newer_version_says_so(tmp_path):
    small().save(tmp_path / "run.npz")
    edited(tmp_path / "run.npz", version=99)
    with pytest.raises(ValueError, match=r"has version 99 of the format, but .* up to 1; install"):
        ff.load(tmp_path / "run.npz")


def test_an_unknown_rule_says_how_to_pass_its_class(tmp_path):
    class Mine(ff.FA):
        pass

    rule, given, w0 = problem(ff.FA, sizes=(3, 4, 2))
    sol = ff.iterate(Mine(rule.B), given, w0, eta=0.1, steps=2)
    sol.save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match=r"'Mine', which is not .*rules=\[Mine\]"):
        ff.load(tmp_path / "run.npz")
    assert type(ff.load(tmp_path / "run.npz", rules=[Mine]).rule) is Mine


def test_an_activation_of_one_s_own_is_passed_to_load(tmp_path):
    cube = Activation("cube", lambda z: z**3, lambda z, error: 3 * error * z**2, degree=3)
    rule, given, w0 = problem(ff.GD, sizes=(3, 4, 2))
    given = ff.Task(given.X, given.Y, cube)
    ff.iterate(rule, given, w0, eta=0.1, steps=2).save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="Unknown activation 'cube'"):
        ff.load(tmp_path / "run.npz")
    assert ff.load(tmp_path / "run.npz", activations=[cube]).task.phi is cube


def test_a_loss_of_one_s_own_is_refused_before_anything_is_written(tmp_path):
    quartic = Loss("quartic", lambda f, Y: ((Y - f) ** 4).sum() / 4, lambda f, Y: (Y - f) ** 3)
    rule, given, w0 = problem(ff.GD, sizes=(3, 4, 2))
    sol = ff.iterate(rule, ff.Task(given.X, given.Y, loss=quartic), w0, eta=0.1, steps=2)
    with pytest.raises(ValueError, match=r"loss 'quartic' is none of faflow's"):
        sol.save(tmp_path / "run.npz")
    assert not (tmp_path / "run.npz").exists()


def test_what_json_cannot_write_is_refused(tmp_path):
    sol = small()
    sol.made["note"] = Fraction(1, 3)
    with pytest.raises(ValueError, match=r"cannot be saved: Fraction\(1, 3\) is not a plain value"):
        sol.save(tmp_path / "run.npz")
    assert not (tmp_path / "run.npz").exists()


@pytest.mark.parametrize("kind", ["foreign npz", "text", "empty", "array", "other format"])
def test_a_foreign_file_is_refused(kind, tmp_path):
    path = tmp_path / "foreign.npz"
    if kind == "foreign npz":
        np.savez(path, about=np.arange(3), w0=np.eye(2))
    elif kind == "text":
        path.write_text("not a solution at all\n")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, np.eye(2))
    else:
        small().save(path)
        edited(path, format="another")
    with pytest.raises(ValueError, match=r"foreign\.npz is not a file saved by a faflow Solution"):
        ff.load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        ff.load(tmp_path / "nowhere.npz")


def test_a_state_is_taken_by_its_number():
    sol = small()
    for k in (0, 2, -1):
        same(sol.at(k), tuple(W[k] for W in sol.w))
    seen = small(observe={"law": laws.balance})
    same(seen.at(-1), sol.at(-1))
    same(seen.at(3), sol.at(3))
    with pytest.raises(ValueError, match="Only observables were recorded"):
        seen.at(0)


def test_measuring_takes_a_law_at_every_time():
    sol = small()
    found = sol.measure(laws.feedback_balance)
    assert found.shape == (4, 4, 4)
    for k in range(4):
        np.testing.assert_array_equal(found[k], laws.feedback_balance(sol.rule, sol.at(k)))
    scalar = sol.measure(lambda rule, w, *, t, law: t * np.trace(w[0] @ w[0].T) + law, t=2, law=1)
    assert scalar.shape == (4,)
    assert scalar[1] == 2 * np.trace(sol.w[0][1] @ sol.w[0][1].T) + 1


def raising(rule, w):
    raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("law", "says"),
    [
        (raising, r"The law raising failed at t = 0: by nothing"),
        (lambda rule, w: "a number", "must return real numbers, but returned"),
        (lambda rule, w: None, "must return real numbers, but returned"),
        (lambda rule, w: 1j, "must return real numbers, but returned"),
        (lambda rule, w: (w[0], w[1]), "failed at t = 0"),
        (lambda rule, w: laws.balance(rule, w, k=7), "failed at t = 0: tuple index out of range"),
        (
            lambda rule, w, seen=[]: np.ones(len(seen.append(1) or seen)),
            r"must keep its shape, but at t = 0\.1 it is \(2,\) after \(1,\)",
        ),
    ],
)
def test_a_law_that_gives_no_numbers_is_named(law, says):
    with pytest.raises(ValueError, match=says):
        small().measure(law)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_to_xarray_names_the_axes(bias):
    pytest.importorskip("xarray")
    rule, given, w0 = problem(ff.KolenPollack, "tanh", bias=bias)
    sol = ff.iterate(rule, given, w0, eta=0.1, steps=2)
    data, b = sol.to_xarray(), "_and_bias" * bias
    assert {name: data[name].dims for name in data} == {
        "W1": ("t", "h1", "in" + b),
        "W2": ("t", "h2", "h1" + b),
        "W3": ("t", "out", "h2" + b),
        "B2": ("t", "h1", "h2"),
        "B3": ("t", "h2", "out"),
    }
    for name, W in zip(["W1", "W2", "W3", "B2", "B3"], sol.w, strict=True):
        np.testing.assert_array_equal(data[name].values, W)
    np.testing.assert_array_equal(data["t"].values, sol.ts)
    assert data.attrs["rule"] == "KolenPollack"
    assert data.attrs["eta"] == 0.1


def test_to_xarray_holds_what_was_observed():
    pytest.importorskip("xarray")
    sol = small(observe={"law": laws.balance, "one": laws.layer_balance})
    data = sol.to_xarray()
    assert data["law"].dims == ("t", "law_0", "law_1")
    assert data["one"].dims == ("t",)
    np.testing.assert_array_equal(data["law"].values, sol.observed["law"])


def test_printing_says_what_was_run_and_how():
    rule, given, w0 = problem(ff.FA, "tanh", "logistic", bias=True)
    sol = ff.integrate(rule, given, w0, [0, 2], rtol=1e-7)
    text = str(sol)
    assert text.startswith(
        "FA on 4x4 3x5 2x4 (tanh, logistic loss with biases), 2 times in [0, 2]: scipy "
    )
    made = sol.made
    counted = f"dop853, {made['accepted']} steps accepted, {made['rejected']} rejected, "
    assert counted in text
    assert "rtol 1e-07, atol 1e-09, " in text
    assert text.endswith(f"{made['seconds']:.3g} s")


def test_printing_an_iteration_says_eta_and_what_was_observed():
    text = str(small(observe={"law": laws.balance}))
    assert "FA on 4x3 2x4 (tanh, squared loss), 4 times in [0, 0.3], observed law: iterate" in text
    assert "3 steps accepted" in text
    assert "eta 0.1" in text


def test_an_activation_that_takes_a_name_of_faflows_is_not_saved(tmp_path):
    mine = ff.Activation("tanh", lambda z: z, lambda z, error: error)
    sol = ff.integrate(ff.GD(), ff.Task(np.eye(2), np.eye(2), mine), ff.init((2, 2, 2)), [0, 1])
    with pytest.raises(ValueError, match="has an activation 'tanh' already"):
        sol.save(tmp_path / "run.npz")
