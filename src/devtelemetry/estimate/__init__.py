"""Estimates from counts: how sure a ratio is, and how many messages nobody saw. Pure.

    student            quantiles and tails of Student's t distribution
    interval, verdict  how sure a delivery ratio is; whether one is better than another
    matched            two kinds of receivers, compared only where both are
    delay              how much arrived in time
    unseen             messages that no reporting receiver holds
    plan, machines     which interval to expect from a share of users; which machines a fleet needs

docs/evidence/ says what each means, how good it is, and where it fails.
"""
