"""How fast and how large: the benchmarks of docs/benchmarks.md. `python -m bench` runs them all."""
