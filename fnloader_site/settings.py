"""Django's settings, all from the environment (design.md, "Contracts"; for users: docs/settings.md)."""

from __future__ import annotations

import math
import os
import secrets
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fnloader_site.env import Environment
from objectstores import FORMS

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR)

# The SQLite file, reports and downloads hold what only people with a permission may see on the pages.
os.umask(0o027 if env.flag("FILES_FOR_GROUP", default=False) else 0o077)

DEBUG = env.flag("DEBUG", default=False)
DEFAULT_EXCEPTION_REPORTER_FILTER = "fnloader_site.error_pages.SettingsFilter"
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    SECRET_KEY = secrets.token_urlsafe(50)
    if not DEBUG:
        env.add_problem(
            "E_SECRET_KEY",
            "SECRET_KEY is not set.",
            "Run `make .env` once, or set a long random SECRET_KEY in the environment, .env or a file (SECRET_KEY_FILE).",
        )

SITE_URL = env.url("SITE_URL", "https://fnloader.example.org", "http", "https").rstrip("/")
_site = urlsplit(SITE_URL)
_https = _site.scheme == "https"

_hosts = [_site.hostname] if _site.hostname else []
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", [*_hosts, "localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [f"https://{_site.netloc}"] if _https else [])

INSTALLED_APPS = [
    "fnloader_site",
    "core.apps.CoreConfig",
    "batches",
    "loader",
    "core.apps.LazyUnfoldConfig",
    "core.apps.LazyAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "axes",
]
MIDDLEWARE = [
    "fnloader_site.monitoring.views.monitoring_middleware",
    "core.logs.RequestContextMiddleware",
    "core.input.input_middleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fnloader_site.preferences.timezone_middleware",
    "axes.middleware.AxesMiddleware",
    "core.visible_controls.visible_controls_middleware",
    "core.throttle.throttle_middleware",
]
ROOT_URLCONF = "fnloader_site.urls"
WSGI_APPLICATION = "fnloader_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fnloader_site.context_processors.navigation",
            ],
            # A library and not an app, so that commands do not load it.
            "libraries": {"lucide": "lucide.templatetags.lucide"},
        },
    }
]

DB_POOLER = env.flag("DB_POOLER", default=False)


def _database(name: str, default: str = "") -> dict[str, Any]:
    """A database's settings, safe for web, jobs and commands at the same time."""
    config = env.database(name, default)
    if config["ENGINE"].endswith("sqlite3"):
        # FULL, because WAL with NORMAL may lose the last commits when the power goes (traps.md, SQLite).
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # 8 MB of pages: lookups in the ledger of 100,000 files need no system call for each page.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000; "
            "PRAGMA cache_size=-8000;",
        }
    elif config["ENGINE"].endswith("postgresql"):
        # By default libpq waits two minutes for a host that does not answer, and hours for one that went away. The URL may
        # say otherwise.
        config["OPTIONS"] = {
            "connect_timeout": 10,
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 50_000,
        } | config.get("OPTIONS", {})
    config["DISABLE_SERVER_SIDE_CURSORS"] = DB_POOLER
    return config


