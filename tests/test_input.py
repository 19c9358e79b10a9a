import sys
from fractions import Fraction

import numpy as np
import pytest
from problems import RULES, problem, start, task

import faflow as ff

SIZES = (3, 4, 2)
X, Y = np.arange(15.0).reshape(3, 5), np.arange(10.0).reshape(2, 5)


def run(rule=None, given=None, w0=None, ts=(0, 0.1), **options):
    """A run with all defaults good, on sizes 3-4-2."""
    return ff.integrate(
        ff.GD() if rule is None else rule,
        task(sizes=SIZES) if given is None else given,
        start(ff.GD(), sizes=SIZES) if w0 is None else w0,
        ts,
        **options,
    )


def refused(kind, says, call):
    """One error of exactly this kind, in one paragraph, with these words in this order."""
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert type(error.value) is kind
    at = 0
    for words in says:
        assert words in message[at:], message
        at = message.index(words, at) + len(words)
    assert "\n" not in message


GOOD = [np.zeros((4, 3)), np.zeros((2, 4))]


@pytest.mark.parametrize(
    ("w0", "bias", "says"),
    [
        ([(4, 2), (2, 4)], False, ["w0[0]", "3 columns", "inputs X", "is (4, 2)"]),
        ([(4, 3), (2, 5)], False, ["w0[1]", "4 columns", "w0[0] (4, 3)", "is (2, 5)"]),
        ([(4, 3), (3, 4)], False, ["w0[1]", "2 rows", "targets Y (2, 5)", "is (3, 4)"]),
        ([(4, 3), (2, 4)], True, ["w0[0]", "3 + 1 columns (units and bias)", "is (4, 3)"]),
        ([(4, 4), (2, 4)], True, ["w0[1]", "4 + 1 columns", "w0[0] (4, 4)", "is (2, 4)"]),
        ([(3, 4), (4, 2)], False, ["w0[0]", "3 columns", "inputs X", "is (3, 4)"]),
        ([(4,), (2, 4)], False, ["w0[0]", "matrix with entries", "(4,)"]),
        ([(0, 3), (2, 0)], False, ["w0[0]", "matrix with entries", "(0, 3)"]),
    ],
)
def test_weights_that_do_not_chain_name_the_layer_and_both_shapes(w0, bias, says):
    given = ff.Task(X, Y, bias=bias)
    refused(ValueError, says, lambda: run(given=given, w0=tuple(map(np.zeros, w0))))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["X", "Y", "w0[1]", "B[0]"])
def test_what_is_not_finite_is_refused_with_its_place(what, bad):
    spoiled = {"X": X.copy(), "Y": Y.copy(), "w0[1]": np.zeros((2, 4)), "B[0]": np.zeros((4, 2))}
    spoiled[what][1, 1] = bad
    calls = {
        "X": lambda: ff.Task(spoiled["X"], Y),
        "Y": lambda: ff.Task(X, spoiled["Y"]),
        "w0[1]": lambda: run(w0=(np.zeros((4, 3)), spoiled["w0[1]"])),
        "B[0]": lambda: ff.FA((spoiled["B[0]"],)),
    }
    refused(ValueError, [what, "must be finite, but entry (1, 1) is", str(bad)], calls[what])


@pytest.mark.parametrize(
    "bad",
    [np.ones((2, 2)) * 1j, [["a", "b"]], "abc", None, [[1, 2], [3]], {"a": 1}, [[None, 1]]],
    ids=["complex", "strings", "text", "none", "ragged", "dict", "object list"],
)
@pytest.mark.parametrize("what", ["X", "Y", "B[0]", "w0[0]"])
def test_what_is_not_a_real_matrix_is_refused_by_name(what, bad):
    calls = {
        "X": lambda: ff.Task(bad, Y),
        "Y": lambda: ff.Task(X, bad),
        "B[0]": lambda: ff.DFA((bad,)),
        "w0[0]": lambda: run(w0=(bad, np.zeros((2, 4)))),
    }
    refused(ValueError, [what, "must be a matrix of real numbers, but is"], calls[what])


