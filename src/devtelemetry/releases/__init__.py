"""Releases: since when each version is there, who has it, and whether a new one delivers as well.

    adoption    when versions were first seen and what share has them, from the stored results
    asked       which two versions are compared, and where. Pure
    comparison  a version beside another one in the same windows, channels and platforms, from
                the samples
    notes       what the team noted
    decide      ship, hold, or wait for more receivers. Pure

docs/releases.md says what it rests on, docs/evidence/releases.md how often it is right.
"""
