"""What adapters that are sent HTTP requests share: bodies within bounds, proof of the sender, refusals in words."""
