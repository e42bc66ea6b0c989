//! The first bytes of a connection.

use app_cluster_worker::fuzzing::is_http2;

/// Once the protocol of a connection is known, the bytes that follow do not change it.
pub(crate) fn run(bytes: &[u8]) {
    const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let differs = bytes.iter().zip(PREFACE).position(|(found, expected)| found != expected);
    for length in 0..=bytes.len().min(40) {
        let expected = match differs {
            Some(at) if at < length => Some(false),
            _ if length >= PREFACE.len() => Some(true),
            _ => None,
        };
        assert_eq!(is_http2(&bytes[..length]), expected, "after {length} bytes");
    }
}
