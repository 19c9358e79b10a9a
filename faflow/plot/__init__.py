"""Plots: functions that take and return matplotlib axes.

Without `ax` they draw on a figure of their own, ``ax.figure``, which pyplot knows about only if
you have imported it.
"""

from .flows import TIME as TIME
from .flows import alignment as alignment
from .flows import drift as drift
from .flows import loss as loss
from .flows import measured as measured
from .flows import panels as panels
from .flows import summary as summary
from .steps import compared as compared
from .steps import edge as edge
from .steps import law_of_steps as law_of_steps
from .steps import spectrum as spectrum
