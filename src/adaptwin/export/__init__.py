"""Export targets: each writes a plan in the format of a serving stack."""
