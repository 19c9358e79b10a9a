"""The variables to which training of linear networks of any width reduces, exactly."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..losses import squared
from ..nets import linear
from ..rules import FA, Piecewise, outgoing
from .network import decays_of, piecewise


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
        o, (c1, _, _, _, u) = self.overlaps, parts_of(self.states)
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


def reduced(o, ts, states, steps):
    a = parts_of(states)[3]
    c0, rho = states[..., 1], states[..., 2]
    q, g = o.q[:, None], o.g[:, None]
    bb, beta_beta, b_beta = (v[:, None] for v in (o.bb, o.beta_beta, o.b_beta))
    overlap = np.array([overlap_of(o, state)[..., 0] for state in states])
    square = c0**2 * beta_beta + ((a @ o.K) * a).sum(-1) + rho**2 * bb
    square += 2 * (c0 * rho * b_beta - c0 * (a * q).sum(-1) - rho * (a * g).sum(-1))
    norm = np.sqrt(np.maximum(square, 0))
    error = np.array([error_of(o, state) for state in states])
    cosine = overlap / (np.sqrt(bb) * norm)
    return Reduced(ts, error, cosine, norm, overlap, steps, o, states)


class Schedule(NamedTuple):
    """Penalties on W, (problems, 1), and on beta, (problems, penalties), and when they jump."""

    first: list
    second: list
    jumps: list

    def at(self, t):
        number = lambda one: one.at(t) if isinstance(one, Piecewise) else one
        grid = lambda rows: np.array([[float(number(one)) for one in row] for row in rows])
        return grid(self.first), grid(self.second)


def schedule_of(overlaps, penalties):
    if isinstance(penalties, Piecewise) or not (penalties is None or np.iterable(penalties)):
        raise ValueError(f"penalties must be a list of them, not {penalties!r:.60}.")
    first = [[mu] for mu, _ in overlaps.decays]
    second = [[own] if penalties is None else list(penalties) for _, own in overlaps.decays]
    if not second[0]:
        raise ValueError("penalties must hold at least one.")
    each = [piecewise(one) for row in first + second for one in row]
    return Schedule(first, second, sorted({t for one in each for t in one.times}))


def start_of(overlaps, schedule):
    problems, n = overlaps.y.shape
    state = np.zeros((problems, len(schedule.second[0]), 3 + 2 * n))
    state[..., :2] = 1  # c₁ and c₀
    return state


def parts_of(state):
    n = (state.shape[-1] - 3) // 2
    return (*(state[..., k, None] for k in range(3)), state[..., 3 : 3 + n], state[..., 3 + n :])


def error_of(o, state):
    """e = c₁(c₀q - Ka + ρg) - u(b·β)/p - y."""
    c1, c0, rho, a, u = parts_of(state)
    q, g, y = (v[:, None] for v in (o.q, o.g, o.y))
    return c1 * (c0 * q - a @ o.K + rho * g) - u * (overlap_of(o, state) / o.p[:, None, None]) - y


def overlap_of(o, state):
    """b·β = c₀b·β₀ - g·a + ρ|b|²."""
    _, c0, rho, a, _ = parts_of(state)
    b_beta, bb = (v[:, None, None] for v in (o.b_beta, o.bb))
    return c0 * b_beta - (a * o.g[:, None]).sum(-1, keepdims=True) + rho * bb
