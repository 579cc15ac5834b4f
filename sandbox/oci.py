"""A stand-in of OCI Object Storage: its native REST API (domain.md 3), every request's signature verified."""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import re
import secrets
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sandbox.http import RawRequest, Response
from sandbox.objects import FIELDS, PAGE_SIZE, ListQuery, MemoryBucket, StoredVersion, http_date, md5_text, new_object
from sandbox.service import ControlError, Service, add_arguments, run
from sandbox.signatures import REGION, TENANCY, Keys, NotAuthenticatedError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_JSON = "application/json"


class OciApiError(Exception):
    """An error answer: its status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Oci(Service):
    """The API over buckets in memory. `read_delay` and `list_delay` (seconds) come before each object and page."""

    name = "oci"

    def __init__(self, namespace: str, buckets: list[str], keys: Keys) -> None:
        super().__init__()
        self.namespace = namespace
        self.buckets = {name: MemoryBucket(name) for name in buckets}
        self.keys = keys
        self.read_delay = 0.0
        self.list_delay = 0.0
        self._requests = itertools.count(1)
        self._run = secrets.token_hex(8).upper()
        self.controls |= {
            "POST objects": self._seed,
            "GET objects": self._show,
            "DELETE objects": self._remove,
            "POST buckets": self._add_bucket,
            "DELETE buckets": self._remove_bucket,
        }

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """`read_delay` and `list_delay`, in seconds."""
        if name not in {"read_delay", "list_delay"}:
            super().set(name, value)
        setattr(self, name, float(value))

    def name_of(self, request: RawRequest) -> str:
        """The object that a request is about."""
        return unquote("/".join(request.path.split("/")[6:]))

    def stats(self) -> dict[str, Any]:
        """How many objects there are in each bucket, beside what every service counts."""
        return {**super().stats(), "objects": {name: len(bucket) for name, bucket in self.buckets.items()}}

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as the API words it."""
        response = Response(status, json.dumps({"code": code, "message": message}).encode(), {"content-type": _JSON})
        self._number(response)
        return response

    def answer(self, request: RawRequest) -> Response | Awaitable[Response]:
        """The answer to one request, after the delay that is set for its kind."""
        parts = request.path.split("/")
        on_object = len(parts) > 6
        delay = self.read_delay if on_object else self.list_delay
        if delay and request.method == "GET":
            return self._answer_late(delay, request, parts)
        return self._answer_now(request, parts)

    async def _answer_late(self, delay: float, request: RawRequest, parts: list[str]) -> Response:
        await asyncio.sleep(delay)
        return self._answer_now(request, parts)

    def _answer_now(self, request: RawRequest, parts: list[str]) -> Response:
        try:
            self._authenticate(request, on_object=len(parts) > 6)
            response = self._route(request, parts)
        except OciApiError as error:
            return self.error(error.status, error.code, str(error))
        self._number(response)
        if "opc-client-request-id" in request.headers:
            response.headers["opc-client-request-id"] = request.headers["opc-client-request-id"]
        return response

    def _number(self, response: Response) -> None:
        response.headers["opc-request-id"] = f"sandbox:{self._run}/{next(self._requests):032X}"

    def _authenticate(self, request: RawRequest, *, on_object: bool) -> None:
        signs_body = request.method in {"POST", "PUT", "PATCH"} and not (request.method == "PUT" and on_object)
        try:
            self.keys.check(request, body_is_signed=signs_body)
        except NotAuthenticatedError as error:
            raise OciApiError(401, "NotAuthenticated", str(error)) from None

    def _route(self, request: RawRequest, parts: list[str]) -> Response:
        match parts:
            case ["", "n"] | ["", "n", ""] if request.method == "GET":
                return Response(200, json.dumps(self.namespace).encode(), {"content-type": _JSON})
            case ["", "n", namespace, "b", bucket] | ["", "n", namespace, "b", bucket, ""]:
                return self._on_bucket(request, self._bucket(namespace, bucket))
            case ["", "n", namespace, "b", bucket, "o"] | ["", "n", namespace, "b", bucket, "o", ""]:
                return self._list(request, self._bucket(namespace, bucket))
            case ["", "n", namespace, "b", bucket, "o", *name]:
                request.name = _decoded("/".join(name))
                return self._on_object(request, self._bucket(namespace, bucket))
        raise OciApiError(404, "NotFound", f"The stand-in has no {request.method} {request.path}")

    def _bucket(self, namespace: str, name: str) -> MemoryBucket:
        if _decoded(namespace) != self.namespace:
            raise OciApiError(
                404, "NamespaceNotFound", f"You do not have authorization for the namespace '{namespace}'"
            )
        bucket = self.buckets.get(_decoded(name))
        if bucket is None:
            raise OciApiError(
                404,
                "BucketNotFound",
                f"Either the bucket named '{_decoded(name)}' does not exist in the namespace '{self.namespace}' "
                "or you are not authorized to access it",
            )
        return bucket

    def _on_bucket(self, request: RawRequest, bucket: MemoryBucket) -> Response:
        _allow(request, "GET", "HEAD")
        data = {
            "namespace": self.namespace,
            "name": bucket.name,
            "compartmentId": TENANCY,
            "etag": bucket.etag,
            "timeCreated": bucket.created,
            "publicAccessType": "NoPublicAccess",
            "storageTier": "Standard",
            "versioning": "Disabled",
        }
        return Response(200, json.dumps(data).encode(), {"content-type": _JSON, "etag": bucket.etag})

    def _list(self, request: RawRequest, bucket: MemoryBucket) -> Response:
        _allow(request, "GET")
        return Response(200, bucket.page(_read_query(request.query())), {"content-type": _JSON})

    def _on_object(self, request: RawRequest, bucket: MemoryBucket) -> Response:
        _allow(request, "GET", "HEAD", "PUT", "DELETE")
        if request.method == "PUT":
            return self._put(request, bucket)
        stored = bucket.get(request.name)
        if stored is None:
            raise OciApiError(
                404, "ObjectNotFound", f"The object '{request.name}' was not found in the bucket '{bucket.name}'"
            )
        _check_match(request, stored)
        if request.method == "DELETE":
            bucket.delete(request.name)
            return Response(204)
        if request.headers.get("if-none-match") == stored.etag:
            return Response(304, b"", {"etag": stored.etag})
        if request.method == "GET" and stored.archival in {"Archived", "Restoring"}:
            raise OciApiError(
                409, "NotRestored", f"The object '{request.name}' is archived and has to be restored first"
            )
        return _whole_or_range(request, stored)

    def _put(self, request: RawRequest, bucket: MemoryBucket) -> Response:
        there = bucket.get(request.name)
        if request.headers.get("if-none-match") == "*" and there:
            raise OciApiError(412, "IfNoneMatchFailed", f"The object '{request.name}' already exists")
        if "if-match" in request.headers:
            if there is None:
                raise OciApiError(404, "ObjectNotFound", f"The object '{request.name}' was not found")
            _check_match(request, there)
        if not request.name or len(request.name.encode()) > 1024:
            raise OciApiError(400, "InvalidObjectName", "An object name has 1 to 1024 bytes")
        stored = new_object(
            bytes(request.body), content_type=request.headers.get("content-type", "application/octet-stream")
        )
        if request.headers.get("content-md5", stored.md5) != stored.md5:
            raise OciApiError(400, "UnmatchedContentMD5", "The computed MD5 of the request body does not match")
        bucket.put(request.name, stored)
        headers = {
            "etag": stored.etag,
            "opc-content-md5": stored.md5 or "",
            "last-modified": http_date(stored.modified),
        }
        return Response(200, b"", headers)

    def _bucket_named(self, name: str) -> MemoryBucket:
        if name not in self.buckets:
            raise ControlError(f"there is no bucket {name}")
        return self.buckets[name]

    def _seed(self, request: RawRequest) -> int:
        data = json.loads(request.body)
        if "synthetic" in data:
            self.buckets[data["bucket"]] = MemoryBucket(data["bucket"], int(data["synthetic"]))
        bucket = self._bucket_named(data["bucket"])
        bucket.put_many({item["name"]: _seeded(item) for item in data.get("objects", [])})
        return len(bucket)

    def _show(self, request: RawRequest) -> dict[str, Any]:
        query = request.query()
        bucket = self._bucket_named(query["bucket"])
        stored = bucket.get(query["name"])
        if stored is None:
            raise ControlError(f"there is no object {query['name']}")
        return {**bucket.rows([query["name"]], tuple(FIELDS))[0], "base64": base64.b64encode(stored.content).decode()}

    def _remove(self, request: RawRequest) -> bool:
        query = request.query()
        return self._bucket_named(query["bucket"]).delete(query["name"])

    def _add_bucket(self, request: RawRequest) -> None:
        name = json.loads(request.body)["bucket"]
        self.buckets.setdefault(name, MemoryBucket(name))

    def _remove_bucket(self, request: RawRequest) -> bool:
        return self.buckets.pop(request.query()["bucket"], None) is not None


