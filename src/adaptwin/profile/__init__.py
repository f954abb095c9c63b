"""Profiles: what a server costs in memory and time, as constants and pure functions of them."""
