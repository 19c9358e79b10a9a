"""A piecewise linear network with its kinks rounded off, where they are not followed."""

import numpy as np

from ..activations import Activation, expit, softplus, softplus_of
from ..nets import forward, replaced


def smoothed(task, beta):
    """`task` with every activation that has a kink at zero rounded off over a width 1/beta.

    relu becomes softplus(beta); one of slopes a below and b above, az + (b - a) softplus(z).
    It is above the kinked one by at most (b - a) log 2 / beta.  The flow's error falls as 1/beta,
    and the steps of an explicit solver grow as beta where the flow slides.
    """
    one = lambda phi: phi if phi.smooth else rounded(phi, beta)
    several = not isinstance(task.phi, Activation)
    return replaced(task, phi=tuple(map(one, task.phi)) if several else one(task.phi))


def rounded(phi, beta):
    """The activation `phi`, linear on both sides of zero, rounded off over a width 1/beta."""
    a, b = (float(phi.pull(np.array([sign]), np.ones(1))[0]) for sign in (-1.0, 1.0))
    if (a, b) == (0, 1):
        return softplus(beta)
    f = lambda z: a * z + (b - a) * softplus_of(beta * z) / beta
    pull = lambda z, error: error * (a + (b - a) * expit(beta * z))
    return Activation(f"{phi.name} rounded by {beta:g}", f, pull)


def sharpness(rule, task, w0, share=1e-3):
    """The beta that rounds by at most `share` of the pre-activations' root mean square."""
    hidden, _, _ = forward(task, rule.weights(w0))
    kinked = [z for k, z in enumerate(hidden) if not task.activation(k).smooth]
    size = np.sqrt(np.mean(np.concatenate([z.ravel() for z in kinked]) ** 2))
    return np.log(2) / (share * size) if size else 1 / share
