"""Lists of ids: the column that the first line names, of what follows."""

from __future__ import annotations

import io

from core.id_lists import MAX_ID_LENGTH, MAX_IDS, UnreadableList, read_table
from core.pasted import clean
from core.stored_text import storable
from tests.fuzz.rules import ensure_sentence

NAMES = ("guid", "sampleid", "sample", "id")


def check(data: bytes) -> None:
    column, _, content = data.partition(b"\n")
    for wanted, listed in ((column.decode(errors="replace"), content), ("", data)):
        try:
            table = read_table(io.BytesIO(listed))
            ensure_sentence(table.form)
            ensure_sentence(table.columns_text)
            found = table.choose_ids(NAMES, wanted)
        except UnreadableList as error:
            ensure_sentence(str(error))
            continue
        ensure_sentence(found.source)
        assert found.ids
        assert len(found.ids) == len(set(found.ids))
        assert len(found.ids) + found.repeated <= MAX_IDS
        assert all(
            len(one) <= MAX_ID_LENGTH and clean(one) == one.strip() and storable(one) == one for one in found.ids
        )
