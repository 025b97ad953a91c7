"""The API of a running daemon, asked by schemathesis for everything that openapi.json describes."""
