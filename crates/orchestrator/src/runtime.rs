//! The main loop: passes each input to the [`Cluster`], and performs the effects that it requests. This
//! module decides nothing and waits for nothing. It starts each effect, and the result arrives in the same
//! queue as all other inputs.
//!
//! ```text
//!   manager ---.                                        .---> manager: calls to systemd
//!   service ----\     queue                effects     /----> storage: the disk
//!   storage -----)-----------> [ Cluster ] -----------(-----> service: answers and signals to clients
//!   journal ----/                   |                  \----> journal, scoreboard
//!   signals ---'                    '--> view           '---> systemd's notify socket, the log
//! ```

use cluster::Cluster;
use cluster::effect::{Effect, Token};
use cluster::input::{Answer, Input};
use cluster::moment::Now;
use cluster::settings::Settings;
use cluster::view::View;
use names::Names;
use sd_notify::NotifyState;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::board::Counts;
use crate::listeners::{Listeners, Queues};
use crate::manager::Manager;
use crate::releases::Releases;
use crate::service::{Callers, Publisher, Service};
use crate::snapshot::Reader;
use crate::stage::Stage;
use crate::storage::Storage;
use crate::{clock, fault, journal, log};

/// The pure cluster, and everything that performs its effects.
#[derive(Debug)]
pub(crate) struct Runtime {
    cluster: Cluster,
    names: Names,
    inputs: UnboundedSender<Input>,
    views: watch::Sender<View>,
    manager: Manager,
    storage: Storage,
    publisher: Publisher,
    callers: Callers,
    counts: Counts,
    queues: Queues,
}

impl Runtime {
    /// Starts everything that performs effects. Inputs go to `inputs`.
    pub(crate) fn new(
        names: Names,
        settings: Settings,
        listeners: Listeners,
        seed: u64,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let releases = Releases::new(names.state_dir.clone(), names.packaged.clone());
        let stage = Stage::new(releases.clone());
        let (views, callers) = (watch::Sender::default(), Callers::default());
        let reader = Reader::new(views.subscribe(), names.clone(), releases.clone());
        let service = Service::new(inputs.clone(), callers.clone(), stage.clone(), reader);
        let queues = listeners.queues();
        let manager = Manager::start(names.clone(), listeners, inputs.clone());
        Self {
            cluster: Cluster::new(names.clone(), settings, seed),
            storage: Storage::start(names.clone(), releases, stage, inputs.clone()),
            publisher: Publisher::start(names.clone(), service, manager.is_connected()),
            manager,
            counts: Counts::new(names.scoreboard.clone()),
            queues,
            names,
            inputs,
            views,
            callers,
        }
    }

    /// Runs until the cluster exits. The error is the reason why it cannot continue.
    pub(crate) async fn run(mut self, mut queue: UnboundedReceiver<Input>) -> Result<(), String> {
        self.publish(clock::now());
        let end = loop {
            if let Some(end) = self.perform() {
                break end;
            }
            let input = self.next(&mut queue).await;
            fault::heard(&input);
            let now = clock::now();
            self.cluster.handle(now, input);
            self.publish(now);
        };
        // From now on, the next orchestrator or the bus answers callers.
        drop(queue);
        self.callers.leave();
        self.storage.end().await;
        self.publisher.end().await;
        end
    }

    /// The next input, which is [`Input::Wake`] when the cluster's next deadline has come.
    async fn next(&self, queue: &mut UnboundedReceiver<Input>) -> Input {
        let heard = match self.cluster.next_wake() {
            Some(moment) => timeout(moment.saturating_sub(clock::now().moment), queue.recv()).await,
            None => Ok(queue.recv().await),
        };
        // The queue does not close, because this object holds a sender.
        heard.ok().flatten().unwrap_or(Input::Wake)
    }

    /// Publishes the state for readers. This comes before the effects, so that a caller who got an answer
    /// also reads the state that it is about.
    fn publish(&self, now: Now) {
        let view = self.cluster.view(now);
        self.views.send_if_modified(|last| {
            let has_changed = *last != view;
            if has_changed {
                fault::shown(last, &view);
                *last = view;
            }
            has_changed
        });
    }

    /// Starts all pending effects. Returns the result of the orchestrator, if it ends.
    fn perform(&mut self) -> Option<Result<(), String>> {
        while let Some(effect) = self.cluster.poll() {
            match effect {
                Effect::Call(token, call) => self.manager.call(token, call),
                Effect::Disk(token, disk) => self.storage.perform(token, disk),
                Effect::BeginCount(workers) => self.counts.begin(&workers),
                Effect::Compare(token, workers) => {
                    let compared = self.counts.compare(&workers);
                    let _ = self.inputs.send(Input::Answer(token, Answer::Compared(compared)));
                }
                Effect::EndCount(instance) => self.counts.end(instance),
                Effect::LastWords(token, speaker) => {
                    let unit = self.names.unit(speaker.instance);
                    self.answer(token, async move {
                        Answer::LastWords(journal::last_words(&unit, &speaker).await)
                    });
                }
                Effect::WhySocketFailed(token) => {
                    let socket = self.names.socket.clone();
                    self.answer(token, async move { Answer::FailureOf(journal::failure_of(&socket).await) });
                }
                Effect::WasStopped(token, instance) => {
                    let unit = self.names.unit(instance);
                    self.answer(token, async move { Answer::WasStopped(journal::was_stopped(&unit).await) });
                }
                Effect::LookAtQueues(token) => {
                    let queues = self.queues.clone();
                    self.answer(token, async move { Answer::Queues(queues.look().await) });
                }
                Effect::Reply(caller, reply) => self.callers.answer(caller, reply),
                Effect::Serve => self.publisher.serve(),
                Effect::Announce(rollout) => self.publisher.announce(&rollout),
                Effect::Properties(properties) => self.publisher.announce_properties(properties),
                Effect::Ready => self.publisher.ready(),
                Effect::Status(text) => notify(&[NotifyState::Status(&text.replace('\n', "; "))]),
                Effect::Extend(span) => {
                    // This is text because the crate's own variant is limited to 71 minutes.
                    let usec = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
                    notify(&[NotifyState::Custom(&format!("EXTEND_TIMEOUT_USEC={usec}"))]);
                }
                Effect::Log(line) => log::write(&line),
                Effect::Exit => return Some(Ok(())),
                Effect::Fail(why) => return Some(Err(why)),
            }
        }
        None
    }

    /// Computes an answer in a task of its own.
    fn answer(&self, token: Token, answer: impl Future<Output = Answer> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            // An error means that the orchestrator has ended.
            let _ = inputs.send(Input::Answer(token, answer));
        });
    }
}

/// Notifies systemd, if systemd started this process.
pub(crate) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("failed to notify systemd, continuing without: {error}");
    }
}
