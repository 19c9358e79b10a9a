"""Two-layer students of two-layer teachers on Gaussian inputs, averaged over all of them.

A student Σ v_i g(w_i·x) learns from a teacher Σ a_m g(u_m·x), x ~ N(0, I), by the squared loss
averaged over x, with fixed feedback F in place of v (feedback alignment, which is direct with one
hidden layer) or with v itself (gradient descent).  With g = erf(·/√2) the averages close on the
order parameters Q = wwᵀ, R = wuᵀ, T = uuᵀ and v [1]_ [2]_; with ReLU they are arc-cosine kernels
of the weights [3]_.  Small learning rates: the flow, without the noise of single samples.

.. [1] D. Saad & S. Solla, "On-line learning in soft committee machines", Phys. Rev. E 52, 1995.
.. [2] M. Refinetti, S. d'Ascoli, R. Ohana & S. Goldt, "Align, then memorise: the dynamics of
   learning with feedback alignment", ICML 2021; their code gives the equations with this feedback.
.. [3] Y. Cho & L. Saul, "Kernel methods for deep learning", NeurIPS 2009.
"""

from dataclasses import dataclass

import numpy as np

from .flow.checks import times
from .nets import matrix
from .solution import Unfinished


@dataclass(frozen=True)
class Learned:
    """What a student has come to at each time of `ts`, in units of 1/learning rate.

    v: output weights, (times, …, K).  loss: the squared loss, halved, averaged over x, (times, …).
    overlaps: Q (times, K, K) and R (times, K, M) of an erf student; of a ReLU student its weights,
    (times, …, K, d).
    """

    ts: np.ndarray
    v: np.ndarray
    loss: np.ndarray
    overlaps: tuple


def output_average(C, a, b):
    """E[g(λ_a) g(λ_b)] for g = erf(·/√2) and centred Gaussian fields λ of covariance C."""
    return 2 / np.pi * np.arcsin(C[a, b] / np.sqrt((1 + C[a, a]) * (1 + C[b, b])))


def field_average(C, a, b, c):
    """E[g'(λ_a) λ_b g(λ_c)] for g = erf(·/√2) and centred Gaussian fields λ of covariance C."""
    above = C[b, c] * (1 + C[a, a]) - C[a, b] * C[a, c]
    root = np.sqrt((1 + C[a, a]) * (1 + C[c, c]) - C[a, c] ** 2)
    return 2 / np.pi * above / ((1 + C[a, a]) * root)


def erf_rates(Q, R, T, v, a, F=None):
    """dQ/dt, dR/dt, dv/dt and the loss of an erf student.

    Q: (K, K), R: (K, M), T: (M, M), v: (K,), a: (M,).  F: (K,), fixed feedback; None feeds back v,
    as gradient descent does.
    """
    K = len(v)
    C = np.block([[Q, R], [R.T, T]])
    coefficients = np.concatenate([-v, a])
    fields = np.arange(len(C))
    told = v if F is None else F
    i, k, c = np.ix_(fields[:K], fields, fields)
    pulls = told[:, None] * np.sum(coefficients * field_average(C, i, k, c), axis=2)
    outputs = output_average(C, fields[:, None], fields)
    dQ = pulls[:, :K] + pulls[:, :K].T
    loss = coefficients @ outputs @ coefficients / 2
    return dQ, pulls[:, K:], outputs[:K] @ coefficients, loss


def erf_flow(w, v, u, a, ts, F=None, *, rtol=1e-8, atol=1e-10):
    """The flow of an erf student's order parameters; returns `Learned`.

    w: (K, d) and v: (K,), the student at ``ts[0]``; u: (M, d) and a: (M,), the teacher; ts:
    (times,), increasing.  F: (K,), fixed feedback, or None for gradient descent.
    Raises ValueError for shapes that do not fit, `Unfinished` with what was reached as
    ``.solution`` if the solver stops before the end.
    """
    from scipy.integrate import solve_ivp

    w, v, u, a, F = _problem(w, v, u, a, F)
    ts = times(ts)
    K, M, T = len(v), len(a), u @ u.T
    cut = (K * K, K * K + K * M)

    def split(y):
        Q, R, v = np.split(y, cut)
        return Q.reshape(K, K), R.reshape(K, M), v

    def velocity(_, y):
        Q, R, v = split(y)
        dQ, dR, dv, _ = erf_rates(Q, R, T, v, a, F)
        return np.concatenate([dQ.ravel(), dR.ravel(), dv])

    y0 = np.concatenate([(w @ w.T).ravel(), (w @ u.T).ravel(), v])
    found = solve_ivp(velocity, ts[[0, -1]], y0, "LSODA", t_eval=ts, rtol=rtol, atol=atol)
    states = [split(y) for y in found.y.T]
    Q, R, v = (np.stack(part) for part in zip(*states, strict=True))
    loss = [erf_rates(*state[:2], T, state[2], a, F)[3] for state in states]
    learned = Learned(ts[: len(v)], v, np.array(loss), (Q, R))
    if not found.success:
        _stop(f"The flow stopped after t = {learned.ts[-1]:g}: {found.message}", learned)
    return learned


