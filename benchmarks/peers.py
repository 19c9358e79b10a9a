"""What flows are timed against: SciPy used plainly, plain diffrax, torchdiffeq, the products alone.

The field is written here for each of them as its users would, for matrix factorisation
dW = F(Y - ZW), dZ = (Y - ZW)Wᵀ with F = B (feedback alignment) or Zᵀ (gradient descent).
"""

import os
import time
from typing import Any, NamedTuple

import numpy as np

if hasattr(os, "sched_setaffinity"):  # one core for all: XLA has threads of its own
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def problem(n, m, r, kind="FA", seed=0, rank=None, scale=0.3):
    """(Y, B or None, (W, Z)) of a factorisation; rank: of Y, full if not given."""
    rng = np.random.default_rng(seed)
    if rank is None:
        Y = rng.standard_normal((n, m)) / np.sqrt(n + m)
    else:
        Y = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m)) / np.sqrt(n * m)
    B = rng.standard_normal((r, n)) / np.sqrt(n) if kind == "FA" else None
    W = scale * rng.standard_normal((r, m)) / np.sqrt(m)
    return Y, B, (W, scale * rng.standard_normal((n, r)) / np.sqrt(r))


def products(Y, B, w, times):
    """The matrix products of so many velocities, and nothing else."""
    W, Z = w
    F, E = (Z.T if B is None else B), Y
    for _ in range(times):
        Z @ W, F @ E, E @ W.T


def by_scipy(Y, B, w, ends, rtol, method="DOP853"):
    """(final state, evaluations) by ``solve_ivp``."""
    from scipy.integrate import solve_ivp

    (W, Z), cut = w, w[0].size

    def field(t, y):
        W1, Z1 = y[:cut].reshape(W.shape), y[cut:].reshape(Z.shape)
        E = Y - Z1 @ W1
        return np.concatenate([((Z1.T if B is None else B) @ E).ravel(), (E @ W1.T).ravel()])

    y0 = np.concatenate([W.ravel(), Z.ravel()])
    out = solve_ivp(field, ends, y0, method, rtol=rtol, atol=rtol / 1000)
    y = out.y[:, -1]
    return (y[:cut].reshape(W.shape), y[cut:].reshape(Z.shape)), out.nfev


def by_diffrax(Y, B, w, ends, rtol, solver="Tsit5"):
    """A function that runs ``diffeqsolve``, compiled once, as its users write it."""
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def field(t, y, args):
        W, Z = y
        Y, B = args
        E = Y - Z @ W
        return (Z.T if B is None else B) @ E, E @ W.T

    @jax.jit
    def solve(w, args, t1, rtol):
        out = dfx.diffeqsolve(
            dfx.ODETerm(field),
            getattr(dfx, solver)(),
            0.0,
            t1,
            None,
            w,
            args=args,
            stepsize_controller=dfx.PIDController(rtol=rtol, atol=rtol / 1000),
            max_steps=1_000_000,
        )
        return out.ys, out.stats["num_steps"]

    given = jax.tree.map(jnp.asarray, (w, (Y, B), float(ends[1]), float(rtol)))

    def run():
        ys, steps = jax.block_until_ready(solve(*given))
        return tuple(np.asarray(V[-1]) for V in ys), int(steps)

    return run


def by_torchdiffeq(Y, B, w, ends, rtol, method="dopri5"):
    """A function that runs ``torchdiffeq.odeint``, or None where it is not installed."""
    try:
        import torch
        from torchdiffeq import odeint
    except ImportError:
        return None
    torch.set_num_threads(1)
    tensor = lambda M: torch.tensor(M, dtype=torch.float64)
    Yt, Bt = tensor(Y), None if B is None else tensor(B)

    def field(t, y):
        W, Z = y
        E = Yt - Z @ W
        return (Z.T if Bt is None else Bt) @ E, E @ W.T

    start, ts = tuple(map(tensor, w)), tensor(np.array(ends, dtype=float))

    def run():
        with torch.no_grad():
            out = odeint(field, start, ts, rtol=rtol, atol=rtol / 1000, method=method)
        return tuple(V[-1].numpy() for V in out), None

    return run


class Timed(NamedTuple):
    """Seconds of each turn, a median where it was run more than once, and what it returned last."""

    turns: np.ndarray
    result: Any

    def over(self, other):
        """Its time over another's: the median of the ratios of turns, which a slow spell spares."""
        return float(np.median(self.turns / other.turns))

    ms = property(lambda self: f"{1e3 * np.median(self.turns):.3g}")


def interleaved(runs, repeats, seconds=60):
    """{name: Timed}: each once for nothing, then in turn.

    A turn of what takes less than 20 ms is five runs of it, the first to warm it up.
    """
    results = {name: run() for name, run in runs.items()}
    seen = {name: [] for name in runs}
    began = time.perf_counter()
    for _ in range(repeats):
        for name, run in runs.items():
            times = []
            while not times or (len(times) < 5 and times[0] < 0.02):
                start = time.perf_counter()
                results[name] = run()
                times.append(time.perf_counter() - start)
            seen[name].append(np.median(times[1:] or times))
        if time.perf_counter() - began > seconds:
            break
    return {name: Timed(np.array(seen[name]), results[name]) for name in runs}


def far(one, other):
    """The largest difference of two states, each matrix relative to its largest entry."""
    both = zip(one, other, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in both)


def table(columns, rows):
    """Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
