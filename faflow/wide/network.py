"""Two-layer networks of width p, their kernels, and what the kernels tend to."""

from numbers import Integral

import numpy as np

from ..activations import activation
from ..draws import generator
from ..losses import squared
from ..nets import Task, forward, matrix
from ..rules import FA, Piecewise

QUADRATURE = 1e-8
"""How far quadratures of two step sizes may differ in an entry of a kernel."""


def problem(X, y, W, beta, b, phi="linear", *, penalty=0):
    """(rule, task, w0) of the network with these parameters.

    X: (d, n), one sample a column; y: (n,); W: (p, d); beta and b: (p,).
    phi: activation, by name or as an `Activation`.
    penalty: λ on beta, a number or a `Piecewise` in time.
    Raises ValueError for shapes that do not fit.
    """
    W, y, beta, b = matrix(W, "W"), row(y, "y"), row(beta, "beta"), row(b, "b")
    p, root = len(W), np.sqrt(len(W))
    if not beta.shape == b.shape == (1, p):
        raise ValueError(
            f"beta and b must have one entry a row of W {W.shape}, but have {beta.size}, {b.size}."
        )
    return (
        FA((b.T / root,), rates=(1, 1 / p), decay=(0, penalty)),
        Task(X, y, phi),
        (W, beta / root),
    )


def row(vector, name):
    vector = np.asarray(vector)
    if vector.ndim != 1:
        raise ValueError(f"{name} must have one axis, but its shape is {vector.shape}.")
    return matrix(vector[None], name)


def drawn(X, y, p, phi="linear", *, penalty=0, correlation=0, seed=0):
    """`problem` of width p with Gaussian W, beta and b.

    correlation: c of b = c·beta + √(1 - c²)·(fresh Gaussian); the paper has 0.
    """
    if not (isinstance(p, Integral) and p > 0):
        raise ValueError(f"The width p must be a positive integer, but is {p!r}.")
    if not (isinstance(correlation, int | float | np.number) and abs(correlation) <= 1):
        raise ValueError(f"correlation must be from -1 to 1, but is {correlation!r}.")
    rng = generator(seed, "wide")
    W = rng.standard_normal((p, len(X)))
    beta, fresh = rng.standard_normal((2, p))
    b = correlation * beta + np.sqrt(1 - correlation**2) * fresh
    return problem(X, y, W, beta, b, phi, penalty=penalty)


def from_mean_loss(eta, penalty, samples):
    """(step size, penalty) for the summed loss |e|²/2, of a code that averages e² over samples.

    Its gradient has the factor 2/samples; the products of step size and penalty are the same.
    """
    return 2 * eta / samples, penalty * samples / 2


# Kernels and the error


def kernels(rule, task, w):
    """G and H, (n, n) each, of de/dt = -(G + H + λ)e - λy at the state `w`: the layers' shares.

    G = ψᵀψ/p with ψ = ψ(WX) comes from the last layer and is positive semidefinite;
    H = XᵀX ∘ ψ'ᵀ diag(β∘b/p) ψ' comes from the first and need not be.
    Raises ValueError unless there are two layers, one output and no biases.
    """
    if len(w) != 2 or len(task.Y) != 1 or task.bias or task.output_scale != 1:
        raise ValueError("These kernels are of two layers without biases, with one output.")
    hidden, (_, active), _ = forward(task, w)
    slope = task.activation(0).pull(hidden[0], np.ones_like(hidden[0]))
    carried = rule.carry(w, 0, np.eye(1), np.eye(1))
    G = rule.rate(1) * active.T @ active
    return G, rule.rate(0) * (task.X.T @ task.X) * (slope.T @ (w[1].T * carried * slope))


