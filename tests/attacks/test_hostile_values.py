"""Every text column of every table holds a hostile value: what pages, exports, commands, metrics and mails make of it."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, models, transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from batches.models import Batch, BatchRecord
from bench.lifelike import fill
from loader.ledger.left_out import LeftOut
from loader.models import Feed
from tests.support.addresses import addresses

pytestmark = pytest.mark.django_db

HOSTILE = (
    "=cmd|' /C calc'!A0<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}{% now 'Y' %}${7*7}"
    "javascript:alert(1)\u202eexe\u2066\u200b\x1b[31m\x00\ud800\r\n# HELP forged\nforged 1\r\x85\u2028</title></textarea>--]]>"
)
MARKUP = ("<script>alert", "<img src=x", "</textarea>--")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What nothing that people read may hold as it is."""
NAMES = {"Feed.name", "Batch.bid", "Feed.endings"}
"""Checked on every way in, so that they can hold nothing else."""
OURS = ("batches", "loader", "fnloader_site")


def plant() -> int:
    """Puts the value into every text column of every table of ours that takes it; returns how many columns."""
    fill(attempts=40, feeds=3, records=60, days=1)
    planted = 0
    for model in [model for label in OURS for model in apps.get_app_config(label).get_models()]:
        if not model._default_manager.exists():
            model(
                **{field.attname: _anything(field) for field in model._meta.concrete_fields if not field.primary_key}
            ).save()
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
            if is_text and f"{model.__name__}.{field.name}" not in NAMES:
                planted += _plant(model, field)
    header = ["identifier", *(f"{HOSTILE}{number}" for number in range(6))]
    Batch.objects.update(source_columns=_json(header), cells=_json({HOSTILE: [HOSTILE, HOSTILE]}))
    BatchRecord.objects.update(source=_json([HOSTILE] * len(header)))
    left_out = LeftOut()
    left_out.add([f"a.{HOSTILE}", HOSTILE])
    Feed.objects.update(left_out=left_out.counts())
    return planted


def _json(value: object) -> str:
    """As our own code writes it: nothing that is no Unicode gets there."""
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "").encode(errors="ignore").decode()


def _plant(model: type[models.Model], field: models.Field[Any, Any]) -> bool:
    """Whether at least one row took it."""
    taken = False
    for pk in model._default_manager.values_list("pk", flat=True)[:50]:
        text = HOSTILE if not (field.unique or field.primary_key) else f"{pk}{HOSTILE}"
        try:
            with transaction.atomic():
                model._default_manager.filter(pk=pk).update(**{field.name: text[: field.max_length]})
            taken = True
        except IntegrityError:
            break
    return taken


def _anything(field: models.Field[Any, Any]) -> object:
    if field.related_model:
        return field.related_model._default_manager.values_list("pk", flat=True).first()
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.DateTimeField):
        return timezone.now()
    if field.has_default():
        return field.get_default()
    return "x" if isinstance(field, models.CharField | models.TextField) else 1


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def text_of(response: HttpResponseBase) -> str:
    content: bytes = b"".join(getattr(response, "streaming_content", None) or [getattr(response, "content", b"")])
    return content.decode("utf-8-sig")


def test_no_page_export_or_metric_is_changed_by_a_value(boss: Client) -> None:
    assert plant() > 60
    seen = 0
    for path in dict.fromkeys(addresses()):
        for address in (path, f"{path}?export=csv", f"{path}?q={'%22%3E%3Cscript%3Ealert(1)'}"):
            response = boss.get(address)
            assert response.status_code < 500, address
            text, kind = text_of(response), response.get("Content-Type", "")
            seen += 1
            for name, value in response.headers.items():
                assert not CONTROL.search(value), (address, name)
            if kind.startswith("text/html"):
                for markup in MARKUP:
                    assert markup not in text, (
                        address,
                        markup,
                        text[max(0, text.find(markup) - 300) : text.find(markup) + 60],
                    )
                found = CONTROL.search(text.replace("\r", "\n"))
                assert not found, (
                    address,
                    found,
                    text[max(0, found.start() - 300) : found.start() + 60] if found else "",
                )
            # Cells of the source are mapped again: they stay as they are.
            elif kind.startswith("text/csv") and "/corrections/" not in address:
                for line in text.splitlines():
                    assert not re.match(r"[=+@-]|\t", line.lstrip('"')), (address, line)
            elif "metrics" in address:
                for line in text.rstrip("\n").split("\n"):
                    assert re.match(r"# (HELP|TYPE) fnloader_|fnloader_", line), line
    print(f"{seen} answers looked through")
    assert seen > 150


@pytest.mark.parametrize(
    "words",
    [
        ("fnstatus",),
        ("fnstatus", "--json"),
        ("feed", "list"),
        ("feed", "show"),
        ("batch", "list"),
        ("batch", "show"),
    ],
    ids="-".join,
)
def test_no_command_prints_a_control_character_of_a_value(words: tuple[str, ...]) -> None:
    plant()
    names = {"feed": Feed.objects.values_list("name", flat=True), "batch": Batch.objects.values_list("bid", flat=True)}
    for row in names[words[0]] if words[-1] == "show" else [None]:
        out, err = io.StringIO(), io.StringIO()
        with suppress(SystemExit):
            call_command(*words, *([row] if row else []), stdout=out, stderr=err)
        text = out.getvalue() + err.getvalue()
        assert text
        assert not CONTROL.search(text), text
        assert "\nforged" not in text
