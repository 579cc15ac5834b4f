"""Settings of gunicorn for `serve`, the container and the systemd unit. GUNICORN_CMD_ARGS overrides them."""

import os

wsgi_app = "fnloader_site.wsgi"
bind = os.environ.get("BIND", "127.0.0.1:8000")
# Two processes, so that one may fail. Most threads wait for clients; few work at once (core/web_worker.py).
workers = 2
threads = 128
worker_class = "core.web_worker.DeadlineWorker"
timeout = 120
graceful_timeout = 30
# Workers restart now and then, in case a library leaks memory.
max_requests = 10_000
max_requests_jitter = 1_000
control_socket_disable = True
