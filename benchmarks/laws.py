"""How long it takes to find laws, to prove them, and to certify that there are no more.

    python benchmarks/laws.py [PART ...] [--full]

Prints a table for each part; all of them unless some are named.

- published: the searches whose times Marcotte, Gribonval & Peyré publish with "Abide by the law and
  follow the flow: conservation laws for gradient flows" (NeurIPS 2023), in the outputs of
  main.ipynb of github.com/sibyllema/Conservation_laws (commit acd6094), on a machine where Sage
  counts 64 cores.  Those are wall times, quoted, not measured here; ours are CPU seconds.
- certificates: from a few variables to thousands, by rule, depth and activation.
- blocks: certificates of large linear networks, pair by pair of indices.
- polynomials: all polynomial laws up to a degree.
- words: the laws of a deep network for every size, beside SymPy with the same rule and law.

Each line is a case in a fresh process with one thread, on Linux or macOS.  CPU time is without
imports; peak memory is the whole process's, Python and its libraries included.

The networks of "published" are drawn as the cells of main.ipynb draw theirs: 2, 3 or 4 weight
matrices of widths 2 to 5 (linear) or 2 to 9 (ReLU) for certificates, 2 or 3 of widths 2 to 4 for
polynomials; biases in half of the ReLU networks that are certified; NumPy's seed 0.  Their searches
draw points from the same stream in between: one for the rank of the brackets, another one where
`SECOND` names the network, and in linear networks one for the rank of the known laws.  Those points
are drawn here, too, so that the networks are theirs.  Their biases are those of hidden layers; here
the output has biases as well, up to nine variables more and no law.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import time
from importlib import import_module
from itertools import pairwise

ONE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}
os.environ.update(ONE)  # before any process imports NumPy; this one never does

MIB = 2**20 if sys.platform == "darwin" else 2**10
"""What ru_maxrss counts in, to a MiB."""
LIMIT = 60
"""Seconds after which another tool is stopped."""


def measured(case, *arguments, limit=None):
    """(what `case` returns, CPU seconds, peak MiB) in a process of its own; None past `limit`."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(there, case, arguments))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(limit) else None
    except EOFError:
        raise SystemExit(f"{case.__name__}{arguments} failed.") from None
    finally:
        process.kill()
        process.join()


def _run(pipe, case, arguments):
    peer = ["sympy"] if case.__name__.startswith("sympy") else []
    for module in ["faflow.symbolic.polynomials", "flint", *peer]:
        import_module(module)  # not what is measured
    began = time.process_time()
    found = case(*arguments)
    seconds = time.process_time() - began
    pipe.send((found, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB))


def processor():
    """What this machine calls its processor, and the version of Python."""
    named = [platform.processor() or platform.machine()]
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = [line.partition(":")[2] for line in file if "model name" in line] or named
    return f"{named[0].strip()}, Python {platform.python_version()}"


def table(title, columns, lines):
    """Print lines of text under their columns, numbers to the right, as they come."""
    print(f"\n{title}\n", flush=True)
    widths = [width for _, width in columns]
    show = lambda cells: print(
        "  ".join(
            f"{cell:<{-width}}" if width < 0 else f"{cell:>{width}}"
            for cell, width in zip(cells, widths, strict=True)
        ).rstrip(),
        flush=True,
    )
    show([name for name, _ in columns])
    show(["-" * abs(width) for width in widths])
    for line in lines:
        show(line)


def shown(sizes):
    return "-".join(map(str, sizes))


def costs(seconds, peak):
    return (f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}", f"{peak:.0f}")


# published

PUBLISHED = (
    # what, networks, (depths, widths), activation, seconds of wall time
    ("certify", 50, ((2, 5), (2, 6)), "linear", 34 * 60 + 23),
    ("certify", 50, ((2, 5), (2, 10)), "relu", 3600 + 53 * 60 + 11),
    ("discover", 10, ((2, 4), (2, 5)), "linear", 60 + 31),
    ("discover", 10, ((2, 4), (2, 5)), "relu", 44),
)
SECOND = (3, 13, 15, 30, 32, 33, 38, 48)
"""Linear networks, counted from 1, that their first attempt leaves open.

It takes brackets with the first three fields alone, which was found here by doing the same modulo
a prime; the second takes all, at another point.  ReLU networks need no brackets.
"""


