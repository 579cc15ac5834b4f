"""Reads `.env` as editors, shells and Windows write it; what can't be read is named by its line, never shown."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

_LINE_END = re.compile(r"\r\n|\r|\n")
_SETTING = re.compile(r"(?:export\s+)?([A-Za-z0-9_]+)\s*=\s*(.*)", re.DOTALL)
_COMMENT = re.compile(r"\s#.*", re.DOTALL)
_QUOTED = re.compile(r"""(?:'(?P<raw>[^']*)'|"(?P<escaped>(?:\\.|[^"\\])*)")\s*(?:#.*)?""", re.DOTALL)
_QUOTES = "'\"\N{LEFT SINGLE QUOTATION MARK}\N{LEFT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass
class DotEnv:
    """The settings of a file, the last of a name, and the numbers of lines that are wrong."""

    values: dict[str, str] = field(default_factory=dict)
    wrong_lines: list[int] = field(default_factory=list)


def parse(content: bytes) -> DotEnv:
    """Never raises."""
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    # A byte that is not UTF-8 makes one line wrong, not all.
    text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "replace")
    result = DotEnv()
    for number, line in enumerate(_LINE_END.split(text), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        setting = _SETTING.fullmatch(stripped)
        value = _value(setting[2]) if setting else None
        if setting is None or value is None:
            result.wrong_lines.append(number)
        else:
            result.values[setting[1]] = value
    return result


def _value(text: str) -> str | None:
    """The value without quotes and comment; None if it is not a value."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return None
    if not text.startswith(tuple(_QUOTES)):
        return _COMMENT.sub("", f" {text}").strip()
    quoted = _QUOTED.fullmatch(text)
    if not quoted:
        return None
    if quoted["raw"] is not None:
        return quoted["raw"]
    # `\n` and such stay two characters.
    return re.sub(r"\\([^rnt])", r"\1", quoted["escaped"])
