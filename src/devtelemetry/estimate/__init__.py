"""What counts say beyond themselves: how sure a ratio is, and what nobody saw. Pure.

    student            quantiles and tails of Student's t distribution
    interval, verdict  how sure a delivery ratio is; whether one is better than another
    matched            two kinds of receivers compared where both are
    delay              how much arrived in time
    unseen             messages that nobody received

docs/evidence/intervals.md and unseen.md say what each means, how good it is, and where it fails.
"""
