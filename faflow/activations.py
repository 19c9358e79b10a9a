"""Activations of the hidden layers, each with its pullback."""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """``f(z)``, and ``pull(z, error)``, which multiplies an error by the slope f'(z).

    degree: p if f(cz) = c^p f(z) for c > 0, so that z f'(z) = p f(z); None if not homogeneous.
    smooth: whether the slope is continuous, so that a flow has no kinks.
    """

    name: str
    f: Callable
    pull: Callable
    degree: int | None = None
    smooth: bool = True


def _function(name):
    """The special function `name` for floats (NumPy, SciPy), JAX arrays and SymPy entries."""

    def apply(z):
        if hasattr(z, "through"):  # dual numbers
            return z.through(apply, SLOPES[name])
        if hasattr(z, "parts"):  # residues
            if name == "sign":
                return z.sign()
            raise TypeError(f"residues have no {name}")
        if z.dtype == np.dtype(object):
            import sympy

            from .matrices import Expression, Polynomial

            if isinstance(z.flat[0], Polynomial):
                raise TypeError(f"Polynomials have no {name}; use algebra='sympy'.")
            sigmoid = lambda x: 1 / (1 + sympy.exp(-x))
            softplus = lambda x: sympy.log(1 + sympy.exp(x))
            sign = lambda x: (x > 0) - (x < 0) if isinstance(x, int | Fraction) else sympy.sign(x)
            known = {"expit": sigmoid, "softplus": softplus, "sign": sign}
            of = known.get(name) or getattr(sympy, name)
            inside = lambda x: Expression(of(x.of)) if isinstance(x, Expression) else of(x)
            return np.frompyfunc(inside, 1, 1)(z)
        if isinstance(z, np.ndarray):
            if name == "softplus":
                return np.logaddexp(0, z)
            if hasattr(np, name):
                return getattr(np, name)(z)
            import scipy.special

            return getattr(scipy.special, name)(z)
        import jax

        known = {"expit": jax.nn.sigmoid, "softplus": lambda x: jax.numpy.logaddexp(0, x)}
        known |= {"erf": jax.scipy.special.erf}
        return (known.get(name) or getattr(jax.numpy, name))(z)

    return apply


exp, erf_of, expit, tanh_of, sign_of, softplus_of = map(
    _function, ("exp", "erf", "expit", "tanh", "sign", "softplus")
)


def _root_pi(z):
    if z.dtype != np.dtype(object):
        return math.sqrt(math.pi)  # no float64, which would make one of a float32
    import sympy

    return sympy.sqrt(sympy.pi)


SLOPES = {
    "exp": exp,
    "erf": lambda z: 2 * exp(-(z**2)) / _root_pi(z),
    "expit": lambda z: expit(z) * (1 - expit(z)),
    "tanh": lambda z: 1 - tanh_of(z) ** 2,
    "sign": lambda z: 0 * sign_of(z),
    "softplus": expit,
}
"""Their derivatives; that of the sign where it does not jump."""

linear = Activation("linear", lambda z: z, lambda z, error: error, degree=1)
tanh = Activation("tanh", tanh_of, lambda z, error: error * (1 - tanh_of(z) ** 2))
sigmoid = Activation("sigmoid", expit, lambda z, error: error * (expit(z) * (1 - expit(z))))
erf = Activation("erf", erf_of, lambda z, error: error * (2 * exp(-(z**2)) / _root_pi(z)))
relu = Activation(
    "relu", lambda z: z * (z > 0), lambda z, error: error * (z > 0), degree=1, smooth=False
)


def _short(number):
    """An integer if it is one, so that 2 and 2.0 give one name and exact entries stay exact."""
    return int(number) if number % 1 == 0 else number


@lru_cache
def leaky_relu(slope=0.01):
    """z for z > 0, slope·z below."""
    if not abs(slope) < float("inf"):
        raise ValueError(f"leaky_relu needs a finite slope, but got {slope}.")
    gate = lambda z: (z > 0) + slope * (z <= 0)
    f, pull = lambda z: z * gate(z), lambda z, error: error * gate(z)
    return Activation(f"leaky_relu({_short(slope)})", f, pull, degree=1, smooth=False)


@lru_cache
def relu_power(p=2):
    """max(z, 0) to the power `p`, an integer of at least 2."""
    if not 2 <= p < float("inf") or p != int(p):
        raise ValueError(f"relu_power needs an integer power of at least 2, but got {p}.")
    p = int(p)
    f = lambda z: z**p * (z > 0)
    pull = lambda z, error: error * (p * z ** (p - 1) * (z > 0))
    return Activation(f"relu_power({p})", f, pull, degree=p)


@lru_cache
def softplus(beta=1):
    """log(1 + exp(beta z)) / beta, which tends to relu as beta grows."""
    if not 0 < beta < float("inf"):
        raise ValueError(f"softplus needs a finite beta > 0, but got {beta}.")
    f, pull = lambda z: softplus_of(beta * z) / beta, lambda z, error: error * expit(beta * z)
    return Activation(f"softplus({_short(beta)})", f, pull)


ACTIVATIONS = {a.name: a for a in (linear, relu, tanh, erf, sigmoid)}
FAMILIES = {"leaky_relu": leaky_relu, "relu_power": relu_power, "softplus": softplus}


def gated(slopes, degree=1):
    """Every activation with z f'(z) = degree · f(z), at one point: f(z) = slopes · z there.

    slopes: (units, samples) entries for matrices with entries; for words, a diagonal letter, the
    network then seeing one sample.  Any piecewise linear activation has degree 1.
    """
    times = lambda z: slopes * z if hasattr(z, "dtype") else slopes @ z
    return Activation("gated", times, lambda z, error: degree * times(error), degree, smooth=False)


def activation(phi):
    """The activation named `phi`, such as "tanh" or "leaky_relu(0.1)"; an Activation as it is."""
    if isinstance(phi, Activation):
        return phi
    match = re.fullmatch(r"(\w+)(?:\(([-+.\de]+)\))?", str(phi).strip())
    name, argument = match.groups() if match else (None, None)
    if name in ACTIVATIONS and argument is None:
        return ACTIVATIONS[name]
    if name in FAMILIES:
        try:
            return FAMILIES[name]() if argument is None else FAMILIES[name](_short(float(argument)))
        except ValueError as error:
            raise ValueError(f"Activation {phi!r}: {error}") from None
    known = [*ACTIVATIONS, "leaky_relu(slope)", "relu_power(p)", "softplus(beta)"]
    raise ValueError(f"Unknown activation {phi!r}; choose from {', '.join(known)}.")
