"""One file per image format: bytes to a gray image in its own numbers."""
