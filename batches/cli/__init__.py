"""The subcommands of `manage.py batch`, and what `ingstat` prints."""
