//! A live source that fails as the [weather](super::weather) says: before it gives records, or when it had them in hand;
//! and that gives fewer at a time than it could.

use std::sync::Arc;
use std::time::Duration;

use tidegate_connect::live::{Fetched, LiveNote, LiveSource, PartitionState, Positions};
use tidegate_connect::{ConnectError, Result};

use super::weather::{Luck, Weather};
use crate::records::Around;

struct Flaky {
    inner: Box<dyn LiveSource>,
    weather: Weather,
    /// After a failure a source is of no use any more.
    broken: bool,
}

/// Puts this around sources.
pub(super) fn around(weather: Weather) -> Around {
    Arc::new(move |inner| {
        Box::new(Flaky {
            inner,
            weather: weather.clone(),
            broken: false,
        })
    })
}

impl Flaky {
    fn before(&mut self) -> Result<Luck> {
        let luck = self.weather.luck();
        if luck == Luck::Slow {
            std::thread::sleep(self.weather.wait());
        }
        self.broken |= luck == Luck::Before;
        match self.broken {
            true => Err(self.failure()),
            false => Ok(luck),
        }
    }

    fn failure(&self) -> ConnectError {
        let gone = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the broker is gone");
        ConnectError::Unreadable {
            path: self.inner.name().to_owned(),
            source: gone,
        }
    }
}

impl LiveSource for Flaky {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn partitions(&mut self) -> Result<Vec<PartitionState>> {
        self.before()?;
        self.inner.partitions()
    }

    fn assigned(&self) -> Vec<(Arc<str>, i32)> {
        self.inner.assigned()
    }

    fn seek(&mut self, next: &Positions) -> Result<()> {
        self.before()?;
        self.inner.seek(next)
    }

    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Fetched>> {
        let luck = self.before()?;
        let fetched = self.inner.poll(wait, bytes_max.min(2_000))?;
        self.broken |= luck == Luck::After;
        match self.broken {
            true => Err(self.failure()),
            false => Ok(fetched),
        }
    }

    fn notes(&mut self) -> Vec<LiveNote> {
        self.inner.notes()
    }
}
