//! Man pages and shell completions, from the definition of the command line itself.

use std::{fs, path::Path};

use anyhow::Result;
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes app-cluster(1) and one page for each verb into `directory`.
pub(crate) fn man_pages(directory: &Path) -> Result<()> {
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, "app-cluster", directory)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page(verb, &format!("app-cluster-{}", verb.get_name()), directory)?;
    }
    Ok(())
}

fn page(command: &clap::Command, title: &str, directory: &Path) -> Result<()> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(title).date("").manual("app-cluster").render(&mut page)?;
    fs::write(directory.join(format!("{title}.1")), page)?;
    Ok(())
}

/// Writes the completions below `share` (`/usr/share`), where each shell of Debian looks for them.
pub(crate) fn completions(share: &Path) -> Result<()> {
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions/app-cluster"),
        (Shell::Zsh, "zsh/vendor-completions/_app-cluster"),
        (Shell::Fish, "fish/vendor_completions.d/app-cluster.fish"),
    ] {
        let path = share.join(path);
        fs::create_dir_all(path.parent().unwrap_or(share))?;
        let mut file = fs::File::create(path)?;
        clap_complete::generate(shell, &mut cli::command(), "app-cluster", &mut file);
    }
    Ok(())
}
