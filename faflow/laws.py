"""Conserved quantities, Lyapunov functions and alignment measures, each once.

A law is ``law(rule, w)``: conserved if its value never changes along the flow of `rule`.  Layers
count from 0, so ``k`` names hidden layer k + 1 of the papers.  Layer rates enter as the flow
demands.  With weight decay no law here is constant; some then decay exponentially.
"""

import numpy as np

from .nets import forward
from .rules import GD, outgoing


def balance(rule, w, k=0):
    """W₁W₁ᵀ - W₂ᵀW₂, kept by gradient flow on a linear network [1]_.

    Biases of layer k count, those above do not.  Returns (n_k, n_k).

    .. [1] S. Arora, N. Cohen & E. Hazan, "On the optimization of deep networks", ICML 2018.
    """
    above = outgoing(w, k)
    return w[k] @ w[k].T / rule.rate(k) - above.T @ above / rule.rate(k + 1)


def neuron_balance(rule, w, k=0):
    """|row j of W₁|² - |column j of W₂|², kept by gradient flow, piecewise linear layers [1]_.

    .. [1] S. Du, W. Hu & J. Lee, "Algorithmic regularization in learning deep homogeneous
       models", NeurIPS 2018.
    """
    return balance(rule, w, k).diagonal()


def layer_balance(rule, w, k=0):
    """|W₁|² - |W₂|², kept by gradient flow with piecewise linear layers."""
    return balance(rule, w, k).trace()


def feedback_balance(rule, w, k=0):
    """W₁W₁ᵀ - B₂W₂ - (B₂W₂)ᵀ, kept by feedback alignment on a linear network.

    Also by DFA in its last hidden layer.  Biases of layer k count, those above do not.
    Returns (n_k, n_k).  Its trace is the law of Robertson & Koyejo (2023).
    """
    carried = rule.B[k] @ outgoing(w, k) / rule.rate(k + 1)
    return w[k] @ w[k].T / rule.rate(k) - carried - carried.T


def neuron_feedback_balance(rule, w, k=0, degree=1):
    """½|row j of W₁|² - degree·(B₂W₂)ⱼⱼ, kept by feedback alignment, one number a neuron.

    For hidden layers with z f'(z) = degree · f(z): piecewise linear ones have degree 1,
    relu_power(p) has p.  Robertson & Koyejo (2023).
    """
    carried = degree * (rule.B[k] @ outgoing(w, k)).diagonal()
    return (w[k] @ w[k].T).diagonal() / 2 / rule.rate(k) - carried / rule.rate(k + 1)


def layer_feedback_balance(rule, w, k=0, degree=1):
    """½|W₁|² - ⟨W₂, B₂⟩: Theorem 1 of the poster of Robertson & Koyejo (2023), a number."""
    carried = degree * (rule.B[k] @ outgoing(w, k)).trace()
    return (w[k] @ w[k].T).trace() / 2 / rule.rate(k) - carried / rule.rate(k + 1)


def neuron_potential_balance(rule, w, k=0, degree=1):
    """½|row j of W₁|² - degree·ψ(column j of W₂), where the rule feeds back the gradient of ψ.

    GD: ψ = |column|²/2.  FA: ⟨row of B, column⟩.  Sign feedback: Σ|W|, or Σ log cosh(βW)/β.
    Derived in this project; the sign law also in Robertson & Koyejo (2023).
    """
    carried = degree * rule.potential(w, k)
    return (w[k] @ w[k].T).diagonal() / 2 / rule.rate(k) - carried / rule.rate(k + 1)


