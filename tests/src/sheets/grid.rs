//! One sheet: its cells, the tables in them, and what the documented methods do to them.

use serde_json::Value;

use super::a1::{self, Rect};
use super::entered;

/// A cell. Formulas are kept, not worked out.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Cell {
    /// Nothing.
    #[default]
    Empty,
    /// A text, a number or a truth value.
    Value(Value),
    /// A formula, with its `=`.
    Formula(String),
}

/// A refusal: `INVALID_ARGUMENT`, with Google's words.
pub(super) type Refused = String;

/// The most characters of a cell.
const MAX_CHARACTERS: usize = 50_000;

/// A sheet of a spreadsheet.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    pub id: i64,
    pub title: String,
    pub rows: usize,
    pub columns: usize,
    cells: Vec<Vec<Cell>>,
}

/// What a write has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Updated {
    pub range: String,
    pub rows: usize,
    pub columns: usize,
    pub cells: usize,
}

/// The parsed content of a write; `None` leaves a cell alone.
pub(super) type Content = Vec<Vec<Option<Cell>>>;

/// Reads the `values` of a request.
pub(super) fn content(values: &Value, by_columns: bool, as_typed: bool) -> Result<Content, Refused> {
    let invalid = |place: &str, value: &Value| {
        let kind = if value.is_object() { "struct_value" } else { "list_value" };
        format!("Invalid {place}: {kind} {value}")
    };
    let Some(lines) = values.as_array() else { return Err("Invalid value at 'data.values'".to_owned()) };
    let mut content: Content = Vec::new();
    for (outer, line) in lines.iter().enumerate() {
        let line = line.as_array().ok_or_else(|| format!("Invalid value at 'data.values[{outer}]' (type list)"))?;
        for (inner, value) in line.iter().enumerate() {
            let cell = match value {
                Value::Null => None,
                Value::String(text) if text.encode_utf16().count() > MAX_CHARACTERS => {
                    let limit = format!("the maximum of {MAX_CHARACTERS} characters in a single cell");
                    return Err(format!("Your input contains more than {limit}."));
                }
                Value::String(text) if as_typed => Some(entered::typed(text)),
                Value::String(text) if text.is_empty() => Some(Cell::Empty),
                Value::Array(_) | Value::Object(_) => {
                    return Err(invalid(&format!("values[{outer}][{inner}]"), value));
                }
                // A cell holds a double.
                Value::Number(number) if !number.is_f64() => match number.as_f64() {
                    Some(double) if double as i128 == number.to_string().parse().unwrap_or(0) => {
                        Some(Cell::Value(value.clone()))
                    }
                    double => Some(Cell::Value(double.into())),
                },
                other => Some(Cell::Value(other.clone())),
            };
            let (row, column) = if by_columns { (inner, outer) } else { (outer, inner) };
            if content.len() <= row {
                content.resize_with(row + 1, Vec::new);
            }
            if content[row].len() <= column {
                content[row].resize_with(column + 1, || None);
            }
            content[row][column] = cell;
        }
        if !by_columns && content.len() <= outer {
            content.resize_with(outer + 1, Vec::new);
        }
    }
    Ok(content)
}

impl Sheet {
    /// As new sheets are: 1,000 rows, 26 columns.
    pub fn new(id: i64, title: &str) -> Self {
        Self { id, title: title.to_owned(), rows: 1000, columns: 26, cells: Vec::new() }
    }

    pub fn cell(&self, row: usize, column: usize) -> &Cell {
        static NONE: Cell = Cell::Empty;
        self.cells.get(row).and_then(|row| row.get(column)).unwrap_or(&NONE)
    }

    fn is_empty(&self, row: usize, column: usize) -> bool {
        *self.cell(row, column) == Cell::Empty
    }

    /// The cells of a rectangle, without the empty ones at the end of each row and of all.
    pub fn read(&self, rect: Rect) -> Vec<Vec<Cell>> {
        let bottom = rect.bottom.map_or(self.cells.len(), |bottom| self.cells.len().min(bottom + 1));
        let mut rows: Vec<Vec<Cell>> = (rect.top..bottom)
            .map(|row| {
                let right = rect.right.map_or(self.columns, |right| right + 1);
                let width = self.cells[row].len().min(right);
                let mut cells: Vec<Cell> = (rect.left..width).map(|column| self.cell(row, column).clone()).collect();
                while cells.last() == Some(&Cell::Empty) {
                    cells.pop();
                }
                cells
            })
            .collect();
        while rows.last().is_some_and(Vec::is_empty) {
            rows.pop();
        }
        rows
    }

