"""Manifests: documents that list the inputs of a run, for its workflow. Format, address and storage."""
