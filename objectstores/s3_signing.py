"""Who we are for S3, where the bucket is, and the signature of a request (AWS Signature Version 4).

boto3 finds the credentials (and renews them), the endpoint, the region, and how the bucket is addressed. The signature
itself is a few lines of our own: botocore's takes 12 times as long, about as long as a small object's whole exchange.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from time import gmtime, strftime
from typing import Protocol
from urllib.parse import SplitResult, parse_qs, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, MetadataRetrievalError
from botocore.exceptions import ConnectionError as NoConnectionError

from objectstores.base import Misconfigured, Unavailable

_WAY_OUT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?(:\d+)?/?$")


class Credentials(Protocol):
    """What botocore calls frozen credentials: one consistent set, valid now."""

    access_key: str
    secret_key: str
    token: str | None


class Access:
    """The way to one bucket: `root` is its URL's host part, `path` what stands before a key (quoted, ends with `/`)."""

    def __init__(self, bucket: str, settings: Mapping[str, str]) -> None:
        with explained(f"s3://{bucket}"):
            core = botocore.session.get_session()
            session = _session(core, settings)
            self._credentials = session.get_credentials()
            if self._credentials is None:
                raise Misconfigured(f"s3://{bucket}: no AWS credentials were found; {_WAY_OUT}")
            self.ca_bundle: str | None = core.get_config_variable("ca_bundle") or settings.get("REQUESTS_CA_BUNDLE")
            url = _presigned(bucket, session, settings)
        self.root = f"{url.scheme}://{url.netloc}"
        self.host = url.netloc
        self.path = url.path.rstrip("/") + "/"
        self.region = parse_qs(url.query)["X-Amz-Credential"][0].split("/")[-3]

    def sign(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        """The headers to send: those given (lower case) and the signature, with credentials that are valid now.

        `path` and `query` are quoted as S3 wants them (all but letters, digits, `-_.~`, and `/` in the path), the
        query in order. The content is signed too, so that a store never keeps a damaged one.
        """
        with explained(self.root):
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
        signature = hmac.digest(_key(credentials.secret_key, now[:8], self.region), text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what botocore raises while it looks for credentials and settings into a StoreError that names `what`."""
    try:
        yield
    except (NoConnectionError, HTTPClientError, MetadataRetrievalError) as error:
        raise Unavailable(f"{what}: the source of the AWS credentials does not answer: {error}") from error
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Misconfigured(f"{what}: {error}; {_WAY_OUT}") from error


def _session(core: botocore.session.Session, settings: Mapping[str, str]) -> boto3.session.Session:
    region = settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION")
    if settings is os.environ:
        return boto3.session.Session(botocore_session=core, region_name=region)
    if settings.get("AWS_ACCESS_KEY_ID"):
        return boto3.session.Session(
            botocore_session=core,
            region_name=region,
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=settings.get("AWS_SESSION_TOKEN"),
        )
    return boto3.session.Session(botocore_session=core, region_name=region, profile_name=settings.get("AWS_PROFILE"))


def _presigned(bucket: str, session: boto3.session.Session, settings: Mapping[str, str]) -> SplitResult:
    """A URL that botocore has signed: it knows the rules of hosts, paths, regions and partitions."""
    endpoint = settings.get("AWS_ENDPOINT_URL_S3") or settings.get("AWS_ENDPOINT_URL") or None
    client = session.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4"))
    if _AMAZON.search(client.meta.endpoint_url):
        # Without this it signs for the global endpoint, which sends many buckets' clients elsewhere.
        virtual = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
        client = session.client("s3", endpoint_url=endpoint, config=virtual)
    url: str = client.generate_presigned_url("list_objects_v2", {"Bucket": bucket})
    return urlsplit(url)


@lru_cache(maxsize=8)
def _key(secret: str, day: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
