"""What it costs to keep conserved quantities to rounding, and what they drift by without.

    OMP_NUM_THREADS=1 python benchmarks/keep.py

"cost" is the time over that of the same run without; "away" what steps left the law by before they
went back; "drift" its largest change at the times asked for.
"""

import numpy as np
from peers import interleaved, problem, table

import faflow as ff

SIZES = {(20, 20, 5): 60.0, (100, 80, 20): 100.0, (500, 400, 50): 20.0}


def main():
    rows = []
    for size, end in SIZES.items():
        for kind in ("FA", "GD"):
            Y, B, w = problem(*size, kind)
            rule, task = (ff.FA((B,)) if kind == "FA" else ff.GD()), ff.Task.factorisation(Y)
            for solver in ("dop853", "tsit5"):

                def run(keep, rule=rule, task=task, w=w, end=end, solver=solver):
                    control = {"solver": solver, "rtol": 1e-6, "atol": 1e-9, "max_steps": None}
                    ts = np.linspace(0, end, 11)
                    return ff.integrate(rule, task, w, ts, keep=keep, reduce="none", **control)

                keeps = (None, "monitor", "all")
                made = interleaved({keep: lambda keep=keep: run(keep) for keep in keeps}, 9)
                for keep in ("monitor", "all"):
                    sol = made[keep].result
                    largest = lambda what: f"{max(what.values()):.0e}"
                    name = f"{kind} {size[0]}x{size[1]}, {size[2]}", solver, keep
                    away = largest(sol.made["away"]) if keep == "all" else ""
                    cost = f"{made[keep].over(made[None]):.2f}"
                    rows.append((*name, cost, away, largest(sol.made["drift"])))
    print(table(("flow", "solver", "keep", "cost", "away", "drift"), rows))


if __name__ == "__main__":
    main()
