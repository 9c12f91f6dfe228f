//! Windows of fixed length, made of panes.
//!
//! A row is in exactly one pane; a window is made of panes. So a row is aggregated once, however many
//! windows overlap. Tumbling windows are panes themselves; so is each value of a column that is an
//! event time already, such as the window of a query below.

/// How times are cut; all lengths in microseconds, all over 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slices {
    /// Windows side by side, one of which starts at `start`.
    Tumbling { length: i64, start: i64 },
    /// A window of `length` starts every `slide`, one of them at `start`.
    Hopping { length: i64, slide: i64, start: i64 },
    /// Windows start every `max`, and end one `step` after another.
    Cumulating { max: i64, step: i64 },
    /// Each value is a window of its own, which has closed when times to come are later: it ends one
    /// microsecond after its value, less `offset` (how far behind the watermark values may be).
    Values { offset: i64 },
}

/// A window: from its start, up to and without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Window {
    /// First, so that windows sort by when they close.
    pub(crate) end: i64,
    pub(crate) start: i64,
}

impl Slices {
    /// The length of a pane, and where one starts.
    fn pane(&self) -> (i64, i64) {
        match *self {
            Self::Tumbling { length, start } => (length, start),
            Self::Hopping {
                length,
                slide,
                start,
            } => (greatest_common_divisor(length, slide), start),
            Self::Cumulating { step, .. } => (step, 0),
            Self::Values { .. } => (1, 0),
        }
    }

    /// The start of the pane that a time is in.
    pub(crate) fn pane_of(&self, time: i64) -> i64 {
        let (length, start) = self.pane();
        floor(time, length, start)
    }

    /// Where the pane that starts there ends.
    pub(crate) fn pane_end(&self, pane: i64) -> i64 {
        pane.saturating_add(self.pane().0)
    }

    /// In how many windows a time is, at most.
    pub(crate) fn overlap(&self) -> usize {
        let count = match *self {
            Self::Tumbling { .. } | Self::Values { .. } => 1,
            Self::Hopping { length, slide, .. } => length.div_euclid(slide) + 1,
            Self::Cumulating { max, step } => max.div_euclid(step),
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The windows that a pane is in, in the order they close.
    pub(crate) fn windows_of(&self, pane: i64) -> Vec<Window> {
        match *self {
            Self::Tumbling { length, .. } => vec![Window {
                start: pane,
                end: pane.saturating_add(length),
            }],
            Self::Values { offset } => vec![Window {
                start: pane,
                end: pane.saturating_add(1).saturating_sub(offset),
            }],
            Self::Hopping {
                length,
                slide,
                start,
            } => {
                let last = floor(pane, slide, start);
                let mut first = last;
                while first.saturating_sub(slide).saturating_add(length) > pane {
                    first -= slide;
                }
                let windows = (0..).map(|n| first.saturating_add(slide.saturating_mul(n)));
                windows
                    .take_while(|from| *from <= last)
                    .map(|from| Window {
                        start: from,
                        end: from.saturating_add(length),
                    })
                    .filter(|window| window.end > pane)
                    .collect()
            }
            Self::Cumulating { max, step } => {
                let start = floor(pane, max, 0);
                let ends = (1..=max.div_euclid(step)).map(|n| start.saturating_add(n * step));
                ends.filter(|end| *end > pane)
                    .map(|end| Window { start, end })
                    .collect()
            }
        }
    }

    /// The panes from the start of a window to its end, as a range of pane starts.
    pub(crate) fn panes_of(&self, window: Window) -> std::ops::Range<i64> {
        match self {
            Self::Values { .. } => window.start..window.start.saturating_add(1),
            _ => window.start..window.end,
        }
    }

    /// When the first window of a pane closes.
    pub(crate) fn first_end(&self, pane: i64) -> Option<i64> {
        self.windows_of(pane).first().map(|window| window.end)
    }

    /// When the last window that a time is in closes; `None` if it is in none.
    pub(crate) fn last_end(&self, time: i64) -> Option<i64> {
        let pane = self.pane_of(time);
        match *self {
            Self::Tumbling { length, .. } => Some(pane.saturating_add(length)),
            Self::Hopping {
                length,
                slide,
                start,
            } => {
                let end = floor(pane, slide, start).saturating_add(length);
                (end > pane).then_some(end)
            }
            Self::Cumulating { max, .. } => Some(floor(pane, max, 0).saturating_add(max)),
            Self::Values { .. } => self.first_end(pane),
        }
    }
}

/// The greatest time not after `time` that is whole steps from `start`.
fn floor(time: i64, length: i64, start: i64) -> i64 {
    let into = time.wrapping_sub(start).rem_euclid(length);
    time.saturating_sub(into)
}

fn greatest_common_divisor(one: i64, other: i64) -> i64 {
    let (mut one, mut other) = (one.max(1), other.max(1));
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::{Slices, Window};

    #[test]
    fn a_pane_is_in_the_windows_that_hold_its_times() {
        let all = [
            Slices::Tumbling {
                length: 10,
                start: 3,
            },
            Slices::Hopping {
                length: 10,
                slide: 4,
                start: 1,
            },
            Slices::Hopping {
                length: 60,
                slide: 1,
                start: 0,
            },
            Slices::Hopping {
                length: 3,
                slide: 5,
                start: 0,
            },
            Slices::Cumulating { max: 12, step: 4 },
        ];
        for slices in all {
            for time in -100_i64..100 {
                let pane = slices.pane_of(time);
                assert!(pane <= time);
                let expected: Vec<Window> = match slices {
                    Slices::Tumbling { length, start } => (-40..40)
                        .map(|n| Window {
                            start: start + n * length,
                            end: start + (n + 1) * length,
                        })
                        .collect(),
                    Slices::Hopping {
                        length,
                        slide,
                        start,
                    } => (-200..200)
                        .map(|n| Window {
                            start: start + n * slide,
                            end: start + n * slide + length,
                        })
                        .collect(),
                    Slices::Cumulating { max, step } => (-40..40)
                        .flat_map(|n| (1..=max / step).map(move |k| (n * max, n * max + k * step)))
                        .map(|(start, end)| Window { start, end })
                        .collect(),
                    Slices::Values { .. } => Vec::new(),
                };
                let expected: Vec<Window> = expected
                    .into_iter()
                    .filter(|window| window.start <= time && time < window.end)
                    .collect();
                assert_eq!(slices.windows_of(pane), expected, "{slices:?} {time}");
                let last = expected.last().map(|window| window.end);
                assert_eq!(slices.last_end(time), last, "{slices:?} {time}");
                assert!(expected.len() <= slices.overlap());
                for window in expected {
                    assert!(slices.panes_of(window).contains(&pane));
                }
            }
        }
    }
}
