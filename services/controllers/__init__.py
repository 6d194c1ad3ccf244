"""Where coordinates go: what every scan controller's adapter has in common, and the adapters.

An adapter is one file here with `build(settings) -> Controller` (controller.py); `haadflow
controller NAME` runs the one of that name as a process of its own.
"""
