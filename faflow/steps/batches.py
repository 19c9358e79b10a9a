"""Which samples each step takes."""

from functools import partial
from numbers import Integral

import numpy as np

from ..derived import Derived
from ..draws import generator
from ..nets import check_positive, replaced


def sampled(size, replace=False):
    """A sampler for `iterate`: each step's samples are drawn anew, without looking at past steps.

    replace: whether a step may take a sample twice.
    """
    check_positive(size=size)
    check_replace(replace)

    def draw(rng, samples):
        if size > samples and not replace:
            raise ValueError(f"{size} samples cannot be drawn from {samples} without replacement.")
        return rng.choice(samples, size=size, replace=replace)

    return draw


def check_replace(replace):
    """Raise ValueError unless `replace` says whether samples are put back."""
    if not isinstance(replace, bool):
        raise ValueError(f"replace must be True or False, but is {replace!r}.")


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


class Shares:
    """A batch's velocity as a sum over its samples: g = Σ hₙ over n in a batch of `size` of N.

    Each sample carries 1/size of the decay.  mean: the velocity g has in the mean, size/N · Σ hₙ
    over all.  whole: w ↦ Σ hₙ over all samples.  each: w ↦ hₙ for every n.  What is bilinear in g
    is in the mean `same` Σ Q(hₙ, hₙ) + `pair` Σ Q(hₙ, hₘ), n ≠ m; with replacement a batch may also
    have a sample twice.
    Raises ValueError for a rule whose velocities are no sums over samples.
    """

    def __init__(self, rule, task, size, replace=False):
        samples = task.X.shape[1]
        if isinstance(rule, Derived):
            raise ValueError(f"The velocities of {rule.name} are no sums over samples.")
        with_decay = lambda factor: replaced(rule, decay=_times(factor, rule.decay))
        self.share = size / samples
        self.pair = size * (size - 1) / samples**2
        self.same = self.share + self.pair
        if not replace:
            self.same = self.share
            self.pair = size * (size - 1) / max(1, samples * (samples - 1))
        self.whole = partial(with_decay(samples / size), task)
        only = lambda n: task.with_data(task.X[:, n : n + 1], task.Y[:, n : n + 1])
        self.each = [partial(with_decay(1 / size), only(n)) for n in range(samples)]
        self.name = rule.name

    def mean(self, w):
        return tuple(self.share * V for V in self.whole(w))

    def alone(self, w):
        """hₙ(w) for every sample.  Raises ValueError if they are not all of the velocity."""
        found, whole = [h(w) for h in self.each], self.whole(w)
        for V, *parts in zip(whole, *found, strict=True):
            if isinstance(V, np.ndarray) and V.dtype == float:
                size = 1e-9 * (np.abs(V).max() + sum(np.abs(part).max() for part in parts))
                if np.abs(V - sum(parts)).max() > size:
                    raise ValueError(f"The velocities of {self.name} are no sums over samples.")
        return found


def summed(rule, task, w):
    """Whether the rule's velocity at `w` is a sum over samples."""
    try:
        Shares(rule, task, 1).alone(w)
    except ValueError:
        return False
    return True


def _times(factor, decay):
    if isinstance(decay, tuple):
        return tuple(factor * d for d in decay)
    return factor * decay if decay != 0 else decay
