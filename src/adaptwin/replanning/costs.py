"""Default costs of changing a running fleet, in GPUs: saving a GPU is worth a hundred moves or five restarts."""

MOVE_COST = 0.01
RESTART_COST = 0.2
