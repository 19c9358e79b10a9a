"""How far discrete steps stray from their flow."""

import numpy as np


def gap(steps, flow):
    """Largest distance between entries of two solutions at each of their common times, (times,).

    Raises ValueError unless both have the same times and shapes.
    """
    if len(steps) != len(flow) or not np.allclose(steps.ts, flow.ts, rtol=1e-12, atol=1e-12):
        raise ValueError("The two solutions must have the same times; integrate with ts=steps.ts.")
    if not steps.w or [W.shape for W in steps.w] != [W.shape for W in flow.w]:
        raise ValueError("The two solutions must keep weights of the same shapes.")
    return np.max([np.abs(a - b).max((1, 2)) for a, b in zip(steps.w, flow.w, strict=True)], 0)
