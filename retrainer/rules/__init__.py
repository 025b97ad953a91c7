"""PURE: how events become decisions. No I/O, no clock, no randomness, no client library."""
