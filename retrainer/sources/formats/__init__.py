"""PURE: what a sender delivered, as bytes and headers, becomes events. No client library, no clock, no I/O.

Each format is a function that takes a `Delivery` and returns its events, with a `Poison` in the place of whatever
cannot be read. It never raises, whatever the bytes.
"""
