"""The exact reduction of linear networks of any width to their samples' variables."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from ..losses import squared
from ..nets import linear
from ..rules import FA, Piecewise, outgoing
from .network import decays_of, piecewise

SOLVERS = {"dop853": "DOP853", "bdf": "BDF"}


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The inner products on which training of linear networks depends, for several problems.

    p: (problems,) widths.  decays: for each problem the pair of penalties on W and beta.
    y: (problems, n).  gram: (problems, n, n), XᵀX.  With V₀ = W₀X, (p, n):
    K: (problems, n, n), V₀ᵀV₀/p.  q, g: (problems, n), V₀ᵀβ₀/√p and V₀ᵀb/√p.
    bb, beta_beta, b_beta: (problems,), |b|², |β₀|² and b·β₀.
    """

    p: np.ndarray
    decays: tuple
    y: np.ndarray
    gram: np.ndarray
    K: np.ndarray
    q: np.ndarray
    g: np.ndarray
    bb: np.ndarray
    beta_beta: np.ndarray
    b_beta: np.ndarray


@dataclass(frozen=True, eq=False)
class Reduced:
    """Training of linear networks, by time, problem and penalty.

    ts: (times,), in units of 1/learning rate; steps: (problems, penalties), 0 for a flow.
    error: e = f - y, (times, problems, penalties, n).
    cosine: of the angle between b and beta, (times, problems, penalties); norm: |beta|;
    overlap: b·beta.
    overlaps, states: what they are made of; a state is (c₁, c₀, ρ, a, u), last axis 3 + 2n.
    """

    ts: np.ndarray
    error: np.ndarray
    cosine: np.ndarray
    norm: np.ndarray
    overlap: np.ndarray
    steps: np.ndarray
    overlaps: Overlaps
    states: np.ndarray

    def kernel(self):
        """G + H, (times, problems, penalties, n, n), whose largest eigenvalue limits a step."""
        o, (c1, _, _, _, u) = self.overlaps, _parts(self.states)
        p, bb = (v[:, None, None, None] for v in (o.p, o.bb))
        mixed = c1[..., None] * o.g[:, None, :, None] * u[..., None, :] / p
        G = c1[..., None] ** 2 * o.K[:, None] - mixed - mixed.mT
        G = G + bb * (u[..., None] * u[..., None, :]) / p**2
        return G + o.gram[:, None] * (self.overlap[..., None, None] / p)


def overlaps(problems):
    """The `Overlaps` of several problems (rule, task, w0), all with the same number of samples.

    problems: any iterable; from a generator only one network at a time is in memory.
    Raises ValueError for a network that is not linear or not written as `problem` writes it.
    """
    rows = [_overlaps(*one) for one in problems]
    if not rows:
        raise ValueError("overlaps needs at least one problem (rule, task, w0).")
    if len({len(row["y"]) for row in rows}) > 1:
        raise ValueError("All problems of one batch must have the same number of samples.")
    made = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "decays"}
    return Overlaps(decays=tuple(row["decays"] for row in rows), **made)


def _overlaps(rule, task, w0):
    if task.activation(0) is not linear or task.loss is not squared:
        raise ValueError(
            "The reduction is of linear networks with squared loss, but the task has the activation"
            f" {task.activation(0).name} and the {task.loss.name} loss."
        )
    p = len(w0[0])
    scaled = np.allclose([rule.rate(0), rule.rate(1) * p], 1, rtol=1e-12)
    plain = not task.bias and task.output_scale == 1 and len(task.Y) == 1
    if type(rule) is not FA or len(w0) != 2 or not (scaled and plain):
        raise ValueError(
            f"The reduction needs FA on two layers with one output and rates (1, 1/p), as"
            f" wide.problem makes it, but has {type(rule).__name__} with rates {rule.rates}."
        )
    V, root = w0[0] @ task.X, np.sqrt(p)
    beta, b = root * outgoing(w0, 0)[0], root * rule.B[0][:, 0]
    return {
        "decays": decays_of(rule),
        "p": float(p),
        "y": task.Y[0],
        "gram": task.X.T @ task.X,
        "K": V.T @ V / p,
        "q": V.T @ beta / root,
        "g": V.T @ b / root,
        "bb": b @ b,
        "beta_beta": beta @ beta,
        "b_beta": b @ beta,
    }


