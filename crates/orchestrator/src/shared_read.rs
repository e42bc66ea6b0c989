//! Shares one reading among many callers. Callers that arrive during a reading share the next one.

use std::time::Instant;

use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

/// The last value, and when its reading began.
#[derive(Debug)]
pub(crate) struct SharedRead<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for SharedRead<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Send + 'static> SharedRead<T> {
    /// Returns a value whose reading began after this call: that of `read`, or that of another caller. `read`
    /// runs in a thread of its own.
    ///
    /// # Errors
    /// Fails if `read` panics.
    pub(crate) async fn get(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, value)) = &*last
            && *begun >= asked
        {
            return Ok(value.clone());
        }
        let begun = Instant::now();
        let value = spawn_blocking(read).await?;
        *last = Some((begun, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn whoever_asks_meanwhile_shares_the_next_reading() {
        let (shared, readings) = (Arc::new(SharedRead::default()), Arc::new(AtomicU32::new(0)));
        // The disk is busy until the other end is dropped.
        let (busy, disk) = std::sync::mpsc::channel::<()>();
        let disk = Arc::new(std::sync::Mutex::new(disk));
        let ask = || {
            let (shared, readings, disk) = (Arc::clone(&shared), Arc::clone(&readings), Arc::clone(&disk));
            tokio::spawn(async move {
                let read = move || {
                    let _ = disk.lock().map(|disk| disk.recv());
                    readings.fetch_add(1, SeqCst) + 1
                };
                shared.get(read).await.unwrap()
            })
        };
        let first = ask();
        while shared.0.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..100).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        drop(busy);
        assert_eq!(first.await.unwrap(), 1);
        for asked in later {
            assert_eq!(asked.await.unwrap(), 2, "the second reading began after the calls");
        }
        assert_eq!(ask().await.unwrap(), 3, "a reading older than the call is no answer");
    }
}
