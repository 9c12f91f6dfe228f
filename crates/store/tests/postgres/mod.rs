//! A PostgreSQL server of the test's own, on a port of its own, in a folder that goes with it.
//! `initdb` and `postgres` are looked for in PATH and where Debian puts them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidegate_store::StoreUrl;

/// A running server. Dropping it ends it.
pub struct Server {
    process: Child,
    port: u16,
    programs: PathBuf,
    user: Option<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server, or says why there is none and returns nothing.
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(server) => Some(server),
            Err(reason) if std::env::var_os("TIDEGATE_REQUIRE_POSTGRES").is_some() => {
                panic!("TIDEGATE_REQUIRE_POSTGRES is set, but {reason}")
            }
            Err(reason) => {
                eprintln!("SKIPPED: the records in PostgreSQL: {reason}");
                None
            }
        }
    }

    fn try_start() -> Result<Self, String> {
        let programs = find_programs().ok_or("no initdb was found (Debian: postgresql)")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let data = folder.path().join("data");
        // The server refuses to run as root.
        let user = is_root().then(|| "nobody".to_owned());
        if let Some(user) = &user {
            let owned = Command::new("chown").arg(user).arg(folder.path()).status();
            if !owned.is_ok_and(|status| status.success()) {
                return Err(format!("root cannot hand a folder to {user}"));
            }
        }
        let made = command(&programs, user.as_deref(), "initdb")
            .args(["--no-sync", "--auth=trust", "--username=tidegate", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .map_err(|error| format!("initdb did not start: {error}"))?;
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr);
            return Err(format!("initdb failed: {why}"));
        }
        let port = free_port().ok_or("no port is free")?;
        let process = command(&programs, user.as_deref(), "postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "unix_socket_directories=", "-p"])
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("postgres did not start: {error}"))?;
        let server = Self {
            process,
            port,
            programs,
            user,
            _folder: folder,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            let ready = command(&self.programs, self.user.as_deref(), "pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p"])
                .arg(self.port.to_string())
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("postgres did not get ready within a minute".to_owned())
    }

    /// A new database of this name.
    pub fn database(&self, name: &str) -> StoreUrl {
        let made = command(&self.programs, self.user.as_deref(), "createdb")
            .args(["-h", "127.0.0.1", "-U", "tidegate", "-p"])
            .arg(self.port.to_string())
            .arg(name)
            .status()
            .unwrap();
        assert!(made.success(), "createdb {name}");
        let port = self.port;
        format!("postgres://tidegate@127.0.0.1:{port}/{name}")
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may be `setpriv` turned into postgres: the signal reaches it either way.
        let _ = Command::new("kill")
            .args(["-INT", &self.process.id().to_string()])
            .status();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program of the server, run as `user` when one is given.
fn command(programs: &Path, user: Option<&str>, program: &str) -> Command {
    let path = programs.join(program);
    match user {
        None => Command::new(path),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", user, "--regid", "nogroup", "--clear-groups"])
                .arg(path)
                .current_dir("/");
            command
        }
    }
}

fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    debian
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_isready").is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn free_port() -> Option<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
    Some(listener.local_addr().ok()?.port())
}
