//! `app-cluster scale`: writes the wanted number of workers into a drop-in, applies it, and waits until that many run.
//!
//! With `--runtime`, the drop-in is in `/run` and sorts after the lasting one, so it holds until the next
//! boot. A lasting `scale` removes it.

mod drop_ins;
mod progress;
mod wait;

use std::path::Path;

use anyhow::Context;
use config::Workers;

use crate::args::ScaleOptions;
use crate::exit::{Exit, Failure};
use crate::{bus, output};
use drop_ins::DropIns;
use wait::Waited;

/// Scales to the number in `options`.
pub(crate) async fn run(options: &ScaleOptions) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        let message = "not permitted to change the configuration; run it as root or with sudo";
        return Err(Failure::new(Exit::Refused, message).into());
    }
    // This comes before the write: without an orchestrator to apply it, the number would take effect only at the
    // next start, when the operator no longer expects it.
    let cluster = bus::connect().await?;
    let before = bus::answer(cluster.status()).await?;

    let files = DropIns::below(&options.root);
    let turn = files.lock()?;
    let former = files.snapshot()?;
    let applied = async {
        files.write(options.workers, options.runtime)?;
        verify(&options.root, options.workers)?;
        anyhow::Ok(bus::answer(cluster.reconfigure()).await?)
    };
    let wanted = match applied.await {
        Ok(wanted) => wanted,
        Err(error) => {
            files.restore(&former).context("cannot put the configuration back as it was")?;
            return Err(error);
        }
    };
    drop(turn);
    let from = match wait::until_so_many_run(&cluster, &before, wanted).await? {
        Waited::Done => "",
        Waited::Postponed => ", once the current rollout has ended",
        Waited::Left => return Ok(Exit::Interrupted),
    };
    let until = if options.runtime { ", until the next boot" } else { "" };
    output::print(&format!("{} → {wanted} workers{until}{from}\n", before.desired))?;
    Ok(Exit::Done)
}

/// The whole configuration has to be valid, and no other file may set another number.
fn verify(root: &Path, wanted: Workers) -> Result<(), Failure> {
    let settings = config::load(root).map_err(|error| {
        Failure::new(
            Exit::Configuration,
            format!("the configuration is invalid, nothing was changed:\n{error}"),
        )
    })?;
    if settings.workers == wanted {
        return Ok(());
    }
    let [workers, ..] = settings.effective();
    let origin = workers.origin.map_or_else(
        || "a file that masks it".to_owned(),
        |origin| format!("{}:{}", origin.file.display(), origin.position.line),
    );
    let message =
        format!("{origin} sets workers = {} and wins; change it there, or remove it", workers.value);
    Err(Failure::new(Exit::Refused, message))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root_with(file: &str, text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        root
    }

    #[test]
    fn a_file_that_wins_over_the_new_one_is_named() {
        let root = root_with("etc/app-cluster/conf.d/99-mine.toml", "# mine\nworkers = 8\n");
        DropIns::below(root.path()).write("4".parse().unwrap(), false).unwrap();
        let failure = verify(root.path(), "4".parse().unwrap()).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.message.contains("99-mine.toml:2 sets workers = 8 and wins"), "{failure}");
        assert_eq!(verify(root.path(), "8".parse().unwrap()), Ok(()));
    }

    #[test]
    fn a_configuration_that_is_invalid_elsewhere_is_not_scaled() {
        let root = root_with("etc/app-cluster/app-cluster.toml", "sttle = 1\n");
        let failure = verify(root.path(), Workers::Auto).unwrap_err();
        assert_eq!(failure.exit, Exit::Configuration);
        assert!(failure.message.contains("app-cluster.toml:1:1: sttle: unknown key"), "{failure}");
    }
}
