"""The upload queue: batches that are uploaded one after the other, by `batch upload` or by the background jobs."""
