"""Verification: whether a plan holds with seeds that the search did not use, and forecasts for its servers."""
