"""Runs of the twin by the hundred thousand, as data to learn from."""
