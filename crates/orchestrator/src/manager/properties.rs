//! Converts systemd's properties, which `GetAll` and `PropertiesChanged` deliver by name.

use std::collections::HashMap;

use cluster::info::Change;
use cluster::unit::{ActiveState, InvocationId, JobId};
use names::Names;
use zbus::{OwnedObjectPath, OwnedVariant};

use crate::listeners::SocketUnit;

/// Properties by name.
pub(super) type Properties = HashMap<String, OwnedVariant>;

/// The value of a property. `None` if it is missing, or has another type than documented.
pub(super) fn value<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
    T::try_from(properties.get(name)?.try_clone().ok()?).ok()
}

/// The job that waits or runs for a unit, and its path. The outer `Option` is `None` if the properties do not
/// contain the job.
pub(super) fn job(properties: &Properties) -> Option<Option<(JobId, OwnedObjectPath)>> {
    let (id, path): (u32, OwnedObjectPath) = value(properties, "Job")?;
    Some((id != 0).then_some((JobId(id), path)))
}

/// The part of a worker's unit that these properties contain.
pub(super) fn change(properties: &Properties, names: &Names) -> Change {
    fn get<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
        value(properties, name)
    }
    let word = |name| get::<String>(properties, name);
    let usec = |name| get::<u64>(properties, name);
    Change {
        active: word("ActiveState").map(|word| ActiveState::parse(&word)),
        sub_state: word("SubState"),
        invocation: get::<Vec<u8>>(properties, "InvocationID").map(|id| InvocationId::from_bytes(&id)),
        job: job(properties).map(|job| job.map(|(id, _)| id)),
        restarts: get(properties, "NRestarts"),
        main_pid: get(properties, "MainPID"),
        begun_usec: usec("ConditionTimestampMonotonic"),
        started_usec: usec("ExecMainStartTimestampMonotonic"),
        active_since_usec: usec("ActiveEnterTimestamp"),
        active_usec: usec("ActiveEnterTimestampMonotonic"),
        inactive_usec: usec("ActiveExitTimestampMonotonic"),
        fed_usec: usec("WatchdogTimestampMonotonic"),
        watchdog_usec: usec("WatchdogUSec"),
        start_timeout_usec: usec("TimeoutStartUSec"),
        stop_timeout_usec: usec("TimeoutStopUSec"),
        exit_code: get(properties, "ExecMainCode"),
        exit_status: get(properties, "ExecMainStatus"),
        result: word("Result"),
        // systemd clears the status text when it starts another process.
        asks: word("StatusText").map(|text| request(&text)),
        cut: word("StatusText").map(|text| cut(&text).unwrap_or(0)),
        load_state: word("LoadState"),
        needs_daemon_reload: get(properties, "NeedDaemonReload"),
        fragment: word("FragmentPath"),
        takes_socket: get::<Vec<String>>(properties, "TriggeredBy").map(|by| by.contains(&names.socket)),
    }
}

/// Why a worker with this status (`STATUS=` in sd_notify(3)) requests its own replacement. `None` if it does
/// not.
fn request(status: &str) -> Option<String> {
    const LONGEST: usize = 200;
    let reason = status.strip_prefix("recycle: ")?;
    Some(reason.chars().filter(|char| !char.is_control()).take(LONGEST).collect())
}

/// How many connections a worker has closed by force when it drained. The status is, for example,
/// `drained in 30004 ms, closed 3 connections by force`.
fn cut(status: &str) -> Option<u32> {
    let rest = status.strip_prefix("drained")?.strip_suffix(" by force")?;
    let (_, closed) = rest.split_once("closed ")?;
    closed.split(' ').next()?.parse().ok()
}

