"""Instant queries to Prometheus. Each expression is queried once per poll, however many rules use it."""

from retrainer.sources.prometheus.source import PrometheusSource, prometheus_source

__all__ = ["PrometheusSource", "prometheus_source"]
