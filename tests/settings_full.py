"""The site's settings on a SQLite database that may have no more than MAX_PAGES pages: a disk that is full."""

import os

from fnloader_site.settings import *  # noqa: F403
from fnloader_site.settings import DATABASES

DATABASES["default"]["OPTIONS"]["init_command"] += f" PRAGMA max_page_count={int(os.environ['MAX_PAGES'])};"
