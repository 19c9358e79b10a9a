"""Does a flow keep a law?  Proved for every size, or for given sizes, or refuted by its rate."""

from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from ..matrices import Expression, Series, Words, entries
from ..matrices.exact_entries import symbols, variables
from ..nets import Task, activation, check_positive, checked_sizes
from .problems import (
    check_bias,
    check_law,
    every_size,
    given_sizes,
    phi_and_scope,
    samples_add_up,
    steady,
)
from .signs import LOCAL, while_signs_last
from .verdict import Verdict

ALGEBRAS = ("auto", "words", "flint", "sympy")


def over_a_step(law, rule, task, w):
    """The law at ``w + η rule(task, w)`` as a `Series` in the step size η.

    Coefficient 0 is the law now, 1 its rate along the flow, the rest what a finite step adds.
    """
    v = rule(task, w)
    value = law(rule, tuple(Series(W, V) for W, V in zip(w, v, strict=True)))
    return value if isinstance(value, Series) else Series(value)


def prove(
    law,
    rule,
    *,
    depth=None,
    sizes=None,
    samples=1,
    activation="linear",
    bias=False,
    loss="any",
    rate=None,
    feedback="symbolic",
    task=None,
    algebra="auto",
    letters=None,
    relations=(),
    **arguments,
):
    """Decide whether `rule` keeps `law`, for all weights, data, feedback and losses.

    rule: a class or an instance; of an instance the decay and rates count.
    depth: number of weight matrices (2 unless `sizes` says otherwise).
    sizes: layer widths, input first; without them the answer is for every size, by words.
    samples: number of samples at given sizes; under faflow's own rules rates add up over samples,
        so that one decides, and for another rule the scope says how many were seen.
    activation: of the hidden layers: linear, "piecewise" or the name of any piecewise linear or
        homogeneous one (every pattern of slopes then counts), or with sizes any other.
    loss: any (the output error is then arbitrary), or squared with the targets YX of a linear
        teacher Y; a law may then take target (Y) and covariance (XXᵀ) as arguments.
    rate: a function like a law; decides whether the law's rate is this instead of zero.
    feedback: symbolic, so that the answer is for every feedback, or "given": that of the rule,
        exactly; the answer is then for this one alone, and needs sizes.
    task: with sizes, decides for its data, activation and loss alone, in place of the four above.
    algebra: words, flint (polynomials over the rationals), sympy (symbols, any activation), or
        auto: words without sizes, else flint where the entries are polynomials, else sympy.
    letters: further letters as ``{name: (rows, cols)}``, given to the law by name; spaces are
        in, h1, h2, …, out, or names of your own.
    relations: what may be assumed between letters, such as ``"X X' = I"`` or ``"N' B2 = 0"``;
        a rate that rewriting by them leaves refutes nothing (`Verdict.decided`).
    Further keywords go to the law.  Returns a `Verdict`.
    Raises ValueError for a question no algebra here can decide.
    """
    check_law(law)
    check_bias(bias)
    if algebra not in ALGEBRAS:
        raise ValueError(f"Unknown algebra {algebra!r}; choose from {', '.join(ALGEBRAS)}.")
    if loss not in ("any", "squared"):
        raise ValueError(f"Unknown loss {loss!r} in a proof; choose from any, squared.")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise ValueError(f"depth must be a positive integer, but is {depth!r}.")
    if not isinstance(letters, dict | None):
        raise ValueError(f"letters must be {{name: (rows, cols)}}, not {letters!r:.60}.")
    texts = isinstance(relations, tuple | list) and all(isinstance(r, str) for r in relations)
    if not texts:
        raise ValueError(f"relations must be a list of texts, not {relations!r:.60}.")
    if sizes is not None:
        sizes = _checked(sizes, samples)
        if depth not in (None, len(sizes) - 1):
            raise ValueError(f"sizes {sizes} have depth {len(sizes) - 1}, not {depth}.")
    if feedback not in ("symbolic", "given"):
        raise ValueError(f"Unknown feedback {feedback!r}; choose from symbolic, given.")
    if sizes is None and (feedback == "given" or task is not None):
        raise ValueError("This feedback or these data have sizes; give them, as sizes=(2, 3, 2).")
    if task is not None:
        activation, bias, loss, samples = _of_task(task, sizes, (activation, bias, loss, samples))
    for name in arguments:
        if not any(_takes(one, name) for one in (law, rate) if one is not None):
            known = getattr(law, "__name__", "law")
            raise ValueError(f"The law {known} takes no argument {name!r}.")
    question = Question(law, rate, rule, activation, bias, loss, arguments, feedback, task)
    if sizes is None and algebra in ("auto", "words"):
        return _by_words(question, depth or 2, letters, relations)
    if sizes is None:
        raise ValueError(f"The algebra {algebra!r} needs sizes, for instance sizes=(2, 3, 2).")
    if algebra == "words" or letters or relations:
        raise ValueError("Words, letters and relations go without sizes.")
    return _by_entries(question, tuple(sizes), samples, algebra)


