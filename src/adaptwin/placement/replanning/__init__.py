"""Changing a fleet that runs: what to change, and in which order."""
