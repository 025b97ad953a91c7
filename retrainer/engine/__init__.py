"""The engine, the only writer: it folds queued inputs in one transaction, and acknowledges them after the commit."""
