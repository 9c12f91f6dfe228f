//! Shows an update while it runs: a line for each table, drawn on stderr, only on a terminal.
//!
//! Events come from the update's threads and are only noted; a thread of its own reads the meters ten times a second, so
//! that drawing costs the update nothing. When the update ends the lines go, and the report stands in their place.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tidegate_pipeline::events::Meter;
use tidegate_pipeline::{Event, Observer};

use crate::terminal::{Screen, number};

/// Time between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// Draws progress until it is dropped or [`Progress::finish`]ed.
pub struct Progress {
    lines: Option<Lines>,
    observer: Arc<dyn Observer>,
}

struct Lines {
    events: Sender<Option<Event>>,
    painter: JoinHandle<()>,
}

impl Progress {
    /// Starts to draw where `drawn` says so; otherwise only alerts are written, as plain lines.
    pub fn start(screen: &Screen, drawn: bool) -> Self {
        if !drawn {
            return Self {
                lines: None,
                observer: Arc::new(Plain {
                    screen: screen.clone(),
                }),
            };
        }
        let (events, receiver) = channel::<Option<Event>>();
        let screen = screen.clone();
        let painter = std::thread::spawn(move || {
            let mut painting = Painting::new(screen);
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(Some(event)) => painting.take(event),
                    Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                painting.paint();
            }
            painting.clear();
        });
        let observer = Arc::new(Forward {
            events: events.clone(),
        });
        Self {
            lines: Some(Lines { events, painter }),
            observer,
        }
    }

    /// What the update reports to.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.observer)
    }

    /// Takes the lines away, so that the report can be printed.
    pub fn finish(self) {
        if let Some(lines) = self.lines {
            // When the painter is gone already there is nothing to take away.
            let _ = lines.events.send(None);
            let _ = lines.painter.join();
        }
    }
}

/// Hands events to the painter.
struct Forward {
    events: Sender<Option<Event>>,
}

impl Observer for Forward {
    fn event(&self, event: Event) {
        let _ = self.events.send(Some(event));
    }
}

/// Writes alerts only.
struct Plain {
    screen: Screen,
}

impl Observer for Plain {
    fn event(&self, event: Event) {
        if let Event::Alert { table, message } = event {
            self.screen.warning(&alert(&table, &message));
        }
    }
}

fn alert(table: &str, message: &str) -> String {
    if message.contains(table) {
        message.to_owned()
    } else {
        format!("{table}: {message}")
    }
}

struct Painting {
    screen: Screen,
    bars: MultiProgress,
    running: Vec<Line>,
    painted: Instant,
}

struct Line {
    table: String,
    bar: ProgressBar,
    meter: Arc<Meter>,
    started: Instant,
}

impl Painting {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            bars: MultiProgress::new(),
            running: Vec::new(),
            painted: Instant::now(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::TableStarted { table, meter } => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(spinner());
                bar.set_prefix(table.clone());
                self.running.push(Line {
                    table,
                    bar,
                    meter,
                    started: Instant::now(),
                });
            }
            Event::TableFinished { report } => {
                if let Some(place) = self
                    .running
                    .iter()
                    .position(|line| line.table == report.table)
                {
                    self.running.remove(place).bar.finish_and_clear();
                }
            }
            Event::Alert { table, message } => {
                self.bars
                    .suspend(|| self.screen.warning(&alert(&table, &message)));
            }
            Event::UpdateStarted { .. } => {}
        }
    }

    fn paint(&mut self) {
        if self.painted.elapsed() < TICK {
            return;
        }
        self.painted = Instant::now();
        for line in &self.running {
            line.paint();
        }
    }

    fn clear(&mut self) {
        for line in self.running.drain(..) {
            line.bar.finish_and_clear();
        }
        // The terminal may be gone; then so are the lines.
        let _ = self.bars.clear();
    }
}

impl Line {
    fn paint(&self) {
        let (rows, bytes, total) = (
            self.meter.rows(),
            self.meter.bytes(),
            self.meter.bytes_total(),
        );
        let elapsed = self.started.elapsed().as_secs_f64();
        let mut message = format!(
            "{:>14} {:>10}",
            format!("{} rows", number::count(rows)),
            per_second(rows, elapsed)
        );
        if total > 0 {
            if self.bar.length().is_none() {
                self.bar.set_style(bar());
            }
            self.bar.set_length(total);
            self.bar.set_position(bytes.min(total));
            message += &format!(
                "  {} of {}",
                number::bytes(bytes.min(total)),
                number::bytes(total)
            );
            if let Some(left) = time_left(bytes, total, elapsed) {
                message += &format!("  {} left", number::seconds(left));
            }
        } else if bytes > 0 {
            message += &format!("  {}", number::bytes(bytes));
        }
        self.bar.set_message(message);
        self.bar.tick();
    }
}

fn per_second(rows: u64, elapsed: f64) -> String {
    if elapsed < 0.2 {
        String::new()
    } else {
        format!("{}/s", number::rate(rows as f64 / elapsed))
    }
}

/// By the bytes read so far, once there is enough to judge by.
fn time_left(bytes: u64, total: u64, elapsed: f64) -> Option<f64> {
    if elapsed < 1.0 || bytes == 0 || bytes >= total {
        return None;
    }
    Some((elapsed * (total - bytes) as f64 / bytes as f64).ceil())
}

fn spinner() -> ProgressStyle {
    styled("{spinner:.cyan} {prefix:24!} {wide_msg}")
}

fn bar() -> ProgressStyle {
    styled("{spinner:.cyan} {prefix:24!} {bar:20.cyan} {wide_msg}").progress_chars("━╸─")
}

fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_the_bytes() {
        assert_eq!(time_left(250, 1_000, 2.0), Some(6.0));
        assert_eq!(time_left(0, 1_000, 2.0), None);
        assert_eq!(time_left(250, 1_000, 0.5), None);
        assert_eq!(time_left(1_000, 1_000, 2.0), None);
    }

    #[test]
    fn templates_are_valid() {
        for template in [
            "{spinner:.cyan} {prefix:24!} {wide_msg}",
            "{spinner:.cyan} {prefix:24!} {bar:20.cyan} {wide_msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn an_alert_names_its_table_once() {
        assert_eq!(alert("payments", "2 % are held"), "payments: 2 % are held");
        assert_eq!(
            alert("payments", "payments: 2 % are held"),
            "payments: 2 % are held"
        );
    }
}