    /// `values.update`: writes within the grid and within the range.
    pub fn update(&mut self, rect: Rect, content: Content) -> Result<Updated, Refused> {
        let (height, width) = (content.len(), content.iter().map(Vec::len).max().unwrap_or(0));
        let (bottom, right) = (rect.top + height.max(1) - 1, rect.left + width.max(1) - 1);
        let first = a1::name(&self.title, rect.top, rect.left, rect.top, rect.left);
        if rect.top >= self.rows || rect.left >= self.columns || bottom >= self.rows || right >= self.columns {
            let (rows, columns) = (self.rows, self.columns);
            return Err(format!("Range ({first}) exceeds grid limits. Max rows: {rows}, max columns: {columns}"));
        }
        let within = a1::name(
            &self.title,
            rect.top,
            rect.left,
            rect.bottom.unwrap_or(self.rows - 1),
            rect.right.unwrap_or(self.columns - 1),
        );
        if !rect.is_cell && rect.right.is_some_and(|last| right > last) {
            let column = a1::letters(right);
            return Err(format!("Requested writing within range [{within}], but tried writing to column [{column}]"));
        }
        if !rect.is_cell && rect.bottom.is_some_and(|last| bottom > last) {
            return Err(format!(
                "Requested writing within range [{within}], but tried writing to row [{}]",
                bottom + 1
            ));
        }
        Ok(self.write(rect.top, rect.left, content))
    }

    /// `values.append`: finds the table in the range, and writes after it. Returns the table too. `budget` is
    /// how many cells the spreadsheet may grow by.
    pub fn append(
        &mut self,
        range: Rect,
        content: Content,
        insert: bool,
        budget: usize,
    ) -> Result<(Option<String>, Updated), Refused> {
        let table = self.table(range);
        let (row, column) = table.map_or((range.top, range.left), |table| (table.bottom + 1, table.left));
        let (height, width) = (content.len(), content.iter().map(Vec::len).max().unwrap_or(0));
        let rows = if insert { (self.rows + height).max(row + height) } else { self.rows.max(row + height) };
        let columns = self.columns.max(column + width);
        if rows * columns > self.rows * self.columns + budget {
            return Err(
                "This action would increase the number of cells in the workbook above the limit of 10000000 cells."
                    .to_owned(),
            );
        }
        if insert && row < self.cells.len() {
            self.cells.splice(row..row, std::iter::repeat_n(Vec::new(), height));
        }
        (self.rows, self.columns) = (rows, columns);
        let found = table.map(|table| a1::name(&self.title, table.top, table.left, table.bottom, table.right));
        Ok((found, self.write(row, column, content)))
    }

    /// `appendDimension`.
    pub fn widen(&mut self, columns: usize) {
        self.columns += columns;
    }

    fn write(&mut self, top: usize, left: usize, content: Content) -> Updated {
        let (height, width) = (content.len(), content.iter().map(Vec::len).max().unwrap_or(0));
        if height == 0 || width == 0 {
            return Updated::default();
        }
        let range = a1::name(&self.title, top, left, top + height - 1, left + width - 1);
        let mut updated = Updated { range, ..Updated::default() };
        let mut columns = vec![false; width];
        if self.cells.len() < top + height {
            self.cells.resize_with(top + height, Vec::new);
        }
        for (row, line) in self.cells[top..].iter_mut().zip(content) {
            let before = updated.cells;
            if row.len() < left + line.len() {
                row.resize_with(left + line.len(), Cell::default);
            }
            for (column, cell) in line.into_iter().enumerate() {
                if let Some(cell) = cell {
                    row[left + column] = cell;
                    columns[column] = true;
                    updated.cells += 1;
                }
            }
            updated.rows += usize::from(updated.cells > before);
        }
        updated.columns = columns.iter().filter(|touched| **touched).count();
        updated
    }

    /// The last table that a range touches: a block of cells with nothing but empty ones around it.
    fn table(&self, range: Rect) -> Option<Table> {
        let bottom = range.bottom.map_or(self.cells.len(), |bottom| self.cells.len().min(bottom + 1));
        let right = range.right.map_or(self.columns, |right| right + 1);
        let seed = (range.top..bottom).rev().find_map(|row| {
            (range.left..right).find(|&column| !self.is_empty(row, column)).map(|column| (row, column))
        });
        if let Some((row, column)) = seed {
            return Some(self.around(row, column));
        }
        // An empty cell of the range may still lie within a table's rectangle.
        let mut last = None;
        let above = |row: usize| range.bottom.is_none_or(|bottom| row <= bottom);
        for row in (0..self.cells.len()).take_while(|&row| above(row)) {
            for column in (0..self.cells[row].len()).filter(|&column| !self.is_empty(row, column)) {
                let table = self.around(row, column);
                let touches = table.bottom >= range.top
                    && table.right >= range.left
                    && range.right.is_none_or(|right| table.left <= right)
                    && above(table.top);
                if touches {
                    last = Some(table);
                }
            }
        }
        last
    }

    /// The block around a cell.
    fn around(&self, row: usize, column: usize) -> Table {
        let mut table = Table { top: row, left: column, bottom: row, right: column };
        loop {
            let before = table;
            let columns = table.left.saturating_sub(1)..=table.right + 1;
            let filled = |row: usize| columns.clone().any(|column| !self.is_empty(row, column));
            while table.top > 0 && filled(table.top - 1) {
                table.top -= 1;
            }
            while filled(table.bottom + 1) {
                table.bottom += 1;
            }
            let rows = table.top.saturating_sub(1)..=table.bottom + 1;
            let filled = |column: usize| rows.clone().any(|row| !self.is_empty(row, column));
            while table.left > 0 && filled(table.left - 1) {
                table.left -= 1;
            }
            while filled(table.right + 1) {
                table.right += 1;
            }
            if table == before {
                return table;
            }
        }
    }
}

