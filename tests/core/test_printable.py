"""Names and answers from outside are printed escaped: they can't begin a line, move the cursor, or hide text."""

from __future__ import annotations

import logging
import sys
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from core.commands import FnloaderCommand
from core.formatting import printable, text_table
from core.logs import ContextFilter, TextFormatter, log_context
from core.output import PrintableOutput
from tests.support.feeding import Feeding

EVIL = "s1\r\nERROR forged\x1b[2K\N{RIGHT-TO-LEFT OVERRIDE}gnp\N{LINE SEPARATOR}\udc80\x9b"


def is_one_plain_line(text: str) -> bool:
    return text.isprintable()


def output(message: str, **options: Any) -> str:  # noqa: ANN401
    out = StringIO()
    PrintableOutput(out).write(message, **options)
    return out.getvalue()


def test_one_write_is_one_line_whatever_it_holds() -> None:
    written = output(f"{EVIL}: loaded")
    assert written.count("\n") == 1
    assert is_one_plain_line(written[:-1])
    assert written.startswith("s1\\r\\nERROR forged\\x1b[2K\\u202egnp")


def test_our_own_line_breaks_survive() -> None:
    assert output("one line\n") == "one line\n"
    assert output("question? ", ending="") == "question? "
    out = StringIO()
    PrintableOutput(out).write_lines(["first", EVIL])
    assert out.getvalue().count("\n") == 2
    PrintableOutput(out).document.write("{\n}")
    assert out.getvalue().endswith("{\n}\n")


def test_a_line_from_outside_begins_no_line_not_even_an_indented_one() -> None:
    assert output("a\nb\n  c") == "a\\nb\\n  c\n"
    assert printable(EVIL).isprintable()
    assert all(is_one_plain_line(line) for line in text_table(("name",), [(EVIL,)]))


class Failing(FnloaderCommand):
    requires_system_checks = []

    def run(self, **_options: Any) -> int:  # noqa: ANN401
        self.stdout.write(EVIL)
        self.stderr.write(EVIL)
        return 0


def test_every_command_writes_so() -> None:
    out, err = StringIO(), StringIO()
    call_command(Failing(), stdout=out, stderr=err)
    assert (out.getvalue().count("\n"), err.getvalue().count("\n")) == (1, 1)


def test_a_record_of_the_log_is_one_line_and_a_traceback_is_indented() -> None:
    formatter = TextFormatter("{asctime} {levelname} {name}{context}: {message}", style="{")
    try:
        int(EVIL)
    except ValueError:
        with log_context(sample=EVIL):
            record = logging.LogRecord("fnloader.x", logging.ERROR, __file__, 1, "%s failed", (EVIL,), sys.exc_info())
            record.exc_text = "formatted by another handler\nERROR forged"
            ContextFilter().filter(record)
    first, *others = formatter.format(record).split("\n")
    assert is_one_plain_line(first)
    assert "sample=s1\\r\\n" in first
    assert others
    assert all(line.startswith("    ") and is_one_plain_line(line) for line in others)
    formatters: Any = settings.LOGGING["formatters"]
    assert formatters["text"]["()"] == "core.logs.TextFormatter"


@pytest.mark.parametrize("json", [False, True])
def test_a_file_with_such_a_name_can_not_forge_a_line_of_fnload(feeding: Feeding, json: bool) -> None:
    name = "in/s1\x1b[2K\n12:00:00 default: 1 inserted\u202e.fasta"
    feeding.put(name, b"\0\0")
    result = feeding.load(*(["--json"] if json else []))
    text = result.stdout + result.stderr
    assert "rejected" in text
    for line in text.splitlines():
        assert line.isprintable()
        assert not line.startswith("12:00:00")
