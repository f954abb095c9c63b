"""Measurements of real servers: fit a profile to them, and compare the twin with them."""
