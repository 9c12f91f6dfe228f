//! `cargo xtask stores`: a project whose files and tables are in a bucket, of S3 and of Azure.
//!
//! The servers are real programs that speak those protocols (moto, azurite), started by the script and ended with it.

use crate::examples;
use crate::failure::Failure;
use crate::places::Places;
use crate::process::Call;
use crate::tools;
use crate::venv::{self, Environment};

/// Runs the project in each store, kills it, and reads its tables back.
pub fn run(places: &Places) -> Result<(), Failure> {
    let binary = examples::binary(false, places)?;
    let python = venv::ensure(Environment::Stores, places)?;
    let azurite = match tools::AZURITE.ensure(places) {
        Ok(program) => program.into_os_string(),
        Err(failure) => {
            println!("Azure NOT TRIED: its emulator needs Node: {failure}");
            std::ffi::OsString::new()
        }
    };
    let source = places.root.join("xtask/python");
    Call::new(python)
        .arg(source.join("stores.py"))
        .arg(binary)
        .arg(source.join("stores"))
        .arg(azurite)
        .show()
}
