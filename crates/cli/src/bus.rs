//! The connection to the orchestrator: how long the command waits for an answer, and what errors mean for it.

use std::time::Duration;

use api::Cluster;
use zbus::fdo;

use crate::clock;
use crate::exit::{Exit, Failure};

/// Other D-Bus clients wait for an answer as long as this.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// Connects to the system bus (`DBUS_SYSTEM_BUS_ADDRESS`, else the usual socket).
pub(crate) async fn connect() -> Result<Cluster, Failure> {
    let connection = zbus::Connection::system().await.map_err(|error| {
        Failure::new(
            Exit::Unreachable,
            format!("cannot connect to the system bus: {error}; see `systemctl status dbus`"),
        )
    })?;
    Cluster::new(&connection).await.map_err(|error| failure(error.into()))
}

/// The answer to a call.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<T, api::Error>>) -> Result<T, Failure> {
    answer_within(ANSWER_TIMEOUT, call).await
}

/// The same for a call that takes longer.
pub(crate) async fn answer_within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, api::Error>>,
) -> Result<T, Failure> {
    match clock::within(limit, call).await {
        Some(answer) => answer.map_err(failure),
        None => Err(unreachable("the orchestrator does not answer")),
    }
}

/// Whether no orchestrator runs. An orchestrator that does not answer is another matter.
pub(crate) fn is_absence(error: &api::Error) -> bool {
    matches!(error, api::Error::ZBus(zbus::Error::FDO(error))
        if matches!(**error, fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_)))
}

/// What an error of a call means. If the orchestrator answered, the message is its own.
pub(crate) fn failure(error: api::Error) -> Failure {
    match error {
        api::Error::Configuration(problems) => Failure::new(
            Exit::Configuration,
            format!("the configuration is invalid, nothing was changed:\n{problems}"),
        ),
        api::Error::Refused(reason)
        | api::Error::ShuttingDown(reason)
        | api::Error::NoSuchRelease(reason)
        | api::Error::NoRollout(reason) => Failure::new(Exit::Refused, reason),
        api::Error::ZBus(error) => of_the_bus(error),
    }
}

fn of_the_bus(error: zbus::Error) -> Failure {
    use fdo::Error as Bus;
    let other_version = |error: &dyn std::fmt::Display| {
        let what = format!("the orchestrator that runs is of another version ({error})");
        Failure::new(
            Exit::Failed,
            format!("{what}; `systemctl restart app-cluster` restarts the orchestrator and no worker"),
        )
    };
    match error {
        zbus::Error::FDO(error) => match *error {
            Bus::ServiceUnknown(_) | Bus::NameHasNoOwner(_) => unreachable("the orchestrator does not run"),
            Bus::AccessDenied(_) | Bus::AuthFailed(_) | Bus::InteractiveAuthorizationRequired(_) => {
                Failure::new(Exit::Refused, "not permitted; run it as root or with sudo")
            }
            Bus::UnknownMethod(_)
            | Bus::UnknownInterface(_)
            | Bus::UnknownObject(_)
            | Bus::InvalidArgs(_) => other_version(&error),
            _ => unreachable(&format!("the orchestrator does not answer: {error}")),
        },
        zbus::Error::SignatureMismatch(..) | zbus::Error::IncorrectType | zbus::Error::ExcessData => {
            other_version(&error)
        }
        _ => unreachable(&format!("the orchestrator does not answer: {error}")),
    }
}

fn unreachable(what: &str) -> Failure {
    let rest = match said_of_its_start() {
        Some(said) if said.is_empty() => {
            "systemd is starting it; try again in a moment; if it does not start, `app-cluster check` says why".to_owned()
        }
        Some(said) => said,
        None => "start it with `systemctl start app-cluster`, or see `journalctl -u app-cluster`".to_owned(),
    };
    Failure::new(Exit::Unreachable, format!("{what}; {rest}"))
}

/// The status text of the orchestrator: about the start in progress, or why the last start failed.
fn said_of_its_start() -> Option<String> {
    let show = ["show", "--property=ActiveState,StatusText", "app-cluster.service"];
    let output = std::process::Command::new("systemctl").args(show).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |property: &str| text.lines().find_map(|line| line.strip_prefix(property)?.strip_prefix('='));
    let said = value("StatusText").unwrap_or_default().to_owned();
    match value("ActiveState")? {
        "activating" => Some(said),
        "failed" if !said.is_empty() => {
            Some(format!("{said}; fix that, then start it with `systemctl start app-cluster`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(error: api::Error) -> Exit {
        failure(error).exit
    }

    #[test]
    fn what_the_orchestrator_says_decides_the_exit_status() {
        assert_eq!(exit(api::Error::Configuration("x.toml:1:1: workers: bad".into())), Exit::Configuration);
        assert_eq!(exit(api::Error::Refused("the socket is down".into())), Exit::Refused);
        assert_eq!(exit(api::Error::ShuttingDown("stopping".into())), Exit::Refused);
        assert_eq!(exit(api::Error::NoSuchRelease("9.9".into())), Exit::Refused);
        assert_eq!(exit(api::Error::NoRollout("none runs".into())), Exit::Refused);
    }

    #[test]
    fn what_the_bus_says_decides_the_exit_status() {
        let bus = |error: fdo::Error| exit(zbus::Error::from(error).into());
        assert_eq!(bus(fdo::Error::ServiceUnknown("x".into())), Exit::Unreachable);
        assert_eq!(bus(fdo::Error::NameHasNoOwner("x".into())), Exit::Unreachable);
        assert_eq!(bus(fdo::Error::NoReply("x".into())), Exit::Unreachable);
        assert_eq!(bus(fdo::Error::AccessDenied("x".into())), Exit::Refused);
        assert_eq!(bus(fdo::Error::UnknownMethod("x".into())), Exit::Failed);
        assert_eq!(exit(zbus::Error::Handshake("x".into()).into()), Exit::Unreachable);
        assert_eq!(exit(zbus::Error::ExcessData.into()), Exit::Failed);
    }
}
