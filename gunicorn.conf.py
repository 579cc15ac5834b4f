"""Settings of gunicorn for `serve`, the container and the systemd unit. GUNICORN_CMD_ARGS overrides them."""

import os

wsgi_app = "fnloader_site.wsgi"
bind = os.environ.get("BIND", "127.0.0.1:8000")
# Threads, as pages mostly wait for the database; two processes, so that one may fail.
workers = 2
threads = 8
worker_class = "gthread"
timeout = 120
graceful_timeout = 30
# Workers restart now and then, in case a library leaks memory.
max_requests = 10_000
max_requests_jitter = 1_000
control_socket_disable = True
