"""What the hardware costs: memory, steps, loads and the scheduler, as constants and pure functions of them."""
