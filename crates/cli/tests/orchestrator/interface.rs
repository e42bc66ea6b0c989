//! `docs/reference/org.appcluster1.xml` describes the interface that zbus serves.

use crate::fake::Script;
use crate::scripted;

/// The lines that describe `org.appcluster1`, without comments.
fn described(xml: &str) -> Vec<&str> {
    let mut is_comment = false;
    let ours = xml.lines().map(str::trim).skip_while(|line| !line.contains("\"org.appcluster1\""));
    let ours = ours.take_while(|line| *line != "</interface>");
    ours.filter(|line| {
        is_comment |= line.starts_with("<!--");
        let kept = !is_comment && !line.is_empty();
        is_comment &= !line.ends_with("-->");
        kept
    })
    .collect()
}

#[test]
fn the_description_is_what_zbus_makes_of_the_types() {
    let (_bus, orchestrator) = scripted(Script::default());
    let served = orchestrator.introspected();
    let committed = include_str!("../../../../docs/reference/org.appcluster1.xml");
    assert!(described(&served).len() > 50, "{served}");
    assert_eq!(described(&served), described(committed), "{served}");
}
