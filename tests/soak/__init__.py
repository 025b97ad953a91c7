"""`make soak`: all features together for an hour, with injected faults, checked by independent observers."""
