"""Calls of the findNeighbour4 stand-in, as its clients make them."""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from sandbox.clients import Fn4Sandbox

LENGTH = 40
GOOD = "ACGT" * 10
HTML = "<!doctype html>"


def get(box: Fn4Sandbox, what: str, timeout: float = 5) -> requests.Response:
    return requests.get(f"{box.url}/api/v2/{what}", timeout=timeout)


def insert(box: Fn4Sandbox, guid: str, seq: str = GOOD, timeout: float = 5) -> requests.Response:
    return requests.post(f"{box.url}/api/v2/insert", data={"guid": guid, "seq": seq}, timeout=timeout)


def exists(box: Fn4Sandbox, guid: str) -> bool:
    return bool(get(box, f"{guid}/exists").json())


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
