"""Types, units, time, instruments, configuration, errors and random streams: what every layer stands on."""
