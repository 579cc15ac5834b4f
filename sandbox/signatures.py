"""The signatures of OCI requests: a key pair and configuration made at start, and the check of each request.

HTTP signatures (draft-cavage) as the SDK makes them: RSA-SHA256 over (request-target), date and host, and for a body
over its length, type and digest, except that the bodies of PUT object are not signed.
"""

import base64
import email.utils
import hashlib
import json
import re
import time
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.http import RawRequest

TENANCY = "ocid1.tenancy.oc1..sandbox"
USER = "ocid1.user.oc1..sandbox"
REGION = "uk-london-1"
SKEW = 300
TOKEN_SECONDS = 3600
_AUTHORIZATION = re.compile(r'(\w+)="([^"]*)"')
_ALWAYS = {"(request-target)", "host"}
_WITH_BODY = {"content-length", "content-type", "x-content-sha256"}
_PADDING = padding.PKCS1v15()
_HASH = hashes.SHA256()


class NotAuthenticatedError(Exception):
    """An invalid signature, for the reason in the text."""


class Keys:
    """One key pair, for the API key of a user and for a security token, kept in a folder.

    Existing keys are used again, so that clients survive a killed server.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.key_file = folder / "key.pem"
        self.token_file = folder / "token"
        self.public = self._load_or_make().public_key()
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.md5(self.public.public_bytes(*form), usedforsecurity=False).hexdigest()
        self.fingerprint = ":".join(digest[at : at + 2] for at in range(0, 32, 2))
        self.user_key_id = f"{TENANCY}/{USER}/{self.fingerprint}"
        self.token_ends = self._issue_tokens()

    def _load_or_make(self) -> rsa.RSAPrivateKey:
        if self.key_file.exists():
            found = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
            if isinstance(found, rsa.RSAPrivateKey):
                return found
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write(self.key_file, made.private_bytes(*form))
        return made

    def _issue_tokens(self) -> dict[str, float]:
        """When each security token ends, by its key id: a new one in the file, and the one that was there."""
        ends = time.time() + TOKEN_SECONDS
        known = {f"ST${self.token_file.read_text()}": ends} if self.token_file.exists() else {}
        token = _token(ends)
        _write(self.token_file, token.encode())
        return {**known, f"ST${token}": ends}

    def write_config(self) -> Path:
        """Write a configuration of the SDK beside the keys, all readable by us only; returns the file.

        Profiles: DEFAULT (API key) and TOKEN (security token).
        """
        common = f"tenancy={TENANCY}\nregion={REGION}\nfingerprint={self.fingerprint}\nkey_file={self.key_file}\n"
        text = f"[DEFAULT]\nuser={USER}\n{common}\n[TOKEN]\nsecurity_token_file={self.token_file}\n{common}"
        return _write(self.key_file.with_name("config"), text.encode())

    def check(self, request: RawRequest, *, body_is_signed: bool) -> None:
        """NotAuthenticatedError unless the request is signed with our key, in time, in all that must be signed."""
        given = dict(_AUTHORIZATION.findall(request.headers.get("authorization", "")))
        key_id = given.get("keyId", "")
        if key_id != self.user_key_id and self.token_ends.get(key_id, 0) < time.time():
            raise NotAuthenticatedError("The required information to complete authentication was not provided.")
        if given.get("algorithm") != "rsa-sha256":
            raise NotAuthenticatedError("The algorithm must be rsa-sha256.")
        signed = given.get("headers", "date").split(" ")
        _check_what_is_signed(request, set(signed), body_is_signed=body_is_signed)
        _check_date(request)
        try:
            text = "\n".join([_line(request, name) for name in signed])
            signature = base64.b64decode(given.get("signature", ""), validate=True)
            self.public.verify(signature, text.encode("latin-1"), _PADDING, _HASH)
        except (InvalidSignature, ValueError, KeyError):
            raise NotAuthenticatedError("Failed to verify the HTTP(S) Signature.") from None


def _write(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def _token(ends: float) -> str:
    # Shaped like a JWT: clients read its expiry.
    parts = [{"alg": "none", "typ": "JWT"}, {"sub": USER, "tenant": TENANCY, "exp": int(ends), "iss": "sandbox"}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2FuZGJveA"])


def _check_what_is_signed(request: RawRequest, signed: set[str], *, body_is_signed: bool) -> None:
    needed = _ALWAYS | {"x-date" if "x-date" in request.headers else "date"}
    if body_is_signed:
        needed |= _WITH_BODY
    if missing := needed - signed:
        raise NotAuthenticatedError(f"Not signed: {', '.join(sorted(missing))}.")
    if "x-content-sha256" in signed:
        digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        if digest != request.headers.get("x-content-sha256"):
            raise NotAuthenticatedError("The body is not the one that was signed.")


def _check_date(request: RawRequest) -> None:
    text = request.headers.get("x-date") or request.headers.get("date", "")
    parsed = email.utils.parsedate_tz(text)
    if parsed is None or abs(email.utils.mktime_tz(parsed) - time.time()) > SKEW:
        raise NotAuthenticatedError(f"Date '{text}' is not within allowed clock skew.")


def _line(request: RawRequest, name: str) -> str:
    if name == "(request-target)":
        return f"(request-target): {request.method.lower()} {request.target}"
    return f"{name}: {request.headers[name]}"
