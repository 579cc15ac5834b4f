"""Attacks on the site, kept as tests (docs/security.md)."""
