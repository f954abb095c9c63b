"""Workloads from what people have: one file per format."""
