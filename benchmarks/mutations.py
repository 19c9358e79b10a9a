"""How many planted faults the claims notice.

    python benchmarks/mutations.py [--jobs 2] [--select WORD] [--all-claims]

Each fault changes one expression of one rule, law or closed form in a copy of the package; then
``faflow verify`` runs there, first the claims that speak of it, then, if they all stand, every
other file.  A fault counts as noticed when a claim does not stand that stands without the fault,
which is tried first.  Prints a line a fault and the share noticed; exit status 1 if one survives
that is not explained.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
GV, RK, SXL = "garg_vempala_2021", "robertson_koyejo_2023", "song_xu_lafferty_2021"
JT, LI, RE, CB = "ji_telgarsky_2020", "lillicrap_2016", "refinetti_2021", "chu_bacho_2023"
DU, AK, NO, ONE = "du_hu_lee_2018", "akrout_2019", "noekland_2016", "one_layer"
CO, CF, DI = "conservation", "closed_forms", "discrete"


class Fault(NamedTuple):
    """In `where` (file:function, with its class if any) `old`, found once, becomes `new`.

    claims: (file, claim) that should notice.  explained: why a survivor is none to worry about.
    """

    where: str
    old: str
    new: str
    claims: tuple
    explained: str = ""


FAULTS = (
    # the rules
    Fault(
        "rule.py:Rule.velocity",
        "= task.output_scale",
        "= -task.output_scale",
        ((RK, "definition"),),
    ),
    Fault("rule.py:Rule.velocity", "e @ a.T", "e @ a.T / 2", ((RK, "definition"),)),
    Fault(
        "rule.py:Rule.velocity",
        "task.activation(k).pull(hidden[k], carried)",
        "carried",
        ((RK, "definition"),),
    ),
    Fault("rule.py:Rule._scaled", "V - decay * W", "V + decay * W", ((RK, "matched_decay"),)),
    Fault("rule.py:Rule._scaled", "rate * V", "V / rate", ((RK, "rates_and_degrees"),)),
    Fault(
        "rules.py:GD.carry",
        "laid_out(outgoing(w, k).T)",
        "-laid_out(outgoing(w, k).T)",
        ((DU, "neuron_balance"),),
    ),
    Fault("rules.py:GD.potential", ".diagonal() / 2", ".diagonal()", ((RK, "potential"),)),
    Fault("rules.py:FA.carry", "self.B[k] @ above", "-self.B[k] @ above", ((RK, "definition"),)),
    Fault(
        "rules.py:FA.carry", "self.B[k] @ above", "outgoing(w, k).T @ above", ((RK, "definition"),)
    ),
    Fault(
        "rules.py:FA.potential",
        "(self.B[k] @ outgoing(w, k))",
        "(2 * (self.B[k] @ outgoing(w, k)))",
        ((RK, "potential"),),
    ),
    Fault(
        "rules.py:DFA.carry",
        "self.B[k] @ output",
        "-self.B[k] @ output",
        ((NO, "one_hidden_layer"),),
    ),
    Fault(
        "rules.py:DFA.carry",
        "self.B[k] @ output",
        "2 * (self.B[k] @ output)",
        ((NO, "one_hidden_layer"),),
    ),
    Fault("rules.py:SignFA.carry", ".T @ above", ".T @ above / 2", ((RK, "potential"),)),
    Fault(
        "rules.py:SignFA._feedback", "tanh_of(self.beta * W)", "tanh_of(W)", ((RK, "potential"),)
    ),
    Fault(
        "rules.py:SignFA._antiderivative",
        "softplus_of(2 * z) - z",
        "softplus_of(2 * z) + z",
        ((RK, "potential"),),
    ),
    Fault(
        "rules.py:KolenPollack.velocity",
        "outgoing(moved, k).T",
        "-outgoing(moved, k).T",
        ((AK, "mirror"),),
    ),
    Fault(
        "rules.py:KolenPollack.carry",
        "w[len(w) // 2 + 1 + k] @ above",
        "outgoing(w, k).T @ above",
        ((AK, "mirror"),),
    ),
    Fault(
        "rules.py:FAStar.velocity",
        "self.B[0] @ (task.Y - w[1] @ w[0])",
        "self.B[0] @ (w[1] @ w[0] - task.Y)",
        ((GV, "fa_star"),),
    ),
    Fault("rules.py:_followed", "- W @ moved.T", "+ W @ moved.T", ((GV, "fa_star"),)),
    Fault("rules.py:FAStar.settle", "w[0] @ task.Y.T", "2 * w[0] @ task.Y.T", ((GV, "fa_star"),)),
    # the laws
    Fault("laws.py:balance", "- above.T @ above", "+ above.T @ above", ((DU, "matrix_balance"),)),
    Fault("laws.py:neuron_balance", ".diagonal()", ".diagonal() ** 2", ((DU, "neuron_balance"),)),
    Fault(
        "laws.py:layer_balance",
        "balance(rule, w, k).trace()",
        "(w[k] @ w[k].T).trace()",
        ((DU, "layer_balance"),),
    ),
    Fault("laws.py:feedback_balance", "- carried.T", "+ carried.T", ((RK, "matrix_law"),)),
    Fault("laws.py:feedback_balance", "- carried -", "- 2 * carried -", ((RK, "matrix_law"),)),
    Fault("laws.py:neuron_feedback_balance", "degree * ", "", ((RK, "rates_and_degrees"),)),
    Fault(
        "laws.py:neuron_feedback_balance",
        "/ 2 / rule.rate(k)",
        "/ rule.rate(k)",
        ((RK, "neuron_law"),),
    ),
    Fault(
        "laws.py:neuron_feedback_balance",
        "- carried / rule.rate(k + 1)",
        "- carried / rule.rate(k)",
        ((RK, "rates_and_degrees"),),
    ),
    Fault(
        "laws.py:layer_feedback_balance",
        "/ 2 / rule.rate(k)",
        "/ rule.rate(k)",
        ((RK, "theorem_1"),),
    ),
    Fault("laws.py:layer_feedback_balance", "- carried", "+ carried", ((RK, "theorem_1"),)),
    Fault(
        "laws.py:neuron_potential_balance",
        "/ 2 / rule.rate(k)",
        "/ rule.rate(k)",
        ((RK, "potential"),),
    ),
    Fault("laws.py:mirror_difference", "- w[len(w)", "+ w[len(w)", ((AK, "mirror_difference"),)),
    Fault(
        "laws.py:mirror_balance",
        "- above.T @ above",
        "+ above.T @ above",
        ((AK, "mirror_balance"),),
    ),
    Fault(
        "laws.py:neuron_mirror_balance",
        "mirror_balance(rule, w, k).diagonal()",
        "balance(rule, w, k).diagonal()",
        ((RK, "potential"),),
    ),
    Fault("laws.py:lyapunov", "- first.trace", "+ first.trace", ((GV, "lyapunov"),)),
    Fault(
        "laws.py:lyapunov",
        "/ 2 / rule.rate(len(w) - 1)",
        "/ rule.rate(len(w) - 1)",
        ((GV, "lyapunov"),),
    ),
    Fault("laws.py:lyapunov_rate", "return -(", "return (", ((GV, "lyapunov"),)),
    Fault("laws.py:end_to_end_feedback", "carried @ B", "carried", ((RK, "deep_lyapunov"),)),
    Fault("laws.py:projected_loss", "/ 2", "/ 3", ((GV, "projected_loss_identity"),)),
    Fault(
        "laws.py:projected_loss_rate",
        "+ pushed / 2",
        "- pushed / 2",
        ((GV, "projected_loss_identity"),),
    ),
    Fault(
        "laws.py:projected_loss_rate",
        ".trace() / 2",
        ".trace()",
        ((GV, "projected_loss_identity"),),
    ),
    Fault(
        "laws.py:direction_alignment",
        "_cosine(flat(moved), flat(descent))",
        "-_cosine(flat(moved), flat(descent))",
        ((RK, "loss_falls"),),
    ),
    Fault(
        "laws.py:alignment",
        "_cosine(feedback, above.T)",
        "-_cosine(feedback, above.T)",
        (("digits", "alignment"),),
    ),
    Fault(
        "laws.py:principal_angles",
        "bases[0] @ bases[1].T",
        "bases[0] @ bases[1].T / 2",
        ((GV, "representations"),),
    ),
    # closed forms
    Fault(
        "exact/white.py:fa_from_zero",
        "u**2 / np.cbrt(2 * d)",
        "u / np.cbrt(2 * d)",
        ((GV, "closed_form"),),
    ),
    Fault("exact/white.py:_kappa", "/ np.cbrt(2)", "* np.cbrt(2)", ((GV, "closed_form"),)),
    Fault(
        "exact/white.py:_time",
        "np.log1p(u + u**2) / 6",
        "np.log1p(u + u**2) / 3",
        ((GV, "closed_form"),),
    ),
    Fault(
        "exact/white.py:discrete_fa_from_zero",
        "w + eta * d * left, z + eta * w * left",
        "w + eta * d * left, z + eta * (w + eta * d * left) * left",
        ((GV, "discrete_modes"),),
    ),
    Fault("exact/white.py:fa_limit", "Y @ R.T @ R", "Y", ((GV, "limit"),)),
    Fault("exact/white.py:fa_limit", "Y @ S @ R.T", "Y @ R.T", ((GV, "limit"),)),
    Fault(
        "exact/white.py:fa_limit_weights",
        "1 / np.cbrt(2 * d)",
        "1 / np.cbrt(d)",
        ((LI, "pseudo_inverse"),),
    ),
    Fault("exact/white.py:fa_modes", "3 * kappa", "2 * kappa", ((GV, "modes"),)),
    Fault(
        "exact/layer.py:one_layer",
        "np.exp(-decay * ts)",
        "np.exp(decay * ts)",
        ((ONE, "least_squares"),),
    ),
    Fault(
        "exact/layer.py:one_layer",
        "(s**2 + decay)",
        "(s**2 + 2 * decay)",
        ((ONE, "least_squares"),),
    ),
    Fault(
        "steps/modified.py:by_formula", "_over(curved, 12)", "_over(curved, 6)", ((DI, "series"),)
    ),
    Fault(
        "steps/modified.py:by_formula", "_over(mixed, -12)", "_over(mixed, 12)", ((DI, "series"),)
    ),
    Fault("steps/modified.py:by_formula", "_over(JF, -2)", "_over(JF, 2)", ((DI, "series"),)),
    Fault("steps/modified.py:Modified._velocity", "1 + self", "1 - self", ((DI, "momentum_flow"),)),
    Fault("steps/modified.py:Modified._over_rounds", "same -", "same +", ((DI, "rounds"),)),
    Fault("steps/modified.py:Modified.shifted", "(1 - self", "(1 + self", ((DI, "momentum_flow"),)),
    Fault("steps/principal.py:_log_over", "shares / 2", "shares", ((DI, "principal"),)),
    Fault("steps/leading.py:WithError.velocity", "V / 2", "V", ((DI, "leading"),)),
    Fault("steps/drift.py:drift", "= beta * change", "= change", ((DI, "momentum_recursion"),)),
    Fault("steps/drift.py:_integral", "1 + beta", "1 - beta", ((DI, "drift_integral"),)),
    Fault("steps/stability.py:thresholds", "1 - momentum", "1 + momentum", ((DI, "ellipse"),)),
    Fault("steps/stability.py:thresholds", "2 * a", "a", ((DI, "growth"),)),
    Fault("steps/moments.py:moments", "eta) / 2", "eta)", ((DI, "noise"),)),
    Fault(
        "matrices/duals.py:Dual._with",
        "self.moved, other.value",
        "self.moved, other.moved",
        ((DI, "series"),),
    ),
    Fault("exact/line.py:Clock.time", "/ j", "* j", ((CF, "equal_neurons"),)),
    Fault("exact/line.py:Clock.time", "2 * term.real", "term.real", ((CF, "deep_chain"),)),
    Fault("exact/line.py:_residues", "return inverse[::-1]", "return inverse", ((CF, "equal"),)),
    Fault("exact/chains.py:_kept", "w * w / 2 - c", "w * w - c", ((CF, "chain_of_two"),)),
    Fault("exact/chains.py:_field", "scale *= c", "scale *= 1", ((CF, "deep_chain"),)),
    Fault("exact/chains.py:fa_chain_law", "slope**2 * rate", "slope * rate", ((CF, "law"),)),
    Fault("exact/chains.py:fa_chain_law", "- eta / 2", "- eta", ((CF, "law"),)),
    Fault("exact/chains.py:fa_chain_equilibria", "m == 1", "m == 2", ((CF, "unstable"),)),
    Fault("exact/chains.py:fa_chain_equilibria", "divide(2,", "divide(1,", ((CF, "unstable"),)),
    Fault("exact/cubic.py:fa_forgetting", "share**2", "share", ((CF, "chain_of_two"),)),
    Fault("exact/cubic.py:fa_double_root", "4.5 * r**2", "4 * r**2", ((CF, "chain_of_two"),)),
    Fault("exact/gradient.py:gd_chain", "np.hypot(kept / 2", "np.hypot(kept", ((CF, "neurons"),)),
    Fault(
        "exact/gradient.py:gd_balanced_chain",
        "sign * s",
        "s",
        ((CF, "equal_neurons"),),
    ),
    Fault("exact/commuting.py:fa_from_commuting", "q * (1 - x)", "q", ((CF, "commuting"),)),
    Fault("exact/matrices.py:gd_balanced", "[Y, kept / 2", "[Y, kept", ((CF, "balanced"),)),
    Fault("exact/matrices.py:_after", "2 * np.abs(rates)", "np.abs(rates)", ((CF, "balanced"),)),
    Fault("exact/deep.py:fa_orthogonal_from_zero", "/ scale)", "/ 1)", ((CF, "orthogonal"),)),
    Fault(
        "teacher_student.py:field_average",
        "- C[a, b] * C[a, c]",
        "+ C[a, b] * C[a, c]",
        ((RE, "order_parameters"),),
    ),
    Fault(
        "teacher_student.py:output_average", "2 / np.pi", "1 / np.pi", ((RE, "order_parameters"),)
    ),
    Fault(
        "teacher_student.py:erf_rates",
        "told = v if F is None else F",
        "told = v",
        ((RE, "degeneracy"),),
    ),
    Fault(
        "teacher_student.py:relu_rates",
        "told = v if F is None else F",
        "told = v",
        ((RE, "relu_recovery"),),
    ),
    Fault(
        "teacher_student.py:relu_rates",
        "(np.pi - angles) * cosines",
        "np.pi * cosines",
        ((RE, "relu_recovery"),),
    ),
    Fault(
        "steps/stepper.py:Stepper.step",
        "w[k] = w[k] + v[k]",
        "w[k] = w[k] + 2 * v[k]",
        ((GV, "discrete_modes"),),
    ),
    # wide networks
    Fault("wide/network.py:problem", "rates=(1, 1 / p)", "rates=(1, 1)", ((SXL, "update_rule"),)),
    Fault(
        "wide/network.py:from_mean_loss", "penalty * samples / 2", "penalty", ((SXL, "published"),)
    ),
    Fault(
        "wide/network.py:kernels",
        "rule.rate(0) * (task.X.T @ task.X)",
        "-rule.rate(0) * (task.X.T @ task.X)",
        ((SXL, "exact_error_ode"),),
    ),
    Fault(
        "wide/network.py:error_rate",
        "- penalty * (e + y)",
        "- penalty * e",
        ((SXL, "exact_error_ode"),),
    ),
    Fault(
        "wide/network.py:residual_rate",
        "w[1] @ rule.B[0] @ left",
        "w[1] @ w[1].T @ left",
        ((SXL, "exact_error_ode"),),
    ),
    Fault(
        "wide/network.py:limit_kernel",
        "(np.pi - angle) * cosine",
        "np.pi * cosine",
        ((SXL, "kernels"), (SXL, "exponential")),
    ),
    Fault("wide/flow.py:_velocity", "penalty * rho", "rho", ((SXL, "exact_reduction"),)),
    Fault("wide/reduction.py:error_of", "- a @ o.K", "+ a @ o.K", ((SXL, "exact_reduction"),)),
    Fault("wide/reduction.py:overlap_of", "+ rho * bb", "- rho * bb", ((SXL, "exact_reduction"),)),
    Fault(
        "wide/steps.py:_Stepper.go",
        "eta * (carried - penalty * rho)",
        "eta * carried",
        ((SXL, "exact_reduction"), (SXL, "published")),
    ),
    Fault("wide/limit.py:alignment_law", "s**3 / 3", "s**3", ((SXL, "schedules"),)),
    Fault(
        "wide/limit.py:alignment_law",
        "lam / (1 + lam + sigma**2)",
        "lam / (lam + sigma**2)",
        ((SXL, "sharp_alignment"),),
    ),
    Fault(
        "wide/limit.py:alignment_path", "+ np.outer(u, u)", "", ((SXL, "alignment_for_any_data"),)
    ),
    Fault("wide/limit.py:late_error", "** -2", "** -1", ((SXL, "algebraic_decay"),)),
    # margins and log-norm time
    Fault(
        "margins.py:degree_of",
        "phi.degree * degree + 1",
        "phi.degree * degree",
        ((JT, "euler"), (JT, "margin_growth")),
    ),
    Fault("margins.py:log_scale", "-alpha if", "alpha if", ((JT, "rates"),)),
    Fault(
        "margins.py:_shares",
        "np.exp(alpha - p)",
        "np.exp(alpha - 2 * p)",
        ((JT, "euler"), (JT, "margin_growth")),
    ),
    Fault(
        "margins.py:_smoothed",
        "return -total",
        "return total",
        ((JT, "margin_growth"), (JT, "rates")),
    ),
    Fault(
        "margins.py:margin_slack",
        "- _degree(task, w, degree)",
        "- 2 * _degree(task, w, degree)",
        ((JT, "margin_growth"),),
    ),
    Fault("margins.py:gradient_cosine", "_cosine(w,", "-_cosine(w,", ((JT, "alignment"),)),
    Fault("margins.py:kkt_residuals", "(p - p.min())", "p", ((JT, "kkt"),)),
    Fault("margins.py:max_margin", "X * labels / scale", "X / scale", ((JT, "maximum_margin"),)),
    Fault(
        "flow/lognorm.py:lognorm",
        "np.sqrt(y @ y) / speed * v",
        "np.sqrt(y @ y) / speed * -v",
        ((JT, "margin_growth"), (JT, "rates")),
    ),
    Fault("flow/lognorm.py:lognorm", "- log_scale(rule", "+ log_scale(rule", ((JT, "rates"),)),
    # momentum, laws found, proofs and certificates
    Fault(
        "momentum.py:HeavyBall.velocity",
        "F - self.friction * U",
        "F + self.friction * U",
        ((CO, "momentum"),),
    ),
    Fault("momentum.py:HeavyBall.velocity", "(*V, *(", "(*at, *(", ((CO, "momentum"),)),
    Fault(
        "symbolic/brackets.py:bracket",
        "rate - V.split(used)[1]",
        "rate + V.split(used)[1]",
        ((CO, "count_gradient"),),
    ),
    Fault("symbolic/brackets.py:bracket", "rate - V.split(used)[1]", "rate", ((CO, "table"),)),
    Fault(
        "symbolic/brackets.py:Point.field",
        "state[:-1]), state[-1])",
        "state[:-1]), 2 * state[-1])",
        ((CO, "count_decays"),),
    ),
    Fault("symbolic/brackets.py:lie_rank", "history[-1] == history[-2]", "True", ((CO, "table"),)),
    Fault(
        "symbolic/jacobian.py:_derivatives",
        "residue(growth) * here",
        "residue(2 * growth) * here",
        ((CO, "count_decays"),),
    ),
    Fault(
        "symbolic/jacobian.py:with_chains",
        "-reduced(along",
        "reduced(along",
        ((CO, "chains"),),
    ),
    Fault("symbolic/unknowns.py:Unknown.columns", "-C if k", "C if k", ((CO, "direct_feedback"),)),
    Fault(
        "symbolic/unknowns.py:unknowns",
        "below[1][-len(here[1]) :] != here[1]",
        "False",
        ((CO, "count_direct"),),
    ),
    Fault(
        "symbolic/prove.py:prove_growing", "* -growth", "* growth", ((CO, "count_linear_decays"),)
    ),
    Fault(
        "symbolic/prove.py:Question.answer",
        "rate = rate - self._named",
        "rate = rate + self._named",
        ((CO, "matched_decays"),),
    ),
    Fault("symbolic/prove.py:_by_words", "not rate,", "True,", ((CO, "linear_feedback"),)),
    Fault(
        "symbolic/search.py:Search.laws",
        "if w in number}",
        "if w in number} if False else {}",
        ((CO, "count_linear_decays"),),
    ),
    Fault(
        "symbolic/rationals.py:null_space",
        "-_fraction(reduced",
        "_fraction(reduced",
        ((CO, "linear_feedback"),),
    ),
    Fault(
        "matrices/series.py:Series._product",
        "out[i + j] + term",
        "out[i + j] - term",
        ((CO, "linear_feedback"),),
    ),
    Fault("matrices/jets.py:Jet._times", "if not s & t", "if s != t", ((CO, "count_feedback"),)),
    Fault(
        "matrices/residues.py:_cleared",
        "M - product(M[:, pivots], rows)",
        "M + product(M[:, pivots], rows)",
        ((CO, "count_feedback"),),
    ),
)


def planted(fault, package):
    """Put the fault into the copy of the package."""
    name, _, function = fault.where.partition(":")
    path = package / name
    text = path.read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in function.split("."):
        node = next(n for n in node.body if getattr(n, "name", None) == part)
    lines = text.splitlines(keepends=True)
    before, body = lines[: node.lineno - 1], lines[node.lineno - 1 : node.end_lineno]
    code = "".join(body)
    if code.count(fault.old) != 1:
        raise SystemExit(
            f"{fault.where} has {code.count(fault.old)} times {fault.old!r}, not once."
        )
    changed = code.replace(fault.old, fault.new)
    path.write_text("".join([*before, changed, *lines[node.end_lineno :]]), encoding="utf-8")


def fallen_without(pair):
    """What does not stand of a file's claim while no fault is planted: nothing, or all is moot."""
    with tempfile.TemporaryDirectory() as folder:
        return _fallen(_copied(folder), *_asked(pair))


