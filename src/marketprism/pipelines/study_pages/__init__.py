"""Pages of the study of market making, one to a module."""
