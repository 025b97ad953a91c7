"""Mutation test of the alerts: change one thing of alerts.yaml at a time, and let promtool's tests notice it."""
