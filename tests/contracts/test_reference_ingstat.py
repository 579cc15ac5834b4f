"""reference/ingstat.txt, sentence by sentence: each test quotes the sentences that it proves."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command

from batches.choices import BatchStatus, Verdict
from batches.models import IngestCheck
from batches.reports.ingest_report import report_path

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite
    from tests.support.folder_batch import FolderBatch, Seed

pytestmark = pytest.mark.django_db(transaction=True)

REFERENCE = """
Checks how many objects with the batch prefix exist in the S3 bucket. Objects that are not ingested successfully should
remain in the bucket.

If none, ingest is considered complete and post-ingest reporting is compiled.

If there are any objects remaining in the bucket, what happens next depends on the options you have passed in, if any.

--sleep : how long to sleep.

--checks : how many times to conduct sleep/check resulting in different number of objects before reporting ingest is still
in progress and exiting.

--rechecks : if a sleep/check finds no change in number of objects (ingest is tentatively complete), how many times should
it repeat to verify the number isn't changing?

If any check finds the number of remaining objects to be 0, ingest is considered complete and post-ingest reporting is
compiled.

After considering the ingest tentatively complete (2 checks found the same number of objects) and switching to doing
rechecks, if the number of objects changes, reports ingest is still in progress and exits.

If no objects remain, ingest-related columns for the batch are populated in batches CSV.

If objects remain, ingest-related columns for the batch are populated in batches CSV and ingest_report.csv is generated,
allowing you to identify which records did not ingest as expected.

With no options passed in, notes how many were in the the bucket on the first query, sleeps for 1.5 seconds and then
rechecks number of objects.

If the number of objects has changed, it reports the ingest is still in progress and exits.

If the number of objects has not changed, it considers the ingest tentatively complete, sleeps for 1.5 seconds again, and
conducts the recheck. If the number of objects still has not changed, it reports the ingest is complete, but has errors.
Post-ingest reporting is compiled.

Passing in a sleep option changes how long it sleeps before rechecking.

Passing in a rechecks option changes how many times it will sleep/recheck for changes.

This will do the initial object count check, then sleep/check up to 999 times assuming each check returns a different
number of objects.

If it does this 999 times and the number of objects on the 999th check is different than the 998th, it reports the ingest
is still in progress and exits.

If any check finds the number of objects has not changed, it considers the ingest tentatively complete, sleeps for 1.5
seconds again, and conducts the recheck. If the number of objects still has not changed, it reports the ingest is complete,
but has errors. Post-ingest reporting is compiled.

As in the previous example, but the sleep time is now shorter. This increases the risk of one of the initial checks
reporting tentative completion before the ingest is really done, so we have increased the number of rechecks requiring no
change.
"""
"""Its sentences, without headings and calls; those of the options end here with a full stop."""
PROVES: dict[str, list[str]] = {}
"""Test by test, the sentences that it quotes."""


def proves(*sentences: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Notes which sentences a test proves."""

    def note(test: Callable[..., None]) -> Callable[..., None]:
        PROVES[test.__name__] = [_words(one) for one in sentences]
        return test

    return note


def _words(text: str) -> str:
    return " ".join(text.split())


def _sentences() -> set[str]:
    paragraphs = map(_words, REFERENCE.strip().split("\n\n"))
    return {one for paragraph in paragraphs for one in re.split(r"(?<=[.?]) (?=[A-Z])", paragraph)}


@dataclass
class Call:
    """What a call of `ingstat` did."""

    status: int
    out: str
    slept: list[float] = field(default_factory=list)

    @property
    def counts(self) -> list[int]:
        """What it counted, in order."""
        rows = IngestCheck.objects.get().counts.order_by("number")
        return list(rows.values_list("remaining", flat=True))

    @property
    def reports_progress(self) -> bool:
        """Whether it reports that the ingest is still in progress."""
        return self.status == 11 and "ingest is still in progress" in self.out

    @property
    def reports_errors(self) -> bool:
        """Whether it reports that the ingest is complete, but has errors."""
        return self.status == 10 and "ingest is complete, but has errors" in self.out


Ingstat = Callable[..., Call]


@pytest.fixture
def ingstat(monkeypatch: pytest.MonkeyPatch) -> Ingstat:
    """Calls it on a batch whose bucket is brought to the next of `counts` while it sleeps."""

    def call(made: FolderBatch, counts: list[int], *options: str) -> Call:
        names, slept = [one for one in made.outcomes() if one], []
        left = list(counts)
        _bring(made, names, left.pop(0))

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if left:
                _bring(made, names, left.pop(0))

        monkeypatch.setattr(time, "sleep", sleep)
        out, status = io.StringIO(), 0
        try:
            call_command("ingstat", made.batch.bid, *options, stdout=out)
        except SystemExit as end:
            status = int(end.code or 0)
        monkeypatch.undo()
        return Call(status, out.getvalue(), slept)

    return call


