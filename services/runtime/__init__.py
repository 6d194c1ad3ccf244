"""What the processes share: loop, queue state, sockets, topology, ledger, supervision."""
