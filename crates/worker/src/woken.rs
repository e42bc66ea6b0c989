//! A future that is polled only when it has been woken.
//!
//! A task polls all its futures when any of them is woken. So a future that waits for a deadline or the drain
//! would be polled for each packet that arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future beside others in a task. It is not polled when only the others are woken.
#[derive(Debug)]
pub(crate) struct Woken<F> {
    future: F,
    alarm: Arc<Alarm>,
}

#[derive(Debug)]
struct Alarm {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Woken<F> {
    pub(crate) fn new(future: F) -> Self {
        // The first poll needs no wake-up.
        let alarm = Alarm { has_rung: AtomicBool::new(true), task: AtomicWaker::new() };
        Self { future, alarm: Arc::new(alarm) }
    }
}

impl<F: Future + Unpin> Future for Woken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // On each poll, and before the check: a wake-up uses the waker up, and it may come between any two
        // lines here.
        this.alarm.task.register(context.waker());
        if !this.alarm.has_rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the future is polled: a wake-up from now on is for the next poll.
        this.alarm.has_rung.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&this.alarm));
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Counts how often the future is polled.
    fn counted<'a, F: Future + Unpin + 'a>(
        mut future: F,
        polls: &'a AtomicUsize,
    ) -> impl Future<Output = F::Output> + Unpin + 'a {
        poll_fn(move |context| {
            polls.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut future).poll(context)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn is_polled_for_itself_only() {
        let polls = AtomicUsize::new(0);
        let sleep = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
        let mut woken = Woken::new(counted(sleep, &polls));
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let mut ticked = 0;
        loop {
            tokio::select! {
                () = &mut woken => break,
                _ = ticks.tick() => ticked += 1,
            }
        }
        assert!(ticked >= 100);
        assert_eq!(polls.load(Ordering::Relaxed), 2, "in the beginning, and when the time was over");
    }

    #[tokio::test]
    async fn is_woken_in_the_task_that_has_it_now() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut woken = Woken::new(receive);
        // Another task owns it first.
        let kept = tokio::spawn(async move {
            assert!(tokio::time::timeout(Duration::ZERO, &mut woken).await.is_err());
            Some(woken)
        });
        let woken = kept.await.unwrap().unwrap();
        let waiting = tokio::spawn(woken);
        tokio::task::yield_now().await;
        send.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }

    /// On a multi-threaded runtime, a wake-up may come during a poll.
    #[test]
    fn an_alarm_that_rings_around_a_poll_does_not_silence_the_next_one() {
        struct Task(AtomicUsize);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let ringer = std::cell::Cell::new(None);
        let mut woken = Woken::new(poll_fn(|context| {
            ringer.set(Some(context.waker().clone()));
            Poll::<()>::Pending
        }));
        let task = Arc::new(Task(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&task));
        let poll = |woken: &mut Woken<_>| {
            assert!(Pin::new(woken).poll(&mut Context::from_waker(&waker)).is_pending());
        };
        poll(&mut woken);
        // One half of a wake-up comes before a poll, the other half after it.
        woken.alarm.has_rung.store(true, Ordering::Release);
        poll(&mut woken);
        woken.alarm.task.wake();
        poll(&mut woken);
        let woken_before = task.0.load(Ordering::Relaxed);
        ringer.take().unwrap().wake();
        assert_eq!(task.0.load(Ordering::Relaxed), woken_before + 1);
    }

    #[tokio::test]
    async fn is_woken_again_and_again() {
        let (send, mut receive) = tokio::sync::mpsc::channel(1);
        let sum = tokio::spawn(Woken::new(Box::pin(async move {
            let mut sum = 0;
            while let Some(number) = receive.recv().await {
                sum += number;
            }
            sum
        })));
        for number in 0..1000u64 {
            send.send(number).await.unwrap();
        }
        drop(send);
        assert_eq!(sum.await.unwrap(), 499_500);
    }
}
