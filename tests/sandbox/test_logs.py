"""The stand-in of CloudWatch Logs, as boto3 and the command line see it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.ingest import Ingest
from sandbox.process import ROOT
from tests.sandbox.test_ingest import fill
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from sandbox.logs import LogsSandbox
    from sandbox.s3 import S3Sandbox


@pytest.fixture
def client(logs: LogsSandbox) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    return boto3.client("logs", endpoint_url=logs.endpoint, config=Config(retries={"total_max_attempts": 1}))


def events(client: Any, group: str, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - boto3
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **arguments)
    return [event for page in pages for event in page["events"]]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_events_of_all_streams_come_by_time_in_pages_some_of_them_empty(
    client: Any,  # noqa: ANN401 - boto3
    logs: LogsSandbox,
    log_group: str,
) -> None:
    logs.put(log_group, [(f"s{n % 3}", 1000 + (n * 37) % 100, f"m{n}") for n in range(250)])
    logs.set(largest_page=20, empty_every=2)
    found = events(client, log_group)
    assert [one["timestamp"] for one in found] == sorted(1000 + (n * 37) % 100 for n in range(250))
    assert {one["message"] for one in found} == {f"m{n}" for n in range(250)}
    assert len({one["eventId"] for one in found}) == 250
    assert logs.calls("FilterLogEvents") >= 25
    some = events(client, log_group, startTime=1010, endTime=1020, logStreamNames=["s1"])
    assert {(one["logStreamName"], 1010 <= one["timestamp"] <= 1020) for one in some} == {("s1", True)}


def test_events_of_one_moment_stay_in_their_order(client: Any, logs: LogsSandbox, log_group: str) -> None:  # noqa: ANN401
    logs.put(log_group, [("s", 5, f"m{n}") for n in range(30)])
    assert [one["message"] for one in events(client, log_group)] == [f"m{n}" for n in range(30)]


def test_what_is_put_is_found(client: Any, log_group: str) -> None:  # noqa: ANN401 - boto3
    with pytest.raises(ClientError) as error:
        client.put_log_events(logGroupName=log_group, logStreamName="s", logEvents=[{"timestamp": 1, "message": "x"}])
    assert code(error) == "ResourceNotFoundException"
    client.create_log_stream(logGroupName=log_group, logStreamName="s")
    client.put_log_events(logGroupName=log_group, logStreamName="s", logEvents=[{"timestamp": 1, "message": "x"}])
    (one,) = events(client, log_group)
    assert (one["logStreamName"], one["timestamp"], one["message"]) == ("s", 1, "x")


def test_what_is_wrong_is_refused_in_the_words_of_the_api(client: Any, logs: LogsSandbox, log_group: str) -> None:  # noqa: ANN401
    for arguments, refused in (
        ({"logGroupName": "/none"}, "ResourceNotFoundException"),
        ({"logGroupName": log_group, "nextToken": "no"}, "InvalidParameterException"),
        ({"logGroupName": log_group, "filterPattern": "x"}, "InvalidParameterException"),
    ):
        with pytest.raises(ClientError) as error:
            client.filter_log_events(**arguments)
        assert code(error) == refused
    target = {"x-amz-target": "Logs_20140328.FilterLogEvents"}
    answer = requests.post(logs.endpoint, data="{}", headers=target, timeout=5)
    assert (answer.status_code, answer.json()["__type"]) == (400, "MissingAuthenticationTokenException")
    logs.faults({"kind": "status", "status": 400, "code": "ThrottlingException", "times": 1})
    with pytest.raises(ClientError) as error:
        events(client, log_group)
    assert code(error) == "ThrottlingException"
    assert events(client, log_group) == []


def test_the_ingest_writes_what_it_does_with_each_object(
    client: Any,  # noqa: ANN401 - boto3
    s3: S3Sandbox,
    bucket: str,
    logs: LogsSandbox,
    log_group: str,
) -> None:
    keys = fill(s3, bucket, 20)
    with Ingest(s3.environ() | logs.environ(), bucket, rate=2000, fail_every=5, log_group=log_group):
        wait_until(lambda: len(s3.objects(bucket)) == 4)
        wait_until(lambda: sum("Object key: " in one["message"] for one in events(client, log_group)) == 20)
    messages = [one["message"] for one in events(client, log_group)]
    assert all(any(key.replace("=", "%3D") in message for message in messages) for key in keys)
    assert sum(message.startswith("[ERROR]\t") for message in messages) == 4


def test_it_starts_alone_from_the_command_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "logs", "--group", "/g"], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        assert (ready["service"], ready["groups"]) == ("logs", ["/g"])
        assert requests.get(ready["endpoint"] + "/sandbox/stats", timeout=5).status_code == 200
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


def test_pages_can_be_mixed_and_tokens_can_come_again_or_never_end(
    client: Any,  # noqa: ANN401 - boto3
    logs: LogsSandbox,
    log_group: str,
) -> None:
    logs.put(log_group, [("s", n, f"m{n}") for n in range(30)])
    logs.set(largest_page=10, mixed=1)
    assert [one["timestamp"] for one in events(client, log_group)] == [*range(10, 20), *range(10), *range(20, 30)]
    logs.set(mixed=0, tokens="same")
    pages, token = [], ""
    for _ in range(4):
        page = client.filter_log_events(logGroupName=log_group, **({"nextToken": token} if token else {}))
        pages.append((len(page["events"]), page["nextToken"] == token))
        token = page["nextToken"]
    assert pages == [(10, False), (10, False), (10, True), (10, True)]
    logs.set(tokens="round")
    first = client.filter_log_events(logGroupName=log_group, nextToken=token)["nextToken"]
    again = client.filter_log_events(logGroupName=log_group, nextToken=first)
    assert [one["timestamp"] for one in again["events"]] == [*range(10)]
    logs.set(tokens="endless")
    page = client.filter_log_events(logGroupName=log_group, startTime=1000)
    for _ in range(3):
        seen = page["nextToken"]
        page = client.filter_log_events(logGroupName=log_group, nextToken=seen, startTime=1000)
        assert (page["events"], page["nextToken"] == seen) == ([], False)


def test_a_signature_for_another_region_is_refused(logs: LogsSandbox, log_group: str) -> None:
    elsewhere = boto3.client("logs", endpoint_url=logs.endpoint, region_name="eu-west-1")
    with pytest.raises(ClientError) as error:
        events(elsewhere, log_group)
    assert code(error) == "InvalidSignatureException"


def test_the_ingest_writes_its_log_in_other_spellings(
    client: Any,  # noqa: ANN401 - boto3
    s3: S3Sandbox,
    bucket: str,
    logs: LogsSandbox,
    log_group: str,
) -> None:
    fill(s3, bucket, 2)
    environment = s3.environ() | logs.environ()
    with Ingest(environment, bucket, fail_every=1, log_group=log_group, log_spelling="json", log_trace="one event"):
        wait_until(lambda: sum("stackTrace" in one["message"] for one in events(client, log_group)) == 2)
    assert all(json.loads(one["message"]) for one in events(client, log_group))
