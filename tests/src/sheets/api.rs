//! The documented methods of the API: what they take, what they answer, and how they refuse.

use serde_json::{Value, json};

use super::State;
use super::a1::{self, Rect};
use super::grid::{Cell, Sheet, Updated, content};

/// The most cells of a spreadsheet, over all its sheets.
const MAX_CELLS: usize = 10_000_000;

/// A request, as far as the API looks at it.
pub(super) struct Request<'a> {
    pub method: &'a str,
    /// Below `/v4/spreadsheets/`, not decoded.
    pub path: &'a str,
    pub query: &'a [(String, String)],
    pub body: &'a [u8],
}

/// A refusal in Google's form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub code: u16,
    pub status: &'static str,
    pub message: String,
    pub details: Value,
}

impl Refusal {
    pub fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: json!([]) }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    fn absent() -> Self {
        Self::new(404, "NOT_FOUND", "Requested entity was not found.")
    }

    pub fn body(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if self.details != json!([]) {
            error["details"] = self.details.clone();
        }
        json!({"error": error})
    }
}

/// A spreadsheet, and who may do what with it.
#[derive(Debug, Default)]
pub(super) struct Spreadsheet {
    pub sheets: Vec<Sheet>,
    pub editors: Vec<String>,
}

impl Spreadsheet {
    fn find(&mut self, range: &str) -> Result<(&mut Sheet, Rect, usize), Refusal> {
        let titles: Vec<&str> = self.sheets.iter().map(|sheet| sheet.title.as_str()).collect();
        let found = a1::parse(range, &titles);
        let cells: usize = self.sheets.iter().map(|sheet| sheet.rows * sheet.columns).sum();
        let unknown = || Refusal::invalid(format!("Unable to parse range: {range}"));
        let (title, rect) = found.ok_or_else(unknown)?;
        let wanted = |sheet: &&mut Sheet| title.as_ref().is_none_or(|title| *title == sheet.title);
        let sheet = self.sheets.iter_mut().find(wanted).ok_or_else(unknown)?;
        Ok((sheet, rect, MAX_CELLS.saturating_sub(cells)))
    }
}

impl Request<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))
    }

    /// Whether this changes something, which has a quota of its own.
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// Answers a request of an account.
pub(super) fn answer(state: &mut State, email: &str, request: &Request<'_>) -> Result<Value, Refusal> {
    let (id, rest) = match request.path.find(['/', ':']) {
        Some(end) => request.path.split_at(end),
        None => (request.path, ""),
    };
    let id = decode(id);
    let spreadsheet = state.spreadsheets.get_mut(&id).ok_or_else(Refusal::absent)?;
    if !spreadsheet.editors.iter().any(|editor| editor == email) {
        return Err(Refusal::new(403, "PERMISSION_DENIED", "The caller does not have permission"));
    }
    match (request.method, rest) {
        ("GET", "") => Ok(properties(&id, spreadsheet, request)),
        ("POST", ":batchUpdate") => structure(&id, spreadsheet, &request.json()?),
        ("GET", "/values:batchGet") => {
            let ranges = request.query.iter().filter(|(name, _)| name == "ranges").map(|(_, range)| range);
            let read: Result<Vec<Value>, Refusal> = ranges.map(|range| read(spreadsheet, range, request)).collect();
            Ok(json!({"spreadsheetId": id, "valueRanges": read?}))
        }
        ("POST", "/values:batchUpdate") => batch_update(&id, spreadsheet, &request.json()?),
        _ => {
            let range = rest.strip_prefix("/values/").ok_or_else(Refusal::absent)?;
            match (request.method, range.strip_suffix(":append")) {
                ("POST", Some(range)) => append(&id, spreadsheet, &decode(range), request),
                ("GET", None) => read(spreadsheet, &decode(range), request),
                ("PUT", None) => {
                    let as_typed = as_typed(request.parameter("valueInputOption"))?;
                    let updated = update(spreadsheet, &decode(range), &request.json()?, as_typed)?;
                    Ok(shown(&id, &updated))
                }
                _ => Err(Refusal::absent()),
            }
        }
    }
}

