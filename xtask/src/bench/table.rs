//! Readable tables and numbers.

use std::time::Duration;

/// A Markdown table with aligned columns, also in the source. The first column holds words, the others
/// numbers.
pub(super) fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().copied().map(str::to_owned).collect();
    let lines = || std::iter::once(&header).chain(rows);
    let width =
        |column: usize| lines().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!(" {cell:width$} ") } else { format!(" {cell:>width$} ") }
        });
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column == 0 {
            format!(" {} ", "-".repeat(*width))
        } else {
            format!(" {}: ", "-".repeat(width - 1))
        }
    });
    let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    line(&header) + &rule + &rows.iter().map(line).collect::<String>()
}

/// 12345 as `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A change, with its sign and one decimal place: `+0.4`, `0.0`, `-1.2`.
pub(super) fn signed(change: f64) -> String {
    let text = format!("{change:+.1}");
    if text == "+0.0" || text == "-0.0" { "0.0".to_owned() } else { text }
}

/// Milliseconds with two decimal places.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// `2 min 5 s`.
pub(super) fn long(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [vec!["threads".to_owned(), "1".to_owned()], vec!["KiB".to_owned(), "5,144".to_owned()]];
        let expected = "\
            | what    |   now |\n\
            | ------- | ----: |\n\
            | threads |     1 |\n\
            | KiB     | 5,144 |\n";
        assert_eq!(markdown(&["what", "now"], &rows), expected);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.04, -0.04, 1.25, -3.0].map(signed), ["0.0", "0.0", "+1.2", "-3.0"]);
        assert_eq!([59, 125].map(|s| long(Duration::from_secs(s))), ["59 s", "2 min 5 s"]);
        assert_eq!(millis(Duration::from_micros(1234)), "1.23");
    }
}
