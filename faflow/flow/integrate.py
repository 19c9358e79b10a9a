"""Integrate a rule as an ODE in its matrices: the verb."""

from . import engine_scipy
from .checks import ready, times
from .choice import default_solver, engine_of, is_number, is_single, relief, tolerances
from .keeping import check_keep
from .run import Plan, Run
from .sliding import chosen


def integrate(
    rule,
    task,
    w0,
    ts,
    *,
    engine="auto",
    solver=None,
    rtol=None,
    atol=None,
    step=None,
    kinks=None,
    keep="monitor",
    precision="double",
    until=None,
    max_steps=20_000,
    max_seconds=None,
    observe=None,
    reduce="auto",
    checkpoint=None,
    show_progress=None,
):
    """Solve dw/dt = rule(task, w) from `w0`, with a solver step ending exactly at every time.

    w0: the state at ``ts[0]``, a tuple of matrices; ts: increasing times, in units of
        1/learning rate.  A piecewise decay is met by restarting at its jumps.
    engine: scipy, diffrax, or auto: diffrax when JAX has an accelerator, else scipy.
    solver: dop853, rk45, rk23, gauss or radau (SciPy), tsit5, dopri5, dopri8 or bosh3 (diffrax,
        compiled for some seconds first), rkc2 or rock4 (either: stabilised, for stiff flows); gauss
        is a reference, slow, whose steps keep quadratic laws by themselves; radau is implicit, for
        states of up to 5,000 numbers, once reduced.  None takes dop853, or tsit5 and, for rtol
        below 1e-7, dopri8, and goes over to a stabilised one where stability limits the steps, as
        ``made["solver"]`` says then.
    rtol, atol: relative and absolute tolerance; 1e-10, or 1e-5 where kinks are ignored, and a
        hundredth of rtol.  Errors are measured by matrices: the largest, over those of the state,
        of the Frobenius norm of its error over ``atol √entries + rtol |W|``.
    step: fixed steps of this size, shortened to end at every time, in place of error control.
    kinks: of a piecewise linear network.  "slide" follows the flow through them and, where both
        sides push back, along them, exactly, and records it as ``.kinks`` of the solution; it ends
        where more than one flow may go on, as where a unit's weights vanish, or where kinks attract
        together and not each by itself; "stop" ends the run where it first slides; "smooth" rounds
        them off (errors of a percent); "ignore" takes them for smooth, by a method of low order.
        None takes "slide" for SciPy, activations of degree 1 and one layer with kinks, "stop" for
        more, where what slides is not always told by its kinks, so that "slide" may stop, too, or
        go otherwise at another tolerance, which is to be compared; and "ignore" otherwise.  Up to
        20,000 units times samples, and not above a layer of one unit without biases, where all
        units meet their kinks at once.  A unit with weights of zero that is off stays so, as in the
        rule's own steps; a leaky one ends the run where more than one way may lead off.
        Signs of weights, as of SignFA, are not followed: where one changes the velocity jumps, and
        error control is all that there is.
    keep: conserved quantities.  "monitor" tells in ``made["drift"]`` how far those known of the
        rule were from their values at the times asked for; "all" returns to them after each step,
        close to where it ended, and a law of `faflow.laws` to that one; a law of your own,
        ``law(rule, w)`` written for JAX's arrays, too, by JAX's derivatives and without reduction,
        once `prove` has shown that the rule keeps it.  Their drift is then rounding, and what a
        step had left them by is in ``made["away"]``, each at its largest.  (More may be left at a
        loose rtol of Kolen-Pollack's laws and FA's that decay where weights begin small but not
        zero: ``drift`` tells.)  Of several hidden layers it may take 5 to 50 times as long as
        without, and 100 times and more of wide layers between narrow ones.  Corrections count as
        errors of the step, and the largest, in the norm of errors, is in ``made["corrected"]``: at
        most rtol, but for fixed steps.  Laws that decay with the weights keep to their decay.
        None looks at none.
    precision: "single" computes velocities in float32, for accelerators and large products, by the
        pairs of diffrax and to an rtol of at least 5e-7, 1e-5 where none is given; states stay in
        float64, or short steps would be lost in rounding.
    until: "steady" ends the run, before its last time, where the norm of the velocity is down to
        rtol of that at the start, or to the share of it given as a number.  Looked at every 16
        steps of SciPy, 64 of diffrax; a decay that jumps later is not waited for.
    max_steps, max_seconds: budgets of the whole run; the clock is read as often as that.
    observe: ``{name: law}`` recorded at every time instead of the weights.
    reduce: "auto" integrates a smaller problem with exactly the same flow, where `faflow.reduce`
        finds one, and says so in ``made``; full weights are made when they are asked for.  The loss
        of the task, `faflow.laws.loss`, and laws that words prove to be the same in the smaller
        problem are observed there.
    checkpoint: a file that says where the run stands, written about once a minute and where it
        ends or is broken off.  If it is there the run goes on from it: explicit pairs by the very
        steps they would have taken; other solvers, and runs that keep laws or follow kinks, within
        the tolerance.  Budgets may be others, and max_steps counts the steps before, too; the file
        of another run is refused, as far as arguments and the code of functions tell.
    show_progress: a bar on long runs; None shows it on a terminal.
    Returns a `Solution`.  Raises ValueError or TypeError for bad input; `Unfinished` (a
    RuntimeError) if a budget ends, the weights blow up or the flow slides along a kink; and
    `Interrupted` on Ctrl-C.  Both carry the partial solution, up to the time reached, as
    ``.solution``.
    """
    w0, ts = ready(rule, task, w0), times(ts)
    rule.check_times(ts)
    engine, solver = engine_of(engine, solver)
    follows = engine is engine_scipy and solver in (None, "dop853", "rk45")
    kinks = chosen(kinks, rule, task, w0, follows, step)
    single = is_single(precision, engine, solver, keep)
    rtol = (1e-5 if kinks == "ignore" or single else 1e-10) if rtol is None else rtol
    atol = rtol / 100 if atol is None and is_number(rtol) else atol
    controlled = tolerances(rtol, atol, single)
    budgets = {"step": step, "max_steps": max_steps, "max_seconds": max_seconds}
    for what, value in budgets.items():
        if not (value is None or (is_number(value) and value > 0)):
            raise ValueError(f"{what} must be a positive number, but is {value!r}.")
    if max_steps is not None and max_steps != int(max_steps):
        raise ValueError(f"max_steps must be a whole number, but is {max_steps!r}.")
    if step is not None and solver in ("radau", *engine_scipy.STABILISED):
        raise ValueError(f"{solver} takes no fixed steps; leave step= or choose dop853 or rk45.")
    check_keep(keep)
    if reduce not in ("auto", "none"):
        raise ValueError(f"Unknown reduce {reduce!r}; choose from auto, none.")
    plan = Plan(
        rule=rule,
        task=task,
        w0=w0,
        ts=ts,
        engine=engine,
        solver=solver or default_solver(engine, rtol, kinks),
        relief=None if single else relief(solver, rtol, step, kinks),
        tolerances=controlled,
        step=step,
        kinks=kinks,
        single=single,
        keep=keep,
        rest=_share(until, controlled["rtol"]),
        observe=observe,
        reduce=reduce,
        max_steps=max_steps and int(max_steps),
        max_seconds=max_seconds,
    )
    return Run(plan, checkpoint).go(show_progress)


def _share(until, rtol):
    """The share of the first velocity that counts as rest, or None."""
    if until is None:
        return None
    if isinstance(until, str) and until == "steady":
        return rtol
    if not (is_number(until) and 0 < until < 1):
        raise ValueError(f"until must be 'steady' or a share between 0 and 1, but is {until!r}.")
    return float(until)
