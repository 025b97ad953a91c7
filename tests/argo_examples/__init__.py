"""Argo Workflows' own examples on the local engine: which run, which are refused, and which need what a host lacks."""
