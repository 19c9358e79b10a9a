"""How large a step may be near a state: the spectrum of the velocity's derivative, any rule."""

from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from ..derivatives import along, directional, flat, jacobian, linear_map, unflat
from ..derived import Derived
from ..draws import generator
from ..flow.checks import ready
from ..losses import any_loss, squared
from ..nets import check_positive, replaced
from ..rules import FAStar
from ..solution import Solution
from .modified import check_eta
from .stepper import check_momentum

NEUTRAL = 1e-7
"""Eigenvalues below this part of the largest do not move: directions that laws forbid.

Zero eigenvalues of a defective matrix come out at the root of the rounding error.
"""

TURNING = 1e-9
"""Real parts below this part of the largest eigenvalue are rounding: such modes only turn."""

DENSE, MOST = 1500, 5000
"""Weights up to which all eigenvalues are computed unasked, and when asked for."""

WAYS = ("auto", "jacobian", "krylov", "kernel")

AT_REST = 1e-9
"""The error at the output, in parts of the targets, below which a state fits them."""


@dataclass(frozen=True, eq=False)
class Stability:
    """The spectrum of J, the derivative of a rule's velocity at a state, and what it allows.

    values: eigenvalues λ of J, in units of the learning rate, without neutral ones, the first to
        become unstable first.  neutral: how many do not move, those of conserved quantities among
        them; None where not all were computed.
    mode: the eigenvector of ``values[0]``, complex matrices like the weights.
    complete: whether `values` are all; if not, the largest ones, and those that grow most in steps
        of the size η*.
    momentum: β of the heavy ball.  note: what else may grow then; `eta` is an upper bound of η*.
    """

    values: np.ndarray
    neutral: Any
    mode: tuple
    complete: bool
    momentum: float = 0.0
    note: str = ""

    @property
    def critical(self):
        """The eigenvalue of J that becomes unstable first, among those that decay in the flow.

        Where `bound` is true, among those that were found.
        """
        return complex(self.decaying[0]) if len(self.decaying) else complex("nan")

    @property
    def bound(self):
        """Whether `eta` is no more than an upper bound, since a Krylov space may have missed modes.

        All eigenvalues are computed with ``through="jacobian"``.
        """
        return bool(self.note)

    @property
    def decaying(self):
        """Eigenvalues with a negative real part, in the order in which they become unstable."""
        return self.values[self.values.real < 0]

    @property
    def growing(self):
        """Eigenvalues with no negative real part: along these modes the flow itself does not decay.

        It leaves along them, or turns where the real part is 0.
        """
        return self.values[self.values.real >= 0]

    @property
    def eta(self):
        """η*: below this step size every mode that decays in the flow decays in steps, too.

        Where `bound` is true an upper bound of that: a mode that was not found may need less.
        """
        return float(thresholds(self.decaying, self.momentum).min(initial=np.inf))

    @property
    def naive(self):
        """2/ρ(J), right only where the spectrum is real and there is no momentum."""
        return float(2 / np.abs(self.values).max()) if len(self.values) else np.inf

    def factors(self, eta):
        """What a step of size `eta` multiplies each mode by: 1 + ηλ, or the larger root of
        μ² - (1 + β + ηλ)μ + β; its modulus is the growth and its argument the rotation a step."""
        check_eta(eta)
        half = (1 + self.momentum + eta * self.values) / 2
        root = np.sqrt(half**2 - self.momentum)
        return np.where(np.abs(half + root) >= np.abs(half - root), half + root, half - root)

    def growth(self, eta):
        """Largest factor of any mode in a step of size `eta`; stable where it is below 1."""
        return float(np.abs(self.factors(eta)).max(initial=0.0))

    def rotation(self, eta):
        """Angle in radians by which the mode of largest growth turns in a step."""
        made = self.factors(eta)
        return float(np.abs(np.angle(made[np.argmax(np.abs(made))]))) if len(made) else 0.0

    def __str__(self):
        if not len(self.values):
            return "every direction is neutral: J has no eigenvalue but 0"
        worst, more = self.critical, "" if self.neutral is None else f", {self.neutral} neutral"
        kind = f"{len(self.values)} modes{more}" if self.complete else "by Krylov spaces"
        ball = f" with momentum {self.momentum:g}" * bool(self.momentum)
        text = f"η* {'≤' if self.note else '='} {self.eta:.6g}{ball} ({kind})"
        if len(self.growing):
            top = self.growing[np.argmax(self.growing.real)]
            many = f"{'at least ' * (not self.complete)}{len(self.growing)}"
            text += f"; the flow itself does not decay along {many} modes, to λ = {top:.4g}"
        if np.isfinite(self.eta):
            alone = replaced(self, values=np.array([worst]))
            text += f"; critical λ = {worst:.4g}, turns by {alone.rotation(self.eta):.4g} a step"
        return text + f"; {self.note}" * bool(self.note)


