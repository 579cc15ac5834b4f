"""Faults on demand: rules that say which requests go wrong, and how."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("status", "page", "redirect", "reset", "hang", "delay", "truncate", "corrupt", "drip")
WHENS = ("before", "during", "after")


class WrongRuleError(ValueError):
    """An invalid rule, for the reason in the text."""


@dataclass(slots=True)
class Rule:
    """One fault.

    Which requests: `method`, `path` (a part of the path and query as sent), `name_prefix` (of the object or guid),
    `without_header` (lower case: only those that lack it); the first `after` of them pass, then one in `every` of them fails,
    `times` times in all (None: until cleared).

    What happens: `status` (with `code`, `message`, or a whole `body` of `content_type`), `page` (200 and a login page),
    `redirect` (302), `reset`, `hang` (for `seconds`, then a reset; None: forever), `delay` (`seconds`, then the true
    answer), `truncate` (half of the body), `corrupt` (as many bytes, some of them wrong), `drip` (a byte of the body every
    `seconds`).

    `when`, for the kinds that replace the answer: `before` (the request does nothing), `during` (it fails at once, but
    the server still does the work) or `after` (the work is done, only the answer is lost).
    """

    kind: str
    method: str = ""
    path: str = ""
    name_prefix: str = ""
    without_header: str = ""
    when: str = "before"
    status: int = 503
    code: str = ""
    message: str = "a fault on demand"
    body: str | None = None
    content_type: str = "text/html; charset=utf-8"
    seconds: float | None = None
    times: int | None = None
    after: int = 0
    every: int = 1
    seen: int = 0
    done: int = 0

    def hits(self, method: str, target: str, name: str, headers: Mapping[str, str]) -> bool:
        """Whether this request is one that goes wrong; counts it."""
        if self.without_header and self.without_header in headers:
            return False
        if self.method not in ("", method) or self.path not in target or not name.startswith(self.name_prefix):
            return False
        if self.times is not None and self.done >= self.times:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after - 1) % self.every:
            return False
        self.done += 1
        return True


def read_rules(data: Any) -> list[Rule]:  # noqa: ANN401 - what came as JSON can be anything
    """Rules from JSON: a list of objects, or one. WrongRuleError for an unknown field or kind."""
    names = {field.name for field in dataclasses.fields(Rule)} - {"seen", "done"}
    rules = []
    for item in data if isinstance(data, list) else [data]:
        if not isinstance(item, dict) or set(item) - names or item.get("kind") not in KINDS:
            raise WrongRuleError(f"a rule has a kind of {', '.join(KINDS)} and may have {', '.join(sorted(names))}")
        rule = Rule(**item)
        if rule.when not in WHENS or rule.every < 1:
            raise WrongRuleError(f"when is one of {', '.join(WHENS)}, and every is at least 1")
        rules.append(rule)
    return rules


def corrupted(body: bytes) -> bytes:
    """As many bytes, one in the middle of them and the last one changed."""
    wrong = bytearray(body)
    for at in {len(wrong) // 2, len(wrong) - 1} if wrong else ():
        wrong[at] ^= 0x01
    return bytes(wrong)
