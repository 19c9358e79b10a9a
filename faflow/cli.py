"""The command line: ``faflow verify``, ``integrate``, ``laws`` and ``lint``."""

import argparse
import os
import re
import sys
from pathlib import Path

EXAMPLES = """\
examples:
  faflow verify                             every claim of proofs_check/ here
  faflow verify --full --jobs 4             at the sizes of the full tier
  faflow verify my_claims/ --json out.json  your own
  faflow integrate --data digits --rule FA --sizes 64,32,10 --times 0:20:101 \\
      --save run.npz --plot run.png
  faflow laws FA --depth 3                  the laws of a rule, for every size
  faflow laws FA 2,3,2 --degree 3           all polynomials that are laws, at these sizes
  faflow laws GD 5,3,2 --certify            a proof that there are no more
  faflow lint before.npz after.npz B.npz    was a step of other code feedback alignment?
"""


def main(argv=None):
    """Run one command; returns the exit status: 0, 1 if what is checked falls, 2 for bad input."""
    arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        return arguments.run(arguments)
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        print(f"faflow: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("faflow: stopped by Ctrl-C", file=sys.stderr)
        return 130


def _joined(argv):
    """The same with --decay=-1,1 for --decay -1,1, which argparse takes for two options."""
    made = []
    for text in argv:
        if made and re.fullmatch("--[a-z]+", made[-1]) and re.match(r"-[\d.]", text):
            made[-1] += f"={text}"
        else:
            made.append(text)
    return made


def _parser():
    from . import __version__
    from .cli_laws import add_laws
    from .cli_lint import add_lint

    parser = argparse.ArgumentParser(
        prog="faflow",
        description="A laboratory for the dynamics of learning rules.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"faflow {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify",
        help="check theorems: every claim must stand and every control fall",
        description="Run claims with their controls.  Exit status 0 only if every claim stands"
        " and every control falls.",
    )
    verify.add_argument("paths", nargs="*", default=["proofs_check"], help="files or folders")
    verify.add_argument("--report", metavar="DIR", help="write DIR/index.html with figures")
    verify.add_argument("--json", metavar="FILE", help="write the evidence as JSON")
    verify.add_argument("--select", metavar="NAME", help="only claims whose name contains NAME")
    verify.add_argument("--full", action="store_true", help="the sizes of the full tier")
    verify.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes that share the claims (default: one a core)",
    )
    verify.set_defaults(run=_verify)
    _integrate_parser(commands)
    add_laws(commands)
    add_lint(commands)
    return parser


def _integrate_parser(commands):
    flow = commands.add_parser(
        "integrate",
        help="integrate a rule on data as a flow",
        description="Integrate a learning rule on data; prints the solution and what it reached.",
    )
    add = flow.add_argument
    add("--data", required=True, help="digits, breast_cancer, diabetes, or a .npz or .csv file")
    add("--target", help="target column of a .csv")
    add("--samples", type=int, help="how many samples to train on (default: all)")
    add("--rule", required=True, help="GD, FA, DFA, SignFA, KolenPollack")
    add("--sizes", required=True, type=numbers(int), help="layer widths, input first: 64,32,10")
    add("--times", required=True, help="start:stop:number, such as 0:20:101, or a list 0,1,5")
    add("--activation", default="tanh", help="of the hidden layers (default: tanh)")
    add("--loss", default="squared", help="squared, logistic, cross_entropy, exponential")
    add("--bias", action="store_true", help="with biases")
    add("--sum", action="store_true", help="loss summed over the samples (default: their mean)")
    add("--decay", type=float, default=0.0, help="weight decay of all layers")
    add("--scale", type=float, default=1.0, help="scale of the start, over sqrt(fan in)")
    add("--seed", type=int, default=0, help="of weights, feedback and the split of the data")
    add("--engine", default="auto", help="auto, scipy, diffrax")
    add(
        "--solver",
        help="dop853, rk45, rk23, gauss, radau, tsit5, dopri5, dopri8, bosh3, rkc2, rock4",
    )
    add("--rtol", type=float, default=1e-6)
    add("--atol", type=float, default=1e-9)
    add("--step", type=float, help="fixed steps of this size")
    add("--kinks", help="of ReLU and its like: slide (followed exactly), smooth, stop, ignore")
    add("--keep", default="monitor", help="conserved quantities: monitor, or all to keep them")
    add("--checkpoint", metavar="FILE", help="go on from this file, and write to it on the way")
    add("--save", metavar="FILE.npz", help="save the solution")
    add("--plot", metavar="FILE.png", help="draw loss, alignment and the drift of a law")
    flow.set_defaults(run=_integrate)


def numbers(kind):
    """Reads 64,32,10 as a tuple of numbers of a kind, for an argument."""

    def read(text):
        return tuple(kind(part) for part in text.split(","))

    read.__name__ = "list of numbers"
    return read


def _times(text):
    import numpy as np

    try:
        if ":" in text:
            start, stop, number = text.split(":")
            return np.linspace(float(start), float(stop), int(number))
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ValueError(
            f"--times must be start:stop:number or a list of times, but is {text!r}."
        ) from None


def writable(path):
    """Raise unless a file can be written to `path`, before anything long is computed."""
    if path == "":
        raise ValueError("A file to write to must have a name, but it is ''.")
    if path and (not Path(path).resolve().parent.is_dir() or Path(path).is_dir()):
        raise ValueError(f"There is no folder to write {path} to, or it is a folder itself.")


def rule_named(name):
    """The class of a rule that has data, feedback and sizes of any kind, by its name."""
    from .rules import RULES

    known = [known for known in RULES if known != "FAStar"]
    if name not in known:
        raise ValueError(f"Unknown rule {name!r}; choose from {', '.join(known)}.")
    return RULES[name]


def _drawable(path):
    """Raise unless a figure can be drawn to `path`, before anything long is computed."""
    from .extras import needs

    if path:
        known = needs("matplotlib.backend_bases", "plot").FigureCanvasBase.filetypes
        if Path(path).suffix[1:] not in known:
            raise ValueError(f"--plot must end in one of .{', .'.join(known)}, but is {path}.")


def _integrate(arguments):
    from . import integrate
    from .data import KNOWN, by_name
    from .solution import Interrupted, Unfinished

    a = arguments
    writable(a.save)
    writable(a.plot)
    _drawable(a.plot)
    kind = rule_named(a.rule)
    if a.samples is not None and a.data not in KNOWN:
        raise ValueError(f"--samples is for {', '.join(KNOWN)}; of a file all samples are used.")
    if a.target is not None and a.data in KNOWN:
        raise ValueError(f"--target names a column of a .csv, but --data is {a.data}.")
    options = {"samples": a.samples, "target": a.target}
    data = by_name(a.data, seed=a.seed, **{k: v for k, v in options.items() if v is not None})
    ends = len(data.X), len(data.Y)
    if len(a.sizes) < 2 or min(a.sizes) < 1 or (a.sizes[0], a.sizes[-1]) != ends:
        raise ValueError(
            f"--sizes must be positive widths from {ends[0]} to {ends[1]}, the inputs and targets"
            f" of {data.name}, but is {','.join(map(str, a.sizes))}."
        )
    task = data.task(a.activation, loss=a.loss, bias=a.bias)
    rates = 1 if a.sum else 1 / task.X.shape[1]
    rule = kind.random(a.sizes, seed=a.seed, decay=a.decay, rates=rates)
    w0 = rule.start(a.sizes, scale=a.scale, seed=a.seed, bias=a.bias)
    control = {"engine": a.engine, "solver": a.solver, "rtol": a.rtol, "atol": a.atol}
    control |= {"step": a.step, "kinks": a.kinks, "keep": a.keep}
    control |= {"checkpoint": a.checkpoint}
    status = 0
    try:
        sol = integrate(rule, task, w0, _times(a.times), **control)
    except (Unfinished, Interrupted) as stop:
        print(f"faflow: {stop}", file=sys.stderr)
        sol, status = stop.solution, 1
    print(data)
    print(sol)
    print(f"time is in units of 1/learning rate of the {'summed' if a.sum else 'mean'} loss")
    parts = [("training", task)]
    if data.X_test is not None:
        parts.append(("test", data.test_task(a.activation, loss=a.loss, bias=a.bias)))
    for name, part in parts:
        line = f"{name}: loss a sample {sol.loss(task=part) / part.X.shape[1]:.4g}"
        classes = data.labels is not None
        print(line + (f", accuracy {sol.accuracy(task=part):.4f}" if classes else ""))
    if a.save:
        sol.save(a.save)
        print(f"saved {a.save}")
    if a.plot:
        from . import plot

        plot.summary(sol).savefig(a.plot, dpi=144)
        print(f"drew {a.plot}")
    return status


def _cores():
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _verify(arguments):
    from .verify import verify

    board = _Board()
    with board:
        claims, broken = verify(
            arguments.paths,
            report=arguments.report,
            json_file=arguments.json,
            select=arguments.select,
            full=arguments.full,
            jobs=_cores() if arguments.jobs is None else arguments.jobs,
            tell=board.tell,
        )
    board.close(claims, broken)
    if arguments.report:
        print(f"report: {Path(arguments.report) / 'index.html'}")
    return 0 if claims and not broken and all(c.stands for c in claims) else 1


class _Board:
    """The live table of a verification; plain lines where there is no terminal."""

    def __init__(self):
        from .extras import needs

        self.console = needs("rich.console", "verify").Console()
        self.live = needs("rich.live", "verify").Live(
            console=self.console, auto_refresh=False, vertical_overflow="visible"
        )
        self.trials, self.done, self.total = [], 0, 0

    def __enter__(self):
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *wrong):
        if self.console.is_terminal:
            self.live.update("", refresh=True)
            self.live.stop()

    def tell(self, trial, done, total):
        self.trials.append(trial)
        self.done, self.total = done, total
        if self.console.is_terminal:
            self.live.update(self._recent(), refresh=True)
        else:
            ended = ("falls" if trial.control else "stands") if trial.passed else "FAILED"
            print(f"[{done}/{total}] {trial.name}: {ended}, {trial.seconds:.1f} s", flush=True)

    def _recent(self):
        from rich.markup import escape
        from rich.table import Table

        room = max(5, self.console.height - 6)
        table = Table(title=f"{self.done} of {self.total} claims and controls")
        for name in ("claim or control", "ended", "seconds"):
            table.add_column(name)
        for trial in self.trials[-room:]:
            good = "falls" if trial.control else "stands"
            ended = f"[green]{good}" if trial.passed else "[bold red]failed"
            table.add_row(escape(trial.name), ended, f"{trial.seconds:.1f}")
        return table

    def close(self, claims, broken):
        """Print the verdicts: a table of claims, then what went wrong."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title="Claims")
        for name in ("claim", "verdict", "known", "seen", "controls", "seconds"):
            table.add_column(name, overflow="fold")
        for claim in claims:
            verdict = "[green]stands" if claim.stands else "[bold red]does not stand"
            needed, seen = claim.brief[0] if claim.brief else ("", "nothing")
            fell = sum(c.passed for c in claim.controls)
            table.add_row(
                escape(claim.trial.title),
                verdict,
                claim.known,
                f"{seen} ({needed})" if needed else seen,
                f"{fell} of {len(claim.controls)} fall",
                f"{claim.seconds:.1f}",
            )
        self.console.print(table)
        for problem in broken:
            self.console.print(f"[bold red]could not be read[/]: {escape(problem)}", soft_wrap=True)
        for claim in claims:
            for problem in claim.problems:
                start = f"[bold red]{escape(claim.trial.name)}[/]"
                self.console.print(f"{start}: {escape(problem)}", soft_wrap=True)
        stand = sum(c.stands for c in claims)
        fall = sum(t.passed for c in claims for t in c.controls)
        controls = sum(len(c.controls) for c in claims)
        self.console.print(
            f"{stand} of {len(claims)} claims stand, {fall} of {controls} controls fall."
        )
