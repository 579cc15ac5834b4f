"""What no browser sends (charsets, NUL, keys and filters of every kind) is a page or status 400 on each database, never a 500."""

from __future__ import annotations

import io
import logging
from typing import Any
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client

from core.models import JobRun

pytestmark = pytest.mark.django_db(transaction=True)  # an error of the database would end the test's transaction

VALUES = ("1", "", "x", "\0", "9" * 30, "9" * 11 + "-01-01", "(", "\ud800", "a " * 1500)
LOOKUPS = ("", "__range", "__in", "__year", "__gt", "__iregex", "__foo")


def text(value: str) -> str:
    return quote(value, errors="surrogatepass")


@pytest.fixture
def boss() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "utf-16", "utf-7", "unicode_escape", "zip", "a\0b", "UTF-8", "latin-1", "none-such"]
)
def test_an_odd_charset_is_a_bad_request(charset: str) -> None:
    from fnloader_site.wsgi import application

    answers: list[str] = []
    fine = charset in {"UTF-8", "latin-1", "none-such"}
    for path, method in (("/login/", "POST"), ("/samples/", "GET"), ("/healthz", "GET")):
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        body = b"username=%FF%2Da--%80&ids=xn--%FF-&password=.."
        environ |= {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "q=%FFxn--",
            "wsgi.input": io.BytesIO(body),
        }
        environ |= {
            "CONTENT_TYPE": f"application/x-www-form-urlencoded; charset={charset}",
            "CONTENT_LENGTH": str(len(body)),
        }
        environ["HTTP_HOST"] = "localhost"
        b"".join(application(environ, lambda status, _headers: answers.append(status)))  # type: ignore[arg-type]
        assert (answers[-1] == "400 Bad Request") is not fine
        assert answers[-1][0] in "234"


def test_too_many_parameters_are_a_bad_request(boss: Client) -> None:
    for path in ("/", "/login/", "/samples/", "/admin/auth/user/"):
        assert boss.get(f"{path}?{'a&' * 1001}").status_code == 400
        kind = "application/x-www-form-urlencoded"
        assert boss.post(path, "a=1&" * 1001, content_type=kind).status_code in (400, 403, 405)


@pytest.mark.parametrize("headers", [{"HTTP_COOKIE": r'sessionid="abcdefghi\000"'}, {"HTTP_USER_AGENT": "a\0b"}])
def test_nul_in_a_header_is_a_bad_request(headers: dict[str, str]) -> None:
    client = Client(raise_request_exception=False)
    assert client.post("/login/", {"username": "boss", "password": "x"}, **headers).status_code == 400  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["b" * 151, "b" * 4000, "a\0b", "\u202eb"])
def test_any_name_at_the_login_is_a_wrong_name(name: str) -> None:
    answer = Client(raise_request_exception=False).post("/login/", {"username": name, "password": "x"})
    assert answer.status_code == 200
    assert "alert" in answer.content.decode() or "error" in answer.content.decode()


@pytest.mark.parametrize("model", [JobRun, User], ids=lambda model: model.__name__)
def test_a_list_of_the_admin_takes_any_filter(model: type, boss: Client) -> None:
    meta = model._meta  # type: ignore[attr-defined]
    base = f"/admin/{meta.app_label}/{meta.model_name}/"
    assert boss.get(base).status_code == 200
    kinds = {type(field): field.name for field in meta.concrete_fields}
    names = [name + lookup for name in ("pk", *kinds.values()) for lookup in LOOKUPS]
    for name in [*names, "q", "p", "o", "all", "_to_field", "_facets"]:
        for value in VALUES[:1] + VALUES[3:7] if name in names else VALUES:
            answer = boss.get(f"{base}?{name}={text(value)}")
            assert answer.status_code < 500, (name, value[:40])
    for value in VALUES:
        for page in ("change", "delete", "history"):
            assert boss.get(f"{base}{text(value) or 'x'}/{page}/").status_code < 500, (page, value[:40])


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_an_action_of_the_admin_takes_any_key(value: str, boss: Client) -> None:
    data = f"action=ACTION&index=0&post=yes&_selected_action={text(value)}"
    for model, pages in admin.site._registry.items():
        for action in pages.actions or ["delete_selected"]:
            word = action if isinstance(action, str) else action.__name__
            path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            kind = "application/x-www-form-urlencoded"
            answer = boss.post(path, data.replace("ACTION", word), content_type=kind)
            assert answer.status_code < 500, (path, word)


def test_a_wrong_host_is_one_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    (handler,) = [one for one in logging.getLogger().handlers if getattr(one, "stream", None) and one.filters]
    monkeypatch.setattr(handler, "stream", stream)
    for host in ("evil.example", "a\r\nb", ""):
        assert Client().get("/", HTTP_HOST=host).status_code == 400
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3, lines
    assert "WARNING django.security.DisallowedHost" in lines[0]
