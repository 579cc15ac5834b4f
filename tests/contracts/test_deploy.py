"""What runs the site elsewhere: units, image and compose file name what is there, and stop it in order."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fork_server import ROOT

UNITS = sorted((ROOT / "deploy").glob("*.service"))


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_valid_and_lets_an_insert_end(path: Path, tmp_path: Path) -> None:
    service = unit(path)["Service"]
    assert service["KillMode"] == "mixed", "only the first process is told: it tells its workers"
    assert service["Restart"] == "always"
    if "web" not in path.stem:
        assert int(service["TimeoutStopSec"]) > 150
    program = service["ExecStart"].split()[0]
    assert program.startswith("/opt/fnloader/.venv/bin/")
    if shutil.which("systemd-analyze"):
        here = tmp_path / path.name.replace("@", "@tb")
        text = path.read_text().replace(program, "/bin/true").replace("User=fnloader", "User=root")
        here.write_text(text)
        told = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (0, "")


def test_the_image_holds_every_app_and_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert all((ROOT / name).exists() for name in names)
    assert {"fnloader_site", "objectstores", "batches", "loader", "templates", "static"} <= set(names)
    assert {".env", ".git", ".venv"} <= set((ROOT / ".dockerignore").read_text().split())
    assert re.search(r"^USER fnloader$", text, re.MULTILINE)


def config(folder: Path) -> subprocess.CompletedProcess[str]:
    """What docker-compose makes of the compose file beside the settings of the folder."""
    (folder / "compose.yaml").write_bytes((ROOT / "compose.yaml").read_bytes())
    (folder / "fnloader.env").write_text("SECRET_KEY=hidden\nSITE_URL=https://fnloader.example\n")
    command = ["docker-compose", "-f", "compose.yaml", "config"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_compose_runs_one_migration_before_all_else_and_gives_an_insert_time_to_end(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert re.search(r"stop_grace_period: (\d+)s", text)
    assert "service_completed_successfully" in text
    assert not re.search(r"(SECRET_KEY|PASSWORD): +[^$ \n]", text), "secrets come from outside"
    if shutil.which("docker-compose"):
        assert "set it in .env" in config(tmp_path).stderr
        (tmp_path / ".env").write_text("POSTGRES_PASSWORD=secret\n")
        told = config(tmp_path)
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.count("postgres://fnloader:secret@postgres/fnloader") == 3


def test_gunicorn_accepts_its_settings() -> None:
    told = subprocess.run(
        [ROOT / ".venv/bin/gunicorn", "--check-config", "-c", "gunicorn.conf.py"],
        cwd=ROOT,
        env={"SECRET_KEY": "x" * 50, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
