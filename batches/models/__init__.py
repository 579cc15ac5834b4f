"""Batches, their records, steps, checks, courses, corrections and tags."""

from batches.models.batch import Batch
from batches.models.check import IngestCheck, IngestCount
from batches.models.correction import Correction
from batches.models.course import IngestCourse
from batches.models.record import BatchRecord
from batches.models.step import BatchStep
from batches.models.tag import BatchTag

__all__ = ["Batch", "BatchRecord", "BatchStep", "BatchTag", "Correction", "IngestCheck", "IngestCount", "IngestCourse"]
