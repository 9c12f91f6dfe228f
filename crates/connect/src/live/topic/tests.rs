//! Topics: what is written is read, whoever writes, and whatever a kill leaves behind.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use arrow::array::{Array, AsArray};

use super::*;
use crate::live::{Fetched, LiveNote, LiveSource, Positions, Start};

thread_local! {
    /// Lets the writes of this thread fail.
    pub(super) static FAIL_WRITES: Cell<bool> = const { Cell::new(false) };
}

const NO_WAIT: Duration = Duration::ZERO;

fn record(key: Option<&str>, value: &str) -> Record {
    Record {
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        timestamp_ms: 1_700_000_000_000,
        headers: Vec::new(),
    }
}

fn options(partitions: i32) -> TopicOptions {
    TopicOptions {
        partitions,
        ..TopicOptions::default()
    }
}

/// All values there are: partition, offset, value.
fn drain(source: &mut TopicSource, bytes_max: usize) -> Vec<(i32, i64, String)> {
    let mut all = Vec::new();
    loop {
        let fetched = source.poll(NO_WAIT, bytes_max).unwrap();
        if fetched.is_empty() {
            return all;
        }
        for one in &fetched {
            all.extend(rows(one));
        }
    }
}

fn rows(fetched: &Fetched) -> Vec<(i32, i64, String)> {
    let value = |row| String::from_utf8(fetched.values.get(row).unwrap_or(b"NULL").to_vec());
    (0..fetched.rows())
        .map(|row| (fetched.partition, fetched.offsets[row], value(row).unwrap()))
        .collect()
}

fn earliest(topic: &Topic) -> TopicSource {
    topic.source(TopicReadOptions::default()).unwrap()
}

#[test]
fn what_is_written_is_read_with_all_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    for compression in [
        TopicCompression::None,
        TopicCompression::Lz4,
        TopicCompression::Zstd,
    ] {
        let kept = TopicOptions {
            compression,
            ..options(1)
        };
        let topic = Topic::create(&folder.path().join(format!("{compression:?}")), &kept).unwrap();
        let records = [
            Record {
                key: Some(Bytes::from_static(b"k")),
                value: None,
                timestamp_ms: 5,
                headers: vec![
                    ("trace".to_owned(), Some(Bytes::from_static(b"\x00\xff"))),
                    ("none".to_owned(), None),
                ],
            },
            Record {
                timestamp_ms: 7,
                ..record(None, "two\nlines")
            },
            record(Some(""), ""),
            record(None, &"long ".repeat(100)),
        ];
        let writer = topic.writer().unwrap();
        assert_eq!(
            writer.append(&records).unwrap(),
            [(0, 0), (0, 1), (0, 2), (0, 3)]
        );
        let mut source = earliest(&topic);
        let fetched = source.poll(NO_WAIT, 1 << 20).unwrap();
        let [fetched] = fetched.as_slice() else {
            panic!("one part of one partition")
        };
        assert_eq!(fetched.offsets, [0, 1, 2, 3]);
        assert_eq!(
            fetched.timestamps_ms,
            [5, 7, 1_700_000_000_000, 1_700_000_000_000]
        );
        assert_eq!(fetched.values.get(0), None);
        assert_eq!(fetched.values.get(1), Some(&b"two\nlines"[..]));
        assert_eq!(fetched.values.get(2), Some(&b""[..]));
        let keys = fetched.keys.as_ref().unwrap();
        assert_eq!(keys.get(0), Some(&b"k"[..]));
        assert_eq!(keys.get(1), None);
        assert_eq!(keys.get(2), Some(&b""[..]));
        let headers = fetched.headers.as_ref().unwrap().as_list::<i32>();
        assert_eq!(headers.value_length(0), 2);
        assert!(headers.is_null(1));
        let array = fetched.values.to_array();
        assert_eq!(array.value(3), "long ".repeat(100).as_bytes());
        assert!(array.is_null(0));
        let part = fetched.slice(1, 3);
        assert_eq!((part.next, part.rows()), (3, 2));
        assert_eq!(part.values.get(0), Some(&b"two\nlines"[..]));
        assert!(part.keys.unwrap().is_null(0));
    }
}

