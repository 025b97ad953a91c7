"""Records of Kafka topics. The store says how far each partition was read; what the broker knows is for displays."""

from retrainer.sources.kafka.source import KafkaSource, kafka_source

__all__ = ["KafkaSource", "kafka_source"]
