"""Settings of a `.env`: values that an environment takes, and lines that are wrong, whatever the file holds."""

from __future__ import annotations

import re

from core.stored_text import storable
from fnloader_site.dotenv import parse

NAME = re.compile(r"[A-Za-z0-9_]+")


def check(data: bytes) -> None:
    found = parse(data)
    assert all(NAME.fullmatch(name) for name in found.values)
    assert all(storable(value) == value for value in found.values.values())
    assert found.wrong_lines == sorted(set(found.wrong_lines))
    if all(value == value.strip() and not re.search(r"""['"\\\r\n]""", value) for value in found.values.values()):
        written = "".join(f'{name}="{value}"\r\n' for name, value in found.values.items())
        assert parse(written.encode()).values == found.values
