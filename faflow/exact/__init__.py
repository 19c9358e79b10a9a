"""Closed-form solutions of learning flows: golden references that no solver has touched."""

from .chains import Equilibria as Equilibria
from .chains import fa_chain as fa_chain
from .chains import fa_chain_equilibria as fa_chain_equilibria
from .chains import fa_chain_law as fa_chain_law
from .commuting import fa_from_commuting as fa_from_commuting
from .cubic import fa_double_root as fa_double_root
from .cubic import fa_forgetting as fa_forgetting
from .deep import fa_orthogonal_from_zero as fa_orthogonal_from_zero
from .gradient import gd_balanced_chain as gd_balanced_chain
from .gradient import gd_chain as gd_chain
from .layer import one_layer as one_layer
from .matrices import Products as Products
from .matrices import gd_balanced as gd_balanced
from .white import Modes as Modes
from .white import discrete_fa_from_zero as discrete_fa_from_zero
from .white import fa_from_zero as fa_from_zero
from .white import fa_limit as fa_limit
from .white import fa_limit_weights as fa_limit_weights
from .white import fa_modes as fa_modes
