//! Epochs that are run again because their checkpoint is damaged; and that damage is noticed.

use std::collections::BTreeMap;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};

use super::support::*;
use crate::{Checkpoint, Dataflow, Options, Output, OutputMode, Replay, StreamError};

/// How late rows may be, by the query.
const DELAY: i64 = 10 * SECOND;
/// How late they are: some too late.
const DISORDER: i64 = 100 * SECOND;

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(3);
    Tables::from([
        ("a", events(&mut random, 900, 20)),
        ("b", events(&mut random, 900, 20)),
    ])
}

fn disorderly(output: OutputMode) -> Options {
    Options {
        future_micros: 80 * SECOND,
        idle_micros: 40 * SECOND,
        ..options(output)
    }
}

/// All segments ever written, which nobody removes.
#[derive(Default)]
struct Kept(BTreeMap<String, Vec<u8>>);

impl Kept {
    fn save(&mut self, flow: &mut Dataflow) -> Checkpoint {
        let checkpoint = flow.checkpoint().unwrap();
        for (name, segment) in checkpoint.segments.iter().cloned() {
            self.0.insert(name, segment.into_bytes().unwrap());
        }
        for name in &checkpoint.live {
            assert!(self.0.contains_key(name), "{name} is needed and not there");
        }
        self.0.retain(|name, _| checkpoint.live.contains(name));
        checkpoint
    }

    fn read(&self) -> impl FnMut(&str) -> std::io::Result<Vec<u8>> + '_ {
        |name| {
            let found = self.0.get(name).cloned();
            found.ok_or_else(|| std::io::Error::other("there is no such segment"))
        }
    }
}

/// The rows of an epoch in another order, cut otherwise.
fn reordered(random: &mut fastrand::Rng, epoch: &[Push]) -> Vec<Push> {
    let mut by_binding: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (binding, _, rows) in epoch {
        by_binding.entry(binding).or_default().push(rows);
    }
    let mut pushes = Vec::new();
    for (binding, batches) in by_binding {
        let all = concat_batches(batches[0].schema_ref(), batches).unwrap();
        let mut order: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap()).collect();
        random.shuffle(&mut order);
        let all = take_record_batch(&all, &UInt32Array::from(order)).unwrap();
        let mut at = 0;
        while at < all.num_rows() {
            let count = random.usize(1..90).min(all.num_rows() - at);
            pushes.push((binding.to_owned(), String::new(), all.slice(at, count)));
            at += count;
        }
    }
    random.shuffle(&mut pushes);
    pushes
}

/// Pushes everything in epochs; with `damaged`, every now and then a checkpoint cannot be read and its epoch is run again.
fn run_epochs(
    seed: u64,
    make: &dyn Fn() -> Dataflow,
    pushes: &[Push],
    damaged: bool,
) -> (Vec<Output>, Dataflow, usize) {
    let mut cuts = fastrand::Rng::with_seed(seed);
    let mut random = fastrand::Rng::with_seed(seed + 1000);
    let (mut flow, mut kept) = (make(), Kept::default());
    let mut outputs = Vec::new();
    let mut before: Option<Checkpoint> = None;
    let (mut at, mut now, mut replays) = (0, BEGIN, 0);
    while at < pushes.len() {
        let epoch = &pushes[at..(at + cuts.usize(1..6)).min(pushes.len())];
        for (binding, partition, rows) in epoch {
            now = now.max(times_of(rows).into_iter().min().unwrap());
            outputs.push(flow.push(binding, partition, rows, now).unwrap());
        }
        at += epoch.len();
        outputs.push(flow.tick(now).unwrap());
        let checkpoint = kept.save(&mut flow);
        if damaged && random.u8(0..5) < 2 {
            flow = make();
            if let Some(before) = &before {
                flow.restore(&before.manifest, &mut kept.read()).unwrap();
            }
            flow.avoid(kept.0.keys().map(String::as_str));
            let mut replay = Replay::begin(&checkpoint.trail, &mut kept.read()).unwrap();
            for (binding, _, rows) in reordered(&mut random, epoch) {
                replay.push(&mut flow, &binding, &rows).unwrap();
            }
            replay.finish(&mut flow).unwrap();
            before = Some(kept.save(&mut flow));
            replays += 1;
        } else {
            before = Some(checkpoint);
        }
    }
    outputs.push(flow.finish().unwrap());
    (outputs, flow, replays)
}

