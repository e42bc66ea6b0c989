//! Man pages and shell completions, from the definition of the command line itself and from `packaging/completions`.

use std::{fs, path::Path};

use anyhow::Result;
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::workspace::VERSION;

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
    let version = command.get_version().unwrap_or(VERSION);
    let man = Man::new(command.clone()).title(title).date("").source(format!("app-cluster {version}"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    sections(&help).to_writer(&mut page)?;
    fs::write(directory.join(format!("{title}.1")), page)?;
    Ok(())
}

/// Turns the text below the options of `--help` into sections. A line that ends with a colon is a heading.
/// Indented lines stay unchanged.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_literal = false;
    for line in help.lines() {
        let indented = line.starts_with(' ');
        if indented != is_literal {
            roff.control(if indented { "nf" } else { "fi" }, []);
            is_literal = indented;
        }
        match line.strip_suffix(':') {
            Some(heading) if !indented => roff.control("SH", [heading.to_uppercase().as_str()]),
            _ if line.is_empty() => roff.control("PP", []),
            _ => roff.text([roman(line)]),
        };
    }
    roff.control("fi", []);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("app-cluster"),
        roman("(1), "),
        bold("app-cluster.toml"),
        roman("(5), "),
        bold("systemctl"),
        roman("(1)"),
    ]);
    roff
}

/// The completions that clap cannot generate. They stand after the generated ones. zsh needs none to keep
/// files out, and completes no releases.
const BASH: &str = include_str!("../../packaging/completions/app-cluster.bash");
const FISH: &str = include_str!("../../packaging/completions/app-cluster.fish");
/// Writes the completions below `share` (`/usr/share`), where each shell of Debian looks for them.
pub(crate) fn completions(share: &Path) -> Result<()> {
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions/app-cluster"),
        (Shell::Zsh, "zsh/vendor-completions/_app-cluster"),
        (Shell::Fish, "fish/vendor_completions.d/app-cluster.fish"),
    ] {
        let path = share.join(path);
        fs::create_dir_all(path.parent().unwrap_or(share))?;
        fs::write(path, completion(shell)?)?;
    }
    Ok(())
}

fn completion(shell: Shell) -> Result<String> {
    // For bash, clap_complete 4.6 loses the verbs of a command whose name has a hyphen. Our own part uses the
    // real name.
    let name = if shell == Shell::Bash { "app_cluster" } else { "app-cluster" };
    let mut generated = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), name, &mut generated);
    let generated = String::from_utf8(generated)?;
    Ok(match shell {
        Shell::Bash => generated + BASH,
        Shell::Fish => generated + FISH,
        _ => generated,
    })
}
