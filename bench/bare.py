"""The bare script that `bench.load` compares with: signed GET ahead, one POST at a time, and nothing else.

It keeps no records, checks nothing and would lose or double samples at the first fault.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from urllib.parse import quote, urlsplit

import oci
import urllib3

from objectstores.oci_access import SignableRequest

THREADS = 8
AHEAD = 24


def main(server: str, namespace: str, bucket: str) -> None:
    """Loads the whole bucket."""
    signer = oci.Signer.from_config(oci.config.from_file(os.environ["OCI_CONFIG_FILE"]))
    endpoint = os.environ["OCI_ENDPOINT"]
    pool = urllib3.PoolManager(maxsize=THREADS).connection_from_url(endpoint)
    objects = f"/n/{namespace}/b/{bucket}/o"

    def get(target: str) -> bytes:
        request = SignableRequest("GET", endpoint + target, target)
        signer(request, enforce_content_headers=False)
        body: bytes = pool.urlopen("GET", target, headers=request.headers).data
        return body

    def names() -> list[str]:
        found, start = [], ""
        while True:
            page = json.loads(get(f"{objects}?fields=name,timeCreated&limit=1000&start={quote(start)}"))
            found += [(item["timeCreated"], item["name"]) for item in page["objects"]]
            start = page.get("nextStartWith")
            if not start:
                return [name for _, name in sorted(found)]

    where = urlsplit(server)
    with ThreadPoolExecutor(THREADS) as threads:
        wanted = iter(names())
        ahead = [threads.submit(get, f"{objects}/{quote(name, '')}") for name in islice(wanted, AHEAD)]
        while ahead:
            header, _, lines = ahead.pop(0).result().partition(b"\n")
            if (name := next(wanted, None)) is not None:
                ahead.append(threads.submit(get, f"{objects}/{quote(name, '')}"))
            body = b"guid=" + header.partition(b"|")[2] + b"&seq=" + lines.translate(None, b"\n")
            connection = http.client.HTTPConnection(where.hostname or "", where.port)
            connection.request("POST", "/api/v2/insert", body, {"Content-Type": "application/x-www-form-urlencoded"})
            connection.getresponse().read()
            connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
