"""Workbooks: the parts of one, which a line of `---` separates; a part that is missing is that of a good one."""

from __future__ import annotations

import io
import zipfile

from core.id_lists import UnreadableList, read_table
from tests.fuzz.rules import ensure_sentence

SPREADSHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "xl/worksheets/sheet1.xml": f'<worksheet {SPREADSHEET}><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    "</sheetData></worksheet>",
    "xl/sharedStrings.xml": f"<sst {SPREADSHEET}><si><t>s1</t></si></sst>",
    "xl/styles.xml": f"<styleSheet {SPREADSHEET}/>",
    "xl/workbook.xml": f'<workbook {SPREADSHEET} xmlns:r="{RELATIONS}"><sheets><sheet name="runs" sheetId="1" r:id="rId1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
    f'<Relationship Id="rId3" Type="{RELATIONS}/styles" Target="styles.xml"/></Relationships>',
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{CONTENT}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{CONTENT}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{CONTENT}.styles+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{CONTENT}.sharedStrings+xml"/></Types>',
}


def check(data: bytes) -> None:
    try:
        found = read_table(io.BytesIO(_workbook(data))).choose_ids((), "1")
    except UnreadableList as error:
        ensure_sentence(str(error))
        return
    ensure_sentence(found.source)
    assert all(found.ids)


def _workbook(data: bytes) -> bytes:
    if data.startswith(b"PK\x03\x04"):
        return data
    given = data.split(b"\n---\n")
    parts = {name: part.encode() for name, part in PARTS.items()}
    parts |= {name: part for name, part in zip(PARTS, given, strict=False) if part}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()
