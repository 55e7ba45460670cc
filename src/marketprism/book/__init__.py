"""Order-book kernels, sequencing state machines, integrity."""
