//! How a command ended, as the number that the shell sees. The meanings are a promise to scripts.

use std::process::ExitCode;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all was done.
    Done,
    /// 1: it was done, but the data or a test failed: a table was not refreshed, a test did not pass.
    Data,
    /// 2: nothing was done, because the project or the command line has a mistake.
    Usage,
    /// 3: the machine failed: a disk, a network, a lock that another process holds.
    Machine,
    /// 130: the user interrupted it, as shells report `SIGINT`.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Data => 1,
            Self::Usage => 2,
            Self::Machine => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}

/// What `--help` says of them.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    the data or a test failed (a table was not refreshed, a test did not pass)
  2    a mistake in the project or on the command line; nothing was done
  3    the machine failed (disk, network, another process holds the lock)
  130  interrupted";