/// A table's rectangle, the last row and column included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Table {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The sheet of Google's guide: tables at A1:C2 and B4:D6.
    fn guide() -> Sheet {
        let mut sheet = Sheet::new(0, "Sheet1");
        let (_, first) = a1::parse("A1", &[]).expect("a range");
        let (_, second) = a1::parse("B4", &[]).expect("a range");
        let fill = |rows: &Value| content(rows, false, false).expect("cells");
        sheet.update(first, fill(&json!([["x", "y", "z"], ["x", "y", "z"]]))).expect("within the grid");
        sheet.update(second, fill(&json!([["x", "y"], ["y", null, "z"], ["x", "y", "z"]]))).expect("within the grid");
        sheet
    }

    fn appended(range: &str, insert: bool) -> (Sheet, String) {
        let mut sheet = guide();
        let (_, rect) = a1::parse(range, &["Sheet1"]).expect("a range");
        let cells = content(&json!([["new"]]), false, false).expect("cells");
        let (_, updated) = sheet.append(rect, cells, insert, 1_000_000).expect("room");
        (sheet, updated.range)
    }

    #[test]
    fn tables_are_found_as_the_guide_says() {
        for range in ["Sheet1", "B4", "C5:D5", "B2:D4", "A3:G10", "A:D", "C5"] {
            assert_eq!(appended(range, false).1, "Sheet1!B7", "{range}");
        }
        assert_eq!(appended("A1", false).1, "Sheet1!A3");
        assert_eq!(appended("E4", false).1, "Sheet1!E4");
        assert_eq!(appended("A4", false).1, "Sheet1!A4");
    }

    #[test]
    fn inserting_pushes_down_what_is_below_and_overwriting_does_not() {
        let (sheet, range) = appended("A1", true);
        assert_eq!((range.as_str(), sheet.rows), ("Sheet1!A3", 1001));
        assert_eq!(*sheet.cell(4, 1), Cell::Value(json!("x")), "B4 is B5 now");
        let (sheet, _) = appended("A1", false);
        assert_eq!((sheet.cell(3, 1), sheet.rows), (&Cell::Value(json!("x")), 1000));
    }

    #[test]
    fn the_grid_grows_by_appending_only() {
        let mut sheet = Sheet::new(0, "S");
        let at = |range: &str| a1::parse(range, &["S"]).expect("a range").1;
        let rows = |count: usize| content(&json!(vec![vec![1; 3]; count]), false, false).expect("cells");
        let error = sheet.update(at("A1001"), rows(1)).expect_err("beyond the grid");
        assert_eq!(error, "Range (S!A1001) exceeds grid limits. Max rows: 1000, max columns: 26");
        assert!(sheet.update(at("A1:B1"), rows(1)).expect_err("too wide").contains("tried writing to column [C]"));
        assert!(sheet.update(at("A1:C1"), rows(2)).expect_err("too high").contains("tried writing to row [2]"));
        sheet.append(at("A1"), rows(1000), false, 0).expect("fits");
        assert!(sheet.append(at("A1"), rows(1), false, 0).expect_err("full").contains("10000000"));
        let (table, updated) = sheet.append(at("A1"), rows(2), false, 52).expect("fits");
        assert_eq!((table.as_deref(), updated.range.as_str()), (Some("S!A1:C1000"), "S!A1001:C1002"));
        assert_eq!((sheet.rows, updated.rows, updated.columns, updated.cells), (1002, 2, 3, 6));
        assert_eq!(sheet.read(at("B1001:B")).len(), 2);
    }

    #[test]
    fn content_is_checked_and_turned() {
        let read = |values: Value, by_columns| content(&values, by_columns, false);
        let cell = |value: Value| Some(Cell::Value(value));
        assert_eq!(
            read(json!([[1, null], ["a", ""]]), false),
            Ok(vec![vec![cell(json!(1)), None], vec![cell(json!("a")), Some(Cell::Empty)]])
        );
        assert_eq!(
            read(json!([[1, 2], [3]]), true),
            Ok(vec![vec![cell(json!(1)), cell(json!(3))], vec![cell(json!(2))]])
        );
        assert_eq!(
            read(json!([[9_007_199_254_740_993_u64]]), false),
            Ok(vec![vec![cell(json!(9_007_199_254_740_992.0))]])
        );
        assert_eq!(
            read(json!([[1, {"a": 1}]]), false),
            Err(r#"Invalid values[0][1]: struct_value {"a":1}"#.to_owned())
        );
        assert!(read(json!([["x".repeat(50_001)]]), false).expect_err("too long").contains("50000"));
    }
}