@pytest.mark.parametrize(
    "convert",
    [
        lambda M: M.astype(int),
        lambda M: M.astype(np.float32),
        lambda M: M.astype(np.uint8),
        lambda M: M.astype(int).tolist(),
        lambda M: np.asfortranarray(M),
        lambda M: M.astype(">f8"),
    ],
    ids=["int", "float32", "uint8", "list", "fortran", "big endian"],
)
def test_numbers_of_any_kind_become_float64_exactly(convert):
    rng = np.random.default_rng(0)
    whole = lambda *s: rng.integers(0, 4, s).astype(float)
    X, Y, B, w0 = whole(3, 5), whole(2, 5), whole(4, 2), (whole(4, 3), whole(2, 4))
    plain = ff.iterate(ff.FA((B,)), ff.Task(X, Y), w0, eta=0.01, steps=3)
    other = ff.iterate(
        ff.FA((convert(B),)),
        ff.Task(convert(X), convert(Y)),
        tuple(map(convert, w0)),
        eta=0.01,
        steps=3,
    )
    for A, C in zip(plain.w, other.w, strict=True):
        assert C.dtype == np.dtype(np.float64)
        np.testing.assert_array_equal(A, C)


def test_float32_keeps_its_value_to_the_bit():
    given = ff.Task(np.float32([[0.1]]), np.float32([[0.2]]))
    assert given.X[0, 0] == float(np.float32(0.1))
    assert given.X.dtype == np.float64


def test_what_is_given_is_copied():
    mine, B = X.copy(), np.ones((4, 2))
    given, rule = ff.Task(mine, Y), ff.FA((B,))
    mine[:], B[:] = 7, 7
    np.testing.assert_array_equal(given.X, X)
    np.testing.assert_array_equal(rule.B[0], np.ones((4, 2)))


def test_samples_of_x_and_y_must_match():
    refused(
        ValueError,
        ["X and Y must have one column a sample", "X is (3, 5)", "Y is (2, 4)"],
        lambda: ff.Task(X, Y[:, :4]),
    )


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            ff.FA((np.ones((2, 4)),)),
            ["B[0]", "hidden layer 0", "(4, 2)", "is (2, 4)", "looks transposed"],
        ),
        (ff.FA((np.ones((4, 3)),)), ["B[0]", "hidden layer 0", "(4, 2)", "is (4, 3)."]),
        (ff.FA(), ["FA needs 1 feedback matrices", "has 0"]),
        (ff.DFA((np.ones((4, 2)),) * 2), ["DFA needs 1 feedback matrices", "has 2"]),
        (ff.GD((np.ones((4, 2)),)), ["GD needs 0 feedback matrices", "has 1"]),
    ],
)
def test_feedback_of_another_shape_names_the_layer_and_both_shapes(rule, says):
    refused(ValueError, says, lambda: run(rule))


def test_feedback_of_kolen_pollack_is_checked_in_the_state():
    w = start(ff.GD(), sizes=SIZES)
    refused(
        ValueError,
        ["KolenPollack moves (W1, W2, B2)", "w0 has 2 matrices", "rule.start(sizes) makes one"],
        lambda: run(ff.KolenPollack(), w0=w),
    )
    refused(
        ValueError,
        ["KolenPollack's w0 B2", "must be (4, 2), but is (2, 4)", "transposed"],
        lambda: run(ff.KolenPollack(), w0=(*w, np.ones((2, 4)))),
    )


