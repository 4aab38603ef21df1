"""The settings: what an operator decides.

settings   all of them, with their defaults
notations  how their values are written
file       the TOML file
errors     what is said of a value that is wrong
names      what a setting is called where
table      what a person is told about each: help, docs/settings.md
"""
