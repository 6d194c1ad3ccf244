"""Where coordinates go."""
