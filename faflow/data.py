"""Data to learn: real ones that ship with scikit-learn, the papers' generators, your own files."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .draws import generator
from .extras import needs
from .nets import Task, activation, forward, linear
from .readers import read_csv, read_npz


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs and targets in float64, samples as columns, some of them held out.

    X: (d_in, samples); Y: (d_out, samples); X_test, Y_test: the same of other samples, or None.
    labels, labels_test: (samples,) integer classes, where there are classes.
    """

    name: str
    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray | None
    Y_test: np.ndarray | None
    labels: np.ndarray | None = None
    labels_test: np.ndarray | None = None

    def task(self, phi: Any = "linear", **options):
        """The `Task` of the training samples; the options are Task's: loss, bias, output_scale."""
        return Task(self.X, self.Y, phi, **options)

    def test_task(self, phi: Any = "linear", **options):
        """The same task on the samples held out."""
        if self.X_test is None:
            raise ValueError(f"{self.name} has no samples held out.")
        return Task(self.X_test, self.Y_test, phi, **options)

    def __str__(self):
        held_out = "none" if self.X_test is None else self.X_test.shape[1]
        return (
            f"{self.name}: {len(self.X)} inputs, {len(self.Y)} targets, {self.X.shape[1]} samples,"
            f" {held_out} held out"
        )


def digits(*, samples=None, test=0.25, seed=0, targets="one-hot", scale="standard"):
    """1797 handwritten digits of 8 by 8 pixels, from scikit-learn.

    samples: how many to train on, or None for all that are not held out.
    test: share of all samples held out, drawn with `seed`, as many of each class; 0 for none.
    targets: one-hot, (10, samples); signs, the same with -1 for 0; parity, (1, samples), +1 for
        even digits and -1 for odd ones.
    scale: standard gives each input mean 0 and deviation 1 over the training samples, and leaves
        an input that is constant there at 0.  unit divides by c = √(d_in · samples) too, so that
        tr XXᵀ, 1 if no input is constant, depends on samples no more than in a mean loss.  A
        first layer without biases is then one with standard inputs, c times smaller weights and a
        c² times smaller learning rate: what it learns takes c² times as long.
    """
    X, classes = _shipped("digits")
    Y = _targets(classes, targets)
    return _prepared("digits", X, Y, classes, samples, test, seed, scale)


def breast_cancer(*, samples=None, test=0.25, seed=0, scale="standard"):
    """569 tumours with 30 measurements, from scikit-learn; +1 is benign, -1 malignant.

    Labels and targets, (1, samples), are the same; options as in `digits`.
    """
    X, benign = _shipped("breast_cancer")
    classes = 2 * benign - 1
    return _prepared("breast_cancer", X, classes[None], classes, samples, test, seed, scale)


def diabetes(*, samples=None, test=0.25, seed=0, scale="standard"):
    """442 patients with 10 measurements and how their diabetes went on, from scikit-learn.

    The target, (1, samples), has mean 0 and deviation 1 over the training samples; options as in
    `digits`.
    """
    X, y = _shipped("diabetes")
    data = _prepared("diabetes", X, y[None], None, samples, test, seed, scale)
    Y, Y_test = _standard(data.Y, data.Y_test)
    return Data(data.name, data.X, Y, data.X_test, Y_test)


def low_rank(n, m, rank, *, singular_values=None, seed=0):
    """A random matrix Y (n, m) of this rank, to be factored: ``Task.factorisation(Y)``.

    singular_values: those of Y, between random orthonormal vectors; None takes the product of
        two Gaussian matrices, its entries of variance 1.
    The problem of Garg & Vempala (AISTATS 2022).
    """
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"rank must be from 1 to min(n, m) = {min(n, m)}, but is {rank!r}.")
    rng = generator(seed, "low_rank")
    left, right = rng.standard_normal((n, rank)), rng.standard_normal((m, rank))
    if singular_values is None:
        return left @ right.T / np.sqrt(rank)
    values = np.asarray(singular_values, dtype=float)
    if values.shape != (rank,) or not (values > 0).all() or not np.isfinite(values).all():
        raise ValueError(f"singular_values must be {rank} positive numbers, but are {values}.")
    return np.linalg.qr(left)[0] * values @ np.linalg.qr(right)[0].T