@pytest.mark.parametrize(
    ("ts", "says"),
    [
        ([-1, 0, 1], ["ts must be finite and not negative", "-1"]),
        ([0, 1, np.nan], ["ts must be finite"]),
        ([0, np.inf], ["ts must be finite"]),
        ([0, 2, 1], ["ts must increase, but entry 2 is 1 after 2"]),
        ([0, 1, 1], ["ts must increase, but entry 2 is 1 after 1"]),
        ([1], ["at least two times", "(1,)"]),
        (3.0, ["at least two times", "()"]),
        ([], ["at least two times"]),
        ([[0, 1]], ["at least two times", "(1, 2)"]),
        (["a", "b"], ["ts must be a sequence of numbers"]),
        (None, ["at least two times"]),
        ([0, 1j], ["ts must be a sequence of numbers"]),
    ],
    ids=str,
)
def test_times_must_increase_from_zero_or_later(ts, says):
    if ts is None:
        says = ["ts must be"]
    refused(ValueError, says, lambda: run(ts=ts))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"solver": "euler"},
            [
                "Unknown solver 'euler'",
                "dop853, rk45, rk23, radau, gauss, rkc2, rock4, tsit5, dopri5, dopri8, bosh3",
            ],
        ),
        ({"engine": "torch"}, ["Unknown engine 'torch'", "auto, scipy, diffrax"]),
        (
            {"engine": "scipy", "solver": "tsit5"},
            ["engine scipy has no solver 'tsit5'", "dop853, rk45"],
        ),
        pytest.param(
            {"engine": "diffrax", "solver": "rk45"},
            ["engine diffrax has no solver 'rk45'", "tsit5, dopri5"],
            marks=pytest.mark.jax,
        ),
        ({"rtol": 0}, ["rtol must be between 2.2e-14 and 1, but is 0"]),
        ({"rtol": float("nan")}, ["rtol must be between 2.2e-14 and 1, but is nan"]),
        ({"atol": -1e-9}, ["atol must be between 0 and 1", "-1e-09"]),
        ({"rtol": 1e3}, ["rtol must be between 2.2e-14 and 1", "1000"]),
    ],
    ids=str,
)
def test_options_of_a_run_are_refused_with_the_known_ones(options, says):
    refused(ValueError, says, lambda: run(**options))


def test_an_unknown_activation_or_loss_lists_the_known():
    refused(
        ValueError,
        ["Unknown activation 'gelu'", "linear, relu, tanh", "leaky_relu(slope)"],
        lambda: ff.Task(X, Y, "gelu"),
    )
    refused(
        ValueError,
        ["Unknown loss 'hinge'", "squared, logistic, cross_entropy, exponential"],
        lambda: ff.Task(X, Y, loss="hinge"),
    )


@pytest.mark.parametrize(
    ("loss", "targets", "says"),
    [
        ("logistic", [[0.0, 1.0]], ["logistic loss needs labels -1 or +1", "from 0 to 1"]),
        ("exponential", [[2.0, 1.0]], ["exponential loss needs labels -1 or +1", "from 1 to 2"]),
        ("cross_entropy", [[1.0, 2.0], [0.0, -1.0]], ["class probabilities", "from -1 to 2"]),
        (
            "cross_entropy",
            [[0.3, 0.5], [0.3, 0.5]],
            ["columns of class probabilities", "0.3 to 0.5"],
        ),
    ],
)
def test_labels_must_be_in_the_range_of_the_loss(loss, targets, says):
    refused(ValueError, says, lambda: ff.Task(np.eye(2), targets, loss=loss))


@pytest.mark.parametrize("kind", [*RULES, ff.FAStar])
def test_a_rule_given_as_its_class_is_refused(kind):
    says = ["must be an instance", f"the class {kind.__name__}", f"{kind.__name__}.random(sizes"]
    refused(TypeError, says, lambda: run(kind))
    refused(
        TypeError,
        says,
        lambda: ff.iterate(kind, task(sizes=SIZES), start(ff.GD(), sizes=SIZES), eta=0.1, steps=1),
    )


def test_an_unknown_rule_lists_the_known():
    refused(
        TypeError,
        ["Unknown rule 'backprop'", "GD, FA, DFA, SignFA, KolenPollack, FAStar"],
        lambda: run("backprop"),
    )


def test_a_task_must_be_a_task():
    refused(TypeError, ["must be a faflow.Task", "(1, 2)"], lambda: run(given=(1, 2)))


@pytest.mark.parametrize("w0", [np.zeros((4, 3)), np.zeros((2, 4, 3)), (), None, 3.0, iter([1])])
def test_weights_must_be_a_tuple_of_matrices(w0):
    given, rule = task(sizes=SIZES), ff.GD()
    refused(
        TypeError,
        ["w0 must be a tuple of matrices, the first next to the input"],
        lambda: ff.integrate(rule, given, w0, [0, 1]),
    )


@pytest.mark.parametrize(
    "sizes",
    [{2: 3, 3: 2}, {2, 3}, b"23", "23", (2, True, 2), (2, 2.0), np.ones((2, 2), int), np.array(3)],
    ids=str,
)
def test_sizes_are_widths_in_order(sizes):
    says = ["sizes must be at least two positive widths, input first"]
    refused(ValueError, says, lambda: ff.init(sizes))
    refused(ValueError, says, lambda: ff.discover(ff.FA, sizes))


