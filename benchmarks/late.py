"""Late phases of feedback alignment, limited by stability: stabilised methods against DOP853.

    OMP_NUM_THREADS=1 python benchmarks/late.py

Targets of condition number 30, until time 15,000, at which T times the spectral radius is above
20,000; errors are those of the final state, the largest entry, against rtol 1e-12.
"""

import numpy as np
from peers import by_scipy, far, interleaved, table

import faflow as ff

END = 15_000.0


def problem(n=100, m=80, r=20, cond=30, seed=0):
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((k, r)))[0] for k in (n, m))
    B = rng.standard_normal((r, n)) / np.sqrt(n)
    W = 0.1 * rng.standard_normal((r, m)) / np.sqrt(m)
    Z = 0.1 * rng.standard_normal((n, r)) / np.sqrt(r)
    return U * np.geomspace(1, 1 / cond, r) @ V.T, B, (W, Z)


def main():
    Y, B, w = problem()
    rule, task = ff.FA((B,)), ff.Task.factorisation(Y)
    exact, _ = by_scipy(Y, B, w, (0, END), 1e-12)
    rows = []
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10):

        def ours(rtol=rtol, reduce="auto", **more):
            control = {"rtol": rtol, "atol": rtol / 1000, "max_steps": None, "keep": None}
            sol = ff.integrate(rule, task, w, [0, END], reduce=reduce, **(control | more))
            return sol.final, sol.made["evaluations"], sol.made["solver"]

        runs = {
            "SciPy DOP853": lambda rtol=rtol: (*by_scipy(Y, B, w, (0, END), rtol), "DOP853"),
            "faflow": ours,
            "faflow, not reduced": lambda ours=ours: ours(reduce="none"),
            "faflow, diffrax": lambda ours=ours: ours(engine="diffrax"),
            "faflow, rkc2, diffrax": lambda ours=ours: ours(engine="diffrax", solver="rkc2"),
            "faflow, rock4, diffrax": lambda ours=ours: ours(engine="diffrax", solver="rock4"),
        }
        made = interleaved(runs, 3)
        for name, timed in made.items():
            final, spent, solver = timed.result
            faster, error = f"{made['SciPy DOP853'].over(timed):.1f}", f"{far(final, exact):.1e}"
            rows.append((f"{rtol:g}", name, solver, timed.ms, spent, error, faster))
    columns = "rtol", "by", "solver", "ms", "velocities", "error", "faster than SciPy"
    print(table(columns, rows))


if __name__ == "__main__":
    main()
