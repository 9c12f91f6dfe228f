//! Wakes the readers of a topic that are in the same process as its writer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Rings whenever records were appended by this process.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<u64>,
    heard: Condvar,
}

static BELLS: LazyLock<Mutex<HashMap<PathBuf, Weak<Bell>>>> = LazyLock::new(Mutex::default);

impl Bell {
    /// The bell of the topic in this folder.
    pub(super) fn of(folder: &Path) -> Arc<Self> {
        let folder = folder
            .canonicalize()
            .unwrap_or_else(|_| folder.to_path_buf());
        let mut bells = BELLS.lock();
        if let Some(bell) = bells.get(&folder).and_then(Weak::upgrade) {
            return bell;
        }
        bells.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::<Self>::default();
        bells.insert(folder, Arc::downgrade(&bell));
        bell
    }

    /// How often it rang.
    pub(super) fn count(&self) -> u64 {
        *self.rung.lock()
    }

    /// Rings.
    pub(super) fn ring(&self) {
        *self.rung.lock() += 1;
        self.heard.notify_all();
    }

    /// Waits until it has rung more than `count` times, but no longer than `wait`.
    pub(super) fn wait(&self, count: u64, wait: Duration) {
        let mut rung = self.rung.lock();
        if *rung == count {
            self.heard.wait_for(&mut rung, wait);
        }
    }
}
