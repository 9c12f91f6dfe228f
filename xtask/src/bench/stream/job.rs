//! One job: which windows, of which key. It becomes a project for Tidegate, arguments for a peer's script, and a question
//! for DuckDB.

use std::path::Path;

use serde::Deserialize;

use super::events::Events;
use super::{Peer, Setting, bounded};
use crate::bench::contest::Contestant;
use crate::failure::Failure;
use crate::places::{make_folder, write};
use crate::process::Call;

/// Windows of so many minutes, by a column of the events.
#[derive(Debug, Clone)]
pub struct Job {
    key: &'static str,
    size_minutes: u32,
    step_minutes: u32,
}

/// How right a contestant was, as `bench/peers/stream_check.py` prints it.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// Windows that the watermark closed, by DuckDB's count: a row a key and window.
    pub closed: u64,
    /// Closed windows that are not there.
    pub missing: u64,
    /// Windows that are there with another count or sum, twice, or that no event belongs to.
    pub wrong: u64,
    /// Rows the contestant wrote.
    pub found: u64,
}

impl Answer {
    /// Whether all that must be there is, and nothing else.
    pub fn is_right(&self) -> bool {
        self.closed > 0 && self.missing == 0 && self.wrong == 0 && self.found >= self.closed
    }

    /// The answer in a word, or what is wrong with it.
    pub fn verdict(&self) -> String {
        match self.is_right() {
            true => "right".to_owned(),
            false => format!("{} MISSING, {} WRONG", self.missing, self.wrong),
        }
    }
}

impl Job {
    /// Windows that touch.
    pub fn tumbling(key: &'static str, minutes: u32) -> Self {
        Self::hopping(key, minutes, minutes)
    }

    /// Windows that overlap when they are larger than their step.
    pub fn hopping(key: &'static str, size_minutes: u32, step_minutes: u32) -> Self {
        Self {
            key,
            size_minutes,
            step_minutes,
        }
    }

    /// What it does, for people.
    pub fn title(&self) -> String {
        let Self {
            key,
            size_minutes: size,
            step_minutes: step,
        } = self;
        match size == step {
            true => format!("{size}-minute tumbling windows by {key}"),
            false => format!("{size}-minute windows every {step} minute by {key}"),
        }
    }

    /// The job as a table of a project.
    fn sql(&self) -> String {
        let Self {
            key,
            size_minutes: size,
            step_minutes: step,
        } = self;
        let window = match size == step {
            true => format!("window(ts, '{size} minutes')"),
            false => format!("window(ts, '{size} minutes', '{step} minutes')"),
        };
        format!(
            "CREATE STREAMING TABLE per_window AS\n\
             SELECT {key}, {window} AS w, count(*) AS n, sum(amount) AS s\n\
             FROM STREAM read_files('landing/events.jsonl', format => 'json', schema => \
             'id STRING, card_id STRING, merchant STRING, country STRING, amount DOUBLE, \
             currency STRING, ts TIMESTAMP')\n\
             WATERMARK ts DELAY OF INTERVAL 2 MINUTES\n\
             GROUP BY {key}, {window};\n"
        )
    }

    /// Tidegate's run of the job.
    pub fn tidegate<'a>(&self, events: &'a Events, setting: &'a Setting<'a>) -> Contestant<'a> {
        let sql = self.sql();
        let prepare = move |folder: &Path| {
            write(&folder.join("tidegate.toml"), "name = \"stream\"\n")?;
            make_folder(&folder.join("tables"))?;
            write(&folder.join("tables/per_window.sql"), &sql)?;
            make_folder(&folder.join("landing"))?;
            let file = folder.join("landing/events.jsonl");
            // A link, so that nobody measures the copying of the input.
            std::fs::hard_link(&events.file, &file).map_err(Failure::file("link", file))?;
            let mut command = bounded(&setting.binary, setting.seconds_max);
            command.arg("run").current_dir(folder);
            Ok(command)
        };
        Contestant {
            name: "Tidegate".to_owned(),
            prepare: Box::new(prepare),
        }
    }

    /// A peer's run of the job.
    pub fn peer<'a>(
        &self,
        peer: Peer,
        python: &'a Path,
        events: &'a Events,
        setting: &'a Setting<'a>,
    ) -> Contestant<'a> {
        let job = self.clone();
        let scripts = setting.places.root.join("bench/peers");
        let prepare = move |folder: &Path| {
            let mut command = bounded(python, setting.seconds_max);
            command
                .arg(scripts.join(peer.script()))
                .arg(&events.file)
                .arg(folder)
                .args(job.arguments())
                .current_dir(folder);
            Ok(command)
        };
        Contestant {
            name: peer.name().to_owned(),
            prepare: Box::new(prepare),
        }
    }

    fn arguments(&self) -> [String; 3] {
        [
            self.key.to_owned(),
            self.size_minutes.to_string(),
            self.step_minutes.to_string(),
        ]
    }

    /// Compares what a contestant left in its folder with DuckDB's answer, which is kept for the next contestant.
    pub fn check(
        &self,
        events: &Events,
        folder: &Path,
        setting: &Setting,
    ) -> Result<Answer, Failure> {
        let [key, size, step] = self.arguments();
        // Of one file of events, for as long as the work folder lives.
        let rows = events.folder().file_name().unwrap_or_default();
        let reference = format!("{}-{key}-{size}-{step}.parquet", rows.display());
        let text = Call::new(&setting.python)
            .arg(setting.places.root.join("bench/peers/stream_check.py"))
            .arg(setting.work.join(reference))
            .arg(&events.file)
            .arg(folder)
            .args(self.arguments())
            .text()?;
        serde_json::from_str(&text).map_err(|error| Failure::form("the comparison", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_its_windows() {
        let tumbling = Job::tumbling("merchant", 1);
        assert_eq!(tumbling.title(), "1-minute tumbling windows by merchant");
        assert!(
            tumbling
                .sql()
                .contains("GROUP BY merchant, window(ts, '1 minutes');")
        );
        let hopping = Job::hopping("country", 10, 1).sql();
        assert!(hopping.contains("window(ts, '10 minutes', '1 minutes') AS w"));
    }

    #[test]
    fn an_answer_without_windows_is_not_right() {
        let answer = |closed, missing, wrong, found| Answer {
            closed,
            missing,
            wrong,
            found,
        };
        assert!(answer(3, 0, 0, 4).is_right());
        assert!(!answer(0, 0, 0, 0).is_right());
        assert!(!answer(3, 0, 0, 2).is_right());
        assert_eq!(answer(3, 1, 0, 2).verdict(), "1 MISSING, 0 WRONG");
    }
}
