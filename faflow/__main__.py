"""``python -m faflow``, the same as the command ``faflow``."""

import sys

from .cli import main

sys.exit(main())
