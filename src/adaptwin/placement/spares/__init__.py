"""Spares: what a plan keeps ready for servers that fail."""
