"""The flow of linear networks of any width, in the variables of `reduction`."""

from itertools import pairwise

import numpy as np

from ..flow.checks import times
from .reduction import error_of, parts_of, reduced, schedule_of, start_of

SOLVERS = {"dop853": "DOP853", "bdf": "BDF"}


def reduced_flow(overlaps, ts, *, penalties=None, solver="dop853", rtol=1e-10, atol=1e-12):
    """The flow of linear networks of any width, in 2n + 3 variables each; exact for any data.

    β = c₀β₀ - V₀a/√p + ρb and WX = c₁V₀ - buᵀ/√p with dc₀/dt = -λc₀, da/dt = c₁e - λa,
    dρ/dt = u·e/p - λρ, du/dt = XᵀXe - μu, dc₁/dt = -μc₁; μ, the penalty on W, is 0 in the paper.
    Derived in this project.

    ts: increasing times, the networks starting at ``ts[0]``.
    penalties: on beta, numbers or `Piecewise`, each for every problem; None takes the problems'
        own.  The integration starts anew wherever one jumps.
    solver: dop853, or bdf for late times under a penalty, when the flow is stiff.
    Returns `Reduced`.  Raises ValueError for bad input, RuntimeError if the solver fails.
    """
    from scipy.integrate import solve_ivp

    if solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose from {', '.join(SOLVERS)}.")
    ts = times(ts)
    schedule = schedule_of(overlaps, penalties)
    state = start_of(overlaps, schedule)
    shape, states = state.shape, [state]
    edges = [ts[0], *(t for t in schedule.jumps if ts[0] < t < ts[-1]), ts[-1]]
    for start, stop in pairwise(edges):
        rates = schedule.at(start)
        inside = ts[(ts > start) & (ts <= stop)]
        made = solve_ivp(
            lambda t, flat, rates=rates: _velocity(overlaps, flat.reshape(shape), *rates).ravel(),
            (start, stop),
            state.ravel(),
            SOLVERS[solver],
            [*inside[inside < stop], stop],
            rtol=rtol,
            atol=atol,
        )
        if not made.success or not np.isfinite(made.y).all():
            raise RuntimeError(f"The reduced flow stopped at t = {made.t[-1]:g}: {made.message}")
        reached = made.y.T.reshape(-1, *shape)
        states += list(reached[: len(inside)])
        state = reached[-1]
    return reduced(overlaps, ts, np.array(states), np.zeros(shape[:2], int))


def _velocity(o, state, mu, penalty):
    c1, c0, rho, a, u = parts_of(state)
    mu, penalty = np.broadcast_arrays(mu, penalty)
    mu, penalty = mu[..., None], penalty[..., None]
    e = error_of(o, state)
    carried = (u * e).sum(-1, keepdims=True) / o.p[:, None, None]
    moved = (c1 * e - penalty * a, e @ o.gram - mu * u)
    return np.concatenate([-mu * c1, -penalty * c0, carried - penalty * rho, *moved], axis=-1)
