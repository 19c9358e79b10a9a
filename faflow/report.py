"""The report of a verification: a table of claims, and a page with figures for each."""

import re
import shutil
from datetime import datetime
from pathlib import Path

from .verify import body, brief, shown


def write_report(folder, claims, broken, seconds):
    """Write index.html, one page a claim and their figures into `folder`.

    Pages and figures of an earlier report there are removed first.  Needs jinja2, matplotlib.
    """
    from . import __version__
    from .extras import needs

    jinja2 = needs("jinja2", "verify")
    folder = Path(folder)
    for part in ("claims", "figures"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
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
    rows = []
    for claim in claims:
        name = re.sub(r"\W+", "-", f"{Path(claim.trial.file).stem}-{claim.trial.title}").strip("-")
        figures = {}
        for trial in (claim.trial, *claim.controls):
            figures[trial.name] = _drawn(folder, name, trial)
        page = f"claims/{name}.html"
        text = pages.get_template("claim.html").render(claim=claim, figures=figures)
        (folder / page).write_text(text)
        rows.append((claim, page))
    text = pages.get_template("index.html").render(rows=rows, broken=broken, seconds=seconds)
    (folder / "index.html").write_text(text)


def _drawn(folder, name, trial):
    made = []
    for number, (figure, caption) in enumerate(trial.figures):
        path = f"figures/{name}-{re.sub(r'[^a-z0-9]+', '-', trial.name)}-{number + 1}.png"
        figure.savefig(folder / path, dpi=144, bbox_inches="tight")
        made.append((path, caption))
    return made
