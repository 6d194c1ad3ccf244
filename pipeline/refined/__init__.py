"""The refined method: particles one by one, each on a lattice of its own."""
