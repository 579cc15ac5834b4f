"""One event of the ingest log as a line: what it is, of which request, in each spelling that Lambda and logging libraries use.

Text of Lambda (`[LEVEL]`, time, request and text, separated by tabs), JSON of Lambda and of Powertools, lines with the prefix of
any other library or with none, and lines of the platform itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from objectstores.answers import from_json

KEY_PREFIX = "Object key: "
BATCH_PREFIX = "Decoded batch: "
MAX_MESSAGE_LENGTH = 1000
MAX_DETAIL_LENGTH = 4000
MAX_PREFIX_LENGTH = 500
MAX_JSON_LENGTH = 1_000_000
"""CloudWatch has no longer events."""
TRACEBACK = "Traceback (most recent call last)"

_ERROR_LEVELS = frozenset({"ERROR", "CRITICAL", "FATAL", "SEVERE"})
_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|SEVERE"
_YEAR = 365 * 86_400_000
"""In milliseconds."""
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PREFIX = re.compile(
    rf"""[\s\[(<|:,;-]*+(?:
    (?P<level>{_LEVELS})\b
    |(?<=[\[\s])(?P<small>(?i:{_LEVELS}))\s*(?=\])
    |(?P<request>{_UUID})\b
    |\d{{4}}[-/]\d\d[-/]\d\d(?:[T\ ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?
    |\d\d:\d\d:\d\d(?:[.,]\d+)?
    |(?i:(?:aws|lambda|function)?[_ ]?request[_ ]?id)\s*[:=]
    |[\w.]+(?=\ -\ )
    |(?<=:)[\w.]+(?=:(?!\s))
    |(?<=\[)[\w.]+(?=\])
    |[\w.<>]+:[\w.<>]+:\d+(?=\ -\ )
    )[\s\])>|:,;-]*""",
    re.VERBOSE,
)
_LOGFMT = re.compile(r"""(?:^|\s)(\w+)=("(?:[^"\\]|\\.)*"|\S+)""")
_BARE_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*)?(?:Error|Exception|Exit|Timeout|Fault|Interrupt)(?::\s|$)|(?:[a-z_]\w*\.)+[A-Z]\w*: "
)
_PLATFORM = re.compile(r"(?:INIT_\w+|RESTORE_\w+|EXTENSION|LOGS|TELEMETRY|XRAY|REPORT)\s")
_START_OR_END = re.compile(rf"(?P<what>START|END) RequestId: (?P<request>{_UUID})")
# Of the platform, which knows the request.
_TIMED_OUT = re.compile(rf"\S+ (?P<request>{_UUID}) (?P<text>Task timed out after .*)")
_DIED = re.compile(rf"RequestId: (?P<request>{_UUID}) Error: (?P<text>.*)")

_REQUEST_FIELDS = (
    "requestId",
    "function_request_id",
    "aws_request_id",
    "awsRequestId",
    "AWSRequestId",
    "lambda_request_id",
    "request_id",
)
_TEXT_FIELDS = ("message", "msg", "event", "text", "log")
_LEVEL_FIELDS = ("level", "log_level", "levelname", "severity", "log.level")


class LineKind(Enum):
    """What a line says."""

    KEY = "the ingest begins an object"
    BATCH = "the batch of that object"
    ERROR = "an exception"
    START = "the platform begins a request"
    END = "the platform ends a request"
    OTHER = "anything else, in a known spelling"


class LogLine(NamedTuple):
    """One line of the log."""

    kind: LineKind
    request: str = ""
    """Empty: it does not say."""
    text: str = ""
    """The key, the id of the batch, or the text of the exception with its trace."""
    is_bare: bool = False
    """Without any prefix: it may continue the line before."""


def parse_line(message: str) -> LogLine | None:
    """The line of an event; None if its spelling is not known."""
    parts = message.split("\t", 3)
    if len(parts) == 4 and parts[0].startswith("["):
        return _line(parts[3], parts[2].strip(), parts[0].strip("[] "))
    text = message.strip()
    if text.startswith("{"):
        return _json_line(text, "", "")
    if match := _START_OR_END.match(text):
        return LogLine(LineKind[match["what"]], match["request"])
    if match := _TIMED_OUT.match(text) or _DIED.match(text):
        return LogLine(LineKind.ERROR, match["request"], match["text"])
    if _PLATFORM.match(text):
        return LogLine(LineKind.OTHER)
    return _free_line(message.rstrip())


def _line(text: str, request: str, level: str, *, is_bare: bool = False) -> LogLine:
    stripped = text.strip()
    if stripped.startswith("{") and (line := _json_line(stripped, request, level)):
        return line
    if stripped.startswith(KEY_PREFIX):
        return LogLine(LineKind.KEY, request, stripped[len(KEY_PREFIX) :].strip(), is_bare)
    if stripped.startswith(BATCH_PREFIX):
        return LogLine(LineKind.BATCH, request, stripped[len(BATCH_PREFIX) :].strip(), is_bare)
    if level.upper() in _ERROR_LEVELS or TRACEBACK in text or (not level and _BARE_EXCEPTION.match(stripped)):
        return LogLine(LineKind.ERROR, request, text, is_bare)
    return LogLine(LineKind.OTHER, request, is_bare=is_bare)


