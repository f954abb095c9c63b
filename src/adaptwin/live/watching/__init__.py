"""Watching a running fleet: its traffic against its plan, what the next hour brings, and the plan that it needs."""
