"""Random numbers: each purpose has its own, so that one seed serves a whole problem."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np


def generator(seed, purpose):
    """A generator whose numbers are not those of another purpose, nor of default_rng(seed).

    With one stream for all, ``init(sizes, seed=0)`` would repeat the entries of a target drawn at
    seed 0, and a start that knows its target is no random start.

    seed: an integer from 0 on, or a sequence of such.
    """
    parts = seed if isinstance(seed, Sequence) and not isinstance(seed, str) else [seed]
    if not parts or not all(isinstance(s, Integral) and s >= 0 for s in parts):
        raise ValueError(
            f"seed must be an integer from 0 on, or a sequence of such, but is {seed!r}."
        )
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())))
