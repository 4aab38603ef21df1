"""A network of messengers with a known truth, to hold the figures against.

    loss, spec                    pure: what is asked
    chance, away, deliver, world  pure: what happens
    reports                       pure: what of it is reported
    truth, compare                pure: what of it is true, and measured beside that
    node, run                     the world's nodes as real client libraries in real processes
    server, history, demo         `devtelemetry demo`
    audit                         pure: what `simulate --audit` injects, and the truth of it
    inject                        how it does, in a deployment that is in use

docs/simulator.md says what it models, docs/audit.md what an audit is, and
docs/evidence/networks.md what a server measured of such networks.
"""
