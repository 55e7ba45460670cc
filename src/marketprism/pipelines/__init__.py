"""The only place where I/O meets the pure layers."""
