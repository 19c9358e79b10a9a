"""A bound on how fast a flow's perturbations can move: the spectral radius of its Jacobian.

Two-layer linear networks with the squared loss have one in small matrices, for every state; for
others a solver measures it, by repeating the Jacobian on a vector.
"""

from ..activations import linear
from ..losses import squared
from ..matrices.diagonal import Diagonal
from ..matrices.still import Still
from ..matrices.unformed import Unformed
from ..rule import of_layer
from ..rules import DFA, FA, GD, KolenPollack


def radius(rule, task, w, *, inputs=None):
    """An upper bound, at any state w, on the spectral radius of the rule's Jacobian, or None.

    With a = W₁X, the error e = s(Y - sW₂a) at output scale s, rates r, decays λ, M = BW₂ and
    G = eXᵀ, |·| the spectral norm and Λ the larger decay.  Proved for

    GD: r₂s²|a|² + r₁s²|W₂|²|X|² + √(r₁r₂)|G| + Λ, as the Jacobian is symmetric but for the rates;
    FA and DFA: Λ + n/2 + √(n²/4 + v), where n = s²(r₂|a|² + r₁|M||X|²), v = s²r₁r₂|a||BGX|: an
        eigenvalue μ has (μ + λ₁)δ = -s²((μ + λ₁)r₂δP + r₁r₂BGδᵀW₁S)/(μ + λ₂) - s²r₁MδS for
        δ = δW₁, S = XXᵀ and P = W₁ᵀW₁S, so that t = |μ| - Λ has t² ≤ nt + v; other eigenvalues
        are those of -r₂s²aaᵀ - λ₂;
    KolenPollack: that of the blocks' norms, its B - W₂ᵀ moving by itself.

    inputs: ``square(task.X)``, where it is known, as it costs more than the rest for large X.
    Norms come from traces of powers, at most n^(1/16) too large for n rows.  None for other rules,
    losses and activations, for other depths and for biases.  On NumPy or JAX arrays; a decay that
    changes in time must be taken at one time, by ``rule.at(t)``.
    """
    if type(rule) not in (GD, FA, DFA, KolenPollack) or len(rule.weights(w)) != 2:
        return None
    if task.activation(0) is not linear or task.loss is not squared or task.bias:
        return None
    r1, r2 = (abs(of_layer(rule.rates, layer)) for layer in (0, 1))
    d1, d2 = (of_layer(rule.decay, layer) for layer in (0, 1))
    s, X, W, Z = task.output_scale, task.X, w[0], w[1]
    X = X.T if isinstance(X, Unformed) else X
    a = W @ X
    X = X.X if isinstance(X, Still) else X  # those that rest have no perturbations
    e = s * (task.Y - s * (Z @ a))
    decay = (abs(d1) + abs(d2) + abs(abs(d1) - abs(d2))) / 2
    inputs, hidden = s**2 * (square(X) if inputs is None else inputs), s**2 * square(a)
    root = lambda number: number ** (1 / 2)
    if type(rule) is GD:
        left = root(r1 * r2 * square(e @ X.T))
        return r2 * hidden + r1 * inputs * square(Z) + left + decay
    if type(rule) is KolenPollack:
        B, G = w[2], root(square(e @ X.T))
        both = root(hidden * inputs)
        here, there = r2 * hidden, r1 * inputs * root(square(B @ Z))
        up, down = r2 * (both * root(square(Z)) + G), r1 * (both * root(square(B)) + G)
        return decay + (here + there) / 2 + root((here - there) ** 2 / 4 + up * down)
    B = rule.B[0]
    n = r2 * hidden + r1 * inputs * root(square(B @ Z))
    driven = s**2 * square((B @ e) @ X.T @ X)
    v = r1 * r2 * root(hidden * driven)
    return decay + n / 2 + root(n**2 / 4 + v)


def square(A):
    """At least the square of A's spectral norm, and at most its n^(1/8) for the shorter side n.

    The trace of the eighth power of AAᵀ or of AᵀA, or their largest row sum, whichever is smaller.
    """
    A = A.X if isinstance(A, Still) else A
    if isinstance(A, Diagonal):
        return 1.0 if A.entries is None else (A.entries**2).max()
    gram = A @ A.T if A.shape[0] <= A.shape[1] else A.T @ A
    size = abs(gram).sum(0).max()
    scaled = gram / (size + (size == 0))  # so that no power overflows
    scaled = scaled @ scaled
    traced = ((scaled @ scaled) ** 2).sum() ** (1 / 8)
    return size * A.__array_namespace__().minimum(traced, 1.0)
