//! Checks packed values where they are, in the body that they came in, so that they can be stored unchanged.

use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX};
use crate::msgpack::read::{Reader, Token};
use crate::value::model::BINARY_KEY;

/// Reads a map of fields that can be stored unchanged, and returns the number of fields.
///
/// `None` does not mean that the fields are invalid: some are acceptable only after a change, such as -0.0. A caller
/// that has to know decodes them value by value.
pub(crate) fn take_fields(reader: &mut Reader<'_>) -> Option<usize> {
    let Token::Map(entries) = reader.token()? else { return None };
    take_map(reader, entries, 1, |name| !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != BINARY_KEY)?;
    Some(entries as usize)
}

/// Reads a value, which is nested at `depth`: the value of a field is at 1, its items at 2.
fn take_value(reader: &mut Reader<'_>, depth: usize) -> Option<()> {
    match reader.token()? {
        Token::Nil | Token::Bool(_) | Token::Int(_) | Token::Binary(_) => Some(()),
        Token::TooLarge => None,
        Token::Float(float) => (float.is_finite() && !is_minus_zero(float)).then_some(()),
        Token::Text(text) => is_text(text).then_some(()),
        Token::Array(_) | Token::Map(_) if depth > DEPTH_MAX => None,
        Token::Array(items) => (0..items).try_for_each(|_| take_value(reader, depth + 1)),
        Token::Map(entries) => take_map(reader, entries, depth + 1, |key| entries != 1 || key != BINARY_KEY),
    }
}

/// Reads the entries of a map whose values are nested at `depth`, and refuses a key that occurs twice.
///
/// The check seldom allocates: keys in ascending order have no duplicates, up to 16 keys are compared with each other,
/// and only more keys in disorder are sorted.
fn take_map(reader: &mut Reader<'_>, entries: u32, depth: usize, is_allowed: impl Fn(&str) -> bool) -> Option<()> {
    const FIRST_KEYS: usize = 16;
    let mut first = [""; FIRST_KEYS];
    let mut further: Vec<&str> = Vec::new();
    let (mut is_ascending, mut previous) = (true, None);
    for index in 0..entries as usize {
        let key = reader.next_text()?;
        if !is_text(key) || !is_allowed(key) {
            return None;
        }
        is_ascending &= previous.is_none_or(|previous| previous < key);
        previous = Some(key);
        match first.get_mut(index) {
            Some(slot) => *slot = key,
            None => further.push(key),
        }
        take_value(reader, depth)?;
    }
    if is_ascending {
        return Some(());
    }
    let first = &first[..FIRST_KEYS.min(entries as usize)];
    if further.is_empty() {
        let has_duplicate = first.iter().enumerate().any(|(index, key)| first[..index].contains(key));
        return (!has_duplicate).then_some(());
    }
    further.extend(first);
    further.sort_unstable();
    further.windows(2).all(|pair| pair[0] != pair[1]).then_some(())
}

/// Whether the value model allows a text: it has no NUL.
fn is_text(text: &str) -> bool {
    !text.as_bytes().contains(&0)
}

fn is_minus_zero(float: f64) -> bool {
    float == 0.0 && float.is_sign_negative()
}
