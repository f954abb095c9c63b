"""What the twin would say, in microseconds: predictors learned from its runs."""
