"""Benchmarks of the promised speed and size. `make bench` runs them and writes bench.json."""
