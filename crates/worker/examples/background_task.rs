//! Work that belongs to no connection: the worker finishes all accepted jobs before it ends.
//!
//! Run `cargo run --example background_task -- --listen 127.0.0.1:3000`, then `curl -d job
//! http://127.0.0.1:3000/` a few times, then press Ctrl-C. The worker does all jobs before it ends, within
//! the drain deadline.

use std::time::Duration;

use app_cluster_worker::{Error, Hold, Worker};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let worker = Worker::from_arguments()?;
    let drain = worker.drain();
    let (jobs, queue) = mpsc::channel(100);
    tokio::spawn(work(queue, drain.hold()));

    let accept = async move |job: String| match jobs.try_send(job) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    worker.serve(Router::new().route("/", post(accept))).await
}

/// Ends when no handler is left that could send another job. That is when the last connection is gone. Then
/// it also drops the hold.
async fn work(mut queue: mpsc::Receiver<String>, _hold: Hold) {
    while let Some(job) = queue.recv().await {
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("done: {job}");
    }
}
