//! The host that a request is for.

use http::header::HOST;
use http::{Request, Version};

/// Whether an HTTP/1.1 request names one host, with characters that a host can have (RFC 9112 §3.2). An older
/// request need not name one. HTTP/2 has its own rule, which is checked elsewhere.
pub(crate) fn is_valid<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes().iter().copied().all(is_of_a_host),
        (None, _) => request.version() != Version::HTTP_11,
        (Some(_), Some(_)) => request.version() == Version::HTTP_2,
    }
}

/// Whether this byte may appear in a host or its port (RFC 3986 §3.2.2, §3.2.3).
fn is_of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid_with(version: Version, hosts: &[&str]) -> bool {
        let request = hosts.iter().fold(Request::builder(), |request, host| request.header(HOST, *host));
        is_valid(&request.version(version).body(()).unwrap())
    }

    #[test]
    fn one_host_is_named() {
        for host in ["example.org", "example.org:8080", "[::1]:80", "127.0.0.1", "", "a_b.example"] {
            assert!(is_valid_with(Version::HTTP_11, &[host]), "{host}");
        }
        for host in ["a b", "a/b", "user@example.org", "a?b", "a#b", "\"a\"", "a\\b"] {
            assert!(!is_valid_with(Version::HTTP_11, &[host]), "{host}");
        }
    }

    #[test]
    fn none_or_two_are_not_one() {
        assert!(!is_valid_with(Version::HTTP_11, &[]));
        assert!(!is_valid_with(Version::HTTP_11, &["a", "a"]));
        assert!(!is_valid_with(Version::HTTP_10, &["a", "b"]));
        assert!(is_valid_with(Version::HTTP_10, &[]));
    }
}
