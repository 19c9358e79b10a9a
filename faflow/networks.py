"""Networks that are no chain of layers: residual blocks, convolutions, attention, gains.

`On` puts a rule on one of them.  Each network is written once, the error going back through a
matrix W by what the rule has for Wᵀ; so one text is gradient descent and feedback alignment.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .activations import exp
from .draws import generator
from .matrices import inner, scaled
from .nets import layer_names, replaced
from .rule import Rule
from .rules import FA, GD


@dataclass(frozen=True, eq=False)
class On(Rule):
    """A rule on a network: ``On(of=FA(B), network=Residual())``.

    of: GD or FA, without decay and with rates 1.  For FA, B has one matrix for every matrix of the
        network through which the error comes back, in their order, each of the transposed shape.
    network: Residual, Convolution, Attention or Gains.
    """

    of: Any = field(default_factory=GD)
    network: Any = None

    single = True

    @property
    def network_name(self):
        return self.network.title

    @property
    def name(self):
        one = "a " * self.network.title.startswith("network")
        return f"{type(self.of).__name__} on {one}{self.network.title}"

    def __post_init__(self):
        if type(self.of) not in (GD, FA) or self.of.decay != 0 or self.of.rates != 1:
            raise TypeError(f"On needs GD or FA without decay and rates, but has {self.of!r:.60}.")
        if type(self.network) not in NETWORKS.values():
            known = ", ".join(NETWORKS)
            raise TypeError(f"The network must be one of {known}, but is {self.network!r:.60}.")
        if self.B or self.decay != 0 or self.rates != 1:
            raise ValueError("Give B to the rule inside On(of=rule); it has no decay and rates.")
        object.__setattr__(self, "B", self.of.B)

    def velocity(self, task, w):
        if task.bias:
            raise ValueError(f"{self.network.title}: no biases.")
        depth = self.network.depth(len(w))
        plain = depth > 1 and not any(self.gates(depth))
        if plain and any(phi.name != "linear" for phi in task.activations):
            title = self.network.title
            raise ValueError(f"Of {title} no layer has an activation; leave it linear.")
        named = self._named(w)
        passed = [name for name in named if self.network.returns(name)]

        def back(name, error):
            one = slice(passed.index(name), passed.index(name) + 1)
            W = named[name]
            return replaced(self.of, B=self.B[one]).carry((W.T, W), 0, error, None)

        return self.network.velocity(task, named, back)

    def output(self, task, w):
        return self.network.output(task, self._named(w))

    def loss(self, task, w):
        return task.loss.value(self.output(task, w), task.Y)

    def _named(self, w):
        depth = self.network.depth(len(w))
        return dict(zip(self.network.state(self.spaces(depth)), w, strict=True))

    def spaces(self, depth):
        return self.network.spaces(depth)

    def state(self, layers, bias=False):
        return self.network.state(layers)

    def inputs(self, depth):
        return self.network.inputs(depth)

    def gates(self, depth):
        return self.network.gates(depth)

    def fixed(self, layers):
        if isinstance(self.of, GD):
            return {}
        state = self.network.state(layers).items()
        returned = [(n, shape) for n, shape in state if self.network.returns(n)]
        return {f"B{n.removeprefix('W')}": (cols, rows) for n, (rows, cols) in returned}

    def shapes(self, sizes):
        return list(self.fixed(sizes).values())

    def constants(self, w):
        depth = self.network.depth(len(w))
        return dict(zip(self.fixed(self.spaces(depth)), self.B, strict=True))

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, of=GD, network=None, **options):
        """The rule of class `of` on the network, with Gaussian feedback."""
        empty = cls(of=of(), network=network)
        rng = generator(seed, "feedback")
        B = tuple(scale * rng.standard_normal(s) for s in empty.shapes(sizes))
        return cls(of=of(B), network=network, **options)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        """Gaussian matrices of deviation ``scale / sqrt(columns)``; gains are 1."""
        rng = generator(seed, "init")
        draw = lambda n, s: scale * rng.standard_normal(s) / np.sqrt(s[1])
        made = {n: draw(n, s) for n, s in self.network.state(sizes).items()}
        return tuple(np.ones((1, 1)) if n[0] == "g" else W for n, W in made.items())


@dataclass(frozen=True)
class Residual:
    """Blocks x + W₂φ(W₁x), x + W₄φ(W₃x), …: sizes (n, h, n), (n, h₁, n, h₂, n), ….

    The state is (W₁, W₂, W₃, …).
    """

    title = "residual blocks"

    def depth(self, count):
        return count

    def spaces(self, depth):
        if depth % 2:
            raise ValueError(f"A residual network has two layers a block, not {depth} in all.")
        return tuple("in" if k % 2 == 0 else f"h{k // 2 + 1}" for k in range(depth + 1))

    def state(self, layers):
        return {f"W{k + 1}": (n, m) for k, (m, n) in enumerate(pairwise(layers))}

    def returns(self, name):
        return name != "W1"

    def inputs(self, depth):
        return 1

    def gates(self, depth):
        return tuple(1 - k % 2 for k in range(depth - 1))

    def _forward(self, task, w):
        stream, kept = task.X, []
        W = list(w.values())
        for k in range(0, len(W), 2):
            hidden = W[k] @ stream
            active = task.activation(k).f(hidden)
            kept.append((stream, hidden, active))
            stream = stream + W[k + 1] @ active
        return kept, stream

    def output(self, task, w):
        return self._forward(task, w)[1]

    def velocity(self, task, w, back):
        kept, output = self._forward(task, w)
        names, error, moved = list(w), task.loss.error(output, task.Y), []
        for k in range(len(names) - 2, -1, -2):
            below, hidden, active = kept[k // 2]
            inside = task.activation(k).pull(hidden, back(names[k + 1], error))
            moved = [inside @ below.T, error @ active.T, *moved]
            if k:
                error = error + back(names[k], inside)
        return tuple(moved)


@dataclass(frozen=True)
class Convolution:
    """Convolutions, by channels: layer k adds up W_{k,s} times its input s - 1 places further.

    Sizes are numbers of channels.  The first layer acts on patches, and there is one output place;
    X is (`inputs` · patch, samples), the patches of a sample standing below one another.  The
    state is (W₁, W₂,₁, …, W₂,offsets, W₃,₁, …).  Proofs and certificates are for all patches, those
    that overlap included among others.
    offsets: length of the kernels from the second layer on.
    """

    offsets: int = 2

    def __post_init__(self):
        if not isinstance(self.offsets, int) or isinstance(self.offsets, bool) or self.offsets < 1:
            raise ValueError(f"offsets must be a positive integer, but is {self.offsets!r}.")

    @property
    def title(self):
        return f"convolutions of {self.offsets} offsets"

    def depth(self, count):
        return 1 + (count - 1) // self.offsets

    def spaces(self, depth):
        return layer_names(depth)

    def state(self, layers):
        made = {}
        for k, (m, n) in enumerate(pairwise(layers), 1):
            names = [f"W{k}"] if k == 1 else [f"W{k}_{s + 1}" for s in range(self.offsets)]
            made |= dict.fromkeys(names, (n, m))
        return made

    def returns(self, name):
        return name != "W1"

    def inputs(self, depth):
        return (depth - 1) * (self.offsets - 1) + 1

    def gates(self, depth):
        return tuple((depth - 1 - k) * (self.offsets - 1) + 1 for k in range(depth - 1))

    def _forward(self, task, w):
        depth = self.depth(len(w))
        x = parts(task.X, self.inputs(depth))
        hidden, active = [[w["W1"] @ a for a in x]], []
        for k in range(2, depth + 1):
            below = hidden[-1]
            active.append([place(task, k - 2, q).f(z) for q, z in enumerate(below)])
            count = len(below) - self.offsets + 1
            hidden.append([self._sum(w, k, active[-1], q) for q in range(count)])
        return x, hidden, active

    def _sum(self, w, k, active, q):
        terms = [w[f"W{k}_{s + 1}"] @ active[q + s] for s in range(self.offsets)]
        return sum(terms[1:], terms[0])

    def output(self, task, w):
        return self._forward(task, w)[1][-1][0]

    def velocity(self, task, w, back):
        x, hidden, active = self._forward(task, w)
        depth, moved = len(hidden), {}
        errors = [task.loss.error(hidden[-1][0], task.Y)]
        for k in range(depth, 1, -1):
            carried: list = [None] * len(active[k - 2])
            for s in range(self.offsets):
                name = f"W{k}_{s + 1}"
                for q, e in enumerate(errors):
                    moved[name] = added(moved.get(name), e @ active[k - 2][q + s].T)
                    carried[q + s] = added(carried[q + s], back(name, e))
            below = enumerate(zip(hidden[k - 2], carried, strict=True))
            errors = [place(task, k - 2, q).pull(z, c) for q, (z, c) in below]
        for e, a in zip(errors, x, strict=True):
            moved["W1"] = added(moved.get("W1"), e @ a.T)
        return tuple(moved[name] for name in w)


@dataclass(frozen=True)
class Attention:
    """One head of softmax attention at one token: OV Σⱼ αⱼxⱼ, α = softmax((Kxⱼ)ᵀQx).

    Sizes are (token, key, value, output).  X is (tokens · token, samples), the tokens of a sample
    standing below one another, the one that asks last.  The state is (Q, K, V, O); only through O
    does an error go back by feedback, since to Q and K it comes through activities.
    """

    tokens: int = 3

    title = "attention"

    def __post_init__(self):
        if not isinstance(self.tokens, int) or isinstance(self.tokens, bool) or self.tokens < 2:
            raise ValueError(f"tokens must be an integer of at least 2, but is {self.tokens!r}.")

    def depth(self, count):
        return 3

    def spaces(self, depth):
        if depth != 3:
            raise ValueError(f"Attention has sizes (token, key, value, output), not depth {depth}.")
        return "in", "key", "value", "out"

    def state(self, layers):
        token, key, value, output = layers
        return {"Q": (key, token), "K": (key, token), "V": (value, token), "O": (output, value)}

    def returns(self, name):
        return name == "O"

    def inputs(self, depth):
        return 3

    def gates(self, depth):
        return 0, 0

    def output(self, task, w):
        columns = [w["O"] @ w["V"] @ y for _, y, _, _ in self._seen(task, w)]
        return columns[0].__array_namespace__().concat(columns, axis=1)

    def _seen(self, task, w):
        """Of every sample the token that asks, the tokens' mean by α, the tokens and α."""
        for k in range(task.X.shape[1]):
            X = task.X[:, k].reshape(self.tokens, -1).T
            x = X[:, -1:]
            scores = (w["K"] @ X).T @ (w["Q"] @ x)
            weights = exp(scores - scores.max())
            weights = weights / weights.sum()
            yield x, X @ weights, X, weights

    def velocity(self, task, w, back):
        """With what x asks, sees (y) and is pulled to (z): Q̇ = Kzxᵀ, K̇ = Qxzᵀ, V̇ = B e yᵀ."""
        if isinstance(task.X, tuple):  # any tokens and attention: then y and z are arbitrary
            x, y, z = task.X
            return self._moved(w, back, x, y, z, task.loss.error(w["O"] @ w["V"] @ y, task.Y))
        parts = []
        for k, (x, y, X, weights) in enumerate(self._seen(task, w)):
            e = task.loss.error(w["O"] @ w["V"] @ y, task.Y[:, k : k + 1])
            told = (w["V"] @ X).T @ back("O", e)
            z = X @ (weights * (told - (weights * told).sum()))
            parts.append(self._moved(w, back, x, y, z, e))
        return tuple(sum(each[1:], each[0]) for each in zip(*parts, strict=True))

    def _moved(self, w, back, x, y, z, e):
        keys = w["K"] @ z @ x.T, w["Q"] @ x @ z.T
        return *keys, back("O", e) @ y.T, e @ (w["V"] @ y).T


