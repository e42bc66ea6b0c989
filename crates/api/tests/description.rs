//! The proxy has exactly the members that `docs/org.appcluster1.xml` describes. What their types are is
//! compared where the interface is served.

use std::collections::BTreeSet;

const SOURCE: &str = include_str!("../src/lib.rs");
const DESCRIPTION: &str = include_str!("../../../docs/org.appcluster1.xml");

/// A member as the description writes it: `method Status`.
type Members = BTreeSet<String>;

fn described() -> Members {
    let member = |line: &str| {
        let (kind, rest) = line.trim().strip_prefix('<')?.split_once(" name=\"")?;
        let (name, _) = rest.split_once('"')?;
        ["method", "signal", "property"].contains(&kind).then(|| format!("{kind} {name}"))
    };
    DESCRIPTION.lines().filter_map(member).collect()
}

/// The functions of the trait from which zbus makes the proxy.
fn proxied() -> Members {
    let (_, body) = SOURCE.split_once("pub trait Cluster {").expect("there is a trait");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let mut kind = "method";
    let mut members = Members::new();
    for line in body.lines().map(str::trim) {
        if line.starts_with("#[zbus(property") {
            kind = "property";
        } else if line.starts_with("#[zbus(signal") {
            kind = "signal";
        } else if let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
            members.insert(format!("{kind} {}", camel_case(name)));
            kind = "method";
        }
    }
    members
}

fn camel_case(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}

#[test]
fn the_proxy_and_the_description_have_the_same_members() {
    assert!(described().len() > 15, "{:?}", described());
    assert_eq!(proxied(), described());
}
