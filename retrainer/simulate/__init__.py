"""Simulation of rules: the real engine with a store in memory and a manual clock."""
