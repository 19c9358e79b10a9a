"""Which samples each step takes."""

from numbers import Integral

import numpy as np

from ..draws import generator


def sampled(size, replace=False):
    """A sampler for `iterate`: each step's samples are drawn anew, without looking at past steps.

    replace: whether a step may take a sample twice.
    """
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise ValueError(f"size must be a positive integer, but is {size!r}.")

    def draw(rng, samples):
        if size > samples and not replace:
            raise ValueError(f"{size} samples cannot be drawn from {samples} without replacement.")
        return rng.choice(samples, size=size, replace=replace)

    return draw


def batches_of(samples, batches, seed):
    """For ever: the indices of the next step's samples, None for all of them."""
    if batches is None:
        while True:
            yield None
    rng = generator(seed, "batches")
    while callable(batches):
        yield _checked(batches(rng, samples), samples)
    while True:
        order = rng.permutation(samples)
        for start in range(0, samples - batches + 1, batches):
            yield order[start : start + batches]


def check_batches(batches, samples):
    """Raise ValueError unless `batches` is None, a size or a sampler."""
    whole = isinstance(batches, Integral) and not isinstance(batches, bool)
    if batches is None or callable(batches) or (whole and 1 <= batches <= samples):
        return
    raise ValueError(
        f"batches must be from 1 to {samples} samples, or a sampler, but is {batches!r:.60}."
    )


def _checked(indices, samples):
    chosen = np.asarray(indices)
    fits = chosen.ndim == 1 and len(chosen) and chosen.dtype.kind in "iu"
    if not fits or chosen.min() < 0 or chosen.max() >= samples:
        raise ValueError(
            f"A sampler must give indices from 0 to {samples - 1}, but gave {indices!r:.60}."
        )
    return chosen
