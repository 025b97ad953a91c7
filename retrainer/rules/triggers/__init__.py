"""PURE: one kind of trigger a file. Each says whether it is satisfied, until when not, and what it holds ready."""
