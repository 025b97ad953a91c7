"""Intake on several replicas: the standby intake, the inbox, and the division of partitions."""
