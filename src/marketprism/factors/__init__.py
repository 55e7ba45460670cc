"""Every factor, one module per family, and the registry."""
