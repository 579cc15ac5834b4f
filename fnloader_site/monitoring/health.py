"""Whether the site can do its work: its database and the jobs' broker answer."""

from __future__ import annotations

import logging

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

SECONDS = 3.0

log = logging.getLogger("fnloader.health")


def failing_service() -> str:
    """What does not answer, in one word; empty if all is well."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations")
    except (DatabaseError, InterfaceError) as error:
        log.warning("the database does not answer: %s", error)
        return "database"
    if settings.REDIS_URL:
        try:
            with redis.from_url(settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            log.warning("the broker does not answer: %s", type(error).__name__)
            return "broker"
    return ""