def _allow(request: RawRequest, *methods: str) -> None:
    if request.method not in methods:
        raise OciApiError(405, "MethodNotAllowed", f"The stand-in has no {request.method} {request.path}")


def _check_match(request: RawRequest, stored: StoredVersion) -> None:
    if request.headers.get("if-match", stored.etag) not in (stored.etag, "*"):
        raise OciApiError(
            412, "IfMatchFailed", f"The If-Match header does not match the entity tag of '{request.name}'"
        )


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise OciApiError(400, "InvalidParameter", "A name is not UTF-8") from None


def _read_query(query: dict[str, str]) -> ListQuery:
    fields = tuple(field for field in query.get("fields", "name").split(",") if field)
    limit = query.get("limit", str(PAGE_SIZE))
    if wrong := set(fields) - {"name", *FIELDS}:
        raise OciApiError(400, "InvalidParameter", f"The fields parameter names {', '.join(sorted(wrong))}")
    if not limit.isdecimal() or int(limit) < 1:
        raise OciApiError(400, "InvalidParameter", "The limit must be at least 1")
    if query.get("delimiter", "") not in ("", "/"):
        raise OciApiError(400, "InvalidParameter", "The only delimiter is /")
    return ListQuery(
        prefix=query.get("prefix", ""),
        start=query.get("start", ""),
        start_after=query.get("startAfter"),
        end=query.get("end"),
        delimiter=query.get("delimiter", ""),
        limit=min(int(limit), PAGE_SIZE),
        fields=tuple(field for field in fields if field != "name"),
    )


