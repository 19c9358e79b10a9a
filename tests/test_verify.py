import ast
import functools
import gc
import inspect
import json
import re
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import faflow as ff
from faflow import laws, matrices, nets, rules
from faflow.check import Check
from faflow.claims import body, claims_of
from faflow.collect import Collector
from faflow.collect import run as run_claims
from faflow.mathematics import rendered
from faflow.matrices import normal
from faflow.verify import verify

PROOFS = Path(__file__).parent.parent / "proofs_check"


@pytest.fixture(scope="module", autouse=True)
def no_old_garbage():
    """Every run of pytest inside this one collects garbage: half of its time, if not for this."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


CLAIM = '''
def claim_x(check):
    """x < 2 & small, for every x.

    It really is.

    Source: A & B (2020),
      Theorem 1.
    Class: quoted
    """
    check.at_most("x", 1, 2, fall=10)
'''
CONTROL = '''
def control_x_broken(check):
    """x is large."""
    check.at_most("x", 20, 2, fall=10)
'''


def run(folder, *parts, name="claims.py", **options):
    """Claims by name, and problems outside any, of a file of these parts."""
    (folder / name).write_text("\n".join(parts))
    claims, broken = verify([folder / name], **options)
    return {c.trial.name: c for c in claims}, broken


def shows(what, *, name="claim_x", before=""):
    """A claim or control with another body."""
    return f"{before}\ndef {name}(check):\n    {what}\n"


def control(what, **options):
    return shows(what, name="control_x_broken", **options)


def test_a_claim_stands_with_a_control_that_falls(tmp_path):
    claims, broken = run(tmp_path, CLAIM, CONTROL)
    claim = claims["claim_x"]
    assert (list(claims), broken, claim.stands, claim.problems) == (["claim_x"], [], True, [])
    assert [c.name for c in claim.controls] == ["control_x_broken"]
    assert [e.value for e in claim.trial.evidence] == [1]
    assert claim.trial.file == "claims.py" or claim.trial.file.endswith("/claims.py")
    assert claim.known == "measured"
    assert claim.brief == [("≤ 2", "1")]
    assert 0 < claim.trial.seconds <= claim.seconds < 10


SKIP = '@pytest.mark.skip(reason="no")'
XFAIL = '@pytest.mark.xfail(reason="no")'
EVIDENCE = 'check.at_most("x", 1, 2, fall=10)'
FALLS = 'check.at_most("x", 20, 2, fall=10)'
FIXTURE = "@pytest.fixture\ndef part():\n    {}\n"
OWN_CHECK = """
@pytest.fixture
def check():
    from faflow.check import Check
    return Check()
