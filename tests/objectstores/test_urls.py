"""Which URL opens which store, and what a process pays for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from objectstores import Misconfigured, open_store
from sandbox.clients import OciSandbox
from sandbox.s3 import S3Sandbox

AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-2"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fast-import-bucket",
        "http://fast-import-bucket",
        "s3:fast-import-bucket",
        "s3://",
        "s3:///prefix",
        "s3://-bucket",
        "s3://user:pass@bucket",
        "oci://FN4-queue",
        "oci://@namespace",
        "oci://FN4-queue@",
        "file://host/folder",
        "file:relative",
        "file://",
    ],
)
def test_a_wrong_url_is_named_with_the_right_forms(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        open_store(url, AWS)
    assert repr(url.replace("user:pass", "***")) in str(caught.value)
    assert "s3://bucket[/prefix], oci://bucket@namespace[/prefix], file:///folder" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "canonical"),
    [("s3://bucket", "s3://bucket"), ("s3://bucket/", "s3://bucket"), ("s3://bucket/a/b c/", "s3://bucket/a/b c/")],
)
def test_a_url_is_kept_in_one_form(url: str, canonical: str) -> None:
    store = open_store(url, AWS)
    assert store.url == canonical
    assert store.describe().startswith("S3 bucket bucket ")
    store.close()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "ü #1? 100%"
    folder.mkdir()
    store = open_store(folder.as_uri())
    store.write("one", b"1")
    assert (folder / "one").read_bytes() == b"1"
    assert store.url == folder.as_uri()
    assert open_store(f"file://{tmp_path}/ü #1? 100%25").url == folder.as_uri()


@pytest.mark.parametrize("path", ["", "/queue", "/queue/below", "/link-in", "/not-there-yet"])
def test_a_folder_in_one_that_the_setting_names_is_a_store(tmp_path: Path, path: str) -> None:
    (tmp_path / "queue" / "below").mkdir(parents=True)
    (tmp_path / "link-in").symlink_to(tmp_path / "queue")
    open_store(tmp_path.as_uri() + path, {"FILE_STORES": f"/nowhere:{tmp_path}"})


@pytest.mark.parametrize(
    "path", ["/", "/queue2", "/queue/../queue2", "/queue/%2e%2e/queue2", "/queue/out", "/queue/out/x", "/loop"]
)
def test_any_other_folder_is_refused_with_the_name_of_the_setting(tmp_path: Path, path: str) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue2").mkdir()
    (tmp_path / "queue" / "out").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    url = tmp_path.as_uri() + path
    for folders in ("", f"{tmp_path}/queue", f":{tmp_path}/queue:"):
        with pytest.raises(Misconfigured) as caught:
            open_store(url, {"FILE_STORES": folders})
        assert repr(url.replace("user:pass", "***")) in str(caught.value)
        assert "FILE_STORES=/data/queue" in str(caught.value)


def _imported(code: str, environ: Mapping[str, str]) -> set[str]:
    """The SDKs among the modules that a process has imported after the code."""
    report = "import sys; print(*(name for name in ('boto3', 'botocore', 'oci', 'django', 'tenacity') if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env={"PATH": "/usr/bin:/bin", **environ},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split())


def test_opening_a_store_imports_no_sdk_but_its_own(tmp_path: Path, s3: S3Sandbox, oci: OciSandbox) -> None:
    open_one = "from objectstores import open_store; open_store({!r})".format
    assert _imported("import objectstores", {}) == set()
    assert _imported(open_one(tmp_path.as_uri()), {"FILE_STORES": str(tmp_path)}) == set()
    assert _imported(open_one("s3://bucket"), s3.environ()) == {"boto3", "botocore", "tenacity"}
    assert _imported(open_one(oci.url("queue")), oci.environ()) == {"oci", "tenacity"}
