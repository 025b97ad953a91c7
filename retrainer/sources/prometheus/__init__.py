"""Instant queries to Prometheus. Each expression is queried once per poll, however many rules use it."""
