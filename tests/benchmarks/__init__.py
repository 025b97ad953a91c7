"""Measurements of the promises about speed and size; `make bench` runs them and writes bench.json."""
