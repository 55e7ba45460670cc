"""Sources: files (one module per format) and venues (one module per venue)."""
