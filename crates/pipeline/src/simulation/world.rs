//! A world: its script, drawn from a seed, and its end, when nothing goes wrong any more and the tables are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::BufReader;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::collect;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use parking_lot::Mutex;
use tempfile::TempDir;
use tidegate_lake::Lake;
use tidegate_project::TableName;

use super::damage::damage;
use super::source::around;
use super::storage::Stormy;
use super::truth::{Answer, BEGIN, DELAY, Event, Truth, Windows, add, windows};
use super::weather::Weather;
use crate::events::Silent;
use crate::report::{Outcome, UpdateReport, UpdateStatus};
use crate::rows::CancelToken;
use crate::update::{UpdateRequest, Watch};
use crate::workspace::Workspace;

const PROJECT: &str = "
CREATE TOPIC events (id BIGINT, card STRING, amount BIGINT, ts TIMESTAMP)
  TBLPROPERTIES ('partitions' = '3', 'key' = 'card');
CREATE TOPIC answers (id BIGINT, said STRING, ts TIMESTAMP) TBLPROPERTIES ('partitions' = '2', 'key' = 'id');
CREATE TOPIC leaving;
CREATE STREAMING TABLE accepted (
  id BIGINT NOT NULL PRIMARY KEY, card STRING NOT NULL, amount BIGINT, ts TIMESTAMP NOT NULL,
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM events;
CREATE STREAMING TABLE windows TBLPROPERTIES ('tidegate.late' = 'keep', 'tidegate.idle' = '1 day') AS
SELECT card, window(ts, '1 minute') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM accepted WATERMARK ts DELAY OF INTERVAL 30 SECONDS GROUP BY card, window(ts, '1 minute');
CREATE STREAMING TABLE straight TBLPROPERTIES ('tidegate.late' = 'keep', 'tidegate.idle' = '1 day') AS
SELECT card, window(ts, '1 minute') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM events WATERMARK ts DELAY OF INTERVAL 30 SECONDS GROUP BY card, window(ts, '1 minute');
CREATE STREAMING TABLE totals AS SELECT card, count(*) AS n, sum(amount) AS total FROM STREAM accepted GROUP BY card;
CREATE STREAMING TABLE seen AS SELECT DISTINCT card, amount % 5 AS rest FROM STREAM events;
CREATE STREAMING TABLE joined TBLPROPERTIES ('tidegate.idle' = '1 day') AS
SELECT e.id, a.said FROM STREAM events WATERMARK ts DELAY OF INTERVAL 30 SECONDS AS e
JOIN STREAM answers WATERMARK ts DELAY OF INTERVAL 30 SECONDS AS a
  ON e.id = a.id AND a.ts BETWEEN e.ts - INTERVAL 60 SECONDS AND e.ts + INTERVAL 60 SECONDS;
CREATE SINK leave TO topic('leaving', key => 'card') AS SELECT id, card FROM STREAM accepted WHERE amount > 50;
";

/// What a world went through.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) failures: u64,
    pub(super) failed_runs: u64,
    pub(super) replays: u64,
    pub(super) seconds: f64,
}

struct World {
    random: fastrand::Rng,
    weather: Weather,
    store: Arc<InMemory>,
    folder: TempDir,
    workspace: Workspace,
    truth: Truth,
    /// The event time of the script, in seconds.
    now: i64,
    latest: (i64, i64),
    /// A checkpoint is damaged, and no run has succeeded since.
    is_damaged: bool,
    came: Came,
    /// What happened, for whoever looks into a failure.
    diary: String,
}

/// Runs the world of a seed.
///
/// # Panics
/// When a table is not what the rows say.
pub(super) fn run(seed: u64) -> Came {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut world = World::new(seed);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let steps = world.random.usize(6..12);
            for _ in 0..steps {
                world.step().await;
            }
            world.end().await;
        });
    }));
    runtime.shutdown_background();
    if let Err(panic) = ended {
        println!("seed {seed} went so:\n{}", world.diary);
        println!(
            "again: TIDEGATE_SIMULATION={seed} cargo test --workspace --lib -- whatever_goes_wrong"
        );
        std::panic::resume_unwind(panic);
    }
    world.came.failures = world.weather.failures();
    world.came.seconds = begun.elapsed().as_secs_f64();
    world.came
}

