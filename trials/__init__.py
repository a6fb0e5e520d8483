"""Trials of a running service: faults, hostile input, long load. Each is one command that prints a table."""
