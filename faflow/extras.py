"""Optional packages, and the one error that names what to install."""

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec


def needs(module, extra):
    """The optional `module`, or an ImportError that names the extra to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(_missing(module, extra)) from error


def present(module, extra):
    """Raise that ImportError where there is no such package, without importing it."""
    if sys.modules.get(module, module) is None or not _found(module):
        raise ImportError(_missing(module, extra))


@cache  # the file system is asked once
def _found(module):
    return find_spec(module) is not None


def _missing(module, extra):
    return f"This needs {module}, which is not installed: pip install 'faflow[{extra}]'."
