"""Standard output and error of commands: nothing in them but text, and nothing lost unsaid."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import TextIO

from django.core.management.base import OutputWrapper

from core.formatting import printable


class OutputClosed(KeyboardInterrupt):
    """Nobody reads the output any more, as after `| head`. It ends what runs as Ctrl-C does."""

    status = 128 + signal.SIGPIPE
    """As of a program that SIGPIPE ends."""


class Document(OutputWrapper):
    """For CSV and JSON, which have their own ways to escape: writes text as it is.

    A full disk behind it does not end a command, which may be loading: the last error is noted. A reader that has gone does, by
    OutputClosed.
    """

    _out: TextIO
    ends_its_command = True

    def __init__(self, out: TextIO, lost: list[OSError]) -> None:
        super().__init__(out)
        self.lost = lost

    def write(  # type: ignore[override]  # Django's differs from that of a file
        self, msg: str = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        """Writes it, with a line end if it has none."""
        self._try(lambda: super(Document, self).write(msg, style_func, ending))

    def flush(self) -> None:
        """Writes what is still held back."""
        self._try(super().flush)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self.lost[:] = [error]
            if isinstance(error, BrokenPipeError):
                self.discard()
                if self.ends_its_command:
                    raise OutputClosed from None

    def discard(self) -> None:
        """Writes nothing more, and so Python does not try it again at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._out.fileno())
        os.close(nowhere)


class PrintableOutput(Document):
    """For lines: names and answers from outside can't move the cursor, hide text, or begin a line.

    All that is not printable is escaped, line breaks too.
    """

    def __init__(self, out: TextIO, lost: list[OSError] | None = None) -> None:
        super().__init__(out, [] if lost is None else lost)

    def write(  # type: ignore[override]
        self, msg: str = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        """One line."""
        # Django writes the results of system checks, which are lines of ours, with a style.
        super().write(msg if style_func else printable(msg.removesuffix("\n")), style_func, ending)

    def write_lines(self, lines: Iterable[str]) -> None:
        """Several lines at once."""
        text = "\n".join(map(printable, lines))
        if text:
            super().write(text)

    @property
    def document(self) -> Document:
        """The same stream for CSV and JSON."""
        return Document(self._out, self.lost)