def published(_):
    """The networks of Marcotte, Gribonval & Peyré, beside the times they publish."""

    def lines():
        for what, number, drawn, activation, theirs in PUBLISHED:
            found, seconds, peak = measured(published_case, what, number, drawn, activation)
            complete, largest = found
            name = {"certify": "certificates", "discover": "degree 2"}[what]
            wall = f"{theirs // 3600}:{theirs // 60 % 60:02}:{theirs % 60:02}"
            yield (
                f"{name}, {'ReLU' if activation == 'relu' else activation}",
                f"{complete} of {number}",
                largest,
                *costs(seconds, peak),
                wall,
                f"{theirs / seconds:,.0f}",
            )

    table(
        "Gradient descent on the networks of Marcotte, Gribonval & Peyré (2023)\n"
        "complete: certified; of degree 2, as many independent laws as the certificate says\n"
        "published: their wall time on 64 cores, quoted; ratio: that over the CPU seconds here",
        (
            ("", -22),
            ("complete", 9),
            ("largest D", 9),
            ("CPU s", 7),
            ("peak MiB", 8),
            ("published", 9),
            ("ratio", 7),
        ),
        lines(),
    )


def networks(what, number, drawn, activation):
    """(sizes, whether with biases) of each network, as main.ipynb draws it from NumPy's seed 0."""
    import numpy as np

    depths, widths = drawn
    stream = np.random.RandomState(0)
    for k in range(number):
        depth = stream.randint(*depths)
        sizes = tuple(int(stream.randint(*widths)) for _ in range(depth + 1))
        bias = activation == "relu" and what == "certify" and stream.random_sample() < 0.5
        entries = sum(m * n for m, n in pairwise(sizes)) + bias * sum(sizes[1:-1])
        linear = activation == "linear"
        points = 1 + linear + (linear and what == "certify" and k + 1 in SECOND)
        stream.random_sample(points * entries)
        yield sizes, bias


def published_case(what, number, drawn, activation):
    """(for how many networks all laws are known, the largest number of variables)."""
    import faflow as ff

    complete, largest = 0, 0
    for sizes, bias in networks(what, number, drawn, activation):
        if what == "certify":
            certificate = ff.certify(ff.GD, sizes, activation=activation, bias=bias)
            complete += certificate.complete
        else:
            laws = ff.discover(ff.GD, sizes, degree=2, activation=activation)
            certificate = ff.certify(ff.GD, sizes, activation=activation)
            complete += laws.independent == certificate.count
        largest = max(largest, certificate.dimension)
    return complete, largest


# certificates

CERTIFICATES = (
    *(("FA", (n,) * 3, "linear") for n in (4, 8, 16, 24, 32)),
    ("FA", (24,) * 4, "linear"),
    ("GD", (24,) * 4, "linear"),
    ("GD", (36,) * 4, "linear"),
    ("GD", (30,) * 5, "linear"),
    ("DFA", (36,) * 4, "linear"),
    ("KolenPollack", (24,) * 4, "linear"),
    ("FA", (48,) * 3, "relu"),
)
LARGE_CERTIFICATES = (("FA", (48,) * 3, "linear"), ("FA", (64,) * 3, "linear"))
BLOCKS = (
    ("FA", (100,) * 3, "linear"),
    ("FA", (200,) * 3, "linear"),
    ("DFA", (200,) * 4, "linear"),
    ("KolenPollack", (100,) * 4, "linear"),
    ("FA", (784, 100, 100, 10), "linear"),
)
LARGE_BLOCKS = (("GD", (300,) * 4, "linear"), ("FA", (500,) * 3, "linear"))
COLUMNS = (
    ("rule", -12),
    ("network", -14),
    ("", -6),
    ("D", 7),
    ("laws", 7),
    ("brackets", 8),
    ("", -10),
    ("CPU s", 7),
    ("peak MiB", 8),
)


