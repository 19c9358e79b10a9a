"""The README says what is so: its examples run, its table is proved, its files are there."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

import faflow as ff
from faflow import laws

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_first_result_prints_the_proof_the_readme_shows(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[0], {"__name__": "readme"})
    shown = re.search(r"```\n(kept.*?)\n", README)
    assert shown
    assert shown.group(1) in capsys.readouterr().out
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")


def test_reduced_kept_kinked_and_stiff_runs_are_as_the_readme_shows(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    seen = {}
    exec(BLOCKS[0], seen)
    capsys.readouterr()
    blocks = [next(b for b in BLOCKS if what in b) for what in ('made["reduced"]', 'keep="all"')]
    exec("\n".join(blocks), seen)
    shown = [line.split("  # ")[1] for b in blocks for line in b.splitlines() if "  # " in line]
    reduced, kept, kinks, solver = capsys.readouterr().out.splitlines()
    assert [reduced, kinks] == [shown[0], shown[2]]
    away, drift = map(float, kept.split())
    assert [f"{away:.0e}", drift < 1e-14] == [shown[1].split()[0], True]
    first, t, then = re.fullmatch(r"(\w+), from t = ([\d.]+) (\w+)", solver).groups()
    assert re.sub(r"[\d.]+(?= \w+$)", "T", shown[3]) == f"{first}, from t = T {then}"
    assert float(t) == pytest.approx(float(shown[3].split()[-2]), rel=1e-3)


def test_the_laws_and_the_certificate_are_those_the_readme_shows(capsys):
    block = next(b for b in BLOCKS if "certify" in b)
    exec(block, {"__name__": "readme"})
    seconds = lambda text: re.sub(r"; [\d.e-]+ s\)", "; s)", text)
    shown = README.split(block)[1].split("```")[2]
    assert seconds(capsys.readouterr().out).strip() == seconds(shown).strip()


def test_the_steps_are_compared_with_their_flows_as_the_readme_shows(capsys):
    block = next(b for b in BLOCKS if "ff.compare" in b)
    exec(block, {"__name__": "readme"})
    # residuals differ in their last digits between libraries of linear algebra
    rough = lambda text: re.sub(r"\d\.\de-1\d", "", text)
    shown = README.split(block)[1].split("```")[2]
    assert rough(capsys.readouterr().out).strip() == rough(shown).strip()


def test_the_step_of_other_code_is_judged_as_the_readme_shows(capsys):
    block = next(b for b in BLOCKS if "check_step" in b)
    exec(block, {"__name__": "readme"})
    # residual and floor differ in their last digits between libraries of linear algebra
    rough = lambda text: re.sub(r"\d\.\de-1\d", "", text)
    shown = README.split(block)[1].split("```")[2]
    assert rough(capsys.readouterr().out).strip() == rough(shown).strip()


def test_a_rule_of_ones_own_is_discovered_proved_and_told_from_another(capsys):
    exec(next(b for b in BLOCKS if "class Mixed" in b), {"__name__": "readme"})
    scope, found, proved, refuted = capsys.readouterr().out.splitlines()
    assert scope.startswith("1 law among words of at most 2 letters, every size of a 2-layer")
    assert found.strip() == "2 W1 W1' - B2 W2 - W2' B2' - W2' W2"
    assert proved.startswith("kept for every size")
    assert refuted.startswith("NOT kept for every size")


def test_the_claim_of_the_readme_stands_and_its_control_falls(tmp_path):
    pytest.importorskip("jinja2")
    from faflow.verify import verify

    (tmp_path / "mixed.py").write_text(next(b for b in BLOCKS if "def claim_" in b))
    claims, broken = verify([tmp_path])
    assert not broken
    assert [c.stands for c in claims] == [True]


LAMBDA = Fraction(1, 3)


def scaled(law, factor, k):
    return lambda rule, w: factor * law(rule, w, k=k)


@pytest.mark.algebra
@pytest.mark.parametrize(
    ("law", "rule", "activation", "layers", "rate"),
    [
        (laws.balance, ff.GD, "linear", (0, 1), None),
        (laws.neuron_balance, ff.GD, "piecewise", (0, 1), None),
        (laws.balance, ff.GD(decay=LAMBDA), "linear", (0, 1), -2 * LAMBDA),
        (laws.neuron_balance, ff.GD(decay=LAMBDA), "piecewise", (0, 1), -2 * LAMBDA),
        (laws.feedback_balance, ff.FA, "linear", (0, 1), None),
        (laws.neuron_feedback_balance, ff.FA, "piecewise", (0, 1), None),
        (
            laws.neuron_feedback_balance,
            ff.FA(decay=(LAMBDA, 2 * LAMBDA, 4 * LAMBDA)),
            "piecewise",
            (0,),
            -2 * LAMBDA,
        ),
        (laws.feedback_balance, ff.DFA, "linear", (1,), None),
        (laws.neuron_feedback_balance, ff.DFA, "piecewise", (1,), None),
        (
            laws.neuron_feedback_balance,
            ff.DFA(decay=(LAMBDA, LAMBDA, 2 * LAMBDA)),
            "piecewise",
            (1,),
            -2 * LAMBDA,
        ),
        (laws.neuron_potential_balance, ff.SignFA, "linear", (0, 1), None),
        (laws.neuron_potential_balance, ff.SignFA, "piecewise", (0, 1), None),
        (laws.mirror_balance, ff.KolenPollack, "linear", (0, 1), None),
        (laws.neuron_mirror_balance, ff.KolenPollack, "piecewise", (0, 1), None),
        (
            laws.neuron_potential_balance,
            ff.SignFA(decay=(LAMBDA, 2 * LAMBDA, 4 * LAMBDA)),
            "piecewise",
            (0, 1),
            (-2 * LAMBDA, -4 * LAMBDA),
        ),
        (
            laws.neuron_feedback_balance,
            ff.FA(decay=(LAMBDA, 2 * LAMBDA, 4 * LAMBDA)),
            "piecewise",
            (0, 1),
            (-2 * LAMBDA, -4 * LAMBDA),
        ),
        (laws.mirror_balance, ff.KolenPollack(decay=LAMBDA), "linear", (0, 1), -2 * LAMBDA),
        (
            laws.neuron_mirror_balance,
            ff.KolenPollack(decay=LAMBDA),
            "piecewise",
            (0, 1),
            -2 * LAMBDA,
        ),
        (laws.mirror_difference, ff.KolenPollack(decay=LAMBDA), "piecewise", (0, 1), -LAMBDA),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_the_table_of_rules_and_laws_is_proved(law, rule, activation, layers, rate, bias):
    rates = rate if isinstance(rate, tuple) else [rate] * len(layers)
    for k, factor in zip(layers, rates, strict=True):
        options = {"depth": 3, "k": k, "activation": activation, "bias": bias}
        if factor is not None:
            options["rate"] = scaled(law, factor, k)
        verdict = ff.prove(law, rule, **options)
        assert verdict, str(verdict)


def test_kolen_pollack_keeps_the_difference_with_any_activation():
    verdict = ff.prove(laws.mirror_difference, ff.KolenPollack, sizes=(2, 2, 2), activation="tanh")
    assert verdict


def test_every_file_the_readme_names_is_there():
    for name in re.findall(
        r"`((?:notebooks|docs)/[\w./]+)`|\(((?:docs|notebooks)/[\w./]+)\)", README
    ):
        assert (ROOT / "".join(name)).is_file()
