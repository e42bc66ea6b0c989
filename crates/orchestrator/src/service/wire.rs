//! Converts the cluster's state to the types of the interface. Those stay the same if the cluster renames its
//! own.

use cluster::history;
use cluster::input::Refusal;
use cluster::release::ReleaseId;
use cluster::step::StepState;
use cluster::view::{self, View};
use names::Names;

/// The D-Bus error for a refusal.
pub(super) fn error(refusal: Refusal) -> api::Error {
    match refusal {
        Refusal::Configuration(message) => api::Error::Configuration(message),
        Refusal::Refused(message) => api::Error::Refused(message),
        Refusal::ShuttingDown(message) => api::Error::ShuttingDown(message),
        Refusal::NoSuchRelease(message) => api::Error::NoSuchRelease(message),
        Refusal::NoRollout(message) => api::Error::NoRollout(message),
    }
}

/// The status of the whole cluster. `version` is the version of the package.
pub(crate) fn status(names: &Names, version: &str, view: &View) -> api::Status {
    let view::Properties { summary, release, desired, ready } = view.properties.clone();
    api::Status {
        cluster: names.cluster.clone(),
        version: version.to_owned(),
        summary,
        release,
        desired,
        ready,
        workers: view.workers.iter().map(|it| worker(names, it)).collect(),
        rollout: view.rollout.iter().map(|it| rollout(names, it)).collect(),
    }
}

fn worker(names: &Names, worker: &view::Worker) -> api::Worker {
    api::Worker {
        instance: worker.instance.number(),
        unit: names.unit(worker.instance),
        state: match worker.state {
            view::WorkerState::Ready => api::WorkerState::Ready,
            view::WorkerState::Starting => api::WorkerState::Starting,
            view::WorkerState::Stopping => api::WorkerState::Stopping,
            view::WorkerState::Failed => api::WorkerState::Failed,
            view::WorkerState::Flapping => api::WorkerState::Flapping,
            view::WorkerState::Stopped => api::WorkerState::Stopped,
        },
        sub_state: worker.sub_state.clone(),
        pid: worker.pid,
        release: name(worker.release.as_ref()),
        ready_since_usec: worker.ready_since_usec,
        restarts: worker.restarts,
        next_try_usec: worker.next_try_usec,
        last_exit: worker.last_exit.clone(),
    }
}

/// A rollout. If the release stays the same, both `from` and `to` are that release.
pub(super) fn rollout(names: &Names, rollout: &view::Rollout) -> api::Rollout {
    api::Rollout {
        id: rollout.id,
        kind: kind(rollout.kind),
        by: rollout.by.clone(),
        state: match rollout.state {
            view::RolloutState::Queued => api::RolloutState::Queued,
            view::RolloutState::Running => api::RolloutState::Running,
            view::RolloutState::Paused => api::RolloutState::Paused,
            view::RolloutState::Done => api::RolloutState::Done,
            view::RolloutState::Restored => api::RolloutState::Restored,
            view::RolloutState::Failed => api::RolloutState::Failed,
            view::RolloutState::Aborted => api::RolloutState::Aborted,
            view::RolloutState::Refused => api::RolloutState::Refused,
        },
        from: name(rollout.from.as_ref().or(rollout.to.as_ref())),
        to: name(rollout.to.as_ref()),
        steps: rollout.steps.iter().map(step).collect(),
        message: rollout.message.clone(),
        failure: rollout.failure.iter().map(|it| failure(names, it)).collect(),
        step_timeout_usec: rollout.step_timeout_usec,
        deadline_usec: rollout.deadline_usec,
    }
}

fn step(step: &view::Step) -> api::Step {
    api::Step {
        instance: step.instance.number(),
        state: match step.state {
            StepState::Waiting => api::StepState::Waiting,
            StepState::Restarting => api::StepState::Restarting,
            StepState::Settling => api::StepState::Settling,
            StepState::Done => api::StepState::Done,
            StepState::Failed => api::StepState::Failed,
            StepState::Skipped => api::StepState::Skipped,
            StepState::Marked | StepState::Restoring => api::StepState::Restoring,
            StepState::Restored => api::StepState::Restored,
            StepState::Stopping => api::StepState::Stopping,
            StepState::Stopped => api::StepState::Stopped,
        },
        is_surge: step.is_surge,
        deadline_usec: step.deadline_usec,
    }
}

fn failure(names: &Names, failure: &view::Failure) -> api::Failure {
    api::Failure {
        instance: failure.instance.number(),
        unit: names.unit(failure.instance),
        reason: failure.reason.clone(),
        journal: failure.journal.clone(),
    }
}

/// A past rollout. If the release stayed the same, both `from` and `to` are that release.
pub(crate) fn entry(entry: &history::Entry) -> api::Entry {
    api::Entry {
        rollout: entry.id,
        kind: kind(entry.kind),
        by: entry.by.clone(),
        from: name(entry.from.as_ref().or(entry.to.as_ref())),
        to: name(entry.to.as_ref()),
        begun_usec: entry.begun_usec,
        ended_usec: entry.ended_usec.unwrap_or_default(),
        state: match entry.state {
            history::State::Running => api::EntryState::Running,
            history::State::Paused => api::EntryState::Paused,
            history::State::Restoring => api::EntryState::Restoring,
            history::State::Done => api::EntryState::Done,
            history::State::Restored => api::EntryState::Restored,
            history::State::Failed => api::EntryState::Failed,
            history::State::Aborted => api::EntryState::Aborted,
            history::State::Interrupted => api::EntryState::Interrupted,
        },
        failure: entry.failure.clone().unwrap_or_default(),
    }
}

fn kind(kind: history::Kind) -> api::Kind {
    match kind {
        history::Kind::Reload => api::Kind::Reload,
        history::Kind::Package => api::Kind::Package,
        history::Kind::Deploy => api::Kind::Deploy,
        history::Kind::Rollback => api::Kind::Rollback,
        history::Kind::Undo => api::Kind::Undo,
        history::Kind::Recycle => api::Kind::Recycle,
    }
}

fn name(id: Option<&ReleaseId>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}
