"""How a release is made: what must hold, what is built, what is said about it (docs/decisions/0040-releases.md)."""
