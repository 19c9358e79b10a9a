"""A piecewise linear network held in one smooth piece, every kinked unit on a side or at its kink.

At a kink, z = 0, the slope is any between the two: the velocity is what Filippov's convex
combination allows.  The slope enters only as the error e that the unit passes on to its weights and
to the layer below, and a rule that carries errors linearly is affine in all such e, at any depth.
So a unit that slides is given the e that keeps dz/dt = 0, by a linear system; its slope, e over the
error carried to it, is then looked at.  Where several layers slide their slopes multiply, each
being one number for all places where it enters: Utkin's equivalent control, to which smoothed
activations tend.  With one hidden layer it is Filippov's convex hull itself.
"""

import numpy as np

from ..matrices import with_ones
from ..nets import Activation, forward, replaced
from ..rule import outgoing
from .response import carries, inverse, response
from .ties import NOT_TIED, Tied

NOISE = 1e-12
"""Share of the largest error carried to a kink below which one may be rounding, or of steps."""

FAINT = 10
"""Times that size up to which errors are near to rounding."""

SOLVED = 1e-12
"""How small dz/dt is made where z slides, relative to the largest there is."""


class Piece:
    """The flow of `rule` with its kinked pre-activations held in a pattern.

    side: +1 above its kink, -1 below it, 0 sliding along it; one for each pre-activation of the
        layers with kinks, as all other flat arrays here.
    own: which of them have a kink of their own, and are not `Tied` to another's.
    noise: size below which an error that is carried to a kink may be rounding.
    """

    def __init__(self, rule, task, w, side=None):
        self.rule, self.task = rule, task
        self.X = with_ones(task.X) if task.bias else task.X
        hidden = forward(task, rule.weights(w))[0]
        self.depth = len(hidden)
        self.layers = tuple(k for k in range(self.depth) if not task.activation(k).smooth)
        self.shapes = [hidden[k].shape for k in self.layers]
        self.index = (
            np.concatenate(
                [
                    np.stack([np.full(n * s, k), *(i.ravel() for i in np.indices((n, s)))])
                    for k, (n, s) in zip(self.layers, self.shapes, strict=True)
                ],
                axis=1,
            )
            if self.layers
            else np.zeros((3, 0), int)
        )
        self.low, self.high = (self._slopes(sign) for sign in (-1.0, 1.0))
        self._signs = np.sign([float(rule.rate(k)) for k in self.index[0]])
        self.linear, self.tied = carries(rule, w), NOT_TIED
        self.own = np.ones(len(self.low), bool)
        if self.layers:
            lowest = Tied.of(task, rule.weights(w), self.layers[0])
            own = self.split(self.own)[self.layers[0]]
            own[:, lowest.nothing] = False
            if self.linear:
                own[:, lowest.other] = False
                self.tied = lowest
        self.evaluations, self.noise, self._known = 0, 0.0, {}
        self._chance = np.random.default_rng(0).choice((-1, 1), (len(task.Y), task.X.shape[1]))
        self.hold(np.where(self.flat(hidden) > 0, 1, -1) if side is None else side)

    def _slopes(self, sign):
        pull = lambda k, one: self.task.activation(k).pull(sign * one, one)
        made = zip(self.layers, self.shapes, strict=True)
        return np.concatenate([pull(k, np.ones(shape)).ravel() for k, shape in made])

    def flat(self, layers):
        """The entries of one matrix for each hidden layer, those of layers with kinks."""
        if len(self.layers) == 1:
            return layers[self.layers[0]].ravel()
        return np.concatenate([layers[k].ravel() for k in self.layers])

    def split(self, values):
        """{layer: matrix} of a flat array."""
        if len(self.layers) == 1:
            return {self.layers[0]: values.reshape(self.shapes[0])}
        cuts = np.cumsum([n * s for n, s in self.shapes])[:-1]
        parts = zip(self.layers, np.split(values, cuts), self.shapes, strict=True)
        return {k: part.reshape(shape) for k, part, shape in parts}

    def hold(self, side, errors=None):
        """Take the pattern `side`; `errors`: a first guess of what sliding units pass on."""
        self.side = np.array(side, np.int8)
        slope = np.where(self.side > 0, self.high, self.low) * (self.side != 0)
        self.slope = self.split(slope)
        if self.tied:
            first, other, c = self.tied[:3]
            lowest = self.layers[0]
            held, slopes = self.split(self.side)[lowest], self.slope[lowest]
            held[:, other] = np.sign(c).astype(np.int8) * held[:, first]
            both = self.split(self.low + self.high)[lowest][:, other]
            slopes[:, other] = np.where(c > 0, slopes[:, first], both - slopes[:, first])
        slides = (self.side == 0) & self.own
        self.sliding = np.flatnonzero(slides)
        self.errors = np.zeros(len(self.side)) if errors is None else errors * slides
        self._passed = self.split(self.errors)
        self.carried = {k: np.zeros(s) for k, s in zip(self.layers, self.shapes, strict=True)}
        phi = [
            self._held(k) if k in self.slope else self.task.activation(k) for k in range(self.depth)
        ]
        self.held = replaced(self.task, phi=tuple(phi))
        self.first_alone = self.linear and not self.index[0, self.sliding].any()

    def _held(self, k):
        """The layer's activation: zero where it slides, and passing on the given errors there."""
        slope, passed = self.slope[k], self._passed[k]

        tied = self.tied if k == self.layers[0] else NOT_TIED

        def pull(z, error):
            self.carried[k] = error + error[:, tied.other] @ tied.sums if tied else error
            return slope * error + passed

        return Activation("held", lambda z: slope * z, pull, 1, smooth=False)

    def velocity(self, w):
        """dw/dt, the errors of sliding units solved for, anew at every call."""
        if not np.isfinite(self.errors).all():  # left by a step too large, taken back
            self.errors[:] = 0
        v = self.held_velocity(w)
        if not len(self.sliding):
            return v
        if self.first_alone:
            return self._kept_first(v)
        for _ in range(2):  # the second for what rounding left
            rates = self.rates(w, v)
            if abs(rates[self.sliding]).max() <= SOLVED * abs(rates).max():
                break
            made = inverse(response(self, w, self.sliding))
            self.errors[self.sliding] -= made @ rates[self.sliding]
            v = self.held_velocity(w)
        return v

    def held_velocity(self, w):
        self.evaluations += 1
        return self.rule(self.held, w)

    def _kept_first(self, v):
        """The same where only the first layer slides: its rows alone move with those errors.

        Unit by unit dz/dt is XᵀX e and what does not depend on e, the same matrix at all times.
        """
        X, rate = self.X, self.rule.rate(0)
        moved = np.zeros(self.shapes[0])
        _, units, samples = self.index[:, self.sliding]
        for unit in np.unique(units):
            at = samples[units == unit]
            moved[unit, at] = -self._gram(unit, at, X) @ (v[0][unit] @ X[:, at]) / rate
        self.errors[self.sliding] += moved[units, samples]
        return (v[0] + rate * (moved @ X.T), *v[1:])

    def _gram(self, unit, at, X):
        """(XᵀX)⁻¹ for the samples that slide at a unit, kept while they are the same."""
        key = at.tobytes()
        if self._known.get(unit, (None,))[0] != key:
            self._known[unit] = key, inverse(X[:, at].T @ X[:, at])
        return self._known[unit][1]

    def seen(self):
        """Errors passed on and carried, as last evaluated, for `see` to go back to."""
        return self.errors.copy(), dict(self.carried)

    def see(self, seen):
        self.errors[:], self.carried = seen[0], dict(seen[1])

    def scales(self, w):
        """|W| · |input| of each layer, and how fast an error of 1 moves W, by its size, flat."""
        norm, weights = np.linalg.norm, self.rule.weights(w)[:-1]
        inputs = [norm(a, axis=0) for a in self.inputs[: len(weights)]]
        sizes = [norm(W) * a for W, a in zip(weights, inputs, strict=True)]
        pulls = [
            abs(self.rule.rate(k)) * a / (norm(W) or np.inf)
            for k, (W, a) in enumerate(zip(weights, inputs, strict=True))
        ]
        every = lambda rows: [np.tile(x, (len(W), 1)) for x, W in zip(rows, weights, strict=True)]
        return self.flat(every(sizes)), self.flat(every(pulls))

    def hear(self, w):
        """Note what errors may be rounding, from those last carried, at `w`.

        Of outputs what is summed to these may be wrong by a share, and their errors by what is of
        it, which is most of them where they are small, as where a task is learned: this is carried
        down, too, by a rule that does so linearly.
        """
        task, weights = self.held, self.rule.weights(w)
        hidden, inputs, f = forward(task, weights)
        summed = abs(task.output_scale) * (abs(weights[-1]) @ abs(inputs[-1]))
        share = 1e-3 / max(1e3, summed.max())
        e = task.loss.error(f, task.Y)
        change = abs(task.loss.error(f + share * summed, task.Y) - e) / share
        largest, size = abs(self.flat(self.carried)).max(initial=0), abs(e).max()
        if self.linear:
            wrong = self._carried_down(w, hidden, task.output_scale * change)
            largest = max(largest, abs(self.flat(wrong)).max(initial=0))
        elif size:
            largest *= max(1.0, change.max() / size)
        self.noise = NOISE * largest

    def _carried_down(self, w, hidden, sizes):
        """{layer: errors} for errors of outputs of such sizes, and signs that tell of nothing."""
        output = E = sizes * self._chance
        made = {}
        for k in reversed(range(self.depth)):
            made[k] = self.rule.carry(w, k, E, output)
            E = self.slope_at(k, hidden[k]) * made[k]
        return made

    def forward(self, w):
        """Pre-activations and inputs of the hidden layers, kept for what comes next."""
        enter = with_ones if self.task.bias else lambda a: a
        self.hidden, self.inputs = [], [self.X]
        for k, W in enumerate(self.rule.weights(w)[:-1]):
            self.hidden.append(W @ self.inputs[k])
            self.inputs.append(enter(self.held.activation(k).f(self.hidden[k])))

    def rates(self, w, v):
        """dz/dt, flat, where the weights move by `v`; that of what slides adds nothing above it."""
        self.forward(w)
        weights, moved = self.rule.weights(w), self.rule.weights(v)
        rates = [moved[0] @ self.X]
        for k in range(1, len(self.hidden)):
            change = self.slope_at(k - 1, self.hidden[k - 1]) * rates[-1]
            rates.append(moved[k] @ self.inputs[k] + outgoing(weights, k - 1) @ change)
        return self.flat(rates)

    def z(self, w):
        """The pre-activations, flat."""
        self.forward(w)
        return self.flat(self.hidden)

    def sizes(self, w):
        """|row of W| · |input|, flat: what z, last computed, is small against."""
        norms = lambda W, a: np.outer(np.linalg.norm(W, axis=1), np.linalg.norm(a, axis=0))
        pairs = zip(self.rule.weights(w)[:-1], self.inputs, strict=False)
        return self.flat([norms(W, a) for W, a in pairs])

    def returned(self, w):
        """`w` with what slides put back on its kink, by the least change of each unit's weights.

        That change is along inputs at which the weights are zero, so that it alters the square of
        their norm, and with it a neuron's law, only by the square of what is put right; the law of
        the layer below, which has these weights in its potential, by as much as is put right.
        """
        made = list(w)
        layer, unit, sample = self.index[:, self.sliding]
        for k in np.unique(layer):
            self.forward(made)
            z, inputs = self.hidden[k], self.inputs[k]
            made[k] = made[k].copy()
            for i in np.unique(unit[layer == k]):
                at = sample[(layer == k) & (unit == i)]
                a = inputs[:, at]
                made[k][i] -= z[i, at] @ inverse(a.T @ a) @ a.T
        return tuple(made)

    def sliding_shares(self):
        """Masks of what slides, as last seen; those between 0 and 1 are slopes there are."""
        n = self.sliding
        with np.errstate(all="ignore"):
            slope = self.errors[n] / self.flat(self.carried)[n]
            return (slope - self.low[n]) / (self.high - self.low)[n]

    def gains(self):
        """What each unit is pushed up by for being above its kink and not below, flat.

        In units of the rate of its layer.  Less than nothing where the kink attracts by itself.
        """
        return self._signs * (self.high - self.low) * self.flat(self.carried)

    def unsure(self):
        """By how much the masks of what slides are wrong for errors that may be rounding."""
        n = self.sliding
        with np.errstate(all="ignore"):
            size = abs((self.high - self.low) * self.flat(self.carried))[n]
            return np.fmin(1.0, self.noise / size)

    def shares(self):
        """Masks, flat, as last seen: 1 above the kink, 0 below, sliding units between."""
        made = (self.side > 0).astype(float)
        made[self.sliding] = self.sliding_shares()
        if self.tied:
            first, other, c = self.tied[:3]
            shares = self.split(made)[self.layers[0]]
            shares[:, other] = np.where(c > 0, shares[:, first], 1 - shares[:, first])
        return made

    def unreached(self, w):
        """Where the input of a unit is zero to rounding, flat."""
        self.forward(w)
        norms = [np.linalg.norm(a, axis=0) for a in self.inputs[:-1]]
        none = [n <= 1e-13 * n.max() for n in norms]
        return self.flat([np.tile(x, (len(z), 1)) for x, z in zip(none, self.hidden, strict=True)])

    @property
    def faint(self):
        """Size up to which an error that is carried to a kink may be rounding, or nearly so."""
        return FAINT * self.noise

    def noisy_rates(self):
        """How large dz/dt is for errors that may be rounding, flat, by the inputs last seen."""
        norms = [np.linalg.norm(a, axis=0) for a in self.inputs[:-1]]
        made = [abs(self.rule.rate(k)) * n * np.linalg.norm(n) for k, n in enumerate(norms)]
        pairs = zip(made, self.hidden, strict=True)
        return self.noise * self.flat([np.tile(x, (len(z), 1)) for x, z in pairs])

    def slope_at(self, k, z):
        return (
            self.slope[k] if k in self.slope else self.task.activation(k).pull(z, np.ones_like(z))
        )
