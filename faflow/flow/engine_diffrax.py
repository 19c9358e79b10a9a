"""The diffrax engine: compiled by JAX, for accelerators and repeated runs."""

from collections import Counter
from contextlib import nullcontext
from functools import cache, lru_cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from .compiled import kept
from .conserve import Keeper
from .control import excess, judged, norms, velocity
from .free import Free
from .keeping import Keeping
from .methods import reach, tableau
from .pairs_diffrax import Pair, Term
from .radius import radius
from .stabilised import method
from .traced import joined, register, split

SOLVERS = {"tsit5": "Tsit5", "dopri5": "Dopri5", "dopri8": "Dopri8", "bosh3": "Bosh3"}
SOLVERS |= {"rkc2": "RKC2", "rock4": "ROCK4"}
STABILISED = ("rkc2", "rock4")

ROOM = 2**21
"""Bytes in which a compiled function keeps the states at times asked for."""

SMALL = 10_000
"""Entries up to which arrays and states count as small."""

COUNTS = "filled", "accepted", "tries", "evaluations", "stuck"
"""What a compiled run counts: slots filled, steps, and whether it can go on."""

TRACED = Counter()
"""How often each function was compiled."""


@cache  # versions are read from files
def name():
    return f"diffrax {version('diffrax')}, jax {version('jax')}"


def has_accelerator():
    """Whether JAX can be imported and its default device is not a CPU."""
    import jax

    return jax.default_backend() != "cpu"


def order(solver):
    """Powers of the step that its error estimate falls with."""
    if solver in STABILISED:
        return method(solver).error_order
    return tableau(solver).order


@cache
def stable(solver):
    """How far along the negative axis an explicit solver is stable, or None for others."""
    return None if solver in STABILISED else reach(tableau(solver).A, tableau(solver).b)


