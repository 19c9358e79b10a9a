"""Chu & Bacho 2023, on eigenvalue alignment under feedback alignment (arXiv:2306.02325).

Only the abstract was read.  A linear network y = WAx with A (h, i), W (o, h) and feedback B (h, o),
white inputs: dW/dt = EAᵀ, dA/dt = BE, E = T - WA.  In faflow's order the weights are (A, W).
"""

import numpy as np
from scipy.linalg import eig

import faflow as ff
from faflow.plot import TIME, panels
from faflow.testing import GradientInstead

FLOOR = 1e-17


def rest(seed, eigenvalues, gain=1.0, i=6, h=3, o=2):
    """A point of zero loss with WB = V diag(eigenvalues) V⁻¹ and A of size `gain`."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((o, h))
    V = np.eye(o) + 0.5 * rng.standard_normal((o, o))
    middle = np.diag(eigenvalues)
    if np.iscomplexobj(middle):  # given as (a, bi) for the pair a ± bi
        a, b = eigenvalues[0], eigenvalues[1].imag
        middle = np.array([[a, -b], [b, a]])
    wanted = V @ middle @ np.linalg.inv(V)
    B = np.linalg.pinv(W) @ wanted  # W B = wanted, since W has full row rank
    A = gain * rng.standard_normal((h, i)) / np.sqrt(i)
    return ff.Task.factorisation(W @ A), ff.FA((B,)), (A, W)


def spectrum(rule, w):
    """-(λ_i(AᵀA) + μ_j(WB)): what the error obeys near the point."""
    A, W = w
    return -np.add.outer(np.linalg.eigvalsh(A.T @ A), np.linalg.eigvals(W @ rule.B[0])).ravel()


def error_matrix(task, rule, w):
    """The linear map dE/dt of a small E at the point, by the rule's own velocity."""
    A, W = w
    o, i = task.Y.shape
    columns = []
    for e in np.eye(o * i):
        E = 1e-6 * e.reshape(o, i)
        moved = ff.Task.factorisation(W @ A + E)
        dA, dW = rule(moved, w)
        columns.append(-(dW @ A + W @ dA).ravel() / 1e-6)
    return np.array(columns).T


def fitted(task, rule, w, top):
    """The rate at which a small error along the top mode changes, in a time of 2/|rate|."""
    values, left, right = eig(error_matrix(task, rule, w), left=True)
    k = int(np.argmax(values.real))
    E = 1e-8 * np.real(right[:, k]).reshape(task.Y.shape)
    moved = ff.Task.factorisation(w[1] @ w[0] + E)
    T = 2 / max(abs(top), 0.05)
    sol = ff.integrate(rule, moved, w, [0, T], rtol=1e-12, atol=1e-16)
    errors = [(moved.Y - sol.w[1][n] @ sol.w[0][n]).ravel() for n in (0, 1)]
    shares = [abs(left[:, k].conj() @ e) for e in errors]
    return np.log(shares[1] / shares[0]) / T


CASES = {
    "aligned, i > h": ((0.5, 0.8), 1.0, 6),
    "one anti-aligned, i > h": ((-0.3, 0.8), 1.0, 6),
    "a complex pair, aligned": ((0.4, 1.1j), 1.0, 6),
    "a complex pair, anti-aligned": ((-0.2, 1.1j), 1.0, 6),
    "one anti-aligned, i ≤ h": ((-0.3, 0.8), 4.0, 2),
}


def eigenvalue_alignment(check, kind=ff.FA):
    spectra, rates, signs = [], [], []
    seeds = check.tier(quick=3, full=10)
    for eigenvalues, gain, i in CASES.values():
        for seed in range(seeds):
            task, rule, w = rest(seed, eigenvalues, gain, i)
            said = spectrum(rule, w)
            found = np.linalg.eigvals(error_matrix(task, kind(rule.B), w))
            nearest = [np.min(np.abs(found - s)) for s in said]
            spectra.append(np.max(nearest) / np.max(np.abs(said)))
            top = np.max(said.real)
            seen = fitted(task, kind(rule.B), w, top)
            rates.append(abs(seen - top) / max(abs(top), 0.05))
            signs.append((seen > 0) != (top > 0))
    on = f"{len(CASES)} cases of WB's eigenvalues, o, h = 2, 3, i = 6 and 2, seeds 0-{seeds - 1}"
    value = max(spectra) if not check.control else min(spectra)
    check.at_most(
        "distance of -(λ_i(AᵀA) + μ_j(WB)) from the spectrum", value, 1e-8, fall=1e-3, on=on
    )
    value = max(rates) if not check.control else np.mean(rates)
    check.at_most("|rate along the flow - predicted|, relative", value, 0.02, fall=0.3, on=on)
    check.at_most("share of wrong signs", np.mean(signs), 0.0, fall=0.15, on=on)


def perturbed(kind, eigenvalues, seed=0, T=20.0):
    """|E| along a flow that starts with a small error at such a point."""
    task, rule, w = rest(seed, eigenvalues)
    E = 1e-5 * np.random.default_rng(1).standard_normal(task.Y.shape)
    moved = ff.Task.factorisation(w[1] @ w[0] + E)
    sol = ff.integrate(kind(rule.B), moved, w, np.linspace(0, T, 101), rtol=1e-12, atol=1e-16)
    return sol.ts, np.linalg.norm(moved.Y - sol.w[1] @ sol.w[0], axis=(1, 2))


