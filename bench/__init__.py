"""How fast, how large and how right: what docs/evidence shows. `python -m bench` runs all."""
