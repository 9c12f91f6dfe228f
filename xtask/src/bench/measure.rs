//! One run of one program, watched from outside: wall time, CPU time and memory of all its processes.
//!
//! Memory is the largest sum of the resident sets of the whole process tree, looked at every few
//! milliseconds. CPU time is what the system accounts to ended children, or what was seen in the tree
//! when some of it was left behind (a JVM that nobody waits for), whichever is more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How often the processes are looked at. One look costs about a millisecond of another core.
const PAUSE: Duration = Duration::from_millis(20);
/// The kernel's clock ticks, in which /proc tells CPU times: 100 a second on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;
/// The kernel's page size in bytes, on the machines this was written for.
const PAGE_BYTES: u64 = 4096;

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// From start to end.
    pub wall_seconds: f64,
    /// Of all processes, user and system.
    pub cpu_seconds: f64,
    /// The largest sum of resident sets.
    pub peak_bytes: u64,
}

/// Runs a command to its end, its output in `log`, and says what it cost.
pub fn run(mut command: Command, log: &Path) -> Result<Cost, Failure> {
    let shown = format!("{command:?}");
    let output = File::create(log).map_err(Failure::file("make", log))?;
    let errors = output.try_clone().map_err(Failure::file("write", log))?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let before = own_children_ticks()?;
    let begin = Instant::now();
    let mut child = command.spawn().map_err(|source| Failure::Missing {
        program: shown.clone(),
        help: "see bench/README.md for what the benchmarks need",
        source,
    })?;
    let mut tree = Tree::of(child.id());
    let status = loop {
        tree.look();
        match child.try_wait().map_err(Failure::file("wait for", log))? {
            Some(status) => break status,
            // Short runs are waited for closely, long ones are not disturbed.
            None => std::thread::sleep(PAUSE.min(begin.elapsed() / 20 + Duration::from_millis(1))),
        }
    };
    let wall_seconds = begin.elapsed().as_secs_f64();
    let accounted = (own_children_ticks()?.saturating_sub(before)) as f64 / TICKS_PER_SECOND;
    if !status.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        return Err(Failure::Command {
            command: shown,
            status: status.to_string(),
            output: lines[lines.len().saturating_sub(40)..].join("\n"),
        });
    }
    Ok(Cost {
        wall_seconds,
        cpu_seconds: accounted.max(tree.cpu_seconds()),
        peak_bytes: tree.peak_bytes,
    })
}

/// A process and all that came from it, as seen in /proc.
struct Tree {
    root: u32,
    /// Every process ever seen to belong, so that an orphan still does.
    members: BTreeSet<u32>,
    ticks: BTreeMap<u32, u64>,
    peak_bytes: u64,
}

/// What is wanted of a line of /proc/PID/stat.
struct Stat {
    parent: u32,
    ticks: u64,
    resident_bytes: u64,
}

impl Tree {
    fn of(root: u32) -> Self {
        Self {
            root,
            members: BTreeSet::from([root]),
            ticks: BTreeMap::new(),
            peak_bytes: 0,
        }
    }

    fn look(&mut self) {
        let all = processes();
        // Children have larger numbers than their parents but for a wrap-around: look until nothing
        // is added.
        loop {
            let found: Vec<u32> = all
                .iter()
                .filter(|(id, stat)| {
                    !self.members.contains(id) && self.members.contains(&stat.parent)
                })
                .map(|(id, _)| *id)
                .collect();
            if found.is_empty() {
                break;
            }
            self.members.extend(found);
        }
        let mut resident_bytes = 0;
        for (id, stat) in all.iter().filter(|(id, _)| self.members.contains(id)) {
            resident_bytes += stat.resident_bytes;
            let ticks = self.ticks.entry(*id).or_default();
            *ticks = stat.ticks.max(*ticks);
        }
        self.peak_bytes = self.peak_bytes.max(resident_bytes);
        debug_assert!(self.members.contains(&self.root));
    }

    fn cpu_seconds(&self) -> f64 {
        self.ticks.values().sum::<u64>() as f64 / TICKS_PER_SECOND
    }
}

/// The memory of a process that is there, in bytes; 0 if it is not.
pub fn resident_bytes(process: u32) -> u64 {
    processes()
        .get(&process)
        .map_or(0, |stat| stat.resident_bytes)
}

fn processes() -> BTreeMap<u32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((id, parse(&text)?))
        })
        .collect()
}

fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 1..)?
        .split_ascii_whitespace()
        .collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)?,
        resident_bytes: number(21)? * PAGE_BYTES,
    })
}

/// CPU ticks of all children of this process that ended and were waited for, and of theirs.
fn own_children_ticks() -> Result<u64, Failure> {
    let path = "/proc/self/stat";
    let text = std::fs::read_to_string(path).map_err(Failure::file("read", path))?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = after_name
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    match fields.get(13..15) {
        Some(times) => Ok(times.iter().sum()),
        None => Err(Failure::form(path, "it has too few fields")),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_processes_is_measured_whole() {
        let folder = tempfile::tempdir().unwrap();
        // The parent idles; its child burns CPU and holds memory.
        let script = "sh -c 'x=$(head -c 40000000 /dev/zero | tr \"\\0\" a); i=0; \
                      while [ $i -lt 200000 ]; do i=$((i+1)); done'; sleep 0.2";
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        let cost = run(command, &folder.path().join("log")).unwrap();
        assert!(cost.wall_seconds > 0.2, "{cost:?}");
        assert!(cost.cpu_seconds > 0.05, "{cost:?}");
        assert!(cost.peak_bytes > 40_000_000, "{cost:?}");
    }

    #[test]
    fn a_failure_is_shown_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo the disk is full; exit 3"]);
        let failure = run(command, &folder.path().join("log")).unwrap_err();
        assert!(
            failure.to_string().contains("the disk is full"),
            "{failure}"
        );
    }
}
