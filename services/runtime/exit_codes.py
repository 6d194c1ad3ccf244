"""Exit statuses of the command and of every service."""

OK = 0
"""All located or rejected."""
BROKEN = 1
"""The chain itself could not run; the message says which service, and its log."""
USAGE = 2
"""Wrong arguments, topology or metadata table."""
SOME_FAILED = 3
"""The account closes, but some frames are dead letters."""
NOT_CLOSED = 4
"""accepted = located + rejected + failed + in flight does not hold, or frames are still open."""
INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM; the same command goes on where it stopped."""
