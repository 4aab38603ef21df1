"""Releases: when each version was first seen, who has it, and whether a new one delivers as well.

    adoption    when versions were first seen, and what share has them; from the stored results
    asked       which two versions to compare, and where. Pure
    comparison  compares two versions in the same windows, channels and platforms; from the samples
    notes       the team's notes
    decide      ship, hold, or wait for more receivers. Pure

docs/releases.md describes the method, docs/evidence/releases.md how often it is right.
"""