/// The socket unit. The error is the first property that is missing.
pub(super) fn socket_unit(properties: &Properties, names: &Names) -> Result<SocketUnit, &'static str> {
    fn get<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &'static str) -> Result<T, &'static str> {
        value(properties, name).ok_or(name)
    }
    let (state, loaded): (String, String) = (get(properties, "ActiveState")?, get(properties, "LoadState")?);
    let started: Vec<String> = get(properties, "Triggers")?;
    let listen: Vec<(String, String)> = get(properties, "Listen")?;
    let streams = listen.into_iter().filter(|(kind, _)| kind == "Stream");
    Ok(SocketUnit {
        state: ActiveState::parse(&state),
        is_masked: loaded == "masked",
        backlog: get(properties, "Backlog")?,
        addresses: streams.map(|(_, address)| address).collect(),
        starts_us: started.contains(&names.service),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, value: impl Into<OwnedVariant>) -> Change {
        change(&[(name.to_owned(), value.into())].into(), &Names::packaged())
    }

    fn text(text: &str) -> zbus::Str<'static> {
        zbus::Str::from(text.to_owned())
    }

    fn owned<'a>(value: impl Into<zbus::Variant<'a>>) -> OwnedVariant {
        value.into().try_into_owned().unwrap()
    }

    #[test]
    fn what_is_told_is_taken_over_and_nothing_else() {
        let properties: Properties = [
            ("ActiveState".to_owned(), text("activating").into()),
            ("NRestarts".to_owned(), 3_u32.into()),
            ("NeedDaemonReload".to_owned(), true.into()),
        ]
        .into();
        let expected = Change {
            active: Some(ActiveState::Activating),
            restarts: Some(3),
            needs_daemon_reload: Some(true),
            ..Change::default()
        };
        assert_eq!(change(&properties, &Names::packaged()), expected);
    }

    #[test]
    fn a_job_has_a_number_and_none_is_zero() {
        let job = |id: u32| {
            let path = OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{id}")).unwrap();
            told("Job", owned((id, path.into_inner()))).job
        };
        assert_eq!(job(123), Some(Some(JobId(123))));
        assert_eq!(job(0), Some(None));
        assert_eq!(told("NRestarts", 1_u32).job, None);
    }

    #[test]
    fn only_a_unit_that_the_socket_triggers_takes_it() {
        let by = |units: &[&str]| told("TriggeredBy", owned(units.to_vec())).takes_socket;
        assert_eq!(by(&["app-cluster.socket"]), Some(true));
        assert_eq!(by(&["other.socket"]), Some(false));
        assert_eq!(by(&[]), Some(false));
    }

    #[test]
    fn a_worker_asks_to_be_replaced_until_it_says_something_else() {
        let say = |status: &str| told("StatusText", text(status)).asks.unwrap();
        assert_eq!(say("accepting connections"), None);
        assert_eq!(say("recycle: 1000 requests begun").as_deref(), Some("1000 requests begun"));
        assert_eq!(say(&format!("recycle: {}", "ä".repeat(1000))), Some("ä".repeat(200)));
        assert_eq!(say("recycle: \x1b[2Jold\n").as_deref(), Some("[2Jold"));
        assert_eq!(say("draining, 3 connections"), None);
    }

    #[test]
    fn a_worker_says_how_many_connections_its_drain_has_cut() {
        let say = |status: &str| told("StatusText", text(status)).cut.unwrap();
        assert_eq!(say("drained in 30004 ms, closed 3 connections by force"), 3);
        assert_eq!(say("drained, closed 1 connection by force"), 1);
        assert_eq!(say("drained in 12 ms"), 0);
        assert_eq!(say("drained in 12 ms, closed -1 connections by force"), 0);
        assert_eq!(say("accepting connections"), 0);
    }

    #[test]
    fn a_property_of_another_type_changes_nothing() {
        assert_eq!(told("NRestarts", text("many")), Change::default());
    }

    #[test]
    fn the_socket_is_read_at_once() {
        let properties: Properties = [
            ("ActiveState".to_owned(), text("active").into()),
            ("LoadState".to_owned(), text("loaded").into()),
            ("Triggers".to_owned(), owned(vec!["app-cluster.service"])),
            ("Listen".to_owned(), owned(vec![("Stream", "[::]:80"), ("Datagram", "/run/log")])),
            ("Backlog".to_owned(), 4096_u32.into()),
        ]
        .into();
        let unit = socket_unit(&properties, &Names::packaged()).unwrap();
        assert_eq!((unit.backlog, unit.is_masked, unit.starts_us), (4096, false, true));
        assert_eq!(unit.addresses, ["[::]:80"]);
        let without = Properties::default();
        assert_eq!(socket_unit(&without, &Names::packaged()).unwrap_err(), "ActiveState");
    }
}
