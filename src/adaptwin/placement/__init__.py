"""Finding a plan, to be read from the top down.

fleet, make_plan, spares, objectives, strategies, verification, packing, capacity, lower_bound.
"""
