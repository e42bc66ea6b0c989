//! Tests with a writer that writes only when the test allows it.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::*;

/// Collects the written lines. The test has to allow each line first.
struct Slow {
    written: Sender<String>,
    allowed: Mutex<Receiver<()>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl<S: Subscriber> Layer<S> for Slow {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // On an error, the test is over.
        let _ = self.allowed.lock().unwrap().recv();
        let mut text = Text(String::new());
        event.record(&mut text);
        let _ = self.written.send(text.0);
    }
}

/// A relay to a slow writer, the lines that it has written, and the sender that allows lines.
fn bench() -> (Arc<Queue>, Dispatch, Receiver<String>, Sender<()>) {
    let (written, lines) = channel();
    let (allow, allowed) = channel();
    let queue = Arc::new(Queue::default());
    let source = Arc::clone(&queue);
    let slow = Slow { written, allowed: Mutex::new(allowed) };
    thread::spawn(move || write(&source, &Dispatch::new(tracing_subscriber::registry().with(slow))));
    let relay = Dispatch::new(tracing_subscriber::registry().with(Relay(Arc::clone(&queue))));
    (queue, relay, lines, allow)
}

#[test]
fn an_event_arrives_with_its_fields() {
    let (_queue, relay, lines, allow) = bench();
    let error = std::io::Error::from_raw_os_error(2);
    let error: &dyn std::error::Error = &error;
    tracing::dispatcher::with_default(&relay, || {
        tracing::info!(number = 3, is = true, word = "a\nb", %error, skipped = tracing::field::Empty, "{} of {}", 1, 2);
        tracing::warn!(error, "failed");
    });
    allow.send(()).unwrap();
    allow.send(()).unwrap();
    let first = lines.recv().unwrap();
    for part in ["message=1 of 2 ", "number=3 ", "is=true ", "word=\"a\\nb\" ", "error=No such file"] {
        assert!(first.contains(part), "{first}");
    }
    assert!(!first.contains("skipped"), "{first}");
    assert!(lines.recv().unwrap().contains("No such file"));
}

#[test]
fn who_logs_does_not_wait_and_what_is_lost_is_counted() {
    let (queue, relay, lines, allow) = bench();
    let begun = Instant::now();
    let all = queue::MOST + 100;
    tracing::dispatcher::with_default(&relay, || (0..all).for_each(|number| tracing::info!(number, "line")));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    (0..=all).for_each(|_| allow.send(()).unwrap());
    queue.until_written(Duration::from_secs(60));
    let lines: Vec<_> = lines.try_iter().collect();
    let lost = lines.last().unwrap();
    // The first line may have left the queue before the queue was full.
    assert!(lost.contains("100 lines are lost") || lost.contains("99 lines are lost"), "{lost}");
    for (number, line) in lines[..lines.len() - 1].iter().enumerate() {
        assert!(line.contains(&format!("number={number} ")), "{line}");
    }
}

#[test]
fn at_the_end_it_is_waited_for_but_not_for_long() {
    let (queue, relay, _lines, _allow) = bench();
    tracing::dispatcher::with_default(&relay, || tracing::info!("line"));
    let begun = Instant::now();
    drop(Log(queue));
    assert!((PATIENCE..PATIENCE * 20).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
