"""Benchmarks; run them as modules from the repository: ``python -m bench.engine``."""
