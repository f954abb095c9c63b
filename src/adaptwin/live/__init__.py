"""Everything that talks to running servers: measuring them, sending them traffic, saying what limits them."""
