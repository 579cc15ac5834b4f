"""What the settings read, and what is installed, stands in the documentation."""

from __future__ import annotations

import re

from tests.support.fork_server import ROOT


def test_every_variable_that_is_read_is_documented() -> None:
    text = (ROOT / "fnloader_site/settings.py").read_text()
    names = re.findall(r'(?:env\.\w+|_database)\(\s*"([A-Z0-9_]+)"', text)
    read = {name.rstrip("_") for name in names if not name.startswith("E_")}
    assert {"DATABASE_URL", "SITE_URL", "FN4_INSERT_DEADLINE"} <= read
    documented = (ROOT / "docs/settings.md").read_text()
    assert {name for name in read if f"`{name}" not in documented} == set()


def test_every_direct_requirement_is_explained() -> None:
    explained = (ROOT / "docs/dependencies.md").read_text()
    for path in ROOT.glob("requirements*.in"):
        for line in path.read_text().splitlines():
            name = re.split(r"[\[=<>~ ]", line)[0]
            if name and not line.startswith(("#", "-r")):
                assert re.search(rf"^\| [^|]*\b{re.escape(name)}\b", explained, re.MULTILINE), name
