//! From a real broker on this machine through the gate into a table: rows for a second of CPU time, beside a consumer in
//! Python that only counts; and what more partitions cost.
//!
//! The topics are filled by a sink of ours. CPU time is that of the process itself: the broker's is nobody's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::events::{self, Events, Shape};
use super::{Setting, bounded, thousands};
use crate::bench::contest::{self, Contestant, Outcome};
use crate::bench::report;
use crate::failure::Failure;
use crate::kafka::{Broker, Certificates, Registry};
use crate::places::{make_folder, write};
use crate::process::Call;
use crate::venv::{self, Environment};

/// Partitions of the topics that are compared.
const PARTITIONS: u32 = 4;
/// Partitions of the topics that show growth.
const GROWTH: [u32; 4] = [1, 4, 16, 64];
const COLUMNS: &str = "id STRING, card_id STRING, merchant STRING, country STRING, amount DOUBLE, currency STRING, \
                       ts TIMESTAMP";

/// The servers, and where they are.
struct Servers {
    broker: Broker,
    registry: Registry,
    /// A Python with a client of Kafka.
    python: PathBuf,
}

/// A topic full of payments.
#[derive(Clone, Copy)]
struct Topic {
    format: &'static str,
    partitions: u32,
}

impl Topic {
    fn name(self) -> String {
        format!("{}-{}", self.format, self.partitions)
    }

    /// The options that a sink and a source share.
    fn options(self, servers: &Servers) -> String {
        let registry = match self.format {
            "avro" => format!(", schemaRegistry => '{}'", servers.registry.address),
            _ => String::new(),
        };
        let (address, format) = (&servers.broker.address, self.format);
        format!("bootstrapServers => '{address}', format => '{format}'{registry}")
    }
}

/// Measures and returns the tables.
pub fn measure(setting: &Setting, rows: u64) -> Result<String, Failure> {
    let certificates = Certificates::make()?;
    let servers = Servers {
        broker: Broker::start(None, &certificates, setting.places)?,
        registry: Registry::start(&certificates, setting.places)?,
        python: venv::ensure(Environment::Streams, setting.places)?,
    };
    let events = events::cached(&Shape::of_payments(rows), setting)?;
    let compared = ["json", "avro"].map(|format| Topic {
        format,
        partitions: PARTITIONS,
    });
    let grown = GROWTH.map(|partitions| Topic {
        format: "json",
        partitions,
    });
    let others = grown.iter().filter(|topic| topic.partitions != PARTITIONS);
    for topic in compared.iter().chain(others) {
        fill(*topic, &events, &servers, setting)?;
    }
    let mut contestants = Vec::new();
    for topic in compared {
        let name = format!("Tidegate, {}", topic.format);
        contestants.push(tidegate(name, topic, &servers, setting));
        contestants.push(counter(topic, &servers, setting));
    }
    let beside = contest::run(&contestants, setting.repetitions, &setting.work)?;
    let mut contestants = Vec::new();
    for topic in grown {
        let name = format!("{} partitions", topic.partitions);
        contestants.push(tidegate(name, topic, &servers, setting));
    }
    let growth = contest::run(&contestants, setting.repetitions, &setting.work)?;
    let ours = beside.iter().step_by(2).chain(&growth);
    for outcome in ours {
        check(outcome, rows, setting)?;
    }
    let heading = report::heading(&format!("From Kafka into a table, {rows} records"));
    Ok(format!(
        "{heading}\n\n{PARTITIONS} partitions, beside confluent-kafka in Python, which counts records and their bytes and \
         decodes nothing:\n\n{}\nJSON from more and more partitions:\n\n{}",
        table("contestant", &beside, rows),
        table("topic", &growth, rows),
    ))
}

