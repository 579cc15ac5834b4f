"""Import and export of the batches CSV."""
