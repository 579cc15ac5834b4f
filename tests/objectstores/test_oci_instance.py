"""An instance principal: metadata and identity service are emulated, the SDK between them and the signature are real."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from objectstores.oci_access import OciAccess
from tests.support.tls_front import TlsFront

HOST = "auth.uk-london-1.oraclecloud.com"
PEM = serialization.Encoding.PEM


class Cloud(BaseHTTPRequestHandler):
    """The metadata service of an instance, OCI's identity service, and a proxy that leads to the latter."""

    front: TlsFront
    key: rsa.RSAPrivateKey
    asked: list[dict[str, str]]

    def do_GET(self) -> None:
        """Metadata: who the instance is."""
        assert self.headers["Authorization"] == "Bearer Oracle"
        what = self.path.rpartition("/")[2]
        self._send(_metadata(self.key)[what])

    def do_POST(self) -> None:
        """A token for the key that is sent."""
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        parts = ({"alg": "none"}, {"exp": int(time.time()) + 3600, "number": len(self.asked)})
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        self._send(json.dumps({"token": token + ".c2ln"}).encode())

    def do_CONNECT(self) -> None:
        """As a proxy does: bytes both ways."""
        assert self.path == f"{HOST}:443"
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("localhost", urlsplit(self.front.url).port or 0)) as behind:
            back = threading.Thread(target=_copy, args=(behind, self.connection))
            back.start()
            _copy(self.connection, behind)
            back.join()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _metadata(key: rsa.RSAPrivateKey) -> dict[str, bytes]:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "opc-tenant:ocid1.tenancy.oc1..t")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256()).public_bytes(PEM)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "cert.pem": certificate,
        "key.pem": private,
        "intermediate.pem": certificate,
        "region": b"uk-london-1",
        "regionInfo": b'{"realmKey": "oc1", "realmDomainComponent": "oraclecloud.com", "regionKey": "LHR",'
        b' "regionIdentifier": "uk-london-1"}',
    }


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Cloud]]:
    """The services, and an environment that leads to them."""
    handler = type("Here", (Cloud,), {"asked": [], "key": rsa.generate_private_key(65537, 2048)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        with TlsFront(endpoint, tmp_path, host=HOST) as front:
            handler.front = front  # type: ignore[attr-defined]
            monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{endpoint}/opc/v2")
            monkeypatch.setenv("HTTPS_PROXY", endpoint)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.ca_bundle))
            yield handler
        server.shutdown()
        thread.join()


def test_an_instance_gets_a_token_for_its_key_and_signs_with_it(cloud: type[Cloud]) -> None:
    access = OciAccess({"OCI_AUTH": "instance_principal"})
    assert access.endpoint == "https://objectstorage.uk-london-1.oraclecloud.com"
    headers = access.sign("GET", "/n/space/b/queue/o", {})
    given = dict(re.findall(r'(\w+)="([^"]*)"', headers["authorization"]))
    assert given["keyId"].startswith("ST$")
    (asked, *_) = cloud.asked
    public = serialization.load_der_public_key(base64.b64decode(asked["publicKey"]))
    assert isinstance(public, rsa.RSAPublicKey)
    signed = {"(request-target)": "get /n/space/b/queue/o", **headers}
    text = "\n".join(f"{name}: {signed[name]}" for name in given["headers"].split())
    public.verify(base64.b64decode(given["signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_after_a_refusal_it_gets_a_new_token(cloud: type[Cloud], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstores.oci_access.MIN_RENEWAL_INTERVAL", 0.0)
    access = OciAccess({"OCI_AUTH": "instance_principal"})
    first = access.sign("GET", "/n", {})["authorization"]
    assert access.renew()
    assert access.sign("GET", "/n", {})["authorization"] != first
    assert len(cloud.asked) == 2
