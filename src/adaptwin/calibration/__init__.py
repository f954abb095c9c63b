"""From measurements to a profile, and back: what was measured, the fit, the comparison."""
