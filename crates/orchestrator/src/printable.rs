//! Makes texts of other programs safe for a terminal. They must not move its cursor or ring its bell.

/// Escapes all control characters except tabs: `\x1b` stands for ESC.
pub(crate) fn escaped(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => printable.push(char),
            _ if char.is_control() => printable.push_str(&format!("\\x{:02x}", u32::from(char))),
            _ => printable.push(char),
        }
    }
    printable
}

/// Cuts a text to this many bytes. A text that was cut ends with `…`.
pub(crate) fn clipped(text: &str, bytes: usize) -> String {
    const MORE: char = '…';
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub(MORE.len_utf8()));
    format!("{}{MORE}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(escaped("\x1b[2Jred\x07\u{9b}0m\r"), "\\x1b[2Jred\\x07\\x9b0m\\x0d");
        assert_eq!(escaped("\tat größe"), "\tat größe");
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(clipped("größe", 7), "größe");
        assert_eq!(clipped("größer", 7), "grö…");
        assert_eq!(clipped("größer", 6), "gr…");
        assert_eq!(clipped("größer", 3), "…");
    }
}