def prove_growing(law, rule, **options):
    """`prove` for a law with a `growth` c and `unknowns`, if it has any: law·e^{ct} is kept."""
    growth, unknowns = getattr(law, "growth", 0), getattr(law, "unknowns", ())
    rate = (lambda rule, w, **given: law(rule, w, **given) * -growth) if growth else None
    letters = {n: kind for u in unknowns for n, kind in u.letters.items()}
    relations = [r for u in unknowns for r in u.relations]
    return prove(law, rule, rate=rate, letters=letters, relations=relations, **options)


@dataclass(frozen=True)
class Question:
    """What is to be proved: that the law's rate is the claimed one."""

    law: Any
    rate: Any
    rule: Any
    activation: Any
    bias: bool
    loss: str
    arguments: dict
    feedback: str = "symbolic"
    task: Any = None

    def network(self, layers=""):
        """What the answer is about, such as "a 2-layer linear network with biases"."""
        name = self._acted_on
        if name == "attention":
            return name
        kind = f"{layers}{phi_and_scope(self.activation)[2]} {name}{' with biases' * self.bias}"
        return f"a {kind}" if name.startswith("network") else kind

    @property
    def _acted_on(self):
        rule = self.rule() if isinstance(self.rule, type) else self.rule
        return rule.network_name

    @property
    def patterns(self):
        """What is left open besides the data: the slopes of units, what attends to what."""
        if self._acted_on == "attention":
            return " and attention patterns"
        degree, words = phi_and_scope(self.activation)[1:]
        homogeneous = " and slopes" if degree not in (None, 1) else ""
        return " and activation patterns" if words == "piecewise linear" else homogeneous

    @property
    def losses(self):
        return "any loss" if self.loss == "any" else "squared loss, linear teacher"

    @property
    def _name(self):
        return getattr(self.law, "__name__", "law")

    def answer(self, rule, w, v, given):
        """The law's value, and its rate at the velocities `v` less the claimed one."""
        try:
            moved = tuple(Series(W, V, order=1) for W, V in zip(w, v, strict=True))
            series = self._evaluated(self._named(self.law, given), rule, moved)
            if series is None or isinstance(series, str | tuple | list | dict | set):
                raise ValueError(
                    f"The law {self._name} must return a matrix or a number, but returned"
                    f" {'None' if series is None else 'a ' + type(series).__name__}."
                )
            constant = not isinstance(series, Series) or len(series.coefficients) == 1
            value = series.coefficients[0] if isinstance(series, Series) else series
            if constant or _is_zero(value):
                raise ValueError(f"The law {self._name} is zero or does not depend on the weights.")
            rate = series.coefficients[1]
            if self.rate is not None:
                rate = rate - self._named(self.rate, given)(rule, w)
        except (LookupError, ArithmeticError) as error:
            raise ValueError(
                f"The law {self._name} cannot be evaluated for {type(rule).__name__}: {error}."
            ) from error
        return value, rate

    def _evaluated(self, law, rule, w):
        try:
            return law(rule, w)
        except ValueError as error:  # matrices that do not fit
            kind = type(rule).__name__
            raise ValueError(
                f"The law {self._name} cannot be evaluated for {kind}: {error}"
            ) from error

    def _named(self, law, given):
        """The law with those arguments it names."""
        offered = given | self.arguments
        return partial(law, **{k: v for k, v in offered.items() if _takes(law, k)})


def _is_zero(value):
    if isinstance(value, Words):
        return not value
    return all(_expanded(entry) == 0 for entry in _array(value).ravel())


def _expanded(entry):
    if not isinstance(entry, Expression):
        return entry
    import sympy

    return sympy.expand(entry.of)


def _takes(law, name):
    parameters = signature(law).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _by_words(question, depth, letters, relations):
    rule, task, w, given = every_size(
        question.rule,
        depth,
        phi=question.activation,
        bias=question.bias,
        loss=question.loss,
        letters=letters,
        relations=relations,
    )
    try:
        v = steady(rule, task, w)
        value, rate = question.answer(rule, w, v, given)
    except (TypeError, AttributeError) as problem:
        raise ValueError(f"Words cannot evaluate this law: {problem}") from problem
    many = question.activation == "linear" and not rule.single  # the words are for all samples
    data = "data" if many else _data(rule, 1, question)
    network = question.network(f"{depth}-layer ")
    scope = f"every size of {network}, any {data}{question.patterns}"
    signs = any("sign(" in relation for relation in relations)
    scope += f", {question.losses}{LOCAL if signs else while_signs_last(value)}"
    if relations:
        scope += f", assuming {'; '.join(relations)}"
    velocity = {str(W): (W, V) for W, V in zip(w, v, strict=True)}
    claimed = question.rate is not None
    decided = not (rate and relations)
    return Verdict(not rate, scope, rate, "words", claimed, value, velocity, decided=decided)


