"""Tables of list pages and their columns: how a cell shows each kind of value, and the SQL expression for its CSV.

A table is a `BaseTable` with these columns; `core.lists.views` does the rest (docs/pages.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import django_tables2 as tables
from django.db.models import Expression, F
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.lists.csv_expressions import DurationText, SafeText, TimeText
from core.templatetags.formatting import NONE, duration, local_time, number


class BaseTable(tables.Table):
    """Base of every table. Columns are not sortable by default, as each order of a big table needs an index."""

    class Meta:
        orderable = False
        template_name = "tables/table.html"


class TextColumn(tables.Column):
    """Text. `wide`: hidden on a phone. `roomy`: only on a large screen. `long`: may break anywhere.

    `visible=False` (django-tables2's): in the CSV only. `exported=False`: on the page only.
    """

    css = ""

    def __init__(
        self,
        heading: str | None = None,
        *,
        wide: bool = False,
        roomy: bool = False,
        long: bool = False,
        exported: bool = True,
        **options: Any,  # noqa: ANN401 - django-tables2's
    ) -> None:
        self.exported = exported
        classes = {self.css: True, "wide": wide or roomy, "roomy": roomy, "long": long}
        self.css = " ".join(name for name, used in classes.items() if name and used)
        super().__init__(verbose_name=heading, **({"default": NONE} | options))

    def csv(self, source: str) -> Expression | F:
        """The expression for the export; `source` is the path of the field."""
        return SafeText(F(source))


class CodeColumn(TextColumn):
    """Text that can't hold a formula: a state, a digest, a name from a list."""

    def csv(self, source: str) -> Expression | F:
        """As it is."""
        return F(source)


class NumberColumn(TextColumn):
    """A number, with separators."""

    css = "number"

    def __init__(self, heading: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(heading, **({"initial_sort_descending": True} | options))

    def render(self, value: float) -> str:
        """`12,345`."""
        return number(value)

    def csv(self, source: str) -> Expression | F:
        """Without separators."""
        return F(source)


class RateColumn(NumberColumn):
    """A number with one decimal."""

    def render(self, value: float) -> str:
        """`1,234.5`."""
        return f"{value:,.1f}"


class SecondsColumn(NumberColumn):
    """Seconds, shown as a duration."""

    def render(self, value: float) -> str:
        """`01:05:09`."""
        return duration(timedelta(seconds=value))


class KeyColumn(NumberColumn):
    """A number that identifies something: no separators."""

    def render(self, value: float) -> str:
        """`12345`."""
        return str(value)


class DateTimeColumn(TextColumn):
    """A time, in the viewer's zone; `form="minute"` omits the seconds on the page."""

    def __init__(self, heading: str | None = None, *, form: str = "full", **options: Any) -> None:  # noqa: ANN401
        self.form = form
        super().__init__(heading, **({"initial_sort_descending": True} | options))

    def render(self, value: datetime) -> str:
        """With the exact time on hover."""
        return local_time(value, self.form)

    def csv(self, source: str) -> Expression | F:
        """ISO 8601 in UTC, to the millisecond."""
        return TimeText(F(source))


class DurationColumn(TextColumn):
    """A duration."""

    css = "number"

    def render(self, value: timedelta) -> str:
        """`01:05:09`."""
        return duration(value)

    def csv(self, source: str) -> Expression | F:
        """The same."""
        return DurationText(F(source))


class ChoiceColumn(CodeColumn):
    """A choice, as a tag in its colour; the CSV has the value itself."""

    def __init__(self, heading: str | None, colours: Mapping[Any, str], **options: Any) -> None:  # noqa: ANN401
        self.colours = colours
        super().__init__(heading, **options)

    def render(self, value: object, record: Any, bound_column: Any) -> SafeString:  # noqa: ANN401
        """The label of the choice."""
        name = str(bound_column.accessor)
        choice = getattr(record, name, value)
        label = getattr(record, f"get_{name}_display", lambda: value)()
        return format_html('<span class="tag {}">{}</span>', self.colours.get(choice, "grey"), label)
