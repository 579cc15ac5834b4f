# One image for every process: web (the default), jobs (`manage.py qcluster`), and any command. See docs/operations.md.
FROM python:3.12-slim AS build
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home fnloader && mkdir /data && chown fnloader /data
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py gunicorn.conf.py pyproject.toml ./
COPY fnloader_site fnloader_site
COPY objectstores objectstores
COPY core core
COPY batches batches
COPY loader loader
COPY templates templates
COPY static static
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    BIND=0.0.0.0:8000 DATABASE_URL=sqlite:////data/db.sqlite3 REPORTS_DIR=/data/reports
USER fnloader
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn"]
