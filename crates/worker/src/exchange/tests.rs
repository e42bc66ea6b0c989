//! Time stands still unless a test advances it.

use std::sync::Arc;

use super::*;

const LINGER: Duration = Duration::from_secs(2);

fn slot() -> Slot {
    Slot::private(scoreboard::Instance::FIRST, "")
}

fn request() -> Request<()> {
    Request::new(())
}

/// Waits in a separate task. Returns which deadline the client missed, and after how long.
fn watch(exchange: &Arc<Exchange>, drain: &Drain) -> tokio::task::JoinHandle<(Overdue, Duration)> {
    let (exchange, drain) = (Arc::clone(exchange), drain.clone());
    tokio::spawn(async move {
        let start = tokio::time::Instant::now();
        (exchange.overdue(&Limits::default(), &drain, LINGER).await, start.elapsed())
    })
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lingers_from_the_beginning_of_the_drain() {
    let (exchange, drain) = (Arc::new(Exchange::of(None)), Drain::default());
    answer(&exchange);
    let lingered = watch(&exchange, &drain);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(!lingered.is_finished());
    drain.begin();
    assert_eq!(lingered.await.unwrap(), (Overdue::Lingered, Duration::from_secs(72)));
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_lingers_from_its_last_byte() {
    let (exchange, drain) = (Arc::new(Exchange::of(None)), Drain::default());
    let busy = exchange.begin(&request(), &slot());
    drain.begin();
    let lingered = watch(&exchange, &drain);
    tokio::time::sleep(Duration::from_secs(10)).await;
    exchange.flushed();
    assert!(exchange.current().is_some(), "an early flush is not the end of the answer");
    drop(busy);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!lingered.is_finished(), "the kernel does not have the answer yet");
    exchange.flushed();
    assert_eq!(lingered.await.unwrap(), (Overdue::Lingered, Duration::from_secs(22)));
}

#[tokio::test(start_paused = true)]
async fn a_request_within_the_linger_time_starts_it_anew() {
    let (exchange, drain) = (Arc::new(Exchange::of(None)), Drain::default());
    drain.begin();
    let lingered = watch(&exchange, &drain);
    tokio::time::sleep(Duration::from_secs(1)).await;
    answer(&exchange);
    assert_eq!(lingered.await.unwrap(), (Overdue::Lingered, Duration::from_secs(3)));
}

/// Which deadline the client missed, and after how long.
async fn overdue(exchange: &Exchange) -> (Overdue, Duration) {
    let start = tokio::time::Instant::now();
    (exchange.overdue(&Limits::default(), &Drain::default(), LINGER).await, start.elapsed())
}

fn answer(exchange: &Arc<Exchange>) {
    exchange.received(b"G");
    drop(exchange.begin(&request(), &slot()));
    exchange.flushed();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_overdue() {
    assert_eq!(overdue(&Exchange::of(None)).await, (Overdue::FirstByte, Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_head_has_to_end_however_slowly_it_trickles() {
    let exchange = Arc::new(Exchange::of(None));
    let trickle = Arc::clone(&exchange);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            trickle.received(b"G");
            trickle.starved();
        }
    });
    assert_eq!(overdue(&exchange).await, (Overdue::Head, Duration::from_secs(13)));
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_second_request_has_to_end_as_soon() {
    let exchange = Arc::new(Exchange::of(None));
    answer(&exchange);
    let begun = Arc::clone(&exchange);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        begun.received(b"G");
        begun.starved();
    });
    assert_eq!(overdue(&exchange).await, (Overdue::Head, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn idle_time_runs_from_the_last_answer() {
    let exchange = Arc::new(Exchange::of(None));
    let busy = Arc::clone(&exchange);
    tokio::spawn(async move {
        for _ in 0..5 {
            answer(&busy);
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
    });
    assert_eq!(overdue(&exchange).await, (Overdue::Idle, Duration::from_secs(200 + 75)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_as_long_as_it_likes() {
    let exchange = Arc::new(Exchange::of(None));
    let _busy = exchange.begin(&request(), &slot());
    let late = tokio::time::timeout(Duration::from_secs(3600), overdue(&exchange)).await;
    assert!(late.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_to_be_read() {
    let exchange = Arc::new(Exchange::of(None));
    let _busy = exchange.begin(&request(), &slot());
    exchange.stuck();
    exchange.written(1);
    exchange.stuck();
    tokio::time::sleep(Duration::from_secs(5)).await;
    exchange.stuck();
    assert_eq!(overdue(&exchange).await, (Overdue::Write, Duration::from_secs(25)));
}

/// An HTTP/2 connection with a request that is being answered.
fn multiplexed() -> (Arc<Exchange>, Busy) {
    let exchange = Arc::new(Exchange::of(None));
    exchange.multiplex();
    let busy = exchange.begin(&request(), &slot());
    (exchange, busy)
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_http2_that_is_not_taken_waits_for_the_others() {
    let (exchange, untaken) = multiplexed();
    let other = exchange.begin(&request(), &slot());
    untaken.piece_is_out();
    let watched = watch(&exchange, &Drain::default());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!watched.is_finished(), "the other request waits for the worker");
    other.piece_is_out();
    assert_eq!(watched.await.unwrap(), (Overdue::Write, Duration::from_secs(130)));
    drop((untaken, other));
}

/// The client may be waiting for the carried connection.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_waits_for_what_is_carried() {
    let (exchange, untaken) = multiplexed();
    untaken.piece_is_out();
    let carried = exchange.carry();
    let watched = watch(&exchange, &Drain::default());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!watched.is_finished(), "the connection carries a WebSocket");
    drop(carried);
    assert_eq!(watched.await.unwrap().0, Overdue::Write);
    drop(untaken);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_no_piece_of_an_answer() {
    let (exchange, busy) = multiplexed();
    busy.piece_is_out();
    let pings = Arc::clone(&exchange);
    tokio::spawn(async move {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            pings.received(&[0; 17 * 8]);
            pings.written(17 * 8);
        }
    });
    assert_eq!(overdue(&exchange).await, (Overdue::Write, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_answer_of_http2_may_stall_in_a_drain() {
    let (exchange, busy) = multiplexed();
    let drain = Drain::default();
    drop(busy);
    exchange.flushed();
    drain.begin();
    let watched = watch(&exchange, &drain);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        exchange.written(1000);
    }
    assert_eq!(watched.await.unwrap(), (Overdue::Lingered, Duration::from_secs(34)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_be_slow_when_its_client_has_ended_its_half() {
    let exchange = Arc::new(Exchange::of(None));
    let busy = exchange.begin(&request(), &slot());
    let mut uploading = busy.uploading();
    assert!(exchange.withholds_end());
    assert_eq!(overdue(&exchange).await, (Overdue::End, Duration::from_secs(30)));
    uploading.note(true);
    assert_eq!(overdue(&exchange).await.1, Duration::ZERO, "the worker still waits for a request");
}
