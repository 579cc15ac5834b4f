"""The site's settings, read from a clean environment: no developer's `.env`, no secret of anybody."""

import os
import tempfile
import zlib

import environ

os.environ["FNLOADER_ENV_FILE"] = os.devnull
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
# Whole suites of requests are one user's here.
os.environ.setdefault("USER_REQUESTS_AT_ONCE", "1000000")
os.environ.setdefault("USER_REQUESTS_A_MINUTE", "1000000")
os.environ.setdefault("HOST_NAME", "test-host")
# Folders of tests are stores.
os.environ.setdefault("FILE_STORES", tempfile.gettempdir())

from fnloader_site.settings import *  # noqa: F403 - after the environment is set

if os.environ.get("FNLOADER_TEST_POSTGRES"):
    # Tests in this process run where those that start processes do (tests/support/site.py).
    DATABASES = {"default": environ.Env.db_url_config(os.environ["FNLOADER_TEST_POSTGRES"])}
    DATABASES["default"]["OPTIONS"] = {"options": "-c synchronous_commit=off"}
    # Of this checkout: another one may be tested at the same time.
    _checkout = zlib.crc32(os.fsencode(BASE_DIR))  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": f"fnloader_in_process_{_checkout:x}"}

# What a page keeps between two looks would outlive the test that it is of.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

# Tests in this process look at what is queued; those that start processes take the broker that REDIS_URL names.
REDIS_URL = ""
Q_CLUSTER = {name: value for name, value in Q_CLUSTER.items() if name != "redis"} | {"orm": "default"}  # noqa: F405
