"""Intake of events: positions, de-duplication, matching, values of metrics and alerts, dead letters, replay."""
