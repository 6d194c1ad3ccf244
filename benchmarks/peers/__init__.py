"""`make bench-peers`: the same kernels on the same images under the chain and under others."""
