//! `cargo xtask brokers`: the sources and sinks of streams against real servers, and beside foreign programs.

use std::path::Path;

use crate::examples;
use crate::failure::Failure;
use crate::kafka::{Broker, Certificates, PASSWORD, Registry, STORE_PASSWORD, USER};
use crate::places::{Places, make_folder};
use crate::process::Call;
use crate::venv::{self, Environment};

/// Starts a broker and runs the tests that ask for one.
pub fn run(places: &Places) -> Result<(), Failure> {
    let certificates = Certificates::make()?;
    let broker = Broker::start(None, &certificates, places)?;
    let registry = Registry::start(&certificates, places)?;
    let python = venv::ensure(Environment::Streams, places)?;
    follow(&broker, &python, places)?;
    for tests in [["--lib", ""], ["--test", "cli"]] {
        Call::cargo()
            .args(["test", "--workspace"])
            .args(tests.into_iter().filter(|word| !word.is_empty()))
            .args(["--", "--ignored", "--show-output", "--test-threads=1"])
            .arg("on_a_real_broker")
            .env("TIDEGATE_KAFKA", &broker.address)
            .env("TIDEGATE_KAFKA_GUARDED", &broker.guarded)
            .env("TIDEGATE_KAFKA_SEALED", &broker.sealed)
            .env("TIDEGATE_KAFKA_CERTIFIED", &broker.certified)
            .env("TIDEGATE_REGISTRY", &registry.address)
            .env("TIDEGATE_REGISTRY_SEALED", &registry.sealed)
            .env("TIDEGATE_AUTHORITY", &certificates.authority)
            .env("TIDEGATE_OTHER_AUTHORITY", &certificates.other)
            .env("TIDEGATE_CLIENT_STORE", &certificates.client)
            .env("TIDEGATE_STORE_PASSWORD", STORE_PASSWORD)
            .env("TIDEGATE_KAFKA_USER", USER)
            .env("TIDEGATE_KAFKA_PASSWORD", PASSWORD)
            .env("TIDEGATE_FOREIGN_PYTHON", &python)
            .env(
                "TIDEGATE_FOREIGN_CLIENT",
                places.root.join("xtask/python/foreign_kafka.py"),
            )
            .in_folder(&places.root)
            .show()?;
    }
    Ok(())
}

/// Records that a foreign producer sends before a run, and while it is followed.
const SENT: [&str; 2] = ["4000", "1500"];

/// A project over the broker: what a foreign producer sends is in its tables and, by its sink, in another topic, which a
/// foreign consumer reads; each record once, over a bounded run, a run that follows, and one that finds nothing new.
fn follow(broker: &Broker, python: &Path, places: &Places) -> Result<(), Failure> {
    let binary = examples::binary(false, places)?;
    let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
    let tables = folder.path().join("tables");
    make_folder(&tables)?;
    let address = &broker.address;
    let project = format!(
        "CREATE STREAMING TABLE raw (id BIGINT NOT NULL PRIMARY KEY, text STRING)
AS SELECT * FROM STREAM read_kafka(bootstrapServers => '{address}', subscribe => 'followed', format => 'json');
CREATE STREAMING TABLE counted AS SELECT count(*) AS n, max(id) AS last FROM STREAM raw;
CREATE SINK leaving TO kafka(bootstrapServers => '{address}', topic => 'left', key => 'id', deliveryGuarantee => 'exactly-once')
AS SELECT id FROM STREAM raw;
"
    );
    write(
        &folder.path().join("tidegate.toml"),
        "name = \"followed\"\n",
    )?;
    write(&tables.join("t.sql"), &project)?;
    let foreign = |words: &[&str]| {
        let client = places.root.join("xtask/python/foreign_kafka.py");
        Call::new(python)
            .arg(client)
            .arg(address)
            .args(words)
            .text()
    };
    let tidegate = |words: &[&str]| {
        Call::new(&binary)
            .args(words)
            .in_folder(folder.path())
            .text()
    };
    foreign(&["create", "followed", "3"])?;
    foreign(&["create", "left", "2"])?;
    foreign(&["produce", "followed", SENT[0]])?;
    tidegate(&["run"])?;
    // The ids of the second lot are known: their rows are duplicates, and nothing is sent on.
    let follows = [
        "run",
        "--continuous",
        "--every",
        "500 milliseconds",
        "--for",
        "5 seconds",
    ];
    let mut following = std::process::Command::new(&binary)
        .args(follows)
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(Failure::file("start", &binary))?;
    foreign(&["produce", "followed", SENT[1]])?;
    let status = following
        .wait()
        .map_err(Failure::file("wait for", &binary))?;
    tidegate(&["run"])?;
    let sql = "SELECT (SELECT count(*) FROM raw) AS good, (SELECT n FROM counted) AS counted, (SELECT count(*) FROM raw__quarantine) AS bad";
    let found = tidegate(&["query", sql, "--csv"])?;
    let left = foreign(&["consume", "left", SENT[0]])?;
    let (found, left) = (
        found.lines().nth(1).unwrap_or_default(),
        left.lines().count(),
    );
    let wanted = format!("{0},{0},{1}", SENT[0], SENT[1]);
    if !status.success() || found != wanted || left.to_string() != SENT[0] {
        return Err(Failure::form(
            "the project over Kafka",
            format!(
                "rows, counted, quarantined: {found}, expected {wanted}; {left} records left by its sink"
            ),
        ));
    }
    println!(
        "a project over Kafka: {found} rows, counted, duplicates kept out; {left} records left by its sink"
    );
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(Failure::file("write", path))
}