def _bring(made: FolderBatch, names: list[str], number: int) -> None:
    there = [one for one in names if (made.folder / made.key(one)).exists()]
    made.ingest(*there[number:])
    made.put(*[one for one in names if one not in there][: max(0, number - len(there))])


@pytest.fixture
def batch(folder_batch: Seed) -> FolderBatch:
    """Nine records."""
    return folder_batch("bid", [f"id{n}" for n in range(9)])


def columns(bid: str = "bid") -> dict[str, str]:
    """The batch's row of the batches CSV."""
    out = io.StringIO()
    call_command("batch", "export", stdout=out)
    return next(row for row in csv.DictReader(io.StringIO(out.getvalue())) if row["id"] == bid)


@proves(
    "Checks how many objects with the batch prefix exist in the S3 bucket.",
    "Objects that are not ingested successfully should remain in the bucket.",
)
def test_it_counts_the_objects_of_the_batch_in_the_bucket_and_leaves_them_there(site: BatchSite) -> None:
    site.seed(bid=["a", "b", "c"])
    site.delete(site.key("bid", "b"))
    result = site.ingstat("bid")
    assert "bid: 2 objects remaining (first count)" in result.stdout
    assert sorted(site.s3.objects(site.bucket)) == sorted([site.key("bid", "a"), site.key("bid", "c")])


@proves("If none, ingest is considered complete and post-ingest reporting is compiled.")
def test_none_at_first_is_complete(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [0])
    assert (call.status, call.counts, call.slept) == (0, [0], [])
    assert "bid: ingest is complete: 9 ingested, 0 remaining" in call.out
    assert columns()["batch_status"] == "ingested"


@proves(
    "If there are any objects remaining in the bucket, what happens next depends on the options you have passed in, if any."
)
@pytest.mark.parametrize(
    ("options", "counts"),
    [((), [5, 4]), (("--checks", "2"), [5, 4, 3]), (("--checks", "2", "--rechecks", "1"), [5, 4, 3])],
)
def test_any_left_and_the_options_say_what_happens_next(
    batch: FolderBatch, ingstat: Ingstat, options: tuple[str, ...], counts: list[int]
) -> None:
    assert ingstat(batch, [5, 4, 3, 2, 1, 0], *options).counts == counts


@proves("--sleep : how long to sleep.")
def test_sleep_is_how_long_it_sleeps(batch: FolderBatch, ingstat: Ingstat) -> None:
    assert ingstat(batch, [5, 5, 5], "--sleep", "7").slept == [7.0, 7.0]


@proves(
    "--checks : how many times to conduct sleep/check resulting in different number of objects before reporting ingest is"
    " still in progress and exiting."
)
@pytest.mark.parametrize("checks", [1, 2, 5])
def test_checks_is_how_many_changes_it_takes(batch: FolderBatch, ingstat: Ingstat, checks: int) -> None:
    call = ingstat(batch, [9, 8, 7, 6, 5, 4, 3], "--checks", str(checks))
    assert call.reports_progress
    assert call.counts == [9, 8, 7, 6, 5, 4, 3][: checks + 1]


@proves(
    "--rechecks : if a sleep/check finds no change in number of objects (ingest is tentatively complete), how many times"
    " should it repeat to verify the number isn't changing?"
)
@pytest.mark.parametrize("rechecks", [1, 2, 5])
def test_rechecks_is_how_many_times_it_verifies(batch: FolderBatch, ingstat: Ingstat, rechecks: int) -> None:
    call = ingstat(batch, [5], "--rechecks", str(rechecks))
    assert call.reports_errors
    assert call.counts == [5, 5, *[5] * rechecks]


@proves(
    "If any check finds the number of remaining objects to be 0, ingest is considered complete and post-ingest reporting is"
    " compiled."
)
@pytest.mark.parametrize("counts", [[5, 0], [5, 4, 0], [5, 5, 0], [5, 5, 5, 5, 0]])
def test_none_in_any_check_is_complete(batch: FolderBatch, ingstat: Ingstat, counts: list[int]) -> None:
    call = ingstat(batch, counts, "--checks", "5", "--rechecks", "5")
    assert (call.status, call.counts) == (0, counts)
    assert batch.fresh().status == BatchStatus.INGESTED


@proves(
    "After considering the ingest tentatively complete (2 checks found the same number of objects) and switching to doing"
    " rechecks, if the number of objects changes, reports ingest is still in progress and exits."
)
def test_a_change_in_a_recheck_is_progress_whatever_checks_are_left(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [5, 5, 5, 3, 2, 1], "--checks", "999", "--rechecks", "5")
    assert call.reports_progress
    assert call.counts == [5, 5, 5, 3]
    assert batch.fresh().status == BatchStatus.UPLOADED


