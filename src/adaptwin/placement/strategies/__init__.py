"""Strategies: ways to place adapters on servers of one profile, one file each."""
