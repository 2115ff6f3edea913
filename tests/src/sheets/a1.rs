//! A1 notation, as far as the API documents it: cells, rows and columns, with or without a sheet, and sheets
//! as a whole.

/// A rectangle of cells, from 0, the last ones included; open ends go on to the end of the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub top: usize,
    pub left: usize,
    pub bottom: Option<usize>,
    pub right: Option<usize>,
    /// Written as one cell: where something begins, not where it ends.
    pub is_cell: bool,
}

/// What a range means: the sheet's title (`None`: the first sheet), and the cells.
pub(super) fn parse(range: &str, titles: &[&str]) -> Option<(Option<String>, Rect)> {
    let whole = Rect { top: 0, left: 0, bottom: None, right: None, is_cell: false };
    if let Some((title, cells)) = range.rsplit_once('!') {
        let title = title
            .strip_prefix('\'')
            .and_then(|title| title.strip_suffix('\''))
            .map_or_else(|| title.to_owned(), |title| title.replace("''", "'"));
        let known = titles.iter().find(|known| known.eq_ignore_ascii_case(&title))?;
        return Some((Some((*known).to_owned()), rect(cells)?));
    }
    if let Some(rect) = rect(range) {
        return Some((None, rect));
    }
    let title = range.strip_prefix('\'').and_then(|title| title.strip_suffix('\'')).unwrap_or(range);
    let known = titles.iter().find(|known| known.eq_ignore_ascii_case(title))?;
    Some((Some((*known).to_owned()), whole))
}

fn rect(cells: &str) -> Option<Rect> {
    let (first, last) = cells.split_once(':').map_or((cells, None), |(first, last)| (first, Some(last)));
    let (left, top) = cell(first)?;
    let Some(last) = last else {
        return Some(Rect { top: top?, left: left?, bottom: top, right: left, is_cell: true });
    };
    let (right, bottom) = cell(last)?;
    Some(Rect { top: top.unwrap_or(0), left: left.unwrap_or(0), bottom, right, is_cell: false })
}

/// Column and row, of which one may be missing.
fn cell(text: &str) -> Option<(Option<usize>, Option<usize>)> {
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (letters, number) = text.split_at(digits);
    if text.is_empty() || letters.len() > 3 || !letters.bytes().all(|letter| letter.is_ascii_alphabetic()) {
        return None;
    }
    let digit = |letter: u8| usize::from(letter.to_ascii_uppercase() - b'A') + 1;
    let column = letters.bytes().fold(0, |column, letter| column * 26 + digit(letter));
    let row = match number {
        "" => None,
        number => Some(number.parse::<usize>().ok()?.checked_sub(1)?),
    };
    Some((column.checked_sub(1), row))
}

/// A rectangle with both ends, as answers write it.
pub(super) fn name(title: &str, top: usize, left: usize, bottom: usize, right: usize) -> String {
    let plain = title.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && rect(title).is_none();
    let title = if plain { title.to_owned() } else { format!("'{}'", title.replace('\'', "''")) };
    let first = format!("{}{}", letters(left), top + 1);
    let last = format!("{}{}", letters(right), bottom + 1);
    if first == last { format!("{title}!{first}") } else { format!("{title}!{first}:{last}") }
}

/// A column's letters.
pub(super) fn letters(mut column: usize) -> String {
    let mut out = String::new();
    loop {
        out.insert(0, char::from(b'A' + (column % 26) as u8));
        if column < 26 {
            return out;
        }
        column = column / 26 - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_the_guide_says() {
        let titles = ["Sheet1", "My Sheet", "It's"];
        let of = |range: &str| {
            let (title, rect) = parse(range, &titles)?;
            Some((title, rect.top, rect.left, rect.bottom, rect.right))
        };
        let sheet = |title: &str| Some(title.to_owned());
        assert_eq!(of("Sheet1!A1:B2"), Some((sheet("Sheet1"), 0, 0, Some(1), Some(1))));
        assert_eq!(of("Sheet1!A:A"), Some((sheet("Sheet1"), 0, 0, None, Some(0))));
        assert_eq!(of("Sheet1!1:2"), Some((sheet("Sheet1"), 0, 0, Some(1), None)));
        assert_eq!(of("Sheet1!A5:A"), Some((sheet("Sheet1"), 4, 0, None, Some(0))));
        assert_eq!(of("A1:B2"), Some((None, 0, 0, Some(1), Some(1))));
        assert_eq!(of("Sheet1"), Some((sheet("Sheet1"), 0, 0, None, None)));
        assert_eq!(of("'My Sheet'"), Some((sheet("My Sheet"), 0, 0, None, None)));
        assert_eq!(of("'It''s'!C7"), Some((sheet("It's"), 6, 2, Some(6), Some(2))));
        for none in ["Other!A1", "Sheet1!", "Sheet1!A0", "A1:", "", "Sheet1!A1B", "ABCD1"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(name("My Sheet", 6, 27, 8, 27), "'My Sheet'!AB7:AB9");
        assert_eq!(name("A1", 0, 0, 0, 0), "'A1'!A1");
    }
}