@proves("If no objects remain, ingest-related columns for the batch are populated in batches CSV.")
def test_with_none_left_the_columns_are_populated(batch: FolderBatch, ingstat: Ingstat) -> None:
    assert columns()["ingest_done?"] == ""
    ingstat(batch, [0])
    row = columns()
    assert (row["batch_status"], row["ingest_errs"], row["ingest_oks"]) == ("ingested", "0", "9")
    assert row["ingest_done?"] == row["ingest_complete_time"] != ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d", row["ingest_duration"])
    assert not report_path(batch.batch).exists()


@proves(
    "If objects remain, ingest-related columns for the batch are populated in batches CSV and ingest_report.csv is"
    " generated, allowing you to identify which records did not ingest as expected."
)
def test_with_some_left_the_columns_are_populated_and_the_report_names_them(
    batch: FolderBatch, ingstat: Ingstat
) -> None:
    assert ingstat(batch, [2]).reports_errors
    row = columns()
    assert (row["batch_status"], row["ingest_errs"], row["ingest_oks"]) == ("ingested", "2", "7")
    with report_path(batch.batch).open(newline="") as file:
        report = {row["identifier"]: row["CMT_ingest_status"] for row in csv.DictReader(file)}
    assert report == {f"id{n}": "failure" if n < 2 else "success" for n in range(9)}


@proves(
    "With no options passed in, notes how many were in the the bucket on the first query, sleeps for 1.5 seconds and then"
    " rechecks number of objects.",
    "If the number of objects has changed, it reports the ingest is still in progress and exits.",
)
def test_without_options_a_change_is_progress(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [5, 3])
    assert (call.counts, call.slept) == ([5, 3], [1.5])
    assert call.reports_progress
    assert "5 objects remaining (first count)" in call.out


@proves(
    "If the number of objects has not changed, it considers the ingest tentatively complete, sleeps for 1.5 seconds again,"
    " and conducts the recheck.",
    "If the number of objects still has not changed, it reports the ingest is complete, but has errors.",
    "Post-ingest reporting is compiled.",
)
def test_without_options_no_change_twice_is_complete_with_errors(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [5])
    assert (call.counts, call.slept) == ([5, 5, 5], [1.5, 1.5])
    assert call.reports_errors
    assert report_path(batch.batch).exists()
    assert columns()["ingest_errs"] == "5"


@proves("Passing in a sleep option changes how long it sleeps before rechecking.")
def test_with_sleep_5(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [5], "--sleep", "5")
    assert (call.counts, call.slept, call.reports_errors) == ([5, 5, 5], [5.0, 5.0], True)


@proves(
    "Passing in a rechecks option changes how many times it will sleep/recheck for changes.",
    "This will do the initial object count check, then sleep/check up to 999 times assuming each check returns a different"
    " number of objects.",
    "If it does this 999 times and the number of objects on the 999th check is different than the 998th, it reports the"
    " ingest is still in progress and exits.",
)
def test_with_checks_999_and_a_change_each_time(batch: FolderBatch, ingstat: Ingstat) -> None:
    counts = [2, 3] * 600  # growing is changing, too
    call = ingstat(batch, counts, "--checks", "999")
    assert call.reports_progress
    assert call.counts == counts[:1000]
    assert call.slept == [1.5] * 999


@proves(
    "If any check finds the number of objects has not changed, it considers the ingest tentatively complete, sleeps for 1.5"
    " seconds again, and conducts the recheck.",
)
def test_with_checks_999_and_no_change_in_one_of_them(batch: FolderBatch, ingstat: Ingstat) -> None:
    call = ingstat(batch, [9, 8, 7, 6, 6, 6], "--checks", "999")
    assert (call.counts, call.slept) == ([9, 8, 7, 6, 6, 6], [1.5] * 5)
    assert call.reports_errors
    assert report_path(batch.batch).exists()


@proves(
    "As in the previous example, but the sleep time is now shorter.",
    "This increases the risk of one of the initial checks reporting tentative completion before the ingest is really done,"
    " so we have increased the number of rechecks requiring no change.",
)
def test_with_sleep_1_checks_999_and_rechecks_3(batch: FolderBatch, ingstat: Ingstat) -> None:
    options = ("--sleep", "1", "--checks", "999", "--rechecks", "3")
    early = ingstat(batch, [9, 8, 8, 8, 7], *options)
    assert (early.counts, early.reports_progress) == ([9, 8, 8, 8, 7], True)
    IngestCheck.objects.all().delete()
    call = ingstat(batch, [9, 8, 8, 8, 8, 8], *options)
    assert (call.counts, call.slept) == ([9, 8, 8, 8, 8, 8], [1.0] * 5)
    assert call.reports_errors
    assert IngestCheck.objects.get().verdict == Verdict.COMPLETE_WITH_ERRORS


def test_no_sentence_of_the_reference_is_without_its_proof() -> None:
    quoted = {one for some in PROVES.values() for one in some}
    assert quoted == _sentences()
