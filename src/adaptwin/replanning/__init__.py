"""Changing a fleet that runs: a new plan that moves little, and the steps to it."""
