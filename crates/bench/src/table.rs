//! Rows as people read them.

use crate::row::Row;

const HEAD: [&str; 11] = [
    "area", "name", "unit", "ours p50", "ours p99", "baseline", "base p50", "base p99", "ratio",
    "target", "ok",
];
/// The columns of numbers, which stand on the right.
const NUMBERS: [usize; 5] = [3, 4, 6, 7, 8];

/// A table with aligned columns.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let drawn: Vec<_> = lines.iter().map(|line| draw(line, &widths)).collect();
    drawn.join("\n")
}

fn draw(line: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = line
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, &width))| {
            if NUMBERS.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:width$}")
            }
        })
        .collect();
    cells.join("  ").trim_end().to_owned()
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let number = |number: Option<f64>, places: usize| {
        number.map_or_else(|| "-".to_owned(), |number| format!("{number:.places$}"))
    };
    [
        row.area.to_owned(),
        row.name.clone(),
        row.unit.to_string(),
        number(row.ours_p50, 1),
        number(row.ours_p99, 1),
        row.baseline.to_owned(),
        number(row.baseline_p50, 1),
        number(row.baseline_p99, 1),
        number(row.ratio, 2),
        row.target.map_or_else(|| "-".to_owned(), |target| target.to_string()),
        match row.ok {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        }
        .to_owned(),
    ]
}