SILENCED_SYSTEM_CHECKS = ["models.W040"]
"""Covering indexes exist on PostgreSQL only: other databases read the rows."""
DATABASES = {"default": _database("DATABASE_URL", "sqlite:///db.sqlite3")} | {
    name.removeprefix("DATABASE_URL_").lower(): _database(name) for name in env.names("DATABASE_URL_")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Ten wrong passwords in a quarter of an hour, for each user from each address.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "fnloader_site.accounts.client_address"
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
AXES_LOCKOUT_TEMPLATE = "accounts/locked.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

# Lists of ids that are pasted, and that travel in a form between two steps (fnloader_site/samples.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = 12_000_000

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["fnloader_site.formats"]
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
    # Django checks this folder too, and would end with a traceback.
    _zone_exists = not Path("/usr/share/zoneinfo").exists() or (Path("/usr/share/zoneinfo") / TIME_ZONE).is_file()
except (KeyError, ValueError, OSError):
    _zone_exists = False
if not _zone_exists:
    env.add_problem(
        "E_TIME_ZONE", "Invalid TIME_ZONE: expected a time zone of this machine", "Use a name such as Europe/London."
    )
    TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from the apps' folders: no collectstatic, no STATIC_ROOT, no manifest.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

X_FRAME_OPTIONS = "DENY"
# Our pages: scripts, styles and images from our own files only; nothing inline, no eval, no other host.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
# The admin's theme needs inline scripts and styles, and eval; it loads nothing from another host either.
ADMIN_CONTENT_SECURITY_POLICY = CONTENT_SECURITY_POLICY["DIRECTIVES"] | {
    "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
}
UNFOLD = {
    "SITE_TITLE": "fnloader",
    "SITE_HEADER": "fnloader",
    "SITE_URL": "/",
    "SITE_ICON": "core.adminsite.icon",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "core.adminsite.icon"}],
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    # The accent colour of our own pages (static/site.css).
    "COLORS": {
        "primary": {
            "50": "#e9f1fa",
            "100": "#d3e3f5",
            "200": "#a9c9ec",
            "300": "#79b5f7",
            "400": "#62a4ec",
            "500": "#4a93e0",
            "600": "#0a5cad",
            "700": "#0a4d8f",
            "800": "#0b4073",
            "900": "#0d335a",
            "950": "#16283c",
        }
    },
}
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
if _https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

