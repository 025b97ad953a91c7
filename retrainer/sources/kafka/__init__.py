"""Records of Kafka topics. Read positions are in the store; those committed to the broker are for display only."""

from retrainer.sources.kafka.source import KafkaSource, kafka_source

__all__ = ["KafkaSource", "kafka_source"]
