"""Deletion of expired rows and idle keys, and the marks that they leave."""
