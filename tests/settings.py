"""The site's settings, read from a clean environment: no developer's `.env`, no secret of anybody."""

import os

os.environ["FNLOADER_ENV_FILE"] = os.devnull
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
os.environ.setdefault("HOST_NAME", "test-host")

from fnloader_site.settings import *  # noqa: F403 - after the environment is set