"""

WRONG_CLAIMS = {
    "beyond its bound": (shows('check.at_most("x", 3, 2, fall=10)'), r"x: 3, needed ≤ 2"),
    "nan": (shows('check.at_most("x", float("nan"), 2, fall=10)'), "x: nan, needed ≤ 2"),
    "nan in an array": (shows('check.at_most("x", [1, float("nan")], 2, fall=10)'), "nan"),
    "-inf at most": (shows('check.at_most("x", -float("inf"), 2, fall=10)'), "x: -inf"),
    "inf at least": (shows('check.at_least("x", float("inf"), 2, fall=1)'), "x: inf"),
    "equal nan": (shows('check.equal("x", [float("nan")], [1], tol=1)'), "nan"),
    "one of two wrong": (
        shows(f'{EVIDENCE}; check.at_most("y", 3, 2, fall=10)'),
        "y: 3, needed ≤ 2$",
    ),
    "no evidence": (shows("pass"), "No evidence was shown"),
    "no check": ("def claim_x():\n    pass\n", "takes no `check`"),
    "a check as default": ("def claim_x(check=None):\n    pass\n", "takes no `check`"),
    "crash": (shows(f"{EVIDENCE}; 1 / 0"), "ZeroDivisionError"),
    "assert": (shows(f"{EVIDENCE}; assert 1 == 2, 'unequal'"), "AssertionError: unequal"),
    "exit": (shows(f"{EVIDENCE}; raise SystemExit(0)"), "SystemExit"),
    "skip": (shows(f"{EVIDENCE}; pytest.skip('no')"), "Skipped: no"),
    "skip mark": (shows(EVIDENCE, before=SKIP), "Skipped: no"),
    "skipif mark": (shows(EVIDENCE, before="@pytest.mark.skipif('True', reason='no')"), "Skipped"),
    "xfail": (shows(f"{EVIDENCE}; pytest.xfail('no')"), "no"),
    "xfail mark": (shows('check.at_most("x", 3, 2, fall=10)', before=XFAIL), "x: 3, needed ≤ 2"),
    "xfail not run": (
        shows(EVIDENCE, before='@pytest.mark.xfail(reason="no", run=False)'),
        "NOTRUN",
    ),
    "fixture fails": (
        FIXTURE.format("raise OSError('no')") + f"def claim_x(check, part):\n    {EVIDENCE}\n",
        "OSError: no",
    ),
    "fixture skips": (
        FIXTURE.format("pytest.skip('no')") + f"def claim_x(check, part):\n    {EVIDENCE}\n",
        "Skipped: no",
    ),
    "teardown fails": (
        FIXTURE.format("yield; raise OSError('no')")
        + f"def claim_x(check, part):\n    {EVIDENCE}\n",
        "OSError: no",
    ),
    "unknown fixture": (f"def claim_x(check, nothing):\n    {EVIDENCE}\n", "nothing"),
    "never awaited": (f"async def claim_x(check):\n    {EVIDENCE}\n", "async"),
    "order": (shows('check.order("x", [1, 2], [1, 4], 1)'), "x: 2, needed 1 ± 0.1"),
    "a law not kept": (
        shows("check.proved(faflow.prove(faflow.laws.balance, faflow.FA))"),
        "needed rate 0",
    ),
}


@pytest.mark.parametrize("what", WRONG_CLAIMS)
def test_a_claim_does_not_stand(tmp_path, what):
    text, message = WRONG_CLAIMS[what]
    claims, broken = run(tmp_path, "import faflow, pytest\n", text, CONTROL)
    claim = claims["claim_x"]
    assert not claim.stands
    assert not broken
    assert len(claim.problems) == 1
    assert re.search(message, claim.problems[0]), claim.problems


WRONG_CONTROLS = {
    "inside the bound": (control(EVIDENCE), "x: 1, needed ≥ 10"),
    "short of the margin": (control('check.at_most("x", 9.9, 2, fall=10)'), "x: 9.9, needed ≥ 10"),
    "short of the usual margin": (control('check.at_most("x", 1, 0.011)'), "needed ≥ 1.1"),
    "above the level": (control('check.at_least("x", 0.5, 2, fall=0.4)'), "x: 0.5, needed ≤ 0.4"),
    "equal": (control('check.equal("x", [1], [1.5], tol=0.1, fall=1)'), "x|: 0.5, needed ≥ 1"),
    "order": (control('check.order("x", [1, 2], [1, 2.2], 1)'), "off by ≥ 0.3"),
    "nan": (control('check.at_most("x", float("nan"), 2, fall=10)'), "x: nan"),
    "inf": (control('check.at_most("x", float("inf"), 2, fall=10)'), "x: inf"),
    "-inf": (control('check.at_least("x", -float("inf"), 2, fall=1)'), "x: -inf"),
    "one of two": (control(f"{FALLS}; {EVIDENCE}"), "x: 1, needed ≥ 10$"),
    "crash": (control(f"{FALLS}; 1 / 0"), "ZeroDivisionError"),
    "assert": (control(f"{FALLS}; assert False"), "AssertionError"),
    "no evidence": (control("pass"), "No evidence was shown"),
    "no check": ("def control_x_broken():\n    assert False\n", "AssertionError"),
    "no check, no failure": ("def control_x_broken():\n    pass\n", "takes no `check`"),
    "skip": (control(f"{FALLS}; pytest.skip('no')"), "Skipped: no"),
    "skip mark": (control(FALLS, before=SKIP), "Skipped: no"),
    "xfail mark": (control(EVIDENCE, before=XFAIL), "x: 1, needed ≥ 10"),
    "strict xfail": (
        control(FALLS + "; assert False", before="@pytest.mark.xfail(strict=True)"),
        "AssertionError",
    ),
    "a law kept": (
        control("check.proved(faflow.prove(faflow.laws.balance, faflow.GD))"),
        "rate 0, needed rate not 0",
    ),
}


@pytest.mark.parametrize("what", WRONG_CONTROLS)
def test_a_claim_does_not_stand_by_its_control(tmp_path, what):
    text, message = WRONG_CONTROLS[what]
    claims, broken = run(tmp_path, "import faflow, pytest\n", CLAIM, text)
    claim = claims["claim_x"]
    assert not claim.stands
    assert not broken
    assert claim.problems[-1].startswith("control_x_broken: ")
    assert re.search(message, claim.problems[-1]), claim.problems


def test_a_check_that_is_not_faflows_shows_nothing(tmp_path):
    claim = run(tmp_path, "import pytest", OWN_CHECK, CLAIM, CONTROL)[0]["claim_x"]
    assert claim.problems == [
        "It takes no `check`, so it shows nothing.",
        "control_x_broken: It takes no `check`, so it shows nothing.",
    ]


def test_one_control_of_two_that_does_not_fall_is_enough(tmp_path):
    second = shows(EVIDENCE, name="control_x_other")
    claim = run(tmp_path, CLAIM, CONTROL, second)[0]["claim_x"]
    assert not claim.stands
    assert [c.passed for c in claim.controls] == [True, False]


def test_a_claim_without_a_control_does_not_stand(tmp_path):
    claim = run(tmp_path, CLAIM)[0]["claim_x"]
    assert claim.trial.passed
    assert not claim.stands
    assert claim.problems == ["It has no control, so nothing shows that the check can fail."]


def test_a_claim_that_says_it_is_proved_without_a_proof_does_not_stand(tmp_path):
    said = CLAIM.replace("Source:", "Proves: the statement.\n    Source:")
    claim = run(tmp_path, said, CONTROL)[0]["claim_x"]
    assert claim.problems == ["It says what it proves, but shows no proof."]


@pytest.mark.parametrize("name", ["control_y_broken", "control_x", "control_xy_broken"])
def test_a_control_of_no_claim_is_a_problem_of_its_own(tmp_path, name):
    claims, _ = run(tmp_path, CLAIM, CONTROL, shows(FALLS, name=name))
    assert claims["claim_x"].stands
    assert not claims[name].stands
    assert claims[name].problems == [f"{name} belongs to no claim of its file."]


def test_a_control_belongs_to_the_claim_of_the_longest_name(tmp_path):
    names = ["claim_a", "claim_a_b", "control_a_b_c", "control_a_bc", "claim_a_bcd"]
    claims, _ = run(tmp_path, *(shows(EVIDENCE if n[1] == "l" else FALLS, name=n) for n in names))
    owned = {name: [c.name for c in claim.controls] for name, claim in claims.items()}
    assert owned == {
        "claim_a": ["control_a_bc"],
        "claim_a_b": ["control_a_b_c"],
        "claim_a_bcd": [],
    }
    assert [c.stands for c in claims.values()] == [True, True, False]


def test_a_control_in_another_file_does_not_count(tmp_path):
    (tmp_path / "other.py").write_text(CONTROL)
    (tmp_path / "claims.py").write_text(CLAIM)
    claims, _ = verify([tmp_path])
    assert not any(c.stands for c in claims)


def test_files_of_one_name_in_two_folders_have_controls_of_their_own(tmp_path):
    for folder, text in {"one": CLAIM, "two": CLAIM + CONTROL}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "claims.py").write_text(text)
    claims, _ = verify([tmp_path])
    assert [(Path(c.trial.file).parent.name, c.stands) for c in claims] == [
        ("one", False),
        ("two", True),
    ]


def test_classes_have_controls_of_their_own(tmp_path):
    method = lambda text: textwrap.indent(text.replace("(check)", "(self, check)"), "    ")
    claims, _ = verify_text(
        tmp_path, "class TestOne:", method(CLAIM), "class TestTwo:", method(CLAIM), method(CONTROL)
    )
    assert [c.stands for c in claims] == [False, True]


def verify_text(folder, *parts, **options):
    (folder / "claims.py").write_text("\n".join(parts))
    return verify([folder / "claims.py"], **options)


def test_each_case_of_a_parametrised_claim_has_its_own_verdict(tmp_path):
    cases = "import pytest\n@pytest.mark.parametrize('n', [1, 3])"
    claim = f"{cases}\ndef claim_x(check, n):\n    check.at_most('x', n, 2, fall=10)\n"
    claims, _ = run(tmp_path, claim, CONTROL)
    assert {name: c.stands for name, c in claims.items()} == {
        "claim_x[1]": True,
        "claim_x[3]": False,
    }
    assert all(len(c.controls) == 1 for c in claims.values())


def test_every_case_of_a_parametrised_control_must_fall(tmp_path):
    cases = "import pytest\n@pytest.mark.parametrize('n', [20, 3])"
    text = f"{cases}\ndef control_x_broken(check, n):\n    check.at_most('x', n, 2, fall=10)\n"
    claim = run(tmp_path, CLAIM, text)[0]["claim_x"]
    assert claim.problems == [
        "control_x_broken[3]: AssertionError: The control does not fall: x: 3, needed ≥ 10"
    ]


# Files, and what was not run


BAD_FILES = {
    "import nonsense\n": "No module named 'nonsense'",
    "def claim_x(check:\n": "'(' was never closed",
    "import pytest\npytest.skip('not here', allow_module_level=True)\n": "Skipped: not here",
    "import pytest\npytest.importorskip('nonsense')\n": "could not import 'nonsense'",
    "1 / 0\n": "ZeroDivisionError",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_that_does_not_import_is_reported_and_the_others_run(tmp_path, text):
    (tmp_path / "bad.py").write_text(text)
    (tmp_path / "good.py").write_text(CLAIM + CONTROL)
    claims, broken = verify([tmp_path], json_file=tmp_path / "out.json")
    assert [c.stands for c in claims] == [True]
    assert len(broken) == 1
    assert "bad.py: " in broken[0]
    assert BAD_FILES[text] in broken[0]
    assert json.loads((tmp_path / "out.json").read_text())["all stand"] is False


def test_a_file_with_the_name_of_a_module_is_not_left_out_in_silence(tmp_path, monkeypatch):
    (tmp_path / "colorsys.py").write_text(CLAIM + CONTROL)
    (tmp_path / "random.py").write_text(CLAIM + CONTROL)
    monkeypatch.chdir(tmp_path)
    assert "random" in sys.modules
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    claims, broken = verify(["."])
    assert [c.trial.file for c in claims] == ["colorsys.py"]
    assert broken == [f"{tmp_path}/random.py: another module has its name; rename the file"]


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    assert run(tmp_path, CLAIM, CONTROL)[0]["claim_x"].stands
    assert not run(tmp_path, CLAIM.replace(" 1, 2", " 1000, 2"), CONTROL)[0]["claim_x"].stands
    with pytest.raises(ValueError, match="No claim was found"):
        run(tmp_path, "import pytest\n")


def test_a_file_imported_before_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_claims.py").write_text(CLAIM + CONTROL)
    __import__("own_claims")
    claims, broken = run(
        tmp_path, CLAIM.replace(" 1, 2", " 1000, 2"), CONTROL, name="own_claims.py"
    )
    assert not broken
    assert not claims["claim_x"].stands


def test_files_of_one_name_in_two_runs_are_not_mixed_up(tmp_path, monkeypatch):
    stand = []
    for folder, value in {"one": "1", "two": "1000"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        claims, broken = run(tmp_path / folder, CLAIM.replace(" 1, 2", f" {value}, 2"), CONTROL)
        assert not broken
        stand.append(claims["claim_x"].stands)
    assert stand == [True, False]


def test_what_is_no_claim_is_left_alone(tmp_path):
    other = "import unittest\nclass T(unittest.TestCase):\n    def testx(self):\n        1 / 0\n"
    claims, broken = run(tmp_path, CLAIM, CONTROL, other, "def test_y():\n    1 / 0\n")
    assert (list(claims), broken) == (["claim_x"], [])


@pytest.mark.parametrize(
    "options", ["--setup-only", "--collect-only", "-k broken", "--maxfail=1", "-m slow"]
)
def test_options_of_pytest_in_the_environment_change_nothing(tmp_path, monkeypatch, options):
    """They are meant for tests; by them claims would not run, or would not be seen."""
    monkeypatch.setenv("PYTEST_ADDOPTS", options)
    first = shows("1 / 0", name="claim_first")
    claims, broken = run(tmp_path, first, CLAIM, CONTROL)
    assert not broken
    assert {name: c.stands for name, c in claims.items()} == {"claim_first": False, "claim_x": True}


def test_a_claim_that_ends_the_run_does_not_hide_the_others(tmp_path):
    leaves = shows("import pytest; pytest.exit('done', returncode=0)", name="claim_y")
    claims, _ = run(tmp_path, CLAIM, CONTROL, leaves, shows("1 / 0", name="claim_z"))
    assert {name: c.stands for name, c in claims.items()} == {
        "claim_x": True,
        "claim_y": False,
        "claim_z": False,
    }


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_stops_the_verification_and_what_ran_is_kept(tmp_path, jobs):
    stop = shows("raise KeyboardInterrupt", name="claim_y")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, CLAIM, CONTROL, stop, json_file=tmp_path / "out.json", jobs=jobs)
    whole = strict(tmp_path / "out.json")
    assert [c["stands"] for c in whole["claims"]] == [True, False]
    assert whole["broken files"] == ["stopped before all claims had run"]
    assert whole["all stand"] is False


def test_a_file_that_leaves_the_process_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="could not run the claims"):
        run(tmp_path, CLAIM, "raise SystemExit(0)\n")


@pytest.mark.parametrize(
    ("select", "claims", "controls"),
    [
        ("x", ["claim_x", "claim_x_y"], [["control_x_broken"], ["control_x_y_broken"]]),
        ("claim_x_y", ["claim_x_y"], [["control_x_y_broken"]]),
        ("z", ["claim_z"], [["control_z_x_y"]]),
    ],
)
def test_a_selected_claim_keeps_its_controls(tmp_path, select, claims, controls):
    names = ["claim_x", "claim_x_y", "claim_z", "control_x_broken", "control_x_y_broken"]
    names += ["control_z_x_y"]
    parts = [shows(EVIDENCE if n[1] == "l" else FALLS, name=n) for n in names]
    found, _ = run(tmp_path, *parts, select=select)
    assert list(found) == claims
    assert [[c.name for c in claim.controls] for claim in found.values()] == controls
    assert all(c.stands for c in found.values())


@pytest.mark.parametrize("select", ["nothing", "broken"])
def test_selecting_no_claim_is_an_error(tmp_path, select):
    with pytest.raises(ValueError, match=rf"No claim was found in .*claims.py named {select}\."):
        run(tmp_path, CLAIM, CONTROL, select=select)


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        verify([tmp_path / "nowhere"])


def test_each_trial_is_told_as_it_ends(tmp_path):
    told = []
    run(tmp_path, CLAIM, CONTROL, tell=lambda trial, done, total: told.append((trial, done, total)))
    assert [(t.name, t.passed, done, total) for t, done, total in told] == [
        ("claim_x", True, 1, 2),
        ("control_x_broken", True, 2, 2),
    ]


# What a claim says


def test_the_tags_are_parsed_and_left_out_of_the_statement(tmp_path):
    claim = run(tmp_path, CLAIM, CONTROL)[0]["claim_x"]
    assert claim.source == "A & B (2020), Theorem 1."
    assert claim.kind == "quoted"
    assert body(claim.trial.statement) == "x < 2 & small, for every x.\n\nIt really is."


def test_a_claim_without_tags_says_so(tmp_path):
    claim = run(tmp_path, shows(EVIDENCE), CONTROL)[0]["claim_x"]
    assert (claim.source, claim.kind, claim.trial.statement) == ("not given", "not given", "")


def functions(path):
    """Names and docstrings of a file's functions, without importing it."""
    tree = ast.parse(path.read_text())
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [(f.name, ast.get_docstring(f) or "") for f in made]


