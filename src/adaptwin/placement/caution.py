"""Caution: the planner's safety factors and likelihoods, in one place because they work together.

The surrogate predicts how likely a server is to be overloaded: that it or one of its adapters is starved or backlogged.
Servers are filled up to a given likelihood, the twin makes the final check of each server, and the whole plan is
verified with arrivals that no search has seen. A higher likelihood or a smaller factor yields fewer GPUs per search,
but more servers that the twin refuses or that fail the verification.

The end of a name tells its kind: a `FACTOR` multiplies the traffic that a server must sustain, a `LIKELIHOOD` is one of
overload, a `LOAD` is a share of a GPU's time in the best case (see `lower_bound.least_work`), and a `SHARE` is a share
of a server's load.
"""

# Likelihoods of overload.
FILL_LIKELIHOOD = 0.5  # servers are filled up to it; the twin checks each of them later
RECREATE_LIKELIHOOD = 0.3  # ruin and recreate fills servers up to it: stricter, as the twin checks only its result
LATENCY_LIKELIHOOD = 0.3  # min-latency counts a server up to it as not overloaded
SLOT_LIKELIHOOD = 0.05  # numbers of slots up to it count as equally safe

# Factors on the traffic.
OTHER_ARRIVALS_FACTOR = 1.03  # every server should sustain it where GPUs allow: other seeds draw other arrivals
PART_FACTOR = 1.08  # a part of an adapter that is split in a large fleet must sustain it alone: it has many servers
FEWER_SERVERS_FACTOR = 0.92  # one server fewer must sustain it by the surrogate, which is pessimistic by some 3 %
WORTH_TRYING_FACTOR = 0.8  # one server fewer must sustain it by a simple estimate, or it is not tried
WORTH_SEARCHING_FACTOR = 0.85  # below it, by the same estimate, placement by load and ruin and recreate are not tried
GPU_MIX_FACTOR = 0.97  # a mix of GPU types must sustain it by the surrogate, or the twin is not run
MOVES_FACTOR = 1.25  # moves for latency may lower what a placement sustains down to it
SLOT_STRESS_FACTOR = 1.1  # numbers of slots are compared at it, so that one without headroom does not win
SECOND_SEARCH_FACTOR = 1.03  # a second search fills servers for it, when the servers of the first do not hold
CONFIDENCE_FACTORS = (1.06, 1.1, 1.15, 1.22, 1.3, 1.4, 1.6)  # of further searches, while a plan holds too seldom
REPAIR_FACTOR = 1.05  # a repaired server must sustain it, so that it does not fail the next verification
OUTLINE_FACTOR = 1.05  # `explanation.savings` fills its outlines for it: a plan must hold with other arrivals

REPLAN_TIGHT_FACTOR = 1.1  # a running server that sustains less is relieved if another one is roomy
REPLAN_ROOMY_FACTOR = 1.5  # a server that sustains more has room for adapters of a tight one

# Loads: shares of a GPU's time in the best case.
MOST_LOAD = 1.25  # above it a server is refused outright; it exceeds 1, as requests may be unfinished at the end
DEDICATED_LOAD = 0.3  # an adapter above it may be worth a server of its own
ALONE_LOAD = 0.25  # an adapter up to it surely fits on a server of its own

# Shares of a server's load.
RELIEF_SHARE = 0.03  # taken off a server that the twin refuses; doubled each time it is refused again
CUT_SHARE = 0.015  # by which the highest load in a kind of servers that fails is lowered; doubled each time
RUIN_SHARE = 0.4  # taken off a ruined server; also the most that relief takes off
REPLAN_RELIEF_SHARE = 0.05  # taken off a running server that fails the verification of a re-planned fleet
TAKEOVER_SHARE = 0.985  # limit on a server's load after a failure, relative to the load at which it was refused
REPLAN_BALANCED_SHARE = (
    0.6  # of the headroom that evenly loaded servers would have, each has that share after balancing
)

# Other shares.
ROOM_SHARE = 0.1  # of the further traffic that a placement sustains, which a lower latency is worth
DIVIDED_SHARE = 0.93  # of the servers that are predicted to suffice, which may suffice after all
GROWTH_SHARE = 0.02  # of the servers: where repair adds no more, no second search is made

# Rounds.
RELIEF_ROUNDS = 6  # of taking load off the servers that the twin refuses, in one search
REPAIR_ROUNDS = 8  # of repairs after a verification
MANY_SERVERS = 12  # above it each must sustain `OTHER_ARRIVALS_FACTOR`: among many, some server sees such arrivals
