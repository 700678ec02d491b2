//! A value that is written in the type of the column or parameter that it is for.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// A value. It is encoded in the type of its column, so that the same row fits tables of different layouts.
#[derive(Debug, Clone, Copy)]
pub(super) enum ColumnValue<'a> {
    Null,
    Uuid(Uuid),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// An array of one element.
    ArrayOfOne(&'a ColumnValue<'a>),
    /// A row of a composite type.
    Row(&'a [ColumnValue<'a>]),
    /// The empty value of a type: zero, an empty text, an empty array.
    Empty,
}

impl ToSql for ColumnValue<'_> {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Uuid(uuid) if *column == Type::UUID => out.put_slice(uuid.as_bytes()),
            Self::Uuid(uuid) if *column == Type::BYTEA => out.put_slice(uuid.as_bytes()),
            Self::Uuid(uuid) => out.put_slice(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes()),
            Self::Int(number) => put_integer(number, column, out)?,
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::ArrayOfOne(element) => put_array(element, column, out)?,
            Self::Row(values) => put_row(values, column, out)?,
            Self::Empty => put_empty(column, out)?,
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn put_integer(number: i64, column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    match *column {
        Type::INT2 => out.put_i16(number.try_into()?),
        Type::INT4 => out.put_i32(number.try_into()?),
        Type::BOOL => out.put_u8(u8::from(number != 0)),
        Type::INT8 => out.put_i64(number),
        _ => return Err(format!("{number} does not fit a column of type {column}").into()),
    }
    Ok(())
}

/// Writes an array of one element in binary format: number of dimensions, whether it has nulls, the type of its elements,
/// then the length and the first subscript of its one dimension, then the element.
fn put_array(value: &ColumnValue<'_>, column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    let Kind::Array(element) = column.kind() else { return Err(format!("{column} is not an array type").into()) };
    let has_nulls = i32::from(matches!(value, ColumnValue::Null));
    for number in [1, has_nulls, element.oid().cast_signed(), 1, 1] {
        out.put_i32(number);
    }
    put_with_length(value, element, out)
}

/// Writes a row of a composite type in binary format: the number of its columns, then the type of each and its value.
fn put_row(values: &[ColumnValue<'_>], column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    let Kind::Composite(columns) = column.kind() else {
        return Err(format!("{column} is not a composite type").into());
    };
    out.put_i32(i32::try_from(values.len())?);
    for (value, column) in values.iter().zip(columns) {
        out.put_u32(column.type_().oid());
        put_with_length(value, column.type_(), out)?;
    }
    Ok(())
}

/// Writes a value after its length, which is -1 for null.
fn put_with_length(
    value: &ColumnValue<'_>,
    column: &Type,
    out: &mut BytesMut,
) -> Result<(), Box<dyn Error + Sync + Send>> {
    let mut bytes = BytesMut::new();
    let is_null = matches!(value.to_sql(column, &mut bytes)?, IsNull::Yes);
    out.put_i32(if is_null { -1 } else { i32::try_from(bytes.len())? });
    out.put_slice(&bytes);
    Ok(())
}

fn put_empty(column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    match column.kind() {
        Kind::Array(element) => {
            for number in [0, 0, element.oid().cast_signed()] {
                out.put_i32(number);
            }
        }
        _ if [Type::TEXT, Type::VARCHAR, Type::BYTEA].contains(column) => {}
        _ if *column == Type::UUID => out.put_slice(Uuid::nil().as_bytes()),
        _ => put_integer(0, column, out)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: ColumnValue<'_>, column: &Type) -> Vec<u8> {
        let mut out = BytesMut::new();
        value.to_sql(column, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn a_value_is_written_as_the_column_wants_it() {
        assert_eq!(written(ColumnValue::Int(7), &Type::INT2), [0, 7]);
        assert_eq!(written(ColumnValue::Int(7), &Type::INT8), [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(written(ColumnValue::Uuid(Uuid::nil()), &Type::UUID), [0; 16]);
        assert_eq!(written(ColumnValue::Uuid(Uuid::nil()), &Type::TEXT), b"00000000-0000-0000-0000-000000000000");
        assert!(ColumnValue::Int(1).to_sql(&Type::TEXT, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn arrays_are_as_the_driver_writes_them() {
        let mut expected = BytesMut::new();
        vec![Some("ab")].to_sql(&Type::TEXT_ARRAY, &mut expected).unwrap();
        assert_eq!(written(ColumnValue::ArrayOfOne(&ColumnValue::Text("ab")), &Type::TEXT_ARRAY)[..8], expected[..8]);
        assert_eq!(
            written(ColumnValue::ArrayOfOne(&ColumnValue::Text("ab")), &Type::TEXT_ARRAY)[8..12],
            expected[8..12]
        );
        assert!(
            expected.ends_with(&written(ColumnValue::ArrayOfOne(&ColumnValue::Text("ab")), &Type::TEXT_ARRAY)[20..])
        );
        assert_eq!(written(ColumnValue::Empty, &Type::INT8_ARRAY), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]);
    }
}
