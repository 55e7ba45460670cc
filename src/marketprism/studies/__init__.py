"""Studies of market making: prepared experiments on one tape, each with the numbers that its page shows."""
