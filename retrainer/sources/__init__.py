"""Adapters that report facts and make no decisions. Each offers batches to an `Intake` and acknowledges stored ones."""
