//! Records as they are printed.

use std::collections::BTreeSet;
use std::io::{Result, Write};

use tidelog_core::ids::Position;
use tidelog_core::value::Value;
use tidelog_core::wire::RecordView;
use tidelog_postgres::column_names;

use crate::cli::output::table;

/// For people: each table with its records below each other.
pub(crate) fn tables(out: &mut dyn Write, position: Position, records: &[RecordView]) -> Result<()> {
    if records.is_empty() {
        return writeln!(out, "no records at position {position}");
    }
    for (number, of_table) in records.chunk_by(|one, other| one.table == other.table).enumerate() {
        let fields = fields_of(of_table);
        let fixed = ["RECORD", "SCOPE", "VERSION", "UPDATED"];
        let head: Vec<_> = fixed.into_iter().chain(fields.iter().copied()).collect();
        let rows = of_table.iter().map(|record| {
            let fixed = [
                record.record.to_string(),
                record.scope.to_string(),
                record.version.to_string(),
                record.updated_at.to_string(),
            ];
            fixed.into_iter().chain(fields.iter().map(|field| shown(record.fields.0.get(*field))))
        });
        let between = if number > 0 { "\n" } else { "" };
        let count = of_table.len();
        writeln!(out, "{between}{} at position {position}: {count} records\n", of_table[0].table)?;
        write!(out, "{}", table(&head, rows.map(Vec::from_iter)))?;
    }
    Ok(())
}

/// A record a line, as `/sync/records` gives it.
pub(crate) fn ndjson(out: &mut dyn Write, records: &[RecordView]) -> Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, record)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The columns before those of the fields.
const FIXED: [&str; 5] = ["table", "record", "scope", "version", "updated_at"];

/// A record a line below a head of every field. Exact for who minds quotation marks: text always stands in them, numbers,
/// true, false and null never; binary, arrays and maps are the text of their JSON; of an absent field there is nothing.
pub(crate) fn csv(out: &mut dyn Write, records: &[RecordView]) -> Result<()> {
    let fields = fields_of(records);
    let columns = column_names(&fields, &FIXED);
    let head: Vec<_> = FIXED.iter().copied().chain(columns.iter().map(String::as_str)).map(in_quotes).collect();
    writeln!(out, "{}", head.join(","))?;
    for record in records {
        let fixed = [
            in_quotes(record.table.as_str()),
            in_quotes(record.record.as_str()),
            in_quotes(record.scope.as_str()),
            record.version.to_string(),
            in_quotes(&record.updated_at.to_string()),
        ];
        let cells = fields.iter().map(|field| cell(record.fields.0.get(*field)));
        let cells: Vec<_> = fixed.into_iter().chain(cells).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// Every field that some record has, in the order of their names.
fn fields_of(records: &[RecordView]) -> Vec<&str> {
    let fields: BTreeSet<&str> = records.iter().flat_map(|record| record.fields.0.keys().map(String::as_str)).collect();
    fields.into_iter().collect()
}

/// A value for people.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => text.clone(),
        Some(value) => json(value),
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Text(text)) => in_quotes(text),
        Some(value @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_))) => json(value),
        Some(value @ (Value::Binary(_) | Value::Array(_) | Value::Map(_))) => in_quotes(&json(value)),
    }
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn json(value: &Value) -> String {
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
    fn csv_tells_text_from_everything_else_and_what_is_absent_from_what_is_empty() {
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
