"""What must be true after whatever happened to a loader."""

from __future__ import annotations

from sandbox.samples import SNP_CEILING
from tests.support.feeding import Feeding


def assert_all_is_true(feeding: Feeding) -> None:
    """What the tables say is what the server saw."""
    feeding.assert_every_sample_is_in_once()
    stats = feeding.fn4.stats()
    assert (stats["most_in_flight"], stats["conflicts"]) == (1, 0)
    assert feeding.attempts("1", "outcome = 'open' OR outcome IS NULL OR completed IS NULL") == []
    answers = {guid: sample["answers"] for guid, sample in feeding.fn4.samples().items()}
    for seqid, outcome, status, began in feeding.attempts("seqid, outcome, insert_status_code, insert_start_time"):
        assert outcome in ("inserted", "present", "found", "unproven", "failed", "not_sent")
        if status is not None:
            assert status in answers[seqid], "a status that the server never gave"
        assert (began is None) == (outcome == "not_sent")
    claims = feeding.manage.rows("SELECT seqid, count(*) FROM fn4loadattempt WHERE outcome = 'inserted' GROUP BY seqid")
    assert all(count == 1 for _, count in claims)
    assert {state for _, state, _ in feeding.objects()} == {"loaded"}
    assert_no_links_are_claimed(feeding)


def assert_no_links_are_claimed(feeding: Feeding) -> None:
    """No sample is called inserted, found or the same whose links are missing; none is called missing that has them."""
    samples = feeding.fn4.samples()
    for guid, result, reason in feeding.objects("guid, result, reason"):
        if result in ("inserted", "found", "same"):
            assert samples[guid]["links"] or not nearest(feeding, guid), (guid, result)
        assert "links are missing" not in reason or not samples[guid]["links"], (guid, reason)


def nearest(feeding: Feeding, guid: str) -> list[str]:
    """The samples that were there before, and to which the server should have stored links."""
    guids = feeding.fn4.guids()
    before = guids[: guids.index(guid)]
    return [other for other in before if distance(feeding.sent[guid], feeding.sent[other]) <= SNP_CEILING]


def distance(one: str, other: str) -> int:
    """As the server computes it."""
    return sum(a != b and a in "ACGT" and b in "ACGT" for a, b in zip(one, other, strict=True))
