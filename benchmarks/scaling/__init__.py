"""Throughput against workers and cores, and a model of where the next bottleneck is."""
