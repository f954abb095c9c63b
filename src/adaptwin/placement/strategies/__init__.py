"""Ways to place adapters: one file each, and what several of them share."""
