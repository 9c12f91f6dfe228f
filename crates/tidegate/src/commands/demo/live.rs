//! The live part of the demo: the example `fraud`, its producer and its reader in one process, for a few seconds. The
//! producer knows which cards it abused, so what was found can be held against what was there, and each alert says when
//! its payment was sent, so the way from a till to an alert can be timed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;
use tidegate_pipeline::{
    CancelToken, Outcome, Silent, TableReport, UpdateRequest, Watch, Workspace,
};

use super::Tale;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::number;

/// The folder of the live part, below the demo's.
pub const FOLDER: &str = "fraud";
/// How long the payments come.
const LENGTH: Duration = Duration::from_secs(8);
/// How long alerts are waited for behind them.
const REST: Duration = Duration::from_secs(2);
/// How often tables are committed.
const EVERY: Duration = Duration::from_secs(1);
/// Payments a second.
const RATE: u64 = 1_500;
/// How many payments a stolen card makes, one behind the other.
const BURST: u32 = 12;
/// How many payments there are between two stolen cards.
const BETWEEN: u64 = 900;
/// Cards that are used as they should be.
const CARDS: u64 = 20_000;
/// One payment in so many breaks a promise.
const BAD: u64 = 97;

/// Payments as JSON lines, at a rate, some cards stolen. As a reader, it gives them when their time has come.
pub struct Producer {
    rng: Rng,
    made: u64,
    rows: u64,
    rate: Option<u64>,
    began: Instant,
    stolen: Option<(String, u32)>,
    truth: Arc<Mutex<BTreeSet<String>>>,
    left: Vec<u8>,
}

impl Producer {
    /// So many payments of a seed, at so many a second; without a rate, as fast as they are taken.
    pub fn new(rows: u64, seed: u64, rate: Option<u64>) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            made: 0,
            rows,
            rate,
            began: Instant::now(),
            stolen: None,
            truth: Arc::default(),
            left: Vec::new(),
        }
    }

    /// The cards that were stolen so far.
    fn truth(&self) -> Arc<Mutex<BTreeSet<String>>> {
        Arc::clone(&self.truth)
    }

    /// How many payments are due now.
    fn due(&self) -> u64 {
        match self.rate {
            None => self.rows,
            Some(rate) => {
                let due = self.began.elapsed().as_secs_f64() * rate as f64;
                (due as u64).min(self.rows)
            }
        }
    }

    fn line(&mut self) -> Value {
        let number = self.made;
        self.made += 1;
        if self.stolen.is_none() && number % BETWEEN == BETWEEN / 2 {
            let card = format!("stolen-{number}");
            let mut truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
            truth.insert(card.clone());
            self.stolen = Some((card, BURST));
        }
        // A stolen card is used in every third payment until its burst is over.
        let card = match &mut self.stolen {
            Some((card, left)) if number.is_multiple_of(3) => {
                let card = card.clone();
                *left -= 1;
                if *left == 0 {
                    self.stolen = None;
                }
                card
            }
            _ => format!("card-{}", self.rng.u64(..CARDS)),
        };
        let now = chrono::Utc::now();
        let cents = self.rng.u64(100..50_000);
        let currency = ["EUR", "USD", "GBP"][self.rng.usize(..3)];
        let honest = number % BAD != BAD - 1 || card.starts_with("stolen");
        serde_json::json!({
            "id": number,
            "card": card,
            "merchant": format!("Shop {:04}", self.rng.u64(..2_000)),
            "amount": if honest { cents as f64 / 100.0 } else { -1.0 },
            "currency": currency,
            "ts": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "sent": now.timestamp_millis(),
        })
    }
}

