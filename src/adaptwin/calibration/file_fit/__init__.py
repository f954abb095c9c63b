"""Fits to what people have: a derived profile, corrected with logs and benchmark results of a server."""
