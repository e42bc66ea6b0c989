//! Names for numbers of HTTP/2.

/// The name of an error code (RFC 9113 §7).
pub(crate) fn name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

/// The status at the beginning of a response's fields, in the encodings that a server uses first (RFC 7541
/// §6).
pub(crate) fn status(block: &[u8]) -> Option<u16> {
    match *block {
        [indexed @ 0x88..=0x8e, ..] => Some([200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]),
        [0x08 | 0x48, length, ref value @ ..] => {
            let value = value.get(..usize::from(length & 0x7f))?;
            (100..600).find(|status| huffman(*status) == value || status.to_string().as_bytes() == value)
        }
        _ => None,
    }
}

/// A number in the Huffman code of RFC 7541, appendix B: the digits 0 to 2 have five bits, the others six.
fn huffman(number: u16) -> Vec<u8> {
    let mut bits = String::new();
    for digit in number.to_string().bytes().map(|digit| digit - b'0') {
        bits += &if digit < 3 { format!("{digit:05b}") } else { format!("{:06b}", digit + 22) };
    }
    let bytes = bits.as_bytes().chunks(8).map(|byte| String::from_utf8_lossy(byte).into_owned());
    bytes.filter_map(|byte| u8::from_str_radix(&format!("{byte:1<8}"), 2).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_written() {
        assert_eq!(status(&[0x88, 0x5f]), Some(200));
        assert_eq!(status(b"\x48\x03405"), Some(405));
        // RFC 7541 §C.6.1.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[0x40]), None);
    }
}
