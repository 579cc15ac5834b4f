"""The ledger: the bucket as it was last scanned, and the queue of what is due."""
