"""A rule on a network made of letters (every size) or of exact entries (given sizes)."""

import re
from contextlib import contextmanager

import numpy as np

from ..derived import Derived
from ..losses import Loss
from ..matrices import Alphabet, Dual, Jet, base, entries, exact
from ..momentum import HeavyBall
from ..nets import Task, activation, gated, linear, replaced, squared
from ..networks import On
from ..rules import RULES, FAStar, Piecewise, Rule

PIECEWISE = "piecewise"


def exactly(rule, depth):
    """An instance of `rule`, a class or an instance, its decay and rates as exact numbers."""
    if not isinstance(rule, Rule) and not (isinstance(rule, type) and issubclass(rule, Rule)):
        raise TypeError(f"The rule must be a Rule, a class or an instance, but is {rule!r:.60}.")
    rule = rule() if isinstance(rule, type) else rule
    inner = rule.of if isinstance(rule, Derived) else rule
    if isinstance(inner, FAStar):
        raise ValueError("FAStar solves a linear system, which no algebra here can follow.")
    rule.check_depth(depth)
    return with_numbers(rule, _exact)


def _exact(value):
    if isinstance(value, Piecewise):
        raise ValueError("A decay that changes in time has no single flow; prove each piece.")
    return exact(value)


def fitting(rule, sizes):
    """Raise ValueError unless layers of one name have one size."""
    known = {}
    for k, name in enumerate(rule.spaces(len(sizes) - 1)):
        first = known.setdefault(name, k)
        if sizes[k] != sizes[first]:
            raise ValueError(
                f"{rule.name}: layers {first} and {k} have one size, not {sizes[first]} and"
                f" {sizes[k]}."
            )


def with_numbers(rule, convert):
    """The rule with its decay, rates and friction converted, each number by itself."""
    each = lambda v: (
        tuple(map(convert, v))
        if isinstance(v, tuple) and not isinstance(v, Piecewise)
        else convert(v)
    )
    if isinstance(rule, On):
        return replaced(rule, of=with_numbers(rule.of, convert))
    if isinstance(rule, Derived):
        own = {name: convert(getattr(rule, name)) for name in rule.numbers}
        return replaced(rule, of=with_numbers(rule.of, convert), **own)
    return replaced(rule, decay=each(rule.decay), rates=each(rule.rates))


def samples_add_up(rule):
    """Whether velocities are sums over samples for sure: those of faflow's own rules are."""
    inner = rule.of if type(rule) is HeavyBall else rule
    return type(inner) in (On, *RULES.values())


def check_bias(bias):
    """Raise ValueError unless `bias` says whether there are biases."""
    if not isinstance(bias, bool):
        raise ValueError(f"bias must be True or False, but is {bias!r}.")