REDIS_URL = env.url("REDIS_URL", "redis://127.0.0.1:6379/0", "redis", "rediss", "unix")
JOB_QUEUE = env.text("JOB_QUEUE") or "fnloader"
JOB_WORKERS = int(env.number("JOB_WORKERS", 4, above=0.999))
JOB_STRETCH = env.number("JOB_STRETCH", 60, above=0)
JOB_TIMEOUT = int(env.number("JOB_TIMEOUT", 1800, above=0.999))
SCHEDULES_EDITABLE = env.flag("SCHEDULES_EDITABLE", default=False)
PRUNE_AFTER_DAYS = env.number("PRUNE_AFTER_DAYS", 365, above=-1)
Q_CLUSTER: dict[str, Any] = {
    "name": JOB_QUEUE,
    "label": "Background jobs: queue and results",
    "workers": JOB_WORKERS,
    "timeout": JOB_TIMEOUT,
    "retry": JOB_TIMEOUT + 60,  # above the time-out, else a task runs twice at once (traps.md, django-q2)
    "max_attempts": 1,
    "ack_failures": True,  # its schedule retries a failed job
    "catch_up": False,
    "recycle": 200,
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

USER_REQUESTS_AT_ONCE = int(env.number("USER_REQUESTS_AT_ONCE", 3, above=0.999))
USER_REQUESTS_A_MINUTE = int(env.number("USER_REQUESTS_A_MINUTE", 120, above=0.999))
HOST_NAME = env.text("HOST_NAME", socket.gethostname())
BATCH_STORE_URL = env.url("BATCH_STORE_URL", FORMS, "s3", "oci", "file")
INGEST_LOG_GROUP = env.text("INGEST_LOG_GROUP")
MEDIA_UPLOAD_PAUSE = env.number("MEDIA_UPLOAD_PAUSE", 0.5, above=0)
MEDIA_UPLOAD_THREADS = math.ceil(env.number("MEDIA_UPLOAD_THREADS", 5, above=0))
UPLOAD_HOURS = env.hours("UPLOAD_HOURS")
UPLOAD_STOP_SHARE = env.share("UPLOAD_STOP_SHARE", 0.1)
INGEST_QUIET_MINUTES = env.number("INGEST_QUIET_MINUTES", 30, above=1.999)
HEAL_HOURS = env.number("HEAL_HOURS", 24, above=0)
OPEN_RECORDS_DAYS = env.number("OPEN_RECORDS_DAYS", 14, above=-1)
REPORTS_DIR = Path(env.path("REPORTS_DIR", "reports"))
# By the feed's name in capitals; "" is for all feeds without their own.
FN4_AUTH = {name.removeprefix("FN4_AUTH").strip("_"): env.text(name) for name in env.names("FN4_AUTH")}
for _feed, _auth in FN4_AUTH.items():
    if _auth and ":" not in _auth:
        _name = f"FN4_AUTH_{_feed}".rstrip("_")
        env.add_problem(f"E_{_name}", f"Invalid {_name}: expected user:password", "Set it, or unset it for no login.")
FN4_CA_BUNDLE = env.path("FN4_CA_BUNDLE")
ALLOW_LINK_LOCAL = env.flag("ALLOW_LINK_LOCAL", default=False)
FN4_INSERT_DEADLINE = env.number("FN4_INSERT_DEADLINE", 150, above=0)
if FN4_CA_BUNDLE and not Path(FN4_CA_BUNDLE).is_file():
    env.add_problem(
        "E_FN4_CA_BUNDLE", "Invalid FN4_CA_BUNDLE: file not found", "Set it to the path of a PEM file, or unset it."
    )

# The stores read these from the environment themselves.
OCI_AUTH = env.choice(
    "OCI_AUTH", ("config_file", "instance_principal", "resource_principal", "security_token"), "config_file"
)
env.url("OCI_ENDPOINT", "https://objectstorage.eu-frankfurt-1.oraclecloud.com", "http", "https")
env.export("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
os.environ["FILE_STORES"] = ":".join(env.folders("FILE_STORES"))
if os.environ.get("OCI_CONFIG_FILE"):
    os.environ["OCI_CONFIG_FILE"] = str(BASE_DIR / Path(os.environ["OCI_CONFIG_FILE"]).expanduser())

# Alarms (docs/alarms.md).
ALARM_MAIL = env.addresses("ALARM_MAIL")
ALARM_WEBHOOK_URL = env.url("ALARM_WEBHOOK_URL", "https://chat.example.org/hooks/fnloader", "http", "https")
ALARM_URLS = env.urls("ALARM_URLS")
ALARM_PING_URL = env.url("ALARM_PING_URL", "https://hc-ping.com/…", "http", "https")
METRICS_TOKEN = env.text("METRICS_TOKEN")
vars().update(env.email("EMAIL_URL"))
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("ALARM_FROM", f"fnloader@{_site.hostname or HOST_NAME}")
env.addresses("ALARM_FROM")
if ALARM_MAIL and not env.text("EMAIL_URL"):
    env.add_problem(
        "E_EMAIL_URL", "ALARM_MAIL is set without a mail server.", "Set EMAIL_URL, such as smtp://mail.example.org:25."
    )

LOG_FORMAT = env.choice("LOG_FORMAT", ("text", "json"), "text")
LOG_LEVEL = env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "core.logs.ContextFilter"}, "refused": {"()": "core.logs.RefusedRequestFilter"}},
    "formatters": {
        "text": {
            "()": "core.logs.TextFormatter",
            "format": "{asctime} {levelname} {name}{context}: {message}",
            "style": "{",
        },
        "json": {"()": "core.logs.json_formatter"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["context", "refused"]}
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"fnloader": {"level": LOG_LEVEL}},
}

FN_SENTRY_URL = env.text("FN_SENTRY_URL")
if FN_SENTRY_URL:
    from fnloader_site.sentry import BadDsn, init_sentry

    try:
        init_sentry(FN_SENTRY_URL, HOST_NAME)
    except BadDsn:
        env.add_problem(
            "E_FN_SENTRY_URL",
            "Invalid FN_SENTRY_URL: expected a Sentry DSN",
            "Copy it from the project settings in Sentry.",
        )

SETTINGS_PROBLEMS = env.problems
