//! `cargo xtask brokers`: the sources and sinks of streams against real servers, and beside foreign programs.

use crate::failure::Failure;
use crate::kafka::{Broker, PASSWORD, Registry, USER};
use crate::places::Places;
use crate::process::Call;
use crate::venv::{self, Environment};

/// Starts a broker and runs the tests that ask for one.
pub fn run(places: &Places) -> Result<(), Failure> {
    let broker = Broker::start(None, places)?;
    let registry = Registry::start(places)?;
    let python = venv::ensure(Environment::Streams, places)?;
    Call::cargo()
        .args(["test", "--workspace", "--lib", "--"])
        .args([
            "--ignored",
            "--show-output",
            "--test-threads=1",
            "on_a_real_broker",
        ])
        .env("TIDEGATE_KAFKA", &broker.address)
        .env("TIDEGATE_KAFKA_GUARDED", &broker.guarded)
        .env("TIDEGATE_REGISTRY", &registry.address)
        .env("TIDEGATE_KAFKA_USER", USER)
        .env("TIDEGATE_KAFKA_PASSWORD", PASSWORD)
        .env("TIDEGATE_FOREIGN_PYTHON", python)
        .env(
            "TIDEGATE_FOREIGN_CLIENT",
            places.root.join("xtask/python/foreign_kafka.py"),
        )
        .in_folder(&places.root)
        .show()
}
