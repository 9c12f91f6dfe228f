//! What goes wrong, and when: drawn from one seed for storage and sources together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    /// Nothing.
    Fine,
    /// It takes a while.
    Slow,
    /// It fails and has no effect.
    Before,
    /// It has its effect, and seems to have failed.
    After,
}

/// The weather of a world: how much goes wrong now.
#[derive(Clone)]
pub(super) struct Weather(Arc<Shared>);

struct Shared {
    random: Mutex<fastrand::Rng>,
    /// How many of a thousand requests go wrong.
    per_mille: AtomicU64,
    failures: AtomicU64,
}

impl std::fmt::Debug for Weather {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Weather")
    }
}

impl Weather {
    /// Calm, until told otherwise.
    pub(super) fn of(seed: u64) -> Self {
        Self(Arc::new(Shared {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            per_mille: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// How many of a thousand requests go wrong from now on.
    pub(super) fn set(&self, per_mille: u64) {
        self.0.per_mille.store(per_mille, Ordering::Relaxed);
    }

    /// How many requests have failed.
    pub(super) fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// What happens to the next request.
    pub(super) fn luck(&self) -> Luck {
        let bad = self.0.per_mille.load(Ordering::Relaxed);
        if bad == 0 {
            return Luck::Fine;
        }
        let mut random = self.0.random.lock();
        if random.u64(0..1000) >= bad {
            return Luck::Fine;
        }
        let luck = match random.u8(0..4) {
            0 => Luck::Slow,
            1 => Luck::After,
            _ => Luck::Before,
        };
        if luck != Luck::Slow {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
        }
        luck
    }

    /// How long a slow request takes.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_micros(self.0.random.lock().u64(0..3_000))
    }

    /// Whether a failure is that of a full disk.
    pub(super) fn is_full(&self) -> bool {
        self.0.random.lock().u8(0..4) == 0
    }
}
