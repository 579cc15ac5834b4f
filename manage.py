#!/usr/bin/env python
import gc
import os
import sys


def main() -> None:
    # The start makes a hundred thousand objects that stay: collecting them on the way is a twentieth of its time.
    gc.set_threshold(50_000)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed here. Run `make install` and use .venv/bin/python manage.py (see README.md).")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
