"""Order-book kernels, sequencing state machines, integrity."""

from __future__ import annotations

from marketprism.book.book import Book
from marketprism.book.config import BookConfig
from marketprism.book.views import DEPTH_LEVELS, VIEW_DTYPE, BookViews, ViewStatus

__all__ = ["DEPTH_LEVELS", "VIEW_DTYPE", "Book", "BookConfig", "BookViews", "ViewStatus"]
