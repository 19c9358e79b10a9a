import re

import numpy as np
import pytest
from hypothesis import given, settings
from problems import problem

import faflow as ff
from faflow import laws
from faflow.flow.checks import ready
from faflow.testing import assert_kept, problems

pytest_plugins = "pytester"

TS = [0.0, 0.5, 1.0]


def moved(values, *, rtol=1e-6, atol=1e-9, **made):
    """A solution whose single weight takes these values."""
    values = np.array(values, dtype=float)
    made |= {"rtol": rtol, "atol": atol}
    task = ff.Task([[1.0]], [[1.0]])
    return ff.Solution(np.arange(len(values)) / 4, (values[:, None, None],), ff.GD(), task, made)


def weight(rule, w):
    return w[0]


# assert_kept


@pytest.mark.parametrize("k", [0, 1])
def test_a_law_that_is_kept_passes(k):
    rule, task, w0 = problem(ff.FA)
    assert_kept(laws.feedback_balance, ff.integrate(rule, task, w0, TS), k=k)


@pytest.mark.parametrize("k", [0, 1])
def test_a_law_that_is_not_kept_fails_with_its_place_and_time(k):
    rule, task, w0 = problem(ff.FA)
    sol = ff.integrate(rule, task, w0, TS)
    with pytest.raises(AssertionError) as caught:
        assert_kept(laws.balance, sol, k=k)
    drift = np.abs(sol.measure(laws.balance, k=k) - laws.balance(rule, w0, k))
    time, row, column = np.unravel_index(drift.argmax(), drift.shape)
    assert str(caught.value).startswith(
        f"balance drifts by {drift.max():.2e} at t = {TS[time]:g}, entry ({row}, {column});"
    )
    assert str(caught.value).endswith(f"along {sol}")


def test_a_law_that_is_one_number_fails_with_its_time():
    number = lambda rule, w: w[0][0, 0]
    with pytest.raises(AssertionError, match=r"drifts by 5.00e-01 at t = 0.25, entry \(\);"):
        assert_kept(number, moved([1, 1.5, 1.25]))


@pytest.mark.parametrize("start", [0.0, 1.0, -40.0])
@pytest.mark.parametrize("factor", [1, 100])
def test_the_drift_allowed_is_the_factor_times_the_tolerance(start, factor):
    """The tolerance is rtol · scale + atol, the scale at least 1."""
    allowed = factor * (1e-6 * max(1, abs(start)) + 1e-9)
    assert_kept(weight, moved([start, start, start + 0.99 * allowed]), factor=factor)
    with pytest.raises(AssertionError, match=f"allowed {allowed:.1e} along"):
        assert_kept(weight, moved([start, start - 1.01 * allowed, start]), factor=factor)


def test_the_factor_is_a_hundred_unless_given():
    assert_kept(weight, moved([1, 1 + 9.9e-5]))
    with pytest.raises(AssertionError, match="weight drifts"):
        assert_kept(weight, moved([1, 1 + 1.02e-4]))


@pytest.mark.parametrize(
    "values", [[1, np.nan], [np.nan, 1], [1, np.inf], [np.inf, np.inf]], ids=str
)
def test_a_law_that_is_not_finite_is_not_kept(values):
    with pytest.raises(AssertionError, match="weight is not finite along GD"):
        assert_kept(weight, moved(values))


def test_solutions_without_tolerances_are_refused():
    rule, task, w0 = problem(ff.FA)
    steps = ff.iterate(rule, task, w0, eta=0.01, steps=3)
    fixed = ff.integrate(rule, task, w0, TS, step=0.1)
    for solution in (steps, fixed):
        with pytest.raises(ValueError, match="Only a flow with error control"):
            assert_kept(laws.feedback_balance, solution)


@pytest.mark.parametrize(
    ("solution", "message"),
    [
        (moved([1]), "single time"),
        (moved([1, 0], rtol=1e-2), "factor 100 times rtol 0.01 must be below 1"),
    ],
)
def test_what_any_law_would_pass_is_refused(solution, message):
    with pytest.raises(ValueError, match=message):
        assert_kept(weight, solution)


