"""What a changed rule would have done: one simulation, in a process of its own, on a snapshot of the store."""
