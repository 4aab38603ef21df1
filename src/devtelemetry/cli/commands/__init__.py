"""The arguments and options of each command. Imports little at the top, so that --help is fast."""
