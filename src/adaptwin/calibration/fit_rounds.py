"""FIT_ROUNDS: how often a fit simulates every run at its measured pace, by default."""

FIT_ROUNDS = 4
