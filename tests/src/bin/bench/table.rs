//! A table of figures: ours, what it must reach, what the reference has.

/// Rows under one heading.
pub(crate) struct Table {
    title: &'static str,
    rows: Vec<[String; 4]>,
    failed: usize,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(title: &'static str) -> Table {
        Table { title, rows: Vec::new(), failed: 0 }
    }

    /// Adds a row; `met` is `None` where nothing is asked for.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        ours: impl Into<String>,
        reach: impl Into<String>,
        reference: impl Into<String>,
        met: Option<bool>,
    ) {
        let reach = reach.into();
        let reach = match met {
            Some(true) => format!("{reach}  met"),
            Some(false) => format!("{reach}  NOT MET"),
            None => reach,
        };
        self.failed += usize::from(met == Some(false));
        self.rows.push([what.into(), ours.into(), reach, reference.into()]);
        let row = &self.rows[self.rows.len() - 1];
        eprintln!("  {}: {} ({})", row[0], row[1], row[2]);
    }

    /// Prints the table; returns how many rows are not met.
    pub(crate) fn print(self) -> usize {
        let headings = ["", "ours", "reach", "reference"].map(String::from);
        let width = |column: usize| self.rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        println!("\n## {}\n", self.title);
        let line = |row: &[String; 4]| {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            println!("| {} |", cells.join(" | "));
        };
        line(&headings);
        println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
        self.rows.iter().for_each(line);
        self.failed
    }
}

/// A table of a study: any columns, nothing to reach.
pub(crate) struct Markdown {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Markdown {
    /// An empty table.
    pub(crate) fn new(title: impl Into<String>, headings: &[&str]) -> Markdown {
        Markdown { title: title.into(), rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        eprintln!("  {}", cells.join(" | "));
        self.rows.push(cells);
    }

    /// Prints it.
    pub(crate) fn print(self) {
        println!("\n## {}\n", self.title);
        for (index, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if index == 0 {
                println!("|{}", "---|".repeat(row.len()));
            }
        }
    }
}
