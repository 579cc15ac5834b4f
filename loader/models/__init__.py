"""Feeds, servers, files and load attempts."""

from loader.models.attempts import BatchLoad, LoadAttempt
from loader.models.counters import Tally, TallyMark
from loader.models.feeds import Feed, Server
from loader.models.findings import Finding
from loader.models.objects import BucketObject
from loader.models.readings import ServerReading
from loader.models.twins import TwinComparison, TwinFinding

__all__ = [
    "BatchLoad",
    "BucketObject",
    "Feed",
    "Finding",
    "LoadAttempt",
    "Server",
    "ServerReading",
    "Tally",
    "TallyMark",
    "TwinComparison",
    "TwinFinding",
]