def thresholds(values, momentum=0.0):
    """Step sizes at which modes λ = -a + iω become unstable; 0 or less where a ≤ 0.

    η* = (2a/(1 + β)) / (a²/(1 + β)² + ω²/(1 - β)²): ηλ leaves the ellipse about -(1 + β) with
    half axes 1 + β and, across, 1 - β; without momentum 2a/|λ|².  Derived in this project; real
    λ are Polyak's.
    """
    check_momentum(momentum)
    values = np.asarray(values, dtype=complex)
    a, w = -values.real / (1 + momentum), values.imag / (1 - momentum)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * a / (a**2 + w**2)


def stability(rule, task, w, *, momentum=0, through="auto", modes=12, seed=0):
    """Up to which step size η* steps stay near the state `w`: min -2 Re λ/|λ|² over the spectrum.

    λ are the eigenvalues of J, the derivative of the velocity, complex where the rule follows no
    gradient; -λ of GD are those of the Hessian, and η* is then 2/sharpness.  Laws make left null
    vectors of J, and neutral eigenvalues are left out.  Where kinks are, the gates are held.
    momentum: β of the heavy ball.
    through: jacobian, all eigenvalues of J; krylov, the largest ones without J as a matrix;
        kernel, at states that fit their targets (squared loss), where the spectrum is that of
        minus the tangent kernel; or auto: the kernel where it holds and is smaller than J, else
        the jacobian up to 1500 weights.
    modes: how many eigenvalues a Krylov space looks for.
    seed: of the start of the Krylov space.
    Returns a `Stability`.  Raises ValueError or TypeError for bad input.
    """
    w = ready(rule, task, w)
    check_momentum(momentum)
    if isinstance(rule, FAStar):
        raise ValueError("FAStar fits its last layer at each step; its steps have no J like this.")
    if rule.jumps():
        raise ValueError("This decay changes in time: take the rule at one time by .at(t).")
    if through not in WAYS:
        raise ValueError(f"Unknown through {through!r}; choose from {', '.join(WAYS)}.")
    check_positive(modes=modes)
    size, outputs = sum(W.size for W in w), task.Y.size
    refusal = _no_kernel(rule, task, w)
    if through == "kernel" and refusal:
        raise ValueError(f"The spectrum is that of the kernel only {refusal}.")
    if through == "auto":
        smaller = not refusal and outputs < min(size, DENSE)
        through = "kernel" if smaller else "jacobian" if size <= DENSE else "krylov"
    if through == "krylov" and size < modes + 3:
        raise ValueError(f"Of {size} weights a Krylov space finds at most {size - 3} modes.")
    if through == "krylov":
        return _by_krylov(rule, task, w, momentum, modes, seed)
    if (number := outputs if through == "kernel" else size) > MOST:
        raise ValueError(
            f"All {number} eigenvalues are too many, above {MOST}; take through='krylov'."
        )
    if through == "kernel":
        return _from_kernel(rule, task, w, momentum)
    return _from_all(rule, task, w, momentum)


def tangent_kernel(rule, task, w):
    """K, (outputs, outputs): the output f moves by K e where e is the error, entries row by row.

    K = ∂f/∂w P, where P e is the velocity of `rule` at an output error e; symmetric for GD.
    Of two layers on white inputs K = (W₂B) ⊗ I + I ⊗ W₁ᵀW₁.
    Raises ValueError for a rule with decay, or one made from another.
    """
    w = ready(rule, task, w)
    _check_linear(rule)
    return linear_map(lambda e: _kernel_times(rule, task, w, e[0]), (task.Y,))


