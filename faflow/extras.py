"""Optional packages, and the one error that names what to install."""

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
    if find_spec(module) is None:
        raise ImportError(_missing(module, extra))


def _missing(module, extra):
    return f"This needs {module}, which is not installed: pip install 'faflow[{extra}]'."