def relu_rates(w, v, u, a, F=None):
    """dw/dt, dv/dt and the loss of a ReLU student; leading axes are students of their own.

    w: (…, K, d), v: (…, K), u: (M, d), a: (M,), F: (…, K) or None for gradient descent.
    """
    both = np.concatenate([w, np.broadcast_to(u, (*w.shape[:-2], *u.shape))], axis=-2)
    coefficients = np.concatenate([-v, np.broadcast_to(a, (*v.shape[:-1], *a.shape))], axis=-1)
    sizes = np.linalg.norm(both, axis=-1)
    units = both / np.maximum(sizes, np.finfo(float).tiny)[..., None]
    cosines = np.clip(units @ units.swapaxes(-1, -2), -1, 1)
    angles = np.arccos(cosines)
    sines = np.sqrt(1 - cosines**2)
    kernel = (sines + (np.pi - angles) * cosines) / (2 * np.pi)
    kernel = kernel * sizes[..., :, None] * sizes[..., None, :]
    K = v.shape[-1]
    told = v if F is None else F
    # E[1(w·x > 0) relu(u·x) x] = ((π - φ)u + |u| sin φ ŵ) / 2π
    weigh = coefficients[..., None, :] * (np.pi - angles[..., :K, :])
    along = np.sum(coefficients[..., None, :] * sizes[..., None, :] * sines[..., :K, :], axis=-1)
    pulls = (weigh @ both + along[..., None] * units[..., :K, :]) / (2 * np.pi)
    dv = np.sum(kernel[..., :K, :] * coefficients[..., None, :], axis=-1)
    loss = np.einsum("...i,...ij,...j", coefficients, kernel, coefficients) / 2
    return told[..., None] * pulls, dv, loss


def relu_flow(w, v, u, a, ts, F=None, *, step=0.05):
    """The flow of ReLU students' weights, by fixed steps; returns `Learned`.

    w: (…, K, d) and v: (…, K), students at ``ts[0]``, each on its own; u: (M, d) and a: (M,), the
    teacher; ts: (times,), increasing.  F: (…, K), or None for gradient descent.  step: of the
    midpoint rule, of second order; units that die have a singular direction, on which error
    control would creep.
    Raises ValueError for shapes that do not fit, `Unfinished` with what was reached as
    ``.solution`` if the weights overflow.
    """
    w, v, u, a, F = _problem(w, v, u, a, F)
    ts = times(ts)
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step must be a positive number, but is {step!r}.")
    kept = [(w, v)]
    for span in np.diff(ts):
        number = int(np.ceil(span / step - 1e-9))
        h = span / number
        for _ in range(number):
            dw, dv, _ = relu_rates(w, v, u, a, F)
            dw, dv, _ = relu_rates(w + h / 2 * dw, v + h / 2 * dv, u, a, F)
            w, v = w + h * dw, v + h * dv
        if not (np.isfinite(w).all() and np.isfinite(v).all()):
            break
        kept.append((w, v))
    w, v = (np.stack(part) for part in zip(*kept, strict=True))
    learned = Learned(ts[: len(kept)], v, relu_rates(w, v, u, a, F)[2], (w,))
    if len(kept) < len(ts):
        _stop(f"The weights overflow before t = {ts[len(kept)]:g}; take smaller steps.", learned)
    return learned


def _stop(why, learned):
    stop = Unfinished(why)
    stop.solution = learned
    raise stop


def _problem(w, v, u, a, F):
    """Students and teacher as float arrays whose shapes fit."""
    w, v, a = (np.asarray(part, dtype=float) for part in (w, v, a))
    u = matrix(u, "The teacher's u")
    F = None if F is None else np.asarray(F, dtype=float)
    if w.ndim < 2 or v.shape != w.shape[:-1]:
        raise ValueError(f"w must be (…, K, d) and v (…, K), but are {w.shape} and {v.shape}.")
    if u.shape[1] != w.shape[-1] or a.shape != (len(u),):
        raise ValueError(
            f"u must be (M, {w.shape[-1]}) and a (M,) for students of {w.shape[-1]} inputs, but"
            f" are {u.shape} and {a.shape}."
        )
    if F is not None and F.shape != v.shape:
        raise ValueError(f"F must have the shape of v, {v.shape}, but is {F.shape}.")
    for name, part in (("w", w), ("v", v), ("a", a), ("F", F)):
        if part is not None and not np.isfinite(part).all():
            raise ValueError(f"{name} must be finite numbers.")
    return w, v, u, a, F
