"""`make soak`: everything at once, for an hour, with faults, and an account by somebody who believes no daemon."""
