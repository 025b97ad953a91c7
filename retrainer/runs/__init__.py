"""PURE: what a run is, and its phases. No I/O, no clock, no randomness, no client library."""