def reduced_flow(overlaps, ts, *, penalties=None, solver="dop853", rtol=1e-10, atol=1e-12):
    """The flow of linear networks of any width, in 2n + 3 variables each; exact for any data.

    β = c₀β₀ - V₀a/√p + ρb and WX = c₁V₀ - buᵀ/√p with dc₀/dt = -λc₀, da/dt = c₁e - λa,
    dρ/dt = u·e/p - λρ, du/dt = XᵀXe - μu, dc₁/dt = -μc₁; μ, the penalty on W, is 0 in the paper.
    Derived in this project.

    ts: increasing times, the networks starting at ``ts[0]``.
    penalties: on beta, numbers or `Piecewise`, each for every problem; None takes the problems'
        own.  The integration starts anew wherever one jumps.
    solver: dop853, or bdf for late times under a penalty, when the flow is stiff.
    Returns `Reduced`.  Raises RuntimeError if the solver fails.
    """
    from scipy.integrate import solve_ivp

    if solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose from {', '.join(SOLVERS)}.")
    ts = np.asarray(ts, dtype=float)
    if ts.ndim != 1 or len(ts) < 2 or not (np.isfinite(ts).all() and (np.diff(ts) > 0).all()):
        raise ValueError(f"ts must be at least two increasing times, but is {ts!r:.60}.")
    schedule = _schedule(overlaps, penalties)
    state = _start(overlaps, schedule)
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
    return _reduced(overlaps, ts, np.array(states), np.zeros(shape[:2], int))