def stability_along(solution, times=None, *, momentum=0, **options):
    """The `Stability` at times of a solution, as two lists: times, and what `stability` returns.

    times: numbers of kept times; None takes at most 50 of them, evenly.
    Raises ValueError for a time that was not kept, and what `stability` raises.
    """
    if not isinstance(solution, Solution) or not solution.w:
        raise ValueError("stability_along needs a Solution with its weights.")
    count = len(solution)
    if times is None:
        times = sorted({int(k) for k in np.linspace(0, count - 1, min(count, 50))})
    found = []
    if isinstance(times, str) or not hasattr(times, "__iter__"):
        raise ValueError(f"times must be numbers of kept times, but is {times!r:.60}.")
    for k in times:
        if isinstance(k, bool) or not isinstance(k, Integral) or not -count <= k < count:
            raise ValueError(f"times must be numbers of the {count} kept times, but has {k!r}.")
    for k in times:
        rule = solution.rule.at(solution.ts[k])
        found.append(stability(rule, solution.task, solution.at(k), momentum=momentum, **options))
    return [float(solution.ts[k]) for k in times], found


def _check_linear(rule):
    if rule.decays:
        raise ValueError("With decay the velocity is no multiple of the output error.")
    if isinstance(rule, Derived):
        raise ValueError(f"The velocity of {rule.name} is no multiple of the output error.")


def _pushed(rule, task, w, e):
    """P e: the velocity at an output error e."""
    return rule(replaced(task, Y=e, loss=any_loss), w)


def _kernel_times(rule, task, w, e):
    output = lambda x: (rule.output(task, x),)
    return directional(output, w, _pushed(rule, task, w, e))[1]


def _no_kernel(rule, task, w):
    """Why the spectrum is not that of the kernel, in words; empty where it is."""
    if task.loss is not squared:
        return "of the squared loss"
    if rule.decays:
        return "without decay"
    if isinstance(rule, Derived):
        return f"of a rule itself, not of {rule.name}"
    error = np.abs(task.Y - rule.output(task, w)).max()
    if error > AT_REST * max(1.0, np.abs(task.Y).max()):
        return f"where the targets are fitted, but here they are missed by {error:.2g}"
    tried = tuple(np.random.default_rng(0).standard_normal(W.shape) for W in w)
    shown = directional(lambda x: (rule.output(task, x),), w, tried)[1][0]
    moved, told = flat(along(rule, task, w, tried)), -flat(_pushed(rule, task, w, shown))
    if np.abs(moved - told).max() > 1e-6 * max(np.abs(moved).max(), np.abs(told).max()):
        return f"where the velocity is a multiple of the output error, unlike that of {rule.name}"
    return ""


def _from_kernel(rule, task, w, momentum):
    K = tangent_kernel(rule, task, w)
    values = np.linalg.eigvals(K)
    moved = lambda e: flat(_pushed(rule, task, w, e.reshape(task.Y.shape)))

    def mode(k):
        e = _vector(K, values[k])
        return moved(e.real) + 1j * moved(e.imag)

    size = sum(W.size for W in w)
    neutral = size - len(values)
    return _made(-values, mode, w, True, momentum, neutral, np.abs(K).max())


def _from_all(rule, task, w, momentum):
    J = jacobian(rule, task, w)
    values = np.linalg.eigvals(J)
    return _made(values, lambda k: _vector(J, values[k]), w, True, momentum, 0, np.abs(J).max())


def _vector(A, value):
    """The eigenvector of an eigenvalue, by inverse iteration: much sooner than all of them."""
    import scipy.linalg

    off = value * (1 + 1e-10) + 1e-14 * np.abs(A).max()
    factors = scipy.linalg.lu_factor(A - off * np.eye(len(A)))
    made = np.random.default_rng(0).standard_normal(len(A)) + 0j
    for _ in range(3):
        made = scipy.linalg.lu_solve(factors, made)
        made = made / np.linalg.norm(made)
    return made


