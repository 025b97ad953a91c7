"""The cost and benefit of periodic, data and drift rules: one stream with known drift, a real model and the engine."""
