"""A foreign client of Kafka: it makes topics, fills them and reads them, by confluent-kafka.

foreign_kafka.py ADDRESS create TOPIC PARTITIONS [NAME=VALUE…]
foreign_kafka.py ADDRESS delete TOPIC
foreign_kafka.py ADDRESS partitions TOPIC COUNT
foreign_kafka.py ADDRESS trim TOPIC PARTITION OFFSET
foreign_kafka.py ADDRESS produce TOPIC COUNT [NAME=VALUE…]   JSON with keys; transaction=commit|abort, bytes=N
foreign_kafka.py ADDRESS consume TOPIC COUNT                  prints key, tab, value; committed records only
"""

import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic


def settle(futures):
    for future in futures.values():
        future.result(30)


def produce(address, topic, count, settings):
    config = {"bootstrap.servers": address, "message.max.bytes": 150_000_000, "linger.ms": 5}
    kind = settings.pop("transaction", None)
    size = int(settings.pop("bytes", 0))
    partition = int(settings.pop("partition", -1))
    config.update(settings)
    if kind:
        config["transactional.id"] = "foreign"
    producer = Producer(config)
    if kind:
        producer.init_transactions(30)
        producer.begin_transaction()
    for number in range(count):
        value = {"id": number, "text": "x" * size}
        while True:
            try:
                producer.produce(
                    topic,
                    json.dumps(value).encode(),
                    key=str(number).encode(),
                    partition=partition,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if kind == "commit":
        producer.commit_transaction(30)
    elif kind == "abort":
        producer.flush(30)
        producer.abort_transaction(30)
    elif producer.flush(60):
        raise SystemExit("records did not arrive")


def consume(address, topic, count):
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "foreign",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    ended, seen = set(), 0
    while len(ended) < len(partitions) and seen < count:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("nothing came for ten seconds")
        if message.error():
            ended.add(message.partition())
            continue
        ended.discard(message.partition())
        seen += 1
        key = (message.key() or b"").decode()
        print(f"{key}\t{(message.value() or b'').decode()}")
    consumer.close()


def main():
    address, what, topic, *rest = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": address})
    settings = dict(one.split("=", 1) for one in rest if "=" in one)
    if what == "create":
        settle(admin.create_topics([NewTopic(topic, int(rest[0]), 1, config=settings)]))
    elif what == "delete":
        settle(admin.delete_topics([topic]))
    elif what == "partitions":
        settle(admin.create_partitions([NewPartitions(topic, int(rest[0]))]))
    elif what == "trim":
        settle(admin.delete_records([TopicPartition(topic, int(rest[0]), int(rest[1]))]))
    elif what == "produce":
        produce(address, topic, int(rest[0]), settings)
    elif what == "consume":
        consume(address, topic, int(rest[0]))
    else:
        raise SystemExit(__doc__)


main()