#[test]
fn keys_stay_together_and_keyless_records_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let topic = Topic::create(&folder.path().join("t"), &options(4)).unwrap();
    let writer = topic.writer().unwrap();
    let keys: Vec<String> = (0..100).map(|key| format!("card {}", key % 10)).collect();
    let records: Vec<Record> = keys.iter().map(|key| record(Some(key), key)).collect();
    let placed = writer.append(&records).unwrap();
    for (key, (partition, _)) in keys.iter().zip(&placed) {
        assert_eq!(*partition, partition_of(key.as_bytes(), 4));
    }
    let used: BTreeSet<i32> = (0..4)
        .flat_map(|_| writer.append(&vec![record(None, "x"); 1000]).unwrap())
        .map(|(partition, _)| partition)
        .collect();
    assert_eq!(used.len(), 4);
    let read = drain(&mut earliest(&topic), 1 << 20);
    assert_eq!(read.len(), 4100);
}

#[test]
fn segments_follow_one_another_and_any_position_can_be_sought() {
    let folder = tempfile::tempdir().unwrap();
    let small = TopicOptions {
        segment_bytes: 4096,
        ..options(1)
    };
    let topic = Topic::create(&folder.path().join("t"), &small).unwrap();
    let writer = topic.writer().unwrap();
    for batch in 0..60 {
        let records: Vec<Record> = (0..10)
            .map(|at| {
                let value = format!("{:>100}", batch * 10 + at);
                Record {
                    timestamp_ms: batch * 10 + at,
                    ..record(None, &value)
                }
            })
            .collect();
        writer.append(&records).unwrap();
    }
    let segments = segments::list(&topic.partition_folder(0)).unwrap();
    assert!(segments.len() > 10, "{segments:?}");
    let mut source = earliest(&topic);
    for bytes_max in [1, 5000, 1 << 20] {
        source.seek(&Positions::new()).unwrap();
        let read = drain(&mut source, bytes_max);
        let offsets: Vec<i64> = read.iter().map(|row| row.1).collect();
        assert_eq!(offsets, (0..600).collect::<Vec<i64>>());
        assert!(read.iter().all(|row| row.2.trim() == row.1.to_string()));
    }
    for from in [0, 1, 39, 40, 41, 333, 599, 600] {
        let mut positions = Positions::new();
        positions.set(topic.name(), 0, from);
        source.seek(&positions).unwrap();
        let read = drain(&mut source, 3000);
        assert_eq!(read.first().map(|row| row.1), (from < 600).then_some(from));
        assert_eq!(read.len(), 600 - from as usize);
        let mut since = topic
            .source(TopicReadOptions {
                start: Start::Timestamp(from),
                ..TopicReadOptions::default()
            })
            .unwrap();
        assert_eq!(drain(&mut since, 3000), read);
    }
}

