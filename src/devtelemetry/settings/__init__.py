"""The settings: what an operator decides.

settings   all settings, with their defaults
notations  how their values are written
file       the TOML file
errors     the errors for wrong values
names      the names of settings as options and as variables
table      the texts about each setting: help, docs/settings.md
"""
