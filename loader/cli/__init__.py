"""The subcommands of `manage.py feed`, and what they print."""