@pytest.mark.parametrize("sizes", [[2, 3], range(2, 4), np.array([2, 3]), (np.int64(2), 3)])
def test_sizes_are_any_sequence_of_integers(sizes):
    assert ff.init(sizes)[0].shape == (3, 2)


@pytest.mark.parametrize("name", ["decay", "rates"])
def test_decay_and_rates_are_one_or_one_a_layer(name):
    for value, count in (((0.1, 0.2, 0.3), 3), ([0.1], 1), (np.ones(5), 5)):
        refused(
            ValueError,
            [f"{name} has {count} entries, but there are 2 layers"],
            lambda value=value: run(ff.GD(**{name: value})),
        )


@pytest.mark.parametrize(
    "bad", [np.nan, np.inf, "a lot", None, 1j, np.complex64(1), True, (0.1, None), ((0.1,), (0.2,))]
)
@pytest.mark.parametrize("name", ["decay", "rates"])
def test_decay_and_rates_are_numbers(name, bad):
    refused(ValueError, [f"{name} must be"], lambda: ff.GD(**{name: bad}))


def test_a_piecewise_decay_has_one_more_value_than_increasing_times():
    for times, values in [((1.0,), (0.1,)), ((2.0, 1.0), (0, 1, 2)), ((1.0, 1.0), (0, 1, 2))]:
        refused(
            ValueError,
            ["Piecewise needs increasing times and one more value than times", str(times)],
            lambda times=times, values=values: ff.GD(decay=ff.Piecewise(times, values)),
        )
    refused(
        ValueError,
        ["Piecewise needs a tuple of times and one of values, not Piecewise(times=0.5"],
        lambda: ff.GD(decay=ff.Piecewise(0.5, (1, 2))),
    )
    refused(
        ValueError,
        ["rates must be constant; only decay may be piecewise"],
        lambda: ff.GD(rates=ff.Piecewise((1.0,), (1, 2))),
    )
    refused(
        ValueError,
        ["decay must be finite numbers, but has nan"],
        lambda: ff.GD(decay=ff.Piecewise((1.0,), (1, np.nan))),
    )


def test_the_number_of_activations_is_that_of_the_hidden_layers():
    refused(
        ValueError,
        ["The task has 2 activations, but there are 1 hidden layers"],
        lambda: run(given=ff.Task(X, Y, ("tanh", "tanh"))),
    )


@pytest.mark.parametrize("what", ["w0", "X", "Y", "B", "decay", "rates"])
def test_a_run_takes_floats_and_no_fractions(what):
    exact = lambda M: np.vectorize(Fraction, otypes=[object])(M)
    rule, given, w0 = problem(ff.FA, sizes=SIZES)
    if what == "w0":
        w0 = tuple(map(exact, w0))
    elif what in "XY":
        given = ff.Task(
            *(exact(M) if name == what else M for name, M in (("X", given.X), ("Y", given.Y)))
        )
    elif what == "B":
        rule = ff.FA(tuple(map(exact, rule.B)))
    else:
        rule = ff.FA(rule.B, **{what: Fraction(1, 3)})
    says = ["A run needs floats", what]
    refused(TypeError, says, lambda: ff.integrate(rule, given, w0, [0, 1]))
    refused(TypeError, says, lambda: ff.iterate(rule, given, w0, eta=0.1, steps=1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"eta": 0}, ["eta must be a positive number, but is 0"]),
        ({"eta": -0.1}, ["eta must be a positive number", "-0.1"]),
        ({"eta": np.nan}, ["eta must be a positive number", "nan"]),
        ({"eta": np.inf}, ["eta must be a positive number", "inf"]),
        ({"eta": "0.1"}, ["eta must be a positive number", "'0.1'"]),
        ({"eta": None}, ["eta must be a positive number", "None"]),
        ({"steps": 0}, ["steps must be a positive integer, but is 0"]),
        ({"steps": 2.5}, ["steps must be a positive integer, but is 2.5"]),
        ({"steps": np.nan}, ["steps must be a positive integer", "nan"]),
        ({"steps": "3"}, ["steps must be a positive integer", "'3'"]),
        ({"steps": None}, ["steps must be a positive integer", "None"]),
        ({"every": 0}, ["every must be a positive integer, but is 0"]),
        ({"every": 1.5}, ["every must be a positive integer"]),
        ({"batches": 0}, ["batches must be from 1 to 5 samples, or a sampler, but is 0"]),
        ({"batches": 6}, ["batches must be from 1 to 5 samples, or a sampler, but is 6"]),
        ({"batches": 2.5}, ["batches must be from 1 to 5 samples, or a sampler, but is 2.5"]),
        ({"batches": "all"}, ["batches must be from 1 to 5 samples, or a sampler, but is 'all'"]),
    ],
    ids=str,
)
def test_options_of_an_iteration_are_checked(options, says):
    rule, given, w0 = problem(ff.GD, sizes=SIZES)
    refused(
        ValueError,
        says,
        lambda: ff.iterate(rule, given, w0, **({"eta": 0.1, "steps": 3} | options)),
    )


