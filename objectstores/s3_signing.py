"""S3 credentials, the endpoint of the bucket, and signatures (AWS Signature Version 4).

boto3 finds the credentials (and renews them), the endpoint, the region, and the addressing style. The signature itself is a
few lines of our own: botocore's takes 12 times as long, about as long as the whole exchange of a small object.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from time import gmtime, strftime
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from botocore.config import Config

from objectstores.aws_session import CHECK_ENDPOINT, SET_CREDENTIALS, aws_session, ca_bundle, translated_errors
from objectstores.base import Misconfigured

_AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?(:\d+)?/?$")


class Credentials(Protocol):
    """What botocore calls frozen credentials: a consistent set, valid now."""

    access_key: str
    secret_key: str
    token: str | None


class S3Access:
    """Access to one bucket: `root` is scheme and host of its URL, `path` what precedes a key (quoted, ends with `/`)."""

    def __init__(self, bucket: str, settings: Mapping[str, str]) -> None:
        with translated_errors(f"s3://{bucket}"):
            session = aws_session(settings)
            self._credentials = session.get_credentials()
            if self._credentials is None:
                raise Misconfigured(f"no AWS credentials found; {SET_CREDENTIALS}")
            self.ca_bundle = ca_bundle(session, settings)
            endpoint = settings.get("AWS_ENDPOINT_URL_S3") or settings.get("AWS_ENDPOINT_URL") or None
            client = session.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4"))
            if _AMAZON.search(client.meta.endpoint_url):
                # Without this it signs for the global endpoint, which redirects clients of many buckets.
                virtual = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
                client = session.client("s3", endpoint_url=endpoint, config=virtual)
            # botocore knows the rules of hosts, paths, regions and partitions.
            url = urlsplit(client.generate_presigned_url("list_objects_v2", {"Bucket": bucket}))
        if "@" in url.netloc:
            raise Misconfigured(f"s3://{bucket}: the endpoint URL has a user name or a password; {CHECK_ENDPOINT}")
        self.root = f"{url.scheme}://{url.netloc}"
        self.host = url.netloc
        self.path = url.path.rstrip("/") + "/"
        self.region = parse_qs(url.query)["X-Amz-Credential"][0].split("/")[-3]

    def sign(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        """The headers to send: the given ones (lower case) and the signature, with credentials that are valid now.

        `path` and `query` are quoted for S3 (all but letters, digits, `-_.~`, and `/` in the path), the query sorted.
        The content is signed too, so that a store never accepts a damaged one.
        """
        with translated_errors(self.root):
            credentials: Credentials = self._credentials.get_frozen_credentials()
        now = strftime("%Y%m%dT%H%M%SZ", gmtime())
        signed = {
            **headers,
            "host": self.host,
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            "x-amz-date": now,
        }
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        lines = [f"{name}:{signed[name]}" for name in names]
        request = "\n".join(
            [method, path, query, *lines, "", ";".join(names), signed["x-amz-content-sha256"]],
        )
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
        signature = hmac.digest(
            _signing_key(credentials.secret_key, now[:8], self.region), text.encode(), "sha256"
        ).hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
