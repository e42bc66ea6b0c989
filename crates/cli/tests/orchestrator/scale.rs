//! `app-cluster scale`: what it writes, and what it takes back.

use std::fs;

use crate::bus::Bus;
use crate::fake::Script;
use crate::process::run;
use crate::scripted;

#[test]
fn scale_writes_a_drop_in_and_takes_it_back_when_it_is_refused() {
    let (bus, _orchestrator) = scripted(Script::default());
    let root = bus.dir.path().join("root");
    let scale = |bus: &Bus, n: &str| run(bus, &["scale", n, "--root", root.to_str().unwrap()]);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(scale(&bus, "6").exit, 4);
        return;
    }
    let ended = scale(&bus, "6");
    assert_eq!((ended.exit, ended.lines), (0, vec!["4 → 6 workers".to_owned()]), "{}", ended.errors);
    let file = root.join("etc/app-cluster/conf.d/90-scale.toml");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.ends_with("workers = 6\n"));

    let refusal: fn(String) -> api::Error = api::Error::Refused;
    let (other_bus, _refusing) = scripted(Script { refusal: Some(refusal), ..Script::default() });
    assert_eq!(scale(&other_bus, "8").exit, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}
