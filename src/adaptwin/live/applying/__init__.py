"""Applying a plan: the steps that bring running servers to it, taken over their API, with no adapter ever unserved."""