/// `spreadsheets.get`; of `fields`, only whether it is about sheets is looked at.
fn properties(id: &str, spreadsheet: &Spreadsheet, request: &Request<'_>) -> Value {
    let sheets: Vec<Value> = spreadsheet
        .sheets
        .iter()
        .enumerate()
        .map(|(index, sheet)| {
            let grid = json!({"rowCount": sheet.rows, "columnCount": sheet.columns});
            json!({"properties": {
                "sheetId": sheet.id, "title": sheet.title, "index": index, "sheetType": "GRID", "gridProperties": grid,
            }})
        })
        .collect();
    match request.parameter("fields") {
        Some(fields) if fields.starts_with("sheets.") => json!({"sheets": sheets}),
        _ => json!({"spreadsheetId": id, "properties": {"title": "Stand-in"}, "sheets": sheets}),
    }
}

/// `spreadsheets.batchUpdate`, of which only `appendDimension` and `addSheet` are known. All or nothing.
fn structure(id: &str, spreadsheet: &mut Spreadsheet, body: &Value) -> Result<Value, Refusal> {
    let Some(requests) = body["requests"].as_array().filter(|requests| !requests.is_empty()) else {
        return Err(Refusal::invalid("Must specify at least one request."));
    };
    let mut sheets = spreadsheet.sheets.clone();
    for (index, request) in requests.iter().enumerate() {
        let invalid = |what: &str| Refusal::invalid(format!("Invalid requests[{index}].{what}"));
        if let Some(grow) = request.get("appendDimension") {
            let id = grow["sheetId"].as_i64().unwrap_or(0);
            let sheet = sheets.iter_mut().find(|sheet| sheet.id == id);
            let sheet = sheet.ok_or_else(|| invalid(&format!("appendDimension: No grid with id: {id}")))?;
            let length = grow["length"].as_u64().filter(|&length| length > 0);
            let length = length.ok_or_else(|| invalid("appendDimension: length must be positive"))? as usize;
            match grow["dimension"].as_str() {
                Some("COLUMNS") => sheet.widen(length),
                Some("ROWS") => sheet.rows += length,
                _ => return Err(invalid("appendDimension: No dimension")),
            }
        } else if let Some(title) = request["addSheet"]["properties"]["title"].as_str() {
            if sheets.iter().any(|sheet| sheet.title.eq_ignore_ascii_case(title)) {
                let twice = format!("addSheet: A sheet with the name \"{title}\" already exists.");
                return Err(invalid(&twice));
            }
            sheets.push(Sheet::new(sheets.len() as i64 * 1001, title));
        } else {
            return Err(invalid("unknown: this stand-in knows appendDimension and addSheet"));
        }
    }
    if sheets.iter().map(|sheet| sheet.rows * sheet.columns).sum::<usize>() > MAX_CELLS {
        return Err(Refusal::invalid(
            "This action would increase the number of cells in the workbook above the limit of 10000000 cells.",
        ));
    }
    spreadsheet.sheets = sheets;
    Ok(json!({"spreadsheetId": id, "replies": vec![json!({}); requests.len()]}))
}

/// `values.get`.
fn read(spreadsheet: &mut Spreadsheet, range: &str, request: &Request<'_>) -> Result<Value, Refusal> {
    let (sheet, rect, _) = spreadsheet.find(range)?;
    let by_columns = by_columns(request.parameter("majorDimension"))?;
    let formatted = match request.parameter("valueRenderOption") {
        None | Some("FORMATTED_VALUE") => true,
        Some("UNFORMATTED_VALUE" | "FORMULA") => false,
        Some(other) => return Err(Refusal::invalid(format!("Invalid value at 'value_render_option', \"{other}\""))),
    };
    let rows = sheet.read(rect);
    let render = |cell: &Cell| match cell {
        Cell::Empty => json!(""),
        Cell::Value(Value::Bool(truth)) if formatted => json!(truth.to_string().to_uppercase()),
        Cell::Value(Value::Number(number)) if formatted => json!(number.to_string()),
        Cell::Value(value) => value.clone(),
        Cell::Formula(formula) => json!(formula),
    };
    let mut values: Vec<Vec<Value>> = rows.iter().map(|row| row.iter().map(render).collect()).collect();
    if by_columns {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let column = |column: usize| values.iter().map(|row| row.get(column).cloned().unwrap_or(json!(""))).collect();
        values = (0..width).map(column).collect();
    }
    let bottom = rect.bottom.unwrap_or(usize::MAX).min(sheet.rows - 1);
    let right = rect.right.unwrap_or(usize::MAX).min(sheet.columns - 1);
    let mut answer = json!({
        "range": a1::name(&sheet.title, rect.top, rect.left, bottom, right),
        "majorDimension": if by_columns { "COLUMNS" } else { "ROWS" },
    });
    if !values.is_empty() {
        answer["values"] = json!(values);
    }
    Ok(answer)
}

