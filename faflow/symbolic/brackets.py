"""A rule at one point modulo a prime: its velocities there, and the Lie brackets of them."""

from fractions import Fraction

import numpy as np

from ..matrices import Jet, Span
from ..matrices.jets import residues
from ..matrices.residues import P, draw
from ..nets import linear, replaced
from ..rules import SignFA
from .problems import (
    any_loss,
    exactly,
    exactly_shaped,
    gate_layers,
    gates,
    one_or_more,
    only_polynomials,
    phi_and_scope,
    problem_task,
    samples_add_up,
    steady,
    with_numbers,
)

MEMORY = 2e8
"""Bytes that one matrix of a batch of brackets may take."""


class Point:
    """A state of a rule modulo the prime, where its velocities are taken for random data.

    The state is random, or `at`; the feedback is random, or the rule's own if it has any.  With
    decay or friction, u = e^t is one more coordinate, so that laws may depend on time.
    """

    def __init__(self, rule, sizes, rng, *, activation="linear", bias=False, at=None):
        activity, degree, self.scope = phi_and_scope(activation)
        if degree is None:
            raise ValueError(
                f"Brackets need velocities that are polynomials, but {activity.name} gives none."
            )
        self.gates = degree if activity is None else None
        self.sizes, self.activation, self.bias = sizes, activation, bias
        rule = exactly(rule, len(sizes) - 1)
        self.given, self.exact = bool(rule.B), rule.B
        self.rounded = not all(map(_whole_or_exact, rule.B))
        shapes = rule.fixed(sizes)
        if self.given:
            self.exact = exactly_shaped(rule.B, shapes, "Feedback")
        B = _residues(self.exact) if self.given else _drawn(rng, shapes)
        self.rule = replaced(with_numbers(rule, _as_integer_or_fraction), B=B)
        shapes = rule.state(sizes, bias)
        signs = any(isinstance(one, SignFA) for one in (rule, getattr(rule, "of", None)))
        self.w = _drawn(rng, shapes, whole=signs)
        with only_polynomials(rule):
            self.timed = any(V.parts[0].any() for V in self._still())
            self.data = self._scope_of_data(rng.spawn(1)[0])
        if at is not None:
            at = exactly_shaped(at, shapes, "The start")
            self.w = _residues(at)
            if signs:
                _check_signs(at)
        self.at = at
        self.state = (*self.w, Jet({0: np.ones((1, 1, 1))})) if self.timed else self.w
        self.dimension = sum(int(np.prod(W.shape)) for W in self.state)

    def _data(self, draw_columns):
        """{name: matrix} of all that data are: inputs, slopes, errors and targets."""
        depth, made = len(self.sizes) - 1, {}
        if self.gates is not None:
            layers = gate_layers(self.rule, depth, "G")
            made = {name: draw_columns(self.sizes[k]) for name, k in layers.items()}
        put = lambda name: made.setdefault(name, draw_columns(self.sizes[0]))
        one_or_more("X", self.rule.inputs(depth), put)
        return made | {name: draw_columns(self.sizes[-1]) for name in "EY"}

    def _velocities(self, data, w):
        return self.rule(self._task(data), w)

    def _task(self, data):
        depth, phi = len(self.sizes) - 1, linear
        if self.gates is not None:
            phi = gates(self.rule, depth, data, self.gates, "G")
        X = one_or_more("X", self.rule.inputs(depth), data.get)
        return problem_task(X, data["Y"], phi, any_loss(data["E"]), self.bias)

    def _still(self):
        """The velocities without data: of decay and friction alone."""
        return self._velocities(self._data(lambda n: Jet({0: np.zeros((1, n, 1))})), self.w)

    def _scope_of_data(self, rng):
        """For which data all is that is found for one sample: all, if samples add up.

        For rules of one's own the velocities of two and of three are compared with their sums.
        """
        if samples_add_up(self.rule):
            return "all data"
        data = self._data(lambda n: Jet({0: draw(rng, 1, n, 1)}))
        steady(self.rule, self._task(data), self.w)
        still = self._still()
        for count in (2, 3):
            data = self._data(lambda n: Jet({0: draw(rng, 1, n, count)}))  # noqa: B023
            rest = [V - U for V, U in zip(self._velocities(data, self.w), still, strict=True)]
            for j in range(count):
                one = {n: M.map(lambda x, j=j: x[..., j : j + 1]) for n, M in data.items()}
                alone = self._velocities(one, self.w)
                rest = [R - V + U for R, V, U in zip(rest, alone, still, strict=True)]
            if any(M.any() for R in rest for M in R.parts.values()):
                return "one sample"
        return "all data, as samples add up (2 and 3 tried)"

    def field(self, batch, rng):
        """A batch of velocities, as functions of the state: one sample, error and pattern each."""
        data = self._data(lambda n: Jet({0: draw(rng, batch, n, 1)}))

        def velocity(state):
            if self.timed:
                return (*self._velocities(data, state[:-1]), state[-1])
            return self._velocities(data, state)

        return velocity

    def directions(self, batch, rng):
        """Random tangent vectors of the state."""
        return tuple(Jet({0: draw(rng, batch, *W.shape)}) for W in self.state)

    def flat(self, vectors, batch):
        """(batch, dimension) of tangent vectors."""
        rows = []
        for V, W in zip(vectors, self.state, strict=True):
            M = V.parts.get(0, np.zeros((1, 1, 1)))
            rows.append(np.broadcast_to(M, (batch, *W.shape)).reshape(batch, -1))
        return np.concatenate(rows, 1)