def teacher_student(
    d_in, d_out, samples, *, hidden=None, phi="linear", noise=0.0, isometric=False, seed=0
):
    """Targets from a random teacher: Y = TX, or Y = W₂ φ(W₁X) / √hidden with `hidden` units.

    All of the teacher's entries are standard Gaussian, and so are the inputs.
    noise: deviation of the Gaussian noise on the training targets; the test has none.
    isometric: orthonormal inputs: XXᵀ = I with at least d_in samples, XᵀX = I with fewer; the
        test inputs are Gaussian of the same mean square.
    Returns `Data` with as many samples held out as to train on.  With d_in=150, d_out=1,
    samples=50 the problem of Song, Xu & Lafferty (NeurIPS 2021).
    """
    rng = generator(seed, "teacher_student")
    phi = activation(phi)
    if hidden is None and phi is not linear:
        raise ValueError(f"A teacher with {phi.name} needs hidden=, its number of hidden units.")
    widths = [d_in, d_out] if hidden is None else [d_in, hidden, d_out]
    teacher = [rng.standard_normal((above, below)) for below, above in pairwise(widths)]
    X, X_test = rng.standard_normal((2, d_in, samples))
    if isometric:
        U, _, V = np.linalg.svd(X, full_matrices=False)
        X, X_test = U @ V, X_test / np.sqrt(max(d_in, samples))
    share = 1 if hidden is None else 1 / np.sqrt(hidden)
    unknown = np.zeros((d_out, samples))
    answer = lambda X: forward(Task(X, unknown, phi, output_scale=share), teacher)[2]
    Y = answer(X) + noise * rng.standard_normal((d_out, samples))
    return Data("teacher_student", X, Y, X_test, answer(X_test))


def lillicrap_linear(samples, seed=0):
    """The linear task of Lillicrap et al. (2016), for a network of sizes 30-20-10.

    Y = TX with standard Gaussian inputs and T uniform in [-1, 1]; as many samples held out.  There
    the weights start uniform in [-0.01, 0.01] and the feedback is uniform in [-0.5, 0.5].
    """
    rng = generator(seed, "lillicrap_linear")
    T = rng.uniform(-1, 1, (10, 30))
    X, X_test = rng.standard_normal((2, 30, samples))
    return Data("lillicrap_linear", X, T @ X, X_test, T @ X_test)


