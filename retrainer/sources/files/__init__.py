"""What adapters that look at files share: listings and row counts."""
