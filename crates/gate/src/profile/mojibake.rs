//! Text that was decoded with the wrong encoding: `Ã©` where `é` was meant.
//!
//! If the characters of a value, taken back to Windows-1252 bytes, form valid UTF-8 with something
//! beyond ASCII in it, then the value was UTF-8 read as Windows-1252. Honest text hardly ever passes
//! this test: an `é` alone is no UTF-8.

/// Windows-1252's characters for the bytes 0x80 to 0x9F; 0 where it has none.
const UPPER: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘',
    '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// What the value was meant to be, if it was decoded wrongly.
pub(crate) fn repaired(value: &str) -> Option<String> {
    if value.is_ascii() {
        return None;
    }
    let mut bytes = Vec::with_capacity(value.len());
    for character in value.chars() {
        bytes.push(windows_1252(character)?);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_ascii())
}

/// Whether the value holds the sign that decoders put where they could not read.
pub(crate) fn has_replacement(value: &str) -> bool {
    value.contains('\u{fffd}')
}

fn windows_1252(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=0xff => Some(code as u8),
        _ => UPPER
            .iter()
            .position(|&upper| upper == character)
            .map(|at| at as u8 + 0x80),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrongly_decoded_text_is_told_from_honest_text() {
        assert_eq!(repaired("cafÃ©").as_deref(), Some("café"));
        assert_eq!(repaired("Donâ€™t").as_deref(), Some("Don’t"));
        assert_eq!(repaired("MÃ¼nchen").as_deref(), Some("München"));
        for honest in [
            "café",
            "München",
            "plain",
            "naïve Ångström",
            "Ã",
            "日本",
            "€ 5",
        ] {
            assert_eq!(repaired(honest), None, "{honest}");
        }
    }
}
