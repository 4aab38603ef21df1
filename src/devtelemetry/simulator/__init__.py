"""A network of messengers with a known truth, with which the figures are compared.

    loss, spec                    pure: what to simulate
    chance, away, deliver, world  pure: what happens
    reports                       pure: what the clients report of it
    truth, compare                pure: the true figures, and measured ones beside them
    node, run                     the world's nodes as real client libraries in real processes
    server, history, demo         `devtelemetry demo`
    audit                         pure: what `simulate --audit` injects, and its true counts
    inject                        injects an audit into a deployment that is in use

docs/simulator.md says what is modelled, docs/audit.md what an audit is, and
docs/evidence/networks.md what a server measured in such networks.
"""
