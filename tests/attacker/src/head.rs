//! HTTP/1.1 heads that arrive slowly or do not end.

use std::time::Duration;

use fastrand::Rng;

use crate::ground::{Closed, Connection};

const BEGINNING: &[u8] = b"GET / HTTP/1.1\r\nHost: app-cluster\r\nX-Attack: ";
const MEBIBYTE: usize = 1024 * 1024;

/// Sends a byte now and then, until the server closes.
pub(crate) async fn slow(mut connection: Connection, rng: &mut Rng) {
    if connection.send(BEGINNING).await.is_err() {
        return;
    }
    loop {
        let pause = Duration::from_millis(rng.u64(200..=2000));
        let byte = if rng.u8(..) < 32 { b"\r\nX-Attack: " } else { &b"a"[..] };
        if connection.pause(pause).await.is_err() || connection.send(byte).await.is_err() {
            return;
        }
    }
}

/// Sends a mebibyte of head, in one field or in many, then waits for the server to close. It pauses first: on
/// the same machine, the attackers would otherwise take the CPUs from the server only by copying.
pub(crate) async fn huge(mut connection: Connection, rng: &mut Rng) {
    let line = if rng.bool() { vec![b'a'; 16 * 1024] } else { [&[b'a'; 100], &b"\r\nX-More: "[..]].concat() };
    let pause = Duration::from_millis(rng.u64(0..=200));
    // The server may refuse it long before its end.
    if connection.pause(pause).await.is_ok() && send_huge(&mut connection, &line).await.is_ok() {
        connection.until_closed().await;
    }
}

async fn send_huge(connection: &mut Connection, line: &[u8]) -> Result<(), Closed> {
    connection.send(BEGINNING).await?;
    for _ in 0..MEBIBYTE.div_ceil(line.len()) {
        connection.send(line).await?;
    }
    connection.send(b"\r\n\r\n").await
}
