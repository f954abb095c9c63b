"""Changing a running fleet: a new plan that moves few adapters, and the steps to it."""
