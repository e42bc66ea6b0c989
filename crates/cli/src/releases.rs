//! `app-cluster releases`: the releases on disk and the rollouts of the past.

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style as Paint};
use api::{Entry, EntryState, Release};
use config::timespan;
use serde::Serialize;

use crate::args::ReleasesOptions;
use crate::exit::Exit;
use crate::rollout::words;
use crate::table::{self, Column, Row, Style};
use crate::{age, bus, output};

const RELEASES: [Column; 6] =
    [(" ", 0), ("ID", 0), ("ADDED", 2), ("WORKERS", 1), ("NOTE", 0), ("DIRECTORY", 3)];
const HISTORY: [Column; 7] =
    [("WHEN", 0), ("WHAT", 1), ("FROM → TO", 0), ("BY", 3), ("OUTCOME", 0), ("TOOK", 4), ("FAILURE", 2)];
const OUTCOME: usize = 4;

/// What to show.
struct Everything {
    releases: Vec<Release>,
    history: Vec<Entry>,
}

/// What `--json` prints: the same, with the names of the interface. `docs/reference/json.md` describes it.
#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    releases: &'a [Release],
    history: &'a [Entry],
}

/// Shows releases and history as `options` say.
pub(crate) async fn run(options: ReleasesOptions) -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    let releases = bus::answer(cluster.releases()).await?;
    if options.ids {
        let ids: String = releases.iter().map(|release| format!("{}\n", release.id)).collect();
        output::print(&ids)?;
        return Ok(Exit::Done);
    }
    let history = bus::answer(cluster.history()).await?;
    let everything = Everything { releases, history };
    let text = if options.json {
        json(&everything)?
    } else {
        render(&everything, SystemTime::now(), &Style::of_stdout())
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

fn json(everything: &Everything) -> serde_json::Result<String> {
    let Everything { releases, history } = everything;
    let json = Json { schema_version: output::SCHEMA_VERSION, releases, history };
    serde_json::to_string_pretty(&json).map(|text| text + "\n")
}

fn render(everything: &Everything, now: SystemTime, style: &Style) -> String {
    let Everything { releases, history } = everything;
    let mut text = String::new();
    if releases.is_empty() {
        text.push_str("no releases\n");
    } else {
        let rows: Vec<_> = releases.iter().map(|release| release_row(release, now)).collect();
        text.push_str(&table::render(&RELEASES, &rows, style));
    }
    text.push('\n');
    if history.is_empty() {
        text.push_str("no rollouts yet\n");
    } else {
        let rows: Vec<_> = history.iter().map(|entry| entry_row(entry, now)).collect();
        text.push_str(&table::render(&HISTORY, &rows, style));
    }
    text
}

fn release_row(release: &Release, now: SystemTime) -> Row<6> {
    [
        if release.is_current { "*" } else { " " }.to_owned(),
        release.id.clone(),
        age::ago(release.added_usec, now),
        release.workers.to_string(),
        if release.is_rejected { "rejected" } else { "-" }.to_owned(),
        or_dash(&release.directory),
    ]
    .into()
}

fn entry_row(entry: &Entry, now: SystemTime) -> Row<7> {
    let cells = [
        age::ago(entry.begun_usec, now),
        words::kind(entry.kind).to_owned(),
        words::entry_releases(entry),
        or_dash(&entry.by),
        words::entry_state(entry.state).to_owned(),
        took(entry),
        // A cell has only one line.
        or_dash(&entry.failure.replace('\n', "; ")),
    ];
    Row { cells, paint: Some((OUTCOME, paint(entry.state))) }
}

fn paint(state: EntryState) -> Paint {
    match state {
        EntryState::Done => AnsiColor::Green.on_default(),
        EntryState::Unknown | EntryState::Running | EntryState::Paused | EntryState::Restoring => {
            AnsiColor::Yellow.on_default()
        }
        EntryState::Restored | EntryState::Failed => AnsiColor::Red.on_default().bold(),
        EntryState::Aborted | EntryState::Interrupted => Paint::new().dimmed(),
    }
}

/// How long it took. Below a minute, it has tenths of a second.
fn took(entry: &Entry) -> String {
    match entry.ended_usec.checked_sub(entry.begun_usec).map(Duration::from_micros) {
        None => "-".to_owned(),
        Some(took) if took < Duration::from_millis(100) => "0s".to_owned(),
        Some(took) if took < Duration::from_secs(60) => {
            timespan::format(took - Duration::from_nanos(u64::from(took.subsec_nanos()) % 100_000_000))
        }
        Some(took) => age::span(took),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use api::Kind;

    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn release(id: &str) -> Release {
        Release {
            id: id.into(),
            directory: String::new(),
            added_usec: HOUR,
            is_current: false,
            is_rejected: false,
            workers: 0,
        }
    }

    fn entry(state: EntryState) -> Entry {
        Entry {
            rollout: 7,
            kind: Kind::Deploy,
            by: "alice".into(),
            from: "1.2.0".into(),
            to: "1.3.0".into(),
            begun_usec: 2 * HOUR,
            ended_usec: 2 * HOUR + 3_456_000,
            state,
            failure: String::new(),
        }
    }

    fn everything() -> Everything {
        let failed = Entry { failure: "worker@1.service failed".into(), ..entry(EntryState::Restored) };
        let reload = Entry {
            kind: Kind::Reload,
            from: "1.2.0".into(),
            to: "1.2.0".into(),
            begun_usec: 2 * HOUR + HOUR / 2,
            ended_usec: 0,
            by: String::new(),
            ..entry(EntryState::Running)
        };
        let first = Entry {
            kind: Kind::Package,
            from: String::new(),
            to: "1.2.0".into(),
            ended_usec: 4 * HOUR,
            ..entry(EntryState::Done)
        };
        Everything {
            releases: vec![
                Release { directory: "/srv/shop".into(), is_rejected: true, ..release("1.3.0") },
                Release { is_current: true, workers: 4, ..release("1.2.0") },
            ],
            history: vec![reload, failed, first],
        }
    }

    fn rendered(everything: &Everything, width: Option<usize>) -> String {
        render(everything, UNIX_EPOCH + Duration::from_micros(3 * HOUR), &Style { width, colour: false })
    }

    #[test]
    fn releases_come_first_and_then_what_happened() {
        let text = rendered(&everything(), None);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "   ID     ADDED   WORKERS  NOTE      DIRECTORY",
                "   1.3.0  2h ago  0        rejected  /srv/shop",
                "*  1.2.0  2h ago  4        -         -",
                "",
                "WHEN       WHAT     FROM → TO      BY     OUTCOME   TOOK      FAILURE",
                "30min ago  reload   1.2.0          -      running   -         -",
                "1h ago     deploy   1.2.0 → 1.3.0  alice  restored  3s 400ms  worker@1.service failed",
                "1h ago     package  1.2.0          alice  done      2h        -",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_what_matters() {
        let text = rendered(&everything(), Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("1h ago     1.2.0 → 1.3.0  restored"), "{text}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        let nothing = Everything { releases: vec![], history: vec![] };
        assert_eq!(rendered(&nothing, None), "no releases\n\nno rollouts yet\n");
    }
}
