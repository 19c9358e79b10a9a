"""ReLU networks on digits, whose flows slide along kinks: followed, and by plain solvers.

    OMP_NUM_THREADS=1 python benchmarks/kinks.py

64-16-10, 200 samples, the mean loss, until time 20 at rtol 1e-8.  SciPy's solvers get the seconds
that following took, doubled, and the time they then stand at is told.
"""

import time

import numpy as np
from peers import table

import faflow as ff
from faflow.data import digits
from faflow.derivatives import flat, unflat

END, RTOL = 20.0, 1e-8


def plainly(rule, task, w0, method, seconds):
    """(time reached, evaluations) by SciPy's solver within so many seconds."""
    import scipy.integrate

    solver = getattr(scipy.integrate, method)(
        lambda t, y: flat(rule(task, unflat(y, w0))), 0.0, flat(w0), END, rtol=RTOL, atol=RTOL / 100
    )
    began = time.perf_counter()
    while solver.status == "running" and time.perf_counter() - began < seconds:
        solver.step()
    return solver.t, solver.nfev, time.perf_counter() - began


def main():
    rows, sizes = [], (64, 16, 10)
    task = digits(samples=200).task("relu", loss="cross_entropy")
    for kind in (ff.FA, ff.GD):
        rule = kind.random(sizes, seed=1, rates=1 / task.X.shape[1])
        w0 = rule.start(sizes, seed=2)
        began = time.perf_counter()
        sol = ff.integrate(rule, task, w0, np.linspace(0, END, 11), rtol=RTOL, max_steps=None)
        seconds = time.perf_counter() - began
        drift = f"{max(sol.made['drift'].values()):.0e}"
        met = f"{len(sol.kinks.crossings)} crossings, {len(sol.kinks.stretches)} stretches"
        spent = sol.made["evaluations"]
        rows.append((kind.__name__, "faflow", END, spent, f"{seconds:.1f}", met, drift))
        for method in ("DOP853", "RK45", "RK23"):
            t, spent, took = plainly(rule, task, w0, method, 2 * seconds)
            rows.append(
                (kind.__name__, f"SciPy {method}", f"{t:.3g}", spent, f"{took:.1f}", "", "")
            )
    columns = "rule", "by", "time reached", "velocities", "seconds", "kinks", "drift of the laws"
    print(table(columns, rows))


if __name__ == "__main__":
    main()
