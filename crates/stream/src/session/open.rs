//! Which sessions are open: by key, and in the order in which they close.
//!
//! Sessions have numbers. A key has a chain of them, mostly of one; the order of closing is kept in
//! sorted runs of which the first part is cut off when the watermark moves. A session that was prolonged stays
//! where it is in its run, and is put into a new one when its turn comes.

use arrow::array::{Array, Int64Array, UInt32Array};
use arrow::compute::{concat, sort_to_indices, take};
use arrow::error::ArrowError;

use crate::error::{Result, StreamError};
use crate::parts::Place;

/// Fewer runs are left as they are: most are used up before they are many.
const RUNS: usize = 8;

/// No session.
pub(super) const NONE: u32 = u32::MAX;

/// A session that may still grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) key: usize,
    pub(super) start: i64,
    pub(super) last: i64,
    /// Where its state is; nowhere, if it is part of another session now.
    pub(super) place: Place,
    /// The next of the same key.
    next: u32,
}

/// Sessions that have closed.
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) starts: Vec<i64>,
    pub(super) lasts: Vec<i64>,
    pub(super) places: Vec<Place>,
}

/// The open sessions.
#[derive(Debug, Default)]
pub(super) struct Open {
    sessions: Vec<Session>,
    /// Numbers that are free.
    free: Vec<u32>,
    /// The first session of each key.
    heads: Vec<u32>,
    runs: Vec<Run>,
    /// Sessions that are in no run yet.
    fresh: Vec<u32>,
    len: usize,
}

/// Sessions in the order of the last times that they had when the run was made.
#[derive(Debug)]
struct Run {
    lasts: Int64Array,
    sessions: UInt32Array,
}

impl Open {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn keys(&self) -> usize {
        self.heads.len()
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        let runs: usize = self.runs.iter().map(|run| run.lasts.len() * 12).sum();
        let numbers = self.free.capacity() + self.heads.capacity() + self.fresh.capacity();
        self.sessions.capacity() * size_of::<Session>() + numbers * size_of::<u32>() + runs
    }

    /// Makes room for so many keys.
    pub(super) fn resize(&mut self, keys: usize) {
        self.heads.resize(keys, NONE);
    }

    pub(super) fn get(&self, session: u32) -> &Session {
        &self.sessions[session as usize]
    }

    /// Takes the sessions of a key out of its chain, ordered by their starts.
    pub(super) fn unchain(&mut self, key: usize, chain: &mut Vec<u32>) {
        chain.clear();
        let mut at = std::mem::replace(&mut self.heads[key], NONE);
        while at != NONE {
            chain.push(at);
            at = self.get(at).next;
        }
        if chain.len() > 1 {
            chain.sort_unstable_by_key(|session| self.get(*session).start);
        }
    }

    /// Puts a session into the chain of its key.
    pub(super) fn chain(&mut self, session: u32) {
        let known = &mut self.sessions[session as usize];
        known.next = std::mem::replace(&mut self.heads[known.key], session);
    }

    /// Opens a session.
    pub(super) fn add(&mut self, key: usize, start: i64, last: i64, place: Place) -> Result<u32> {
        let session = Session {
            key,
            start,
            last,
            place,
            next: NONE,
        };
        self.len += 1;
        let number = match self.free.pop() {
            Some(free) => {
                self.sessions[free as usize] = session;
                free
            }
            None => {
                self.sessions.push(session);
                u32::try_from(self.sessions.len() - 1)
                    .map_err(|_| StreamError::bug("over four billion sessions are open"))?
            }
        };
        self.chain(number);
        self.fresh.push(number);
        Ok(number)
    }

    /// Prolongs a session, and puts it back into the chain of its key.
    pub(super) fn prolong(&mut self, session: u32, start: i64, last: i64) {
        let known = &mut self.sessions[session as usize];
        (known.start, known.last) = (start, last);
        self.chain(session);
    }

