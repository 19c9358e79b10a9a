"""Where a run stands, on disk, and how it goes on from there."""

import hashlib
import json
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path as File
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from .. import archive

FORMAT, VERSION = "faflow checkpoint", 1

EVERY = 60.0
"""Seconds between two writings, which take at most a twentieth of the time besides."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands between two steps, with all that the next ones depend on.

    w, beside: the state, and norms of what lies beside a reduced one.  control: the step planned,
    the error of the last one, and whether one was rejected since.  solvers: what ran, from when on.
    counts: accepted, tries and evaluations.  first: the speed at the start; rested: whether the
    run came to rest.  limit: when it is asked next whether stability limits the steps.  drift,
    away, corrected: of the laws.  kinks: arrays of the path, or none.  rows: times recorded.
    """

    t: float
    w: tuple
    beside: Any
    control: tuple
    solvers: list
    counts: dict
    first: Any
    rested: bool
    limit: Any
    drift: Any
    away: Any
    corrected: float
    kinks: dict
    rows: int


@dataclass(frozen=True)
class Before:
    """What a run did until it was broken off, beside the runs of those that go on."""

    accepted: int
    tries: Any
    evaluations: int
    away: Any
    corrected: float


class Checkpoint:
    """The file at `path` for a run that is all said by `about`, as `told` writes it.

    Raises TypeError for a path of another kind; ValueError for a file that holds something else,
    or that cannot be written.
    """

    def __init__(self, path, about):
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint must be the path of a file, but is {path!r:.60}.")
        self.path, self.about = File(os.path.realpath(File(path).expanduser())), about
        self.beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        self.written, self.wait = time.monotonic(), EVERY
        if not str(path) or self.path.is_dir() or not self.path.parent.is_dir():
            raise ValueError(
                f"There is no folder to write the checkpoint {path} to, or it is a folder itself."
            )
        try:
            self.beside.write_bytes(b"")
            self.beside.unlink()
        except OSError as error:
            raise ValueError(f"The checkpoint {path} cannot be written: {error}.") from error

    def read(self):
        """What was written, as a dictionary, or None if there is no file.

        standing; ts and rows, what was recorded; bases, what a reduced state depends on; seconds.
        """
        if not self.path.exists():
            return None
        foreign = f"{self.path} is not a checkpoint of faflow; name another file, or remove it."
        needed = "of", "at", "seconds"
        said, arrays = archive.read(self.path, FORMAT, VERSION, needed, foreign)
        ours = json.loads(json.dumps(self.about))
        other = [name for name in ours | said["of"] if ours.get(name) != said["of"].get(name)]
        if other:
            raise ValueError(
                f"{self.path} is the checkpoint of another run, which differs in"
                f" {', '.join(other)}; name another file, or remove it."
            )
        pick = lambda start: {
            name[len(start) :]: arrays[name] for name in arrays if name.startswith(start)
        }
        many = lambda parts: tuple(parts[str(k)] for k in range(len(parts)))
        at = said["at"]
        others = {name: arrays.get(name) for name in ("beside", "drift", "away")}
        standing = Standing(**at, w=many(pick("w_")), kinks=pick("kinks_"), **others)
        made = {"standing": standing, "ts": arrays["ts"], "rows": many(pick("row_"))}
        return made | {"bases": many(pick("base_")), "seconds": said["seconds"]}

    def due(self):
        """Whether it is time to write again."""
        return time.monotonic() - self.written > self.wait

    def write(self, standing, record, bases, seconds):
        """Put it in the place of what was there, whole or not at all, whatever interrupts.

        Where it cannot be written a warning says so, and the run goes on.
        """
        began = time.monotonic()
        number = lambda kind, parts: {f"{kind}_{k}": part for k, part in enumerate(parts)}
        arrays = number("w", standing.w) | number("row", record.columns(standing.rows))
        arrays |= number("base", bases)
        arrays |= {f"kinks_{name}": part for name, part in standing.kinks.items()}
        arrays["ts"] = np.array(record.ts[: standing.rows])
        apart = ("w", "kinks", "beside", "drift", "away")
        for name in ("beside", "drift", "away"):
            if getattr(standing, name) is not None:
                arrays[name] = np.asarray(getattr(standing, name))
        at = {f.name: getattr(standing, f.name) for f in fields(standing) if f.name not in apart}
        about = {"format": FORMAT, "version": VERSION, "of": self.about, "at": at}
        whole = archive.described(about | {"seconds": seconds}, arrays)
        try:
            with undisturbed(), open(self.beside, "wb") as file:
                np.savez(file, **whole)
            os.replace(self.beside, self.path)
        except OSError as error:
            warnings.warn(
                f"The checkpoint {self.path} cannot be written: {error}.", RuntimeWarning, 2
            )
            with suppress(OSError):
                self.beside.unlink()
        self.written = time.monotonic()
        self.wait = max(EVERY, 20 * (self.written - began))


@contextmanager
def undisturbed():
    """Ctrl-C waits until this is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, usual = [], signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if came and callable(usual):
            usual(*came[0])


def told(value, inside=()):
    """What a run was asked to do, as plain values that differ where the runs do.

    Of functions and classes that are not faflow's, the code with what it closes over; not what they
    look up by name.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return ["x".join(map(str, value.shape)), str(value.dtype), _digest(value.tobytes())]
    if any(value is one for one in inside):
        return "itself"
    of = lambda part: told(part, (*inside, value))
    if isinstance(value, partial):
        return [of(value.func), of(value.args), of(value.keywords)]
    if isinstance(value, tuple | list):
        return [of(part) for part in value]
    if isinstance(value, dict):
        return {str(name): of(part) for name, part in value.items()}
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        more = [of(part) for part in (value.__kwdefaults__, vars(value)) if part]
        return [value.__qualname__, _code(value.__code__), of(cells), of(value.__defaults__), *more]
    if isinstance(value, type):
        parts = {} if value.__module__.split(".")[0] == "faflow" else vars(value)
        written = {name: of(part) for name, part in parts.items() if isinstance(part, FunctionType)}
        return [value.__qualname__, written, [of(base) for base in value.__bases__]]
    if isinstance(value, MethodType):
        return [of(value.__func__), of(value.__self__)]
    if is_dataclass(value) or getattr(value, "__dict__", None):
        own = {f.name: getattr(value, f.name) for f in fields(value)} if is_dataclass(value) else {}
        made = getattr(value, "__dict__", {})
        computed = lambda name: isinstance(getattr(type(value), name, None), cached_property)
        own |= {name: part for name, part in made.items() if not computed(name)}
        return [of(type(value)), of(own)]
    return getattr(value, "__qualname__", None) or getattr(value, "name", type(value).__name__)


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _code(code):
    """A digest of what a function does, wherever it is written."""

    def shown(c):
        if isinstance(c, frozenset):  # whose order changes from process to process
            return sorted(map(shown, c))
        return _code(c) if isinstance(c, CodeType) else repr(c)

    inner = list(map(shown, code.co_consts))
    return _digest(repr((code.co_code, inner, code.co_names)).encode())
