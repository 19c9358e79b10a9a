"""Functions compiled for flows are kept on disk, and nothing else is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faflow.flow import compiled

pytestmark = pytest.mark.jax

RUN = """
import warnings; warnings.simplefilter("error")
import jax, numpy as np, faflow as ff
{before}
rule, task = ff.FA.random((4, 3, 2), seed=1), ff.Task(np.eye(4), np.ones((2, 4)))
sol = ff.integrate(rule, task, ff.init((4, 3, 2), seed=2), [0, 1], engine="diffrax", rtol=1e-6)
print(repr(sol.final), jax.config.jax_compilation_cache_dir,
      jax.config.jax_persistent_cache_min_compile_time_secs)
{after}
"""


def run(folder, before="", after=""):
    environment = os.environ | {"FAFLOW_CACHE": str(folder)}
    made = RUN.format(before=before, after=after)
    out = subprocess.run(
        [sys.executable, "-c", made], env=environment, capture_output=True, text=True, check=True
    )
    return out.stdout


def files(folder):
    return sorted(file for file in Path(folder).rglob("*") if file.is_file())


def test_a_second_process_compiles_nothing_and_ends_alike(tmp_path):
    first = run(tmp_path)
    (made,) = files(tmp_path)
    when, holds = made.stat().st_mtime_ns, made.read_bytes()
    counted = "import jax.monitoring as m; m.register_event_listener(lambda e, **k: E.append(e))"
    again = run(
        tmp_path, "E = []; " + counted, "print([e.split('/')[-1] for e in E if 'cache_hit' in e])"
    )
    assert again == first + "['cache_hits']\n"
    assert files(tmp_path) == [made]
    assert (made.stat().st_mtime_ns, made.read_bytes()) == (when, holds)
    assert " None 1.0" in first  # JAX's own settings are as they were


def test_a_broken_file_costs_a_compilation_and_goes(tmp_path):
    first = run(tmp_path)
    (made,) = files(tmp_path)
    made.write_bytes(made.read_bytes()[:100])
    assert run(tmp_path) == first
    assert files(tmp_path) == []
    assert run(tmp_path) == first
    assert files(tmp_path) == [made]


def test_a_cache_of_the_users_own_is_left_alone(tmp_path):
    theirs = tmp_path / "theirs"
    before = f"jax.config.update('jax_compilation_cache_dir', {str(theirs)!r})"
    assert str(theirs) in run(tmp_path / "ours", before)
    assert not (tmp_path / "ours").exists()


def test_nothing_is_kept_where_that_is_asked_or_nothing_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FAFLOW_CACHE", "")
    assert compiled.folder() is None
    file = tmp_path / "file"
    file.write_text("")
    assert run(file / "below").endswith("None 1.0\n")
    monkeypatch.delenv("FAFLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.folder().parent == tmp_path / "faflow"


def test_old_files_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 6)
    for k in range(7):
        (tmp_path / f"{k}").write_text("")
        os.utime(tmp_path / f"{k}", (k, k))
    assert compiled._ready(tmp_path)
    assert [file.name for file in files(tmp_path)] == ["3", "4", "5", "6"]
