"""Market makers and execution: closed forms, estimates of their parameters, and the compiled loop that runs them.

:func:`~marketprism.strategies.runner.simulate` runs a built-in or an own strategy over tapes;
``STRATEGIES`` in :mod:`~marketprism.strategies.registry` lists the built-in ones.
"""
