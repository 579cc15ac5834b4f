"""The subcommands of `manage.py batch`, and the output of `ingstat`."""
