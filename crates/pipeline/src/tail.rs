//! Following a topic: each record as it comes, for a terminal or a test.

use std::time::Duration;

use tidegate_connect::live::topic::TopicReadOptions;
use tidegate_connect::live::{LiveSource, Start};

use crate::error::{PipelineError, Result};
use crate::rows::CancelToken;
use crate::workspace::Workspace;

/// How long nothing may come before it is asked whether to stop.
const WAIT: Duration = Duration::from_millis(20);
/// How much is taken at once.
const FETCH_BYTES: usize = 1 << 20;

impl Workspace {
    /// Calls `take` with the value of each record that comes into a topic from now on, until `stop` is cancelled. Blocks.
    ///
    /// # Errors
    /// [`PipelineError::UnknownTable`] if the project has no such topic; if it cannot be read.
    pub fn tail(&self, topic: &str, stop: &CancelToken, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let unknown = || PipelineError::UnknownTable {
            name: topic.to_owned(),
            nearest: None,
        };
        let name = self.project.resolve(topic).ok_or_else(unknown)?;
        let options = TopicReadOptions {
            start: Start::Latest,
            fail_on_data_loss: false,
        };
        let mut source = self.opener().topic(&name)?.source(options)?;
        while !stop.is_cancelled() {
            for fetched in source.poll(WAIT, FETCH_BYTES)? {
                for row in 0..fetched.rows() {
                    if let Some(value) = fetched.values.get(row) {
                        take(value);
                    }
                }
            }
        }
        Ok(())
    }
}
