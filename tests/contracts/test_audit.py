"""Known vulnerabilities are looked for where the service answers: a finding fails CI, a service that is away does not."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess

import pytest

from tests.support.fork_server import ROOT
from tests.support.receiver import Receiver

FINDING = {
    "id": "PYSEC-0",
    "summary": "found by the stand-in",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
        }
    ],
}


def audit(url: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PIP_AUDIT_OSV_URL": url}
    # A test installs nothing.
    return subprocess.run(
        [ROOT / ".ci/audit", "-o", ".venv/installed"], env=environment, capture_output=True, text=True
    )


def test_every_package_that_a_site_runs_is_asked_for(receiver: Receiver) -> None:
    receiver.status, receiver.answer = 200, b"{}"
    result = audit(receiver.url)
    assert result.returncode == 0, result.stderr
    assert "No known vulnerabilities found" in result.stderr
    asked = {question["package"]["name"]: question["version"] for _, _, question in receiver.got}
    lock = re.findall(r"^([a-z0-9-]+)==(\S+)( ;)?", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    del asked["pip"]  # to find out whether the service answers
    assert {(name, version) for name, version, marker in lock if not marker} <= asked.items()
    assert asked.items() <= {(name, version) for name, version, _ in lock}


def test_a_finding_is_a_failure(receiver: Receiver) -> None:
    receiver.status, receiver.answer = 200, json.dumps({"vulns": [FINDING]}).encode()
    result = audit(receiver.url)
    assert result.returncode != 0
    assert "PYSEC-0" in result.stdout


@pytest.mark.parametrize(("status", "answer"), [(403, b""), (503, b"{}"), (200, b"<html>Log in first</html>")])
def test_a_service_that_is_away_is_said_and_no_failure(receiver: Receiver, status: int, answer: bytes) -> None:
    receiver.status, receiver.answer = status, answer
    result = audit(receiver.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert "were not audited" in result.stdout


def test_a_service_that_refuses_connections_is_said_and_no_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = audit(f"http://127.0.0.1:{port}/")
    assert (result.returncode, result.stderr) == (0, "")
    assert "were not audited" in result.stdout