@pytest.mark.parametrize("path", sorted(PROOFS.glob("*.py")), ids=lambda p: p.stem)
def test_every_claim_of_the_project_says_what_it_needs_and_has_a_control(path):
    there = functions(path)
    names = [name for name, _ in there]
    claims = {name: text for name, text in there if name.startswith("claim_")}
    assert claims
    assert len(set(names)) == len(names)
    for name, text in claims.items():
        control = name.replace("claim_", "control_", 1) + "_"
        assert any(other.startswith(control) for other in names), f"{name} has no control"
        assert re.search(r"^Assumes: \S", text, re.M), f"{name} does not say what it assumes"
        assert re.search(r"^Source: \S", text, re.M), f"{name} has no source"
        assert re.search(r"^Class: (quoted|recalled|derived)$", text, re.M), f"{name}: its class"
    for name, text in there:
        if name.startswith("control_"):
            assert text, f"{name} does not say what is broken"
            owners = [c for c in claims if name.startswith(c.replace("claim", "control", 1) + "_")]
            assert owners, f"{name} belongs to no claim"


@pytest.mark.parametrize("path", sorted(PROOFS.glob("*.py")), ids=lambda p: p.stem)
def test_every_formula_of_the_project_becomes_mathml(path):
    for name, text in functions(path):
        made = rendered(text)
        assert "<code>" not in made, f"{name}: a formula that cannot be converted"
        assert not re.search(r"\\[a-zA-Z]", made), f"{name}: LaTeX that was not understood"


