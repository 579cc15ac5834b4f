"""Fixtures that several files share stand in modules of their own."""

pytest_plugins = ["tests.fixtures_stores", "tests.fixtures_site", "tests.fixtures_loader"]
