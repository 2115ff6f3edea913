//! A1 notation: columns as letters, sheets in quotes, and where an answer says that rows landed.

/// The letters of a column, counted from 0: `A`, …, `Z`, `AA`.
pub fn column_name(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'A' + (index % 26) as u8);
        match index / 26 {
            0 => break,
            rest => index = rest - 1,
        }
    }
    letters.iter().rev().map(|&letter| char::from(letter)).collect()
}

/// A range within a sheet, as in `'Sheet 1'!A1:C1`.
pub fn range(sheet: &str, within: &str) -> String {
    format!("'{}'!{within}", sheet.replace('\'', "''"))
}

/// Column and row of a range's first cell, column from 0 and row from 1, as in `Sheet1!B7:D9`.
pub fn first_cell(range: &str) -> Option<(usize, u32)> {
    let cells = range.rsplit_once('!').map_or(range, |(_, cells)| cells);
    let first = cells.split(':').next()?;
    let digits = first.find(|c: char| c.is_ascii_digit())?;
    let (letters, row) = first.split_at(digits);
    if letters.is_empty() {
        return None;
    }
    let column = letters.bytes().try_fold(0usize, |column, letter| {
        let digit = letter.is_ascii_uppercase().then(|| usize::from(letter - b'A') + 1)?;
        column.checked_mul(26)?.checked_add(digit)
    })?;
    Some((column - 1, row.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_on_after_z() {
        for (index, name) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(column_name(index), name);
            assert_eq!(first_cell(&format!("{name}1")), Some((index, 1)));
        }
    }

    #[test]
    fn ranges_are_written_and_read() {
        assert_eq!(range("It's", "A1:B2"), "'It''s'!A1:B2");
        assert_eq!(first_cell("'It''s!'!B7:D9"), Some((1, 7)));
        assert_eq!(first_cell("Sheet1!AB12"), Some((27, 12)));
        for none in ["", "Sheet1", "Sheet1!A:B", "Sheet1!7:8", "Sheet1!a1", "Sheet1!A0x"] {
            assert_eq!(first_cell(none), None, "{none}");
        }
    }
}
