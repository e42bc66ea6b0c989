//! `docs/reference/org.appcluster1.xml` describes the methods that the proxy has, and every member of 1.0.0 unchanged.
//! Tests of the orchestrator compare the types.

use std::collections::{BTreeMap, BTreeSet};

const PROXY: &str = include_str!("../src/proxy.rs");
const ROLLOUTS: &str = include_str!("../src/rollouts.rs");
const DESCRIPTION: &str = include_str!("../../../docs/reference/org.appcluster1.xml");
/// The description that 1.0.0 had. Its clients are served until 2.0.
const FROZEN: &str = include_str!("org.appcluster1-1.0.0.xml");

/// The lines of each member of a description. The key is its kind and name: `method Status`.
fn members(description: &str) -> BTreeMap<String, Vec<&str>> {
    let mut members = BTreeMap::<_, Vec<_>>::new();
    let mut member = None;
    for line in description.lines().map(str::trim) {
        if let Some(begun) = begun(line) {
            member = Some(begun);
        } else if line.starts_with("</interface") {
            member = None;
        }
        if let Some(member) = &member {
            members.entry(member.clone()).or_default().push(line);
        }
    }
    members
}

fn begun(line: &str) -> Option<String> {
    let (kind, rest) = line.strip_prefix('<')?.split_once(" name=\"")?;
    let (name, _) = rest.split_once('"')?;
    ["method", "signal", "property"].contains(&kind).then(|| format!("{kind} {name}"))
}

fn of_kind(kind: &str) -> BTreeSet<String> {
    let names = members(DESCRIPTION).into_keys();
    names.filter_map(|member| Some(member.strip_prefix(kind)?.trim().to_owned())).collect()
}

/// The functions of the trait from which zbus makes the proxy.
fn proxied() -> BTreeSet<String> {
    let (_, body) = PROXY.split_once("trait Members {").expect("there is a trait");
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split_once('('));
    names.map(|(name, _)| camel_case(name)).collect()
}

fn camel_case(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}

#[test]
fn the_proxy_has_the_methods_that_are_described() {
    assert!(of_kind("method").len() > 15, "{:?}", of_kind("method"));
    assert_eq!(proxied(), of_kind("method"));
}

#[test]
fn a_client_listens_to_the_signals_that_are_described() {
    assert_eq!(of_kind("signal").len(), 2);
    for signal in of_kind("signal") {
        assert!(ROLLOUTS.contains(&format!("\"{signal}\"")), "{signal}");
    }
}

#[test]
fn every_member_of_1_0_0_is_as_it_was() {
    let now = members(DESCRIPTION);
    let frozen = members(FROZEN);
    assert_eq!(frozen.len(), 18, "{frozen:#?}");
    for (member, lines) in frozen {
        assert_eq!(now.get(&member), Some(&lines), "{member}");
    }
}
