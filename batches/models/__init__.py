"""Batches, their records, steps and checks."""

from batches.models.batch import Batch
from batches.models.check import IngestCheck, IngestCount
from batches.models.record import BatchRecord
from batches.models.step import BatchStep

__all__ = ["Batch", "BatchRecord", "BatchStep", "IngestCheck", "IngestCount"]
