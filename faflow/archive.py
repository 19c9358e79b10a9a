"""Arrays beside a JSON text about them, as one .npz without pickles."""

import json

import numpy as np


def described(about, arrays):
    """The arrays with the text among them.  Raises TypeError for what JSON cannot hold."""
    text = json.dumps(about | {"arrays": sorted(arrays)}, default=_item)
    return {"about": np.array(text), **arrays}


def read(path, format, version, needed, foreign):
    """(about, arrays) from a file of this format, up to this version of it.

    needed: what `about` must hold.  foreign: what to say of a file of another kind.
    Raises ValueError for that, for a newer version and for a file of which parts are missing.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        ours = about["format"] == format and isinstance(about["version"], int)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(foreign) from error
    if not ours:
        raise ValueError(foreign)
    if about["version"] > version:
        raise ValueError(
            f"{path} has version {about['version']} of the format, but this faflow reads up to"
            f" {version}; install a newer one."
        )
    if not {"arrays", *needed} <= set(about) or sorted(arrays) != about["arrays"]:
        raise ValueError(f"{path} was saved by faflow, but parts of it are missing.")
    return about, arrays


def _item(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not a plain value")
