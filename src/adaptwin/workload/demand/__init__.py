"""Demand: the mean load that a workload puts on a server, in figures that can be added up."""
