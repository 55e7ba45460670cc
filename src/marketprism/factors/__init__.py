"""Every factor, one module per family, the registry that finds them and the engine that runs them."""
