"""The report of a verification: a table of claims, and a page with figures for each."""

import re
from itertools import groupby
from pathlib import Path

from .check import seen
from .claims import body, brief
from .mathematics import in_line, rendered


def write_report(folder, claims, whole):
    """Write index.html, one page a claim and their figures into `folder`.

    whole: the `summary` of the verification.

    What an earlier report wrote there is removed first, and nothing else: its files are listed in
    .faflow-report.  Needs jinja2, matplotlib.
    """
    from .extras import needs

    jinja2 = needs("jinja2", "verify")
    folder = Path(folder)
    for part in ("claims", "figures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    listed = folder / ".faflow-report"
    for old in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
        if re.fullmatch(r"(claims|figures)/[\w.-]+\.(html|png)", old):
            (folder / old).unlink(missing_ok=True)
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("faflow"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"seen": seen, "brief": brief, "rendered": rendered, "in_line": in_line}
    pages.filters |= {"body": body, "first": lambda text: body(text).split("\n\n")[0]}
    pages.globals["whole"] = whole
    rows, written, names = [], [], _names(claims)
    for claim, name in zip(claims, names, strict=True):
        figures = {}
        for number, trial in enumerate((claim.trial, *claim.controls)):
            figures[trial.name] = _drawn(folder, f"{name}-{number}", trial)
            written += [path for path, _ in figures[trial.name]]
        page = f"claims/{name}.html"
        text = pages.get_template("claim.html").render(claim=claim, figures=figures, name=name)
        (folder / page).write_text(text, encoding="utf-8")
        pictures = [path for trial in figures.values() for path, _ in trial]
        rows.append((claim, name, pictures[:1]))
        written.append(page)
    papers = [
        (title, list(group)) for title, group in groupby(rows, lambda row: row[0].trial.paper)
    ]
    text = pages.get_template("index.html").render(papers=papers, rows=rows)
    (folder / "index.html").write_text(text, encoding="utf-8")
    listed.write_text("\n".join(written), encoding="utf-8")


def _names(claims):
    """A name for each claim's page, no two alike."""
    names = []
    for claim in claims:
        name = re.sub(r"\W+", "-", f"{Path(claim.trial.file).stem}-{claim.trial.title}").strip("-")
        while name.lower() in map(str.lower, names):
            name += "-"
        names.append(name)
    return names


def _drawn(folder, name, trial):
    """Write the figures of one claim or control; returns (path, caption) of each."""
    made = []
    for number, (drawn, caption) in enumerate(trial.figures):
        path = f"figures/{name}-{number + 1}.png"
        (folder / path).write_bytes(drawn)
        made.append((path, caption))
    return made
