//! Checks the English of what users read: a small list of words, and the length of sentences.

use std::{fs, mem, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{tree, workspace::Workspace};

/// What not to write, and what to write instead.
const WORDS: [(&str, &str); 8] = [
    ("whoever", "name the actor: the user, the client"),
    ("somebody", "name the actor: a user, a client, an operator"),
    ("nobody", "no user, no client, no process"),
    ("mend", "fix"),
    ("anew", "again"),
    ("for want of", "because there is no"),
    ("at hand", "in progress"),
    ("goodbye", "close frame"),
];
/// The most words of a sentence in the README, the man pages and the help texts.
const LONGEST: usize = 30;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for path in documents(workspace)? {
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        faults.extend(check(&path.strip_prefix(&workspace.root)?.display().to_string(), &text));
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Decisions and measurements are left out: they are records of their time.
fn documents(Workspace { root, .. }: &Workspace) -> Result<Vec<PathBuf>> {
    let mut paths = tree::files(&root.join("docs"))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.retain(|path| !path.starts_with(root.join("docs/decisions")) && !path.ends_with("benchmarks.md"));
    paths.extend(tree::files(&root.join("packaging/root/usr/share/man"))?);
    let others = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "crates/cli/src/args.rs"];
    paths.extend(others.map(|name| root.join(name)));
    Ok(paths)
}

fn check(name: &str, text: &str) -> Vec<String> {
    let lines = match name.rsplit_once('.') {
        Some((_, "md")) => markdown(text),
        Some((_, "rs")) => help(text),
        _ => man(text),
    };
    let is_short = name == "README.md" || !name.ends_with(".md");
    let (mut faults, mut sentence) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(lines.iter().map(String::as_str).chain([""])) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['|', '-', '*', '#']) {
            judge(name, is_short, &mem::take(&mut sentence), &mut faults);
        }
        for word in line.split_inclusive([' ', '|']).map(str::trim) {
            sentence.push((number, word));
            if word.trim_end_matches(['"', ')', '*']).ends_with(['.', '!', '?', '|']) {
                judge(name, is_short, &mem::take(&mut sentence), &mut faults);
            }
        }
    }
    faults
}

/// Adds what is wrong with a sentence, of which each word has its line.
fn judge(name: &str, is_short: bool, sentence: &[(usize, &str)], faults: &mut Vec<String>) {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words = sentence.iter().map(|(line, word)| (line, plain(word)));
    let words: Vec<_> = words.filter(|(_, word)| !word.is_empty()).collect();
    for (bad, instead) in WORDS {
        let parts: Vec<_> = bad.split(' ').collect();
        let places = words.windows(parts.len()).filter(|words| words.iter().map(|(_, word)| word).eq(&parts));
        faults.extend(places.map(|words| format!("{name}:{}: {bad:?}; write: {instead}", words[0].0)));
    }
    if is_short && words.len() > LONGEST {
        let (line, first) = &words[0];
        let fault = format!("a sentence of {} words begins with {first:?}", words.len());
        faults.push(format!("{name}:{line}: {fault}; write sentences of at most {LONGEST}"));
    }
}

/// The prose of each line, without code. A link is its text.
fn markdown(text: &str) -> Vec<String> {
    let mut is_code = false;
    let prose = |line: &str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        let parts = line.split('`').enumerate();
        let uncoded: String = parts.map(|(i, part)| if i % 2 == 0 { part } else { "x" }).collect();
        let mut links = uncoded.split("](");
        let first = links.next().unwrap_or_default();
        let others = links.map(|link| link.split_once(')').map_or("", |(_, after)| after));
        if is_code || is_fence { String::new() } else { first.to_owned() + &others.collect::<String>() }
    };
    text.lines().map(prose).collect()
}

/// The prose of each line of a man page. A macro that is not a font ends a sentence.
fn man(text: &str) -> Vec<String> {
    const FONTS: [&str; 7] = [".B", ".I", ".BR", ".BI", ".IR", ".RB", ".RI"];
    let mut is_literal = false;
    let prose = |line: &str| {
        is_literal = (is_literal || line == ".nf") && line != ".fi";
        match line.split_once(' ') {
            Some((font, text)) if !is_literal && FONTS.contains(&font) => text.to_owned(),
            _ if is_literal || line.starts_with('.') => String::new(),
            _ => line.to_owned(),
        }
    };
    text.lines().map(prose).collect()
}

/// What is printed of each line of the definition of the command line. Examples are indented.
fn help(text: &str) -> Vec<String> {
    let mut is_text = false;
    let prose = |line: &str| {
        let was_text = mem::replace(&mut is_text, line.ends_with("\"\\"));
        is_text |= was_text && !line.trim_end_matches([')', ']', ';', ',']).ends_with('"');
        match line.trim_start().strip_prefix("/// ") {
            Some(comment) => comment.to_owned(),
            None if was_text && !line.starts_with("  ") => line.trim_end_matches('\\').to_owned(),
            None => String::new(),
        }
    };
    text.split("#[cfg(test)]").next().unwrap_or_default().lines().map(prose).collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    #[test]
    fn a_word_is_found_with_its_line_where_users_read_it() {
        assert_eq!(check("a.md", "It\n`anew` is at\nhand.\n"), ["a.md:2: \"at hand\"; write: in progress"]);
        assert_eq!(check("a.md", "```\nanew\n```\n[x](anew.md) at | hand\n"), [""; 0]);
        assert_eq!(check("a.7", ".nf\nanew\n.fi\n.B Anew\n"), ["a.7:4: \"anew\"; write: again"]);
        let source = "// anew\n/// Mend it\nX = \"\\\nanew \\\n  anew\nanew\")]\nanew";
        assert_eq!(check("a.rs", source).len(), 3);
    }

    #[test]
    fn a_long_sentence_is_found_where_users_look_something_up() {
        let long = "word ".repeat(16);
        let fault = "README.md:2: a sentence of 32 words begins with \"word\"; write sentences of at most 30";
        assert_eq!(check("README.md", &format!("End.\n{long}\n{long}")), [fault]);
        assert_eq!(check("README.md", &format!("{long}.\n{long}\n\n{long}\n- {long}")), [""; 0]);
        assert_eq!(check("a.md", &format!("{long}{long}")), [""; 0]);
    }
}
