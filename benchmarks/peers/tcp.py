"""Bytes through this process's TCP connections, as the kernel counts them."""

from __future__ import annotations

import os
import socket
import struct

import psutil

_COUNTS = struct.Struct("@QQ")
_COUNTS_AT = 120
"""Of `bytes_acked` and `bytes_received` in Linux's `struct tcp_info`."""


def bytes_through() -> int:
    """Return the payload bytes of all open connections, both directions, each byte once.

    What a connection carried that has been closed since is not in it.
    """
    connections = [
        connection
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED
    ]
    ends = {(connection.laddr, connection.raddr) for connection in connections}
    total = 0
    for connection in connections:
        counts = _counts(connection.fd)
        if counts is None:
            continue
        sent, received = counts
        # Where the other end is in this process too, it counts as sent there.
        both_here = (connection.raddr, connection.laddr) in ends
        total += sent if both_here else sent + received
    return total


def _counts(fd: int) -> tuple[int, int] | None:
    """Return (acknowledged, received) of a connection; None if it has been closed meanwhile."""
    try:
        with socket.socket(fileno=os.dup(fd)) as connection:
            info = connection.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTS_AT + _COUNTS.size
            )
    except OSError:
        return None
    sent, received = _COUNTS.unpack_from(info, _COUNTS_AT)
    return sent, received
