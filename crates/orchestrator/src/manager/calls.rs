//! Builds the message for a call, and interprets its answer.

use cluster::effect::Call;
use cluster::info::UnitInfo;
use cluster::input::{Answer, EnqueueError, OwnJob, SocketState};
use cluster::unit::{ActiveState, JobId};
use names::{Instance, Names};
use zbus::message::Type;
use zbus::{Message, OwnedObjectPath};

use super::link::{is_subscribed_already, subscribe};
use super::properties::{self, Properties};
use super::{MANAGER_INTERFACE, MANAGER_PATH, SYSTEMD, units};
use crate::listeners::Listeners;

/// One message to systemd. Some calls take two.
#[derive(Debug)]
pub(super) enum Question {
    /// The first message of a call.
    Of(Call),
    /// Asks for the type of the job that the orchestrator's own unit has.
    KindOfJob(OwnedObjectPath),
}

/// What follows an answer.
#[derive(Debug)]
pub(super) enum Then {
    /// The answer to the call.
    Answer(Answer),
    /// The call needs another message.
    Ask(Question),
}

/// One row of `ListUnitsByPatterns`: name, description, load, active and sub state, followed unit, path, job.
type ListedUnit =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// The state that is needed to interpret answers.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) names: Names,
    pub(super) listeners: Listeners,
}

impl Reading {
    /// Builds the message.
    pub(super) fn message(&self, question: &Question) -> zbus::Result<Message> {
        let names = &self.names;
        let of_manager = |member| {
            Message::method_call(MANAGER_PATH, member).destination(SYSTEMD).interface(MANAGER_INTERFACE)
        };
        let job = |member, unit: &str| of_manager(member).build(&(unit, "replace"));
        match question {
            Question::Of(call) => match *call {
                Call::List => {
                    let none: [&str; 0] = [];
                    of_manager("ListUnitsByPatterns").build(&(&none[..], &[names.all_units().as_str()][..]))
                }
                Call::Inspect(instance) => get_all(&units::path(&names.unit(instance))),
                // This is RestartUnit even if the worker does not run, because on systemd 252 StartUnit waits
                // for the rest of RestartSec=. The mode "replace" replaces any other job.
                Call::Restart(instance) => job("RestartUnit", &names.unit(instance)),
                Call::Stop(instance) => job("StopUnit", &names.unit(instance)),
                Call::RestartTarget => job("RestartUnit", &names.target),
                Call::Subscribe => subscribe(),
                Call::Socket => get_all(&units::path(&names.socket)),
                Call::OwnJob | Call::WasRestarted => get_all(&units::path(&names.service)),
            },
            Question::KindOfJob(path) => get_all(path.as_str()),
        }
    }

    /// Interprets the answer to a question.
    pub(super) fn read(&mut self, question: &Question, message: &Message) -> Then {
        if message.message_type() == Type::Error {
            if matches!(question, Question::Of(Call::Subscribe)) && is_subscribed_already(message) {
                return Then::Answer(Answer::Done(Ok(())));
            }
            return Then::Answer(self.failed(question, refusal(zbus::Error::from(message.clone()))));
        }
        self.understand(question, message).unwrap_or_else(|error| {
            Then::Answer(self.failed(question, EnqueueError::Unanswered(error.to_string())))
        })
    }