@dataclass(frozen=True)
class Gains:
    """A chain of layers, each with a trainable gain: g₂W₂φ(g₁W₁x).

    The state is (W₁, …, W_L, g₁, …, g_L), gains being (1, 1).
    """

    title = "network with gains"

    def depth(self, count):
        return count // 2

    def spaces(self, depth):
        return layer_names(depth)

    def state(self, layers):
        one = "1" if isinstance(layers[0], str) else 1
        weights = {f"W{k + 1}": (n, m) for k, (m, n) in enumerate(pairwise(layers))}
        return weights | {f"g{k + 1}": (one, one) for k in range(len(weights))}

    def returns(self, name):
        return name[0] == "W" and name != "W1"

    def inputs(self, depth):
        return 1

    def gates(self, depth):
        return (1,) * (depth - 1)

    def _forward(self, task, w):
        entering, plain, depth = [task.X], [], len(w) // 2
        for k in range(1, depth + 1):
            plain.append(w[f"W{k}"] @ entering[-1])
            out = scaled(plain[-1], w[f"g{k}"])
            entering.append(task.activation(k - 1).f(out) if k < depth else out)
        return entering, plain

    def output(self, task, w):
        return self._forward(task, w)[0][-1]

    def velocity(self, task, w, back):
        entering, plain = self._forward(task, w)
        error, moved = task.loss.error(entering[-1], task.Y), {}
        for k in range(len(plain), 0, -1):
            gain = w[f"g{k}"]
            moved[f"g{k}"] = inner(plain[k - 1], error)
            told = scaled(error, gain)
            moved[f"W{k}"] = told @ entering[k - 1].T
            if k > 1:
                hidden = scaled(plain[k - 2], w[f"g{k - 1}"])
                error = task.activation(k - 2).pull(hidden, back(f"W{k}", told))
        return tuple(moved[name] for name in w)


NETWORKS = {kind.__name__: kind for kind in (Residual, Convolution, Attention, Gains)}


def parts(X, count):
    """The places of every sample: letters as they are, of arrays one of `count` parts of rows."""
    if isinstance(X, tuple):
        return list(X)
    rows = X.shape[0] // count if hasattr(X, "shape") else 0
    return [X[q * rows : (q + 1) * rows] for q in range(count)] if count > 1 else [X]


def place(task, k, q):
    """The activation of hidden layer `k` at place `q`."""
    activation = task.activation(k)
    return activation[q] if isinstance(activation, list) else activation


def added(total, more):
    return more if total is None else total + more
