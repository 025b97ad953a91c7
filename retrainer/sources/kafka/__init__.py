"""Records of Kafka topics. Read positions are in the store; those committed to the broker are for display only."""
