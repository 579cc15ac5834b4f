"""`python -m sandbox NAME`: run one stand-in until Ctrl-C."""

import importlib
import sys

STAND_INS = {
    "oci": "OCI Object Storage, its native REST API with signed requests",
    "fn4": "findNeighbour4, a server for pathogen relatedness",
    "s3": "Amazon S3 (a SeaweedFS server)",
    "faultproxy": "a proxy in front of S3 that fails on demand",
    "logs": "Amazon CloudWatch Logs, its JSON protocol",
    "ingest": "the Lambda that ingests the objects of the fast import bucket",
}


def usage() -> str:
    """What can be started, one line each."""
    lines = [f"  {name:12}{what}" for name, what in STAND_INS.items()]
    head = "usage: python -m sandbox NAME [--help] [options of NAME]\n\n"
    head += "Stand-ins for tests and demos:\n"
    return head + "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the named stand-in; returns its exit status, or 2 for an unknown name."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in STAND_INS:
        print(f"unknown stand-in: {name}\n\n{usage()}", file=sys.stderr)
        return 2
    # Imported here: starting must be quick.
    return int(importlib.import_module(f"sandbox.{name}").main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
