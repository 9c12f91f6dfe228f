"""A foreign client of Kafka: it makes topics, fills them and reads them, by confluent-kafka.

foreign_kafka.py ADDRESS create TOPIC PARTITIONS [NAME=VALUE…]
foreign_kafka.py ADDRESS delete TOPIC
foreign_kafka.py ADDRESS forget GROUP                         its committed offsets
foreign_kafka.py ADDRESS partitions TOPIC COUNT
foreign_kafka.py ADDRESS trim TOPIC PARTITION OFFSET
foreign_kafka.py ADDRESS produce TOPIC COUNT [NAME=VALUE…]   JSON with keys; transaction=commit|abort, bytes=N
foreign_kafka.py ADDRESS consume TOPIC COUNT                  prints key, tab, value; committed records only
foreign_kafka.py ADDRESS write-avro TOPIC REGISTRY COUNT      with two schemas by turns
foreign_kafka.py ADDRESS read-avro TOPIC REGISTRY             prints each record as JSON
"""

import io
import json
import struct
import sys
import urllib.request

import fastavro

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


def ask(registry, path, body=None):
    request = urllib.request.Request(
        f"{registry}/{path}",
        data=body and json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def write_avro(address, topic, registry, count):
    fields = [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}]
    more = {"name": "more", "type": "double", "default": 0.5}
    writers = []
    for columns in (fields, [*fields, more]):
        schema = {"type": "record", "name": "Row", "fields": columns}
        body = {"schema": json.dumps(schema)}
        number = ask(registry, f"subjects/{topic}-value/versions", body)["id"]
        writers.append((number, fastavro.parse_schema(schema)))
    producer = Producer({"bootstrap.servers": address})
    for row in range(count):
        number, schema = writers[row % 2]
        body = io.BytesIO()
        body.write(struct.pack(">bI", 0, number))
        value = {"id": row, "name": f"name {row}" if row % 3 else None, "more": row / 4}
        fastavro.schemaless_writer(body, schema, value)
        producer.produce(topic, body.getvalue())
    if producer.flush(60):
        raise SystemExit("records did not arrive")


def read_avro(address, topic, registry):
    schemas = {}
    for value in values(address, topic):
        magic, number = struct.unpack(">bI", value[:5])
        assert magic == 0
        if number not in schemas:
            schemas[number] = fastavro.parse_schema(
                json.loads(ask(registry, f"schemas/ids/{number}")["schema"])
            )
        row = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[number])
        print(json.dumps(row))


def values(address, topic):
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "foreign", "enable.partition.eof": True}
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    left = len(partitions)
    while left:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("nothing came for ten seconds")
        if message.error():
            left -= 1
        else:
            yield message.value()
    consumer.close()


def main():
    address, what, topic, *rest = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": address})
    settings = dict(one.split("=", 1) for one in rest if "=" in one)
    if what == "create":
        settle(admin.create_topics([NewTopic(topic, int(rest[0]), 1, config=settings)]))
    elif what == "delete":
        settle(admin.delete_topics([topic]))
    elif what == "forget":
        settle(admin.delete_consumer_groups([topic]))
    elif what == "partitions":
        settle(admin.create_partitions([NewPartitions(topic, int(rest[0]))]))
    elif what == "trim":
        settle(admin.delete_records([TopicPartition(topic, int(rest[0]), int(rest[1]))]))
    elif what == "produce":
        produce(address, topic, int(rest[0]), settings)
    elif what == "consume":
        consume(address, topic, int(rest[0]))
    elif what == "write-avro":
        write_avro(address, topic, rest[0], int(rest[1]))
    elif what == "read-avro":
        read_avro(address, topic, rest[0])
    else:
        raise SystemExit(__doc__)


main()
