//! A temporary project, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder that goes away with the test.
pub struct Scratch {
    folder: TempDir,
}

/// What a command left.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Stdout.
    pub out: String,
    /// Stderr.
    pub err: String,
}

impl Scratch {
    /// An empty folder.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A project with one table `t` over `landing/`, declared as `spec`, with `options` for the reader.
    pub fn table(spec: &str, options: &str) -> Self {
        let scratch = Self::empty();
        scratch.write("tidegate.toml", "name = \"scratch\"\n");
        scratch.write("landing/.keep", "");
        scratch.write(
            "tables/t.sql",
            format!("CREATE STREAMING TABLE t {spec} AS SELECT * FROM STREAM read_files('landing'{options});\n"),
        );
        scratch
    }

    /// A copy of `tests/projects/NAME`, without its session.
    pub fn copy_of(name: &str) -> Self {
        let scratch = Self::empty();
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/projects")
                .join(name),
            scratch.folder.path(),
        );
        scratch
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary in this folder, with nothing of the surroundings that changes what it says.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
            .env_remove("TIDEGATE_LOG")
            .env_remove("NO_COLOR")
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// The only number that a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        let ended = self.run(&["query", sql, "--csv"]).expect(0);
        ended
            .out
            .lines()
            .nth(1)
            .and_then(|line| line.parse().ok())
            .unwrap_or_else(|| panic!("{sql}: {ended:?}"))
    }
}

impl Ended {
    /// From what a finished process left.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let ended = Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!ended.err.contains("this is a bug"), "{ended:?}");
        ended
    }

    /// The same, when the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }

    /// The same, when stdout or stderr says all of this.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.out.contains(word) || self.err.contains(word);
            assert!(
                said,
                "`{word}` is not said\nstdout:\n{}\nstderr:\n{}",
                self.out, self.err
            );
        }
        self
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else if path.file_name().is_some_and(|name| name != "session.txt") {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
