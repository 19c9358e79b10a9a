import functools
import json
import os
import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from problems import sliding

import faflow as ff
from faflow.cli import main

GOOD = """
def claim_x(check):
    check.at_most("x", 1, 2, fall=10)

def control_x_broken(check):
    check.at_most("x", 20, 2, fall=10)
"""
FALLEN = GOOD.replace('"x", 1,', '"x", 3,').replace("_x", "_y")
WIDTHS = ("--sizes", "64,4,10")
DIGITS = ("integrate", "--data", "digits", "--samples", "40", "--rule", "FA")
RUN = (*DIGITS, *WIDTHS, "--times", "0:0.2:3", "--rtol", "1e-4")


@pytest.fixture
def claims(tmp_path):
    """Writes a file of claims and gives its path."""

    def write(text, name="claims.py"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.fixture
def alone(monkeypatch):
    """Claims run in this process: quicker, and test_workers shows that others come to the same."""
    monkeypatch.setattr("faflow.cli._cores", lambda: 1)


def refused(arguments, capsys):
    """The one line on stderr of a command that is refused."""
    assert main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"faflow: [^\n]+\n", err), err
    return err.strip()


# verify


def test_claims_that_stand_exit_with_0(claims, capsys):
    assert main(["verify", claims(GOOD)]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"\[[12]/2\] claim_x: stands", out)  # whichever of two processes is first
    assert re.search(r"\[[12]/2\] control_x_broken: falls", out)
    assert "1 of 1 claims stand, 1 of 1 controls fall." in out
    assert err == ""


def test_options_meant_for_tests_do_not_touch_claims(claims, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --no-such-option")
    assert main(["verify", claims(GOOD)]) == 0
    assert os.environ["PYTEST_ADDOPTS"] == "-q --no-such-option"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + FALLEN, "claim_y: AssertionError: The claim does not stand: x: 3, needed ≤ 2"),
        (GOOD.replace("20", "9"), "claim_x: control_x_broken: AssertionError"),
        (GOOD.partition("def control")[0], "claim_x: It has no control"),
        (GOOD + "def control_z_broken(check): 1 / 0", "control_z_broken belongs to no claim"),
        (GOOD + "def claim_z():\n    pass", "claim_z: It takes no `check`"),
        ("import nonsense", "could not be read: .*No module named 'nonsense'"),
    ],
)
def test_claims_that_do_not_stand_exit_with_1(claims, capsys, text, said):
    assert main(["verify", claims(text)]) == 1
    out, err = capsys.readouterr()
    assert re.search(said, out), out
    assert err == ""


