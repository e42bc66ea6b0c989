//! Programs of other projects in the machine: Debian's packages, and clients that report what they lost.

use machine::{Boot, Suite};
use serde::Deserialize;

use crate::{Cluster, Package};

/// The packages with these programs. No other test needs them.
const PACKAGES: [&str; 9] = [
    "apache2-utils",
    "caddy",
    "curl",
    "haproxy",
    "netcat-openbsd",
    "nginx-light",
    "nodejs",
    "python3-h2",
    "python3-httpx",
];

impl Cluster {
    /// Boots a machine that also has programs of other projects, installs the new package, and waits until
    /// four workers serve.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed_beside_others(suite: Suite) -> Self {
        match Boot::new(suite).packages(&PACKAGES).start() {
            Ok(machine) => Self::installed_in(machine, Package::New),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Starts a client: an interpreter and its script.
    #[track_caller]
    pub fn start_client(&self, name: &str, program: &str, script: &str) -> Client<'_> {
        let client = Client { cluster: self, name: name.to_owned() };
        self.write_file(&client.script(), script);
        let output = format!("--property=StandardOutput=file:{}", client.output());
        let settings = ["--property=KillMode=mixed", "--property=StandardError=journal", &output];
        let run = ["--unit", &client.unit(), "--", program, &client.script()];
        self.run([&["systemd-run", "--quiet"], &settings[..], &run].concat()).assert_success();
        client
    }
}

/// A client in the machine that sends requests until a test stops it.
#[derive(Debug)]
#[must_use = "it tells what it lost when it is stopped"]
pub struct Client<'a> {
    cluster: &'a Cluster,
    name: String,
}

/// The report of a client.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// How many requests it has made.
    pub requests: u64,
    /// What happened to the requests that got no response, or a wrong one.
    pub errors: Vec<String>,
    /// How many requests the client itself gave up because of a known fault.
    #[serde(default)]
    pub excused: u64,
}

impl Client<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets the client finish the requests in progress, and returns its report.
    ///
    /// # Panics
    /// If the client has already ended, or gives no report.
    #[track_caller]
    #[must_use]
    pub fn stop(self) -> Told {
        self.cluster.systemctl(["stop", &self.unit()]).assert_success();
        let output = self.cluster.run(["cat", &self.output()]);
        match serde_json::from_str(output.stdout()) {
            Ok(told) => told,
            Err(error) => {
                let journal = self.cluster.journal(["--unit", &self.unit()]);
                panic!("{} gave no report: {error}: {output}\n{journal}", self.name)
            }
        }
    }

    fn unit(&self) -> String {
        format!("client-{}.service", self.name)
    }

    fn script(&self) -> String {
        format!("/opt/clients/{}", self.name)
    }

    fn output(&self) -> String {
        format!("/run/client-{}.json", self.name)
    }
}
