"""Adapters that report facts and never judge them: each hands batches to an `Intake`, and acknowledges what is kept."""
