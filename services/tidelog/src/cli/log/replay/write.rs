//! Prints records as tables, NDJSON or CSV.

use std::collections::BTreeSet;
use std::io::{Result, Write};

use tidelog_core::ids::Position;
use tidelog_core::value::Value;
use tidelog_core::wire::RecordView;
use tidelog_postgres::column_names;

use crate::cli::output::table;

/// For people: a heading and a list for each table.
pub(crate) fn tables(out: &mut dyn Write, position: Position, records: &[RecordView]) -> Result<()> {
    if records.is_empty() {
        return writeln!(out, "no records at position {position}");
    }
    for (number, of_table) in records.chunk_by(|one, other| one.table == other.table).enumerate() {
        let fields = fields_of(of_table);
        let fixed = ["RECORD", "SCOPE", "VERSION", "UPDATED"];
        let header: Vec<_> = fixed.into_iter().chain(fields.iter().copied()).collect();
        let rows = of_table.iter().map(|record| {
            let fixed = [
                record.record.to_string(),
                record.scope.to_string(),
                record.version.to_string(),
                record.updated_at.to_string(),
            ];
            fixed.into_iter().chain(fields.iter().map(|field| text_cell(record.fields.0.get(*field))))
        });
        let between = if number > 0 { "\n" } else { "" };
        let count = of_table.len();
        writeln!(out, "{between}{} at position {position}: {count} records\n", of_table[0].table)?;
        write!(out, "{}", table(&header, rows.map(Vec::from_iter)))?;
    }
    Ok(())
}

/// One record per line, as in the response of `/sync/records`.
pub(crate) fn ndjson(out: &mut dyn Write, records: &[RecordView]) -> Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, record)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The columns before those of the fields.
const FIXED_COLUMNS: [&str; 5] = ["table", "record", "scope", "version", "updated_at"];

/// One record per line, below a header with every field. A reader that minds quotation marks gets exact types: text is
/// always quoted, numbers, true, false and null never are. Binary, arrays and maps are quoted JSON. An absent field is an
/// empty cell without quotation marks.
pub(crate) fn csv(out: &mut dyn Write, records: &[RecordView]) -> Result<()> {
    let fields = fields_of(records);
    let columns = column_names(&fields, &FIXED_COLUMNS);
    let header: Vec<_> = FIXED_COLUMNS.iter().copied().chain(columns.iter().map(String::as_str)).map(quoted).collect();
    writeln!(out, "{}", header.join(","))?;
    for record in records {
        let fixed = [
            quoted(record.table.as_str()),
            quoted(record.record.as_str()),
            quoted(record.scope.as_str()),
            record.version.to_string(),
            quoted(&record.updated_at.to_string()),
        ];
        let cells = fields.iter().map(|field| csv_cell(record.fields.0.get(*field)));
        let cells: Vec<_> = fixed.into_iter().chain(cells).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// The names of all fields that any of the records has, sorted.
fn fields_of(records: &[RecordView]) -> Vec<&str> {
    let fields: BTreeSet<&str> = records.iter().flat_map(|record| record.fields.0.keys().map(String::as_str)).collect();
    fields.into_iter().collect()
}

/// A value for people.
fn text_cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => text.clone(),
        Some(value) => to_json(value),
    }
}

fn csv_cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => quoted(text),
        Some(value @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_))) => to_json(value),
        Some(value @ (Value::Binary(_) | Value::Array(_) | Value::Map(_))) => quoted(&to_json(value)),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn to_json(value: &Value) -> String {
    // Every value has a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: serde_json::Value) -> RecordView {
        serde_json::from_value(json).unwrap()
    }

    fn written(records: &[RecordView], write: fn(&mut dyn Write, &[RecordView]) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out, records).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn records() -> Vec<RecordView> {
        let at = "2026-11-20T08:00:00.000Z";
        let fields = serde_json::json!({"title": "a \"b\",\nc", "n": 5.0, "record": "5", "empty": ""});
        let more = serde_json::json!({"n": i64::MAX, "title": null, "b": {"$binary": "AAH/"}, "list": [1, 1.0, true]});
        vec![
            record(
                serde_json::json!({"table": "notes", "record": "1", "version": 2, "deleted": false, "fields": fields, "updated_at": at}),
            ),
            record(
                serde_json::json!({"table": "notes", "record": "x,y", "scope": "s", "version": 3, "deleted": false, "fields": more, "updated_at": at}),
            ),
        ]
    }

    #[test]
    fn csv_distinguishes_text_from_other_types_and_absent_fields_from_empty_ones() {
        let expected = concat!(
            "\"table\",\"record\",\"scope\",\"version\",\"updated_at\",\"b\",\"empty\",\"list\",\"n\",\"field_record\",\"title\"\n",
            "\"notes\",\"1\",\"\",2,\"2026-11-20T08:00:00.000Z\",,\"\",,5.0,\"5\",\"a \"\"b\"\",\nc\"\n",
            "\"notes\",\"x,y\",\"s\",3,\"2026-11-20T08:00:00.000Z\",\"{\"\"$binary\"\":\"\"AAH/\"\"}\",,\"[1,1.0,true]\",9223372036854775807,,null\n",
        );
        assert_eq!(written(&records(), csv), expected);
        assert_eq!(written(&[], csv), "\"table\",\"record\",\"scope\",\"version\",\"updated_at\"\n");
    }

    #[test]
    fn lines_read_back_as_the_same_records() {
        let lines = written(&records(), ndjson);
        let read: Vec<RecordView> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, records());
    }
}
