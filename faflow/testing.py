"""For the tests of people who use faflow: an assertion, Hypothesis strategies, the fixture `check`.

Installed as a pytest plugin, so that `check` is there in every suite and ``claim_…`` functions are
ordinary tests once pytest is told to collect them.
"""

from dataclasses import dataclass

import numpy as np

from .extras import needs
from .nets import Task, shapes
from .rules import FA, GD

pytest = needs("pytest", "verify")

CHECK = pytest.StashKey()
"""Where a test keeps its `check`, also one that only its fixtures asked for."""


def pytest_addoption(parser):
    parser.addoption(
        "--faflow-full", action="store_true", help="run claims at the sizes of the full tier"
    )


@pytest.fixture
def check(request):
    """Shows the evidence of a claim, or of a control (a function named ``control_…``)."""
    from .check import Check

    control = request.node.name.startswith("control_")
    request.node.stash[CHECK] = Check(control, full=request.config.getoption("--faflow-full"))
    return request.node.stash[CHECK]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A claim ends with its evidence judged, as part of the call and not of the teardown."""
    __tracebackhide__ = True
    outcome = yield
    if CHECK in item.stash:
        item.stash[CHECK].finish()
    return outcome


@dataclass(frozen=True, eq=False)
class GradientInstead(FA):
    """For controls: feedback matrices at hand, but the error returns through transposed weights."""

    carry = GD.carry


def assert_kept(law, solution, *, factor=100, **arguments):
    """Fail unless `law` stays within `factor` times the solver's tolerance of its first value.

    Allowed is factor · (rtol · scale + atol), scale being the largest value of the law, or 1.
    A solution without tolerances, of discrete or fixed steps, is refused with ValueError.
    """
    __tracebackhide__ = True
    if "rtol" not in solution.made:
        raise ValueError("Only a flow with error control has a tolerance to keep a law to.")
    if len(solution) < 2:
        raise ValueError("A solution of a single time shows no drift.")
    if factor * solution.made["rtol"] >= 1:
        raise ValueError(
            f"The factor {factor:g} times rtol {solution.made['rtol']:g} must be below 1, or a law"
            " that ends at 0 would pass."
        )
    name, values = getattr(law, "__name__", "law"), solution.measure(law, **arguments)
    if not np.isfinite(values).all():
        raise AssertionError(f"{name} is not finite along {solution}")
    drift = np.abs(values - values[0])
    scale = max(1.0, float(np.abs(values).max()))
    allowed = factor * (solution.made["rtol"] * scale + solution.made["atol"])
    if drift.max() > allowed:
        worst = np.unravel_index(np.argmax(drift), drift.shape)
        raise AssertionError(
            f"{name} drifts by {drift.max():.2e} at t ="
            f" {solution.ts[worst[0]]:g}, entry {tuple(map(int, worst[1:]))}; allowed"
            f" {allowed:.1e} along {solution}"
        )


def problems(rule, *, sizes=(2, 3, 2), samples=4, phi="linear", bias=False, bound=1):
    """Hypothesis strategy for ``(rule, task, w0)`` with entries in [-bound, bound].

    rule: a class of rules whose state is its weights.  Needs hypothesis.
    """
    st = needs("hypothesis.strategies", "test")
    arrays = needs("hypothesis.extra.numpy", "test").arrays
    matrix = lambda s: arrays(float, s, elements=st.floats(-bound, bound, width=32))
    task = st.builds(
        Task,
        matrix((sizes[0], samples)),
        matrix((sizes[-1], samples)),
        st.just(phi),
        bias=st.just(bias),
    )
    feedback = st.tuples(*map(matrix, rule.shapes(sizes))).map(rule)
    return st.tuples(feedback, task, st.tuples(*map(matrix, shapes(sizes, bias))))
