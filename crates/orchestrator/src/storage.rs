//! Reads and changes the disk in the background, in the order in which the cluster requests it.
//!
//! - [`history`]: the past rollouts, in a file that survives a power cut.
//! - [`ledger`]: the facts that the next orchestrator needs, in a file that survives this process.
//! - [`links`]: the release that each instance executes.
//! - [`settings`]: the configuration.
//! - [`survey`]: the releases that exist.

mod history;
mod ledger;
mod links;
mod settings;
mod survey;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::effect::{Disk, Token};
use cluster::input::{Answer, Input, Opened};
use names::Names;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::fault;
use crate::releases::Releases;
use crate::stage::Stage;
pub(crate) use settings::load as load_settings;

/// How long the orchestrator waits for the disk when it ends.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Passes disk operations to a task.
#[derive(Debug)]
pub(crate) struct Storage {
    files: Arc<Files>,
    queue: UnboundedSender<(Token, Disk)>,
    work: JoinHandle<()>,
    inputs: UnboundedSender<Input>,
}

/// The files on the disk.
#[derive(Debug)]
struct Files {
    names: Names,
    releases: Releases,
    stage: Stage,
}

impl Storage {
    /// Starts the task. Answers go to `inputs`.
    pub(crate) fn start(
        names: Names,
        releases: Releases,
        stage: Stage,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let files = Arc::new(Files { names, releases, stage });
        let (queue, wanted) = unbounded_channel();
        let work = tokio::spawn(perform_in_order(Arc::clone(&files), wanted, inputs.clone()));
        Self { files, queue, work, inputs }
    }

    /// Waits until all operations are done, because the next orchestrator relies on them.
    pub(crate) async fn end(self) {
        drop(self.queue);
        if timeout(LONGEST_END, self.work).await.is_err() {
            tracing::warn!(
                "the disk does not answer; the next orchestrator may not know everything that this one did"
            );
        }
    }

    /// Performs an operation after the earlier ones. A survey may take long, so it runs beside them.
    pub(crate) fn perform(&self, token: Token, disk: Disk) {
        if matches!(disk, Disk::Survey { .. }) {
            tokio::spawn(perform(Arc::clone(&self.files), token, disk, self.inputs.clone()));
        } else {
            // An error means that the orchestrator has ended.
            let _ = self.queue.send((token, disk));
        }
    }
}

async fn perform_in_order(
    files: Arc<Files>,
    mut wanted: UnboundedReceiver<(Token, Disk)>,
    inputs: UnboundedSender<Input>,
) {
    while let Some((token, disk)) = wanted.recv().await {
        perform(Arc::clone(&files), token, disk, inputs.clone()).await;
    }
}

/// Performs an operation in a thread of its own.
async fn perform(files: Arc<Files>, token: Token, disk: Disk, inputs: UnboundedSender<Input>) {
    let performed = spawn_blocking(move || {
        // An error means that the orchestrator has ended.
        let _ = inputs.send(Input::Answer(token, files.perform(disk)));
    });
    if let Err(error) = performed.await {
        // The cluster would wait for the answer forever. The next orchestrator begins with what is on the
        // disk.
        tracing::error!("failed to perform a disk operation: {error}; aborting");
        std::process::abort();
    }
}

impl Files {
    fn perform(&self, disk: Disk) -> Answer {
        let Self { names, releases, stage } = self;
        match disk {
            Disk::Open => Answer::Opened(Box::new(self.open())),
            Disk::Settings => Answer::Settings(settings::load()),
            Disk::Survey { stages_package, current } => Answer::Surveyed(
                survey::survey(names, releases, stage, stages_package, current).map(Box::new),
            ),
            Disk::History(entries) => {
                let written = history::write(&self.history(), &entries);
                if written.is_ok() {
                    fault::written(&entries);
                }
                done(written.map_err(failed_to_write(&names.state_dir)))
            }
            Disk::Ledger(ledger) => {
                let written = ledger::write(&self.ledger(), &ledger);
                done(written.map_err(failed_to_write(&names.runtime_dir)))
            }
            Disk::Point(instance, id) => {
                let pointed = links::point(names, instance, &id);
                if pointed.is_ok() {
                    fault::pointed();
                }
                done(pointed.map_err(failed_to_write(&names.links())))
            }
            Disk::Unlink(kept) => done(links::unlink(names, &kept).map_err(failed_to_write(&names.links()))),
            Disk::MakeCurrent(id) => done(releases.make_current(&id).map_err(|error| format!("{error:#}"))),
            Disk::Reject(id) => done(
                releases
                    .reject(&id)
                    .map_err(|error| format!("failed to mark release {id} as failed: {error}")),
            ),
            Disk::Accept(id) => done(
                releases
                    .accept(&id)
                    .map_err(|error| format!("failed to remove the mark of release {id}: {error}")),
            ),
            Disk::Remove(ids) => {
                let removed = stage.with_none_under_way(|releases| releases.remove_all(&ids));
                done(
                    removed
                        .unwrap_or_else(|| Err(io::Error::other("a deploy is making a release")))
                        .map_err(|error| error.to_string()),
                )
            }
        }
    }

    fn open(&self) -> Opened {
        let history = history::read(&self.history());
        fault::opened(&history);
        let links = links::read(&self.names);
        let linked = links.iter().map(|(instance, _)| *instance);
        Opened { history, ledger: ledger::read(&self.ledger(), linked), links }
    }

    fn history(&self) -> PathBuf {
        self.names.state_dir.join("history")
    }

    fn ledger(&self) -> PathBuf {
        self.names.runtime_dir.join("ledger")
    }
}

fn done(result: Result<(), String>) -> Answer {
    Answer::Done(result)
}

/// The message for an error when writing to a directory.
fn failed_to_write<E: Display>(dir: &Path) -> impl FnOnce(E) -> String {
    move |error| format!("failed to write to {}: {error}", dir.display())
}
