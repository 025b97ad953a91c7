"""Objects created in and removed from buckets: reported by notifications, and found by listing.

``source`` combines the two. ``sqs`` receives notifications from a queue, ``sweep`` compares listings with the store,
``listing`` reads buckets, and ``aws`` turns the errors of both into messages.
"""
