"""The loop, closed on a simulated microscope: survey, chain, feed, adapter, comparison."""