def _by_entries(question, sizes, samples, algebra):
    phi, degree, _ = phi_and_scope(question.activation)
    polynomial = degree is not None
    if algebra == "flint" and not polynomial:
        raise ValueError(f"flint has polynomials only, but {phi.name} is none; use sympy.")
    tries = {"auto": ("flint", "sympy") if polynomial else ("sympy",)}.get(algebra, (algebra,))
    for name in tries:
        rule, task, w, given = given_sizes(
            question.rule,
            sizes,
            variables if name == "flint" else symbols,
            phi=question.activation,
            bias=question.bias,
            loss=question.loss,
            samples=samples,
            given=question.feedback == "given",
            task=question.task,
        )
        try:
            value, rate = question.answer(rule, w, steady(rule, task, w), given)
            break
        except (TypeError, AttributeError) as problem:
            if name == tries[-1]:
                raise ValueError(f"{name} cannot evaluate this law: {problem}") from problem
    rate, value = _array(rate), _array(value)
    if name == "sympy":
        value, rate = (_array(np.frompyfunc(_plain, 1, 1)(M)) for M in (value, rate))
        rate = _array(np.frompyfunc(_settled, 1, 1)(rate))
    zero = all(entry == 0 for entry in rate.ravel())
    scope = f"sizes {'-'.join(map(str, sizes))} of {question.network()}"
    if question.task is not None:
        data = f"these {samples} samples" if samples > 1 else "this sample"
        scope += f", {data}, {question.task.loss.name} loss"
    else:
        scope += f", any {_data(rule, samples, question)}{question.patterns}, {question.losses}"
    scope += ", this feedback" * (question.feedback == "given" and bool(rule.B)) + while_signs_last(
        value
    )
    return Verdict(zero, scope, rate, name, question.rate is not None, value)


def _array(value):
    """An object array; a single entry has no axes."""
    if isinstance(value, np.ndarray):
        return value
    return entries((), lambda: value)


def _of_task(task, sizes, chosen):
    """(activation, bias, loss, samples) of a task, which nothing else may say."""
    if not isinstance(task, Task):
        raise TypeError(f"The task must be a faflow.Task, but is {task!r:.60}.")
    if chosen != ("linear", False, "any", 1):
        raise ValueError("A task says its activation, biases, loss and samples; give no others.")
    ends = (len(task.X), len(task.Y))
    if (sizes[0], sizes[-1]) != ends:
        raise ValueError(f"The task goes from {ends[0]} to {ends[1]}, but the sizes are {sizes}.")
    if task.loss.name != "squared" or len(task.activations) > 1:
        raise ValueError("A proof for given data needs the squared loss and one activation.")
    if not activation(task.phi).smooth:
        raise ValueError("A proof for given data needs a smooth activation: patterns change.")
    return task.phi, task.bias, "task", task.X.shape[1]


def _checked(sizes, samples):
    check_positive(samples=samples)
    return checked_sizes(sizes)


def _data(rule, samples, question):
    """Rates of laws in the weights add up over samples, for faflow's own rules: one sample decides.

    With another rule, or a law that may see all the data, no more is decided than was tried.
    """
    if samples_add_up(rule) and question.loss == "any":
        return "data"
    return f"{samples} sample{'s' * (samples > 1)}"


def _plain(entry):
    """SymPy's own expression."""
    return entry.of if isinstance(entry, Expression) else Expression.number(entry)


def _settled(expression):
    """Zero if the expression is, else the expression, expanded.

    What expansion leaves is refuted by a value at a rational point, to 50 digits, or simplified.
    """
    import sympy

    expression = sympy.expand(expression)
    if expression == 0 or expression.is_polynomial(*expression.free_symbols):
        return expression
    rng = np.random.default_rng(0)
    for _ in range(5):
        point = {
            s: sympy.Rational(int(rng.integers(-40, 40)) * 2 + 1, 31)
            for s in sorted(expression.free_symbols, key=str)
        }
        value = expression.subs(point).evalf(50)
        if abs(value) > sympy.Float("1e-30"):
            return expression
    if sympy.simplify(expression) == 0:
        return sympy.S.Zero
    raise ValueError(f"SymPy can neither prove nor refute that {expression} is zero.")
