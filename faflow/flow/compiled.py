"""What JAX compiles for flows, kept on disk: the next process starts half a second sooner."""

import hashlib
import os
import platform
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

MOST = 400
"""Files kept at most; past that the oldest half of them goes."""

THRESHOLDS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
"""JAX's own would keep nothing that takes less than a second."""


def folder():
    """Where compiled functions are kept: $FAFLOW_CACHE, or the user's own caches; None if empty.

    Those of each kind of processor by themselves, as homes are shared.
    """
    base = os.environ.get("FAFLOW_CACHE")
    if base is None:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA", "")
        elif sys.platform == "darwin":
            base = "~/Library/Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        base = base and os.path.join(base, "faflow")
    with suppress(RuntimeError):  # no home
        return Path(base).expanduser() / _processor() if base else None
    return None


def _processor():
    """A name for what this machine can execute."""
    abilities = platform.node()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        abilities = next((line for line in lines if line.startswith("flags")), abilities)
    return hashlib.sha256(f"{platform.machine()} {abilities}".encode()).hexdigest()[:16]


@contextmanager
def kept():
    """What is compiled here is read from the folder, or written to it.

    Nothing is done where the user has a cache of JAX's already, or where none can be written.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    place, names = folder(), ("jax_compilation_cache_dir", *THRESHOLDS)
    theirs = {name: getattr(jax.config, name) for name in names}
    if place is None or theirs[names[0]] or not _ready(place):
        yield
        return
    ours = {names[0]: str(place), **THRESHOLDS}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            compilation_cache.reset_cache()  # or it would not look at its settings again
            for name, value in ours.items():
                jax.config.update(name, value)
            yield
        finally:
            for name, value in theirs.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
    broken = [w for w in seen if "persistent compilation cache" in str(w.message)]
    for w in seen:
        if w not in broken:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    if broken:  # a file half written, say, which would be read in vain for ever
        _remove(place.glob("*"))


def _ready(place):
    """Whether files can be written there; makes room for them."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = sorted(place.iterdir(), key=lambda file: file.stat().st_mtime)
        if len(files) > MOST:
            _remove(files[: MOST // 2])
        return os.access(place, os.W_OK)
    except OSError:
        return False


def _remove(files):
    for file in files:
        with suppress(OSError):  # another process may have been quicker
            file.unlink()
