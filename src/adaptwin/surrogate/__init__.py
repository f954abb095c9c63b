"""Predictions, in microseconds, of what the twin would report: models trained on its runs."""