def reduced_steps(overlaps, *, eta, steps, every=None, penalties=None, start=None):
    """`reduced_flow` for discrete steps of size `eta`: exactly what `iterate` does, at any width.

    every: keep every so many steps, a divisor of `steps`, and the start; None keeps the end only.
    start: a `Reduced` of the same overlaps, from whose last states to go on, at time 0.
    Returns `Reduced`.  Raises RuntimeError when a network overflows.
    """
    every = steps if every is None else every
    _check_steps(eta, steps, every)
    if steps % every:
        raise ValueError(f"steps must be a multiple of every, but are {steps} and {every}.")
    schedule = _schedule(overlaps, penalties)
    state = _start(overlaps, schedule)
    if start is not None:
        if start.overlaps is not overlaps or start.states.shape[1:] != state.shape:
            raise ValueError("start must be of the same overlaps and as many penalties.")
        state = start.states[-1]
    stepper = _Stepper(overlaps, state, eta, schedule)
    states = [stepper.state()]
    for _ in range(steps // every):
        stepper.go(every)
        states.append(stepper.state())
    ts = eta * every * np.arange(len(states))
    taken = np.full(states[0].shape[:2], every * (len(states) - 1))
    return _reduced(overlaps, ts, np.array(states), taken)


def until_settled(overlaps, *, eta, steps, block, change, penalties=None, most=1000):
    """`reduced_steps`, and then blocks of steps until the mean of e² changes by less in one.

    The stopping rule of the published experiments: each network stops by itself, after `steps` and
    as many blocks as it needs, when over its last block |e|²/n has changed by less than `change`.
    Returns `Reduced` with the single time nan, the steps differing.  Raises RuntimeError when a
    network overflows or takes more than `most` blocks.
    """
    _check_steps(eta, steps, block)
    schedule = _schedule(overlaps, penalties)
    if schedule.jumps:
        raise ValueError("The stopping rule is for penalties that are constant in time.")
    stepper = _Stepper(overlaps, _start(overlaps, schedule), eta, schedule)
    stepper.go(steps)
    final = stepper.state()
    losses = np.mean(_error(overlaps, final) ** 2, -1)
    taken, going = np.full(losses.shape, steps), np.full(losses.shape, True)
    rows, columns = np.arange(going.shape[0]), np.arange(going.shape[1])
    for _ in range(most):
        stepper.go(block)
        reached = final.copy()
        reached[np.ix_(rows, columns)] = stepper.state()
        final = np.where(going[..., None], reached, final)
        taken[going] += block
        before, losses = losses, np.mean(_error(overlaps, final) ** 2, -1)
        going &= np.abs(losses - before) >= change
        if not going.any():
            return _reduced(overlaps, np.array([np.nan]), final[None], taken)
        now = going[np.ix_(rows, columns)]
        inside = np.flatnonzero(now.any(1)), np.flatnonzero(now.any(0))
        stepper.only(*inside)
        rows, columns = rows[inside[0]], columns[inside[1]]
    raise RuntimeError(f"{going.sum()} networks did not settle in {most} blocks of {block} steps.")


def _check_steps(eta, steps, every):
    if not (isinstance(eta, Real) and np.isfinite(eta) and eta > 0):
        raise ValueError(f"eta must be a positive number, but is {eta!r}.")
    for what, value in {"steps": steps, "every or block": every}.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{what} must be a positive integer, but is {value!r}.")


class _Schedule(NamedTuple):
    """Penalties on W, (problems, 1), and on beta, (problems, penalties), and when they jump."""

    first: list
    second: list
    jumps: list

    def at(self, t):
        number = lambda one: one.at(t) if isinstance(one, Piecewise) else one
        grid = lambda rows: np.array([[float(number(one)) for one in row] for row in rows])
        return grid(self.first), grid(self.second)


def _schedule(overlaps, penalties):
    if isinstance(penalties, Piecewise) or not (penalties is None or np.iterable(penalties)):
        raise ValueError(f"penalties must be a list of them, not {penalties!r:.60}.")
    first = [[mu] for mu, _ in overlaps.decays]
    second = [[own] if penalties is None else list(penalties) for _, own in overlaps.decays]
    if not second[0]:
        raise ValueError("penalties must hold at least one.")
    each = [piecewise(one) for row in first + second for one in row]
    return _Schedule(first, second, sorted({t for one in each for t in one.times}))


def _start(overlaps, schedule):
    problems, n = overlaps.y.shape
    state = np.zeros((problems, len(schedule.second[0]), 3 + 2 * n))
    state[..., :2] = 1  # c₁ and c₀
    return state


def _parts(state):
    n = (state.shape[-1] - 3) // 2
    return (*(state[..., k, None] for k in range(3)), state[..., 3 : 3 + n], state[..., 3 + n :])


def _error(o, state):
    """e = c₁(c₀q - Ka + ρg) - u(b·β)/p - y."""
    c1, c0, rho, a, u = _parts(state)
    q, g, y = (v[:, None] for v in (o.q, o.g, o.y))
    return c1 * (c0 * q - a @ o.K + rho * g) - u * (_overlap(o, state) / o.p[:, None, None]) - y


def _overlap(o, state):
    """b·β = c₀b·β₀ - g·a + ρ|b|²."""
    _, c0, rho, a, _ = _parts(state)
    b_beta, bb = (v[:, None, None] for v in (o.b_beta, o.bb))
    return c0 * b_beta - (a * o.g[:, None]).sum(-1, keepdims=True) + rho * bb


def _velocity(o, state, mu, penalty):
    c1, c0, rho, a, u = _parts(state)
    mu, penalty = np.broadcast_arrays(mu, penalty)
    mu, penalty = mu[..., None], penalty[..., None]
    e = _error(o, state)
    carried = (u * e).sum(-1, keepdims=True) / o.p[:, None, None]
    moved = (c1 * e - penalty * a, e @ o.gram - mu * u)
    return np.concatenate([-mu * c1, -penalty * c0, carried - penalty * rho, *moved], axis=-1)


class _Stepper:
    """Euler steps of all networks at once, in the basis in which each XᵀX is diagonal.

    Ka moves along with a, which leaves one product of matrices a step.
    """

    def __init__(self, overlaps, state, eta, schedule):
        if any(one != 0 for row in schedule.first for one in row):
            raise ValueError("Reduced steps know a penalty on beta alone; reduced_flow knows both.")
        self.eta, self.schedule, self.done = eta, schedule, 0
        values, self.basis = np.linalg.eigh(overlaps.gram)
        turned = lambda v: (v[:, None] @ self.basis)[:, 0]
        self.gram, self.K = values[:, None], self.basis.mT @ overlaps.K @ self.basis
        self.g = turned(overlaps.g)[..., None]
        self.fixed = np.stack([turned(overlaps.q), self.g[..., 0], -turned(overlaps.y)], axis=1)
        self.p, self.bb, self.b_beta = (
            v[:, None] for v in (overlaps.p, overlaps.bb, overlaps.b_beta)
        )
        _, c0, rho, a, u = _parts(state)
        self.shares = np.concatenate([c0, rho, np.ones_like(rho)], axis=-1)  # of q, g, -y in e
        self.a, self.u = a @ self.basis, u @ self.basis
        self.Ka = self.a @ self.K

    def state(self):
        """As in `Reduced`."""
        c0, rho = self.shares[..., :1], self.shares[..., 1:2]
        parts = [np.ones_like(c0), c0, rho, self.a, self.u]
        if not all(np.isfinite(part).all() for part in parts):
            raise RuntimeError(
                f"A network overflows within {self.done} steps: eta = {self.eta:g} is too large."
            )
        back = self.basis.mT
        return np.concatenate([*parts[:3], self.a @ back, self.u @ back], axis=-1)

    def go(self, steps):
        shape, eta = self.a.shape, self.eta
        K, gram = eta * self.K, np.broadcast_to(eta * self.gram, shape).copy()
        penalty = None
        with np.errstate(all="ignore"):  # an overflow is found by its values
            for k in range(self.done, self.done + steps):
                if penalty is None or self.schedule.jumps:
                    penalty = self.schedule.at(k * eta)[1]
                    kept = np.broadcast_to(1 - eta * penalty[..., None], shape).copy()
                c0, rho = self.shares[..., 0], self.shares[..., 1]
                overlap = c0 * self.b_beta - (self.a @ self.g)[..., 0] + rho * self.bb
                e = self.shares @ self.fixed
                e -= self.Ka
                e -= self.u * (overlap / self.p)[..., None]
                carried = np.vecdot(self.u, e) / self.p
                self.shares[..., 0] -= eta * penalty * c0
                self.shares[..., 1] += eta * (carried - penalty * rho)
                self.a *= kept
                self.a += eta * e
                self.Ka *= kept
                self.Ka += e @ K
                self.u += gram * e
        self.done += steps

    def only(self, rows, columns):
        """Go on with these problems and penalties alone."""
        self.schedule = _Schedule(
            [self.schedule.first[i] for i in rows],
            [[self.schedule.second[i][j] for j in columns] for i in rows],
            self.schedule.jumps,
        )
        for name in ("basis", "gram", "K", "g", "fixed", "p", "bb", "b_beta"):
            setattr(self, name, getattr(self, name)[rows])
        for name in ("shares", "a", "Ka", "u"):
            setattr(self, name, getattr(self, name)[np.ix_(rows, columns)])


def _reduced(o, ts, states, steps):
    a = _parts(states)[3]
    c0, rho = states[..., 1], states[..., 2]
    q, g = o.q[:, None], o.g[:, None]
    bb, beta_beta, b_beta = (v[:, None] for v in (o.bb, o.beta_beta, o.b_beta))
    overlap = np.array([_overlap(o, state)[..., 0] for state in states])
    square = c0**2 * beta_beta + ((a @ o.K) * a).sum(-1) + rho**2 * bb
    square += 2 * (c0 * rho * b_beta - c0 * (a * q).sum(-1) - rho * (a * g).sum(-1))
    norm = np.sqrt(np.maximum(square, 0))
    error = np.array([_error(o, state) for state in states])
    cosine = overlap / (np.sqrt(bb) * norm)
    return Reduced(ts, error, cosine, norm, overlap, steps, o, states)
