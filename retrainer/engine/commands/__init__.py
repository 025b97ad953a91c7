"""Commands of operators and clients, each executed in one transaction."""