    fn understand(&mut self, question: &Question, message: &Message) -> anyhow::Result<Then> {
        let names = &self.names;
        let body = message.body();
        let properties = || -> anyhow::Result<Properties> { Ok(body.deserialize()?) };
        let untold = |name: &str| anyhow::anyhow!("systemd did not report `{name}`");
        let answer = match question {
            Question::Of(call) => match *call {
                Call::List => Answer::Listed(Ok(listed(names, body.deserialize()?))),
                Call::Inspect(_) => {
                    let mut info = UnitInfo::default();
                    info.apply(properties::change(&properties()?, names));
                    Answer::Inspected(Ok(Box::new(info)))
                }
                Call::Restart(_) | Call::Stop(_) => {
                    let path: OwnedObjectPath = body.deserialize()?;
                    let id = path.as_str().rsplit('/').next().and_then(|id| id.parse().ok());
                    let id = id.ok_or_else(|| anyhow::anyhow!("{path} is not a job"))?;
                    Answer::Enqueued(Ok(JobId(id)))
                }
                Call::RestartTarget | Call::Subscribe => Answer::Done(Ok(())),
                Call::Socket => {
                    let unit = properties::socket_unit(&properties()?, names).map_err(untold)?;
                    self.listeners.tend(&unit);
                    Answer::Socket(Ok(SocketState {
                        active: unit.state,
                        is_masked: unit.is_masked,
                        missing: self.listeners.missing(&unit).into_iter().map(str::to_owned).collect(),
                        has_any: self.listeners.has_any_of(&unit),
                    }))
                }
                Call::OwnJob => match properties::job(&properties()?).ok_or_else(|| untold("Job"))? {
                    Some((_, path)) => return Ok(Then::Ask(Question::KindOfJob(path))),
                    None => Answer::OwnJob(Ok(OwnJob::None)),
                },
                Call::WasRestarted => {
                    let restarts: Option<u32> = properties::value(&properties()?, "NRestarts");
                    Answer::WasRestarted(Ok(restarts.ok_or_else(|| untold("NRestarts"))? > 0))
                }
            },
            Question::KindOfJob(_) => {
                let kind: Option<String> = properties::value(&properties()?, "JobType");
                let kind = kind.ok_or_else(|| untold("JobType"))?;
                Answer::OwnJob(Ok(if kind == "stop" { OwnJob::Stop } else { OwnJob::Other }))
            }
        };
        Ok(Then::Answer(answer))
    }

    /// The answer for a question that systemd refused or did not answer.
    pub(super) fn failed(&self, question: &Question, error: EnqueueError) -> Answer {
        let Names { service, socket, target, .. } = &self.names;
        let (EnqueueError::Refused(why) | EnqueueError::Unanswered(why)) = &error;
        match question {
            Question::Of(call) => match call {
                Call::List => Answer::Listed(Err(format!("failed to list the workers: {why}"))),
                Call::Inspect(instance) => {
                    Answer::Inspected(Err(format!("failed to read the state of {instance}: {why}")))
                }
                Call::Restart(_) | Call::Stop(_) => Answer::Enqueued(Err(error)),
                Call::Subscribe => {
                    Answer::Done(Err(format!("failed to subscribe to systemd's signals: {why}")))
                }
                Call::Socket => Answer::Socket(Err(format!("failed to read the state of {socket}: {why}"))),
                Call::OwnJob => Answer::OwnJob(Err(format!("failed to read the job of {service}: {why}"))),
                Call::WasRestarted => {
                    Answer::WasRestarted(Err(format!("failed to read the state of {service}: {why}")))
                }
                Call::RestartTarget => {
                    Answer::Done(Err(format!("failed to make systemd restart {target}: {why}")))
                }
            },
            Question::KindOfJob(_) => {
                Answer::OwnJob(Err(format!("failed to read the job of {service}: {why}")))
            }
        }
    }
}

/// Asks for the properties of all interfaces at once, for which sd-bus accepts an empty name. Asking for some
/// of them would cost PID 1 the same, and the bus more.
fn get_all(path: &str) -> zbus::Result<Message> {
    const ALL_INTERFACES: &str = "";
    Message::method_call(path, "GetAll")
        .destination(SYSTEMD)
        .interface("org.freedesktop.DBus.Properties")
        .build(&ALL_INTERFACES)
}

/// The workers among the units, and the active units whose names only look like a worker's.
fn listed(names: &Names, units: Vec<ListedUnit>) -> (Vec<Instance>, Vec<String>) {
    let (mut workers, mut others) = (Vec::new(), Vec::new());
    for (name, _, _, active, ..) in units {
        match names.instance(&name) {
            Some(instance) => workers.push(instance),
            None if ActiveState::parse(&active) == ActiveState::Active => others.push(name),
            None => {}
        }
    }
    (workers, others)
}

/// Distinguishes a refusal by systemd or polkit from an error of the bus, which could not reach them.
fn refusal(error: zbus::Error) -> EnqueueError {
    match error {
        zbus::Error::MethodError(name, detail, _) if !is_absence(name.as_str()) => {
            EnqueueError::Refused(detail.unwrap_or_else(|| name.to_string()))
        }
        zbus::Error::FDO(error) if !is_absence(&zbus::DBusError::name(&*error)) => {
            EnqueueError::Refused(zbus::DBusError::description(&*error).unwrap_or_default().to_owned())
        }
        other => EnqueueError::Unanswered(other.to_string()),
    }
}

/// Whether the error comes from the bus itself. systemd may or may not have received the call.
fn is_absence(error_name: &str) -> bool {
    matches!(
        error_name,
        "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.Disconnected"
            | "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
    )
}

#[cfg(test)]
mod tests;
