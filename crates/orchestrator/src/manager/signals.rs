//! systemd's signals: the match rules for them, and their conversion.

use cluster::info::Change;
use cluster::input::Signal;
use cluster::unit::{JobId, JobResult};
use names::Names;
use zbus::message::Type;
use zbus::{MatchRule, Message, OwnedObjectPath};

use super::properties::{self, Properties};
use super::{MANAGER_INTERFACE, SYSTEMD, units};

const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";

/// The match rules. One rule covers the property changes of all units. Rules for each worker, added and
/// removed as workers come and go, would cost the bus more.
pub(super) fn rules() -> zbus::Result<[MatchRule<'static>; 4]> {
    let of_manager = |member| {
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(SYSTEMD);
        rule.interface(MANAGER_INTERFACE).member(member).build()
    };
    let changes = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SYSTEMD)
        .interface(PROPERTIES_INTERFACE)
        .member("PropertiesChanged")
        .path_namespace(units::NAMESPACE)
        .build()?;
    let owner_changes = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(0, SYSTEMD)
        .build()?;
    Ok([of_manager("JobRemoved")?, of_manager("Reloading")?, changes, owner_changes])
}

/// systemd's new name on the bus, if this message announces one. Empty while systemd has none.
pub(super) fn new_owner(message: &Message) -> Option<String> {
    let header = message.header();
    let is_of_the_bus = message.message_type() == Type::Signal
        && header.sender()? == "org.freedesktop.DBus"
        && header.member()? == "NameOwnerChanged";
    let (name, _, owner): (String, String, String) =
        is_of_the_bus.then(|| message.body().deserialize().ok())??;
    (name == SYSTEMD).then_some(owner)
}

/// Converts a signal of systemd. It ignores signals of other senders, because any program on the system bus
/// can send us a signal that looks like systemd's.
pub(super) fn parse(message: &Message, names: &Names, systemd: &str) -> Option<Signal> {
    let header = message.header();
    if message.message_type() != Type::Signal || header.sender()?.as_str() != systemd {
        return None;
    }
    match header.member()?.as_str() {
        "JobRemoved" => {
            let (id, _, unit, result): (u32, OwnedObjectPath, String, String) =
                message.body().deserialize().ok()?;
            Some(Signal::JobRemoved(names.instance(&unit)?, JobId(id), JobResult::parse(&result)))
        }
        "Reloading" => {
            let is_begin: bool = message.body().deserialize().ok()?;
            (!is_begin).then_some(Signal::Reloaded)
        }
        "PropertiesChanged" => {
            let instance = names.instance(&units::name(header.path()?.as_str())?)?;
            let (_, properties, _): (String, Properties, Vec<String>) = message.body().deserialize().ok()?;
            let change = properties::change(&properties, names);
            (change != Change::default()).then(|| Signal::Changed(instance, Box::new(change)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use names::Instance;

    use super::*;

    fn signal(
        sender: &str,
        path: &str,
        member: &str,
        body: &(impl serde::Serialize + zbus::DynamicType),
    ) -> Message {
        Message::signal(path, "org.example.Any", member).sender(sender).build(body).unwrap()
    }

    fn heard(message: &Message) -> Option<Signal> {
        parse(message, &Names::packaged(), ":1.1")
    }

    fn removed(sender: &str, unit: &str) -> Option<Signal> {
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
        heard(&signal(sender, "/org/freedesktop/systemd1", "JobRemoved", &(7_u32, job, unit, "done")))
    }

    #[test]
    fn the_end_of_a_workers_job_is_heard() {
        let Some(Signal::JobRemoved(instance, job, result)) = removed(":1.1", "worker@3.service") else {
            panic!("it is not heard");
        };
        assert_eq!((instance, job, result), (Instance::new(3).unwrap(), JobId(7), JobResult::Done));
        assert!(removed(":1.1", "nginx.service").is_none());
        assert!(removed(":1.1", "worker@03.service").is_none());
    }

    #[test]
    fn what_another_program_sends_is_not_believed() {
        assert!(removed(":1.2", "worker@3.service").is_none());
    }

    #[test]
    fn a_change_that_is_of_no_use_is_not_heard() {
        let change = |name: &str| {
            let properties: HashMap<&str, zbus::Variant<'_>> = [(name, 5_u32.into())].into();
            let body = ("org.freedesktop.systemd1.Service", properties, Vec::<&str>::new());
            heard(&signal(":1.1", &units::path("worker@3.service"), "PropertiesChanged", &body))
        };
        assert!(
            matches!(change("NRestarts"), Some(Signal::Changed(_, change)) if change.restarts == Some(5))
        );
        assert!(change("UID").is_none());
    }

    #[test]
    fn reading_unit_files_is_over_at_its_end() {
        let reloading =
            |is_begin: bool| heard(&signal(":1.1", "/org/freedesktop/systemd1", "Reloading", &is_begin));
        assert!(reloading(true).is_none());
        assert!(matches!(reloading(false), Some(Signal::Reloaded)));
    }
}