# What is written


FIGURES = """
from matplotlib.figure import Figure

def drawn(check):
    ax = Figure().subplots()
    ax.plot([0, 1])
    check.figure(ax, "A caption <b>")
    check.figure(Figure())
"""


def strict(path):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_json_holds_the_evidence(tmp_path):
    out = tmp_path / "new" / "out.json"
    text = shows(f"drawn(check); {EVIDENCE}", before=FIGURES)
    run(tmp_path, text, CONTROL, json_file=out)
    whole = strict(out)
    assert (whole["faflow"], whole["all stand"]) == (ff.__version__, True)
    assert whole["broken files"] == []
    (claim,) = whole["claims"]
    assert claim["stands"] is True
    assert claim["claim"]["figures"] == ["A caption <b>", ""]
    (evidence,) = claim["controls"][0]["evidence"]
    expected = {"name": "x", "kind": "measured", "value": 20, "needed": "≤ 2", "margin": "≥ 10"}
    assert evidence == expected | {"stands": False, "falls": True, "on": "", "interval": None}


def test_the_json_is_strict_whatever_was_seen(tmp_path):
    values = "numpy.float32(1), float('nan'), float('inf'), numpy.int64(1), True"
    odd = f"import numpy\n    for v in ({values}): check.at_most('x', v, numpy.float64(2), fall=10)"
    run(tmp_path, shows(odd), CONTROL, json_file=tmp_path / "out.json")
    (claim,) = strict(tmp_path / "out.json")["claims"]
    assert [e["value"] for e in claim["claim"]["evidence"]] == [1, "nan", "inf", 1, 1]
    assert claim["stands"] is False


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        self.text.append(data)


