"""Packing: what strategies and objectives are built from - items, orders, filling, balancing, repair."""
