"""What people paste into a search box: terms without what nobody sees."""

from __future__ import annotations

from core.id_lists import id_terms
from core.pasted import MAX_TERMS, clean, search_terms, spellings


def check(data: bytes) -> None:
    text = data.decode(errors="replace")
    line = clean(text)
    assert clean(line) == line
    assert len(line.splitlines()) <= 1
    assert "\0" not in line
    terms = search_terms(text)
    assert len(terms) <= MAX_TERMS
    assert all(terms)
    assert set(id_terms(line)) >= set(search_terms(line))
    assert all(term in spellings(term) for term in terms)