def test_every_link_of_the_report_leads_to_a_file(tmp_path):
    two = [shows(f"drawn(check); {FALLS}", name=f"control_x_{end}") for end in "aA"]
    both = FIGURES + shows(f"drawn(check); {EVIDENCE}"), *two
    twin = shows(EVIDENCE, name="claim_x_1")
    cases = "import pytest\n@pytest.mark.parametrize('n', [1])\ndef claim_X(check, n):\n    pass\n"
    run(tmp_path, *both, twin, cases, report=tmp_path / "report")
    report = tmp_path / "report"
    links = Links((report / "index.html").read_text()).found
    pages = [report / link for link in links if link.endswith(".html")]
    assert len({page.name.lower() for page in pages}) == 3
    assert all((report / link).is_file() for link in links if not link.startswith("data:"))
    pictures = set()
    for page in pages:
        found = [link.partition("#")[0] for link in Links(page.read_text()).found]
        links = [page.parent / link for link in found if link != "data:,"]
        assert all(link.is_file() for link in links)
        pictures |= {str(link.resolve()).lower() for link in links if link.suffix == ".png"}
    assert len(pictures) == 6
    for picture in (report / "figures").iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_report_escapes_what_claims_say(tmp_path):
    wrong = shows('check.at_most("<i>y", 3, 2, fall=10, on="a <u> b")', name="claim_y")
    (tmp_path / "bad.py").write_text("raise ValueError('<script>')\n")
    (tmp_path / "claims.py").write_text("\n".join((CLAIM, CONTROL, wrong)))
    verify([tmp_path], report=tmp_path / "report")
    texts = [p.read_text() for p in (tmp_path / "report").rglob("*.html")]
    assert len(texts) == 3
    for text in texts:
        assert not re.search("<i>|<u>|<script>|2 & small", text)
    index = " ".join(Links((tmp_path / "report" / "index.html").read_text()).text)
    for said in ("x < 2 & small", "A & B (2020)", "<script>", "does not stand", "1 of 2 claims"):
        assert said in index


def test_a_second_report_removes_the_first_and_nothing_else(tmp_path):
    report, own = tmp_path / "report", {}
    for name in ("notes.txt", "claims/mine.html", "claims/mine.py", "figures/mine.png"):
        own[report / name] = name
        (report / name).parent.mkdir(parents=True, exist_ok=True)
        (report / name).write_text(name)
    run(tmp_path, shows(f"drawn(check); {EVIDENCE}", before=FIGURES), CONTROL, report=report)
    first = {p for p in report.rglob("*.*") if p.parent != report} - set(own)
    assert {p.suffix for p in first} == {".html", ".png"}
    parts = [text.replace("_x", "_y") for text in (CLAIM, CONTROL)]
    run(tmp_path, *parts, report=report)
    assert not any(path.exists() for path in first)
    assert (report / "claims" / "claims-y.html").is_file()
    assert all(path.read_text() == name for path, name in own.items())


