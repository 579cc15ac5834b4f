"""Batches that correct failed records of other batches, and what is still open."""