impl Read for Producer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.left.is_empty() {
            if self.made >= self.rows {
                return Ok(0);
            }
            let due = self.due();
            if self.made >= due {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            while self.made < due && self.left.len() < buffer.len() {
                let line = self.line();
                serde_json::to_writer(&mut self.left, &line)?;
                self.left.push(b'\n');
            }
        }
        let count = buffer.len().min(self.left.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

/// What the alerts were.
#[derive(Default)]
struct Seen {
    /// Milliseconds from the payment to the first alert of its card.
    latency_ms: BTreeMap<String, i64>,
}

/// Runs the live part; tells whether all fraud was found and nobody was wronged.
///
/// # Errors
/// When the folder cannot be written, or a flow fails.
pub async fn run(
    root: &Path,
    context: &Context,
    tale: &Tale<'_>,
    cancel: &CancelToken,
) -> Result<bool, Failure> {
    tale.command(
        "Now live: payments stream in, stolen cards must be found while they are used",
        "tidegate run --continuous",
    )?;
    let workspace = Arc::new(context.open_in(&root.join(FOLDER))?);
    let rows = RATE * LENGTH.as_secs();
    let producer = Producer::new(rows, 11, Some(RATE));
    let truth = producer.truth();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let stop = CancelToken::default();
    let reader = read(Arc::clone(&workspace), Arc::clone(&seen), stop.clone());
    let pushing = Arc::clone(&workspace);
    let pushed = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::with_capacity(1 << 16, producer);
        pushing.push("payments", None, &mut lines)
    });
    let (end, asked) = (stop.clone(), cancel.clone());
    let clock = tokio::spawn(async move {
        let began = Instant::now();
        while began.elapsed() < LENGTH + REST && !asked.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        end.cancel();
    });
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let counted = Arc::clone(&seen);
    let mut on_round = |tables: &[TableReport]| {
        for table in tables
            .iter()
            .filter(|table| table.outcome == Outcome::Refreshed)
        {
            let sum = sums.entry(table.table.clone()).or_default();
            *sum = (sum.0 + table.good, sum.1 + table.quarantined);
        }
        let (good, bad) = sums.get("payments_accepted").copied().unwrap_or_default();
        let found = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!(
            "  {:>7} payments, {:>4} in quarantine, {:>3} cards with an alert",
            number::count(good),
            number::count(bad),
            found.latency_ms.len()
        );
        let _ = tale.say(&line);
    };
    let watch = Watch {
        observer: Arc::new(Silent),
        cancel: stop.clone(),
    };
    let request = UpdateRequest::default();
    let outcome = workspace
        .follow(&request, EVERY, watch, &mut on_round)
        .await;
    stop.cancel();
    let _ = clock.await;
    let pushed = pushed.await;
    let _ = reader.await;
    let failed = |error| Failure::in_workspace(&workspace, error);
    let report = outcome.map_err(failed)?;
    if let Ok(pushed) = pushed {
        pushed.map_err(failed)?;
    }
    if let Some(table) = report.tables.iter().find(|table| !table.is_ok()) {
        tale.say(&format!("{} failed: {:?}", table.table, table.outcome))?;
        return Ok(false);
    }
    let truth = truth.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    verdict(&truth, &seen, tale)
}

/// Reads the alerts as they come.
fn read(
    workspace: Arc<Workspace>,
    seen: Arc<Mutex<Seen>>,
    stop: CancelToken,
) -> tokio::task::JoinHandle<tidegate_pipeline::Result<()>> {
    tokio::task::spawn_blocking(move || {
        workspace.tail("alerts", &stop, &mut |value| {
            let now = chrono::Utc::now().timestamp_millis();
            let Ok(alert) = serde_json::from_slice::<Value>(value) else {
                return;
            };
            if let (Some(card), Some(sent)) = (alert["card"].as_str(), alert["sent"].as_i64()) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.latency_ms.entry(card.to_owned()).or_insert(now - sent);
            }
        })
    })
}

fn verdict(truth: &BTreeSet<String>, seen: &Seen, tale: &Tale<'_>) -> Result<bool, Failure> {
    let found = truth
        .iter()
        .filter(|card| seen.latency_ms.contains_key(*card))
        .count();
    let wronged = seen
        .latency_ms
        .keys()
        .filter(|card| !truth.contains(*card))
        .count();
    let mut latencies: Vec<i64> = seen.latency_ms.values().copied().collect();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let at = (latencies.len().saturating_sub(1)) as f64 * share;
        latencies
            .get(at.round() as usize)
            .copied()
            .unwrap_or_default()
    };
    tale.say(&format!(
        "\n{found} of {} stolen cards found, {wronged} honest cards wronged; from the payment to its alert: {} ms at the median, {} ms at worst.",
        truth.len(),
        quantile(0.5),
        quantile(1.0)
    ))?;
    Ok(found == truth.len() && wronged == 0)
}

/// Writes payments as JSON lines, for `tidegate push` or any other producer.
///
/// # Errors
/// When they cannot be written; a reader that goes away is no error.
pub fn produce(rows: u64, seed: u64, rate: Option<u64>, context: &Context) -> Result<(), Failure> {
    let mut producer = Producer::new(rows, seed, rate);
    let mut out = context.screen().out();
    match std::io::copy(&mut producer, &mut out).and_then(|_| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
