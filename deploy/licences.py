"""Prints name, version, licence and date of release of every package that a site runs (`make licences`).

The packages are those of requirements.txt. Licences are from what is installed, dates from uv's index: `?` without it.
`--write` puts the table into docs/dependencies.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/dependencies.md"
TABLE = re.compile(r"(\| package \| licence \| released \|\n\|[ |-]+\|\n)(?:\|.*\n)+")


def locked() -> dict[str, str]:
    """The version of each package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))


def licence(name: str) -> str:
    """As the package itself says: by an SPDX expression, its classifiers, or a line of text."""
    try:
        data = metadata(name)
    except PackageNotFoundError:  # only another system or Python needs it
        known = re.search(rf"^\| {name} \| (.+) \| \S+ \|$", DOCUMENT.read_text(), re.MULTILINE)
        return known[1] if known else "?"
    classifiers = [one.split(" :: ")[-1] for one in data.get_all("Classifier") or [] if one.startswith("License :: ")]
    named = ", ".join(one for one in classifiers if one != "OSI Approved")
    return data["License-Expression"] or named or (data["License"] or "?").partition("\n")[0][:60]


def dates() -> dict[str, str]:
    """The day on which each version was first uploaded."""
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--no-deps"]
    command += ["--format", "pylock.toml", "requirements.txt"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.stderr.write(f"No dates, the index does not answer:\n{found.stderr}")
    times = {}
    for package in tomllib.loads(found.stdout)["packages"] if not found.returncode else ():
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        days = [str(file["upload-time"])[:10] for file in files if "upload-time" in file]
        times[package["name"]] = min(days, default="?")
    return times


if __name__ == "__main__":
    released = dates()
    rows = [(name, version, licence(name), released.get(name, "?")) for name, version in locked().items()]
    sys.stdout.writelines(f"{name:26} {version:16} {day:11} {terms}\n" for name, version, terms, day in rows)
    if "--write" in sys.argv and released:
        lines = "".join(f"| {name} | {terms} | {day[:7]} |\n" for name, _, terms, day in rows)
        DOCUMENT.write_text(TABLE.sub(lambda match: match[1] + lines, DOCUMENT.read_text()))