def _free_line(text: str) -> LogLine | None:
    """A line with the prefix of some library, or with none."""
    start, level, request = 0, "", ""
    while match := _PREFIX.match(text, start):
        found = match["level"] or match["small"]
        if found and level:
            break
        level, request, start = level or found or "", request or match["request"] or "", match.end()
    if not level and not start and (fields := dict(_LOGFMT.findall(text))):
        values: dict[str, Any] = {name: value.strip('"').replace('\\"', '"') for name, value in fields.items()}
        if line := _fields_line(values, "", ""):
            return line
    if level.upper() not in _ERROR_LEVELS:
        # A library may have put more before a text that is known.
        for known in (KEY_PREFIX, BATCH_PREFIX):
            start = max(start, text.find(known, start, start + MAX_PREFIX_LENGTH))
    rest = text[start:]
    if level or request or (start and rest.startswith((KEY_PREFIX, BATCH_PREFIX, "{"))):
        return _line(rest, request, level)
    if not text[:1].isspace():
        line = _line(text, "", "", is_bare=True)
        if line.kind is not LineKind.OTHER:
            return line
        if text.startswith("Decoded "):
            return line
    return None


def _json_line(text: str, request: str, level: str) -> LogLine | None:
    try:
        fields = from_json(text) if len(text) <= MAX_JSON_LENGTH else None
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    if str(fields.get("type", "")).startswith("platform."):
        return _platform_line(fields)
    return _fields_line(fields, request, level)


def _platform_line(fields: Mapping[str, Any]) -> LogLine:
    record = fields.get("record")
    record = record if isinstance(record, dict) else {}
    request, status = str(record.get("requestId", "")), record.get("status")
    if fields["type"] == "platform.start":
        return LogLine(LineKind.START, request)
    if fields["type"] == "platform.runtimeDone" and status == "success":
        return LogLine(LineKind.END, request)
    if fields["type"] == "platform.report" and status == "timeout":
        metrics = record.get("metrics")
        duration = metrics.get("durationMs") if isinstance(metrics, dict) else None
        after = (
            f" after {duration / 1000:.2f} seconds"
            if isinstance(duration, int | float) and 0 <= duration < _YEAR
            else ""
        )
        return LogLine(LineKind.ERROR, request, f"Task timed out{after}")
    if fields["type"] == "platform.report" and str(record.get("errorType")).startswith("Runtime."):
        return LogLine(LineKind.ERROR, request, str(record["errorType"]))
    return LogLine(LineKind.OTHER, request)


def _fields_line(fields: Mapping[str, Any], request: str, level: str) -> LogLine | None:
    """A line of JSON, or of anything else with names and values; None if none of the names is known."""
    level = _first(fields, _LEVEL_FIELDS) or level
    request = _first(fields, _REQUEST_FIELDS) or request
    text = _first(fields, _TEXT_FIELDS)
    if exception := _exception(fields):
        return LogLine(LineKind.ERROR, request, f"{text}\n{exception}" if TRACEBACK in exception else exception)
    if not text:
        return None
    return _line(text, request, level)


def _exception(fields: Mapping[str, Any]) -> str:
    """The exception in the fields of Lambda (errorType, errorMessage, stackTrace) or of Powertools and others (exception)."""
    for name in ("exception", "exc_info", "exc_text", "traceback"):
        if isinstance(trace := fields.get(name), str) and trace.strip():
            return trace
    message, kind = _first(fields, ("errorMessage", "error_message")), _first(fields, ("errorType", "exception_name"))
    if not message and not kind:
        return ""
    lines = [f"{kind}: {message}" if kind and message else kind or message]
    stack = fields.get("stackTrace")
    if isinstance(stack, list):
        lines += [f"{TRACEBACK}:", *(f"  {str(frame).strip()}" for frame in stack)]
    return "\n".join(lines)


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):
            value = "; ".join(f"{key}: {item}" for key, item in value.items())
        if isinstance(value, str) and value.strip():
            return value
    return ""


def own_line(text: str) -> str | None:
    """The own line of the last exception of a traceback; None if it has not come yet, or there is no traceback.

    Python writes it after the frames, which are indented.
    """
    trace = text.rpartition(TRACEBACK)
    if not trace[1]:
        return None
    frames = trace[2].splitlines()[1:]
    return next((line for line in frames if line.strip() and not line[0].isspace()), None)


def split_exception(text: str) -> tuple[str, str | None]:
    """The message of an exception, in one line of bounded length, and its trace, if it has one."""
    before = text.partition(TRACEBACK)[0] if TRACEBACK in text else ""
    # Lambda itself writes the message before the trace.
    lines = [line for line in (before or text).splitlines() if line.strip()]
    message = own_line(text) or (lines[-1 if TRACEBACK in text else 0] if lines else "")
    detail = (
        "\n".join(clean(line) for line in text.strip().splitlines()) if len(text.strip().splitlines()) > 1 else None
    )
    message = clean(message).strip().removeprefix("[ERROR]").strip().removeprefix("Exception: ")
    return message[:MAX_MESSAGE_LENGTH].strip(), detail and detail[-MAX_DETAIL_LENGTH:]


def clean(text: str) -> str:
    """One line without unprintable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
