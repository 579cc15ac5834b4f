"""Whether the site is ready: its database and the jobs' broker respond."""

from __future__ import annotations

import logging

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

REDIS_TIMEOUT = 3.0

log = logging.getLogger("fnloader.health")


def failing_service() -> str:
    """`database` or `broker`, whichever is unavailable; empty if none is."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations")
    except (DatabaseError, InterfaceError) as error:
        log.warning("database unavailable: %s", error)
        return "database"
    if settings.REDIS_URL:
        try:
            with redis.from_url(
                settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
            ) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            log.warning("broker unavailable: %s", type(error).__name__)
            return "broker"
    return ""