def error_rate(rule, task, w):
    """de/dt = -(G + H + λ)e - λy, (n,), of the error e = f - y: exact at every width.

    f is linear in beta, so that the penalty adds -λf.  Of a penalty piecewise in time take
    ``rule.at(t)``.  Raises ValueError for a penalty on the first layer, or another loss.
    """
    first, penalty = decays_of(rule)
    if first != 0 or isinstance(penalty, Piecewise):
        raise ValueError(f"The penalty must be a number, on beta alone, not {rule.decay!r}.")
    if task.loss is not squared:
        raise ValueError(
            f"The error obeys this for the squared loss, not the {task.loss.name} one."
        )
    G, H = kernels(rule, task, w)
    y = task.Y[0]
    e = forward(task, w)[2][0] - y
    return -(G + H) @ e - penalty * (e + y)


def residual(rule, w, *, target):
    """Y - W₂W₁, (d_out, d_in), of a linear network and a linear teacher: -e = (Y - W₂W₁)X."""
    return target - w[1] @ w[0]


def residual_rate(rule, w, *, target, covariance):
    """The rate of `residual` under FA with a penalty on the last layer: `error_rate` without X.

    covariance: XXᵀ, (d_in, d_in).
    """
    left = (target - w[1] @ w[0]) @ covariance
    moved = rule.rate(1) * (left @ w[0].T @ w[0]) + rule.rate(0) * (w[1] @ rule.B[0] @ left)
    return decays_of(rule)[1] * (w[1] @ w[0]) - moved


def decays_of(rule):
    decay = rule.decay
    return decay if isinstance(decay, tuple) and not isinstance(decay, Piecewise) else (decay,) * 2


def limit_kernel(X, phi):
    """E ψ(w·xᵢ)ψ(w·xⱼ) over Gaussian w, (n, n): what G tends to at the start of a wide network.

    X: (d, n).  In closed form for erf and piecewise linear activations (Cho & Saul 2009, Williams
    1998), else by quadrature; raises ValueError where that does not converge.
    """
    X, phi = matrix(X, "X"), activation(phi)
    K = X.T @ X
    size = np.sqrt(np.diagonal(K))
    if not size.all():
        raise ValueError("The limit kernel needs inputs other than zero.")
    cosine = np.clip(K / np.outer(size, size), -1, 1)
    if phi.degree == 1:
        high, low = phi.f(np.array([[1.0]])).item(), -phi.f(np.array([[-1.0]])).item()
        angle = np.arccos(cosine)
        relu = (np.sin(angle) + (np.pi - angle) * cosine) * np.outer(size, size) / (2 * np.pi)
        return (high - low) ** 2 * relu + high * low * K
    if phi.name == "erf":
        return 2 / np.pi * np.arcsin(2 * K / np.sqrt(np.outer(*[1 + 2 * size**2] * 2)))
    rough, fine = (_by_trapezoids(phi.f, size, cosine, step) for step in (0.1, 0.05))
    if np.abs(fine - rough).max() > QUADRATURE:
        raise ValueError(
            f"The kernel of {phi.name} is found to {np.abs(fine - rough).max():.0e} only, for"
            f" inputs of norm {size.max():.3g}; it needs a smooth activation and small inputs."
        )
    return fine


def _by_trapezoids(f, size, cosine, step):
    """Sums over a grid, exponentially right for analytic functions under a Gaussian."""
    z = np.arange(-9, 9 + step / 2, step)  # beyond it the Gaussian is below 1e-17
    weights = np.exp(-(z**2) / 2)
    weights /= weights.sum()
    K = np.empty_like(cosine)
    for i, j in zip(*np.triu_indices(len(size)), strict=True):
        rho = cosine[i, j]
        other = size[j] * (rho * z[:, None] + np.sqrt(1 - rho**2) * z)
        K[i, j] = K[j, i] = weights * f(size[i] * z) @ f(other) @ weights
    return K


def gamma(X, phi):
    """The least eigenvalue of `limit_kernel`, the rate at which a wide network learns at least."""
    return float(np.linalg.eigvalsh(limit_kernel(X, phi))[0])


def piecewise(penalty):
    """A penalty as a `Piecewise`; raises ValueError as a rule does for its decay."""
    penalty = FA(decay=penalty).decay
    return penalty if isinstance(penalty, Piecewise) else Piecewise((), (penalty,))
