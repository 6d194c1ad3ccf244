"""Fuzzers, for `make fuzz`: minutes or hours, not part of the suite."""
