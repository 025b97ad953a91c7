"""Metrics and log lines for operators. Nothing in this package decides anything."""