/// `values.append`.
fn append(id: &str, spreadsheet: &mut Spreadsheet, range: &str, request: &Request<'_>) -> Result<Value, Refusal> {
    let as_typed = as_typed(request.parameter("valueInputOption"))?;
    let insert = match request.parameter("insertDataOption") {
        None | Some("OVERWRITE") => false,
        Some("INSERT_ROWS") => true,
        Some(other) => return Err(Refusal::invalid(format!("Invalid value at 'insert_data_option', \"{other}\""))),
    };
    let body = request.json()?;
    if let Some(other) = body["range"].as_str().filter(|other| *other != range) {
        let message = format!("Requested writing within range [{range}], but tried writing to [{other}]");
        return Err(Refusal::invalid(message));
    }
    let by_columns = by_columns(body["majorDimension"].as_str())?;
    let cells = content(&body["values"], by_columns, as_typed).map_err(Refusal::invalid)?;
    let (sheet, rect, budget) = spreadsheet.find(range)?;
    let (table, updated) = sheet.append(rect, cells, insert, budget).map_err(Refusal::invalid)?;
    let mut answer = json!({"spreadsheetId": id, "updates": shown(id, &updated)});
    if let Some(table) = table {
        answer["tableRange"] = json!(table);
    }
    Ok(answer)
}

/// `values.batchUpdate`: all ranges, or none.
fn batch_update(id: &str, spreadsheet: &mut Spreadsheet, body: &Value) -> Result<Value, Refusal> {
    let as_typed = as_typed(body["valueInputOption"].as_str())?;
    let before = spreadsheet.sheets.clone();
    let mut responses = Vec::new();
    let (mut rows, mut cells) = (0, 0);
    for (index, data) in body["data"].as_array().into_iter().flatten().enumerate() {
        let range = data["range"].as_str().unwrap_or_default();
        match update(spreadsheet, range, data, as_typed) {
            Ok(updated) => {
                rows += updated.rows;
                cells += updated.cells;
                responses.push(shown(id, &updated));
            }
            Err(refusal) => {
                spreadsheet.sheets = before;
                return Err(Refusal::invalid(format!("Invalid data[{index}]: {}", refusal.message)));
            }
        }
    }
    Ok(json!({"spreadsheetId": id, "totalUpdatedRows": rows, "totalUpdatedCells": cells, "responses": responses}))
}

fn update(spreadsheet: &mut Spreadsheet, range: &str, data: &Value, as_typed: bool) -> Result<Updated, Refusal> {
    let by_columns = by_columns(data["majorDimension"].as_str())?;
    let cells = content(&data["values"], by_columns, as_typed).map_err(Refusal::invalid)?;
    let (sheet, rect, _) = spreadsheet.find(range)?;
    sheet.update(rect, cells).map_err(Refusal::invalid)
}

fn shown(id: &str, updated: &Updated) -> Value {
    json!({
        "spreadsheetId": id, "updatedRange": updated.range, "updatedRows": updated.rows,
        "updatedColumns": updated.columns, "updatedCells": updated.cells,
    })
}

fn as_typed(option: Option<&str>) -> Result<bool, Refusal> {
    match option {
        Some("RAW") => Ok(false),
        Some("USER_ENTERED") => Ok(true),
        None => Err(Refusal::invalid("'valueInputOption' is required but not specified")),
        Some(other) => Err(Refusal::invalid(format!("Invalid value at 'value_input_option', \"{other}\""))),
    }
}

fn by_columns(dimension: Option<&str>) -> Result<bool, Refusal> {
    match dimension {
        None | Some("ROWS" | "DIMENSION_UNSPECIFIED") => Ok(false),
        Some("COLUMNS") => Ok(true),
        Some(other) => Err(Refusal::invalid(format!("Invalid value at 'major_dimension', \"{other}\""))),
    }
}

fn decode(segment: &str) -> String {
    let plus_kept = segment.replace('+', "%2B");
    url::form_urlencoded::parse(plus_kept.as_bytes()).next().map_or_else(String::new, |(text, _)| text.into_owned())
}
