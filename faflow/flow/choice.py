"""Which engine and solver a run takes, and to which tolerances."""

import sys
from importlib.util import find_spec

import numpy as np

from ..extras import present
from . import engine_diffrax, engine_scipy

SOLVERS = [*dict.fromkeys([*engine_scipy.SOLVERS, *engine_diffrax.SOLVERS])]
COARSE = 1e-5
"""Relative tolerances from this on are reached with fewer evaluations by RKC2 than by ROCK4."""


SINGLE = 5e-7
"""The finest relative tolerance of single precision: at 1e-8 errors are rounding, in 20 times the
steps."""


def tolerances(rtol, atol, single=False):
    """Both by their names, checked, as floats."""
    made = {"rtol": rtol, "atol": atol}
    if single and is_number(rtol) and 0 < rtol < SINGLE:
        raise ValueError(f"rtol must be at least {SINGLE:g} in single precision, but is {rtol!r}.")
    for what, value in made.items():
        least = 100 * np.finfo(float).eps if what == "rtol" else 0
        if not (is_number(value) and least <= value < 1 and value > 0):
            raise ValueError(f"{what} must be between {least:.2g} and 1, but is {value!r}.")
    return {what: float(value) for what, value in made.items()}


def is_number(value):
    plain = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return plain and np.isfinite(value)


def is_single(precision, engine, solver, keep):
    """Whether velocities are in single precision, where that can be."""
    if precision not in ("double", "single"):
        raise ValueError(f"Unknown precision {precision!r}; choose from double, single.")
    if precision == "double":
        return False
    if engine is not engine_diffrax or solver in engine_diffrax.STABILISED:
        known = [name for name in engine_diffrax.SOLVERS if name not in engine_diffrax.STABILISED]
        raise ValueError(
            f"precision='single' needs engine='diffrax' and one of its pairs, {', '.join(known)}."
        )
    if keep not in (None, "monitor"):
        raise ValueError(
            "precision='single' keeps no laws to rounding; keep='monitor' can look on."
        )
    return True


def relief(solver, rtol, step, kinks):
    """The stabilised method that a solver gives way to where stability limits it, if it may."""
    if solver is not None or step is not None or kinks not in (None, "smooth"):
        return None
    return "rkc2" if rtol >= COARSE else "rock4"


def default_solver(engine, rtol, kinks):
    """The solver where none is named."""
    if engine is engine_scipy:
        if kinks == "slide":
            return "rk45" if rtol >= 1e-8 else "dop853"  # many kinks favour the lower order
        return "rk23" if kinks == "ignore" else "dop853"
    return "bosh3" if kinks == "ignore" else "dopri8" if rtol < 1e-7 else "tsit5"


def engine_of(engine, solver):
    """The engine's module and the solver's name, or None."""
    if engine not in ("auto", "scipy", "diffrax"):
        raise ValueError(f"Unknown engine {engine!r}; choose from auto, scipy, diffrax.")
    if solver is not None and solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose from {', '.join(SOLVERS)}.")
    if engine == "auto":
        if solver is None:
            engine = "diffrax" if _accelerated() else "scipy"
        else:
            engine = "scipy" if solver in engine_scipy.SOLVERS else "diffrax"
    module = engine_scipy if engine == "scipy" else engine_diffrax
    if module is engine_diffrax:
        for package in ("diffrax", "jax"):
            present(package, "jax")  # not imported: that of diffrax is slow, and few runs need it
    if solver is not None and solver not in module.SOLVERS:
        known = ", ".join(module.SOLVERS)
        raise ValueError(f"The engine {engine} has no solver {solver!r}; choose from {known}.")
    return module, solver


def _accelerated():
    """Whether to ask JAX for an accelerator: only if one can be there, since asking is slow."""
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")
    if find_spec("diffrax") is None:
        return False
    if "jax" not in sys.modules and not any(map(find_spec, plugins)):
        return False
    return engine_diffrax.has_accelerator()