/// Makes a topic and sends all payments to it.
fn fill(
    topic: Topic,
    events: &Events,
    servers: &Servers,
    setting: &Setting,
) -> Result<(), Failure> {
    let name = topic.name();
    eprintln!("filling the topic {name}");
    let partitions = topic.partitions.to_string();
    Call::new(&servers.python)
        .arg(setting.places.root.join("xtask/python/foreign_kafka.py"))
        .args([&servers.broker.address, "create", &name, &partitions])
        .quiet()?;
    let folder = setting.work.join(format!("fill-{name}"));
    let options = topic.options(servers);
    let file = events.file.display();
    project(
        &folder,
        &format!(
            "CREATE SINK filling TO kafka({options}, topic => '{name}', key => 'id') AS\n\
             SELECT * FROM STREAM read_files('{file}', format => 'json', schema => '{COLUMNS}');\n"
        ),
    )?;
    Call::new(&setting.binary)
        .arg("run")
        .in_folder(&folder)
        .quiet()
}

fn project(folder: &Path, sql: &str) -> Result<(), Failure> {
    make_folder(&folder.join("tables"))?;
    write(&folder.join("tidegate.toml"), "name = \"kafka\"\n")?;
    write(&folder.join("tables/kafka.sql"), sql)
}

/// The records of a topic into a table with a contract.
fn tidegate<'a>(
    name: String,
    topic: Topic,
    servers: &'a Servers,
    setting: &'a Setting<'a>,
) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        let (options, name) = (topic.options(servers), topic.name());
        project(
            folder,
            &format!(
                "CREATE STREAMING TABLE payments (\n  id STRING NOT NULL, card_id STRING NOT NULL, merchant STRING, \
                 country STRING,\n  amount DOUBLE, currency STRING, ts TIMESTAMP NOT NULL,\n  \
                 CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE\n) AS SELECT id, card_id, merchant, \
                 country, amount, currency, ts\nFROM STREAM read_kafka({options}, subscribe => '{name}');\n"
            ),
        )?;
        let mut command = bounded(&setting.binary, setting.seconds_max);
        command.arg("run").current_dir(folder);
        Ok(command)
    };
    Contestant {
        name,
        prepare: Box::new(prepare),
    }
}

fn counter<'a>(topic: Topic, servers: &'a Servers, setting: &'a Setting<'a>) -> Contestant<'a> {
    let script = setting.places.root.join("bench/peers/kafka_count.py");
    let prepare = move |_: &Path| {
        let mut command = Command::new(&servers.python);
        command
            .arg(&script)
            .args([&servers.broker.address, &topic.name()]);
        Ok(command)
    };
    Contestant {
        name: format!("confluent-kafka counts, {}", topic.format),
        prepare: Box::new(prepare),
    }
}

/// Fails unless a run of ours has every row, in the table or in its quarantine.
fn check(outcome: &Outcome, rows: u64, setting: &Setting) -> Result<(), Failure> {
    let folder = contest::round_folder(&setting.work, &outcome.name);
    let question = "SELECT sum(rows) AS n FROM (SELECT count(*) AS rows FROM payments UNION ALL \
                    SELECT count(*) FROM payments__quarantine)";
    let told = Call::new(&setting.binary)
        .args(["query", "--json", question])
        .in_folder(&folder)
        .text()?;
    match told.trim() == format!("{{\"n\":{rows}}}") {
        true => Ok(()),
        false => Err(Failure::form(
            &outcome.name,
            format!("it has {told} where {rows} were sent"),
        )),
    }
}

fn table(first: &str, outcomes: &[Outcome], rows: u64) -> String {
    let Some(base) = outcomes.first() else {
        return String::new();
    };
    let lines = outcomes.iter().map(|outcome| {
        vec![
            outcome.name.clone(),
            report::seconds(outcome.wall_seconds()),
            report::seconds(outcome.cpu_seconds()),
            report::megabytes(outcome.peak_bytes()),
            thousands(rows as f64 / outcome.cpu_seconds()),
            report::ratio(outcome.cpu_seconds(), base.cpu_seconds()),
        ]
    });
    let head = [
        first,
        "wall s",
        "CPU s",
        "peak MB",
        "k rows per CPU s",
        "CPU",
    ];
    report::table(&head, &lines.collect::<Vec<_>>())
}
