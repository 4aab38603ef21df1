"""What is wrong now: which group, since when, how much; from the stored results alone.

In the order of the data's way:

    read      the windows of the last weeks, as lines of counts
    line      counts of one unit, window after window: what is expected of a span. Pure
    judge     whether a span loses more than the same hours of earlier days; since when. Pure
    explain   the widest causes, and what they do not explain. Pure
    problem   a problem as a value, in words and as JSON
    series    problems as metrics

docs/problems.md says what it rests on, docs/evidence/problems.md how often it is right.
"""
