"""Schedule slots, backfills, and inputs that are folded into every key of a rule."""
