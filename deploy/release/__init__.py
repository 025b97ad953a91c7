"""How a release is made: what must hold, what is built, how it is described (docs/decisions/0040-releases.md)."""
