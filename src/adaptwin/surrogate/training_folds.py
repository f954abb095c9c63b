"""TRAINING_FOLDS: into how many parts training splits the mixes, by default; each is held out once."""

TRAINING_FOLDS = 3
