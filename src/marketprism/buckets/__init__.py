"""Sampling clocks: volume (UBT), time, count, book-update, hybrid, adaptive, reference."""

from __future__ import annotations

from marketprism.buckets.calibrate import Calibration, calibrate
from marketprism.buckets.clock import BucketClock, BucketCuts
from marketprism.buckets.config import BucketConfig
from marketprism.buckets.health import BucketHealth, bucket_health
from marketprism.buckets.lookup import BucketConfigRow, ResolvedConfig, resolve_config
from marketprism.buckets.record import BUCKET_DTYPE, Cut, Trigger

__all__ = [
    "BUCKET_DTYPE",
    "BucketClock",
    "BucketConfig",
    "BucketConfigRow",
    "BucketCuts",
    "BucketHealth",
    "Calibration",
    "Cut",
    "ResolvedConfig",
    "Trigger",
    "bucket_health",
    "calibrate",
    "resolve_config",
]
