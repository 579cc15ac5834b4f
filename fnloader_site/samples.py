"""`/samples/`: a list of sample ids or record identifiers, pasted or uploaded: which are in, and why the others are not.

Nothing is stored between the steps: the list travels in the form, packed, so any process on any host can answer.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.generic import View

from batches import record_list
from batches.choices import RECORD_STATUS_COLOURS, RecordStatus
from core.exceptions import OperationRefused
from core.files import CsvWriter
from core.id_lists import MAX_BYTES, MAX_ID_LENGTH, MAX_IDS, ColumnNeeded, IdList, IdTable, UnreadableList, read_table
from core.id_reports import IdReport
from core.lists.csv_export import file_response, with_bom
from core.lists.csv_expressions import safe_text
from core.permissions import PermissionView
from core.temporary import in_pages
from loader import sample_list
from loader.choices import SAMPLE_STATUS_COLOURS, SampleStatus
from loader.models import Server

SAMPLES, RECORDS = "samples", "records"
RECORDS_PERMISSION = "batches.view_batchrecord"
MAX_SHOWN = 500
"""Rows on the page; the CSV has all."""
MAX_SERVERS = 200
MAX_PACKED = 8_000_000
"""Characters of a list that travels in a form (`DATA_UPLOAD_MAX_MEMORY_SIZE` is above that)."""
MAX_CARRIED_ALONG = 1_000_000
"""The same of a list whose result is shown, should another column be wanted."""
CHUNK_ROWS = 500
CUT_OFF = "The list was cut off. Paste it again, or choose the file again."
EXAMPLES = 3
"""Cells of each column that are shown when one has to be chosen."""


class ListForm(forms.Form):
    """The list, and what to do with it."""

    kind = forms.ChoiceField(
        choices=[(SAMPLES, "Samples")], initial=SAMPLES, widget=forms.RadioSelect, label="Look for"
    )
    text = forms.CharField(required=False, strip=False, label="Paste ids", widget=forms.Textarea)
    file = forms.FileField(required=False, allow_empty_file=True, label="Or choose a file")
    packed = forms.CharField(required=False, widget=forms.HiddenInput)
    """The list of the step before."""
    ids = forms.CharField(required=False, widget=forms.HiddenInput)
    """The ids that were read from it."""
    column = forms.CharField(required=False, max_length=200, label="Column")
    server = forms.ChoiceField(required=False, label="Server")
    only_open = forms.BooleanField(required=False, label="Only those that need work")

    def __init__(self, *args: Any, records: bool, **kwargs: Any) -> None:  # noqa: ANN401 - Django's
        super().__init__(*args, **kwargs)
        servers = Server.objects.order_by("identity").values_list("identity", flat=True)[:MAX_SERVERS]
        server, kind = self.fields["server"], self.fields["kind"]
        assert isinstance(server, forms.ChoiceField)  # noqa: S101 - for mypy
        assert isinstance(kind, forms.ChoiceField)  # noqa: S101
        server.choices = [("", "Any server"), *((identity, identity) for identity in servers)]
        if records:
            kind.choices = [(SAMPLES, "Samples"), (RECORDS, "Records of batches")]
        self.fields["text"].widget.attrs |= {
            "rows": 8,
            "placeholder": "One id a line, or cells copied from a spreadsheet",
        }
        self.fields["column"].widget.attrs |= {"placeholder": "Found by its heading"}
        self.fields["file"].widget.attrs |= {"accept": ".csv,.tsv,.txt,.xlsx"}

    def read(self) -> tuple[IdTable, bytes]:
        """The list as a table, and its bytes. Raises UnreadableList."""
        upload, text, packed = (self.cleaned_data[name] for name in ("file", "text", "packed"))
        if upload is not None and upload.size > MAX_BYTES:
            raise UnreadableList(
                f"The file is larger than {MAX_BYTES // 1_000_000} MB. Keep only the column with the ids."
            )
        pasted = unpack(packed) if packed and not text.strip() else text.encode()
        data = upload.read() if upload is not None else pasted
        if not data.strip():
            raise UnreadableList("Paste ids, or choose a file.")
        file: BinaryIO = io.BytesIO(data)
        return read_table(file), data


@dataclass(frozen=True)
class ShownRow:
    """A row of the result with what its cells need."""

    row: Any
    label: str
    colour: str
    since: Any = None


class SamplesView(PermissionView, View):
    """The form; the choice of a column; the result; the result as CSV."""

    permission_required = "loader.view_bucketobject"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The empty form."""
        return self._page(request, self._form(request))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Reads the list, and looks it up."""
        form = self._form(request)
        if not form.is_valid():
            return self._page(request, form, status=400)
        kind, options = form.cleaned_data["kind"], form.cleaned_data
        names = record_list.COLUMN_NAMES if kind == RECORDS else sample_list.COLUMN_NAMES
        try:
            if options["ids"]:
                # PostgreSQL takes no NUL.
                text = unpack(options["ids"]).decode(errors="replace").replace("\0", "")
                lines = [line[:MAX_ID_LENGTH] for line in text.split("\n", MAX_IDS)[:MAX_IDS] if line]
                return self._result(request, form, IdList(list(dict.fromkeys(lines)), 0, "the list"))
            table, data = form.read()
            try:
                if "choose" in request.POST:
                    return self._columns(request, form, table, data)
                listed = table.choose_ids(names, options["column"].strip())
            except ColumnNeeded:
                return self._columns(request, form, table, data)
            table_packed = pack(data) if table.width > 1 else ""
            return self._result(request, form, listed, table_packed)
        except OperationRefused as error:
            form.add_error(None, str(error))
            return self._page(request, form, status=400)

    def _form(self, request: HttpRequest) -> ListForm:
        records = request.user.has_perm(RECORDS_PERMISSION)
        return ListForm(request.POST or None, request.FILES or None, records=records)

    def _page(self, request: HttpRequest, form: ListForm, status: int = 200) -> HttpResponse:
        return render(request, "samples/form.html", {"form": form, "max_ids": MAX_IDS}, status=status)

    def _columns(self, request: HttpRequest, form: ListForm, table: IdTable, data: bytes) -> HttpResponse:
        """The second step: the first rows, to choose a column."""
        packed = pack(data)
        if not packed:
            raise UnreadableList(
                f"The list has {table.width} columns: enter the one with the ids. {table.columns_text}"
            )
        first, *rest = table.head if table.has_header else ([], *table.head)
        columns = []
        for place in range(table.width):
            heading = (first[place] if place < len(first) else "") or f"Column {place + 1}"
            cells = [row[place] for row in rest if place < len(row) and row[place]]
            columns.append((place + 1, heading, ", ".join(cells[:EXAMPLES]) or "(empty)"))
        context = {
            "form": form,
            "options": form.cleaned_data,
            "source": table.form,
            "packed": packed,
            "columns": columns,
        }
        return render(request, "samples/columns.html", context)

    def _result(self, request: HttpRequest, form: ListForm, listed: IdList, table_packed: str = "") -> HttpResponseBase:
        options = form.cleaned_data
        is_records = options["kind"] == RECORDS
        report: IdReport[Any] = (
            record_list.record_report(listed.ids, only_open=options["only_open"])
            if is_records
            else sample_list.sample_report(listed.ids, options["server"])
        )
        if request.POST.get("export") == "csv":
            # Closes the report when it has been sent.
            return file_response(with_bom(_csv(report)), f"{options['kind']}-{timezone.localdate():%Y-%m-%d}.csv")
        with report:
            shown = list(islice(report, MAX_SHOWN + 1))
        statuses: Iterable[RecordStatus | SampleStatus] = RecordStatus if is_records else SampleStatus
        colours = RECORD_STATUS_COLOURS if is_records else SAMPLE_STATUS_COLOURS
        context = {
            "records": is_records,
            "options": options,
            "ids": pack("\n".join(listed.ids).encode()),
            "packed": table_packed if len(table_packed) <= MAX_CARRIED_ALONG else "",
            "source": listed.source,
            "repeated": listed.repeated,
            "total": report.total,
            "good": report.good,
            "warned": report.warned,
            "missing": report.total - report.good,
            "counts": [(str(one.label), colours[one], report.counts[one]) for one in statuses if report.counts[one]],
            "rows": [_shown(row) for row in shown[:MAX_SHOWN]],
            "more": len(shown) > MAX_SHOWN,
            "max_shown": MAX_SHOWN,
        }
        return render(request, "samples/result.html", context)


def pack(data: bytes) -> str:
    """The bytes as text of a form; empty if that is too long for one."""
    packed = base64.b64encode(zlib.compress(data, 6)).decode()
    return packed if len(packed) <= MAX_PACKED else ""


def unpack(packed: str) -> bytes:
    """The bytes. Raises UnreadableList: cut off, or too many."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_BYTES + 1)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UnreadableList(CUT_OFF) from error
    if not unpacker.eof and len(data) <= MAX_BYTES:
        raise UnreadableList(CUT_OFF)
    return data


def _shown(row: record_list.RecordRow | sample_list.SampleRow) -> ShownRow:
    if isinstance(row, record_list.RecordRow):
        return ShownRow(row, str(RecordStatus(row.status).label), RECORD_STATUS_COLOURS[row.status])
    colour = "orange" if row.result in sample_list.WARNINGS else SAMPLE_STATUS_COLOURS[row.status]
    since = parse_datetime(row.since) if row.since else None
    return ShownRow(row, str(SampleStatus(row.status).label), colour, since)


def _csv(report: IdReport[Any]) -> Generator[bytes]:
    with report:
        yield (",".join(report.kind.columns) + "\n").encode()
        for page in in_pages(report, CHUNK_ROWS):
            text = io.StringIO()
            CsvWriter(text).writerows(
                [safe_text(cell) if isinstance(cell, str) else cell for cell in row] for row in page
            )
            yield text.getvalue().encode()
