"""Learning rules as matrix flows: integrate them, prove what they keep, compare their steps."""

from . import laws as laws
from .activations import Activation as Activation
from .flow.integrate import integrate as integrate
from .losses import Loss as Loss
from .momentum import HeavyBall as HeavyBall
from .nets import Task as Task
from .nets import accuracy as accuracy
from .nets import init as init
from .nets import loss as loss
from .networks import Attention as Attention
from .networks import Convolution as Convolution
from .networks import Gains as Gains
from .networks import On as On
from .networks import Residual as Residual
from .rules import DFA as DFA
from .rules import FA as FA
from .rules import GD as GD
from .rules import FAStar as FAStar
from .rules import KolenPollack as KolenPollack
from .rules import Piecewise as Piecewise
from .rules import Rule as Rule
from .rules import SignFA as SignFA
from .solution import Interrupted as Interrupted
from .solution import Solution as Solution
from .solution import Unfinished as Unfinished
from .solution import load as load
from .steps.batches import sampled as sampled
from .steps.gap import gap as gap
from .steps.iterate import iterate as iterate
from .symbolic.certificate import Certificate as Certificate
from .symbolic.certificate import load_certificate as load_certificate
from .symbolic.certify import certify as certify
from .symbolic.discover import discover as discover
from .symbolic.prove import over_a_step as over_a_step
from .symbolic.prove import prove as prove
from .symbolic.verdict import Verdict as Verdict

__version__ = "0.1.0"
