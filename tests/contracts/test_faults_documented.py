"""docs/reliability.md: each fault names a test file that there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def faults() -> list[list[str]]:
    """The cells of each row of the table of faults."""
    section = (ROOT / "docs" / "reliability.md").read_text().partition("## Loading")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if "|" in line]
    return rows[2:]


def test_every_fault_says_what_is_done_and_names_its_test() -> None:
    assert len(faults()) > 30
    for fault, does, *_, test in faults():
        assert does, fault
        names = re.findall(r"`(tests/[\w/]+\.py)`", test)
        assert names, f"no test of: {fault}"
        for name in names:
            assert (ROOT / name).is_file(), f"{fault}: there is no {name}"


def test_every_status_of_a_server_and_every_kind_of_store_error_has_a_row() -> None:
    text = " ".join(fault for fault, *_ in faults())
    for word in ("3xx, 400, 401, 403, 404, 413, 501", "login page", "409", "502", "504", "503", "500", "201", "429"):
        assert word in text, word
    for word in (
        "listing broken off",
        "object deleted",
        "archived",
        "truncated or damaged",
        "file too large",
        "gzip",
        "SIGSTOP",
    ):
        assert word in text, word
