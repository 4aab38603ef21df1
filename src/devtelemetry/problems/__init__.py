"""What is wrong now: which unit, since when, how much. Reads stored results, no samples.

In the order of the data's way:

    read      reads the windows of the last weeks, as lines of counts
    line      the counts of one unit, window after window, and what a span should lose. Pure
    judge     whether a span loses more than the same hours of earlier days, and since when. Pure
    explain   the widest causes, and what they do not explain. Pure
    problem   a problem as a value, in words and as JSON
    series    problems as metrics

docs/problems.md describes the method, docs/evidence/problems.md how often it is right.
"""