def bracket(fields, state, used=0):
    """[F_k, [..., [F_2, F_1]]] at `state`, up to sign, with as many nilpotents as brackets."""
    *inner, last = fields
    if not inner:
        return last(state)
    parts = [V.split(used) for V in bracket(inner, moved(state, last(state), used), used + 1)]
    back = last(moved(state, tuple(here for here, _ in parts), used))
    return tuple(rate - V.split(used)[1] for (_, rate), V in zip(parts, back, strict=True))


def moved(state, velocity, nilpotent):
    """The state plus ε times the velocity."""
    return tuple(W.moved(V, nilpotent) for W, V in zip(state, velocity, strict=True))


def lie_rank(point, rng, *, target=None, deepest=12):
    """Rank of the left-normed brackets at the point: (rank, ranks by depth).

    It stops where `target` is reached, or where a whole depth adds nothing.  Modulo the prime it
    is at most the rank at a generic point over the rationals, whatever the draws.
    """
    span, history = Span(point.dimension), []
    target = point.dimension if target is None else target
    while len(history) < deepest and span.rank < target:
        depth = len(history) + 1
        room = int(MEMORY / 8 / point.dimension / 2 ** (depth - 1))
        while span.rank < target:
            batch = min(target - span.rank + 2, max(8, room))
            fields = [point.field(batch, rng) for _ in range(depth)]
            added = span.add(point.flat(bracket(fields, point.state), batch))
            if added < batch:
                break
        history.append(span.rank)
        if depth > 1 and history[-1] == history[-2]:
            break
    return span.rank, history


def _drawn(rng, shapes, whole=False):
    return tuple(Jet({0: draw(rng, 1, *s)}, whole) for s in shapes.values())


def _residues(matrices):
    return tuple(Jet({0: residues(M)[None]}, whole=_whole(M)) for M in matrices)


def _whole(M):
    """Whether a matrix is in integers that are their own residues."""
    return all(x == int(x) and abs(x) < P // 2 for x in M.ravel())


def _check_signs(at):
    """Raise ValueError unless the residues of these weights have the signs of the weights."""
    if not all(_whole(W) and W.all() for W in at):
        raise ValueError("With sign feedback the start must be in integers other than 0.")


def _whole_or_exact(M):
    """Whether the entries are meant to the last digit: objects, or whole numbers."""
    return M.dtype == object or bool((np.rint(M) == M).all() and (np.abs(M) <= 2**53).all())


def _as_integer_or_fraction(number):
    return int(number) if number == int(number) else Fraction(number)
