use std::os::unix::net::UnixStream;

use futures_util::TryStreamExt as _;
use zbus::{Guid, MessageStream, OwnedVariant, Str, connection::Builder};

use super::*;

/// The first places in the order in which a connection delivers.
async fn places() -> [Sequence; 3] {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = Builder::unix_stream(theirs).server(Guid::generate()).p2p().build();
    let client = Builder::unix_stream(ours).p2p().build();
    let (server, client) = tokio::try_join!(server, client).unwrap();
    let mut messages = MessageStream::from(client);
    let mut places = [Sequence::default(); 3];
    for place in &mut places {
        server.emit_signal(None::<&str>, "/", "org.example", "Heard", &()).await.unwrap();
        *place = messages.try_next().await.unwrap().unwrap().recv_position();
    }
    places
}

fn properties<const N: usize>(properties: [(&str, OwnedVariant); N]) -> Properties {
    properties.map(|(name, value)| (name.to_owned(), value)).into()
}

fn word(word: &str) -> OwnedVariant {
    Str::from(word.to_owned()).into()
}

/// systemd restarted a worker just before our stop: it was ready for a moment, and that is heard after it was read.
#[tokio::test]
async fn what_was_sent_before_a_worker_was_read_is_no_news_of_how_it_is() {
    let [before, at, after] = places().await;
    let mut worker = Worker::default();
    let stopped = properties([("ActiveState", word("inactive")), ("MainPID", 0_u32.into())]);
    let ready = properties([("ActiveState", word("active")), ("MainPID", 246_u32.into())]);
    let failed = properties([("ExecMainCode", 1_i32.into()), ("ExecMainStatus", 78_i32.into())]);

    let mut info = UnitInfo::default();
    info.apply(&stopped);
    worker.read(Reading { info: info.clone(), at });
    worker.hear(&failed, before);
    worker.hear(&ready, before);
    assert_eq!(worker.info, info);
    // What happened is told all the same.
    assert_eq!(worker.told.active, ActiveState::Active);
    assert_eq!(worker.last_exit.as_deref(), Some("exited with status 78"));

    worker.hear(&ready, after);
    assert_eq!((worker.info.active, worker.info.main_pid), (ActiveState::Active, 246));

    // systemd tells of the process before it tells of the unit.
    worker.hear(&properties([("ActiveState", word("inactive"))]), after);
    assert_eq!(worker.info.main_pid, 0);
    worker.hear(&properties([("MainPID", 247_u32.into())]), after);
    worker.hear(&properties([("ActiveState", word("activating"))]), after);
    assert_eq!(worker.info.main_pid, 247);

    // Another connection counts anew.
    worker.begin_listening_anew();
    worker.hear(&stopped, before);
    assert_eq!((worker.info.active, worker.info.main_pid), (ActiveState::Inactive, 0));
}

#[tokio::test]
async fn our_own_stop_does_not_hide_why_a_worker_flaps() {
    let [first, second, third] = places().await;
    let ended = |code: i32, status: i32| {
        properties([("ExecMainCode", code.into()), ("ExecMainStatus", status.into())])
    };
    let mut worker = Worker::default();
    worker.hear(&ended(1, 1), first);
    worker.next_try = Some(7);
    worker.hear(&ended(2, 15), second);
    assert_eq!(worker.last_exit.as_deref(), Some("exited with status 1"));
    // It is tried again, and somebody else ends it.
    worker.next_try = None;
    worker.hear(&ended(2, 15), third);
    assert_eq!(worker.last_exit.as_deref(), Some("was killed by SIGTERM"));
}
