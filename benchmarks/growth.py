"""How the cost of a flow grows with width, depth, samples and time: fitted exponents.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [FILE.png]

Feedback alignment on a tanh network, which nothing reduces, by DOP853: seconds of a velocity within
a run of 20 fixed steps, against width, depth and samples; and velocities of a run at rtol 1e-6,
against its end.  Exponents are slopes of least squares on logarithms over the upper half of each
range, where fixed costs count less; flops of the products grow with width squared, with depth and
with samples.
"""

import argparse

import numpy as np
from peers import interleaved, table

import faflow as ff

RANGES = {
    "width": (16, 32, 64, 128, 256, 512),
    "depth": (2, 4, 8, 16, 32),
    "samples": (25, 50, 100, 200, 400, 800, 1600),
    "time": (1.0, 4.0, 16.0, 64.0, 256.0),
}
PLAIN = {"width": 64, "depth": 2, "samples": 100, "time": None}


def run(width, depth, samples, time):
    """A function that runs the flow."""
    rng = np.random.default_rng(0)
    sizes = (width,) * (depth + 1)
    X, Y = rng.standard_normal((2, width, samples))
    rule = ff.FA.random(sizes, seed=1, rates=1 / samples, scale=1 / np.sqrt(width))
    task, w0 = ff.Task(X, Y, "tanh"), ff.init(sizes, seed=2)
    control = {"solver": "dop853", "keep": None, "max_steps": None}
    control |= {"step": 1e-3} if time is None else {"rtol": 1e-6}
    end = 0.02 if time is None else time
    return lambda: ff.integrate(rule, task, w0, [0, end], **control).made["evaluations"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", help="where to draw the plots")
    file = parser.parse_args().file
    rows, drawn = [], {}
    for what, values in RANGES.items():
        runs = {value: run(**PLAIN | {what: value}) for value in values}
        made = interleaved(runs, 3, seconds=30)
        each = [
            made[v].result if what == "time" else np.median(made[v].turns) / made[v].result
            for v in values
        ]
        upper = slice(len(values) // 2 - 1, None)
        slope, offset = np.polyfit(np.log(values[upper]), np.log(each[upper]), 1)
        unit = "velocities" if what == "time" else "µs a velocity"
        ends = [each[0], each[-1]] if what == "time" else [1e6 * each[0], 1e6 * each[-1]]
        span = f"{values[0]:g} to {values[-1]:g}"
        rows.append((what, span, unit, f"{ends[0]:.3g} to {ends[1]:.3g}", f"{slope:.2f}"))
        scale = 1 if what == "time" else 1e6
        fitted = scale * np.exp(offset) * np.array(values[upper]) ** slope
        drawn[what] = values, scale * np.array(each), values[upper], fitted, unit, slope
    print(table(("with", "over", "of", "from", "exponent, upper half"), rows))
    if file:
        draw(drawn, file)


def draw(drawn, file):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for axes, what in zip(figure.subplots(2, 2).flat, drawn, strict=True):
        values, each, upper, fitted, unit, slope = drawn[what]
        axes.loglog(values, each, "o", label="measured")
        axes.loglog(upper, fitted, "--", label=f"exponent {slope:.2f}")
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
        named = "time [1/learning rate]" if what == "time" else what
        axes.set(xlabel=named, ylabel=unit, title=f"growth with {what}")
        axes.legend()
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
