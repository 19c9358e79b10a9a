"""Plots of discrete steps: errors against their size, spectra, the edge of stability, drift."""

import numpy as np

from .flows import TIME, axes, finished


def compared(comparison, ax=None):
    """Distance from the flow of each order against the step size, with its observed order."""
    ax = axes(ax)
    for order, errors in comparison.errors.items():
        shown = np.where(errors > 0, errors, np.nan)
        try:
            label = f"order {order}: slope {comparison.observed(order):.2f}"
        except ValueError:
            label = f"order {order}: none claimed"
        ax.loglog(comparison.etas, shown, "o-", ms=4, label=label)
    crossed = " (kinks crossed)" * comparison.crossed
    ax.set_xticks(comparison.etas, [f"{eta:.3g}" for eta in comparison.etas])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("step size η")
    ax.set_ylabel(f"|steps − flow| at t = {comparison.T:g}{crossed}")
    ax.legend(frameon=False, fontsize="small")
    return ax


def spectrum(stability, eta=None, ax=None):
    """ηλ in the complex plane with the region where steps are stable; `eta` is η* by default.

    The region is the disk |1 + ηλ| < 1, with momentum the ellipse about -(1 + β) of half axes 1 + β
    and 1 - β.
    """
    ax, beta = axes(ax), stability.momentum
    eta = stability.eta if eta is None else eta
    if not np.isfinite(eta):
        raise ValueError("No mode decays, so that there is no η* to draw; give eta=.")
    turn = np.linspace(0, 2 * np.pi, 400)
    edge = (1 + beta) * (np.cos(turn) - 1), (1 - beta) * np.sin(turn)
    ax.fill(*edge, color="0.92", label="stable")
    ax.plot(*edge, color="0.5", lw=1)
    scaled = eta * stability.values
    grows = np.abs(stability.factors(eta)) > 1 + 1e-9
    for part, style, what in [(~grows, "C0.", "decay"), (grows, "C3x", "grow")]:
        if part.any():
            ax.plot(*_parts(scaled[part]), style, label=f"{part.sum()} modes that {what}")
    if np.isfinite(stability.eta):
        ax.plot(*_parts(eta * np.array([stability.critical])), "ko", mfc="none", label="critical")
    ax.axhline(0, color="0.8", lw=0.5)
    ax.axvline(0, color="0.8", lw=0.5)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("Re ηλ")
    ax.set_ylabel("Im ηλ")
    ball = f", β = {beta:g}" * bool(beta)
    ax.set_title(f"η = {eta:.4g}{ball}", fontsize="medium")
    # below the axes, for inside it would hide modes, and its grey patch in the grey region itself
    ax.legend(
        frameon=False, fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15)
    )
    return ax


def edge(times, found, eta=None, ax=None):
    """η* along a run, as `stability_along` gives it, and 2/ρ(J); the step size `eta` is dashed."""
    ax = axes(ax)
    above = ", at some times an upper bound" * any(one.note for one in found)
    ax.semilogy(times, [one.eta for one in found], "C0.-", label=f"η*{above}")
    ax.semilogy(times, [one.naive for one in found], "C1.:", label="2/ρ(J)")
    if eta is not None:
        ax.axhline(eta, color="k", ls="--", lw=1, label=f"η = {eta:g}")
    ax.set_ylabel("step size")
    return finished(ax, "step size")


def law_of_steps(drift, ax=None):
    """What steps did to a law since the start, its norm: seen, predicted, and to leading order."""
    ax = axes(ax)
    flat = lambda change: np.linalg.norm(change.reshape(len(change), -1), axis=1)
    seen = np.concatenate([np.zeros_like(drift.seen[:1]), np.cumsum(drift.seen, axis=0)])
    ax.plot(drift.ts, flat(seen), "C0", lw=3, alpha=0.5, label="seen")
    ax.plot(drift.ts, flat(drift.cumulative), "k", lw=1, label="predicted, exact")
    if drift.integral is not None:
        ax.plot(drift.ts, flat(drift.integral), "C1--", label="leading order")
    ax.set_xlabel(TIME)
    return finished(ax, "|law − law(0)|")


def _parts(values):
    return values.real, values.imag
