"""The report of a verification: a table of claims, and a page with figures for each."""

import re
from datetime import datetime
from pathlib import Path

from .check import shown
from .claims import body, brief


def write_report(folder, claims, broken, seconds):
    """Write index.html, one page a claim and their figures into `folder`.

    What an earlier report wrote there is removed first, and nothing else: its files are listed in
    .faflow-report.  Needs jinja2, matplotlib.
    """
    from . import __version__
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
        loader=jinja2.PackageLoader("faflow"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    pages.filters["body"] = body
    pages.filters["shown"] = shown
    pages.filters["brief"] = brief
    pages.globals |= {
        "version": __version__,
        "when": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }
    rows, written, names = [], [], _names(claims)
    for claim, name in zip(claims, names, strict=True):
        figures = {}
        for number, trial in enumerate((claim.trial, *claim.controls)):
            figures[trial.name] = _drawn(folder, f"{name}-{number}", trial)
            written += [path for path, _ in figures[trial.name]]
        page = f"claims/{name}.html"
        text = pages.get_template("claim.html").render(claim=claim, figures=figures)
        (folder / page).write_text(text, encoding="utf-8")
        rows.append((claim, page))
        written.append(page)
    text = pages.get_template("index.html").render(rows=rows, broken=broken, seconds=seconds)
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
    made = []
    for number, (figure, caption) in enumerate(trial.figures):
        path = f"figures/{name}-{number + 1}.png"
        figure.savefig(folder / path, dpi=144, bbox_inches="tight")
        made.append((path, caption))
    return made
