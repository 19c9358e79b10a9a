import json
import os
import signal
import subprocess
import sys
import time

import pytest

from faflow.verify import verify

MANY = """
import os, time

def claim_x(check):
    print("said aloud")
    os.write(1, b"said to the descriptor")
    check.at_most("x", 1, 2, fall=10)

def control_x_broken(check):
    check.at_most("x", 20, 2, fall=10)

def claim_y(check):
    check.at_most("y", 3, 2, fall=10)

def control_y_broken(check):
    check.at_most("y", 30, 2, fall=10)

def claim_process(check):
    time.sleep(0.3)
    check.at_most("process", os.getpid() % 7, 7, fall=10)
    (FOLDER / str(os.getpid())).touch()

def control_process_broken(check):
    time.sleep(0.3)
    (FOLDER / str(os.getpid())).touch()
    check.at_most("process", 20, 7, fall=10)
"""


@pytest.fixture
def verdicts(tmp_path):
    def made(text, **options):
        (tmp_path / "claims.py").write_text(text)
        claims, broken = verify([tmp_path / "claims.py"], **options)
        return {c.trial.name: c for c in claims}, broken

    return made


def test_processes_come_to_the_verdicts_of_one(verdicts, tmp_path):
    (tmp_path / "seen").mkdir()
    text = MANY.replace("FOLDER", f"__import__('pathlib').Path({str(tmp_path / 'seen')!r})")
    alone, _ = verdicts(text)
    (own,) = (tmp_path / "seen").iterdir()
    own.unlink()
    shared, broken = verdicts(text, jobs=2)
    assert broken == []
    assert list(shared) == list(alone) == ["claim_x", "claim_y", "claim_process"]
    for name in alone:
        assert shared[name].problems == alone[name].problems
    assert shared["claim_x"].trial.evidence == alone["claim_x"].trial.evidence
    there = {int(p.name) for p in (tmp_path / "seen").iterdir()}
    assert os.getpid() not in there
    assert len(there) == 2


def test_a_claim_whose_process_dies_is_failed_and_the_others_run(verdicts):
    text = MANY.replace('print("said aloud")', "os.kill(os.getpid(), 9)").replace("FOLDER", "None")
    claims, broken = verdicts(text, jobs=2, select="x")
    assert claims["claim_x"].problems == ["Its process died with status -9."]
    assert claims["claim_x"].controls[0].passed
    assert broken == []


def test_claims_left_over_when_every_process_has_died_did_not_run(verdicts):
    lines = "import os\n"
    for name in "abc":
        lines += f"def claim_{name}(check):\n    os._exit(3)\n"
    claims, _ = verdicts(lines, jobs=2)
    assert sum("died with status 3" in c.problems[0] for c in claims.values()) == 2
    assert sum(c.problems[0] == "It did not run." for c in claims.values()) == 1


def test_processes_that_collect_different_claims_let_nothing_stand(verdicts):
    name = "def claim_x(check): pass\nimport os\nglobals()[f'claim_{os.getpid()}'] = claim_x\n"
    _, broken = verdicts(name, jobs=2)
    assert "two processes collected different claims" in broken


def test_a_file_that_leaves_its_process_is_an_error(verdicts):
    with pytest.raises(RuntimeError, match="could not run the claims"):
        verdicts("raise SystemExit(0)\n", jobs=2)


def test_a_file_without_claims_is_refused_by_processes_too(verdicts):
    with pytest.raises(ValueError, match="No claim was found"):
        verdicts("x = 1\n", jobs=2)


def test_a_broken_file_is_told_once(verdicts):
    _, broken = verdicts("1 / 0\n", jobs=2)
    assert len(broken) == 1
    assert "ZeroDivisionError" in broken[0]


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_a_number_of_processes_that_is_none_is_refused(verdicts, jobs):
    with pytest.raises(ValueError, match="jobs must be a positive integer"):
        verdicts(MANY, jobs=jobs)


def test_figures_come_back_from_processes(verdicts, tmp_path):
    drawn = """
from faflow.plot import panels

def claim_x(check):
    check.at_most("x", 1, 2, fall=10)
    fig, ax = panels()
    ax.xaxis.set_major_formatter(lambda x, pos: "no pickle can hold this")
    check.figure(fig, "A line.")

def control_x_broken(check):
    check.at_most("x", 20, 2, fall=10)
"""
    claims, _ = verdicts(drawn, jobs=2, report=tmp_path / "report")
    ((png, caption),) = claims["claim_x"].trial.figures
    assert (png[:4], caption) == (b"\x89PNG", "A line.")
    assert claims["claim_x"].stands


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_tier_reaches_the_claims(verdicts, jobs):
    text = (
        "def claim_x(check):\n    check.at_most('x', check.tier(quick=1, full=2), 3, fall=10)\n"
        "def control_x_broken(check):\n    check.at_most('x', 20, 3, fall=10)\n"
    )
    for full, value in ((False, 1), (True, 2)):
        claims, _ = verdicts(text, full=full, jobs=jobs)
        assert claims["claim_x"].trial.evidence[0].value == value


SIGNALLED = """
import pathlib, signal, sys, threading, time
from faflow.cli import main

def hit():
    while len(list(pathlib.Path("marks").iterdir())) < 2:
        time.sleep(0.05)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)

threading.Thread(target=hit, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C")
@pytest.mark.parametrize("thread", ["main", "another"])
def test_ctrl_c_ends_the_processes_and_keeps_what_ran(tmp_path, thread):
    """Whichever thread the system gives the signal to."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "claims.py").write_text(
        "import os, pathlib, time\n"
        "def claim_a(check):\n    check.at_most('x', 1, 2, fall=10)\n"
        "def control_a_broken(check):\n    check.at_most('x', 20, 2, fall=10)\n"
        + "".join(
            f"def claim_{name}(check):\n"
            f"    pathlib.Path({str(marks)!r}, str(os.getpid())).touch()\n    time.sleep(60)\n"
            for name in "bc"
        )
    )
    start = ["-m", "faflow"] if thread == "main" else ["-c", SIGNALLED]
    command = [sys.executable, *start, "verify", "claims.py", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--json", "out.json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=-1
    )
    try:
        wait_until(lambda: len(list(marks.iterdir())) == 2)
        if thread == "main":
            process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"stopped by Ctrl-C" in error
    stands = {c["claim"]["name"]: c["stands"] for c in read(tmp_path / "out.json")["claims"]}
    assert stands == {"claim_a": True, "claim_b": False, "claim_c": False}
    for worker in marks.iterdir():
        wait_until(lambda pid=int(worker.name): not alive(pid))


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))
