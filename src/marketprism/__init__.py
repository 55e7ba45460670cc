"""MarketPrism."""
