"""Deployment: units, image and compose file match the project, and stop it gracefully."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from loader.fn4.insert import QUESTION_SECONDS
from tests.support.fork_server import ROOT

UNITS = sorted((ROOT / "deploy").glob("*.service"))
STOP_SECONDS = settings.FN4_INSERT_DEADLINE + QUESTION_SECONDS
"""An insert in flight ends, and the server is asked about it."""


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_tells_only_its_first_process_and_lets_an_insert_end(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["KillMode"] == "mixed", "only the first process gets the signal, and stops its workers"
    assert service["Restart"] == "always"
    if "web" not in path.stem:
        assert int(service["TimeoutStopSec"]) > STOP_SECONDS
    assert service["ExecStart"].startswith("/opt/fnloader/.venv/bin/")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(path: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    program = unit(path)["Service"]["ExecStart"].split()[0]
    copy = tmp_path / path.name.replace("@", "@tb")
    copy.write_text(path.read_text().replace(program, "/bin/true").replace("User=fnloader", "User=root"))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_image_holds_every_app_and_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert all((ROOT / name).exists() for name in names)
    assert {"fnloader_site", "objectstores", "batches", "loader", "templates", "static"} <= set(names)
    assert {".env", ".git", ".venv"} <= set((ROOT / ".dockerignore").read_text().split())
    assert re.search(r"^USER fnloader$", text, re.MULTILINE)


def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml, with what they take from its anchors."""
    parsed: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return parsed


def test_compose_runs_one_migration_before_all_else() -> None:
    ours = {name: one for name, one in services().items() if one.get("build")}
    assert set(ours) == {"migrate", "web", "jobs"}
    assert ours["migrate"]["command"] == ["python", "manage.py", "migrate"]
    assert ours["migrate"]["restart"] == "no"
    assert ours["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("web", "jobs"):
        assert ours[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for one in ours.values():
        for other in one["depends_on"].keys() - {"migrate"}:
            assert "healthcheck" in services()[other], "without one it never gets healthy"


def test_compose_gives_an_insert_time_to_end() -> None:
    for name in ("web", "jobs"):
        grace = services()[name]["stop_grace_period"]
        assert grace.endswith("s")
        assert int(grace[:-1]) > STOP_SECONDS


def test_compose_takes_secrets_from_outside_and_every_service_the_same_database() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"(SECRET_KEY|PASSWORD): +[^$ \n]", text)
    password = "${POSTGRES_PASSWORD:?set it in .env}"
    assert services()["postgres"]["environment"]["POSTGRES_PASSWORD"] == password
    for one in services().values():
        if one.get("build"):
            assert one["environment"]["DATABASE_URL"] == f"postgres://fnloader:{password}@postgres/fnloader"
            assert one["env_file"] == "fnloader.env"


def test_gunicorn_accepts_its_settings() -> None:
    result = subprocess.run(
        [ROOT / ".venv/bin/gunicorn", "--check-config", "-c", "gunicorn.conf.py"],
        cwd=ROOT,
        env={"SECRET_KEY": "x" * 50, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
