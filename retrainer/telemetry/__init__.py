"""What an operator sees: metrics and log lines. Nothing here decides anything."""
