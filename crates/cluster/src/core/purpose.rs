//! What the orchestrator does with an answer.

use names::Instance;

use super::worker::{Look, Verb};
use crate::input::Caller;
use crate::release::ReleaseId;

/// What an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Open,
    List,
    Inspect(Instance, Look),
    Enqueue(Instance, Verb),
    Point(Instance, ReleaseId),
    Socket,
    WhySocketFailed,
    WasStopped(Instance),
    WasRestarted,
    RestartTarget,
    Subscribe,
    OwnJob,
    AdoptSurvey,
    AdoptSocket,
    /// A step of the preparation of this rollout.
    Prepare(u64),
    ReadSettings(Caller),
    /// The probe for this rollout: whether systemd stops a worker that does not run.
    Probe(u64),
    /// An inspection for the preparation of this rollout.
    Begun(u64),
    /// A step of the end of this rollout.
    Finish(u64),
    /// A link that is set back for this rollout.
    Relink(u64, Instance, ReleaseId),
    Compare(Instance, u64),
    LastWords(u64),
    Queues,
    Commit,
    History,
    PruneSurvey,
    Removed(Vec<ReleaseId>),
    /// Nothing depends on the answer. The log reports a failure with this consequence.
    Warn(&'static str),
}