def test_a_list_of_files_from_elsewhere_removes_nothing_outside_the_report(tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    (tmp_path / "mine.png").write_text("mine")
    (report / ".faflow-report").write_text(
        f"../mine.png\n{tmp_path}/mine.png\nfigures/../../mine.png\n"
    )
    run(tmp_path, CLAIM, CONTROL, report=report)
    assert (tmp_path / "mine.png").is_file()


# The measurements one by one


def scaling(check, *, x=(1, 10, 100, 1000), seeds=30, power=-0.5, scale=1.0, spread=0.1, **said):
    """Samples that grow with this power, up to some spread from seed to seed."""
    noise = np.exp(spread * np.random.default_rng(0).standard_normal((seeds, len(x))))
    samples = scale * noise * np.asarray(x, dtype=float) ** power
    check.scaling("x", x, samples, -0.5, **{"within": 0.1, "fall": 0.3} | said)


@pytest.mark.parametrize(
    ("power", "on"), [(-0.5, "here"), (-0.55, "here; the interval leaves out -0.5")]
)
def test_an_interval_that_leaves_out_the_expected_power_says_so(power, on):
    check = Check()
    scaling(check, power=power, spread=0.01, on="here")
    assert check.evidence[0].stands
    assert check.evidence[0].on == on


def test_every_run_of_a_claim_must_stand_and_every_run_of_a_control_fall():
    runs = [1, 5, 3]
    assert (Check().worst(runs), Check().worst(runs, small=False)) == (5, 1)
    assert (Check(control=True).worst(runs), Check(control=True).worst(runs, small=False)) == (1, 5)


def judged(show, control=False):
    """Whether the evidence of one measurement stands and falls, and whether the trial passes."""
    check = Check(control=control)
    show(check)
    (evidence,) = check.evidence
    try:
        check.finish()
    except AssertionError:
        return evidence.stands, evidence.falls, False
    return evidence.stands, evidence.falls, True


KEPT, BROKEN = ff.prove(laws.balance, ff.GD), ff.prove(laws.balance, ff.FA)
MEASUREMENTS = [
    (lambda c: c.proved(KEPT), True, False),
    (lambda c: c.proved(BROKEN), False, True),
    (lambda c: c.equal("x", 1.0, 1.05, tol=0.1), True, False),
    (lambda c: c.equal("x", [1.0, 2.0], [1.0, 2.5], tol=0.1, fall=0.5), False, True),
    (lambda c: c.equal("x", [1.0, 2.0], [1.0, 2.3], tol=0.1, fall=0.5), False, False),
    (lambda c: c.equal("x", [1.0, -1.0], 0, tol=1), True, False),
    (lambda c: c.equal("x", [1, -101], 0, tol=1), False, True),
    (lambda c: c.at_most("x", 2, 2), True, False),
    (lambda c: c.at_most("x", 2.001, 2), False, False),
    (lambda c: c.at_most("x", 199.9, 2), False, False),
    (lambda c: c.at_most("x", 200, 2), False, True),
    (lambda c: c.at_most("x", [1, 5], 2, fall=5), False, True),
    (lambda c: c.at_most("x", [-50, 1], 2, fall=5), True, False),
    (lambda c: c.at_least("x", 0.9, 0.9, fall=0.3), True, False),
    (lambda c: c.at_least("x", 0.899, 0.9, fall=0.3), False, False),
    (lambda c: c.at_least("x", [1.0, 0.3], 0.9, fall=0.3), False, True),
    (lambda c: c.order("x", [1, 2, 4], [3, 12, 48], 2), True, False),
    (lambda c: c.order("x", [4, 2, 1], [48, 12, 3], 2.08), True, False),
    (lambda c: c.order("x", [1, 2, 4], [3, 12, 48], 2.2), False, False),
    (lambda c: c.order("x", [1, 2, 4], [3, 12, 48], 2.31), False, True),
    (lambda c: c.order("x", [1, 2, 4], [3, 12, 48], 1), False, True),
    (lambda c: scaling(c), True, False),
    (lambda c: scaling(c, average="mean"), True, False),
    (lambda c: scaling(c, power=-0.59, spread=1.0), False, False),  # the interval reaches beyond
    (lambda c: scaling(c, power=0.0), False, True),
    (lambda c: scaling(c, power=-0.81, spread=1.0), False, False),
]


@pytest.mark.parametrize(("show", "stands", "falls"), MEASUREMENTS)
def test_a_measurement_passes_in_a_claim_if_it_stands_and_in_a_control_if_it_falls(
    show, stands, falls
):
    assert judged(show) == (stands, falls, stands)
    assert judged(show, control=True) == (stands, falls, falls)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "show",
    [
        lambda c, x: c.at_most("x", x, 2),
        lambda c, x: c.at_least("x", x, 2, fall=1),
        lambda c, x: c.equal("x", x, 1.0, tol=1),
        lambda c, x: c.equal("x", [0.0, x], [0.0, 1.0], tol=1),
    ],
)
def test_what_is_not_finite_neither_stands_nor_falls(show, value):
    assert judged(lambda c: show(c, value)) == (False, False, False)
    assert judged(lambda c: show(c, value), control=True) == (False, False, False)


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize(
    ("show", "message"),
    [
        (lambda c: c.equal("x", [1.0], [1.0, 1.0], tol=1), r"shapes \(1,\) and \(2,\) differ"),
        (lambda c: c.equal("x", np.ones((3, 1)), np.ones(3), tol=1), "differ"),
        (lambda c: c.equal("x", 1.0, [1.0], tol=1), "differ"),
        (lambda c: c.equal("x", [], [], tol=1), "nothing to compare"),
        (lambda c: c.equal("x", [], 0, tol=1), "nothing to compare"),
        (lambda c: c.equal("x", 1, 1, tol=0), "must reach beyond 0"),
        (lambda c: c.at_most("x", [], 1), "nothing to compare"),
        (lambda c: c.at_most("x", 1, 2, fall=2), "must reach beyond 2, not 2"),
        (lambda c: c.at_most("x", 1, 2, fall=1), "must reach beyond 2"),
        (lambda c: c.at_most("x", 1, -1), "must reach beyond -1, not -100"),
        (lambda c: c.at_most("x", 1, np.nan), "must reach beyond nan"),
        (lambda c: c.at_most("x", 1, np.inf), "must reach beyond inf"),
        (lambda c: c.at_most("x", 1, 2, fall=np.nan), "must reach beyond 2, not nan"),
        (lambda c: c.at_least("x", [], 1, fall=0), "nothing to compare"),
        (lambda c: c.at_least("x", 1, 2, fall=2), "must reach below 2, not 2"),
        (lambda c: c.at_least("x", 1, -np.inf, fall=0), "must reach below -inf"),
        (lambda c: c.order("x", [1, 2], [1, 2], 1, within=0.5), "off by more than 0.5, not 0.3"),
        (lambda c: c.order("x", [1, 2], [1, 2], 1, fall=np.nan), "off by more than 0.1"),
        (lambda c: c.order("x", [1], [1], 1), "two different steps"),
        (lambda c: scaling(c, x=[1, 10, 100]), "three decades"),
        (lambda c: scaling(c, seeds=2), "at least 3 of each"),
        (lambda c: scaling(c, fall=0.1), "off by more than 0.1"),
        (lambda c: scaling(c, average="median"), "rms or mean, not 'median'"),
        (lambda c: scaling(c, scale=0.0), "not positive"),
        (lambda c: c.order("x", [2, 2], [1, 2], 1), "two different steps"),
        (lambda c: c.order("x", [], [], 1), "two different steps"),
        (lambda c: c.order("x", [1, 2], [1, 2, 3], 1), "each with its error"),
        (lambda c: c.order("x", [1, 2], [0, 1], 1), "no order can be fitted"),
        (lambda c: c.order("x", [1, 2, 4], [1, np.nan, 3], 1), "no order can be fitted"),
        (lambda c: c.order("x", [-1, 2], [1, 2], 1), "no order can be fitted"),
    ],
)
def test_what_cannot_be_measured_is_refused(show, message, control):
    check = Check(control=control)
    with pytest.raises(ValueError, match=message):
        show(check)
    assert not check.evidence


@pytest.mark.parametrize(
    "show",
    [
        lambda c: c.at_most("x", np.array([1e-20 + 5j]), 1),
        lambda c: c.at_least("x", 5j, 1, fall=0),
        lambda c: c.equal("x", np.array([1 + 5j]), np.array([1.0]), tol=1),
        lambda c: c.order("x", [1, 2], np.array([1 + 9j, 2 + 9j]), 1),
    ],
)
def test_imaginary_parts_are_not_dropped(show):
    with pytest.raises(TypeError, match="complex"):
        show(Check())


