"""Export targets: each writes a plan in the form that a serving stack reads."""
