"""PURE: converts what a sender delivered, as bytes and headers, into events. No client library, no clock, no I/O.

Each format is a function that takes a `Delivery` and returns its events, with a `Poison` in place of each unreadable
one. It does not raise for invalid bytes.
"""
