"""What was sent to the fast import bucket, and what became of it."""