def mirror_difference(rule, w, k=0):
    """W₂ - B₂ᵀ, kept by Kolen-Pollack learning (Akrout et al. 2019); decays with the weights."""
    return outgoing(w, k) - w[len(w) // 2 + 1 + k].T


def mirror_balance(rule, w, k=0):
    """W₁W₁ᵀ + W₂ᵀW₂ - B₂W₂ - (B₂W₂)ᵀ, kept by Kolen-Pollack learning on a linear network.

    Its diagonal is kept with piecewise linear layers.  Derived in this project.
    """
    above, feedback = outgoing(w, k), w[len(w) // 2 + 1 + k]
    carried = (feedback @ above + (feedback @ above).T - above.T @ above) / rule.rate(k + 1)
    return w[k] @ w[k].T / rule.rate(k) - carried


def neuron_mirror_balance(rule, w, k=0):
    """The diagonal of `mirror_balance`, kept with piecewise linear layers."""
    return mirror_balance(rule, w, k).diagonal()


def end_to_end_feedback(rule, depth):
    """B₂B₃⋯B_L for FA, B₁ for DFA: what carries the output error to the first layer."""
    carried = rule.B[0]
    if len(rule.B) and rule.first == 2:
        for B in rule.B[1 : depth - 1]:
            carried = carried @ B
    return carried


def lyapunov(rule, w, *, target):
    """Φ_L = ½|B̃W_L|² - ⟨B̃Y, W₁⟩, which FA and DFA decrease on linear networks of any depth.

    dΦ_L/dt = -tr(B̃ E S Eᵀ B̃ᵀ) with E = Y - W_L⋯W₁ and S = XXᵀ; B̃ is `end_to_end_feedback`.
    With two layers it is Φ of matrix factorisation.  Derived in this project.

    target: Y, (d_out, d_in), the regression matrix of the data (`nets.regression`).
    """
    feedback = end_to_end_feedback(rule, len(w))
    last, first = feedback @ w[-1], feedback @ target @ w[0].T
    return (last @ last.T).trace() / 2 / rule.rate(len(w) - 1) - first.trace() / rule.rate(0)


def lyapunov_rate(rule, w, *, target, covariance):
    """-tr(B̃ E S Eᵀ B̃ᵀ), the rate of `lyapunov` under FA and DFA.

    covariance: S = XXᵀ, (d_in, d_in).
    """
    product = w[0]
    for W in w[1:]:
        product = W @ product
    carried = end_to_end_feedback(rule, len(w)) @ (target - product)
    return -(carried @ covariance @ carried.T).trace()


def projected_loss(rule, w, *, target, covariance):
    """V = ½tr(FSFᵀ), F = B̃(Y - W_L⋯W₁): the squared loss as the first layer is told of it."""
    return -lyapunov_rate(rule, w, target=target, covariance=covariance) / 2


def projected_loss_rate(rule, w, *, target, covariance):
    """-|FSW₁ᵀ|² - ½|W₁ᵀFS|² + ½tr(QFS²Fᵀ), the rate of `projected_loss` under two-layer FA.

    Q is `feedback_balance`, so that V never rises if Q(0) ≤ 0.  At rates 1 and without decay.
    Derived in this project.

    target: Y, (d_out, d_in).  covariance: S = XXᵀ, (d_in, d_in).
    """
    told = rule.B[0] @ (target - w[1] @ w[0]) @ covariance
    across, along, kept = told @ w[0].T, w[0].T @ told, feedback_balance(rule, w)
    pushed = (kept @ told @ told.T).trace()
    return -(across @ across.T).trace() - (along @ along.T).trace() / 2 + pushed / 2


def alignment(rule, w, k=0):
    """Cosine of the angle between the feedback and Wᵀ of the layer above k, as Frobenius vectors.

    nan where the weights are zero and have no direction.  Raises ValueError for a feedback of
    another shape, such as DFA's below the last hidden layer.
    """
    feedback, above = feedback_of(rule, w, k), outgoing(rule.weights(w), k)
    if feedback.shape != above.T.shape:
        raise ValueError(
            f"{type(rule).__name__} feeds layer {k} through a {feedback.shape} matrix, which has no"
            f" angle with the transposed weights {above.T.shape}."
        )
    return _cosine(feedback, above.T)


def feedback_of(rule, w, k=0):
    """The matrix that stands for W₂ᵀ in `rule` at state `w`: (n_k, n_above); DFA (n_k, d_out)."""
    weights = rule.weights(w)
    return rule.carry(w, k, np.eye(len(weights[k + 1])), np.eye(len(weights[-1])))


def direction_alignment(rule, w, *, task):
    """Cosine of the angle between the rule's velocity and plain gradient descent's, all layers.

    The rule's rates and decay count; a decay piecewise in time is that of ``rule.at(t)``.
    """
    weights = rule.weights(w)
    moved, descent = rule(task, w)[: len(weights)], GD().velocity(task, weights)
    flat = lambda parts: np.concatenate([V.ravel() for V in parts])
    return _cosine(flat(moved), flat(descent))


def loss(rule, w, *, task):
    """The task's loss, summed over the samples.

    Observed as ``functools.partial(loss, task=task)`` on the run's own task, a reduced run gives it
    without its full weights.
    """
    return rule.loss(task, w)


def loss_rate(rule, w, *, task):
    """The rate of the task's loss along the rule: -⟨velocity, minus the loss's gradient⟩."""
    weights = rule.weights(w)
    pairs = zip(GD().velocity(task, weights), rule(task, w)[: len(weights)], strict=True)
    return -sum(np.sum(descent * moved) for descent, moved in pairs)


def principal_angles(first, second):
    """Cosines of the principal angles between the row spaces of two matrices, largest first.

    As many as the smaller of the two ranks; none for a zero matrix.  The row space of a first
    layer's weights is what a linear network represents of its input.
    """
    bases = []
    for M in (first, second):
        _, values, rows = np.linalg.svd(M, full_matrices=False)
        bases.append(rows[values > np.finfo(float).eps * max(M.shape) * values[0]])
    return np.clip(np.linalg.svd(bases[0] @ bases[1].T, compute_uv=False), 0, 1)


def representations(rule, w, *, task, k=0):
    """Activity of hidden layer k, (n_k, samples), its bias row left out."""
    hidden, _, _ = forward(task, rule.weights(w))
    return task.activation(k).f(hidden[k])


def _cosine(a, b):
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return np.sum(a * b) / size if size else np.nan
