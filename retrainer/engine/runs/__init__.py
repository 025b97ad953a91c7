"""The life of a run in the engine: creation, dispatch, observed transitions, end, downstream rules."""
