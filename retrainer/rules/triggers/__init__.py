"""PURE: one kind of trigger per file. Each evaluates whether it is satisfied and, if not, when it will be."""