#[test]
fn a_reader_learns_of_records_of_this_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let topic = Topic::create(&folder.path().join("t"), &options(2)).unwrap();
    let writer = topic.writer().unwrap();
    let mut source = topic
        .source(TopicReadOptions {
            start: Start::Latest,
            ..TopicReadOptions::default()
        })
        .unwrap();
    writer.append(&[record(None, "before")]).unwrap();
    source.seek(&Positions::new()).unwrap();
    let (sent, times) = std::sync::mpsc::channel();
    let sender = std::thread::spawn(move || {
        for at in 0..20 {
            writer.append(&[record(None, &at.to_string())]).unwrap();
            sent.send(std::time::Instant::now()).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let mut delays = Vec::new();
    while delays.len() < 20 {
        for fetched in source.poll(Duration::from_secs(5), 1 << 20).unwrap() {
            let now = std::time::Instant::now();
            for _ in 0..fetched.rows() {
                delays.push(now.saturating_duration_since(times.recv().unwrap()));
            }
        }
    }
    sender.join().unwrap();
    delays.sort();
    assert!(delays[10] < Duration::from_millis(20), "{delays:?}");
}

#[test]
fn threads_and_writers_share_a_topic_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let small = TopicOptions {
        segment_bytes: 16 << 10,
        ..options(3)
    };
    let topic = Topic::create(&path, &small).unwrap();
    let writers = [topic.writer().unwrap(), topic.writer().unwrap()];
    let mut placed: Vec<(i32, i64, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread: usize| {
                let writer = writers[thread % 2].clone();
                scope.spawn(move || append_numbered(&writer, thread, 15))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut read = drain(&mut earliest(&topic), 10_000);
    placed.sort();
    read.sort();
    assert_eq!(read, placed);
}

/// Appends batches of 10 records with keys; where each went.
fn append_numbered(writer: &TopicWriter, who: usize, batches: usize) -> Vec<(i32, i64, String)> {
    let mut placed = Vec::new();
    for batch in 0..batches {
        let records: Vec<Record> = (0..10)
            .map(|at| {
                let value = format!("{who}-{batch}-{at}");
                record(Some(&format!("key {at}")), &value)
            })
            .collect();
        let offsets = writer.append(&records).unwrap();
        placed.extend(
            offsets
                .iter()
                .zip(&records)
                .map(|(&(partition, offset), one)| {
                    let value = one.value.clone().unwrap();
                    (
                        partition,
                        offset,
                        String::from_utf8(value.to_vec()).unwrap(),
                    )
                }),
        );
    }
    placed
}

/// Not a test of its own: the other side of [`processes_share_a_topic_and_may_be_killed`].
#[test]
fn another_process_that_appends() {
    let Ok(path) = std::env::var("TIDEGATE_TEST_TOPIC") else {
        return;
    };
    let writer = Topic::open(Path::new(&path)).unwrap().writer().unwrap();
    let who = std::process::id() as usize;
    for batch in 0.. {
        for (partition, offset, value) in append_numbered(&writer, who * 1_000_000 + batch, 1) {
            println!("acknowledged {partition} {offset} {value}");
        }
    }
}

#[test]
fn processes_share_a_topic_and_may_be_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let small = TopicOptions {
        segment_bytes: 32 << 10,
        ..options(2)
    };
    let topic = Topic::create(&path, &small).unwrap();
    let mut acknowledged = BTreeSet::new();
    for _ in 0..4 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "--nocapture", "--test-threads=1"])
                    .arg("live::topic::tests::another_process_that_appends")
                    .env("TIDEGATE_TEST_TOPIC", &path)
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut source = topic
            .source(TopicReadOptions {
                start: Start::Latest,
                ..TopicReadOptions::default()
            })
            .unwrap();
        source.seek(&Positions::new()).unwrap();
        let (before, mut seen) = (acknowledged.len(), 0);
        let begun = std::time::Instant::now();
        while seen < 100 && begun.elapsed() < Duration::from_secs(5) {
            seen += drain(&mut source, 1 << 20).len();
            std::thread::sleep(Duration::from_millis(5));
        }
        for child in &mut children {
            child.kill().unwrap();
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            // The last line may be cut.
            for line in text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
            {
                let mut words = line.split_whitespace();
                if words.next() == Some("acknowledged") {
                    let mut word = || words.next().unwrap();
                    let place = (
                        word().parse::<i32>().unwrap(),
                        word().parse::<i64>().unwrap(),
                    );
                    acknowledged.insert((place.0, place.1, word().to_owned()));
                }
            }
        }
        assert!(acknowledged.len() > before);
    }
    // A writer finds everything in order and goes on.
    let more = append_numbered(&topic.writer().unwrap(), 1, 3);
    acknowledged.extend(more);
    let read: BTreeSet<_> = drain(&mut earliest(&topic), 1 << 20).into_iter().collect();
    let missing: Vec<_> = acknowledged.difference(&read).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for partition in 0..2 {
        let offsets: Vec<i64> = read
            .iter()
            .filter(|row| row.0 == partition)
            .map(|row| row.1)
            .collect();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_off_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let topic = Topic::create(&folder.path().join("t"), &options(1)).unwrap();
    let part = topic.partition_folder(0);
    topic
        .writer()
        .unwrap()
        .append(&[record(None, "kept")])
        .unwrap();
    let mark = fs::read(part.join("durable")).unwrap();
    let segment = segments::path_of(&part, 0);
    let kept = fs::metadata(&segment).unwrap().len() as usize;
    let batch = [record(Some("k"), "torn"), record(None, "torn too")];
    topic.writer().unwrap().append(&batch).unwrap();
    let whole = fs::read(&segment).unwrap();
    for length in kept..whole.len() {
        fs::write(&segment, &whole[..length]).unwrap();
        fs::write(part.join("durable"), &mark).unwrap();
        let values: Vec<String> = drain(&mut earliest(&topic), 1 << 20)
            .into_iter()
            .map(|row| row.2)
            .collect();
        assert_eq!(values, ["kept"], "{length} bytes");
        // A byte that came to the disk wrong.
        let mut wrong = whole.clone();
        wrong[length] ^= 0x40;
        fs::write(&segment, &wrong).unwrap();
        fs::write(part.join("durable"), &mark).unwrap();
        let placed = topic.writer().unwrap().append(&[record(None, "next")]);
        assert_eq!(placed.unwrap(), [(0, 1)], "byte {length}");
        let values = drain(&mut earliest(&topic), 1 << 20);
        assert_eq!(values.len(), 2);
        assert_eq!(values[1].2, "next");
    }
    // Whole, but its writer was killed before it moved the mark: it may be shown, and nothing is lost.
    for mark in [mark, Vec::new()] {
        fs::write(&segment, &whole).unwrap();
        fs::write(part.join("durable"), &mark).unwrap();
        assert_eq!(drain(&mut earliest(&topic), 1 << 20).len(), 3);
    }
}

