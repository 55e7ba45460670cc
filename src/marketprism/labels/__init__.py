"""Forward labels."""