class Stepper:
    """A run on its way, at the state ``w`` at time ``t``.

    control, beside: as in the SciPy engine.
    """

    def __init__(self, rule, task, t, w, *, solver, control, beside=None, keeping=None):
        import jax

        register(jax)
        plan, given = split(rule, task)
        self.control, self.jax, self.single = control, jax, control.single
        self.slots = max(1, min(32, ROOM // sum(W.nbytes for W in w)))
        fixed = control.step is not None
        bounded = solver in STABILISED and radius(rule, task, w) is not None
        fine = control.rtol if solver in STABILISED else None
        laws, values = (), None
        if keeping is not None:
            keeper = keeping.keeper
            laws = keeper.kept, keeper.shortcuts is not None
            spans = keeper.free.spans, keeper.free.fixed
            values = keeper.shortcuts, spans, keeping.targets, keeping.rates, keeping.start
        self.away, self.corrected, self.kept = None, 0.0, keeping is not None
        kind = solver, fine, bounded, fixed, laws, control.single
        self.compiled = Compiled.of(plan, kind, self.slots, beside is not None)
        with jax.enable_x64(True):  # for these calls only: the user's own precision stays
            state = tuple(w) if beside is None else (*w, np.asarray(beside, dtype=float))
            if self.single:
                given = jax.tree.map(np.float32, given)
            self.given = jax.tree.map(at_hand, given)
            self.values = jax.tree.map(np.asarray, values)
            self.now = float(t), state, None
        self.many, self.more = len(w), beside is not None
        # steps before the run is looked at, which costs as much as many small ones
        self.first = 64 if sum(W.size for W in state) > SMALL else 512
        self.reached, self.stuck = [], None
        self.accepted, self.tries, self.evaluations = 0, 0, 0

    @property
    def t(self):
        return self.now[0]

    @property
    def w(self):
        return tuple(np.asarray(W) for W in self.now[1][: self.many])

    @property
    def beside(self):
        return np.asarray(self.now[1][-1]) if self.more else None

    def advance(self, stops, most):
        """Go on to `stops` in at most so many tries, adding the states at those `reached`."""
        control, (t, state, memory) = self.control, self.now
        count = min(len(stops), self.slots)
        padded = np.full(self.slots, np.inf)
        padded[:count] = stops[:count]
        size = control.h if control.step is None else control.step
        steps = [np.float64(x) for x in (size, control.previous)]
        limits = np.float64(control.rtol), control.floors
        # single precision is to be that, and not what accelerators make of it for speed
        whole = self.jax.default_matmul_precision("highest") if self.single else nullcontext()
        with self.jax.enable_x64(True), whole, self.compiled.cached(self.given, state):
            fresh = memory is None
            if fresh:
                memory = self.compiled.memory(self.given, state)
            state, memory, saved, numbers = self.compiled.advance(
                self.given,
                np.float64(t),
                state,
                (memory, np.bool_(fresh)),
                (*steps, np.bool_(control.held)),
                limits,
                (padded, np.int64(count), np.int64(most)),
                self.values,
            )
            numbers = np.asarray(numbers)
            t, *steps, filled, accepted, tries, spent, stuck, corrected = numbers[:10].tolist()
            filled = int(filled)
            saved = tuple(map(np.asarray, saved)) if filled else ()
        self.now = float(t), state, memory
        state = lambda k: tuple(np.array(W[k]) for W in saved[: self.many])
        self.reached += [(stops[k], state(k)) for k in range(filled)]
        if control.step is None:
            control.h, control.previous = map(float, steps[:2])
            control.held = bool(steps[2])
        self.accepted += int(accepted)
        if self.kept:
            self.away = np.fmax(numbers[10:], 0 if self.away is None else self.away)
            self.corrected = max(self.corrected, float(corrected))
        self.tries += int(tries)
        self.evaluations += int(spent)
        if stuck:
            self.stuck = "the step size went to zero"
            if control.step is not None:
                self.stuck = "a step of this size overflows"


stepper = Stepper


def at_hand(x):
    """Where compiled functions take it from: large arrays are moved once, small ones each time."""
    import jax

    small = np.size(x) <= SMALL and jax.default_backend() == "cpu"
    return x if small else jax.device_put(x)


class Compiled:
    """What is compiled for one kind of problem: tolerances, times and data are traced."""

    @staticmethod
    @lru_cache(maxsize=64)
    def of(*what):
        return Compiled(*what)

    def __init__(self, plan, kind, slots, more):
        import jax

        solver, rtol, bounded, self.fixed, self.laws, self.single = kind
        self.plan, self.slots, self.more = plan, slots, more
        self.order = order(solver)
        self.term: Any
        self.solver: Any
        if solver in STABILISED:
            from diffrax import ODETerm

            from . import stabilised_diffrax

            made = getattr(stabilised_diffrax, SOLVERS[solver])
            self.solver, self.stages = made(self.radius if bounded else None, rtol), None
            self.term = ODETerm(self.field)
        else:
            self.term, self.solver = Term(self.field), Pair(tableau(solver))
            self.stages = self.solver.stages
        self.advance, self.memories, self.shapes = jax.jit(self._advance), {}, set()

    def field(self, t, state, given):
        import jax.numpy as jnp

        many = len(state) - self.more
        if not self.single:
            return velocity(*joined(self.plan, given), state, many, jnp)
        # steps shorter than rounding in single precision would be lost, so states are not
        made = velocity(
            *joined(self.plan, given), [W.astype(jnp.float32) for W in state], many, jnp
        )
        return tuple(jnp.asarray(V, float) for V in made)

    def radius(self, t, state, given):
        """A bound on the spectral radius of the field's Jacobian."""
        import jax.numpy as jnp

        rule, task = joined(self.plan, given)
        return jnp.asarray(radius(rule, task, state[: len(state) - self.more]))

    def cached(self, given, state):
        """Where what is compiled for these shapes is kept, or nothing if it is already here."""
        import jax

        shapes = tuple(map(np.shape, jax.tree.leaves((given, state))))
        if shapes in self.shapes:
            return nullcontext()
        self.shapes.add(shapes)
        return kept()

    def memory(self, given, state):
        """Room for what the solver takes from one step to the next."""
        import jax

        shapes = tuple(W.shape for W in state)
        if shapes not in self.memories:
            begin = lambda g, s: self.solver.init(self.term, 0.0, 1.0, s, g)
            made = jax.eval_shape(begin, given, state)
            self.memories[shapes] = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), made)
        return self.memories[shapes]

    def keeping(self, given, values):
        """The laws to return to after each step, or None."""
        if not self.laws:
            return None
        shortcuts, spans, targets, rates, start = values
        keeper = Keeper(self.laws[0], shortcuts if self.laws[1] else None, Free(*spans))
        return Keeping(keeper, joined(self.plan, given)[0], targets, rates, start)

    def _advance(self, given, t, state, memory, steps, limits, asked, values):
        """Up to so many tries, over times asked for; what is carried on, states saved, numbers."""
        import jax
        import jax.numpy as jnp

        TRACED[self.plan] += 1
        (rtol, floors), (stops, count, most) = limits, asked
        sizes = lambda state: norms(state, len(state) - self.more, jnp)
        kept, fresh = memory
        keeping = self.keeping(given, values)
        began = self.solver.init(self.term, t, t + steps[0], state, given)
        select = lambda yes, a, b: jax.tree.map(partial(jnp.where, yes), a, b)
        saved = tuple(jnp.zeros((self.slots, *W.shape)) for W in state)
        # as one vector, which costs one kernel a step: time, steps planned and made, counts
        packed = lambda *numbers: jnp.stack([jnp.asarray(x, float) for x in numbers])
        start = {
            "numbers": packed(t, *steps, *[0] * len(COUNTS)),
            "state": state,
            "memory": select(fresh, began, kept),
            "before": sizes(state),
            "saved": saved,
            "kept": (jnp.zeros(len(self.laws[0]) if self.laws else 0), jnp.zeros(())),
        }

        def goes_on(now):
            filled, _, tries, _, stuck = now["numbers"][-len(COUNTS) :]
            return (filled < count) & (tries < most) & (stuck == 0)

        def step(now):
            t, planned, previous, held, filled, accepted, tries, spent, _ = now["numbers"]
            held, slot = held != 0, filled.astype(int)
            stop, cost, steps = stops[slot], self.stages, (planned, previous, held)
            if cost is None:
                longest = self.solver.longest(t, now["state"], given, now["memory"])
                planned = jnp.minimum(planned, longest)
            last = t + planned >= stop
            h = jnp.where(last, stop - t, planned)
            end = jnp.where(last, stop, t + h)
            made, errors, _, memory, _ = self.solver.step(
                self.term, t, end, now["state"], given, now["memory"], False
            )
            if cost is None:
                cost = self.solver.spent(memory) - self.solver.spent(now["memory"])
            moved, kept = 0.0, now["kept"]
            if keeping is not None:
                many = len(made) - self.more
                back, away = keeping.returned(end, made[:many], jnp, jax.lax.while_loop)
                both = zip(made[:many], back, strict=True)  # what is left alone is the same object
                apart = [0.0 if a is b else jnp.linalg.norm(a - b) for a, b in both]
                moved, made = jnp.stack(apart), (*back, *made[many:])
                share = rtol * excess(moved, now["before"], sizes(made), floors, rtol, jnp)
                kept = jnp.fmax(jnp.stack(away), kept[0]), jnp.fmax(share, kept[1])
            after = sizes(made)
            finite = jnp.isfinite(after.sum())
            if self.fixed:
                stands, stuck = finite, ~finite
            else:
                error = excess(
                    jnp.maximum(sizes(errors), moved), now["before"], after, floors, rtol, jnp
                )
                error = jnp.where(finite, error, jnp.nan)
                stands, *steps = judged(h, planned, error, previous, held, self.order, jnp)
                stuck = ~(t + steps[0] > t)
            row = lambda rows, W: jax.lax.dynamic_update_index_in_dim(rows, W, slot, 0)
            counts = filled + (stands & last), accepted + stands, tries + 1, spent + cost, stuck
            return {
                "numbers": packed(jnp.where(stands, end, t), *steps, *counts),
                "state": select(stands, made, now["state"]),
                "memory": select(stands, memory, now["memory"]),
                "before": jnp.where(stands, after, now["before"]),
                "saved": jax.tree.map(row, now["saved"], made),
                "kept": select(stands, kept, now["kept"]),
            }

        now: Any = jax.lax.while_loop(goes_on, step, start)
        away, corrected = now["kept"]
        numbers = jnp.concatenate([now["numbers"], corrected[None], away])
        return now["state"], now["memory"], now["saved"], numbers