def load(path, *, target=None, test=0.0, seed=0, scale=None, transpose=False):
    """Your own data, from .npz or .csv, as they are unless `test` or `scale` is given.

    .npz: arrays X and Y, samples as columns, and X_test and Y_test if there is a test; a Y of one
        axis is one target a sample.  `transpose` reads samples as rows.  Nothing is unpickled.
    .csv: a header, then a row a sample.  target: name or number of the target's column, or a list
        of several; one column of words becomes one-hot classes, in alphabetical order.
    test: share of samples held out, drawn with `seed`, as many of each class; 0 for none.
    scale: None, or standard or unit, as in `digits`.
    Raises FileNotFoundError, or ValueError for what is wrong in the file, one sentence each.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".csv"):
        raise ValueError(f"{path} must end in .npz or .csv, but ends in {path.suffix!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.suffix == ".csv":
        if transpose:
            raise ValueError("transpose= is for an .npz; a .csv has a row a sample.")
        X, Y, classes = read_csv(path, target)
        return _prepared(path.stem, X, Y, classes, None, test, seed, scale)
    if target is not None:
        raise ValueError("target= names columns of a .csv; an .npz has its targets in Y.")
    X, Y, X_test, Y_test = read_npz(path, transpose)
    if X_test is None:
        return _prepared(path.stem, X, Y, None, None, test, seed, scale)
    if test:
        raise ValueError(f"{path} has a test of its own, X_test; leave test= at 0.")
    X, X_test = _scaled(X, X_test, scale)
    return Data(path.stem, X, Y, X_test, Y_test)


KNOWN = {"digits": digits, "breast_cancer": breast_cancer, "diabetes": diabetes}


def by_name(name, **options):
    """The data called digits, breast_cancer or diabetes, or those of a file; options as theirs."""
    if name in KNOWN:
        return KNOWN[name](**options)
    if Path(name).suffix or Path(name).exists():
        return load(name, **options)
    raise ValueError(f"Unknown data {name!r}; choose from {', '.join(KNOWN)}, or a .npz or .csv.")


def _shipped(name):
    """Inputs, samples as columns, and targets or classes as scikit-learn has them."""
    read = getattr(needs("sklearn.datasets", "data"), f"load_{name}")
    raw = {"scaled": False} if name == "diabetes" else {}
    X, y = read(return_X_y=True, **raw)
    return X.T.astype(float), y


def _targets(classes, kind):
    one_hot = np.eye(classes.max() + 1)[:, classes]
    made = {
        "one-hot": one_hot,
        "signs": 2 * one_hot - 1,
        "parity": 1.0 - 2 * (classes % 2)[None],
    }
    if kind not in made:
        raise ValueError(f"Unknown targets {kind!r}; choose from {', '.join(made)}.")
    return made[kind]


def _prepared(name, X, Y, classes, samples, test, seed, scale):
    """`Data` of these samples: some held out, some kept to train on, the inputs scaled."""
    total = X.shape[1]
    if not 0 <= test < 1:
        raise ValueError(f"test must be a share of at least 0 and below 1, but is {test!r}.")
    held_out = max(1, round(test * total)) if test else 0
    left = total - held_out
    samples = left if samples is None else samples
    if samples != int(samples) or not 1 <= samples <= left:
        raise ValueError(
            f"samples must be from 1 to {left}, of {total} with {held_out} held out, but is"
            f" {samples!r}."
        )
    whole = samples == total  # keeps the order of a file
    order = np.arange(total) if whole else _shuffled(total, classes, seed)
    kept, away = order[held_out:][: int(samples)], order[:held_out]
    X, X_test = _scaled(X[:, kept], X[:, away] if held_out else None, scale)
    part = lambda M, where: None if M is None or not len(where) else M[..., where]
    Y, Y_test = Y[:, kept].astype(float), part(Y.astype(float), away)
    return Data(name, X, Y, X_test, Y_test, part(classes, kept), part(classes, away))


def _shuffled(total, classes, seed):
    """Samples in a random order of which every stretch has as much of each class as the whole."""
    order = generator(seed, "held out").permutation(total)
    if classes is None:
        return order
    place = np.empty(total)
    for one in np.unique(classes):
        own = np.flatnonzero(classes[order] == one)
        place[own] = (np.arange(len(own)) + 1 / 2) / len(own)
    return order[np.argsort(place, kind="stable")]


def _standard(X, X_test):
    """Both with the mean and deviation of `X` removed; rows constant in `X` become 0."""
    mean, varies = X.mean(1, keepdims=True), np.ptp(X, axis=1, keepdims=True) > 0
    factor = varies / np.where(varies, X.std(1, keepdims=True), 1)
    return tuple(None if M is None else (M - mean) * factor for M in (X, X_test))


def _scaled(X, X_test, scale):
    if scale not in (None, "standard", "unit"):
        raise ValueError(f"Unknown scale {scale!r}; choose from standard, unit.")
    if scale is None:
        return X, X_test
    both = _standard(X, X_test)
    if scale == "standard":
        return both
    return tuple(None if M is None else M / np.sqrt(X.size) for M in both)
