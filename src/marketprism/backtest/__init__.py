"""The exchange simulator: replay of market data with own orders, latency, queues and fees.

A :class:`~marketprism.backtest.tape.Tape` holds the events of one market, a
:class:`~marketprism.backtest.config.MarketConfig` says how orders get there and what becomes of them, and the
:class:`~marketprism.backtest.engine.Engine` runs strategies over them; ``actions`` is what strategies call.
"""