def certificates(full):
    """Ranks taken at once, at a random point."""
    cases = CERTIFICATES + LARGE_CERTIFICATES * full
    title = "Certificates: D variables = independent laws + rank of the brackets"
    table(title, COLUMNS, map(certificate_line, cases, ["dense"] * len(cases)))


def blocks(full):
    """Ranks taken pair by pair of indices, at a diagonal point."""
    cases = BLOCKS + LARGE_BLOCKS * full
    title = "Certificates pair by pair of indices, for large linear networks"
    table(title, COLUMNS, map(certificate_line, cases, ["blocks"] * len(cases)))


def certificate_line(case, method):
    rule, sizes, activation = case
    found, seconds, peak = measured(certificate_case, rule, sizes, activation, method)
    dimension, laws, brackets, complete = found
    activation = "ReLU" if activation == "relu" else activation
    verdict = "complete" if complete else "OPEN"
    ranks = (f"{n:,}" for n in (dimension, laws, brackets))
    return (rule, shown(sizes), activation, *ranks, verdict, *costs(seconds, peak))


def certificate_case(rule, sizes, activation, method):
    import faflow as ff

    made = ff.certify(getattr(ff, rule), sizes, activation=activation, method=method)
    return made.dimension, made.law_rank, made.lie_rank, made.complete


# polynomials

POLYNOMIALS = (
    *(("GD", (n,) * 3, 2, "") for n in (4, 8, 12, 16)),
    ("FA", (12,) * 3, 2, "symbolic"),
    ("FA", (8,) * 3, 2, "numeric"),
    ("FA", (4,) * 3, 3, "symbolic"),
    ("GD", (1, 2, 2, 1), 8, ""),
)


def polynomials(_):
    """All polynomial laws up to a degree."""

    def lines():
        for rule, sizes, degree, feedback in POLYNOMIALS:
            found, *cost = measured(polynomial_case, rule, sizes, degree, feedback or "symbolic")
            variables, laws, independent, total = found
            counts = (variables, total, laws, independent)
            yield (rule, shown(sizes), degree, feedback, *counts, *costs(*cost))

    table(
        "All polynomial laws up to a degree, complete\n"
        "all: a basis of them; listed: those that are no polynomials of others and of the feedback",
        (
            ("rule", -5),
            ("network", -9),
            ("degree", 6),
            ("feedback", -8),
            ("variables", 9),
            ("all", 5),
            ("listed", 6),
            ("independent", 11),
            ("CPU s", 7),
            ("peak MiB", 8),
        ),
        lines(),
    )


def polynomial_case(rule, sizes, degree, feedback):
    import faflow as ff

    kind = getattr(ff, rule)
    laws = ff.discover(kind, sizes, degree=degree, feedback=feedback)
    variables = sum(m * n for m, n in kind().state(sizes).values())
    if feedback == "symbolic":
        variables += sum(m * n for m, n in kind.shapes(sizes))
    return variables, len(laws), laws.independent, laws.total


# words

DEPTHS = (2, 3, 4, 6, 12)
LAWS = (
    ("FA", "feedback_balance", "linear"),
    ("GD", "balance", "linear"),
    ("FA", "neuron_feedback_balance", "piecewise"),
)


def words(_):
    """All laws of a network by words, and by SymPy where its matrices can say them."""

    def lines():
        for rule, law, activation in LAWS:
            for depth in DEPTHS:
                ours = measured(words_case, rule, law, activation, depth)
                case = rule, law, activation, depth
                symbols = measured(sympy_symbols, *case, limit=LIMIT)
                entries = measured(sympy_entries, *case, limit=LIMIT)
                name = {"linear": "matrix", "piecewise": "neurons, ReLU"}[activation]
                times = map(milliseconds, (ours, symbols, entries))
                yield (rule, name, depth, depth - 1, *times)

    table(
        "All laws of one kind of a deep network, proved, in CPU milliseconds\n"
        "words, and SymPy's MatrixSymbol: for every size; SymPy's Matrix: width 2 alone\n"
        "open: SymPy does not see that a matrix and its transpose have the same diagonal",
        (
            ("rule", -5),
            ("laws", -13),
            ("layers", 6),
            ("number", 6),
            ("words", 9),
            ("MatrixSymbol", 12),
            ("Matrix", 9),
        ),
        lines(),
    )
    found, seconds, peak = measured(discover_case, 12)
    print(
        f"\nFinding the {found} laws of FA on 12 layers among all words of two letters, with their"
        f" proofs:\n{seconds:.2f} s, {peak:.0f} MiB."
    )


