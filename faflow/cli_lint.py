"""The command line: ``faflow lint`` says whether a step of other code was feedback alignment."""

from .cli import numbers


def add_lint(commands):
    """Add the command to the subparsers of `commands`."""
    lint = commands.add_parser(
        "lint",
        help="check a step of other code: was it feedback alignment, and if not, what",
        description="Say layer by layer whether weights moved by feedback alignment, from what they"
        " were before and after one step.  Each file holds arrays from the input on: weights (out,"
        " in), biases after the weights they belong to; or a PyTorch state_dict, written by"
        " numpy.savez, too.  Exit status 0 only if every hidden layer is ok.",
    )
    add = lint.add_argument
    add("before", metavar="BEFORE.npz", help="weights before the step")
    add("after", metavar="AFTER.npz", help="weights after it")
    add("feedback", metavar="B.npz", help="feedback, in the shape of W or W.T of the layer above")
    add("--activation", default="relu", help="of the hidden layers, one or each: relu,linear")
    add("--rates", type=numbers(float), help="learning rates of the layers, if not one: 0.1,0.2")
    add("--decay", type=float, default=0.0, help="weight decay times learning rate (default: 0)")
    add("--layout", help="W or W.T, where B is square and must have one of them")
    add("--threshold", type=float, help="residual that is zero (default: by the numbers' digits)")
    lint.set_defaults(run=_lint)


def _lint(a):
    from . import check_step
    from .readers import read_arrays

    phis = a.activation.split(",")
    report = check_step(
        *(read_arrays(path) for path in (a.before, a.after, a.feedback)),
        activation=phis[0] if len(phis) == 1 else phis,
        rates=1 if a.rates is None else a.rates,
        decay=a.decay,
        layout=a.layout,
        threshold=a.threshold,
    )
    print(report)
    return 0 if report else 1
