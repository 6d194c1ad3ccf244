"""The feed: offers each parent's boxes to scan controllers, and keeps what became of each box.

docs/wire-format.md has the conversation, docs/decisions/0016 why it is a process of its own.
"""
