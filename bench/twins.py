"""What `feed compare` takes for two servers of a million samples each: seconds, and the peak of its memory (`make bench`).

The servers are stand-ins of this file that only list ids, in another order each: the real one answers the same JSON. A hundred
samples are missing from each, a hundred have too many N in one of them, and one in twenty in both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPARE = """
import json, resource, sys, time
import django
django.setup()
from loader.maintenance.twins_job import find_twin
from loader.maintenance.twins import server_comparison
start, cpu = time.monotonic(), time.process_time()
twins = [find_twin(url, "default") for url in sys.argv[1:3]]
with server_comparison(*twins, "default") as compared:
    found = sum(1 for _ in compared.differences())
print(json.dumps({"differences": found, "summary": compared.summary, "seconds": time.monotonic() - start,
    "cpu": time.process_time() - cpu, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def serve(number: int, which: int) -> None:
    """One server: prints its port, and serves until it is stopped."""
    order = random.Random(which)
    missing = range(100) if which == 1 else range(100, 200)
    ids = [f"run{index % 500:03}-{index:012x}" for index in range(number) if index not in missing]
    order.shuffle(ids)
    invalid = [
        guid for guid in ids if int(guid[-12:], 16) % 20 == 0 or (which == 1 and int(guid[-12:], 16) % 10_001 == 1)
    ]
    answers = {"guids": json.dumps(ids).encode(), "invalid_guids": json.dumps(invalid).encode()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path.rpartition("/")[2], b"false")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def running(number: int, which: int) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    words = [sys.executable, "-m", "bench.twins", "--serve", str(which), "--ids", str(number)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.ids[0], options.serve)
    for number in options.ids:
        with tempfile.TemporaryDirectory() as folder, running(number, 1) as first, running(number, 2) as second:
            environment = os.environ | {
                "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
                "SECRET_KEY": "bench",
                "DJANGO_SETTINGS_MODULE": "fnloader_site.settings",
            }
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            words = [sys.executable, "-c", COMPARE, first, second]
            result = subprocess.run(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            measured = json.loads(result.stdout)
            print(
                f"{number:,} ids each: {measured['seconds']:.1f} s, {measured['cpu']:.1f} s of processor, "
                f"peak {measured['mb']:.0f} MB; {measured['differences']:,} differences ({measured['summary']})"
            )


if __name__ == "__main__":
    main()
