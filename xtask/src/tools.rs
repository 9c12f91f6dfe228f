//! Tools that the tasks need, from crates.io (built) and from npm, each put once into the cache folder.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::places::Places;
use crate::process::Call;
use crate::venv::lock;

/// A tool at the version that the tasks were written for.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The crate.
    package: &'static str,
    /// Its program.
    program: &'static str,
    version: &'static str,
}

/// Licences, bans and advisories of the dependency tree.
pub const CARGO_DENY: Tool = Tool {
    package: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
};

/// Drives libFuzzer.
pub const CARGO_FUZZ: Tool = Tool {
    package: "cargo-fuzz",
    program: "cargo-fuzz",
    version: "0.13.2",
};

impl Tool {
    /// The program: from the cache folder, where it is built when missing.
    pub fn ensure(self, places: &Places) -> Result<PathBuf, Failure> {
        let folder = places
            .cache
            .join("tools")
            .join(format!("{}-{}", self.package, self.version));
        let name = format!("{}{}", self.program, std::env::consts::EXE_SUFFIX);
        let program = folder.join("bin").join(name);
        crate::places::make_folder(&folder)?;
        let _lock = lock(&folder.join("lock"))?;
        if program.is_file() {
            return Ok(program);
        }
        let exact = format!("{}@{}", self.package, self.version);
        Call::cargo()
            .args(["install", "--locked", "--quiet", "--debug", "--root"])
            .arg(&folder)
            // Beside ours, so that neither throws away what the other built.
            .env(
                "CARGO_TARGET_DIR",
                places.cache.join("tools").join("target"),
            )
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .arg(exact)
            .show()?;
        // What was needed to build it is of no more use.
        let _ = std::fs::remove_dir_all(places.cache.join("tools").join("target"));
        Ok(program)
    }
}

/// A program of a Node package.
#[derive(Debug, Clone, Copy)]
pub struct NodeTool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
}

/// An emulator of Azure's blob storage.
pub const AZURITE: NodeTool = NodeTool {
    package: "azurite",
    program: "azurite-blob",
    version: "3.35.0",
};

impl NodeTool {
    /// The program: from the cache folder, where npm puts it when it is missing.
    pub fn ensure(self, places: &Places) -> Result<PathBuf, Failure> {
        let folder = places
            .cache
            .join("tools")
            .join(format!("{}-{}", self.package, self.version));
        let program = folder.join("node_modules/.bin").join(self.program);
        crate::places::make_folder(&folder)?;
        let _lock = lock(&folder.join("lock"))?;
        if program.exists() {
            return Ok(program);
        }
        Call::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .arg(format!("{}@{}", self.package, self.version))
            .or_say("install Node 20 or later with npm")
            .quiet()?;
        Ok(program)
    }
}

/// Whether a PostgreSQL server could be started here, by the tests of `store`.
pub fn has_postgres() -> bool {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let folders = debian.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = folders.chain(std::env::split_paths(&path));
    folders.any(|folder| folder.join("initdb").is_file())
}
