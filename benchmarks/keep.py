"""What it costs to keep conserved quantities to rounding, and what they drift by without.

    OMP_NUM_THREADS=1 python benchmarks/keep.py

"cost" is the time over that of the same run without; "away" what steps left the law by before they
went back; "drift" its largest change at the times asked for.  "a layer's" is one number alone,
½|W₁|² - ⟨W₂, B⟩ or |W₁|² - |W₂|².  Gauss-Legendre steps, which keep quadratic laws by themselves,
are beside DOP853's.
"""

import numpy as np
from peers import interleaved, problem, table

import faflow as ff
from faflow import laws

SIZES = {(20, 20, 5): 60.0, (100, 80, 20): 100.0, (500, 400, 50): 20.0}


def main():
    rows = []
    for size, end in SIZES.items():
        for kind, law in (("FA", laws.layer_feedback_balance), ("GD", laws.layer_balance)):
            Y, B, w = problem(*size, kind)
            rule, task = (ff.FA((B,)) if kind == "FA" else ff.GD()), ff.Task.factorisation(Y)

            def run(solver, keep, rule=rule, task=task, w=w, end=end):
                control = {"solver": solver, "rtol": 1e-6, "atol": 1e-9, "max_steps": None}
                ts = np.linspace(0, end, 11)
                return ff.integrate(rule, task, w, ts, keep=keep, reduce="none", **control)

            keeps = {"none": None, "monitor": "monitor", "all": "all", "a layer's": law}
            for solver in ("dop853", "tsit5"):
                asked = {(solver, name): keep for name, keep in keeps.items()}
                if solver == "dop853" and size[0] <= 100:
                    asked["gauss", "monitor"] = "monitor"
                calls = {
                    at: lambda at=at, keep=keep: run(at[0], keep) for at, keep in asked.items()
                }
                made = interleaved(calls, 9)
                plain = made.pop((solver, "none"))
                for at, timed in made.items():
                    seen = timed.result.made
                    largest = lambda what: f"{max(what.values()):.0e}" if what else ""
                    name = f"{kind} {size[0]}x{size[1]}, {size[2]}"
                    numbers = largest(seen.get("away")), largest(seen["drift"])
                    rows.append((name, *at, f"{timed.over(plain):.2f}", *numbers))
    print(table(("flow", "solver", "keep", "cost", "away", "drift"), rows))


if __name__ == "__main__":
    main()
