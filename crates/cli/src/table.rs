//! A table that fits the terminal: first the last column is shortened, then unimportant columns are left out.

use std::io::{self, IsTerminal};

use anstyle::Style as Paint;

const GAP: usize = 2;

/// How text on standard output may look.
pub(crate) struct Style {
    /// The columns of the terminal; absent when it is not one.
    pub(crate) width: Option<usize>,
    /// Whether there are colours.
    pub(crate) colour: bool,
}

impl Style {
    /// What standard output can show. no-color.org defines `NO_COLOR`.
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let colour =
            stdout.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb");
        let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| width.0.into());
        Self { width, colour }
    }
}

/// A column's title, and how soon a narrow terminal leaves it out: the greatest number first, 0 never.
pub(crate) type Column = (&'static str, u8);

/// A row, and its coloured cell.
pub(crate) struct Row<const N: usize> {
    pub(crate) cells: [String; N],
    pub(crate) paint: Option<(usize, Paint)>,
}

impl<const N: usize> From<[String; N]> for Row<N> {
    fn from(cells: [String; N]) -> Self {
        Self { cells, paint: None }
    }
}

/// The table. Each line ends with a newline.
pub(crate) fn render<const N: usize>(columns: &[Column; N], rows: &[Row<N>], style: &Style) -> String {
    let widest = |i: usize| rows.iter().map(|row| row.cells[i].chars().count()).max().unwrap_or(0);
    let mut widths: [usize; N] = std::array::from_fn(|i| widest(i).max(columns[i].0.chars().count()));
    let shown = fit(columns, &mut widths, style.width);

    let mut text = line(&columns.map(|(title, _)| title.to_owned()).into(), &widths, &shown, false);
    for row in rows {
        text.push_str(&line(row, &widths, &shown, style.colour));
    }
    text
}

/// Narrows `widths` to the width of the terminal, and returns the columns that remain.
fn fit<const N: usize>(
    columns: &[Column; N],
    widths: &mut [usize; N],
    terminal: Option<usize>,
) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..N).collect();
    let Some(terminal) = terminal else { return shown };
    loop {
        let total: usize = shown.iter().map(|i| widths[*i] + GAP).sum::<usize>().saturating_sub(GAP);
        let excess = total.saturating_sub(terminal);
        let last = N - 1;
        if excess == 0 {
            return shown;
        }
        if shown.contains(&last) && widths[last].saturating_sub(excess) >= columns[last].0.len() {
            widths[last] -= excess;
            return shown;
        }
        match shown.iter().copied().filter(|i| columns[*i].1 > 0).max_by_key(|i| columns[*i].1) {
            Some(least) => shown.retain(|i| *i != least),
            None => return shown,
        }
    }
}

fn line<const N: usize>(row: &Row<N>, widths: &[usize; N], shown: &[usize], colour: bool) -> String {
    let mut line = String::new();
    for column in shown.iter().copied() {
        let cell = shortened(&row.cells[column], widths[column]);
        let gap = " ".repeat(widths[column] - cell.chars().count() + GAP);
        match row.paint.filter(|(painted, _)| colour && *painted == column) {
            Some((_, paint)) => line.push_str(&format!("{paint}{cell}{paint:#}")),
            None => line.push_str(&cell),
        }
        line.push_str(&gap);
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

fn shortened(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
