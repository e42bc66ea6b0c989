//! How header fields are encoded (RFC 7541), and what happens to a connection if they cannot be decoded (RFC
//! 9113 §4.3).

use conformance::{
    Case,
    http2::{Talk, frame, kind, send},
};

/// A row in docs/reference/worker.md.
const CODE: &str = "The code of an HTTP/2 error";
/// `GET http /` of the static table (RFC 7541, appendix A).
const GET: &[u8] = &[0x82, 0x86, 0x84];

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [literals(), tables(), faults()].into_iter().flatten().collect()
}

fn literals() -> Vec<Case<Talk>> {
    vec![
        case("6.1", "fields of the table", b"", "1: 200 hello; goes on"),
        case("6.2.1", "a literal to be kept, its name of the table", b"\x41\x01a", "1: 200 hello; goes on"),
        case("6.2.1", "a literal to be kept, with a name", b"\x40\x01x\x01y", "1: 200 hello; goes on"),
        case(
            "6.2.2",
            "a literal not to be kept, its name of the table",
            b"\x01\x01a",
            "1: 200 hello; goes on",
        ),
        case("6.2.2", "a literal not to be kept, with a name", b"\x00\x01x\x01y", "1: 200 hello; goes on"),
        case(
            "6.2.3",
            "a literal never to be kept, its name of the table",
            b"\x11\x01a",
            "1: 200 hello; goes on",
        ),
        case("6.2.3", "a literal never to be kept, with a name", b"\x10\x01x\x01y", "1: 200 hello; goes on"),
        case(
            "5.2",
            "Huffman's code",
            b"\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            "1: 200 hello; goes on",
        ),
        case("5.2", "an empty value", b"\x00\x01x\x00", "1: 200 hello; goes on"),
    ]
}

fn tables() -> Vec<Case<Talk>> {
    let first = [GET, b"\x40\x01x\x01y"].concat();
    // The field that was added last has the index 62.
    let again = [GET, b"\xbe"].concat();
    vec![
        blocks("2.3.2", "a field that was kept", &[&first, &again], "1..3: 200 hello; goes on"),
        blocks("6.3", "a smaller table", &[&[b"\x20", GET].concat()], "1: 200 hello; goes on"),
        blocks(
            "4.2",
            "a smaller table, and then the old one",
            &[&[b"\x20\x3f\xe1\x1f", GET].concat()],
            "1: 200 hello; goes on",
        ),
        blocks(
            "4.2",
            "three sizes in a row",
            &[&[b"\x20\x3f\x01\x20", GET].concat()],
            "1: 200 hello; goes on",
        ),
        blocks(
            "4.3",
            "a field that was kept until the table became smaller",
            &[&first, &[b"\x20", &again[..]].concat()],
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        blocks(
            "4.3",
            "a field that is too large to be kept",
            &[&[b"\x3f\x01", &first[..]].concat(), &again],
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
    ]
}

fn faults() -> Vec<Case<Talk>> {
    let wrong = "goaway PROTOCOL_ERROR; ends";
    let faults = vec![
        case("6.1", "the number 0", b"\x80", wrong),
        case("2.3.3", "a number that is in no table", b"\xc6", wrong),
        case("2.3.3", "a name that is in no table", b"\x7f\x07\x01y", wrong),
        case("5.1", "a number without end", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", wrong),
        case("5.1", "a number that goes on behind the head", b"\xff", wrong),
        case("5.2", "a string that goes on behind the head", b"\x00\x01x\x7f\x00y", wrong),
        case(
            "5.2",
            "Huffman's code with more than seven bits of padding",
            b"\x00\x01x\x83\x1f\xff\xff",
            wrong,
        ),
        case("5.2", "Huffman's code with zeros for padding", b"\x00\x01x\x81\x18", wrong),
        case("5.2", "Huffman's code with its end within", b"\x00\x01x\x84\xff\xff\xff\xff", wrong),
        case("4.2", "a size of the table behind a field", b"\x20", wrong),
        blocks("6.3", "a larger table than is allowed", &[&[b"\x3f\xe2\x1f", GET].concat()], wrong),
    ];
    faults.into_iter().map(|case| case.lenient(CODE)).collect()
}

/// A request with more bytes after its pseudo-header fields.
fn case(section: &'static str, what: &'static str, more: &[u8], want: &'static str) -> Case<Talk> {
    blocks(section, what, &[&[GET, more].concat()], want)
}

/// Requests with these blocks of fields.
fn blocks(section: &'static str, what: &'static str, blocks: &[&[u8]], want: &'static str) -> Case<Talk> {
    let numbered = (1..).step_by(2).zip(blocks);
    let frames: Vec<u8> =
        numbered.flat_map(|(stream, block)| frame(kind::HEADERS, 5, stream, block)).collect();
    Case::new(7541, section, what, send(frames), want)
}