impl World {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tidegate.toml"), "name = \"world\"\n").unwrap();
        std::fs::create_dir(folder.path().join("tables")).unwrap();
        std::fs::write(folder.path().join("tables/t.sql"), PROJECT).unwrap();
        let (weather, store) = (Weather::of(seed), Arc::new(InMemory::new()));
        Self {
            random: fastrand::Rng::with_seed(seed),
            workspace: opened(&folder, &store, &weather),
            weather,
            store,
            folder,
            truth: Truth::default(),
            now: BEGIN,
            latest: (i64::MIN, i64::MIN),
            is_damaged: false,
            came: Came::default(),
            diary: String::new(),
        }
    }

    /// The process ends, and another begins.
    fn restart(&mut self) {
        self.diary += "  the process ends\n";
        self.workspace = opened(&self.folder, &self.store, &self.weather);
    }

    async fn step(&mut self) {
        let rows = self.random.usize(3..50);
        self.deliver(rows);
        let bad = [0, 4, 15, 40][self.random.usize(0..4)];
        let _ = writeln!(self.diary, "{rows} rows; of 1000 requests {bad} fail");
        self.weather.set(bad);
        match self.random.u8(0..10) {
            0..=4 => self.update(None).await,
            5 => {
                let killed = Duration::from_millis(self.random.u64(2..200));
                self.update(Some(killed)).await;
            }
            _ => self.follow().await,
        }
        self.weather.set(0);
        if !self.is_damaged
            && self.random.u8(0..3) == 0
            && let Some(what) = damage(&self.store, &mut self.random).await
        {
            let _ = writeln!(self.diary, "  damage: {what}");
            self.is_damaged = true;
            self.restart();
        } else if self.random.bool() {
            self.restart();
        }
    }

    /// A run that ends, or is ended.
    async fn update(&mut self, killed: Option<Duration>) {
        let request = UpdateRequest::default();
        let update = self
            .workspace
            .update(&request, watch(CancelToken::default()));
        let Some(killed) = killed else {
            let report = update.await;
            self.note("a run", report);
            return;
        };
        match tokio::time::timeout(killed, update).await {
            Ok(report) => self.note("a run", report),
            Err(_) => {
                let _ = writeln!(self.diary, "  a run was ended after {killed:?}");
                self.came.failed_runs += 1;
                self.restart();
            }
        }
    }

    /// A run that follows its sources for a while, while rows come; or is ended.
    async fn follow(&mut self) {
        let (length, more) = (self.random.u64(60..200), self.random.usize(0..30));
        let is_killed = self.random.u8(0..3) == 0;
        let cancel = CancelToken::default();
        let lines = self.draw(more);
        let request = UpdateRequest::default();
        let mut rounds = |_: &[crate::report::TableReport]| {};
        let waiting = Mutex::new(Some(lines));
        let push_once = || {
            if let Some(lines) = waiting.lock().take() {
                push(&self.workspace, lines);
            }
        };
        let report = {
            let every = Duration::from_millis(30);
            let run = self
                .workspace
                .follow(&request, every, watch(cancel.clone()), &mut rounds);
            let end = async {
                tokio::time::sleep(Duration::from_millis(length / 2)).await;
                push_once();
                tokio::time::sleep(Duration::from_millis(length / 2)).await;
                if !is_killed {
                    cancel.cancel();
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                report = run => Some(report),
                () = end => None,
            }
        };
        push_once();
        match report {
            Some(report) => self.note("a run that follows", report),
            None => {
                self.diary += "  a run that follows was ended\n";
                self.came.failed_runs += 1;
                self.restart();
            }
        }
    }

    fn note(&mut self, what: &str, report: crate::error::Result<UpdateReport>) {
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                let _ = writeln!(self.diary, "  {what}: {error}");
                self.came.failed_runs += 1;
                return;
            }
        };
        let _ = writeln!(self.diary, "  {what}: {:?}", report.status);
        for table in &report.tables {
            if let Outcome::Failed { error } = &table.outcome {
                let _ = writeln!(self.diary, "    {}: {error}", table.table);
            }
            for note in &table.notes {
                let _ = writeln!(self.diary, "    {}: {note}", table.table);
                self.came.replays += u64::from(note.contains("made again"));
            }
        }
        match report.status {
            UpdateStatus::Succeeded => self.is_damaged = false,
            _ => self.came.failed_runs += 1,
        }
    }

    fn deliver(&mut self, rows: usize) {
        let lines = self.draw(rows);
        push(&self.workspace, lines);
    }

    /// Draws rows, as the lines to be pushed to both topics.
    fn draw(&mut self, rows: usize) -> (String, String) {
        let (mut events, mut answers) = (String::new(), String::new());
        for _ in 0..rows {
            self.now += self.random.i64(0..5);
            let event = self.event();
            self.latest.0 = self.latest.0.max(event.ts);
            let _ = writeln!(events, "{}", json(&event));
            if self.random.u8(0..3) == 0 {
                let answer = self.answer(&event);
                self.latest.1 = self.latest.1.max(answer.ts);
                let _ = writeln!(
                    answers,
                    "{{\"id\":{},\"said\":\"{}\",\"ts\":\"{}\"}}",
                    answer.id,
                    answer.said,
                    text(answer.ts)
                );
                self.truth.answers.push(answer);
            }
            self.truth.events.push(event);
        }
        (events, answers)
    }

    /// The next event: mostly in time, sometimes too late, sometimes one that came before.
    fn event(&mut self) -> Event {
        let behind = match self.random.u8(0..20) {
            0 => self.random.i64(60..400),
            _ => self.random.i64(0..25),
        };
        let known = self.truth.events.len();
        let mut event = match self.random.u8(0..20) {
            0 if known > 0 => self.truth.events[self.random.usize(0..known)].clone(),
            _ => Event {
                id: i64::try_from(known).unwrap(),
                card: format!("c{}", self.random.u8(0..12)),
                amount: self.random.i64(-5..100),
                ts: self.now - behind,
                is_on_time: true,
            },
        };
        event.is_on_time = event.ts >= self.latest.0.saturating_sub(DELAY);
        event
    }

    fn answer(&mut self, event: &Event) -> Answer {
        let ts = self.now - self.random.i64(0..25);
        let known = self.truth.events.len();
        let id = match known > 0 && self.random.bool() {
            true => self.truth.events[self.random.usize(known.saturating_sub(20)..known)].id,
            false => event.id,
        };
        Answer {
            id,
            said: format!("a{}", self.truth.answers.len()),
            ts,
            is_on_time: ts >= self.latest.1.saturating_sub(DELAY),
        }
    }

    /// Nothing goes wrong any more: what waits for time to pass comes out, and the tables are compared.
    async fn end(&mut self) {
        self.weather.set(0);
        self.restart();
        let (mut events, mut answers) = (String::new(), String::new());
        let ts = text(self.now + 3_600);
        for number in 0..40 {
            let id = -1 - number;
            let _ = writeln!(
                events,
                "{{\"id\":{id},\"card\":\"end{number}\",\"amount\":1,\"ts\":\"{ts}\"}}"
            );
            let _ = writeln!(answers, "{{\"id\":{id},\"said\":\"end\",\"ts\":\"{ts}\"}}");
        }
        push(&self.workspace, (events, answers));
        for _ in 0..2 {
            let request = UpdateRequest::default();
            let report = self
                .workspace
                .update(&request, watch(CancelToken::default()));
            let report = report.await.unwrap();
            let status = report.status;
            let failed = self.came.failed_runs;
            self.note("the last run", Ok(report));
            assert_eq!(status, UpdateStatus::Succeeded, "the last run failed");
            self.came.failed_runs = failed;
            self.compare().await;
        }
    }

    async fn compare(&self) {
        let truth = &self.truth;
        let accepted = self
            .rows("SELECT id FROM accepted WHERE id >= 0 ORDER BY id")
            .await;
        let wanted: BTreeSet<i64> = truth.accepted().iter().map(|event| event.id).collect();
        let wanted: Vec<Vec<String>> = wanted.iter().map(|id| vec![id.to_string()]).collect();
        assert_eq!(accepted, wanted, "accepted");
        let quarantined = self.rows("SELECT count(*) FROM accepted__quarantine").await;
        assert_eq!(
            quarantined[0][0],
            truth.quarantined().to_string(),
            "quarantined"
        );
        self.compare_windows("windows", windows(truth.accepted()))
            .await;
        self.compare_windows("straight", windows(&truth.events))
            .await;
        let totals =
            self.rows("SELECT card, n, total FROM totals WHERE card LIKE 'c%' ORDER BY card");
        let wanted = truth.totals().into_iter();
        let wanted = wanted.map(|(card, (n, total))| vec![card, n.to_string(), total.to_string()]);
        assert_eq!(totals.await, wanted.collect::<Vec<_>>(), "totals");
        let seen =
            self.rows("SELECT card, rest FROM seen WHERE card LIKE 'c%' ORDER BY card, rest");
        let wanted = truth.seen().into_iter();
        let wanted = wanted.map(|(card, rest)| vec![card, rest.to_string()]);
        assert_eq!(seen.await, wanted.collect::<Vec<_>>(), "seen");
        self.compare_joined().await;
        let sent = self.rows("SELECT DISTINCT id FROM read_topic('leaving', schema => 'id BIGINT, card STRING') ORDER BY id");
        let wanted: BTreeSet<i64> = truth
            .accepted()
            .iter()
            .filter(|event| event.amount > 50)
            .map(|event| event.id)
            .collect();
        let wanted: Vec<Vec<String>> = wanted.iter().map(|id| vec![id.to_string()]).collect();
        assert_eq!(sent.await, wanted, "leave");
    }

    /// What windows counted and what came late are together what came.
    async fn compare_windows(&self, table: &str, wanted: Windows) {
        let sql = format!(
            "SELECT card, unix_timestamp(w.start), n, total FROM {table} WHERE card LIKE 'c%'"
        );
        let mut found = Windows::new();
        for row in self.rows(&sql).await {
            let number = |at: usize| row[at].parse::<i64>().unwrap();
            let key = (row[0].clone(), number(1));
            let twice = found.insert(key, (number(2), number(3)));
            assert_eq!(twice, None, "{table}: {row:?} came twice");
        }
        for (card, ts, amount) in self.late(table).await {
            add(&mut found, &card, ts, (1, amount));
        }
        let differ = |of: &Windows, other: &Windows| {
            let rows = of
                .iter()
                .filter(|(key, value)| other.get(*key) != Some(*value));
            rows.map(|row| format!("{row:?}")).collect::<Vec<_>>()
        };
        let (missing, extra) = (differ(&wanted, &found), differ(&found, &wanted));
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{table}: wanted and not found {missing:?}; found and not wanted {extra:?}"
        );
    }

    async fn compare_joined(&self) {
        let mut found: BTreeMap<(i64, String), i64> = BTreeMap::new();
        for row in self.rows("SELECT id, said FROM joined WHERE id >= 0").await {
            let pair = (row[0].parse().unwrap(), row[1].clone());
            *found.entry(pair).or_default() += 1;
        }
        let wanted = self.truth.joined();
        for (pair, (least, most)) in &wanted {
            let count = found.remove(pair).unwrap_or(0);
            assert!(
                (*least..=*most).contains(&count),
                "joined: {pair:?} came {count} times, and not {least} to {most} times"
            );
        }
        assert!(found.is_empty(), "joined: {found:?} must not be there");
    }

    /// The rows that came too late for a table: card, time, amount.
    async fn late(&self, table: &str) -> Vec<(String, i64, i64)> {
        let name = TableName::plain(table).late();
        let lake = self.workspace.lake().await.unwrap();
        let Some(late) = lake.table(&name).await.unwrap() else {
            return Vec::new();
        };
        let state = self.workspace.engine().unwrap().session_state();
        let plan = late.provider().scan(&state, None, &[], None).await.unwrap();
        let batches = collect(plan, state.task_ctx()).await.unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let columns = ["card", "ts", "amount"];
            let columns: Vec<usize> = columns
                .iter()
                .map(|name| batch.schema().index_of(name).unwrap())
                .collect();
            for row in texts(&batch.project(&columns).unwrap()) {
                let ts = chrono::DateTime::parse_from_rfc3339(&row[1]).unwrap();
                let amount = row[2].parse().unwrap();
                rows.push((row[0].clone(), ts.timestamp(), amount));
            }
        }
        rows
    }

    /// The rows of a query, as text.
    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let result = match self.workspace.query(sql).await {
            Ok(result) => result,
            Err(error) => panic!("{sql}: {error}"),
        };
        let batches: Vec<RecordBatch> = result.stream.try_collect().await.unwrap();
        batches.iter().flat_map(texts).collect()
    }
}

fn opened(folder: &TempDir, store: &Arc<InMemory>, weather: &Weather) -> Workspace {
    let stormy = Arc::new(Stormy::new(Arc::clone(store), weather.clone()));
    let lake = Lake::over(stormy, "memory:///lake/").unwrap();
    Workspace::simulated(folder.path(), lake, around(weather.clone()))
}

fn watch(cancel: CancelToken) -> Watch {
    Watch {
        observer: Arc::new(Silent),
        cancel,
    }
}

/// Appends lines to both topics, which are never disturbed: what was pushed is there.
fn push(workspace: &Workspace, (events, answers): (String, String)) {
    for (topic, lines) in [("events", events), ("answers", answers)] {
        let mut lines = BufReader::new(lines.as_bytes());
        workspace.push(topic, None, &mut lines).unwrap();
    }
}

fn json(event: &Event) -> String {
    format!(
        "{{\"id\":{},\"card\":\"{}\",\"amount\":{},\"ts\":\"{}\"}}",
        event.id,
        event.card,
        event.amount,
        text(event.ts)
    )
}

fn text(seconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter();
    let formatters: Vec<_> = columns
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row = |at| {
        formatters
            .iter()
            .map(|of| of.value(at).to_string())
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}