/// Checks that epochs that are run again change nothing.
fn check(sql: &str, output: OutputMode, seeds: std::ops::Range<u64>) {
    let (engine, tables) = (engine(), tables());
    let query = plan(&engine, sql, &tables);
    let mut late = 0;
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let pushes = pushes(&mut random, &query, &tables, DISORDER);
        let make = || flow(&engine, &query, DELAY, &disorderly(output)).unwrap();
        let (wanted, undisturbed, _) = run_epochs(seed, &make, &pushes, false);
        let (found, disturbed, replays) = run_epochs(seed, &make, &pushes, true);
        assert!(replays > 0, "{sql} (seed {seed}): nothing was run again");
        match output {
            OutputMode::Append => {
                assert_eq!(appended(&found), appended(&wanted), "{sql} (seed {seed})");
            }
            OutputMode::Update => {
                let table = |outputs: &[Output]| {
                    let mut updated = Updated::default();
                    for output in outputs {
                        updated.apply(output, undisturbed.key());
                    }
                    updated.sorted()
                };
                assert_eq!(table(&found), table(&wanted), "{sql} (seed {seed})");
            }
        }
        let (wanted, found) = (undisturbed.stats(), disturbed.stats());
        assert_eq!(
            (found.rows_in, found.late, found.future),
            (wanted.rows_in, wanted.late, wanted.future),
            "{sql} (seed {seed})"
        );
        assert!(wanted.future > 0, "{sql}: no row was too far ahead");
        late += wanted.late;
    }
    let windowed = sql.contains("window(");
    assert!(late > 0 || !windowed, "{sql}: no row was late");
}

#[test]
fn windows_are_the_same_after_an_epoch_was_run_again() {
    for sql in [
        "SELECT k, window(ts, '1 minute') AS w, count(*) AS n, sum(v) AS s, min(name) AS m
         FROM STREAM a GROUP BY k, window(ts, '1 minute')",
        "SELECT k, window(ts, '1 minute', '10 seconds') AS w, count(*) AS n, sum(v) AS s
         FROM STREAM a GROUP BY k, window(ts, '1 minute', '10 seconds')",
        "SELECT k, session_window(ts, '15 seconds') AS w, count(*) AS n, sum(id) AS s
         FROM STREAM a GROUP BY k, session_window(ts, '15 seconds')",
    ] {
        check(sql, OutputMode::Append, 0..6);
        check(sql, OutputMode::Update, 0..6);
    }
    check(
        "SELECT window(w.start, '5 minutes') AS big, sum(n) AS n, max(n) AS most, count(*) AS windows FROM (
           SELECT k, window(ts, '20 seconds', '10 seconds') AS w, count(*) AS n
           FROM STREAM a GROUP BY k, window(ts, '20 seconds', '10 seconds'))
         GROUP BY window(w.start, '5 minutes')",
        OutputMode::Append,
        0..6,
    );
}

#[test]
fn keys_are_the_same_after_an_epoch_was_run_again() {
    check(
        "SELECT k, count(*) AS n, sum(v) AS s FROM STREAM a GROUP BY k",
        OutputMode::Update,
        0..4,
    );
    check(
        "SELECT DISTINCT k, name, v % 50 AS v FROM STREAM a",
        OutputMode::Append,
        0..4,
    );
    check(
        "SELECT DISTINCT k, ts FROM STREAM a",
        OutputMode::Append,
        0..4,
    );
    check(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC, id) AS n FROM STREAM a) WHERE n <= 3",
        OutputMode::Update,
        0..4,
    );
    check(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k, w ORDER BY ts, id) AS n FROM (SELECT *, date_trunc('minute', ts) AS w FROM STREAM a)) WHERE n <= 2",
        OutputMode::Update,
        0..4,
    );
}

#[test]
fn joins_are_the_same_after_an_epoch_was_run_again() {
    for join in ["JOIN", "LEFT JOIN", "FULL JOIN"] {
        check(
            &format!(
                "SELECT a.id, b.id AS other FROM STREAM a {join} STREAM b
                 ON a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL 5 SECONDS AND a.ts + INTERVAL 20 SECONDS"
            ),
            OutputMode::Append,
            0..5,
        );
    }
    check(
        "SELECT x.w, x.k, x.n, y.n AS m FROM
           (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM a GROUP BY k, window(ts, '1 minute')) x
         JOIN
           (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM b GROUP BY k, window(ts, '1 minute')) y
         ON x.k = y.k AND x.w = y.w",
        OutputMode::Append,
        0..5,
    );
}

