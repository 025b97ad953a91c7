"""Rules tried out: the real engine on a store in memory and a clock that is set by hand."""