def test_fastar_takes_no_batches():
    rng = np.random.default_rng(0)
    rule, given = ff.FAStar((rng.standard_normal((3, 4)),)), ff.Task.factorisation(np.eye(4, 5))
    refused(
        ValueError,
        ["FAStar fits its last layer to all the data, so it takes no batches"],
        lambda: ff.iterate(
            rule,
            given,
            (rng.standard_normal((3, 5)), np.zeros((4, 3))),
            eta=0.1,
            steps=1,
            batches=2,
        ),
    )


def test_numpy_integers_count():
    rule, given, w0 = problem(ff.GD, sizes=SIZES)
    sol = ff.iterate(rule, given, w0, eta=np.float64(0.1), steps=np.int64(3), every=np.int32(1))
    assert len(sol) == 4


@pytest.mark.parametrize(
    ("options", "missing"), [({"engine": "diffrax"}, "diffrax"), ({"solver": "tsit5"}, "diffrax")]
)
def test_a_missing_engine_names_the_command_that_installs_it(options, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    refused(ImportError, ["needs diffrax", "pip install 'faflow[jax]'"], lambda: run(**options))


def test_without_diffrax_the_engine_is_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    assert run().made["engine"].startswith("scipy")


def test_a_missing_xarray_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    sol = run()
    refused(ImportError, ["needs xarray", "pip install 'faflow[xarray]'"], sol.to_xarray)


def test_what_is_observed_must_be_laws():
    refused(
        TypeError,
        ["observe['loss'] must be a law, but is 3"],
        lambda: run(observe={"loss": 3}),
    )


@pytest.mark.parametrize("option", ["step", "rtol", "atol", "max_steps", "max_seconds"])
@pytest.mark.parametrize("value", ["small", -1, float("nan")])
def test_an_option_of_integrate_that_is_no_positive_number_is_named(option, value):
    task, w0 = ff.Task(np.eye(2), np.eye(2)), ff.init((2, 2))
    with pytest.raises(ValueError, match=f"^{option} must be"):
        ff.integrate(ff.GD(), task, w0, [0, 1], **{option: value})


def test_kolen_pollack_refuses_a_feedback_it_would_not_use():
    rule = ff.KolenPollack((np.eye(2),))
    w0 = ff.KolenPollack().start((2, 2, 2))
    with pytest.raises(ValueError, match="KolenPollack needs 0 feedback matrices"):
        ff.integrate(rule, ff.Task(np.eye(2), np.eye(2)), w0, [0, 1])


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"of": ff.FA}, TypeError, "needs a rule that moves weights, but has <class"),
        ({"of": ff.HeavyBall()}, TypeError, "needs a rule that moves weights"),
        ({"decay": 0.1}, ValueError, "Give B, decay and rates to the rule inside"),
        ({"friction": -1}, ValueError, "friction must be finite and not negative, but is -1"),
        ({"friction": "high"}, ValueError, "friction must be a number, but is 'high'"),
    ],
)
def test_a_heavy_ball_that_cannot_be_is_refused(options, kind, says):
    with pytest.raises(kind, match=says):
        ff.HeavyBall(**options)


def test_a_heavy_ball_without_velocities_is_refused():
    w = start(ff.GD(), sizes=SIZES)
    with pytest.raises(ValueError, match=r"Of 2 matrices, a state of HeavyBall is \(W1, V1\)"):
        run(ff.HeavyBall(), w0=w)
    with pytest.raises(ValueError, match=r"HeavyBall moves \(W1, V1\) .* w0 has 3 matrices"):
        run(ff.HeavyBall(), w0=(*w, w[0]))
