"""How gunicorn serves the site: read by `serve`, the container and the systemd unit. GUNICORN_CMD_ARGS goes before it."""

import os

wsgi_app = "fnloader_site.wsgi"
bind = os.environ.get("BIND", "127.0.0.1:8000")
# Threads, because a page waits for the database more than it reckons; two processes, so that one may die.
workers = 2
threads = 8
worker_class = "gthread"
timeout = 120
graceful_timeout = 30
# A worker begins anew now and then, whatever a library may leak.
max_requests = 10_000
max_requests_jitter = 1_000
control_socket_disable = True
