//! The source and the sink, against the brokers that librdkafka imitates. Those of Apache Kafka: `cargo xtask brokers`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
use crate::ConnectError;
use crate::live::{
    Encoder, Fetched, LiveNote, LiveOptions, LiveSink, LiveSource, Positions, Start, TopicSink,
};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster(topics: &[(&str, i32)]) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

fn producer(cluster: &Mock) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("linger.ms", "1")
        .create()
        .unwrap()
}

fn produce(producer: &BaseProducer, topic: &str, partition: i32, values: &[&str]) {
    for value in values {
        let record = BaseRecord::<str, str>::to(topic)
            .partition(partition)
            .payload(value)
            .timestamp(1_700_000_000_000 + i64::from(partition));
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn options(cluster: &Mock, pairs: &[(&str, &str)]) -> LiveOptions {
    let servers = cluster.bootstrap_servers();
    let all = [("bootstrapServers", servers.as_str())];
    let pairs = all.iter().chain(pairs).copied();
    LiveOptions::take(pairs).unwrap().0
}

fn source(cluster: &Mock, pairs: &[(&str, &str)]) -> KafkaSource {
    KafkaSource::new(options(cluster, pairs)).unwrap()
}

fn rows(fetched: &[Fetched]) -> Vec<(String, i32, i64, String)> {
    let mut rows = Vec::new();
    for one in fetched {
        for row in 0..one.rows() {
            let value = one.values.get(row).unwrap_or(b"NULL").to_vec();
            rows.push((
                one.topic.to_string(),
                one.partition,
                one.offsets[row],
                String::from_utf8(value).unwrap(),
            ));
        }
    }
    rows
}

/// Polls until so many rows have come.
fn take(source: &mut KafkaSource, count: usize) -> Vec<(String, i32, i64, String)> {
    let until = Instant::now() + Duration::from_secs(10);
    let mut found = Vec::new();
    while found.len() < count && Instant::now() < until {
        found.extend(rows(
            &source.poll(Duration::from_millis(100), 1 << 20).unwrap(),
        ));
    }
    found.sort();
    found
}

#[test]
fn records_come_with_all_their_parts_from_where_reading_ended() {
    let cluster = cluster(&[("pay.ments", 2)]);
    let producer = producer(&cluster);
    produce(&producer, "pay.ments", 0, &["a", "b", "c"]);
    let headers = OwnedHeaders::new().insert(Header {
        key: "h",
        value: Some("v"),
    });
    let record = BaseRecord::to("pay.ments")
        .partition(1)
        .key("key")
        .payload("with\nkey")
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let tombstone = BaseRecord::<str, str>::to("pay.ments")
        .partition(1)
        .key("gone");
    producer
        .send(tombstone)
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();

    let mut first = source(&cluster, &[("subscribe", "pay.ments")]);
    assert_eq!(first.name(), "Kafka topic pay.ments");
    let states = first.partitions().unwrap();
    assert_eq!(
        (states[0].earliest, states[0].end, states[1].end),
        (0, 3, 2)
    );
    first.seek(&Positions::new()).unwrap();
    let mut found = Vec::new();
    let mut positions = Positions::new();
    while positions.get("pay.ments", 0) != Some(3) || positions.get("pay.ments", 1) != Some(2) {
        for fetched in first.poll(Duration::from_secs(5), 1 << 20).unwrap() {
            fetched.advance(&mut positions);
            found.push(fetched);
        }
    }
    let one = found.iter().find(|one| one.partition == 1).unwrap();
    let keys = one.keys.as_ref().unwrap();
    assert_eq!(keys.get(0), Some(&b"key"[..]));
    assert!(one.headers.is_some());
    let zero = found.iter().find(|one| one.partition == 0).unwrap();
    assert_eq!(zero.timestamps_ms[0], 1_700_000_000_000);
    assert!(zero.keys.is_none() && zero.headers.is_none());
    let mut all = rows(&found);
    all.sort();
    let values: Vec<&str> = all.iter().map(|row| row.3.as_str()).collect();
    assert_eq!(values, ["a", "b", "c", "with\nkey", "NULL"]);
    drop(first);

    produce(&producer, "pay.ments", 0, &["d"]);
    let mut next = source(&cluster, &[("subscribe", "pay.ments")]);
    let mut partly = positions.clone();
    partly.set(&"pay.ments".into(), 0, 2);
    next.seek(&partly).unwrap();
    let found = take(&mut next, 2);
    let offsets: Vec<i64> = found.iter().map(|row| row.2).collect();
    assert_eq!(offsets, [2, 3]);
    // And back again.
    next.seek(&positions).unwrap();
    assert_eq!(take(&mut next, 1)[0].3, "d");
}

#[test]
fn reading_begins_where_the_options_say() {
    let cluster = cluster(&[("t", 1)]);
    let producer = producer(&cluster);
    produce(&producer, "t", 0, &["a", "b", "c"]);
    for (start, expected) in [("{\"t\":{\"0\":1}}", 2), ("earliest", 3), ("latest", 0)] {
        let mut source = source(&cluster, &[("subscribe", "t"), ("startingOffsets", start)]);
        source.seek(&Positions::new()).unwrap();
        if start == "latest" {
            produce(&producer, "t", 0, &["d"]);
            assert_eq!(take(&mut source, 1)[0].3, "d");
        } else {
            assert_eq!(take(&mut source, expected).len(), expected, "{start}");
        }
    }
    let mut by_hand = LiveOptions {
        start: Start::Latest,
        ..options(&cluster, &[("assign", "{\"t\":[0]}")])
    };
    by_hand.kafka = BTreeMap::new();
    let mut source = KafkaSource::new(by_hand).unwrap();
    assert_eq!(source.partitions().unwrap()[0].end, 4);
}

#[test]
fn topics_are_found_by_pattern_and_mistakes_are_told() {
    let cluster = cluster(&[("shop.a", 1), ("shop.b", 1), ("other", 1)]);
    let producer = producer(&cluster);
    for topic in ["shop.a", "shop.b", "other"] {
        produce(&producer, topic, 0, &[topic]);
    }
    let mut like = source(&cluster, &[("subscribePattern", "shop\\..")]);
    like.seek(&Positions::new()).unwrap();
    let topics: Vec<String> = take(&mut like, 2).into_iter().map(|row| row.0).collect();
    assert_eq!(topics, ["shop.a", "shop.b"]);
    let error = KafkaSource::new(options(&cluster, &[])).err().unwrap();
    assert!(error.to_string().contains("subscribe"), "{error}");
    let wrong = options(&cluster, &[("subscribe", "t"), ("kafka.no.such", "1")]);
    let error = KafkaSource::new(wrong).err().unwrap().to_string();
    assert!(error.contains("no.such"), "{error}");
}

#[test]
fn positions_that_are_not_there_are_told_or_passed_over() {
    let cluster = cluster(&[("t", 1)]);
    produce(&producer(&cluster), "t", 0, &["a", "b"]);
    let mut far = Positions::new();
    far.set(&"t".into(), 0, 50);
    let mut strict = source(&cluster, &[("subscribe", "t")]);
    let error = strict.seek(&far).unwrap_err();
    assert!(matches!(error, ConnectError::BehindEnd { .. }), "{error}");
    let mut other = Positions::new();
    other.set(&"t".into(), 9, 0);
    let error = strict.seek(&other).unwrap_err();
    assert!(matches!(error, ConnectError::NoPartition { .. }), "{error}");
    let mut lenient = source(&cluster, &[("subscribe", "t"), ("failOnDataLoss", "false")]);
    lenient.seek(&far).unwrap();
    assert_eq!(take(&mut lenient, 2).len(), 2);
    assert!(matches!(
        lenient.notes().as_slice(),
        [LiveNote::Lost {
            from: 2,
            to: 50,
            ..
        }]
    ));
}

#[test]
fn a_broker_that_goes_away_is_told_and_comes_back() {
    let cluster = cluster(&[("t", 1)]);
    let producer = producer(&cluster);
    produce(&producer, "t", 0, &["a"]);
    let mut source = source(&cluster, &[("subscribe", "t")]);
    source.seek(&Positions::new()).unwrap();
    assert_eq!(take(&mut source, 1).len(), 1);
    cluster.broker_down(1).unwrap();
    let mut notes = Vec::new();
    let until = Instant::now() + Duration::from_secs(10);
    while notes.is_empty() && Instant::now() < until {
        assert!(
            source
                .poll(Duration::from_millis(50), 1)
                .unwrap()
                .is_empty()
        );
        notes = source.notes();
    }
    assert!(
        matches!(notes.as_slice(), [LiveNote::Connection { .. }]),
        "{notes:?}"
    );
    cluster.broker_up(1).unwrap();
    produce(&producer, "t", 0, &["b"]);
    assert_eq!(take(&mut source, 1)[0].3, "b");
    assert!(!source.notes().is_empty());
}

fn sink(cluster: &Mock, identity: Option<&str>, key: &str) -> KafkaSink {
    let options = KafkaSinkOptions {
        servers: cluster.bootstrap_servers(),
        topic: "out".to_owned(),
        transactional_id: identity.map(str::to_owned),
        kafka: BTreeMap::new(),
    };
    let (encoder, rest) = Encoder::take([("key", key)], None).unwrap();
    assert!(rest.is_empty());
    KafkaSink::new(&options, encoder).unwrap()
}

fn alerts(ids: &[i64]) -> RecordBatch {
    let names: Vec<Option<String>> = ids
        .iter()
        .map(|id| (id % 2 == 0).then(|| format!("name\n{id}")))
        .collect();
    RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef,
            false,
        ),
        (
            "name",
            Arc::new(StringViewArray::from(names)) as ArrayRef,
            true,
        ),
    ])
    .unwrap()
}

