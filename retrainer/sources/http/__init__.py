"""Shared by adapters that receive HTTP requests: bounded bodies, authentication, refusals."""
