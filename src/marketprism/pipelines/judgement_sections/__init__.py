"""Sections of the judgement page, one module for each part of the evidence."""

__all__: list[str] = []
