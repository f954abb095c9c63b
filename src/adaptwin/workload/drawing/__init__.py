"""Requests drawn from a workload: random streams, sorting, answers that end early."""
