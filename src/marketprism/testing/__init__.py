"""Public check suites."""
