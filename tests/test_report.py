"""The report as a reader meets it, in a browser where there is one."""

import json
import re
import shutil
import subprocess

import pytest

from faflow.mathematics import in_line, rendered
from faflow.verify import verify

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
CLAIMS = r'''"""A paper of 2020, with $x$ in its title.

More of it.
"""
import faflow as ff
from faflow import laws
from faflow.plot import panels
from faflow.testing import GradientInstead

def claim_law(check):
    r"""The law $\tfrac12\|W\|_F^2 < \infty$ is kept.

    $$ \frac{d}{dt} \operatorname{tr}(W W^\top) = 0 $$

    Assumes: linear layers & $n \ge 2$.
    Proves: the statement.
    Source: nobody.
    Class: derived
    """
    check.proved(ff.prove(laws.feedback_balance, ff.FA))

def control_law_gradient_descent(check):
    """The errors return through $W^\top$."""
    check.proved(ff.prove(laws.feedback_balance, GradientInstead))

def claim_small(check):
    """It is small."""
    check.at_most("x", 1, 2, fall=10)
    fig, ax = panels()
    ax.plot([1, 2], label="a line")
    check.figure(fig, "A line with $y = x$.")

def claim_step(check):
    """A step of it is proved.

    Proves: a step.
    """
    check.proved(ff.prove(laws.feedback_balance, ff.FA))
    check.at_most("x", 1, 2, fall=10)

def control_step_broken(check):
    check.at_most("x", 20, 2, fall=10)

def control_small_broken(check):
    check.at_most("x", 20, 2, fall=10)

def claim_wrong(check):
    """It is not <b>so</b>."""
    check.at_most("x", 3, 2, fall=10)

def control_wrong_broken(check):
    check.at_most("x", 20, 2, fall=10)
'''


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "paper.py").write_text(CLAIMS)
    verify([folder / "paper.py"], report=folder / "report")
    return folder / "report"


def test_a_formula_becomes_mathml_and_the_rest_is_escaped():
    made = rendered("If $a < b$ & <c>\n\n$$ x^2 $$\n\ncosts 5 dollars")
    assert re.search(r"If <math[^>]*inline.*&#x0003C;.*</math> &amp; &lt;c&gt;", made)
    assert re.search(r"<p><math[^>]*display=\"block\"", made)
    assert made.count("<p>") == 3
    assert "<p>" not in in_line("$x$ is")


@pytest.mark.parametrize("text", ["a single $ sign", "$5 or\n\n$6", "nothing"])
def test_a_dollar_that_begins_no_formula_stays(text):
    assert "<math" not in rendered(text)
    assert text.split("$")[0] in rendered(text)


def test_a_formula_that_cannot_be_converted_stays_latex():
    assert "<code>$x^2^3$</code>" in rendered("$x^2^3$")


def test_the_statement_is_drawn_with_its_assumptions_and_source(report):
    text = (report / "claims" / "paper-law.html").read_text()
    assert text.count("<math") >= 4
    assert "Assumes: linear layers &amp; <math" in text
    assert "Source: nobody." in text
    assert "\\tfrac" not in text


def test_the_report_asks_the_network_for_nothing(report):
    for page in report.rglob("*.html"):
        text = page.read_text().replace("http://www.w3.org/1998/Math/MathML", "")
        assert "http" not in text
        assert "<script" not in text


def test_the_numbers_lie_beside_the_report(report):
    whole = json.loads((report / "report.json").read_text())
    kinds = {c["claim"]["name"]: c["verdict"] for c in whole["claims"]}
    assert kinds == {
        "claim_law": "proved",
        "claim_step": "proved in part",
        "claim_small": "measured",
        "claim_wrong": "failed",
    }
    assert whole["claims"][0]["paper"] == "A paper of 2020, with $x$ in its title."
    assert whole["claims"][0]["assumes"] == "linear layers & $n \\ge 2$."
    assert whole["tier"] == "quick"


SCRIPT = """
<pre id="seen"></pre><script>
const shown = (what) => [...document.querySelectorAll(what)].filter((e) => e.offsetParent).length;
const seen = {};
for (const name of ["all", "proved", "proved-in-part", "measured", "failed"]) {
  document.querySelector(`label[for=only-${name}]`).click();
  const rows = [...document.querySelectorAll("tr.claim")];
  seen[name] = rows.filter((row) => row.offsetParent).map((row) => row.id);
  seen[name + " sections"] = shown("section");
}
document.querySelector("label[for=only-all]").click();
seen.drawn = document.querySelector("math mfrac").getBoundingClientRect().height;
seen.wide = document.documentElement.scrollWidth <= window.innerWidth;
document.getElementById("seen").textContent = JSON.stringify(seen);
</script>
"""


def browsed(page, folder, width=1300):
    """What Chromium makes of a page, and what it complains of."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={folder}/profile"]
    command += ["--enable-logging=stderr", f"--window-size={width},900", "--dump-dom"]
    done = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1300, 500])  # 500 is the least that headless Chromium takes
def test_a_browser_shows_a_row_a_claim_and_its_filters_work(report, tmp_path, width):
    page = report / f"with-script-{width}.html"
    page.write_text(
        (report / "index.html")
        .read_text()
        .replace('loading="lazy"', "")
        .replace("</body>", f"{SCRIPT}</body>")
    )
    try:
        dom, complaints = browsed(page, tmp_path, width)
    finally:
        page.unlink()
    seen = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', dom).group(1))
    assert seen["all"] == ["paper-law", "paper-small", "paper-step", "paper-wrong"]
    assert seen["proved"] == ["paper-law"]
    assert seen["proved-in-part"] == ["paper-step"]
    assert seen["measured"] == ["paper-small"]
    assert seen["failed"] == ["paper-wrong"]
    assert seen["all sections"] == 1
    assert seen["drawn"] > 10  # the height of a fraction, in pixels
    assert seen["wide"]
    assert complaints == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("page", ["index.html", "claims/paper-law.html", "claims/paper-small.html"])
def test_a_browser_complains_of_no_page(report, tmp_path, page):
    dom, complaints = browsed(report / page, tmp_path)
    assert "<h1>" in dom
    assert complaints == []