#[test]
fn a_disk_that_is_full_loses_nothing_and_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let topic = Topic::create(&folder.path().join("t"), &options(1)).unwrap();
    let writer = topic.writer().unwrap();
    writer.append(&[record(None, "a")]).unwrap();
    FAIL_WRITES.set(true);
    let error = writer.append(&[record(None, "lost")]).unwrap_err();
    FAIL_WRITES.set(false);
    assert_eq!(error.kind(), crate::ErrorKind::FreeResource, "{error}");
    assert_eq!(writer.append(&[record(None, "b")]).unwrap(), [(0, 1)]);
    let values: Vec<String> = drain(&mut earliest(&topic), 1 << 20)
        .into_iter()
        .map(|row| row.2)
        .collect();
    assert_eq!(values, ["a", "b"]);
}

#[test]
fn old_and_surplus_segments_are_removed_and_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let kept = TopicOptions {
        segment_bytes: 2048,
        retention_bytes: Some(8192),
        retention_ms: Some(3_600_000),
        ..options(1)
    };
    let topic = Topic::create(&folder.path().join("t"), &kept).unwrap();
    let writer = topic.writer().unwrap();
    let mut source = earliest(&topic);
    let mut lenient = topic
        .source(TopicReadOptions {
            fail_on_data_loss: false,
            ..TopicReadOptions::default()
        })
        .unwrap();
    for at in 0..100 {
        let value = format!("{at:>200}");
        writer.append(&[record(None, &value)]).unwrap();
        if at == 2 {
            assert_eq!(drain(&mut source, 1).len(), 3);
            assert_eq!(drain(&mut lenient, 1).len(), 3);
        }
    }
    let state = source.partitions().unwrap().remove(0);
    assert!(state.earliest > 50 && state.end == 100, "{state:?}");
    let on_disk = segments::list(&topic.partition_folder(0)).unwrap();
    assert_eq!(on_disk[0], state.earliest);
    // The segment that was open is read to its end first.
    let mut error = None;
    for _ in 0..10 {
        error = error.or(source.poll(NO_WAIT, 1).err());
    }
    let error = error.unwrap().to_string();
    assert!(error.contains("failOnDataLoss"), "{error}");
    let read = drain(&mut lenient, 1 << 20);
    assert_eq!(read.len() as i64, 100 - state.earliest);
    let notes = lenient.notes();
    assert!(
        matches!(notes.as_slice(), [LiveNote::Lost { from: 3, to, .. }] if *to == state.earliest),
        "{notes:?}"
    );
    // An hour later everything is too old, and new records go on counting.
    let later = SystemTime::now() + Duration::from_secs(7200);
    topic.retain(later).unwrap();
    assert_eq!(source.partitions().unwrap()[0].earliest, 100);
    assert_eq!(writer.append(&[record(None, "new")]).unwrap(), [(0, 100)]);
    assert_eq!(drain(&mut earliest(&topic), 1).len(), 1);
}

