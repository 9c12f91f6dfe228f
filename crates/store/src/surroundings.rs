//! What the store asks of the world: the time, who this process is, and whether another one lives.
//! Handed in from outside, so that a test or a simulation can drive it.

use std::fmt;
use std::sync::Arc;

/// On another host nobody can be asked, so a run that has not been heard of for this long (in
/// microseconds: five minutes) is taken to be gone. [`crate::Store::heartbeat`] is to be called
/// several times within it.
pub const HEARTBEAT_MICROS_MAX: i64 = 5 * 60 * 1_000_000;

/// A process, told apart from a later one that was given the same number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessIdentity {
    /// The host's name.
    pub host: String,
    /// The process id.
    pub process_id: u32,
    /// When it started, in the system's own words; empty where the system does not say.
    pub birth: String,
}

/// Whether a process runs: `None` when that cannot be known here.
type Alive = dyn Fn(&ProcessIdentity) -> Option<bool> + Send + Sync;

/// The clock and the processes that the store sees.
#[derive(Clone)]
pub struct Surroundings {
    pub(crate) clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    pub(crate) process: ProcessIdentity,
    pub(crate) alive: Arc<Alive>,
}

impl Surroundings {
    /// The real clock and the real processes of this host.
    pub fn system() -> Self {
        let process = system_process();
        let host = process.host.clone();
        Self {
            clock: Arc::new(|| chrono::Utc::now().timestamp_micros()),
            process,
            alive: Arc::new(move |other| system_alive(&host, other)),
        }
    }

    /// Takes the time (microseconds since 1970, UTC) from `clock`.
    pub fn with_clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Writes runs down as those of `process`, and asks `alive` about those of others; it answers
    /// `None` when it cannot know.
    pub fn with_processes(
        mut self,
        process: ProcessIdentity,
        alive: impl Fn(&ProcessIdentity) -> Option<bool> + Send + Sync + 'static,
    ) -> Self {
        self.process = process;
        self.alive = Arc::new(alive);
        self
    }

    /// Now, in microseconds since 1970 (UTC).
    pub(crate) fn now_micros(&self) -> i64 {
        (self.clock)()
    }

    /// Whether a run still marked as running has been left behind by its process.
    pub(crate) fn is_abandoned(&self, owner: &ProcessIdentity, heartbeat_micros: i64) -> bool {
        if *owner == self.process {
            return false;
        }
        match (self.alive)(owner) {
            Some(alive) => !alive,
            None => self.now_micros().saturating_sub(heartbeat_micros) > HEARTBEAT_MICROS_MAX,
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

fn system_process() -> ProcessIdentity {
    let process_id = std::process::id();
    ProcessIdentity {
        host: host_name(),
        process_id,
        birth: birth_of(process_id).unwrap_or_default(),
    }
}

/// Asks this host's system about a process of this host.
fn system_alive(host: &str, process: &ProcessIdentity) -> Option<bool> {
    if process.host != host || process.birth.is_empty() {
        return None;
    }
    Some(birth_of(process.process_id).as_deref() == Some(process.birth.as_str()))
}

fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// `<boot id>:<start in clock ticks since boot>` on Linux; nothing elsewhere, where the heartbeat
/// decides alone.
fn birth_of(process_id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The command's name is in brackets and may hold anything, so count from the last bracket.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (!matches!(state, "Z" | "X")).then(|| format!("{}:{start_ticks}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_ended_is_known_to_have() {
        let surroundings = Surroundings::system();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identity = ProcessIdentity {
            host: host_name(),
            process_id: child.id(),
            birth: birth_of(child.id()).unwrap(),
        };
        assert!(!surroundings.is_abandoned(&identity, 0));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(surroundings.is_abandoned(&identity, i64::MAX));
    }

    #[test]
    fn a_process_elsewhere_is_judged_by_its_heartbeat() {
        let elsewhere = ProcessIdentity {
            host: "elsewhere".to_owned(),
            ..ProcessIdentity::default()
        };
        let surroundings = Surroundings::system().with_clock(|| HEARTBEAT_MICROS_MAX + 10);
        assert!(!surroundings.is_abandoned(&elsewhere, 10));
        assert!(surroundings.is_abandoned(&elsewhere, 9));
    }
}
