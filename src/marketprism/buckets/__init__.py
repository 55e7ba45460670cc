"""Sampling clocks: volume (UBT), time, count, book-update, hybrid, adaptive."""

from __future__ import annotations

from marketprism.buckets.clock import BucketClock, BucketCuts
from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import BUCKET_DTYPE, Cut, Trigger

__all__ = ["BUCKET_DTYPE", "BucketClock", "BucketConfig", "BucketCuts", "Cut", "Trigger"]
