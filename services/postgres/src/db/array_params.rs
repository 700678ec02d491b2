//! Arrays as parameters, written once into the bytes that Postgres reads: no value is held twice on its way.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, WrongType, to_sql_checked};

/// Parameters of a statement.
pub(crate) type Params<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

/// An array of one dimension without nulls in Postgres' binary form.
#[derive(Debug)]
pub(crate) struct Column {
    of: Type,
    count: i32,
    elements: Vec<u8>,
}

impl Column {
    /// An empty one, of elements of this type.
    pub(crate) fn of(of: Type) -> Self {
        Self { of, count: 0, elements: Vec::new() }
    }

    /// Adds an element: the bytes that `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.elements.len();
        self.elements.extend_from_slice(&[0; 4]);
        write(&mut self.elements);
        // A parameter of more than 2 GiB is refused as a whole before anybody reads this.
        let length = i32::try_from(self.elements.len() - start - 4).unwrap_or(i32::MAX);
        self.elements[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.count += 1;
    }

    /// Adds an element of these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_with(|elements| elements.extend_from_slice(bytes));
    }

    /// What its elements take with their lengths, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.elements.len()
    }

    /// Its elements, each with its length in front, as the columns of a row of COPY have it too.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.elements.as_slice();
        std::iter::from_fn(move || {
            let length = rest.first_chunk().map(|length| u32::from_be_bytes(*length))?;
            let (element, after) = rest.split_at_checked(4 + length as usize)?;
            rest = after;
            Some(element)
        })
    }

    /// How many elements it has.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or_default()
    }
}

impl ToSql for Column {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *ty.kind() != Kind::Array(self.of.clone()) {
            return Err(Box::new(WrongType::new::<Self>(ty.clone())));
        }
        let dimensions = i32::from(self.count > 0);
        for number in [dimensions, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.of.oid().to_be_bytes());
        if self.count > 0 {
            // How many, counted from 1.
            for number in [self.count, 1] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}
