//! What fragments make of the open sessions.

use super::cut::Fragment;
use super::open::{NONE, Open};
use crate::error::Result;
use crate::parts::Place;

/// What new fragments make of the open sessions.
#[derive(Debug, Default)]
pub(super) struct Merging {
    /// The sessions that come out: their numbers among those that are open, from when to when they are,
    /// and a row of the batch that has their key.
    pub(super) sessions: Vec<u32>,
    pub(super) starts: Vec<i64>,
    pub(super) lasts: Vec<i64>,
    pub(super) rows: Vec<u32>,
    /// For each new fragment, in which of them it is.
    pub(super) fragments: Vec<usize>,
    /// The open sessions that go in, and in which of them each is.
    pub(super) old: Vec<Place>,
    pub(super) old_in: Vec<usize>,
    /// The windows that are no more: a row of the key, start, last.
    pub(super) gone: Vec<(u32, i64, i64)>,
    /// Of the group that is being made: the open sessions in it, and those of the key that stay.
    olds: Vec<u32>,
    stay: Vec<u32>,
}

/// Fragments and sessions that touch.
struct Group {
    start: i64,
    last: i64,
    is_new: bool,
}

/// Puts fragments and open sessions that touch together. The sessions that go in are no more; those
/// that come out are open, and nowhere yet.
pub(super) fn merging(open: &mut Open, fragments: &[Fragment], gap: i64) -> Result<Merging> {
    let mut merging = Merging {
        fragments: vec![0; fragments.len()],
        ..Merging::default()
    };
    let mut chain: Vec<u32> = Vec::new();
    let mut from = 0;
    while let Some(first) = fragments.get(from) {
        let key = first.key;
        let mut until = from + 1;
        while fragments.get(until).is_some_and(|next| next.key == key) {
            until += 1;
        }
        open.unchain(key, &mut chain);
        merging.of_key(open, &fragments[from..until], from, &chain, gap)?;
        from = until;
    }
    Ok(merging)
}

impl Merging {
    /// The fragments of one key, numbered from `from`, and its sessions; both ordered by their starts.
    fn of_key(
        &mut self,
        open: &mut Open,
        fragments: &[Fragment],
        from: usize,
        chain: &[u32],
        gap: i64,
    ) -> Result<()> {
        let Some(first) = fragments.first() else {
            return Ok(());
        };
        let (key, row) = (first.key, first.row);
        let mut group: Option<Group> = None;
        let (mut fresh, mut old) = (0, 0);
        loop {
            let next_old = chain.get(old).map(|session| open.get(*session));
            let next_old = next_old.map(|session| (session.start, session.last));
            let next_new = fragments.get(fresh).map(|f| (f.start, f.last));
            let (is_new, (start, last)) = match (next_old, next_new) {
                (Some(old), Some(new)) if new.0 < old.0 => (true, new),
                (Some(old), _) => (false, old),
                (None, Some(new)) => (true, new),
                (None, None) => break,
            };
            match &mut group {
                Some(group) if start <= group.last.saturating_add(gap) => {
                    group.last = group.last.max(last);
                    group.is_new |= is_new;
                }
                _ => {
                    if let Some(group) = group.take() {
                        self.make(open, &group, key, row)?;
                    }
                    if old == chain.len() {
                        // What is left touches nothing: fragments do not touch each other.
                        return self.rest(open, &fragments[fresh..], from + fresh);
                    }
                    group = Some(Group {
                        start,
                        last,
                        is_new,
                    });
                }
            }
            if is_new {
                self.fragments[from + fresh] = self.sessions.len();
                fresh += 1;
            } else {
                self.olds.extend(chain.get(old));
                old += 1;
            }
        }
        if let Some(group) = group {
            self.make(open, &group, key, row)?;
        }
        self.put_back(open);
        Ok(())
    }

    /// Sessions of fragments that touch no other.
    fn rest(&mut self, open: &mut Open, fragments: &[Fragment], from: usize) -> Result<()> {
        for (fragment, at) in fragments.iter().zip(from..) {
            self.fragments[at] = self.sessions.len();
            let (start, last) = (fragment.start, fragment.last);
            let session = open.add(fragment.key, start, last, Place::NOWHERE)?;
            self.push(session, start, last, fragment.row);
        }
        self.put_back(open);
        Ok(())
    }

    fn push(&mut self, session: u32, start: i64, last: i64, row: u32) {
        self.sessions.push(session);
        self.starts.push(start);
        self.lasts.push(last);
        self.rows.push(row);
    }

    /// Sessions that nothing touched.
    fn put_back(&mut self, open: &mut Open) {
        while let Some(session) = self.stay.pop() {
            open.chain(session);
        }
    }

    /// Makes a session of a group; if no row came to it, all stays as it was.
    fn make(&mut self, open: &mut Open, group: &Group, key: usize, row: u32) -> Result<()> {
        if !group.is_new {
            self.stay.append(&mut self.olds);
            return Ok(());
        }
        let number = self.sessions.len();
        let mut made = NONE;
        for session in self.olds.drain(..) {
            let old = *open.get(session);
            self.old.push(old.place);
            self.old_in.push(number);
            self.gone.push((row, old.start, old.last));
            match made {
                NONE => made = session,
                _ => open.merge(session),
            }
        }
        if made == NONE {
            made = open.add(key, group.start, group.last, Place::NOWHERE)?;
        } else {
            open.prolong(made, group.start, group.last);
        }
        self.push(made, group.start, group.last, row);
        Ok(())
    }
}
