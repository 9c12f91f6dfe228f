//! One query of Nexmark, from events made on the spot into nothing: `nexmark QUERY EVENTS RATE PROJECT`.
//!
//! The queries are those of the project `examples/nexmark`, whose answers are tested there; `PROJECT` is its folder.
//! `generator` for a query makes the events and drops them. One thread does it all, so that events by CPU seconds is
//! throughput by core. `cargo xtask bench nexmark` runs it query by query, measures from outside, and prints a table.

mod generator;

use std::path::Path;

use tidegate_engine::{Bindings, Engine, EngineSettings, memory};
use tidegate_project::{Loader, OutputMode as Declared, RelationTarget, TableName};
use tidegate_stream::{Dataflow, Input, Options, OutputMode, WatermarkSpec};

use generator::{Events, Generator};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Events that are made at once.
const BATCH: u64 = 10_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [query, events, rate, project] = arguments.as_slice() else {
        return Err("nexmark QUERY EVENTS RATE PROJECT".into());
    };
    let (events, mut generator) = (events.parse::<u64>()?, Generator::new(rate.parse()?));
    let mut job = match query.as_str() {
        "generator" => None,
        name => Some(Job::new(name, Path::new(project))?),
    };
    let mut rows = 0;
    for _ in 0..events / BATCH {
        let made = generator.take(BATCH)?;
        rows += match &mut job {
            Some(job) => job.push(&made)?,
            None => made.bid.num_rows() + made.auction.num_rows() + made.person.num_rows(),
        };
    }
    println!("{rows} rows");
    Ok(())
}

/// A stream that a query reads.
#[derive(Clone, Copy)]
enum Stream {
    Person,
    Auction,
    Bid,
}

impl Stream {
    /// By the table that the example reads it from.
    fn of(table: &TableName) -> Option<Self> {
        match table.key().trim_end_matches("_stream") {
            "person" => Some(Self::Person),
            "auction" => Some(Self::Auction),
            "bid" => Some(Self::Bid),
            _ => None,
        }
    }
}

/// A query at work.
struct Job {
    flow: Dataflow,
    /// What is pushed to which relation.
    streams: Vec<(String, Stream)>,
}

impl Job {
    fn new(name: &str, project: &Path) -> Result<Self, Failure> {
        let loaded = Loader::new().load(project);
        if loaded.has_errors() {
            return Err(format!("{}: it has mistakes", project.display()).into());
        }
        let project = loaded.project;
        let table = project
            .resolve(name)
            .and_then(|name| project.table(&name))
            .ok_or_else(|| format!("there is no query {name}"))?;
        let flow = project.flows_into(&table.name).next().ok_or("no flow")?;
        let engine = Engine::new(&EngineSettings::default())?;
        let mut bindings = Bindings::new();
        let (mut inputs, mut streams) = (Vec::new(), Vec::new());
        for relation in &flow.query.relations {
            let target = match &relation.target {
                RelationTarget::Table { name, .. } => Stream::of(name),
                _ => None,
            };
            let stream = target.ok_or("a relation that is no stream of Nexmark")?;
            let schema = match stream {
                Stream::Person => generator::person(),
                Stream::Auction => generator::auction(),
                Stream::Bid => generator::bid(),
            };
            bindings.bind(&relation.binding, memory::empty(schema)?, name);
            let watermark = relation.watermark.as_ref();
            let delay = watermark.and_then(|watermark| watermark.delay_length());
            inputs.push(Input {
                binding: relation.binding.clone(),
                watermark: delay.map(|delay| WatermarkSpec {
                    time: "date_time".to_owned(),
                    delay_micros: i64::try_from(delay.as_micros()).unwrap_or(i64::MAX),
                }),
            });
            streams.push((relation.binding.clone(), stream));
        }
        let output = match table.streaming.output {
            Some(Declared::Update) => OutputMode::Update,
            _ => OutputMode::Append,
        };
        let planned = engine.plan(&flow.query, &bindings, &project.files)?;
        let flow = Dataflow::compile(&engine, &planned, inputs, options(output))?;
        Ok(Self { flow, streams })
    }

    /// Hands the events over; gives how many rows came out.
    fn push(&mut self, events: &Events) -> Result<usize, Failure> {
        let mut rows = 0;
        for (binding, stream) in &self.streams {
            let batch = match stream {
                Stream::Person => &events.person,
                Stream::Auction => &events.auction,
                Stream::Bid => &events.bid,
            };
            let output = self.flow.push(binding, "0", batch, 0)?;
            rows += output
                .rows
                .iter()
                .map(|batch| batch.num_rows())
                .sum::<usize>();
        }
        Ok(rows)
    }
}

fn options(output: OutputMode) -> Options {
    Options {
        output,
        idle_micros: i64::MAX,
        future_micros: i64::MAX,
        time_to_live_micros: None,
        memory_bytes: 4 << 30,
        spill_folder: std::env::temp_dir().join("tidegate-nexmark"),
        keep_late: false,
    }
}
