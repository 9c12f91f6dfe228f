"""Reads a topic of Kafka from its beginning to the ends that it has now, and counts: what a consumer in Python costs
before it has looked at anything.

Usage: kafka_count.py ADDRESS TOPIC
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

AT_ONCE = 10_000


def main(address, topic):
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "count",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
    expected = 0
    for place in places:
        low, high = consumer.get_watermark_offsets(place, 30)
        expected += high - low
    consumer.assign(places)
    records, size = 0, 0
    while records < expected:
        for message in consumer.consume(AT_ONCE, 30):
            if message.error():
                raise SystemExit(str(message.error()))
            records += 1
            size += len(message.value())
    consumer.close()
    print(f"{records} records, {size} bytes")


main(*sys.argv[1:])