def noticed(fault, everything):
    """The claims that do not stand with this fault planted, and the seconds it took."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(folder)
        planted(fault, copy / "faflow")
        tries = [_asked(pair) for pair in fault.claims]
        if everything or not tries:
            tries += [("proofs_check", None)]
        for path, claim in tries:
            fallen = _fallen(copy, path, claim)
            if fallen:
                break
    return fallen, time.perf_counter() - began


def _asked(pair):
    return f"proofs_check/{pair[0]}.py", pair[1]


def _copied(folder):
    for part in ("faflow", "proofs_check"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, Path(folder) / part, ignore=leave)
    return Path(folder)


def _fallen(copy, path, claim):
    command = [sys.executable, "-m", "faflow", "verify", path, "--jobs", "1", "--json", "seen.json"]
    command += ["--select", claim] if claim else []
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        command, cwd=copy, env={**os.environ, **threads}, capture_output=True, text=True
    )
    if done.returncode == 0:
        return []
    if not (copy / "seen.json").exists():  # nothing could run at all
        return [done.stderr.strip().splitlines()[-1][:80] if done.stderr.strip() else "crashed"]
    whole = json.loads((copy / "seen.json").read_text(encoding="utf-8"))
    return [c["claim"]["name"] for c in whole["claims"] if not c["stands"]] or ["a broken file"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="faults tried at a time")
    parser.add_argument("--select", default="", help="only faults of functions with this in them")
    parser.add_argument(
        "--quick", action="store_true", help="do not run all other claims for a survivor"
    )
    options = parser.parse_args()
    faults = [f for f in FAULTS if options.select in f.where]
    survivors = []
    with ThreadPoolExecutor(options.jobs) as pool:
        pairs = list(dict.fromkeys(pair for f in faults for pair in f.claims))
        for pair, fallen in zip(pairs, pool.map(fallen_without, pairs), strict=True):
            if fallen:
                raise SystemExit(f"Without any fault, {pair}: {', '.join(fallen)}.")
        print(f"without a fault the claims of all {len(pairs)} selections stand", flush=True)
        results = pool.map(lambda f: noticed(f, not options.quick), faults)
        for fault, (fallen, seconds) in zip(faults, results, strict=True):
            change = f"{fault.where}: {fault.old} -> {fault.new}"
            said = ", ".join(fallen[:3]) or f"SURVIVES {fault.explained}".strip()
            print(f"{change}: {said} ({seconds:.0f} s)", flush=True)
            if not fallen:
                survivors.append(fault)
    number = len(faults) - len(survivors)
    print(f"{number} of {len(faults)} faults noticed ({100 * number / len(faults):.1f} %)")
    return int(any(not f.explained for f in survivors))


if __name__ == "__main__":
    sys.exit(main())
