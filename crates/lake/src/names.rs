//! Names of flows, and how names become folders.
//!
//! A folder name keeps ASCII letters, digits, `_` and `-` as they are and writes every other byte
//! as `!` and two hex digits, so that any name gives one folder on every file system and object
//! store, no URL encoding is ever needed, and the name can be read back.

use std::fmt;

/// The name of a flow, stable over runs. It is the application id of the flow's `txn` actions.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct FlowId(String);

impl FlowId {
    /// The flow of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> FlowId {
        FlowId(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for FlowId {
    fn from(name: &str) -> FlowId {
        FlowId(name.to_owned())
    }
}

/// Writes one part of a name as a folder name.
pub(crate) fn encode(part: &str) -> String {
    let mut folder = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            folder.push(char::from(byte));
        } else {
            folder.push_str(&format!("!{byte:02x}"));
        }
    }
    folder
}

/// Reads a folder name back; `None` if it was not written by [`encode`].
pub(crate) fn decode(folder: &str) -> Option<String> {
    let bytes = folder.as_bytes();
    let mut name = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        match byte {
            b'!' => {
                let hex = folder.get(index + 1..index + 3)?;
                name.push(u8::from_str_radix(hex, 16).ok()?);
                index += 3;
            }
            _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' => {
                name.push(byte);
                index += 1;
            }
            _ => return None,
        }
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_through_a_folder() {
        for name in [
            "payments",
            "Überweisung",
            "a.b",
            "a b/c~d!e",
            "..",
            "x__quarantine",
            "100%",
        ] {
            let folder = encode(name);
            assert!(!folder.contains(['/', '%', '.', ' ']), "{folder}");
            assert_eq!(decode(&folder).as_deref(), Some(name));
        }
        assert_eq!(decode("not.a.name"), None);
        assert_eq!(decode("cut!4"), None);
    }
}
