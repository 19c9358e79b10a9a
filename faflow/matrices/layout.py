"""Arrays of JAX, known without importing it, and how they lie in memory."""

import sys

import numpy as np


def is_jax(x):
    """Whether `x` is an array of JAX's, without importing it."""
    return "jax" in sys.modules and isinstance(x, sys.modules["jax"].Array)


def laid_out(M):
    """`M`, as an array of its own where JAX traces it.

    A transposed matrix XLA else multiplies as it lies, two times slower on some processors.
    """
    if isinstance(M, np.ndarray) or not is_jax(M):
        return M
    import jax

    return jax.lax.optimization_barrier(M)
