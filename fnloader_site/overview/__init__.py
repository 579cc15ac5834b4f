"""The overview page: its sections, and what each shows."""