def milliseconds(answer):
    """CPU time of a proof; what went wrong instead of it."""
    if answer is None:
        return f"> {LIMIT} s"
    proved, seconds, _ = answer
    return f"{1000 * seconds:,.1f}" if proved else "open"


def words_case(rule, law, activation, depth):
    import faflow as ff

    rule, law = getattr(ff, rule), getattr(ff.laws, law)
    proofs = [ff.prove(law, rule, depth=depth, activation=activation, k=k) for k in hidden(depth)]
    return all(proofs)


def discover_case(depth):
    import faflow as ff

    return len(ff.discover(ff.FA, depth=depth))


def hidden(depth):
    return range(depth - 1)


def sympy_symbols(rule, law, activation, depth):
    """Whether SymPy's matrix expressions of symbolic sizes show that all rates are zero."""
    import sympy

    sympy.MatrixExpr.diagonal = lambda M: sympy.DiagonalOf(M)  # the name that laws use
    sizes = [sympy.Symbol(f"n{k}", integer=True, positive=True) for k in range(depth + 1)]
    gate = lambda name, n: sympy.DiagMatrix(sympy.MatrixSymbol(name, n, 1))
    for rate in sympy_rates(rule, law, activation, sizes, sympy.MatrixSymbol, gate):
        zero = sympy.ZeroMatrix(*rate.shape)
        settled = rate.doit().expand().doit()
        if settled != zero and sympy.simplify(settled) != zero:
            return False
    return True


def sympy_entries(rule, law, activation, depth):
    """The same with the entries of networks of width 2."""
    import sympy

    matrix = lambda name, *shape: sympy.ImmutableMatrix(sympy.MatrixSymbol(name, *shape))
    gate = lambda name, n: sympy.ImmutableMatrix(sympy.diag(*matrix(name, n, 1)))
    rates = sympy_rates(rule, law, activation, [2] * (depth + 1), matrix, gate)
    return all(rate.expand() == sympy.zeros(*rate.shape) for rate in rates)


def sympy_rates(rule, law, activation, sizes, matrix, gate):
    """Rates of the laws of all hidden layers, by our rule and law on SymPy's matrices."""
    import faflow as ff
    from faflow.matrices import Series
    from faflow.nets import any_loss, gated, linear, replaced

    kind, law = getattr(ff, rule), getattr(ff.laws, law)
    w = tuple(matrix(name, *shape) for name, shape in kind().state(sizes).items())
    B = tuple(matrix(f"B{k + 2}", *shape) for k, shape in enumerate(kind.shapes(sizes)))
    made = replaced(kind(), B=B)
    phi = linear
    if activation != "linear":
        phi = tuple(gated(gate(f"D{k + 1}", n)) for k, n in enumerate(sizes[1:-1]))
    X, E = matrix("X", sizes[0], 1), matrix("E", sizes[-1], 1)
    task = replaced(ff.Task([[0]], [[0]]), X=X, Y=E, phi=phi, loss=any_loss)
    moved = tuple(Series(W, V, order=1) for W, V in zip(w, made(task, w), strict=True))
    return [law(made, moved, k=k).coefficients[1] for k in hidden(len(w))]


def empty_case():
    return None


PARTS = {part.__name__: part for part in (published, certificates, blocks, polynomials, words)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--full", action="store_true", help="the largest cases, too")
    options = parser.parse_args()
    for name in options.parts:
        if name not in PARTS:
            parser.error(f"Unknown part {name!r}; choose from {', '.join(PARTS)}.")
    _, _, peak = measured(empty_case)
    print(f"one thread of {processor()}; {peak:.0f} MiB after imports")
    for name in options.parts or PARTS:
        PARTS[name](options.full)
    return 0


if __name__ == "__main__":
    sys.exit(main())
