"""Inter-token gaps of the compiled twin: counted for all decodes as they come, taken back for who did not finish."""

from adaptwin.jit import compiled
from adaptwin.twin.token_gaps import bin_of


@compiled
def take_back(gaps, gap_sum, unfinished, segments, resumes, finish, step_end, step_apart, steps, warmup):
    """Take the gaps of unfinished requests out of the histogram; returns the sum without them.

    Args:
        gaps: The histogram, by `gap_bin`.
        gap_sum: The sum of all gaps.
        unfinished: By step, the change in the number of unfinished requests that it gave a token after another.
        segments: Rows of request, first and last step: what a request that was preempted got before that.
        resumes: Rows of request and gap: from a preempted request's last token to its next.
        finish: Of all requests; negative for the unfinished ones.
        step_end: When the client saw each step's tokens.
        step_apart: Steps whose tokens are chunks of their own, even if they came together with the step before.
        steps: How many there were.
        warmup: Gaps that end by then were not counted.
    """
    for i in range(len(segments)):
        if finish[segments[i, 0]] < 0:
            unfinished[segments[i, 1]] += 1
            unfinished[segments[i, 2] + 1] -= 1
    for i in range(len(resumes)):
        if finish[resumes[i, 0]] < 0:
            gaps[bin_of(resumes[i, 1])] -= 1
            gap_sum -= resumes[i, 1]
    decodes = 0
    for s in range(1, steps + 1):
        decodes += unfinished[s]
        gap = step_end[s] - step_end[s - 1]
        if decodes > 0 and (gap > 0 or step_apart[s]) and step_end[s] > warmup:
            gaps[bin_of(gap)] -= decodes
            gap_sum -= gap * decodes
    return gap_sum
