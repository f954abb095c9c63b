"""Which adapters go on which GPU, with which settings."""
