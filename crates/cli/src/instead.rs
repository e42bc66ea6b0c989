//! What to type instead of the commands of other process managers, especially PM2.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words that are not verbs here, and the sentence that says what to type.
const INSTEAD: [(&[&str], &str); 18] = [
    (
        &["start", "run", "serve"],
        "`systemctl start app-cluster` starts the workers, and `app-cluster deploy PATH` makes them run another program",
    ),
    (
        &["stop"],
        "`systemctl stop app-cluster` stops the workers, `systemctl stop app-cluster.target` the socket too, and \
         `systemctl stop worker@2` worker 2 alone",
    ),
    (
        &["restart", "gracefulReload", "update"],
        "`systemctl reload app-cluster` replaces the workers one after another, and `systemctl restart worker@2` restarts \
         worker 2 alone",
    ),
    (
        &["delete", "del"],
        "`systemctl disable --now app-cluster.target` stops the cluster and keeps it from starting at boot, and `app-cluster scale 2` leaves two workers",
    ),
    (&["list", "ls", "l", "ps", "id", "pid"], "`app-cluster status` shows the workers"),
    (&["jlist", "prettylist"], "`app-cluster status --json` shows the workers to programs"),
    (
        &["describe", "desc", "show", "info"],
        "`app-cluster status` and `systemctl status worker@2` describe the workers",
    ),
    (&["monit", "dash", "dashboard", "top"], "`app-cluster status --watch` shows the workers every second"),
    (
        &["logs", "log", "attach"],
        "the log is in the journal: `journalctl -f -u app-cluster -u 'worker@*'`, and `journalctl -u worker@2` for worker 2 alone",
    ),
    (
        &["flush", "reloadLogs"],
        "the log is in the journal, which deletes old lines by itself: `journalctl --vacuum-time=7d` deletes more",
    ),
    (
        &["save", "dump", "resurrect", "cleardump"],
        "nothing has to be saved: systemd starts the cluster at boot, with the release and the number of workers it had",
    ),
    (
        &["startup", "unstartup"],
        "systemd starts the cluster at boot, and `systemctl disable app-cluster.target` ends that",
    ),
    (
        &["reset"],
        "systemd counts the restarts, and `systemctl reset-failed worker@2` sets the count of worker 2 to zero",
    ),
    (
        &["kill"],
        "`systemctl stop app-cluster.target` stops workers, orchestrator and socket, and `systemctl kill worker@2` sends worker 2 a signal",
    ),
    (&["sendSignal"], "`systemctl kill --signal=USR1 worker@2` sends worker 2 a signal"),
    (
        &["env", "set", "multiset"],
        "`systemctl edit worker@.service` sets the environment (`Environment=`, `EnvironmentFile=`), and \
         `systemctl reload app-cluster` applies it",
    ),
    (
        &["ecosystem", "init", "conf", "config", "get"],
        "the number of workers and how they are replaced are in /etc/app-cluster/app-cluster.toml, all else in the units: \
         `systemctl edit worker@.service`",
    ),
    (&["help"], "`app-cluster --help` lists the commands"),
];

/// What to type instead, if the command line is wrong because of such a word.
pub(crate) fn of(usage: &clap::Error) -> Option<String> {
    if usage.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = usage.get(ContextKind::InvalidSubcommand) else { return None };
    let (_, sentence) = INSTEAD.iter().find(|(words, _)| words.contains(&word.as_str()))?;
    Some(format!("`{word}` is not a command here; {sentence}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Args;

    fn said(line: &str) -> Option<String> {
        of(&Args::try_parse_from(["app-cluster"].into_iter().chain(line.split(' '))).unwrap_err())
    }

    #[test]
    fn each_word_has_one_sentence() {
        let words: Vec<_> = INSTEAD.iter().flat_map(|(words, _)| *words).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        for word in words {
            assert!(said(word).is_some(), "{word} is a verb, or is not found");
        }
    }

    #[test]
    fn what_they_advise_can_be_typed() {
        let mut advised = 0;
        for (_, sentence) in INSTEAD {
            for typed in
                sentence.split('`').skip(1).step_by(2).filter(|typed| typed.starts_with("app-cluster "))
            {
                let verb = typed.split(' ').nth(1).unwrap();
                let is_known = verb == "--help" || Args::command().find_subcommand(verb).is_some();
                assert!(is_known, "{typed}");
                advised += 1;
            }
        }
        assert!(advised > 5, "{advised}");
    }

    #[test]
    fn other_mistakes_are_told_by_clap() {
        assert!(
            said("start web -i 4")
                .unwrap()
                .starts_with("`start` is not a command here; `systemctl start app-cluster`")
        );
        assert_eq!(said("relaod"), None);
        assert_eq!(said("scale start"), None);
    }
}
