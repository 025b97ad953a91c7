"""Instant queries to Prometheus. Each expression is asked for once a poll, however many rules want it."""

from retrainer.sources.prometheus.source import PrometheusSource, prometheus_source

__all__ = ["PrometheusSource", "prometheus_source"]