def _made(values, mode, w, complete, momentum, neutral, size=0.0, note=""):
    """The result, eigenvalues in the order in which they become unstable.

    size: of the matrix, next to which eigenvalues may all be rounding, where it is nilpotent.
    """
    values = np.asarray(values, dtype=complex)
    largest = np.abs(values).max(initial=0.0)
    moving = np.abs(values) > NEUTRAL * max(largest, size)
    values = np.where(np.abs(values.real) > TURNING * largest, values, 1j * values.imag)
    limits = np.where(moving, thresholds(values, momentum), np.inf)
    order = np.argsort(np.where(values.real < 0, limits, np.inf), kind="stable")
    order = order[moving[order]]
    first = unflat(mode(order[0]), w) if len(order) else ()
    still = neutral + int((~moving).sum()) if complete else None
    return Stability(values[order], still, first, complete, float(momentum), note)


def _by_krylov(rule, task, w, momentum, modes, seed):
    """The eigenvalues of largest modulus, then those that grow most in steps of the size η*.

    A smaller one that is nearly imaginary may grow before them.  What grows most in a step are the
    largest eigenvalues of I + ηJ, or of the heavy ball's matrix, which Krylov spaces find.
    """
    size = sum(W.size for W in w)
    times = lambda y: flat(along(rule, task, w, unflat(y, w)))
    start = generator(seed, "krylov").standard_normal(2 * size)
    seen = np.abs(times(start[:size])).max()
    made = partial(_made, w=w, complete=False, momentum=momentum, neutral=0, size=seen)
    if not seen:
        return made([], None)
    values, vectors, whole = _largest(times, size, modes, start)
    decays = lambda values: values.real < -TURNING * np.abs(values).max()
    if not decays(values).any():  # as where many modes grow
        lowest, moved, whole = _largest(times, size, modes, start, "SR")
        values, vectors = np.append(values, lowest), np.hstack([vectors, moved])
    while True:
        scale = NEUTRAL * max(np.abs(values).max(), seen)
        decaying = values[decays(values) & (np.abs(values) > scale)]
        if not len(decaying):
            note = "" if whole else "not all modes asked for were found"
            return made(values, partial(_column, vectors), note=note)
        eta = thresholds(decaying, momentum).min()
        step = _step_matrix(times, size, 1.01 * eta, momentum)
        grown, moved, whole = _largest(step, size * (1 + (momentum > 0)), modes, start)
        found = (grown - 1 - momentum + momentum / grown) / (1.01 * eta)
        earlier = (found.real < -scale) & (thresholds(found, momentum) < (1 - 1e-6) * eta)
        if not earlier.any():
            break
        values = np.append(values, found[earlier])
        vectors = np.hstack([vectors, moved[:size, earlier]])
    values, vectors = np.append(values, found), np.hstack([vectors, moved[:size]])
    kept = _distinct(values)
    least, note = np.abs(grown).min(), ""
    if least > 1 + 1e-6:
        note = f"no other mode grows by more than {least:.4g} in a step 1.01 η*"
    if not whole:
        note = "not all modes asked for were found, and others may grow"
    return made(values[kept], partial(_column, vectors[:, kept]), note=note)


def _column(vectors, k):
    return vectors[:, k]


def _step_matrix(times, size, eta, momentum):
    """The step of size `eta` linearised: of the weights, or of the weights and what moved them."""
    if not momentum:
        return lambda y: y + eta * times(y)

    def stepped(y):
        w, v = y[:size], y[size:]
        v = momentum * v + eta * times(w)
        return np.concatenate([w + v, v])

    return stepped


def _largest(times, size, count, start, which="LM"):
    """Eigenvalues of largest modulus, or least real part; their vectors; whether all were found."""
    from scipy.sparse import linalg
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigs

    operator: Any = linalg.LinearOperator
    operator = operator((size, size), matvec=times, dtype=float)
    control = {"v0": start[:size], "tol": 1e-9, "ncv": min(size, max(4 * count, 40))}
    try:
        return *eigs(operator, k=count, which=which, **control), True
    except ArpackNoConvergence as partly:
        if not len(partly.eigenvalues):
            raise ValueError(
                f"The Krylov space found no eigenvalue of {size} weights; ask for more modes."
            ) from None
        return partly.eigenvalues, partly.eigenvectors, False
    except ArpackError as failed:
        raise ValueError(f"The Krylov space failed: {failed}; take through='jacobian'.") from None


def _distinct(values):
    """Where the values are that are not the same but for rounding."""
    kept = []
    for k, value in enumerate(values):
        if all(abs(value - values[j]) > 1e-6 * np.abs(values).max() for j in kept):
            kept.append(k)
    return kept
