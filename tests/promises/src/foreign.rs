//! Programs that others wrote, in the machine: Debian's packages, and clients that tell what they lost.

use machine::{Boot, Suite};
use serde::Deserialize;

use crate::{Cluster, Package};

/// What these programs are in, and nothing else needs.
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
    /// Boots a machine that has programs of others, too, installs the new package, and waits until four workers serve.
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    #[must_use]
    pub fn installed_beside_others(suite: Suite) -> Self {
        match Boot::new(suite).packages(&PACKAGES).start() {
            Ok(machine) => Self::installed_in(machine, Package::New),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Starts a client: what runs this script, and the script.
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

/// A client in the machine that makes requests until it is told to stop.
#[derive(Debug)]
#[must_use = "it tells what it lost when it is stopped"]
pub struct Client<'a> {
    cluster: &'a Cluster,
    name: String,
}

/// What a client tells.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// How many requests it has made.
    pub requests: u64,
    /// What became of those that were not answered, or not rightly.
    pub errors: Vec<String>,
    /// How many more the client itself has given up, by a known fault of it.
    #[serde(default)]
    pub excused: u64,
}

impl Client<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has it answer what is under way, and tell.
    ///
    /// # Panics
    /// When it has ended before, or tells nothing.
    #[track_caller]
    #[must_use]
    pub fn stop(self) -> Told {
        self.cluster.systemctl(["stop", &self.unit()]).assert_success();
        let output = self.cluster.run(["cat", &self.output()]);
        match serde_json::from_str(output.stdout()) {
            Ok(told) => told,
            Err(error) => {
                let journal = self.cluster.journal(["--unit", &self.unit()]);
                panic!("{} did not tell what it lost: {error}: {output}\n{journal}", self.name)
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