def test_a_file_that_does_not_import_fails_though_the_others_stand(claims, capsys):
    assert main(["verify", claims(GOOD), claims("import nonsense", "bad.py")]) == 1
    assert "1 of 1 claims stand" in capsys.readouterr().out


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (GOOD, ["--select", "nothing"], r"No claim was found in .*claims.py named nothing\."),
        ("x = 1", [], "No claim was found"),
        ("raise SystemExit(0)", [], "could not run the claims"),
        (GOOD, ["nowhere"], "no claims at nowhere: no such file or folder"),
    ],
)
def test_nothing_to_verify_is_refused(claims, capsys, text, options, said):
    path = claims(text)
    assert main(["verify", path, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(said, err.splitlines()[-1]), err


def test_an_interrupt_is_said_and_exits_with_130(claims, capsys):
    assert main(["verify", claims(GOOD + "def claim_y(check): raise KeyboardInterrupt")]) == 130
    assert capsys.readouterr().err == "faflow: stopped by Ctrl-C\n"


def test_one_claim_is_selected_with_its_control(claims, capsys):
    assert main(["verify", claims(GOOD + FALLEN), "--select", "x"]) == 0
    assert "1 of 1 claims stand, 1 of 1 controls fall." in capsys.readouterr().out


def test_report_and_json_are_written_where_asked(claims, capsys, tmp_path):
    report, json_file = tmp_path / "report", tmp_path / "out.json"
    assert main(["verify", claims(FALLEN), "--report", str(report), "--json", str(json_file)]) == 1
    assert f"report: {report}/index.html" in capsys.readouterr().out.replace("\n", "")
    assert (report / "index.html").is_file()
    assert '"all stand": false' in json_file.read_text()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("part", ["/a", "red", "[/]", "\\\\"])
def test_the_live_table_takes_any_name_and_problem(claims, capsys, monkeypatch, part):
    """Brackets are markup to the table."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    cases = f"import pytest\n@pytest.mark.parametrize('n', ['{part}'])\ndef claim_y(check, n):\n"
    assert main(["verify", claims(GOOD + cases + f"    raise ValueError('[{part}]')")]) == 1
    out = re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", capsys.readouterr().out)
    assert "1 of 2 claims stand, 1 of 1 controls fall." in out
    assert f"ValueError: [{part.replace(2 * chr(92), chr(92))}]" in out


@pytest.mark.usefixtures("alone")
def test_the_table_does_not_say_that_a_proof_was_seen_where_none_was(claims, capsys):
    wrong = "import faflow\ndef claim_y(check):\n"
    wrong += "    check.proved(faflow.prove(faflow.laws.balance, faflow.FA))\n"
    assert main(["verify", claims(wrong)]) == 1
    out = " ".join(re.sub("[│\n]", " ", capsys.readouterr().out).split())
    assert "rate not 0" in out
    assert main(["verify", claims("def claim_y(check):\n    pass\n")]) == 1
    assert "rate 0" not in capsys.readouterr().out


# integrate


def test_a_run_on_digits_is_saved_and_drawn(tmp_path, capsys):
    saved, drawn = tmp_path / "run.npz", tmp_path / "run.png"
    assert main([*RUN, "--save", str(saved), "--plot", str(drawn)]) == 0
    out, err = capsys.readouterr()
    sol = ff.load(saved)
    assert err == ""
    assert [W.shape for W in sol.w] == [(3, 4, 64), (3, 10, 4)]
    np.testing.assert_allclose(sol.ts, [0, 0.1, 0.2])
    assert (type(sol.rule), sol.task.activation(0).name) == (ff.FA, "tanh")
    assert sol.rule.rates == 1 / 40
    assert drawn.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "digits: 64 inputs, 10 targets, 40 samples, 449 held out" in out
    assert "time is in units of 1/learning rate of the mean loss" in out
    assert f"training: loss a sample {ff.loss(sol.task, sol.at(-1)) / 40:.4g}, accuracy" in out
    assert "test: loss a sample" in out
    assert out.endswith(f"saved {saved}\ndrew {drawn}\n")


def test_the_options_reach_the_run(tmp_path, capsys):
    saved = tmp_path / "run.npz"
    options = "--activation relu --loss cross_entropy --bias --sum --decay 0.25 --scale 0.5"
    options += " --seed 3 --solver rk45 --step 0.001 --times 0,0.001,0.004"
    assert main([*RUN, *options.split(), "--save", str(saved)]) == 0
    sol = ff.load(saved)
    assert (sol.task.activation(0).name, sol.task.loss.name) == ("relu", "cross_entropy")
    assert (sol.task.bias, sol.rule.decay, sol.rule.rates) == (True, 0.25, 1)
    assert (sol.made["solver"], sol.made["step"]) == ("rk45", 0.001)
    np.testing.assert_allclose(sol.ts, [0, 0.001, 0.004])
    start = ff.FA.random((64, 4, 10), seed=3).start((64, 4, 10), scale=0.5, seed=3, bias=True)
    for W, W0 in zip(sol.at(0), start, strict=True):
        np.testing.assert_array_equal(W, W0)
    assert "of the summed loss" in capsys.readouterr().out


@pytest.mark.parametrize("rule", ["GD", "FA", "DFA", "SignFA", "KolenPollack"])
def test_every_rule_named_in_the_help_runs(rule, capsys):
    assert main([*RUN, "--rule", rule, "--times", "0,0.01"]) == 0
    assert capsys.readouterr().out.count(f"\n{rule} on 4x64 10x4") == 1


def test_a_csv_of_classes_is_learned(tmp_path, capsys):
    (tmp_path / "iris.csv").write_text("a,b,kind\n1,2,x\n2,1,y\n3,1,y\n0,1,x\n")
    command = f"integrate --data {tmp_path}/iris.csv --target kind --rule GD --sizes 2,3,2"
    assert main([*command.split(), "--times", "0,1"]) == 0
    out = capsys.readouterr().out
    assert "iris: 2 inputs, 2 targets, 4 samples, none held out" in out
    assert "training: loss a sample" in out
    assert "accuracy" in out
    assert "test:" not in out


REFUSED = [
    ("--rule FB", "Unknown rule 'FB'; choose from GD, FA, DFA, SignFA, KolenPollack"),
    ("--rule FAStar", "Unknown rule 'FAStar'"),
    ("--data nothing --sizes 2,2", "--samples is for digits"),
    ("--data nothing.csv", "--samples is for digits"),
    ("--target x", "--target names a column of a .csv, but --data is digits"),
    ("--samples 0", "samples must be from 1 to 1348"),
    ("--samples 5000", "samples must be from 1 to 1348.* 5000"),
    ("--activation swish", "Unknown activation 'swish'; choose from linear"),
    ("--loss hinge", "Unknown loss 'hinge'; choose from squared"),
    ("--loss logistic", "logistic loss needs labels -1 or \\+1"),
    ("--times 0", "ts must be at least two times"),
    ("--times 0:1", "--times must be start:stop:number or a list of times, but is '0:1'"),
    ("--times 0:1:x", "--times must be start:stop:number"),
    ("--times now", "--times must be start:stop:number .*'now'"),
    ("--times 1,0", "ts must increase"),
    ("--times 0:1:-3", "--times must be start:stop:number"),
    ("--sizes 32,4,10", "widths from 64 to 10, the inputs and targets of digits, but is 32,4,10"),
    ("--sizes 64,4,1", "widths from 64 to 10, .*, but is 64,4,1"),
    ("--sizes 64,0,10", "positive widths from 64 to 10, .* but is 64,0,10"),
    ("--sizes 64", "from 64 to 10, .* but is 64"),
    ("--engine gpu", "Unknown engine 'gpu'; choose from auto, scipy, diffrax"),
    ("--solver euler", "Unknown solver 'euler'; choose from dop853"),
    ("--rtol 0", "rtol must be between 2.2e-14 and 1"),
    ("--step -1", "step must be a positive .*-1"),
    ("--scale nan", "must be a finite number"),
    ("--decay inf", "decay must be finite"),
    ("--save /nowhere/run.npz", "There is no folder to write /nowhere/run.npz"),
    ("--save .", "it is a folder itself"),
    ("--plot /nowhere/run.png", "There is no folder to write /nowhere/run.png"),
    ("--plot run.npz", "--plot must end in one of .*png.* but is run.npz"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=[options for options, _ in REFUSED])
def test_bad_input_is_refused_in_a_line_before_anything_is_computed(
    tmp_path, capsys, monkeypatch, options, said
):
    began = []
    monkeypatch.setattr("faflow.flow.run.Record.add", lambda *a: began.append(a))
    monkeypatch.chdir(tmp_path)
    message = refused((*RUN, *options.split()), capsys)
    assert re.search(said, message), message
    assert not began
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("a.csv", "a,b\n1,2\n", "", "target= must name the column .* one of a, b"),
        ("a.csv", "a,b\n1,2\n", "--target c", "has no column 'c'; it has a, b"),
        ("a.csv", "a,b\n1,x\n2,y\n", "--target a", "'x' is not a number"),
        ("a.npz", "nonsense", "", "a.npz is not an .npz file"),
        ("a.txt", "", "", r"must end in \.npz or \.csv"),
        (None, "", "", "There is no file"),
    ],
)
def test_a_bad_file_of_data_is_refused(tmp_path, capsys, name, text, options, said):
    path = tmp_path / (name or "b.csv")
    if name:
        path.write_text(text)
    command = f"integrate --data {path} --rule GD --sizes 1,2,1 --times 0,1 {options}"
    assert re.search(said, refused(command.split(), capsys))


def test_unknown_data_are_refused_with_the_choices(capsys):
    command = "integrate --data nothing --rule GD --sizes 1,2,1 --times 0,1"
    assert "choose from digits, breast_cancer, diabetes" in refused(command.split(), capsys)


@pytest.mark.parametrize(
    "options", ["--sizes a,b", "--samples few", "--rtol x", "--nothing", "--sizes=", "--seed 1.5"]
)
def test_what_is_no_option_ends_with_2_and_the_usage(capsys, options):
    with pytest.raises(SystemExit) as stop:
        main([*RUN, *options.split()])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("faflow")


def test_a_run_that_does_not_finish_keeps_what_it_has(tmp_path, capsys, monkeypatch):
    """A ReLU flow that slides along a kink under error control; the budget of steps ends it."""
    rule, task, w0 = sliding()
    np.savez(tmp_path / "data.npz", X=task.X, Y=task.Y)
    monkeypatch.setattr(ff.FA, "random", lambda *a, **k: rule)
    monkeypatch.setattr(ff.FA, "start", lambda *a, **k: w0)
    monkeypatch.setattr(ff, "integrate", functools.partial(ff.integrate, max_steps=500))
    saved, drawn = tmp_path / "run.npz", tmp_path / "run.png"
    command = f"integrate --data {tmp_path}/data.npz --rule FA --sizes 2,1,1 --times 0:9:91"
    command += (
        f" --activation relu --rtol 1e-10 --atol 1e-12 --kinks ignore --save {saved} --plot {drawn}"
    )
    assert main(command.split()) == 1
    out, err = capsys.readouterr()
    assert re.fullmatch(r"faflow: Stopped at t = [^\n]+It slides[^\n]+step=1e-3[^\n]+\n", err), err
    sol = ff.load(saved)
    assert 0 < sol.ts[-1] < 9
    assert len(sol) > 1
    assert f"saved {saved}" in out
    assert drawn.is_file()


def test_a_run_that_is_interrupted_keeps_what_it_has(tmp_path, capsys, monkeypatch):
    real = ff.FA.velocity
    calls = iter(range(1000))

    def velocity(self, task, w):
        if next(calls) == 100:
            raise KeyboardInterrupt
        return real(self, task, w)

    monkeypatch.setattr(ff.FA, "velocity", velocity)
    assert main([*RUN, "--times", "0:9:91", "--save", str(tmp_path / "run.npz")]) == 1
    assert capsys.readouterr().err == "faflow: Stopped by Ctrl-C.\n"
    assert 0 < ff.load(tmp_path / "run.npz").ts[-1] < 9


# laws


def printed(command, capsys, status=0):
    """What `faflow laws` prints, ending with `status` and saying nothing on stderr."""
    assert main(["laws", *command.split()]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return out


SEARCHES = {
    "FA": lambda: ff.discover(ff.FA),
    "DFA --depth 3": lambda: ff.discover(ff.DFA, depth=3),
    "GD --activation relu --bias": lambda: ff.discover(ff.GD, activation="relu", bias=True),
    "FA --length 1": lambda: ff.discover(ff.FA, length=1),
    "FA --decay 0.5,1": lambda: ff.discover(ff.FA(decay=(Fraction(1, 2), 1))),
    "FA --decay -1,1": lambda: ff.discover(ff.FA(decay=(-1, 1))),
    "FA --decay=-1/2,-1": lambda: ff.discover(ff.FA(decay=(Fraction(-1, 2), -1))),
    "FA --decay -.5,-1e0 --depth 2": lambda: ff.discover(ff.FA(decay=(Fraction(-1, 2), -1))),
    "GD --decay -1": lambda: ff.discover(ff.GD(decay=-1)),
    "GD --decay 1/3": lambda: ff.discover(ff.GD(decay=Fraction(1, 3))),
    "FA --momentum 2": lambda: ff.discover(ff.HeavyBall(of=ff.FA(), friction=2)),
    "FA 2,3,3,2": lambda: ff.discover(ff.FA, depth=3),
    "GD 2,3,2 --length 3": lambda: ff.discover(ff.GD, length=3),
    "FA 2,3,2 --degree 3": lambda: ff.discover(ff.FA, (2, 3, 2), degree=3),
    "GD 2,2,2 --degree 1": lambda: ff.discover(ff.GD, (2, 2, 2), degree=1),
    "GD 2,2,2 --degree 2 --activation relu --bias": lambda: ff.discover(
        ff.GD, (2, 2, 2), activation="relu", bias=True
    ),
    "FA 2,3,2 --degree 2 --feedback numeric --seed 3": lambda: ff.discover(
        ff.FA, (2, 3, 2), feedback="numeric", seed=3
    ),
    "FA 2,3,2 --degree 2 --feedback both": lambda: ff.discover(ff.FA, (2, 3, 2), feedback="both"),
}


@pytest.mark.parametrize("command", SEARCHES)
def test_the_laws_that_are_printed_are_those_discovered(command, capsys):
    assert printed(command, capsys) == f"{SEARCHES[command]()}\n"


@pytest.mark.parametrize("rule", ["GD", "FA", "DFA", "SignFA", "KolenPollack"])
def test_the_laws_of_every_rule_named_in_the_help_are_certified(rule, capsys):
    out = printed(f"{rule} 2,3,2 --certify", capsys)
    assert out.startswith(f"{ff.discover(getattr(ff, rule))}\n{rule} on 2-3-2, linear, all data")
    assert " and no more (ranks modulo " in out


def test_the_certificate_is_of_the_network_that_was_asked_for(tmp_path, capsys):
    path = tmp_path / "certificate.json"
    options = "--activation relu --bias --decay 1,2 --momentum 3 --seed 5"
    out = printed(f"FA 2,3,2 {options} --certify --save {path}", capsys)
    saved = ff.load_certificate(path)
    assert out.endswith(f"{saved}\nsaved {path}\n")
    assert (saved.sizes, saved.bias, saved.seed) == ((2, 3, 2), True, 5)
    assert (type(saved.rule), saved.rule.friction) == (ff.HeavyBall, 3)
    assert (type(saved.rule.of), saved.rule.of.decay) == (ff.FA, (1, 2))
    assert saved.scope == "piecewise linear with biases"


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("FA 2,3,2", 0, "7 independent laws and no more"),
        ("FA 2,3,2 --degree 2", 0, "7 independent laws and no more"),
        ("GD 1,2,2,1", 0, "7 independent laws and no more, but only 6 of them listed"),
        ("GD 1,2,1 --decay 1,2", 1, "not certified, at least 0 .* at most 1"),
    ],
)
def test_the_exit_status_says_whether_the_number_of_laws_is_known(
    command, status, says, tmp_path, capsys
):
    path = tmp_path / "certificate.json"
    assert re.search(says, printed(f"{command} --certify --save {path}", capsys, status))
    again = printed(f"--check {path}", capsys, status)
    known = ff.load_certificate(path)
    assert again == f"{known}\ncomputed again: the same laws and ranks\n"


def test_a_certificate_that_was_changed_is_found_out(tmp_path, capsys):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    path.write_text(path.read_text().replace('"lie_rank": 5', '"lie_rank": 4'))
    assert main(["laws", "--check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "not certified" in out
    assert "computed again" not in out
    assert err == "faflow: The certificate says lie_rank 4, but it is 5.\n"


@pytest.mark.parametrize("change", [{"options": 7}, {"B": [[["1/0"]]]}, {"sizes": "x"}])
def test_a_certificate_written_by_hand_is_refused(change, tmp_path, capsys):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert main(["laws", "--check", str(path)]) in (1, 2)
    assert re.fullmatch(r"faflow: [^\n]+\n", capsys.readouterr().err)


def test_a_certificate_of_laws_of_ones_own_needs_them(tmp_path, capsys):
    path = tmp_path / "certificate.json"
    ff.certify(ff.GD, (2, 3, 2), [ff.laws.balance]).save(path)
    message = refused(["laws", "--check", path], capsys)
    assert message.endswith("check it in Python, with them: load_certificate(path).check(laws).")


REFUSED_LAWS = [
    ("", "Name a rule, as in faflow laws FA, or a file"),
    ("FB", "Unknown rule 'FB'; choose from GD, FA, DFA, SignFA, KolenPollack"),
    ("FAStar 2,3,2", "Unknown rule 'FAStar'"),
    ("FA 2", "sizes must be at least two positive widths"),
    ("FA 2,0,2", r"positive widths, input first, not \(2, 0, 2\)"),
    ("FA 2,3,2 --depth 3", "SIZES 2,3,2 say 2 layers, not 3"),
    ("FA --depth 0", "depth must be a positive integer, but is 0"),
    ("FA --length 0", "length must be a positive integer, but is 0"),
    ("FA 2,3,2 --degree 0", "degree must be a positive integer, but is 0"),
    ("FA --degree 0", "--degree needs SIZES"),
    ("FA --degree 2", "--degree needs SIZES, as in faflow laws FA 2,3,2 --degree 2"),
    ("GD --certify", "--certify needs SIZES, as in faflow laws GD 2,3,2 --certify"),
    ("FA 2,3,2 --feedback both", "--feedback needs --degree, as in .*--feedback both"),
    ("FA 2,3,2 --save x.json", "--save needs --certify, as in .*--certify --save"),
    ("FA 2,3,2 --degree 2 --feedback all", "Unknown feedback 'all'; choose from symbolic"),
    ("FA 2,3,2 --degree 2 --length 3", "--length is of words, --degree of polynomials"),
    ("SignFA 2,3,2 --degree 2", "velocities of SignFA are no polynomials"),
    ("FA --activation tanh", "homogeneous activations, .* but tanh is none"),
    ("FA 2,3,2 --activation tanh --certify", "homogeneous activations, .* but tanh is none"),
    ("FA --activation swish", "Unknown activation 'swish'; choose from linear"),
    ("FA --decay 1,2,3", "decay has 3 entries, but there are 2 layers"),
    ("FA 2,2,2 --degree 1 --decay 1/4194301", "1/4194301 has a denominator that the prime"),
    ("FA --momentum -1", "friction must be finite and not negative, but is -1"),
    ("FA 2,3,2 --certify --seed -1", "--seed must be at least 0, but is -1"),
    ("FA 2,3,2 --certify --save=", "A file to write to must have a name, but it is ''"),
    ("FA 2,3,2 --seed 1", "--seed is of the draws of --certify and --degree; give one of them"),
    ("FA 2,3,2 --certify --save /nowhere/c.json", "no folder to write /nowhere/c.json"),
    ("FA 2,3,2 --certify --save .", "it is a folder itself"),
    ("--check nothing.json", "There is no file nothing.json"),
    ("--check .", r"There is no file \."),
    ("--check foreign.json", "foreign.json is not a certificate of faflow"),
    ("FA --check foreign.json", "--check takes all from foreign.json; give it alone"),
    ("--check foreign.json --seed 0", "--check takes all from foreign.json; give it alone"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED_LAWS, ids=[o for o, _ in REFUSED_LAWS])
def test_laws_that_cannot_be_searched_are_refused_in_a_line(
    tmp_path, capsys, monkeypatch, options, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign.json").write_text('{"laws": []}')
    message = refused(["laws", *options.split()], capsys)
    assert re.search(says, message), message
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "command",
    [
        "FA -1,1",
        "FA --bias -1,1",
        "FA --decay --bias",
        "FA a,b",
        "FA 2,x,2",
        "FA 2,3.5,2",
        "FA 2 3 2",
        "FA --decay 1/0",
        "FA --decay nan",
        "FA --x",
    ],
)
def test_sizes_and_decay_that_are_no_numbers_end_with_2_and_the_usage(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["laws", *command.split()])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("faflow")


# The command itself


LAWS_OPTIONS = "depth length degree feedback activation bias decay momentum certify save check seed"


@pytest.mark.parametrize("command", ["", "integrate", "laws", "verify"])
def test_help_ends_with_0_and_names_the_options(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    wanted = {
        "": ["verify", "integrate", "faflow verify my_claims/", "faflow laws FA", "--version"],
        "integrate": ["--data", "--rule", "--sizes", "--times", "--save", "--plot", "--step"],
        "laws": ["RULE", "SIZES", *(f"--{name}" for name in LAWS_OPTIONS.split())],
        "verify": ["--report", "--json", "--select", "paths"],
    }
    assert all(word in out for word in wanted[command])


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"faflow {ff.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nothing"]])
def test_a_command_is_needed(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_the_package_runs_as_a_module(claims):
    def run(*arguments):
        command = [sys.executable, "-m", "faflow", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    good = run("verify", claims(GOOD))
    assert (good.returncode, good.stderr) == (0, "")
    assert "1 of 1 claims stand" in good.stdout
    fallen = run("verify", claims(FALLEN))
    assert (fallen.returncode, fallen.stderr) == (1, "")
    bad = run("verify", "nowhere")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "faflow: There are no claims at nowhere: no such file or folder.\n"
