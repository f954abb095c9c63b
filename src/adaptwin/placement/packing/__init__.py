"""What strategies and objectives build with: items, orders, filling, balancing, repairing."""
