"""Decides when a model must be retrained, and starts each run exactly once.

source ──► event ──► rule ──► decision ──► run ──► submit ──► watch ──► outcome
reports    fact      state    Fire/Hold/   intent  Argo       phases    phase,
facts      stored    folded   Skip+reason  PENDING (local)              outputs
           └────────── one transaction ──────────┘
"""
