"""Caution: how sure the planner wants to be, in one place, because these figures work together.

The surrogate tells how likely it is that a server is overloaded: that any of its adapters starves or waits in a growing
queue. Servers are filled up to a likelihood, the twin has the last word on each, and the plan as a whole is verified
with arrivals that no search has seen. A higher likelihood or a smaller factor means fewer GPUs per search, and more
servers that the twin refuses or that fail the verification.

Names tell the kind: a `FACTOR` is times the traffic that a server must bear, a `LIKELIHOOD` one of overload, a `LOAD` a
share of a GPU's time in the best case (see `lower_bound.least_work`), and a `SHARE` one of a server's load.
"""

# Likelihoods of overload.
FILL_LIKELIHOOD = 0.5  # up to which servers are filled: the twin asks about each of them later
RECREATE_LIKELIHOOD = 0.3  # up to which ruin and recreate fills: the twin asks only at its end, so it is stricter
LATENCY_LIKELIHOOD = 0.3  # up to which min-latency thinks that a server serves
SLOT_LIKELIHOOD = 0.05  # up to which numbers of slots are equally good, whatever the likelihood

# Factors on the traffic.
OTHER_ARRIVALS_FACTOR = 1.03  # that every server should bear where there is room: other seeds bring other arrivals
FEWER_SERVERS_FACTOR = 0.92  # that the surrogate must find one server fewer to bear: it is careful by some 3 %
WORTH_TRYING_FACTOR = 0.8  # that one server fewer should bear by the numbers, for it to be tried at all
WORTH_SEARCHING_FACTOR = 0.85  # and for more than one order: placement by load, ruin and recreate
GPU_MIX_FACTOR = 0.97  # that the surrogate must find a mix of GPU types to bear, for the twin to be asked
SLOT_STRESS_FACTOR = 1.1  # under which numbers of slots are compared, so that a choice without any room does not win
SECOND_SEARCH_FACTOR = 1.03  # for which servers are filled in a second search, when those of the first do not hold
REPAIR_FACTOR = 1.05  # that a repaired server must bear, so that it does not fail the next verification
OUTLINE_FACTOR = 1.05  # for which `explanation.savings` fills its outlines: a plan must hold with other arrivals

# Loads: shares of a GPU's time in the best case.
MOST_LOAD = 1.25  # beyond which a server is refused unasked: what is in flight at the end was not served
ALONE_LOAD = 0.25  # up to which an adapter surely fits on a server of its own

# Shares of a server's load.
RELIEF_SHARE = 0.03  # that is taken off a server which the twin refuses; twice as much the next time
RUIN_SHARE = 0.4  # that is taken off a ruined server, and the most that relief takes off
REPLAN_RELIEF_SHARE = 0.05  # that is taken off a running server which fails the verification of a re-planned fleet
TAKEOVER_SHARE = 0.985  # of the load with which a server was refused after a failure, that it is to take over next time

# Rounds.
RELIEF_ROUNDS = 6  # of taking load off the servers that the twin refuses, in one search
REPAIR_ROUNDS = 8  # of repairs after a verification
MANY_SERVERS = 12  # beyond which each must bear `OTHER_ARRIVALS_FACTOR`: one of so many does see such arrivals
