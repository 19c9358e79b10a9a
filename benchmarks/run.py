"""All measurements, each in a process of its own, as one page of tables.

    python benchmarks/run.py [--to FILE.md] [--only NAME ...]

For an idle machine; it takes about a quarter of an hour.
"""

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {
    "late": "Late phases",
    "keep": "Conserved quantities",
    "kinks": "Kinks",
    "reduce": "Reductions",
    "latency": "First results",
    "growth": "Growth",
    "flows": "Single flows",
}
NOTE = """Ratios are medians of the turns' own,
not of the times beside them.  On accelerators: not measured."""
PACKAGES = "numpy", "scipy", "jax", "diffrax", "torch", "torchdiffeq"


def machine():
    """What it was measured on, in a line."""
    named = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    cores = "one core"
    return f"{named}, {cores}; Python {platform.python_version()}, {', '.join(found)}."


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FILE.md", help="write the page there, too")
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, default=list(SCRIPTS))
    asked = parser.parse_args()
    page = ["# Measured", "", f"{machine()}  Made by `make bench`.  {NOTE}", ""]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name in asked.only:
        more = [str(HERE / "growth.png")] if name == "growth" else []
        command = [sys.executable, str(HERE / f"{name}.py"), *more]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
        said = (HERE / f"{name}.py").read_text(encoding="utf-8").split('"""')[1].split("\n\n")
        about = "\n\n".join(part for part in said if not part.startswith("    "))
        text = out.stdout.strip() or "nothing"
        if out.returncode:
            text += f"\n\nIt ended with status {out.returncode}."
        part = [f"## {SCRIPTS[name]}", "", about.strip(), "", text, ""]
        print("\n".join(part), flush=True)
        page += part
        if asked.to:
            Path(asked.to).write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
