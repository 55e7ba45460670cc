"""Market generators."""
