"""Optional packages, and the one error that names what to install."""

from importlib import import_module


def needs(module, extra):
    """The optional `module`, or an ImportError that names the extra to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This needs {module}, which is not installed: pip install 'faflow[{extra}]'."
        ) from error
