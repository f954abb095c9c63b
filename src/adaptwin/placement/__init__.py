"""Placement: finding a plan.

Its layers, from the top down: fleet, make_plan, planner, spares, objectives, strategies, verification, packing,
capacity, lower_bound, caution.
"""
