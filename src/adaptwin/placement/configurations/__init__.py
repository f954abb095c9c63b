"""Configurations: what servers hold, by classes of like adapters, and the linear program that combines them."""