@pytest.mark.parametrize("wrong", [True, None, "kept", laws.balance])
def test_only_a_verdict_is_a_proof(wrong):
    with pytest.raises(TypeError, match="what prove returns"):
        Check().proved(wrong)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, "proved for every size"), ({"sizes": (2, 2, 1)}, "proved at these sizes")],
)
def test_the_kind_of_a_proof_is_said(options, kind):
    check, verdict = Check(), ff.prove(laws.balance, ff.GD, **options)
    check.proved(verdict, on="a remark")
    assert isinstance(verdict, ff.Verdict)
    (evidence,) = check.evidence
    assert (evidence.kind, evidence.value, evidence.on) == (kind, "rate 0", "a remark")


def test_all_that_is_wrong_is_named():
    check = Check()
    check.at_most("good", 1, 2)
    check.at_most("bad", 3, 2)
    check.at_least("worse", 0, 2, fall=1)
    expected = "The claim does not stand: bad: 3, needed ≤ 2; worse: 0, needed ≥ 2"
    with pytest.raises(AssertionError, match=f"^{expected}$"):
        check.finish()


# Broken code: the claims must notice


def mutate(monkeypatch, owner, name, old, new):
    """Replace `old`, found once in the source of this function, method or property, by `new`."""
    there = inspect.getattr_static(owner, name)
    function = there.fget if isinstance(there, property) else there
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{name} no longer reads {old}"
    made = {}
    exec(source.replace(old, new), function.__globals__, made)
    monkeypatch.setattr(owner, name, made[name])


FILES = {
    "lyapunov": "garg_vempala_2021.py",
    "linear_invariant": "garg_vempala_2021.py",
    "definition": "robertson_koyejo_2023.py",
    "potential": "robertson_koyejo_2023.py",
    "matched_decay": "robertson_koyejo_2023.py",
    "discrete_drift": "robertson_koyejo_2023.py",
}
EACH_LAYER = "e @ a.T for e, a in zip(reversed(errors), inputs, strict=True)"
LAST = "(-e if a is inputs[-1] else e) @ a.T for e, a in zip(reversed(errors), inputs, strict=True)"
FIRST = LAST.replace("[-1]", "[0]")
PULLED = "task.activation(k).pull(hidden[k], carried)"

RULE_MUTANTS = {
    "the output error's sign": (
        (rules.Rule, "velocity", "= task.output_scale", "= -task.output_scale"),
        ["definition", "lyapunov"],
    ),
    "the hidden error's sign": (
        (rules.FA, "carry", "self.B[k] @", "-self.B[k] @"),
        ["definition", "potential", "lyapunov"],
    ),
    "the first layer's sign": (
        (rules.Rule, "velocity", EACH_LAYER, FIRST),
        ["definition", "potential", "lyapunov"],
    ),
    "the last layer's sign": (
        (rules.Rule, "velocity", EACH_LAYER, LAST),
        ["definition", "potential", "lyapunov"],
    ),
    "no slope": (
        (rules.Rule, "velocity", PULLED, "carried"),
        ["definition", "potential"],
    ),
    "B transposed": (
        (rules.FA, "carry", "self.B[k]", "self.B[k].T"),
        ["definition", "potential", "lyapunov"],
    ),
    "gradient descent": (
        (rules.FA, "carry", "self.B[k]", "outgoing(w, k).T"),
        ["definition", "potential", "lyapunov"],
    ),
    "decay's sign": ((rules.Rule, "_scaled", "V - decay", "V + decay"), ["matched_decay"]),
}
LAW_MUTANTS = {
    "½ of the neuron's law": (
        (laws, "neuron_feedback_balance", " / 2 /", " /"),
        ["discrete_drift"],
    ),
    "sign of the neuron's law": (
        (laws, "neuron_feedback_balance", "- carried", "+ carried"),
        ["discrete_drift"],
    ),
    "sign of the matrix law": (
        (laws, "feedback_balance", "- carried.T", "+ carried.T"),
        ["matched_decay"],
    ),
    "½ of the potential's law": (
        (laws, "neuron_potential_balance", " / 2 /", " /"),
        ["potential"],
    ),
    "sign of the Lyapunov function": (
        (laws, "lyapunov", "- first.trace", "+ first.trace"),
        ["lyapunov"],
    ),
    "½ of the Lyapunov function": ((laws, "lyapunov", " / 2 /", " /"), ["lyapunov"]),
    "sign of its rate": ((laws, "lyapunov_rate", "return -", "return "), ["lyapunov"]),
}
WORD_MUTANTS = {
    "a transpose keeps the order": (
        (normal, "flip", "reversed(word)", "word"),
        ["potential", "lyapunov"],
    ),
    "a trace ignores transposes": (
        (normal, "trace_key", "in (word, flip(word))", "in (word,)"),
        ["lyapunov"],
    ),
    "a trace commutes": (
        (normal, "trace_key", "turned = [", "word = tuple(sorted(word)); turned = ["),
        ["lyapunov"],
    ),
    "a diagonal ignores transposes": (
        (normal, "diagonal_key", "min(ordered(word), ordered(flip(word)))", "word"),
        ["potential"],
    ),
    "gates stay in a diagonal": (
        (normal, "diagonal_key", "while word and word[0][0].diagonal", "while False"),
        ["potential"],
    ),
    "relations are ignored": (
        (normal, "rewrite", "word[i : i + len(left)] == left", "False"),
        ["potential", "linear_invariant"],
    ),
    "every rate is zero": (
        (matrices.Words, "__bool__", "bool(self.terms)", "False"),
        ["potential", "lyapunov"],
    ),
    "half of a product's rate is lost": (
        (matrices.Series, "_product", "out[i + j] + term", "out[i + j]"),
        ["potential", "lyapunov"],
    ),
    "differences are sums": (
        (matrices.Words, "__sub__", "-other", "other"),
        ["lyapunov"],
    ),
}
MUTANTS = RULE_MUTANTS | LAW_MUTANTS | WORD_MUTANTS


