"""From a cold process to a first small flow, in fresh processes, beside what they import.

    python benchmarks/latency.py

Seconds of whole processes, medians of interleaved rounds.  "cache" is what faflow keeps on disk of
what JAX compiled, in a folder of its own here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import table

PROBLEM = """
import numpy as np
rng = np.random.default_rng(0)
Y, B = rng.standard_normal((20, 20)), rng.standard_normal((5, 20))
W, Z = 0.1 * rng.standard_normal((5, 20)), 0.1 * rng.standard_normal((20, 5))
"""
OURS = PROBLEM + "import faflow as ff; ff.integrate(ff.FA((B,)), ff.Task.factorisation(Y), (W, Z),"
OURS += " [0, 1], rtol=1e-6, engine={engine!r})"
SCIPY = (
    PROBLEM
    + """
from scipy.integrate import solve_ivp
def field(t, y):
    W, Z = y[:100].reshape(5, 20), y[100:].reshape(20, 5)
    E = Y - Z @ W
    return np.concatenate([(B @ E).ravel(), (E @ W.T).ravel()])
solve_ivp(field, (0, 1), np.concatenate([W.ravel(), Z.ravel()]), "DOP853", rtol=1e-6, atol=1e-8)
"""
)
DIFFRAX = (
    PROBLEM
    + """
import diffrax as dfx, jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
def field(t, y, args):
    E = Y - y[1] @ y[0]
    return B @ E, E @ y[0].T
dfx.diffeqsolve(dfx.ODETerm(field), dfx.Tsit5(), 0.0, 1.0, None, (jnp.asarray(W), jnp.asarray(Z)),
    stepsize_controller=dfx.PIDController(rtol=1e-6, atol=1e-8)).ys[0].block_until_ready()
"""
)
CLAIM = "from faflow.cli import main; main(['verify', {file!r}, '--select', 'mirror_difference'])"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    file = Path(__file__).parents[1] / "proofs_check" / "akrout_2019.py"
    runs = {
        "python, nothing": "pass",
        "import numpy": "import numpy",
        "import scipy.integrate": "import scipy.integrate",
        "SciPy DOP853, plainly": SCIPY,
        "faflow, SciPy engine": OURS.format(engine="scipy"),
        "import diffrax": "import diffrax",
        "diffrax, plainly": DIFFRAX,
        "faflow, diffrax engine, no cache": OURS.format(engine="diffrax"),
        "faflow, diffrax engine, cache": OURS.format(engine="diffrax"),
        "faflow verify --select, one claim and its control": CLAIM.format(file=str(file)),
    }
    with tempfile.TemporaryDirectory() as folder:
        seen = {name: [] for name in runs}
        for k in range(rounds + 1):  # the first for nothing but the caches
            for name, code in runs.items():
                cache = folder if name.endswith(", cache") else ""
                environment = os.environ | {"FAFLOW_CACHE": cache, "OMP_NUM_THREADS": "1"}
                began = time.perf_counter()
                command = [sys.executable, "-c", code]
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                if k:
                    seen[name].append(time.perf_counter() - began)
    rows = [
        (name, f"{np.median(each):.2f}", f"{min(each):.2f}", f"{max(each):.2f}")
        for name, each in seen.items()
    ]
    print(table(("process", "seconds", "least", "most"), rows))


if __name__ == "__main__":
    main()
