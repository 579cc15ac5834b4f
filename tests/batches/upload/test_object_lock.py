"""A bucket with Object Lock, a default retention and versions: what is uploaded, counted, reported and cleared."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox.faultproxy import FaultProxy
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]
NEEDS_CHECKSUM = {
    "method": "PUT",
    "without_header": "content-md5",
    "kind": "status",
    "status": 400,
    "code": "InvalidRequest",
    "message": "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
}
"""What AWS answers where SeaweedFS takes the object."""


@pytest.fixture
def locked(site: BatchSite, s3_proxy: FaultProxy) -> dict[str, str]:
    """The environment of a bucket with a default retention."""
    client, name = site.s3.client, f"locked-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retention = {"Mode": "COMPLIANCE", "Days": 1}
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=rule)
    s3_proxy.faults(NEEDS_CHECKSUM)
    return {**site.s3.environ(s3_proxy.endpoint), "BATCH_STORE_URL": f"s3://{name}"}


def test_a_batch_goes_through_a_bucket_with_object_lock(site: BatchSite, locked: dict[str, str]) -> None:
    bucket = locked["BATCH_STORE_URL"].removeprefix("s3://")
    site("batch", "add", "plc", str(site.files("plc", 4)))
    result = site("batch", "upload", "plc", **locked)
    assert result.returncode == 0, result.stderr + result.stdout
    keys = [site.key("plc", f"A.{n:05}") for n in range(1, 5)]
    retention = site.s3.client.get_object_retention(Bucket=bucket, Key=keys[0])["Retention"]
    assert retention["Mode"] == "COMPLIANCE"
    # The ingest deletes without a version: the object is under a delete marker, and gone for every listing.
    site.s3.delete(bucket, *keys[:3])
    assert site.ingstat("plc", **locked).returncode == 10
    assert (site.batch("plc")["ingest_oks"], site.batch("plc")["ingest_errs"]) == (3, 1)
    cleared = site("batch", "clear", "plc", "--yes", **locked)
    assert (cleared.returncode, "plc: 1 object deleted, of 1 record." in cleared.stdout) == (0, True), cleared.stderr
    assert site.s3.objects(bucket) == []
    versions = site.s3.client.list_object_versions(Bucket=bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (4, 4), "the retention keeps the versions"


def test_refusals_of_a_put_are_failures_of_one_cause_and_never_uncertain(site: BatchSite, s3_proxy: FaultProxy) -> None:
    site("batch", "add", "plc", str(site.files("plc", 12)))
    environment = site.s3.environ(s3_proxy.endpoint)
    codes = [
        (400, "RequestTimeout"),
        (400, "EntityTooLarge"),
        (409, "OperationAborted"),
        (413, ""),
        (400, "InvalidDigest"),
    ]
    s3_proxy.faults(
        *(
            {"method": "PUT", "kind": "status", "status": status, "code": code, "every": 1, "times": 2}
            | ({} if code else {"body": "<html>too large</html>"})
            for status, code in codes
        )
    )
    assert site("batch", "upload", "plc", **environment).returncode == 10
    assert site.batch("plc")["outcomes"]["upload"] == {"failure": 10, "success": 2}
    shown = site("batch", "show", "plc").stdout
    assert shown.count("2 records failure: s3://") == 5, shown
    s3_proxy.clear_faults()
    assert site("batch", "upload", "plc", **environment).returncode == 0
