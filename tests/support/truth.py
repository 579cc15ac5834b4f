"""What must be true after whatever happened to a loader."""

from __future__ import annotations

from tests.support.feeding import Feeding


def assert_all_is_true(feeding: Feeding) -> None:
    """What the tables say is what the server saw."""
    feeding.assert_every_sample_is_in_once()
    stats = feeding.fn4.stats()
    assert (stats["most_in_flight"], stats["conflicts"]) == (1, 0)
    assert feeding.attempts("1", "outcome = 'open' OR outcome IS NULL OR completed IS NULL") == []
    answers = {guid: sample["answers"] for guid, sample in feeding.fn4.samples().items()}
    for seqid, outcome, status, began in feeding.attempts("seqid, outcome, insert_status_code, insert_start_time"):
        assert outcome in ("inserted", "present", "found", "failed", "not_sent")
        if status is not None:
            assert status in answers[seqid], "a status that the server never gave"
        assert (began is None) == (outcome == "not_sent")
    claims = feeding.manage.rows("SELECT seqid, count(*) FROM fn4loadattempt WHERE outcome = 'inserted' GROUP BY seqid")
    assert all(count == 1 for _, count in claims)
    assert {state for _, state, _ in feeding.objects()} == {"loaded"}