    /// A session, taken out of its chain, is part of another now.
    pub(super) fn merge(&mut self, session: u32) {
        self.sessions[session as usize].place = Place::NOWHERE;
        self.len -= 1;
    }

    pub(super) fn set_place(&mut self, session: u32, place: Place) {
        self.sessions[session as usize].place = place;
    }

    /// Takes out the sessions whose last row is before a time.
    pub(super) fn close(&mut self, before: i64) -> Result<Closed> {
        self.settle()?;
        let mut closed = Closed::default();
        for at in 0..self.runs.len() {
            let run = &self.runs[at];
            if run
                .lasts
                .values()
                .first()
                .is_none_or(|last| *last >= before)
            {
                continue;
            }
            let count = run.lasts.values().partition_point(|last| *last < before);
            let passed = run.sessions.slice(0, count);
            self.runs[at] = run.from(count);
            for number in passed.values() {
                let session = *self.get(*number);
                if session.place == Place::NOWHERE {
                    self.free.push(*number);
                } else if session.last >= before {
                    self.fresh.push(*number);
                } else {
                    self.unlink(*number, &session);
                    self.free.push(*number);
                    self.len -= 1;
                    closed.starts.push(session.start);
                    closed.lasts.push(session.last);
                    closed.places.push(session.place);
                }
            }
        }
        self.runs.retain(|run| !run.lasts.is_empty());
        Ok(closed)
    }

    /// When the first closes, or earlier: its last time.
    pub(super) fn first(&self) -> Option<i64> {
        let fresh = self.fresh.iter().map(|session| self.get(*session).last);
        let runs = self
            .runs
            .iter()
            .filter_map(|run| run.lasts.values().first());
        runs.copied().chain(fresh).min()
    }

    fn unlink(&mut self, number: u32, session: &Session) {
        let mut at = self.heads[session.key];
        if at == number {
            self.heads[session.key] = session.next;
            return;
        }
        while at != NONE {
            let next = self.get(at).next;
            if next == number {
                self.sessions[at as usize].next = session.next;
                return;
            }
            at = next;
        }
    }

    /// Makes a run of fresh sessions. Runs about as long as those before them are put together, so that
    /// they stay few and a session is sorted few times.
    fn settle(&mut self) -> Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let lasts = fresh.iter().map(|session| self.get(*session).last);
        let lasts = Int64Array::from_iter_values(lasts);
        self.runs
            .push(Run::sorted(&lasts, &UInt32Array::from(fresh))?);
        while let [.., before, last] = self.runs.as_slice()
            && self.runs.len() > RUNS
            && last.lasts.len() * 2 >= before.lasts.len()
        {
            let lasts = concat(&[&before.lasts, &last.lasts])?;
            let sessions = concat(&[&before.sessions, &last.sessions])?;
            self.runs.truncate(self.runs.len() - 2);
            self.runs
                .push(Run::sorted(lasts.as_ref(), sessions.as_ref())?);
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        let chain = |head: &u32| {
            let first = (*head != NONE).then_some(*head);
            std::iter::successors(first, |session| {
                let next = self.get(*session).next;
                (next != NONE).then_some(next)
            })
        };
        self.heads
            .iter()
            .flat_map(chain)
            .map(|session| self.get(session))
    }
}

impl Run {
    fn sorted(lasts: &dyn Array, sessions: &dyn Array) -> Result<Self> {
        let order = sort_to_indices(lasts, None, None)?;
        let lasts = take(lasts, &order, None)?.to_data().into();
        let sessions = take(sessions, &order, None)?.to_data().into();
        Ok::<_, ArrowError>(Self { lasts, sessions }).map_err(StreamError::from)
    }

    /// What is left after the first so many.
    fn from(&self, count: usize) -> Self {
        let left = self.lasts.len() - count;
        Self {
            lasts: self.lasts.slice(count, left),
            sessions: self.sessions.slice(count, left),
        }
    }
}
