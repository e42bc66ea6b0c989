//! What the tutorial and the how-to pages tell a reader to type works as they say.
//!
//! A fenced block with the language `console` is executed. A line that begins with `# ` is a command, and must
//! succeed. The lines below it occur in its output, in this order. `…` in a line stands for any text, and a line with
//! only `…` for any lines. A block with `file=PATH` is written to that path.

use std::{fs, path::Path};

use machine::Boot;
use promises::{Cluster, GOOD, Machine, Package, Suite};

promises::in_one_suite!(bookworm: the_tutorial, every_how_to_page);

const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
/// Where the reader types.
const DIRECTORY: &str = "/root";
const ANYTHING: char = '…';

/// It begins on a machine without app-cluster, and installs what it needs. The machine has no network.
fn the_tutorial(suite: Suite) {
    let machine = Boot::new(suite).packages(&["python3"]).start().expect("the machine boots");
    let package = Package::New.path();
    let name = package.file_name().expect("a package is a file").to_string_lossy().into_owned();
    machine.copy_in(&package, &format!("{DIRECTORY}/{name}"));
    let page = Page::read("tutorial.md");
    assert!(page.blocks.len() >= 10, "{:?}", page.blocks);
    page.follow(&machine);
}

/// Each page begins on a machine with four workers and the program `./shop`.
fn every_how_to_page(suite: Suite) {
    let files = fs::read_dir(format!("{DOCUMENTS}/how-to")).expect("the documents are there");
    let names = files.map(|file| file.expect("the directory can be read").file_name());
    let pages = names.map(|name| Page::read(&format!("how-to/{}", name.to_string_lossy())));
    let mut followed = 0;
    for page in pages.filter(|page| !page.blocks.is_empty()) {
        let cluster = Cluster::installed(suite);
        cluster.run(["cp", GOOD, &format!("{DIRECTORY}/shop")]).assert_success();
        page.follow(&cluster);
        followed += 1;
    }
    assert!(followed >= 5, "only {followed} pages have commands");
}

struct Page {
    name: String,
    blocks: Vec<Block>,
}

impl Page {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(format!("{DOCUMENTS}/{name}")).expect("the page can be read");
        Self { name: name.to_owned(), blocks: blocks(&text) }
    }

    /// Does what the page says.
    fn follow(&self, machine: &Machine) {
        for block in &self.blocks {
            match block {
                Block::File { path, content } => machine.write_file(path, content),
                Block::Command { line, shown } => {
                    let output = machine.shell(&format!("cd {DIRECTORY}; exec 2>&1; {line}"));
                    output.assert_success();
                    let occurs = occurs(shown, output.stdout());
                    assert!(occurs.is_ok(), "{} shows {occurs:?} for\n{output}", self.name);
                }
            }
        }
    }
}

/// What a reader does.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    File { path: String, content: String },
    Command { line: String, shown: Vec<String> },
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let content: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some((_, path)) = info.split_once("file=") {
            let path = Path::new(DIRECTORY).join(path).display().to_string();
            found.push(Block::File { path, content: content.join("\n") + "\n" });
        } else if info == "console" {
            found.extend(commands(&content));
        }
    }
    found
}

fn commands(content: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    for line in content {
        match (line.strip_prefix("# "), found.last_mut()) {
            (Some(line), _) => found.push(Block::Command { line: line.to_owned(), shown: Vec::new() }),
            (None, Some(Block::Command { shown, .. })) => shown.push((*line).to_owned()),
            (None, _) => panic!("a console block begins with {line:?}, and not with a command"),
        }
    }
    found
}

/// Whether the output has these lines in this order. Otherwise returns the first that is missing.
fn occurs<'a>(shown: &'a [String], output: &str) -> Result<(), &'a str> {
    let mut lines = output.lines();
    let shown = shown.iter().map(|line| line.trim_end()).filter(|line| *line != ANYTHING.to_string());
    for pattern in shown {
        if !lines.any(|line| matches(pattern, line.trim_end())) {
            return Err(pattern);
        }
    }
    Ok(())
}

/// Whether the line is the pattern, in which `…` is any text.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once(ANYTHING) else { return pattern == line };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let mut parts = rest.split(ANYTHING).collect::<Vec<_>>();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = line.split_once(part) else { return false };
        line = after;
    }
    line.ends_with(end)
}

#[test]
fn a_page_is_read_as_blocks() {
    let page =
        "```console\n# true; echo a\na\n# false\n```\n```sh\n# no\n```\n```ini file=/etc/x\n[X]\n```\n";
    let command = |line: &str, shown: &[&str]| Block::Command {
        line: line.to_owned(),
        shown: shown.iter().copied().map(str::to_owned).collect(),
    };
    let file = Block::File { path: "/etc/x".to_owned(), content: "[X]\n".to_owned() };
    assert_eq!(blocks(page), [command("true; echo a", &["a"]), command("false", &[]), file]);
}

#[test]
fn what_is_shown_has_to_occur_in_order() {
    let shown = |lines: &[&str]| lines.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(occurs(&shown(&["a …: b …", "…", "c"]), "x\na 7: b 8 9\ny\nc"), Ok(()));
    assert_eq!(occurs(&shown(&["c", "a …"]), "a 7\nc"), Err("a …"));
    assert_eq!(occurs(&shown(&["a"]), "a b"), Err("a"));
    assert!(matches("…b…d", "abcd") && !matches("…b…d", "abc") && !matches("a…a", "a"));
}