def claim_eigenvalue_alignment(check):
    r"""At zero loss FA is stable iff all $\operatorname{Re}\mu(WB) > -\lambda_{\min}(A^\top A)$.

    $$ \dot E = -(E A^\top A + W B E)\quad\Rightarrow\quad
       \operatorname{Re}\mu_j(WB) + \lambda_{\min}(A^\top A) > 0 \text{ for all } j $$

    for all eigenvalues $\mu_j$ of $WB$: $E$ then decays to first order.  With the opposite strict
    sign for one of them some error grows, and equality decides nothing.  If there are more inputs
    than hidden units, $\lambda_{\min}(A^\top A) = 0$ and the criterion is that of the paper: all
    eigenvalues of $WB$ have positive real parts.  With no more inputs than hidden units an
    anti-aligned eigenvalue can be stable.  Compared with the linear map of the rule's own velocity
    and with rates along flows.

    Assumes: zero loss; white inputs; no fewer hidden units than outputs; no sum is zero.
    Source: eigenvalue alignment in Chu & Bacho (2023), abstract; the statement with λ_min(AᵀA) is
    derived in this project.
    Class: derived
    """
    eigenvalue_alignment(check)
    fig, ax = panels()
    for kind, eigenvalues, color, label in (
        (ff.FA, (0.5, 0.8), "C0", "FA, μ = .5, .8"),
        (ff.FA, (-0.3, 0.8), "C1", "FA, μ = −.3, .8"),
        (GradientInstead, (-0.3, 0.8), "C3", "control: gradient descent, same point"),
    ):
        ts, errors = perturbed(kind, eigenvalues)
        ax.semilogy(ts, errors + FLOOR, color, label=label)
    ts, errors = perturbed(ff.FA, (-0.3, 0.8))
    ax.semilogy(ts, errors[40] * np.exp(0.3 * (ts - ts[40])), "k--", lw=1, label="rates −.5, +.3")
    ts, errors = perturbed(ff.FA, (0.5, 0.8))
    ax.semilogy(ts, errors[40] * np.exp(-0.5 * (ts - ts[40])), "k--", lw=1)
    ax.set(xlabel=TIME, ylabel="|E|", ylim=(1e-12, 1e2))
    ax.legend(fontsize=8)
    check.figure(fig, "A small error near points of zero loss, i = 6 inputs, h = 3 hidden units.")


def control_eigenvalue_alignment_gradient_descent(check):
    """The error returns through Wᵀ, from the same points."""
    eigenvalue_alignment(check, GradientInstead)


# Cosine alignment is not needed


def skewed(seed, skew, last=0.5):
    """A point where WB = [[½, skew], [0, last]]: sym(WB) is indefinite if skewed enough."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((2, 3))
    B = np.linalg.pinv(W) @ np.array([[0.5, skew], [0, last]])
    A = rng.standard_normal((3, 6)) / np.sqrt(6)
    return ff.Task.factorisation(W @ A), ff.FA((B,)), (A, W)


def cosine_not_needed(check, skew=4.0, last=0.5):
    worst, least = [], []
    for seed in range(8):
        task, rule, w = skewed(seed, skew, last)
        worst.append(np.max(np.linalg.eigvals(error_matrix(task, rule, w)).real))
        product = w[1] @ rule.B[0]
        least.append(np.linalg.eigvalsh((product + product.T) / 2)[0])
    on = f"o, h, i = 2, 3, 6, eigenvalues of WB ½ and {last:g}, seeds 0-7"
    if last > 0:
        check.at_most("least eigenvalue of sym(WB)", np.max(least), -1.0, fall=0.0, on=on)
    if skew:
        check.at_most("largest real part of the spectrum", np.max(worst), -0.49, fall=0.1, on=on)
    return least, worst


def claim_cosine_not_needed(check):
    r"""Alignment of $W$ with $B^\top$ in angle is sufficient for stability, not necessary.

    $WB$ may have positive eigenvalues while its symmetric part has a negative one, so that $E^\top
    WBE < 0$ for some $E$, and the point of zero loss is stable all the same.

    Assumes: zero loss; white inputs; an example is enough.
    Source: derived in this project, of Chu & Bacho (2023), abstract.
    Class: derived
    """
    cosine_not_needed(check)
    skews = np.linspace(0, 4, 21)
    least = [np.max(cosine_not_needed(type(check)(), s)[0]) for s in skews]
    worst = [np.max(cosine_not_needed(type(check)(), s)[1]) for s in skews]
    fig, ax = panels()
    ax.plot(skews, worst, "C0o-", ms=3, label="largest real part of the spectrum")
    ax.plot(skews, least, "C1s-", ms=3, label="least eigenvalue of sym(WB)")
    ax.plot(skews, 0.5 - skews / 2, "k--", lw=1, label="½ − skew/2")
    ax.plot(0, least[0], "C3v", ms=8, label="control: symmetric WB")
    ax.axhline(0, color="0.5", lw=0.8)
    ax.set(xlabel="skew of WB", ylabel="eigenvalue (learning rate)")
    ax.legend(fontsize=8)
    check.figure(fig, "Stable points of zero loss whose alignment in angle fails.")


def control_cosine_not_needed_symmetric(check):
    """WB symmetric: positive eigenvalues are then alignment in angle."""
    cosine_not_needed(check, skew=0.0)


def control_cosine_not_needed_negative_eigenvalue(check):
    """An eigenvalue of WB is -½: the point is not stable."""
    cosine_not_needed(check, last=-0.5)
