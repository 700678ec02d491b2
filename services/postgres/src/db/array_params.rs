//! Array parameters, encoded while they are filled: every value is copied once, into the bytes that Postgres reads.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, WrongType, to_sql_checked};

/// The parameters of a statement.
pub(crate) type Params<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

/// An array of one dimension without nulls, in Postgres' binary form.
#[derive(Debug)]
pub(crate) struct ArrayParam {
    element_type: Type,
    count: i32,
    elements: Vec<u8>,
}

impl ArrayParam {
    /// An empty array with elements of a type.
    pub(crate) fn of(element_type: Type) -> Self {
        Self { element_type, count: 0, elements: Vec::new() }
    }

    /// Adds an element, whose bytes `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.elements.len();
        self.elements.extend_from_slice(&[0; 4]);
        write(&mut self.elements);
        // The driver refuses a parameter of more than 2 GiB, so a wrong length is never sent.
        let length = i32::try_from(self.elements.len() - start - 4).unwrap_or(i32::MAX);
        self.elements[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.count += 1;
    }

    /// Adds an element with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.push_with(|elements| elements.extend_from_slice(bytes));
    }

    /// Bytes of the elements and their lengths.
    pub(crate) fn bytes(&self) -> usize {
        self.elements.len()
    }

    /// The elements, each preceded by its length, which is also the form of a column in a row of COPY.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.elements.as_slice();
        std::iter::from_fn(move || {
            let length = rest.first_chunk().map(|length| u32::from_be_bytes(*length))?;
            let (element, after) = rest.split_at_checked(4 + length as usize)?;
            rest = after;
            Some(element)
        })
    }

    /// How many elements the array has.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or_default()
    }
}

impl ToSql for ArrayParam {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *ty.kind() != Kind::Array(self.element_type.clone()) {
            return Err(Box::new(WrongType::new::<Self>(ty.clone())));
        }
        let dimensions = i32::from(self.count > 0);
        for number in [dimensions, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.element_type.oid().to_be_bytes());
        if self.count > 0 {
            // The number of elements, and the index of the first.
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
