"""Workloads: adapters, their requests, and when these arrive."""
