"""Discrete training of linear networks of any width, in the variables of `reduction`."""

from numbers import Integral, Real

import numpy as np

from .reduction import Schedule, error_of, parts_of, reduced, schedule_of, start_of


def reduced_steps(overlaps, *, eta, steps, every=None, penalties=None, start=None):
    """`reduced_flow` for discrete steps of size `eta`: exactly what `iterate` does, at any width.

    every: keep every so many steps, a divisor of `steps`, and the start; None keeps the end only.
    start: a `Reduced` of the same overlaps, from whose last states to go on, at time 0.
    Returns `Reduced`.  Raises RuntimeError when a network overflows.
    """
    every = steps if every is None else every
    _check_steps(eta, steps, every)
    if steps % every:
        raise ValueError(f"steps must be a multiple of every, but are {steps} and {every}.")
    schedule = schedule_of(overlaps, penalties)
    state = start_of(overlaps, schedule)
    if start is not None:
        if start.overlaps is not overlaps or start.states.shape[1:] != state.shape:
            raise ValueError("start must be of the same overlaps and as many penalties.")
        state = start.states[-1]
    stepper = _Stepper(overlaps, state, eta, schedule)
    states = [stepper.state()]
    for _ in range(steps // every):
        stepper.go(every)
        states.append(stepper.state())
    ts = eta * every * np.arange(len(states))
    taken = np.full(states[0].shape[:2], every * (len(states) - 1))
    return reduced(overlaps, ts, np.array(states), taken)


def until_settled(overlaps, *, eta, steps, block, change, penalties=None, most=1000):
    """`reduced_steps`, and then blocks of steps until the mean of e² changes by less in one.

    The stopping rule of the published experiments: each network stops by itself, after `steps` and
    as many blocks as it needs, when over its last block |e|²/n has changed by less than `change`.
    Returns `Reduced` with the single time nan, the steps differing.  Raises RuntimeError when a
    network overflows or takes more than `most` blocks.
    """
    _check_steps(eta, steps, block)
    schedule = schedule_of(overlaps, penalties)
    if schedule.jumps:
        raise ValueError("The stopping rule is for penalties that are constant in time.")
    stepper = _Stepper(overlaps, start_of(overlaps, schedule), eta, schedule)
    stepper.go(steps)
    final = stepper.state()
    losses = np.mean(error_of(overlaps, final) ** 2, -1)
    taken, going = np.full(losses.shape, steps), np.full(losses.shape, True)
    rows, columns = np.arange(going.shape[0]), np.arange(going.shape[1])
    for _ in range(most):
        stepper.go(block)
        reached = final.copy()
        reached[np.ix_(rows, columns)] = stepper.state()
        final = np.where(going[..., None], reached, final)
        taken[going] += block
        before, losses = losses, np.mean(error_of(overlaps, final) ** 2, -1)
        going &= np.abs(losses - before) >= change
        if not going.any():
            return reduced(overlaps, np.array([np.nan]), final[None], taken)
        now = going[np.ix_(rows, columns)]
        inside = np.flatnonzero(now.any(1)), np.flatnonzero(now.any(0))
        stepper.only(*inside)
        rows, columns = rows[inside[0]], columns[inside[1]]
    raise RuntimeError(f"{going.sum()} networks did not settle in {most} blocks of {block} steps.")


def _check_steps(eta, steps, every):
    if not (isinstance(eta, Real) and np.isfinite(eta) and eta > 0):
        raise ValueError(f"eta must be a positive number, but is {eta!r}.")
    for what, value in {"steps": steps, "every or block": every}.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{what} must be a positive integer, but is {value!r}.")


class _Stepper:
    """Euler steps of all networks at once, in the basis in which each XᵀX is diagonal.

    Ka moves along with a, which leaves one product of matrices a step.
    """

    def __init__(self, overlaps, state, eta, schedule):
        if any(one != 0 for row in schedule.first for one in row):
            raise ValueError("Reduced steps know a penalty on beta alone; reduced_flow knows both.")
        self.eta, self.schedule, self.done = eta, schedule, 0
        values, self.basis = np.linalg.eigh(overlaps.gram)
        turned = lambda v: (v[:, None] @ self.basis)[:, 0]
        self.gram, self.K = values[:, None], self.basis.mT @ overlaps.K @ self.basis
        self.g = turned(overlaps.g)[..., None]
        self.fixed = np.stack([turned(overlaps.q), self.g[..., 0], -turned(overlaps.y)], axis=1)
        self.p, self.bb, self.b_beta = (
            v[:, None] for v in (overlaps.p, overlaps.bb, overlaps.b_beta)
        )
        _, c0, rho, a, u = parts_of(state)
        self.shares = np.concatenate([c0, rho, np.ones_like(rho)], axis=-1)  # of q, g, -y in e
        self.a, self.u = a @ self.basis, u @ self.basis
        self.Ka = self.a @ self.K

    def state(self):
        """As in `Reduced`."""
        c0, rho = self.shares[..., :1], self.shares[..., 1:2]
        parts = [np.ones_like(c0), c0, rho, self.a, self.u]
        if not all(np.isfinite(part).all() for part in parts):
            raise RuntimeError(
                f"A network overflows within {self.done} steps: eta = {self.eta:g} is too large."
            )
        back = self.basis.mT
        return np.concatenate([*parts[:3], self.a @ back, self.u @ back], axis=-1)

    def go(self, steps):
        shape, eta = self.a.shape, self.eta
        K, gram = eta * self.K, np.broadcast_to(eta * self.gram, shape).copy()
        penalty = None
        with np.errstate(all="ignore"):  # an overflow is found by its values
            for k in range(self.done, self.done + steps):
                if penalty is None or self.schedule.jumps:
                    penalty = self.schedule.at(k * eta)[1]
                    kept = np.broadcast_to(1 - eta * penalty[..., None], shape).copy()
                c0, rho = self.shares[..., 0], self.shares[..., 1]
                overlap = c0 * self.b_beta - (self.a @ self.g)[..., 0] + rho * self.bb
                e = self.shares @ self.fixed
                e -= self.Ka
                e -= self.u * (overlap / self.p)[..., None]
                carried = np.vecdot(self.u, e) / self.p
                self.shares[..., 0] -= eta * penalty * c0
                self.shares[..., 1] += eta * (carried - penalty * rho)
                self.a *= kept
                self.a += eta * e
                self.Ka *= kept
                self.Ka += e @ K
                self.u += gram * e
        self.done += steps

    def only(self, rows, columns):
        """Go on with these problems and penalties alone."""
        self.schedule = Schedule(
            [self.schedule.first[i] for i in rows],
            [[self.schedule.second[i][j] for j in columns] for i in rows],
            self.schedule.jumps,
        )
        for name in ("basis", "gram", "K", "g", "fixed", "p", "bb", "b_beta"):
            setattr(self, name, getattr(self, name)[rows])
        for name in ("shares", "a", "Ka", "u"):
            setattr(self, name, getattr(self, name)[np.ix_(rows, columns)])
