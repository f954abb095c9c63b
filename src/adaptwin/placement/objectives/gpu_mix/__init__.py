"""Mixes of GPU types at a low price."""
