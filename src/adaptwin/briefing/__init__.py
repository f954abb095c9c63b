"""Briefing about a plan, for its report: every adapter simulated, a naive plan beside it, and more traffic."""
