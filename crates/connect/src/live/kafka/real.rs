//! The source and the sink against a real broker, and beside a foreign client. `cargo xtask brokers` starts the broker
//! and calls these.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};

use super::*;
use crate::ConnectError;
use crate::Piece;
use crate::live::{
    AvroCodec, AvroEncoder, Codec, Encoder, LiveFormat, LiveNote, LiveOptions, LiveReading,
    LiveSink, LiveSource, Positions, ProtobufCodec, ProtobufEncoder,
};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: call cargo xtask brokers"))
}

/// What the foreign client prints.
fn foreign(arguments: &[&str]) -> String {
    let output = Command::new(variable("TIDEGATE_FOREIGN_PYTHON"))
        .arg(variable("TIDEGATE_FOREIGN_CLIENT"))
        .arg(variable("TIDEGATE_KAFKA"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A topic that nobody else uses.
fn topic(name: &str, partitions: &str) -> String {
    let topic = format!("{name}.{}", uuid::Uuid::now_v7());
    foreign(&["create", &topic, partitions]);
    topic
}

fn source(topic: &str, pairs: &[(&str, &str)]) -> KafkaSource {
    let servers = variable("TIDEGATE_KAFKA");
    let own = [("bootstrapServers", servers.as_str()), ("subscribe", topic)];
    let pairs = own.iter().chain(pairs).copied();
    KafkaSource::new(LiveOptions::take(pairs).unwrap().0).unwrap()
}

/// Reads to the end there is now: the values, and the positions.
fn read_up(source: &mut KafkaSource) -> (Vec<String>, Positions) {
    let ends = source.partitions().unwrap();
    let (mut values, mut positions) = (Vec::new(), Positions::new());
    let until = Instant::now() + Duration::from_secs(30);
    let reached = |positions: &Positions| {
        ends.iter().all(|one| {
            one.end == one.earliest || positions.get(&one.topic, one.partition) == Some(one.end)
        })
    };
    while !reached(&positions) {
        assert!(Instant::now() < until, "{ends:?}, {positions:?}");
        for one in source.poll(Duration::from_millis(200), 8 << 20).unwrap() {
            one.advance(&mut positions);
            for row in 0..one.rows() {
                let value = one.values.get(row).unwrap_or_default().to_vec();
                values.push(String::from_utf8(value).unwrap());
            }
        }
    }
    (values, positions)
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_foreign_records_and_transactions_are_read_to_their_end() {
    let topic = topic("read", "3");
    foreign(&["produce", &topic, "2000"]);
    foreign(&["produce", &topic, "50", "transaction=commit"]);
    foreign(&["produce", &topic, "70", "transaction=abort"]);
    let mut first = source(&topic, &[]);
    first.seek(&Positions::new()).unwrap();
    let (values, positions) = read_up(&mut first);
    assert_eq!(values.len(), 2050);
    drop(first);
    let mut next = source(&topic, &[]);
    next.seek(&positions).unwrap();
    foreign(&["produce", &topic, "7"]);
    let mut more = Vec::new();
    let until = Instant::now() + Duration::from_secs(20);
    while more.len() < 7 && Instant::now() < until {
        for one in next.poll(Duration::from_millis(200), 1 << 20).unwrap() {
            more.extend((0..one.rows()).map(|row| one.values.get(row).unwrap().to_vec()));
        }
    }
    assert_eq!(more.len(), 7);
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_partitions_appear_and_topics_disappear() {
    let topic = topic("grow", "1");
    let mut source = source(&topic, &[]);
    source.seek(&Positions::new()).unwrap();
    foreign(&["partitions", &topic, "3"]);
    foreign(&["produce", &topic, "300", "partition=2"]);
    let (mut seen, mut notes) = (0, Vec::new());
    let until = Instant::now() + Duration::from_secs(20);
    while seen < 300 && Instant::now() < until {
        let fetched = source.poll(Duration::from_millis(200), 1 << 20).unwrap();
        seen += fetched
            .iter()
            .map(crate::live::Fetched::rows)
            .sum::<usize>();
        notes.extend(source.notes());
    }
    assert_eq!(seen, 300);
    let new = |note: &LiveNote| matches!(note, LiveNote::NewPartition { partition: 2, .. });
    assert!(notes.iter().any(new), "{notes:?}");
    foreign(&["delete", &topic]);
    let until = Instant::now() + Duration::from_secs(20);
    let error = loop {
        assert!(Instant::now() < until, "a deleted topic was not told");
        if let Err(error) = source.poll(Duration::from_millis(200), 1 << 20) {
            break error.to_string();
        }
    };
    assert!(error.contains("no such topic"), "{error}");
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_expired_offsets_are_told_or_passed_over() {
    let topic = topic("trim", "1");
    foreign(&["produce", &topic, "100"]);
    // While it is read: the broker says that the offset is out of range.
    let mut reading = source(&topic, &[("kafka.queued.min.messages", "1")]);
    let mut positions = Positions::new();
    positions.set(&topic.as_str().into(), 0, 5);
    foreign(&["trim", &topic, "0", "60"]);
    let error = reading.seek(&positions).unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Expired {
                wanted: 5,
                earliest: 60,
                ..
            }
        ),
        "{error}"
    );
    let mut lenient = source(&topic, &[("failOnDataLoss", "false")]);
    lenient.seek(&positions).unwrap();
    let (values, _) = read_up(&mut lenient);
    assert_eq!(values.len(), 40);
    assert!(matches!(
        lenient.notes().as_slice(),
        [LiveNote::Lost {
            from: 5,
            to: 60,
            ..
        }]
    ));
    // Caught up, and then everything it has not seen goes away.
    foreign(&["produce", &topic, "10"]);
    foreign(&["trim", &topic, "0", "110"]);
    let mut positions = Positions::new();
    positions.set(&topic.as_str().into(), 0, 110);
    reading.seek(&positions).unwrap();
    assert!(
        reading
            .poll(Duration::from_millis(300), 1)
            .unwrap()
            .iter()
            .all(|one| one.rows() == 0)
    );
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_a_hundred_megabytes_are_a_record() {
    let topic = topic("large", "1");
    foreign(&[
        "create",
        &format!("{topic}.l"),
        "1",
        "max.message.bytes=150000000",
    ]);
    let topic = format!("{topic}.l");
    foreign(&["produce", &topic, "1", "bytes=104857600"]);
    let mut source = source(&topic, &[]);
    source.seek(&Positions::new()).unwrap();
    let (values, _) = read_up(&mut source);
    assert!(values[0].len() > 100 << 20);
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_passwords_are_asked_for() {
    let topic = topic("guarded", "1");
    foreign(&["produce", &topic, "3"]);
    let guarded = variable("TIDEGATE_KAFKA_GUARDED");
    let (user, password) = (
        variable("TIDEGATE_KAFKA_USER"),
        variable("TIDEGATE_KAFKA_PASSWORD"),
    );
    for (mechanism, module) in [
        ("PLAIN", "plain.PlainLoginModule"),
        ("SCRAM-SHA-256", "scram.ScramLoginModule"),
    ] {
        for right in [true, false] {
            let password = if right { password.as_str() } else { "wrong" };
            let jaas = format!(
                "org.apache.kafka.common.security.{module} required username=\"{user}\" password=\"{password}\";"
            );
            let pairs = [
                ("kafka.bootstrap.servers", guarded.as_str()),
                ("subscribe", topic.as_str()),
                ("kafka.security.protocol", "SASL_PLAINTEXT"),
                ("kafka.sasl.mechanism", mechanism),
                ("kafka.sasl.jaas.config", jaas.as_str()),
            ];
            let mut source = KafkaSource::new(LiveOptions::take(pairs).unwrap().0).unwrap();
            if right {
                source.seek(&Positions::new()).unwrap();
                assert_eq!(read_up(&mut source).0.len(), 3);
            } else {
                let error = source.seek(&Positions::new()).unwrap_err().to_string();
                assert!(error.to_lowercase().contains("auth"), "{error}");
            }
        }
    }
}

/// A source that has a password, or a certificate, and trusts whom these settings say.
fn sealed(topic: &str, settings: &[(&str, &str)]) -> KafkaSource {
    let own = [("subscribe", topic)];
    let pairs = own.iter().chain(settings).copied();
    KafkaSource::new(LiveOptions::take(pairs).unwrap().0).unwrap()
}

/// What is said when a source that cannot be read is opened, and that it is said at once.
#[track_caller]
fn refusal(mut source: KafkaSource) -> String {
    let begun = Instant::now();
    let error = source.seek(&Positions::new()).unwrap_err().to_string();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{error}: said late"
    );
    error
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_what_is_sealed_is_read_by_whom_it_trusts() {
    let topic = topic("sealed", "2");
    foreign(&["produce", &topic, "3"]);
    let (servers, authority) = (
        variable("TIDEGATE_KAFKA_SEALED"),
        variable("TIDEGATE_AUTHORITY"),
    );
    let (user, password) = (
        variable("TIDEGATE_KAFKA_USER"),
        variable("TIDEGATE_KAFKA_PASSWORD"),
    );
    let login = |password| {
        [
            ("bootstrapServers", servers.as_str()),
            ("kafka.security.protocol", "SASL_SSL"),
            ("kafka.sasl.mechanism", "SCRAM-SHA-256"),
            ("kafka.sasl.username", user.as_str()),
            ("kafka.sasl.password", password),
        ]
    };
    let trust = ("kafka.ssl.ca.location", authority.as_str());
    let right: Vec<_> = login(&password).into_iter().chain([trust]).collect();
    assert_eq!(read_up(&mut sealed(&topic, &right)).0.len(), 3);
    let error = refusal(sealed(&topic, &login(&password)));
    assert!(error.contains("ssl.ca.location"), "{error}");
    let other = variable("TIDEGATE_OTHER_AUTHORITY");
    let distrust = ("kafka.ssl.ca.location", other.as_str());
    let distrusting: Vec<_> = login(&password).into_iter().chain([distrust]).collect();
    let error = refusal(sealed(&topic, &distrusting));
    assert!(error.contains("ssl.ca.location"), "{error}");
    let wrong: Vec<_> = login("wrong").into_iter().chain([trust]).collect();
    let error = refusal(sealed(&topic, &wrong));
    assert!(error.to_lowercase().contains("auth"), "{error}");
    for settings in [&wrong, &distrusting, &login(&password).to_vec()] {
        let begun = Instant::now();
        let error = sealed_sink(&topic, settings).and_then(|mut sink| {
            sink.send(&ids(0, 1))?;
            sink.flush()
        });
        let error = error.unwrap_err().to_string();
        let lower = error.to_lowercase();
        assert!(
            lower.contains("auth") || lower.contains("ssl.ca.location"),
            "{error}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{error}: said late"
        );
    }
}

/// A sink with such settings.
fn sealed_sink(topic: &str, settings: &[(&str, &str)]) -> crate::Result<KafkaSink> {
    let given = [("topic", topic)]
        .into_iter()
        .chain(settings.iter().copied());
    let (options, rest) = KafkaSinkOptions::take(given, "")?;
    assert!(rest.is_empty(), "{rest:?}");
    let (encoder, _) = Encoder::take([("key", "id")], None)?;
    KafkaSink::new(&options, encoder)
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_a_certificate_is_shown_and_asked_for() {
    let topic = topic("certified", "1");
    let (servers, authority) = (
        variable("TIDEGATE_KAFKA_CERTIFIED"),
        variable("TIDEGATE_AUTHORITY"),
    );
    let (store, password) = (
        variable("TIDEGATE_CLIENT_STORE"),
        variable("TIDEGATE_STORE_PASSWORD"),
    );
    let trust = [
        ("bootstrapServers", servers.as_str()),
        ("kafka.security.protocol", "SSL"),
        ("kafka.ssl.ca.location", authority.as_str()),
    ];
    let own = [
        ("kafka.ssl.keystore.location", store.as_str()),
        ("kafka.ssl.keystore.password", password.as_str()),
    ];
    let pairs: Vec<_> = trust.into_iter().chain(own).collect();
    let mut sink = sealed_sink(&topic, &pairs).unwrap();
    sink.send(&ids(0, 5)).unwrap();
    sink.flush().unwrap();
    assert_eq!(read_up(&mut sealed(&topic, &pairs)).0.len(), 5);
    let error = refusal(sealed(&topic, &trust));
    assert!(error.to_lowercase().contains("certificate"), "{error}");
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_a_registry_is_trusted_as_the_options_say() {
    let address = variable("TIDEGATE_REGISTRY_SEALED");
    let authority = variable("TIDEGATE_AUTHORITY");
    let rows = ids(0, 2);
    let encoded = |trust: Option<(&str, &str)>| {
        let own = [("schemaRegistry", address.as_str())];
        let given = own.into_iter().chain(trust);
        let (options, ..) = LiveOptions::take(given).unwrap();
        let mut encoder = AvroEncoder::new(&options, "trusted")?;
        crate::live::ValueEncoder::encode(&mut encoder, &rows, "a sink")
    };
    let values = encoded(Some(("schemaRegistry.ca", &authority))).unwrap();
    assert!(values.get(1).is_some());
    let begun = Instant::now();
    let error = encoded(None).err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{error}: said late"
    );
}

fn ids(from: i64, to: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    RecordBatch::try_from_iter([("id", ids)]).unwrap()
}

fn sink(topic: &str, identity: Option<&str>) -> KafkaSink {
    let servers = variable("TIDEGATE_KAFKA");
    let pairs = [("bootstrapServers", servers.as_str()), ("topic", topic)];
    let (mut options, rest) = KafkaSinkOptions::take(pairs, "").unwrap();
    assert!(rest.is_empty());
    options.transactional_id = identity.map(str::to_owned);
    let (encoder, _) = Encoder::take([("key", "id")], None).unwrap();
    KafkaSink::new(&options, encoder).unwrap()
}

fn begin(sink: &mut KafkaSink, epoch: u64) {
    sink.transactions().unwrap().begin(epoch).unwrap();
}

/// The ids that a foreign consumer sees.
fn seen(topic: &str) -> BTreeSet<String> {
    let text = foreign(&["consume", topic, "1000000"]);
    let lines = text.lines().map(|line| line.split_once('\t').unwrap());
    let lines: Vec<(&str, &str)> = lines.collect();
    let ids: BTreeSet<String> = lines.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(ids.len(), lines.len(), "a record is there twice");
    for (key, value) in lines {
        assert_eq!(value, format!("{{\"id\":{key}}}"));
    }
    ids
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_foreigners_see_what_was_committed_and_nothing_else() {
    let topic = topic("sink", "2");
    let mut plain = sink(&topic, None);
    plain.send(&ids(0, 5000)).unwrap();
    plain.flush().unwrap();
    let identity = format!("flow {topic}");
    let mut first = sink(&topic, Some(&identity));
    begin(&mut first, 1);
    first.send(&ids(5000, 5100)).unwrap();
    first.transactions().unwrap().commit().unwrap();
    begin(&mut first, 2);
    first.send(&ids(9000, 9100)).unwrap();
    first.flush().unwrap();
    first.transactions().unwrap().abort().unwrap();
    begin(&mut first, 2);
    first.send(&ids(5100, 5200)).unwrap();
    first.transactions().unwrap().commit().unwrap();
    // A second process with the same identity; the first one's open transaction is over.
    begin(&mut first, 3);
    first.send(&ids(9100, 9200)).unwrap();
    first.flush().unwrap();
    let mut second = sink(&topic, Some(&identity));
    assert_eq!(second.transactions().unwrap().committed().unwrap(), Some(2));
    begin(&mut second, 3);
    second.send(&ids(5200, 5300)).unwrap();
    second.transactions().unwrap().commit().unwrap();
    let sent = first.send(&ids(9200, 9300));
    let committed = sent.and_then(|()| first.transactions().unwrap().commit());
    let error = committed.unwrap_err();
    assert!(matches!(error, ConnectError::Fenced { .. }), "{error}");
    assert_eq!(second.transactions().unwrap().committed().unwrap(), Some(3));
    let seen = seen(&topic);
    let expected: BTreeSet<String> = (0..5300).map(|id| id.to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_a_transaction_that_takes_too_long_is_told() {
    let topic = topic("slow", "1");
    let servers = variable("TIDEGATE_KAFKA");
    let pairs = [
        ("bootstrapServers", servers.as_str()),
        ("topic", topic.as_str()),
        ("deliveryGuarantee", "exactly-once"),
        ("kafka.transaction.timeout.ms", "1500"),
    ];
    let (options, _) = KafkaSinkOptions::take(pairs, &topic).unwrap();
    let mut sink = KafkaSink::new(&options, Encoder::new(Vec::new(), None)).unwrap();
    begin(&mut sink, 1);
    let until = Instant::now() + Duration::from_secs(40);
    let error = loop {
        assert!(Instant::now() < until, "the brokers took nothing back");
        std::thread::sleep(Duration::from_millis(100));
        if let Err(error) = sink.send(&ids(0, 1)).and_then(|()| sink.flush()) {
            break error.to_string();
        }
    };
    assert!(error.contains("kafka.transaction.timeout.ms"), "{error}");
    drop(sink);
    // The next one goes on where the epoch before ended.
    let mut next = KafkaSink::new(&options, Encoder::new(Vec::new(), None)).unwrap();
    assert_eq!(next.transactions().unwrap().committed().unwrap(), Some(0));
    assert!(foreign(&["consume", &topic, "1000000"]).is_empty());
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_protobuf_goes_both_ways_through_a_registry() {
    let registry = variable("TIDEGATE_REGISTRY");
    let (topic, servers) = (topic("protobuf", "1"), variable("TIDEGATE_KAFKA"));
    let pairs = [
        ("schemaRegistry", registry.as_str()),
        ("format", "protobuf"),
    ];
    for part in 0..2 {
        // The first finds no schema, and registers one; the second finds that.
        let (schema, _) = LiveOptions::take_schema([pairs[0]]).unwrap();
        let values = Box::new(ProtobufEncoder::new(&schema, &topic).unwrap());
        let pairs = [("bootstrapServers", servers.as_str()), ("topic", &topic)];
        let (options, _) = KafkaSinkOptions::take(pairs, "").unwrap();
        let encoder = Encoder::new(Vec::new(), Some(values));
        let mut sink = KafkaSink::new(&options, encoder).unwrap();
        sink.send(&ids(part * 50, part * 50 + 50)).unwrap();
        sink.flush().unwrap();
    }
    let (options, read, _) = LiveOptions::take(pairs).unwrap();
    let codec = Arc::new(ProtobufCodec::new(&options).unwrap());
    let mut source = source(&topic, &[]);
    source.seek(&Positions::new()).unwrap();
    let mut found = Vec::new();
    while found.len() < 100 {
        for fetched in source.poll(Duration::from_secs(10), 1 << 20).unwrap() {
            let format = LiveFormat::Protobuf;
            let sample = std::slice::from_ref(&fetched);
            let columns = LiveReading::discover(format, &read, Some(codec.as_ref()), sample);
            let (columns, read) = (Arc::new(columns.unwrap()), Arc::new(read.clone()));
            let codec = Some(Arc::clone(&codec) as Arc<dyn Codec>);
            let reading = LiveReading::new("Kafka topic", format, columns, read, None, codec);
            for piece in reading.pieces(fetched) {
                let columns = piece.decode(0).unwrap().batch.columns;
                let ids = columns.column_by_name("id").unwrap();
                let ids = arrow::compute::cast(ids, &arrow::datatypes::DataType::Int64).unwrap();
                found.extend(
                    ids.as_primitive::<arrow::datatypes::Int64Type>()
                        .values()
                        .to_vec(),
                );
            }
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..100).collect::<Vec<i64>>());
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_avro_goes_both_ways_through_a_registry() {
    let registry = variable("TIDEGATE_REGISTRY");
    let theirs = topic("avro", "1");
    foreign(&["write-avro", &theirs, &registry, "100"]);
    let pairs = [("format", "avro"), ("schemaRegistry", registry.as_str())];
    let (options, read, _) = LiveOptions::take(pairs).unwrap();
    let codec = Arc::new(AvroCodec::new(&options).unwrap());
    let mut source = source(&theirs, &[]);
    source.seek(&Positions::new()).unwrap();
    let mut fetched = source.poll(Duration::from_secs(10), 1 << 20).unwrap();
    let format = LiveFormat::Avro;
    let found = LiveReading::discover(format, &read, Some(codec.as_ref()), &fetched).unwrap();
    let names: Vec<&str> = found.columns.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "more"]);
    let kind = "Kafka topic";
    let read = Arc::new(read);
    let reading = LiveReading::new(kind, format, Arc::new(found), read, None, Some(codec));
    let decoded = reading.pieces(fetched.remove(0))[0].decode(0).unwrap();
    assert_eq!(decoded.batch.columns.num_rows(), 100);
    assert_eq!(decoded.batch.columns.column(2).null_count(), 50);

    let ours = topic("avro.out", "1");
    let servers = variable("TIDEGATE_KAFKA");
    let pairs = [("bootstrapServers", servers.as_str()), ("topic", &ours)];
    let (options, _) = KafkaSinkOptions::take(pairs, "").unwrap();
    let own = [("schemaRegistry", registry.as_str())];
    let (schema, _) = LiveOptions::take_schema(own).unwrap();
    let other = AvroEncoder::new(&schema, &ours).unwrap();
    let encoder = Encoder::new(Vec::new(), Some(Box::new(other)));
    let mut sink = KafkaSink::new(&options, encoder).unwrap();
    sink.send(&ids(0, 50)).unwrap();
    sink.flush().unwrap();
    let text = foreign(&["read-avro", &ours, &registry]);
    let rows: Vec<String> = text.lines().map(str::to_owned).collect();
    let expected: Vec<String> = (0..50).map(|id| format!("{{\"id\": {id}}}")).collect();
    assert_eq!(rows, expected);
}

/// `cargo xtask brokers` prints it; an optimised build: `TIDEGATE_KAFKA=… cargo test --release …`.
#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_speed() {
    let topic = topic("speed", "4");
    let line = "x".repeat(150);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..50_000));
    let texts: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![line; 50_000]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
    let mut sink = sink(&topic, None);
    let begun = Instant::now();
    for _ in 0..20 {
        sink.send(&batch).unwrap();
    }
    sink.flush().unwrap();
    println!("sent {:.0} records/s", 1e6 / begun.elapsed().as_secs_f64());
    let mut source = source(&topic, &[]);
    source.seek(&Positions::new()).unwrap();
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let (mut rows, mut polls, mut bytes) = (0, 0, 0);
    while rows < 1_000_000 {
        for one in source.poll(Duration::from_secs(5), 8 << 20).unwrap() {
            rows += one.rows();
            bytes += one.bytes();
            polls += 1;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "read {:.0} records/s, {:.0} MB/s, {:.2} µs of CPU a record, in {polls} parts",
        1e6 / seconds,
        bytes as f64 / 1e6 / seconds,
        (cpu_seconds() - cpu)
    );
}

/// Seconds of CPU that this process has used.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = behind
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}