#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let error = Topic::open(&path).unwrap_err();
    assert!(matches!(error, ConnectError::NoTopic { .. }), "{error}");
    let topic = Topic::create(&path, &options(2)).unwrap();
    Topic::create(&path, &options(2)).unwrap();
    let error = Topic::create(&path, &options(3)).unwrap_err();
    assert!(
        matches!(error, ConnectError::TopicDiffers { .. }),
        "{error}"
    );
    let mut source = earliest(&topic);
    let mut positions = Positions::new();
    positions.set(&"t".into(), 5, 0);
    let error = source.seek(&positions).unwrap_err();
    assert!(matches!(error, ConnectError::NoPartition { .. }), "{error}");
    let mut positions = Positions::new();
    positions.set(&"t".into(), 1, 10);
    source.seek(&positions).unwrap();
    let error = source.poll(NO_WAIT, 1).unwrap_err();
    assert!(matches!(error, ConnectError::BehindEnd { .. }), "{error}");
    // Damage in the middle of what is durable.
    let writer = topic.writer().unwrap();
    writer.append(&[record(Some("a"), "one")]).unwrap();
    let partition = partition_of(b"a", 2);
    let segment = segments::path_of(&topic.partition_folder(partition), 0);
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let error = earliest(&topic).poll(NO_WAIT, 1).unwrap_err();
    assert!(
        matches!(error, ConnectError::TopicDamaged { .. }),
        "{error}"
    );
    fs::remove_dir_all(&path).unwrap();
    let error = source.partitions().unwrap_err();
    assert!(matches!(error, ConnectError::NoTopic { .. }), "{error}");
    Topic::create(&path, &options(2)).unwrap();
    let error = source.partitions().unwrap_err();
    assert!(matches!(error, ConnectError::Recreated { .. }), "{error}");
}

/// `cargo test -p tidegate-connect --release -- --ignored --nocapture topic_speed`
#[test]
#[ignore = "a measurement"]
fn topic_speed() {
    let folder = tempfile::tempdir().unwrap();
    let topic = Topic::create(&folder.path().join("t"), &options(1)).unwrap();
    let writer = topic.writer().unwrap();
    let value = format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(170));
    let records = vec![record(None, &value); 10_000];
    let begun = std::time::Instant::now();
    for _ in 0..200 {
        writer.append(&records).unwrap();
    }
    println!("written {:.0} MB/s", 400.0 / begun.elapsed().as_secs_f64());
    let begun = std::time::Instant::now();
    let mut source = earliest(&topic);
    let mut bytes = 0;
    loop {
        let fetched = source.poll(NO_WAIT, 8 << 20).unwrap();
        if fetched.is_empty() {
            break;
        }
        bytes += fetched.iter().map(Fetched::bytes).sum::<usize>();
    }
    let rate = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    println!("read {rate:.0} MB/s");
    for threads in [1, 4, 16] {
        let begun = std::time::Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..100 {
                        writer.append(&records[..1]).unwrap();
                    }
                });
            }
        });
        let rate = (threads * 100) as f64 / begun.elapsed().as_secs_f64();
        println!("{threads} threads: {rate:.0} appends a second");
    }
}