/// A flow with some state, its checkpoint, and the segments.
fn saved() -> (impl Fn() -> Dataflow, Checkpoint, Kept) {
    let (engine, tables) = (engine(), tables());
    let sql = "SELECT k, window(ts, '10 seconds') AS w, count(*) AS n FROM STREAM a
               GROUP BY k, window(ts, '10 seconds')";
    let query = plan(&engine, sql, &tables);
    let binding = query.relations[0].0.clone();
    let make = move || flow(&engine, &query, DELAY, &options(OutputMode::Append)).unwrap();
    let (mut flow, mut kept) = (make(), Kept::default());
    let rows = tables["a"].slice(0, 20);
    flow.push(&binding, "0", &rows, BEGIN).unwrap();
    let checkpoint = kept.save(&mut flow);
    (make, checkpoint, kept)
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let (make, checkpoint, kept) = saved();
    let is_damaged = |manifest: &[u8], kept: &Kept| {
        let restored = make().restore(manifest, &mut kept.read());
        matches!(restored, Err(StreamError::Damaged { .. }))
    };
    assert!(!is_damaged(&checkpoint.manifest, &kept));
    for at in 0..checkpoint.manifest.len() {
        let mut flipped = checkpoint.manifest.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(is_damaged(&flipped, &kept), "byte {at} of the manifest");
        assert!(
            is_damaged(&checkpoint.manifest[..at], &kept),
            "a manifest of {at} bytes"
        );
    }
    let mut kept = kept;
    let names: Vec<String> = kept.0.keys().cloned().collect();
    for name in names {
        let whole = kept.0[&name].clone();
        for at in (0..whole.len()).step_by(11) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            kept.0.insert(name.clone(), flipped);
            assert!(
                is_damaged(&checkpoint.manifest, &kept),
                "byte {at} of {name}"
            );
            kept.0.insert(name.clone(), whole[..at].to_vec());
            assert!(
                is_damaged(&checkpoint.manifest, &kept),
                "{at} bytes of {name}"
            );
        }
        kept.0.remove(&name);
        assert!(is_damaged(&checkpoint.manifest, &kept), "{name} is gone");
        kept.0.insert(name, whole);
    }
}

#[test]
fn a_manifest_of_a_newer_version_is_refused_as_such() {
    let (make, checkpoint, kept) = saved();
    let json = crate::checkpoint::unseal(&checkpoint.manifest).unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(json).unwrap();
    value["format_version"] = 9.into();
    let newer = crate::checkpoint::seal(value.to_string().as_bytes());
    let error = make().restore(&newer, &mut kept.read());
    assert!(
        matches!(error, Err(StreamError::NewerFormat { found: 9, .. })),
        "{error:?}"
    );
}

#[test]
fn other_rows_than_those_of_the_epoch_are_refused() {
    let (engine, tables) = (engine(), tables());
    let sql = "SELECT k, window(ts, '10 seconds') AS w, count(*) AS n FROM STREAM a
               GROUP BY k, window(ts, '10 seconds')";
    let query = plan(&engine, sql, &tables);
    let binding = &query.relations[0].0;
    let make = || flow(&engine, &query, DELAY, &options(OutputMode::Append)).unwrap();
    let (mut first, mut kept) = (make(), Kept::default());
    first
        .push(binding, "0", &tables["a"].slice(200, 100), BEGIN)
        .unwrap();
    first
        .push(binding, "0", &tables["a"].slice(0, 100), BEGIN)
        .unwrap();
    let checkpoint = kept.save(&mut first);
    let mut again = make();
    let mut replay = Replay::begin(&checkpoint.trail, &mut kept.read()).unwrap();
    replay
        .push(&mut again, binding, &tables["a"].slice(200, 100))
        .unwrap();
    replay
        .push(&mut again, binding, &tables["a"].slice(0, 99))
        .unwrap();
    let error = replay.finish(&mut again).unwrap_err();
    assert!(error.to_string().contains("1 rows"), "{error}");
}
