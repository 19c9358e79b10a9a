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
DEEP = ("FA", (10, 20, 20, 10)), ("GD", (20, 20, 20, 20)), ("KolenPollack", (10, 20, 10))


def costs(name, given, end, keeps, gauss=False):
    """Rows of what each way to keep laws costs, by both engines."""

    def run(solver, keep):
        control = {"solver": solver, "rtol": 1e-6, "atol": 1e-9, "max_steps": None}
        return ff.integrate(*given, np.linspace(0, end, 11), keep=keep, reduce="none", **control)

    rows = []
    for solver in ("dop853", "tsit5"):
        asked = {(solver, what): keep for what, keep in keeps.items()}
        if solver == "dop853" and gauss:
            asked["gauss", "monitor"] = "monitor"
        calls = {at: lambda at=at, keep=keep: run(at[0], keep) for at, keep in asked.items()}
        made = interleaved(calls, 9)
        plain = made.pop((solver, "none"))
        for at, timed in made.items():
            seen = timed.result.made
            largest = lambda what: f"{max(what.values()):.0e}" if what else ""
            numbers = largest(seen.get("away")), largest(seen["drift"])
            rows.append((name, *at, f"{timed.over(plain):.2f}", *numbers))
    return rows


def main():
    rows, keeps = [], {"none": None, "monitor": "monitor", "all": "all"}
    for size, end in SIZES.items():
        for kind, law in (("FA", laws.layer_feedback_balance), ("GD", laws.layer_balance)):
            Y, B, w = problem(*size, kind)
            given = ff.FA((B,)) if kind == "FA" else ff.GD(), ff.Task.factorisation(Y), w
            name = f"{kind} {size[0]}x{size[1]}, {size[2]}"
            rows += costs(name, given, end, keeps | {"a layer's": law}, gauss=size[0] <= 100)
    for kind, sizes in DEEP:
        rng, rule = np.random.default_rng(0), getattr(ff, kind).random(sizes, seed=1)
        task = ff.Task(*(rng.standard_normal((n, 20)) for n in (sizes[0], sizes[-1])))
        name = f"{kind} {'-'.join(map(str, sizes))}, 20 samples"
        rows += costs(name, (rule, task, rule.start(sizes, seed=1)), 1.0, keeps)
    print(table(("flow", "solver", "keep", "cost", "away", "drift"), rows))


if __name__ == "__main__":
    main()
