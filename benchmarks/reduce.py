"""What exact reduction gains, against the same rule and solver on the full problem.

    python benchmarks/reduce.py [--quick]

Prints, for each problem, milliseconds of one velocity of the full and of the reduced problem, the
time to reduce it, and whole runs of both by SciPy's DOP853 to rtol 1e-8, reduction and the weights
at the end included, with their ratios and how far their ends are apart.  SciPy's norm of errors has
it take other steps; "same steps" is the ratio to as many full velocities as the reduced run took,
alone.  Full velocities of a factorisation are the three products by themselves, without the
identity as inputs.
"""

import argparse
import time

import numpy as np
from peers import table

import faflow as ff
from faflow.derivatives import flat, unflat
from faflow.flow.vectors import Field, Layout


def low_rank(n, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n)) / n


class Factored:
    """FA or GD of a factorisation, written for it: no product with the identity."""

    def __init__(self, rule, Y):
        self.rule, self.Y = rule, Y

    def __call__(self, w):
        W, Z = w
        error = self.Y - Z @ W
        return (self.rule.B[0] if self.rule.B else Z.T) @ error, error @ W.T


def median(call, times):
    seen = []
    for _ in range(times):
        began = time.perf_counter()
        made = call()
        seen.append(time.perf_counter() - began)
    return float(np.median(seen)), made


def dop853(velocity, w0, end):
    """The final state by SciPy, used plainly."""
    from scipy.integrate import solve_ivp

    control = {"method": "DOP853", "rtol": 1e-8, "atol": 1e-11}
    out = solve_ivp(lambda t, y: flat(velocity(unflat(y, w0))), (0, end), flat(w0), **control)
    return unflat(out.y[:, -1], w0)


def row(name, rule, task, w0, end, plain=None, whole=True):
    plain = plain or (lambda w: rule(task, w))
    reduction_time, made = median(lambda: ff.reduce(rule, task, w0), 3)
    full, _ = median(lambda: plain(w0), 5)
    layout = Layout(made.w0)
    field = Field(made.rule, made.task, layout, layout.packed(made.w0))
    small, _ = median(field.velocity, 50)  # as runs evaluate it
    begun = name, *(f"{1e3 * seconds:.3g}" for seconds in (full, small)), f"{full / small:.0f}"
    begun = *begun, f"{1e3 * reduction_time:.3g}"
    if not whole:
        return *begun, *[""] * 5
    control = {"solver": "dop853", "rtol": 1e-8, "atol": 1e-11, "max_steps": 10**6}

    def run():
        sol = ff.integrate(rule, task, w0, [0, end], reduce="auto", **control)
        return sol.final, sol.made["evaluations"]

    short, (reached, spent) = median(run, 3)
    long, expected = median(lambda: dop853(plain, w0, end), 1)
    both = zip(reached, expected, strict=True)
    apart = max(np.abs(a - b).max() / np.abs(b).max() for a, b in both)
    gains = f"{long / short:.0f}", f"{spent * full / short:.0f}"
    return *begun, f"{long:.3g}", f"{short:.3g}", *gains, f"{apart:.0e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="velocities alone, smaller problems")
    quick = parser.parse_args().quick
    n, many = (400, 5_000) if quick else (2000, 60_000)
    columns = ("problem", "full ms", "reduced ms", "ratio", "to reduce ms")
    columns += ("full s", "reduced s", "ratio", "same steps", "apart")
    rows = []
    for kind in (ff.FA, ff.GD):
        Y = low_rank(n, 10)
        rule = kind.random((n, 20, n), seed=1, scale=0.1)
        w0 = rule.start((n, 20, n), scale=0.3)
        name = f"{kind.__name__}, {n}x{n} of rank 10, 20 hidden units"
        task = ff.Task.factorisation(Y)
        rows.append(row(name, rule, task, w0, 20.0, Factored(rule, Y), not quick))
    rng = np.random.default_rng(0)
    hidden = n // 20
    targets = {f"rank {hidden}": low_rank(n, hidden), "full rank": rng.standard_normal((n, n))}
    for what, Y in targets.items():
        Y = 2 * Y / np.linalg.norm(Y, 2)
        rule = ff.FA.random((n, hidden, n), seed=1, scale=0.1)
        w0 = rule.start((n, hidden, n), scale=0.3)
        name = f"FA, {n}x{n} of {what}, {hidden} hidden units"
        task = ff.Task.factorisation(Y)
        rows.append(row(name, rule, task, w0, 5.0, Factored(rule, Y), not quick))
    X, Y = rng.standard_normal((784, many)), rng.standard_normal((10, many))
    rule = ff.FA.random((784, 100, 10), seed=1)
    for bias in (False, True):
        w0 = rule.start((784, 100, 10), bias=bias)
        name = f"FA, 784-100-10{' with biases' * bias}, {many} samples"
        rows.append(row(name, rule, ff.Task(X, Y, bias=bias), w0, 0, whole=False))
    print(table(columns, rows))


if __name__ == "__main__":
    main()