#[test]
fn rows_arrive_with_their_keys_in_the_partitions_of_java() {
    let cluster = cluster(&[("out", 3)]);
    let mut sink = sink(&cluster, None, "id");
    sink.send(&alerts(&[1, 2])).unwrap();
    sink.send(&alerts(&[21])).unwrap();
    sink.flush().unwrap();
    let mut source = source(&cluster, &[("subscribe", "out")]);
    let found = take(&mut source, 3);
    let mut values: Vec<&str> = found.iter().map(|row| row.3.as_str()).collect();
    values.sort_unstable();
    assert_eq!(
        values,
        [
            "{\"id\":1}",
            "{\"id\":2,\"name\":\"name\\n2\"}",
            "{\"id\":21}"
        ]
    );
    let gone: ArrayRef = Arc::new(Int64Array::from(vec![Some(21), None]));
    let gone = RecordBatch::try_from_iter([("id", gone)]).unwrap();
    sink.send_gone(&gone).unwrap();
    // Rows of another key say nothing of these.
    sink.send_gone(&alerts(&[1])).unwrap();
    sink.flush().unwrap();
    let tombstones = take(&mut source, 2);
    assert_eq!(tombstones.len(), 2);
    assert!(tombstones.iter().all(|row| row.3 == "NULL"));
    let last = found.iter().find(|row| row.3 == "{\"id\":21}").unwrap();
    assert_eq!(last.1, crate::live::topic::partition_of(b"21", 3));
    let wrong = Encoder::take([("key", "no")], None).unwrap().0;
    let options = KafkaSinkOptions {
        servers: cluster.bootstrap_servers(),
        topic: "out".to_owned(),
        ..KafkaSinkOptions::default()
    };
    let error = KafkaSink::new(&options, wrong)
        .unwrap()
        .send(&alerts(&[1]))
        .unwrap_err();
    assert!(error.to_string().contains("id, name"), "{error}");
}

