"""Single flows against SciPy used plainly, plain diffrax, torchdiffeq, and the products alone.

    OMP_NUM_THREADS=1 python benchmarks/flows.py [--quick | --largest]

For feedback alignment and gradient descent of Y (n, m) by r hidden units, Y of full rank; medians
of interleaved runs in one process.  Ours are as they come: from 100x80 on feedback alignment runs
on its core of r hidden units, and gradient descent of 500x400 and more forms no errors, so that
they cost less than the products.  "error" is that of the final state, relative to its largest
entry; "times the floor" the time over that of the matrix products of as many velocities, in full.
"""

import argparse

from peers import by_diffrax, by_scipy, by_torchdiffeq, far, interleaved, problem, products, table

import faflow as ff

SIZES = {(20, 20, 5): 60.0, (100, 80, 20): 100.0, (500, 400, 50): 20.0, (2000, 2000, 100): 4.0}
STAGES = {"Tsit5": 6, "Dopri8": 13}


def flow(size, end, kind, rtol, repeats):
    """Rows of the table for one flow."""
    Y, B, w = problem(*size, kind)
    task = ff.Task.factorisation(Y)
    rule = ff.FA((B,)) if kind == "FA" else ff.GD()

    def ours(solver):
        control = {"solver": solver, "rtol": rtol, "atol": rtol / 1000, "max_steps": None}
        sol = ff.integrate(rule, task, w, [0, end], keep=None, **control)
        return sol.final, sol.made["evaluations"]

    fast = "Tsit5" if rtol >= 1e-7 else "Dopri8"
    runs = {
        "SciPy DOP853": lambda: by_scipy(Y, B, w, (0, end), rtol),
        "faflow, dop853": lambda: ours("dop853"),
        f"faflow, {fast.lower()}": lambda: ours(fast.lower()),
        f"diffrax {fast}": by_diffrax(Y, B, w, (0, end), rtol, fast),
    }
    torch = by_torchdiffeq(Y, B, w, (0, end), rtol)
    if torch is not None:
        runs["torchdiffeq dopri5"] = torch
    count = max(1, int(2e8 / (size[0] * size[1] * size[2])))
    runs["products"] = lambda: (products(Y, B, w, count), count)
    made = interleaved(runs, repeats)
    floor, plain = made.pop("products"), made["SciPy DOP853"]
    rows, reached = [], plain.result[0]
    exact = by_scipy(Y, B, w, (0, end), 1e-13)[0]
    for name, timed in made.items():
        final, spent = timed.result
        if name.startswith("diffrax"):
            spent = spent * STAGES[fast]
        share = "" if spent is None else f"{timed.over(floor) * count / spent:.2f}"
        what = f"{kind} {size[0]}x{size[1]}, {size[2]}", f"{rtol:g}", name
        error, faster = f"{far(final, exact):.0e}", f"{plain.over(timed):.2f}"
        rows.append((*what, timed.ms, spent or "", error, share, faster))
        if far(final, reached) > 1000 * rtol:
            raise SystemExit(f"{what} ends {far(final, reached):.1e} away from SciPy.")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the two smaller sizes, few repeats")
    parser.add_argument("--largest", action="store_true", help="the largest size alone")
    asked = parser.parse_args()
    quick, sizes = asked.quick, list(SIZES.items())
    rows = []
    for size, end in sizes[-1:] if asked.largest else sizes[: 2 if quick else None]:
        for kind in ("FA", "GD"):
            for rtol in (1e-6, 1e-10):
                rows += flow(size, end, kind, rtol, 3 if size[0] >= 500 else 9)
    columns = "flow", "rtol", "by", "ms", "velocities", "error", "times the floor"
    columns = (*columns, "faster than SciPy")
    print(table(columns, rows))


if __name__ == "__main__":
    main()
