"""Servers that answer with all that they were sent: what a bad proxy, a debugging page or a hostile owner would do."""

from __future__ import annotations

import socket

from tests.support.raw_server import RawServer


class EchoServer(RawServer):
    """HTTP: answers each request with its own head and body, as the text, the JSON and the XML of an error at once.

    `got` has what came, as it came.
    """

    def __init__(self, status: int = 500) -> None:
        self.status, self.got = status, ""
        super().__init__()

    def answer_all(self, connection: socket.socket) -> None:
        """One request and its answer."""
        request = self._read(connection)
        self.got += request
        # Backslashes and quotes would need to be escaped in JSON.
        echo = " ".join(request.replace('"', "'").replace("\\", "/").split())
        body = self.form(echo, request).encode()
        head = f"HTTP/1.1 {self.status} No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + (b"" if request.startswith("HEAD") else body))

    def form(self, echo: str, request: str) -> str:
        """As the one who asked expects an error: S3 as XML, OCI and CloudWatch as JSON, all others as text."""
        if "X-Amz-Target" in request:
            return f'{{"__type": "OddException", "message": "{echo}"}}'
        if "x-amz-date" in request.lower():
            return f"<Error><Code>Odd</Code><Message>{echo}</Message></Error>"
        if "/n/" in request.partition("\r\n")[0]:
            return f'{{"code": "Odd", "message": "{echo}"}}'
        return echo

    def _read(self, connection: socket.socket) -> str:
        connection.settimeout(5)
        data = b""
        while b"\r\n\r\n" not in data and (part := connection.recv(65536)):
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while lengths and len(body) < lengths[0] and (part := connection.recv(65536)):
            body += part
        return (head + b"\r\n\r\n" + body).decode(errors="replace")


class EchoRedis(RawServer):
    """Redis, as one that does not know AUTH: it names the arguments of the command, as Redis does."""

    def __init__(self) -> None:
        self.got = ""
        super().__init__()

    def answer_all(self, connection: socket.socket) -> None:
        """An error for each command."""
        while data := connection.recv(65536):
            text = data.decode(errors="replace")
            self.got += text
            commands = max(1, text.count("*"))
            words = " ".join(text.split())
            connection.sendall(f"-ERR unknown command, with args beginning with: {words}\r\n".encode() * commands)


class EchoSmtp(RawServer):
    """A mail server that refuses each login, and repeats what it was sent."""

    def __init__(self) -> None:
        self.got = ""
        super().__init__()

    def answer_all(self, connection: socket.socket) -> None:
        """A dialogue to its end."""
        connection.sendall(b"220 echo\r\n")
        with connection.makefile("rb") as lines:
            for raw in lines:
                line = raw.decode(errors="replace").strip()
                self.got += line + "\n"
                if line.lower().startswith("ehlo"):
                    connection.sendall(b"250-echo\r\n250 AUTH PLAIN LOGIN\r\n")
                elif line.lower().startswith("quit"):
                    return
                else:
                    connection.sendall(f"535 5.7.8 refused: {line}\r\n".encode())