def check_seed(seed):
    """Raise ValueError unless `seed` is an integer from 0 on."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, but is {seed!r}.")


def check_law(law):
    """Raise TypeError unless `law` can be called."""
    if not callable(law):
        raise TypeError(f"A law is a function law(rule, w), not {law!r:.60}.")


def phi_and_scope(phi):
    """The activation to reason about: None if every one of a degree, with that degree and words."""
    if phi == PIECEWISE:
        return None, 1, "piecewise linear"
    phi = activation(phi)
    if phi.name == "linear":
        return phi, 1, "linear"
    if phi.degree == 1:
        return None, 1, "piecewise linear"
    if phi.degree is not None:
        return None, phi.degree, f"homogeneous (degree {phi.degree})"
    return phi, None, phi.name


def every_size(rule, depth, *, phi="linear", bias=False, loss="any", letters=None, relations=()):
    """The rule, a task and weights made of letters, and what a law may ask for by name.

    loss "any": the error at the output is a letter E of its own, so what follows holds for every
    loss.  "squared": the targets are YX, the teacher Y a letter; a law may ask for target (Y) and
    covariance (XX').  With gates, all is for every pattern of them, one sample at a time.
    """
    rule = exactly(rule, depth)
    activity, degree, _ = phi_and_scope(phi)
    if degree is None:
        raise ValueError(
            f"Words know only homogeneous activations, but {activity.name} is not; give sizes, for"
            " instance prove(law, rule, sizes=(2, 3, 2))."
        )
    samples = "samples" if activity and not rule.single else "1"
    alphabet = Alphabet(samples)
    layers = rule.spaces(depth)
    made = lambda kinds: tuple(alphabet.letter(name, *s) for name, s in kinds.items())
    w = made(rule.state(layers, bias))
    rule = replaced(rule, B=made(rule.fixed(layers)))
    rule.constants(w)  # signs of weights are letters, too
    if activity is None:
        slopes = {
            name: alphabet.letter(name, layers[k], layers[k], diagonal=True)
            for name, k in gate_layers(rule, depth, "D").items()
        }
        activity = gates(rule, depth, slopes, degree, "D")
    X = one_or_more("X", rule.inputs(depth), lambda name: alphabet.letter(name, "in", samples))
    own = dict(letters or {})
    taken = {"E", "X", "Y", *alphabet.letters}
    for name, kind in own.items():
        if name in taken:
            raise ValueError(f"The letter {name} is the problem's own; choose another name.")
        two = isinstance(kind, tuple | list) and len(kind) == 2
        if not two or not all(isinstance(s, str) for s in kind):
            raise ValueError(f"letters[{name!r}] must be (rows, cols), two spaces, not {kind!r}.")
    more = {name: alphabet.letter(name, *kind) for name, kind in own.items()}
    moving = {str(W) for W in w} | {"E"}
    if loss == "any":
        E, Y = (alphabet.letter(name, layers[-1], samples) for name in "EY")
        task = problem_task(X, Y, activity, any_loss(E), bias)
    else:
        if isinstance(X, tuple):
            raise ValueError("A linear teacher is for networks of one column of input a sample.")
        Y = alphabet.letter("Y", layers[-1], "in")
        task = problem_task(X, Y @ X, activity, squared, bias)
        more |= {"target": Y, "covariance": X @ X.T}
    for relation in relations:
        _relate(alphabet, relation, moving)
    return rule, task, w, more


def _relate(alphabet, text, moving):
    """Assume a relation such as "X X' = I", "N' B2 = 0" or "C B2 = B1" between letters."""
    left, equals, right = text.partition("=")
    if not (equals and left.strip() and right.strip()):
        raise ValueError(f'A relation reads "X X\' = I" or "N\' B2 = 0", not {text!r}.')

    def read(side):
        product = None
        for name in re.findall(r"[^\s(]+(?:\([^)]*\)'?)?", side):  # tanh(2 W2)' is one
            bare = name.removesuffix("'")
            if bare not in alphabet.letters:
                known = ", ".join(alphabet.letters)
                raise ValueError(f"Unknown letter {bare!r} in {text!r}; choose from {known}.")
            if bare in moving:
                raise ValueError(
                    f"{bare} in {text!r} moves along the flow, so that a relation need not last."
                )
            made = alphabet.letters[bare]
            one = alphabet.letter(bare, made.rows, made.cols, diagonal=made.diagonal)
            one = one.T if name.endswith("'") else one
            product = one if product is None else product @ one
        return product

    words = read(left)
    if alphabet.samples == "1" and any(name.startswith("X") for name in left.split()):
        raise ValueError(f"{text!r} is about all samples, but these words see one at a time.")
    right = right.strip()
    if right == "0":
        alphabet.relate(words, 0)
    else:
        alphabet.relate(words, alphabet.identity(words.rows) if right == "I" else read(right))


def given_sizes(
    rule, sizes, make, *, phi="linear", bias=False, loss="any", samples=1, given=False, task=None
):
    """The same with entries of independent variables: ``make(names)`` returns one for each name.

    Matrices are object arrays.  given: whether the feedback is the rule's own, exactly.  task: has
    the data to take, exactly, and the activation to take as it is.
    """
    rule = exactly(rule, len(sizes) - 1)
    fitting(rule, sizes)
    activity, degree, _ = phi_and_scope(phi)
    state, fixed = rule.state(sizes, bias), rule.fixed(sizes)
    kinds = state | ({} if given else fixed)
    depth = len(sizes) - 1
    if activity is None and task is None:
        kinds |= {n: (sizes[k], samples) for n, k in gate_layers(rule, depth, "G").items()}
    if task is None:
        column = lambda name: kinds.setdefault(name, (sizes[0], samples))
        one_or_more("X", rule.inputs(depth), column)
        if loss == "any":
            kinds |= {"E": (sizes[-1], samples), "Y": (sizes[-1], samples)}
        else:
            kinds["Y"] = (sizes[-1], sizes[0])
    names = [f"{m}_{i + 1}_{j + 1}" for m, s in kinds.items() for i, j in np.ndindex(*s)]
    variables = make(names)
    pool, zero = iter(variables), variables[0] * 0
    made = {m: entries(s, lambda *_: next(pool)) for m, s in kinds.items()}
    constant = np.vectorize(lambda x: (zero + x.numerator) / x.denominator, otypes=[object])
    if given:
        own = exactly_shaped(rule.B, fixed, "Feedback")
        made |= {m: constant(B) for m, B in zip(fixed, own, strict=True)}
    for M in made.values():
        M.flags.writeable = False  # a rule that changed them in place would change the problem
    w, B = (tuple(made[name] for name in names) for names in (state, fixed))
    rule = replaced(rule, B=B)
    if task is not None:
        shaped = {"X": (sizes[0], samples), "Y": (sizes[-1], samples)}
        X, Y = map(constant, exactly_shaped((task.X, task.Y), shaped, "The data"))
        return rule, replaced(task, X=X, Y=Y, output_scale=exact(task.output_scale)), w, {}
    if activity is None:
        activity = gates(rule, depth, made, degree, "G")
    X, more = one_or_more("X", rule.inputs(depth), made.get), {}
    if loss == "any":
        task = problem_task(X, made["Y"], activity, any_loss(made["E"]), bias)
    elif isinstance(X, tuple):
        raise ValueError("A linear teacher is for networks of one column of input a sample.")
    else:
        task = problem_task(X, made["Y"] @ X, activity, squared, bias)
        more = {"target": made["Y"], "covariance": X @ X.T}
    return rule, task, w, more


def exactly_shaped(matrices, shapes, what):
    """Object arrays of exact numbers, floats by their binary values, of the shapes by name."""
    count = len(matrices) if hasattr(matrices, "__len__") else "none"
    if count and not shapes:
        raise ValueError(
            f"{what} must be empty, as the rule has no fixed matrices; it has {count}."
        )
    if count != len(shapes):
        names = ", ".join(shapes)
        raise ValueError(f"{what} must be the {len(shapes)} matrices {names}, but has {count}.")
    made = []
    for M, (name, shape) in zip(matrices, shapes.items(), strict=True):
        M = np.asarray(M)
        if M.shape != tuple(shape):
            raise ValueError(f"{what} {name} must be {tuple(shape)}, but is {M.shape}.")
        try:
            made.append(np.vectorize(exact, otypes=[object])(M))
        except TypeError:
            raise ValueError(f"{what} {name} must hold finite numbers.") from None
    return tuple(made)


def gates(rule, depth, slopes, degree, letter):
    """The activation of each hidden layer, with its slopes by name at every place it has.

    Each is known at one point only, where a rule evaluates it: its slopes elsewhere are others.
    """
    made = []
    if depth > 1 and not any(rule.gates(depth)):
        raise ValueError(f"Of {rule.network_name} no layer has an activation; leave it linear.")
    for k, count in enumerate(rule.gates(depth)):
        make = lambda name, k=k: _at_one_point(
            gated(slopes[name], degree), f"The activation of layer {k + 1}"
        )
        one = one_or_more(f"{letter}{k + 1}", count, make) if count else linear
        made.append(list(one) if count > 1 else one)
    return tuple(made)


def gate_layers(rule, depth, letter):
    """{name: layer} of the slopes at every place of a network."""
    made = {}
    for k, count in enumerate(rule.gates(depth)):
        if count:
            one_or_more(f"{letter}{k + 1}", count, lambda name, k=k: made.setdefault(name, k + 1))
    return made


def one_or_more(name, count, make):
    """``make(name)``, or a tuple of them with numbered names."""
    return make(name) if count == 1 else tuple(make(f"{name}_{q + 1}") for q in range(count))


def any_loss(E):
    """Every differentiable loss at one output: minus its derivative there is E."""
    once = OnePoint("The error", "take loss='squared'", smooth=False)
    return Loss("any", _no_value, lambda f, Y: once.at((f, Y), E))


def _no_value(f, Y):
    raise ValueError("A rule for any loss cannot ask for its value; take loss='squared'.")


def _at_one_point(phi, what):
    once = OnePoint(what, "take sizes and a smooth activation", smooth=phi.degree == 1)
    pull = lambda z, error: once.at(z, phi.pull(z, error))
    return phi._replace(f=lambda z: once.at(z, phi.f(z)), pull=pull)


class OnePoint:
    """Lets a function be evaluated again and again, but at one point.

    smooth: whether it may be asked for its derivative there, the gates of a kinked one standing.
    """

    def __init__(self, what, advice, *, smooth):
        self.what, self.advice, self.smooth, self.point = what, advice, smooth, None

    def at(self, point, value):
        """The value, if the point is the one seen before.  Raises ValueError if it is not."""
        points = point if isinstance(point, tuple) else (point,)
        if not self.smooth and any(isinstance(p, Dual) for p in points):
            raise ValueError(
                f"{self.what} is asked for its derivative, which may be any; {self.advice}."
            )
        point = tuple(map(base, points))
        if self.point is not None and not _same(self.point, point):
            raise ValueError(
                f"{self.what} is evaluated at two points, with any two values; {self.advice}."
            )
        self.point = point
        return value


def _same(one, other):
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    if isinstance(one, Jet):
        a, b = one.parts, other.parts
        return a.keys() == b.keys() and all(np.array_equal(a[s], b[s]) for s in a)
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and all(one.ravel() == other.ravel())
    return one is other or one == other


@contextmanager
def only_polynomials(rule):
    """Where a rule is evaluated: raises ValueError for velocities that are no polynomials."""
    try:
        yield
    except (TypeError, AttributeError, LookupError) as error:
        name = type(rule).__name__
        raise ValueError(
            f"The velocities of {name} are no polynomials: {first_clause(error)}."
        ) from error


def steady(rule, task, w):
    """The velocities.  Raises ValueError where they are others when asked for again."""
    try:
        made, again = rule(task, w), rule(task, w)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        message = f"{rule.name} changes a matrix in place; write M = M + N, not M += N."
        raise ValueError(message) from error
    if not _same(tuple(made), tuple(again)):
        raise ValueError(f"{rule.name} gives other velocities for the same state and data.")
    return made


def problem_task(X, Y, phi, loss, bias):
    """A task of letters, entries or residues, unchecked."""
    phi = phi if isinstance(phi, tuple) else activation(phi)
    return replaced(Task([[0.0]], [[0.0]]), X=X, Y=Y, phi=phi, loss=loss, bias=bias)


def first_clause(error):
    """What an error says before any advice, without a full stop."""
    return str(error).split(";")[0].rstrip(".")
