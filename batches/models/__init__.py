"""Batches, their records, steps, checks and corrections."""

from batches.models.batch import Batch
from batches.models.check import IngestCheck, IngestCount
from batches.models.correction import Correction
from batches.models.record import BatchRecord
from batches.models.step import BatchStep

__all__ = ["Batch", "BatchRecord", "BatchStep", "Correction", "IngestCheck", "IngestCount"]