def _whole_or_range(request: RawRequest, stored: StoredVersion) -> Response:
    headers = {
        "content-type": stored.content_type,
        "etag": stored.etag,
        "last-modified": http_date(stored.modified),
        "accept-ranges": "bytes",
        "storage-tier": stored.tier,
    }
    if stored.archival:
        headers["archival-state"] = stored.archival
    wanted = _RANGE.match(request.headers.get("range", ""))
    if not wanted or wanted.groups() == ("", ""):
        if stored.md5:
            headers["opc-multipart-md5" if "-" in stored.md5 else "content-md5"] = stored.md5
        return Response(200, stored.content, headers)
    size = len(stored.content)
    first, last = wanted.groups()
    begin = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if begin > end:
        raise OciApiError(416, "InvalidRange", f"The range is not within the {size} bytes of the object")
    headers["content-range"] = f"bytes {begin}-{end}/{size}"
    return Response(206, stored.content[begin : end + 1], headers)


def _seeded(item: dict[str, Any]) -> StoredVersion:
    content = base64.b64decode(item["base64"]) if "base64" in item else str(item.get("text", "")).encode()
    stored = new_object(content, created=item.get("created"))
    if "md5" in item:
        stored.md5 = item["md5"]
    if "parts" in item:
        # What was uploaded in parts has no MD5 of its content, but one of its parts' MD5s, and their number.
        stored.md5 = f"{md5_text(base64.b64decode(stored.md5 or ''))}-{item['parts']}"
    if "etag" in item:
        stored.etag = item["etag"]
    if item.get("archived"):
        stored.tier, stored.archival = "Archive", "Archived"
    return stored


def main(arguments: list[str]) -> int:
    """Run the stand-in from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox oci", description=f"{__doc__} For tests and demos only.")
    add_arguments(parser)
    parser.add_argument("--namespace", default="sandboxns", help="Object Storage namespace (default: %(default)s)")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to begin with; may be repeated")
    parser.add_argument("--read-delay", type=float, default=0.0, help="seconds before each object that is read")
    parser.add_argument("--list-delay", type=float, default=0.0, help="seconds before each page of a listing")
    parser.add_argument("--synthetic", metavar="BUCKET=N", action="append", default=[], help="a bucket of N objects")
    parser.add_argument(
        "--folder",
        type=Path,
        help="for the SDK's config and keys; keys found there are used again (default: a temporary one)",
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-oci-")))
        keys = Keys(folder)
        config_file = keys.write_config()
        service = Oci(options.namespace, options.bucket, keys)
        service.read_delay, service.list_delay = options.read_delay, options.list_delay
        for text in options.synthetic:
            name, _, count = text.partition("=")
            service.buckets[name] = MemoryBucket(name, int(count))
        facts = {
            "config_file": str(config_file),
            "profile": "DEFAULT",
            "token_profile": "TOKEN",
            "namespace": options.namespace,
            "buckets": sorted(service.buckets),
            "region": REGION,
        }
        return run(service, options.port, follow_stdin=options.follow_stdin, facts=facts)
