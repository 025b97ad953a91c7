"""Objects that come and go in buckets: told of by notifications, found again by listing.

``source`` puts the two together; ``sqs`` is the road through a queue, ``sweep`` compares listings with what the store
knows, ``listing`` reads buckets and ``aws`` says in words what went wrong with either.
"""

from retrainer.sources.s3.source import s3_source

__all__ = ["s3_source"]