#[test]
fn embedded_topics_take_rows() {
    let folder = tempfile::tempdir().unwrap();
    let kept = crate::live::topic::TopicOptions::default();
    let topic = crate::live::topic::Topic::create(&folder.path().join("out"), &kept).unwrap();
    let encoder = Encoder::take([("key", "id, name"), ("valueIncludesKey", "false")], None);
    let writer = topic.writer().unwrap();
    let mut sink = TopicSink::new(writer, encoder.unwrap().0, Arc::new(|| 42));
    sink.send(&alerts(&[2])).unwrap();
    let mut source = topic
        .source(crate::live::topic::TopicReadOptions::default())
        .unwrap();
    let found = source.poll(Duration::ZERO, 1).unwrap();
    let keys = found[0].keys.as_ref().unwrap();
    assert_eq!(keys.get(0), Some(&b"{\"id\":2,\"name\":\"name\\n2\"}"[..]));
    assert_eq!(found[0].values.get(0), Some(&b"{}"[..]));
    assert_eq!(found[0].timestamps_ms, [42]);
}

/// Epochs are looked up in [`super::real`]: these brokers do not keep what a transaction commits for a group.
#[test]
fn transactions_have_an_identity_and_end() {
    let cluster = cluster(&[("out", 2)]);
    let mut first = sink(&cluster, Some("one"), "id");
    let transactions = first.transactions().unwrap();
    assert_eq!(transactions.identity(), "one");
    assert_eq!(transactions.committed().unwrap(), None);
    transactions.begin(7).unwrap();
    assert!(transactions.is_open());
    first.send(&alerts(&[1, 2])).unwrap();
    first.transactions().unwrap().commit().unwrap();
    assert!(!first.transactions().unwrap().is_open());
    let mut source = source(&cluster, &[("subscribe", "out")]);
    assert_eq!(take(&mut source, 2).len(), 2);
    first.transactions().unwrap().begin(8).unwrap();
    first.transactions().unwrap().abort().unwrap();
    assert!(!first.transactions().unwrap().is_open());
    assert!(sink(&cluster, None, "id").transactions().is_none());
}

#[test]
fn guarantees_and_identities_are_given_together() {
    let own = [("bootstrapServers", "a:1"), ("topic", "t")];
    let taken = |more: &[(&'static str, &'static str)]| {
        let pairs = own.iter().chain(more).copied();
        KafkaSinkOptions::take(pairs, "project-sink").map(|(options, _)| options.transactional_id)
    };
    assert_eq!(taken(&[]).unwrap(), None);
    let exactly = ("deliveryGuarantee", "exactly-once");
    assert_eq!(taken(&[exactly]).unwrap().as_deref(), Some("project-sink"));
    let named = ("kafka.transactional.id", "mine");
    assert_eq!(taken(&[exactly, named]).unwrap().as_deref(), Some("mine"));
    for (pairs, said) in [
        (vec![("deliveryGuarantee", "once")], "exactly-once"),
        (vec![("transactionalId", "mine")], "deliveryGuarantee"),
    ] {
        let error = taken(&pairs).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
