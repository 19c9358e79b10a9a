"""Two-layer networks of width p in the scaling of Song, Xu & Lafferty, and their limit p → ∞.

Their network [1]_ is f = ψ(XᵀWᵀ)β/√p with one output, samples as columns of X; feedback b takes
the place of β in the error's way back, and a penalty λ acts on β alone:

    dβ/dt = -ψ(WX)e/√p - λβ,   dW/dt = -[ψ'(WX) ∘ beᵀ]Xᵀ/√p,   e = f - y,

with the entries of W, β and b standard Gaussian.  As a problem of this package its weights are
``(W, βᵀ/√p)``, its rule ``FA((b/√p,), rates=(1, 1/p), decay=(0, λ))``.  The loss is |e|²/2, summed.

.. [1] G. Song, R. Xu & J. Lafferty, "Convergence and alignment of gradient descent with random
   backpropagation weights", NeurIPS 2021, arXiv:2106.06044.
"""

from .flow import reduced_flow as reduced_flow
from .limit import Alignment as Alignment
from .limit import alignment_law as alignment_law
from .limit import alignment_path as alignment_path
from .limit import late_error as late_error
from .network import drawn as drawn
from .network import error_rate as error_rate
from .network import from_mean_loss as from_mean_loss
from .network import gamma as gamma
from .network import kernels as kernels
from .network import limit_kernel as limit_kernel
from .network import problem as problem
from .network import residual as residual
from .network import residual_rate as residual_rate
from .reduction import Overlaps as Overlaps
from .reduction import Reduced as Reduced
from .reduction import overlaps as overlaps
from .steps import reduced_steps as reduced_steps
from .steps import until_settled as until_settled
