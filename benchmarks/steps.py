"""How long stability and modified flows take, beside JAX's own derivatives and NumPy's eigenvalues.

    OMP_NUM_THREADS=1 python benchmarks/steps.py

Seconds of one run, and their ratio to the peer's in the same run: `jax.jacfwd` compiled, with
`numpy.linalg.eigvals`, for the spectrum; the velocity itself for modified flows.
"""

import time

import numpy as np

import faflow as ff
from faflow import data
from faflow.derivatives import flat, unflat


def digits(sizes, samples=200):
    task = data.by_name("digits", samples=samples, seed=0).task("tanh")
    rule = ff.FA.random(sizes, seed=1, rates=1 / task.X.shape[1])
    run = ff.iterate(rule, task, ff.init(sizes, seed=2), eta=0.1, steps=300, every=300)
    return rule, task, run.final


def seconds(compute, times=1):
    began = time.perf_counter()
    for _ in range(times):
        made = compute()
    return (time.perf_counter() - began) / times, made


def peer(rule, task, w):
    """η* from JAX's Jacobian and all its eigenvalues, compilation counted."""
    import jax

    with jax.enable_x64(True):
        field = lambda y: jax.numpy.concatenate([V.ravel() for V in rule(task, unflat(y, w))])
        J = np.asarray(jax.jit(jax.jacfwd(field))(jax.numpy.asarray(flat(w))))
    values = np.linalg.eigvals(J)
    values = values[values.real < -1e-7 * np.abs(values).max()]
    return float((-2 * values.real / np.abs(values) ** 2).min())


def main():
    print("stability on digits, tanh, 200 samples: seconds, and over the peer's")
    for sizes in ((64, 8, 8, 10), (64, 32, 10)):
        rule, task, w = digits(sizes)
        count = sum(W.size for W in w)
        theirs, said = seconds(lambda r=rule, t=task, w=w: peer(r, t, w))
        print(f"  {'-'.join(map(str, sizes))}, {count} weights: peer {theirs:.2f} s, η* {said:.5g}")
        for through in ("jacobian", "krylov"):
            ours, made = seconds(lambda: ff.stability(rule, task, w, through=through))  # noqa: B023
            sign = "≤" if made.note else "="
            print(
                f"    {through}: {ours:.2f} s, ratio {ours / theirs:.2f}, η* {sign} {made.eta:.5g}"
            )
    rule, task, w = digits((64, 8, 8, 10))
    plain, _ = seconds(lambda: rule(task, w), 50)
    print("velocity of a modified flow over that of the flow, by dual numbers")
    for order in (2, 3, 4):
        made = ff.modified(rule, 0.1, order)
        taken, _ = seconds(lambda m=made: m(task, w), 20)
        print(f"  order {order}: {taken / plain:.1f}")


if __name__ == "__main__":
    main()
