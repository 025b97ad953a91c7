"""PURE: what a run is and how it goes through its phases. No I/O, no clock, no randomness, no client library."""
