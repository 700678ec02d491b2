//! A value for a column of whatever type the table has it in.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// A value. How it is written depends on the column's type, so one row fits tables of several layouts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Null,
    Uuid(Uuid),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// An array of one element.
    One(&'a Cell<'a>),
    /// The least that a type has: zero, nothing, an empty array.
    Least,
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Uuid(uuid) if *column == Type::UUID => out.put_slice(uuid.as_bytes()),
            Self::Uuid(uuid) if *column == Type::BYTEA => out.put_slice(uuid.as_bytes()),
            Self::Uuid(uuid) => out.put_slice(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes()),
            Self::Int(number) => put_integer(number, column, out)?,
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::One(cell) => put_array(cell, column, out)?,
            Self::Least => put_least(column, out)?,
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

/// Dimensions, whether there are nulls, the elements' type; then, of the one dimension, length and first subscript.
fn put_array(cell: &Cell<'_>, column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    let Kind::Array(element) = column.kind() else { return Err(format!("{column} is no array").into()) };
    let mut value = BytesMut::new();
    let is_null = matches!(cell.to_sql(element, &mut value)?, IsNull::Yes);
    for number in [1, i32::from(is_null), element.oid().cast_signed(), 1, 1] {
        out.put_i32(number);
    }
    out.put_i32(if is_null { -1 } else { i32::try_from(value.len())? });
    out.put_slice(&value);
    Ok(())
}

fn put_least(column: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
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

    fn written(cell: Cell<'_>, column: &Type) -> Vec<u8> {
        let mut out = BytesMut::new();
        cell.to_sql(column, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn a_value_is_written_as_the_column_wants_it() {
        assert_eq!(written(Cell::Int(7), &Type::INT2), [0, 7]);
        assert_eq!(written(Cell::Int(7), &Type::INT8), [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(written(Cell::Uuid(Uuid::nil()), &Type::UUID), [0; 16]);
        assert_eq!(written(Cell::Uuid(Uuid::nil()), &Type::TEXT), b"00000000-0000-0000-0000-000000000000");
        assert!(Cell::Int(1).to_sql(&Type::TEXT, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn arrays_are_as_the_driver_writes_them() {
        let mut expected = BytesMut::new();
        vec![Some("ab")].to_sql(&Type::TEXT_ARRAY, &mut expected).unwrap();
        assert_eq!(written(Cell::One(&Cell::Text("ab")), &Type::TEXT_ARRAY)[..8], expected[..8]);
        assert_eq!(written(Cell::One(&Cell::Text("ab")), &Type::TEXT_ARRAY)[8..12], expected[8..12]);
        assert!(expected.ends_with(&written(Cell::One(&Cell::Text("ab")), &Type::TEXT_ARRAY)[20..]));
        assert_eq!(written(Cell::Least, &Type::INT8_ARRAY), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]);
    }
}