# problems

SIZES = (2, 3, 4, 2)


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.SignFA])
def test_problems_are_ready_to_run(kind, bias):
    seen = []

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(problems(kind, sizes=SIZES, samples=5, phi="tanh", bias=bias, bound=2))
    def drawn(case):
        rule, task, w0 = case
        assert type(rule) is kind
        assert (task.activation(0).name, task.bias, task.loss.name) == ("tanh", bias, "squared")
        assert (task.X.shape, task.Y.shape) == ((2, 5), (2, 5))
        ready(rule, task, w0)
        assert [V.shape for V in rule(task, w0)] == [(3, 2 + bias), (4, 3 + bias), (2, 4 + bias)]
        assert max(np.abs(M).max() for M in (task.X, task.Y, *w0, *rule.B)) <= 2
        seen.append(max(np.abs(W).max() for W in w0))

    drawn()
    assert max(seen) > 1


def test_problems_have_small_defaults():
    @settings(max_examples=5, deadline=None, derandomize=True)
    @given(problems(ff.FA))
    def drawn(case):
        rule, task, w0 = case
        assert [M.shape for M in (task.X, *w0, *rule.B)] == [(2, 4), (3, 2), (2, 3), (3, 2)]
        assert (task.activation(0).name, task.bias) == ("linear", False)

    drawn()


# The fixture `check` in somebody's own tests

ALL = ("-p", "no:cacheprovider", "-o", "python_functions=test_* claim_* control_*")
GOOD, BAD = "check.at_most('x', 1, 2, fall=10)", "check.at_most('x', 20, 2, fall=10)"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (f"def claim_x(check):\n    {GOOD}", "passed"),
        (f"def claim_x(check):\n    {BAD}", "failed"),
        (f"def test_x(check):\n    {GOOD}", "passed"),
        (f"def test_x(check):\n    {BAD}", "failed"),
        (f"def test_x(check):\n    {GOOD}\n    assert False", "failed"),
        (f"def control_x_broken(check):\n    {BAD}", "passed"),
        (f"def control_x_broken(check):\n    {GOOD}", "failed"),
        ("def control_x_broken(check):\n    check.at_most('x', 3, 2, fall=10)", "failed"),
        ("def claim_x(check):\n    pass", "failed"),
        ("def test_without():\n    pass", "passed"),
        (f"@pytest.fixture\ndef shown(check):\n    {BAD}\ndef test_x(shown):\n    pass", "failed"),
        (
            f"def test_x(request):\n    check = request.getfixturevalue('check')\n    {BAD}",
            "failed",
        ),
        (f"class TestX:\n    def test_x(self, check):\n        {BAD}", "failed"),
        (f"def test_x(check):\n    {GOOD}\n    pytest.skip('no')", "skipped"),
        (f"@pytest.mark.xfail\ndef claim_x(check):\n    {BAD}", "xfailed"),
    ],
)
def test_a_claim_is_a_test_that_passes_or_fails(pytester, text, outcome):
    """Failed in its call: not an error of a fixture."""
    pytester.makepyfile(f"import pytest\n{text}\n")
    pytester.runpytest_inprocess(*ALL).assert_outcomes(**{outcome: 1})


def test_a_failing_claim_says_what_was_needed_and_hides_how_it_was_judged(pytester):
    pytester.makepyfile(f"def claim_x(check):\n    {BAD}\n")
    result = pytester.runpytest_inprocess(*ALL)
    result.stdout.fnmatch_lines(["E *AssertionError: The claim does not stand: x: 20, needed ≤ 2"])
    assert not re.search("def finish|pytest_runtest_call", result.stdout.str())


def test_claims_are_not_collected_unless_asked_for(pytester):
    pytester.makepyfile(f"def claim_x(check):\n    {BAD}\ndef test_y():\n    pass\n")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
