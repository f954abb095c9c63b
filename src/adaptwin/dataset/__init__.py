"""Datasets of many runs of the twin, from which the surrogate is trained."""