def standing(name):
    """Whether one claim of the project stands, run as it is now.

    Without the claims whose names begin like its own; and once it has fallen, without its controls.
    """
    collector = Collector(f"claim_{name}", draw=False, ask=lambda: next(turns, None))

    def claim():
        (found,) = (c for c in claims_of(collector.trials.values()) if c.trial.name == wanted)
        return found

    def in_turn():
        for trial in (claim().trial, *claim().controls):
            yield f"{trial.place}::{trial.name}"
            if not trial.passed:
                return

    wanted, turns = f"claim_{name}", in_turn()
    run_claims([PROOFS / FILES[name]], collector)
    assert not collector.broken
    return claim().stands


@pytest.fixture
def budget(monkeypatch):
    """Less than 20,000 steps for flows that broken code lets run away; the others need far less."""
    monkeypatch.setattr(ff, "integrate", functools.partial(ff.integrate, max_steps=1000))


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("name", FILES)
def test_unbroken_code_lets_the_claim_stand(name):
    assert standing(name)


@pytest.mark.algebra
@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("what", MUTANTS)
def test_broken_code_lets_the_claims_fall(monkeypatch, what):
    mutation, expected = MUTANTS[what]
    mutate(monkeypatch, *mutation)
    fell = [name for name in expected if not standing(name)]
    assert fell == expected, f"With {what} of {mutation[1]} wrong only {fell} fell."


@pytest.mark.algebra
def test_the_sign_of_the_squared_loss_is_noticed(monkeypatch):
    flipped = nets.squared._replace(error=lambda f, Y: f - Y)
    monkeypatch.setitem(nets.LOSSES, "squared", flipped)
    monkeypatch.setattr("faflow.symbolic.problems.squared", flipped)
    expected = ["definition", "lyapunov"]
    fell = [name for name in expected if not standing(name)]
    assert fell == expected, f"Only {fell} fell."


@pytest.mark.algebra
@pytest.mark.parametrize(
    ("mutation", "claim"),
    [
        ((rules.FA, "carry", "self.B[k]", "self.B[k].T"), "laws.feedback_balance"),
        ((laws, "layer_feedback_balance", " / 2 /", " /"), "laws.layer_feedback_balance"),
        ((laws, "layer_feedback_balance", "- carried", "+ carried"), "laws.layer_feedback_balance"),
    ],
    ids=["B transposed", "½ of the layer's law", "sign of the layer's law"],
)
@pytest.mark.parametrize("sizes", ["None", "(2, 2, 2)"])
def test_square_layers_do_not_hide_a_broken_rule_or_law(
    tmp_path, monkeypatch, mutation, claim, sizes
):
    """A transposed feedback fits square layers, so only the algebra can tell."""
    text = f"import faflow\nfrom faflow import laws\nlaw = {claim}\n" + shows(
        f"check.proved(faflow.prove(law, faflow.FA, sizes={sizes}))"
    )
    broken = control(f"check.proved(faflow.prove(law, faflow.GD, sizes={sizes}))").replace(
        "faflow.GD", "faflow.FA(decay=1)"
    )
    assert run(tmp_path, text, broken)[0]["claim_x"].stands
    mutate(monkeypatch, *mutation)
    assert not run(tmp_path, text + "\n", broken)[0]["claim_x"].stands


def test_a_trace_that_is_not_cyclic_is_noticed(tmp_path, monkeypatch):
    text = "import faflow\nfrom faflow import laws\n"
    proof = "check.proved(faflow.prove(laws.{}, faflow.FA, activation='relu'))"
    text += shows(proof.format("layer_feedback_balance"))
    broken = control(proof.format("layer_balance"))
    assert run(tmp_path, text, broken)[0]["claim_x"].stands
    mutate(monkeypatch, normal, "trace_key", "for i in range(max(1, len(word)))", "for i in (0,)")
    assert not run(tmp_path, text + "\n", broken)[0]["claim_x"].stands


def test_feedback_of_the_transposed_shape_is_refused_in_words():
    task = ff.Task(np.ones((3, 5)), np.ones((2, 5)))
    rule = ff.FA((np.ones((2, 4)),))
    with pytest.raises(ValueError, match=r"B\[0\] .* must be \(4, 2\), .*It looks transposed"):
        ff.integrate(rule, task, ff.init((3, 4, 2)), [0, 1])


def test_a_rate_left_under_relations_refutes_nothing():
    """Rewriting may not find every consequence, so no control falls by it."""
    verdict = ff.prove(ff.laws.balance, ff.FA, relations=["X X' = I"])
    assert not verdict
    assert not verdict.decided
    assert str(verdict).startswith("not derived for every size")
    check = Check(control=True)
    check.proved(verdict)
    with pytest.raises(AssertionError, match="The control does not fall"):
        check.finish()


def test_a_control_measures_what_its_claim_measures(tmp_path):
    text = shows("check.at_most('drift', 0, 1)") + control("check.at_most('other', 200, 1)")
    (tmp_path / "own.py").write_text(text)
    (claim,), _ = verify([tmp_path])
    assert not claim.stands
    assert "measures other, which the claim does not" in claim.problems[0]


def test_certificates_prove_counts_and_in_a_control_none_of_them():
    right = [(ff.certify(ff.FA, (2, 3, 2)), 7), (ff.certify(ff.GD, (1, 2, 2, 1)), 7)]
    mixed = [right[0], (right[1][0], 6)]
    open_bounds = [(ff.certify(ff.FA, (2, 3, 2), [ff.laws.feedback_balance]), 7)]
    for cases, stands, falls in ((right, True, False), (mixed, False, False)):
        check = Check()
        check.certified(cases)
        assert check.evidence[0].stands == stands
        check = Check(control=True)
        check.certified(cases)
        assert check.evidence[0].falls == falls
    check = Check(control=True)
    check.certified(open_bounds)
    assert check.evidence[0].falls
    assert check.evidence[0].kind == "proved at these sizes"
    with pytest.raises(ValueError, match="No certificate was shown"):
        check.certified([])
