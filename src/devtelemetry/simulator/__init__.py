"""A network of messengers with a known truth, to hold the figures against.

    loss, world, truth, compare   pure: what happens, what of it is true, measured beside true
    node, run                     the world's nodes as real client libraries in real processes
    server, history, demo         `devtelemetry demo`

docs/simulator.md says what it models and what the figures come to.
"""
