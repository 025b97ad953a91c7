"""Shared by file adapters: listings and row counts."""
