"""Mixes of GPU types for the lowest price."""
