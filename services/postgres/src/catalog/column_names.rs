//! Names of the columns for fields, in the views for analysts and in CSV, where names have to be unique and short.

use std::collections::HashSet;

/// The longest name that Postgres does not cut, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The names of the columns for these fields, in the same order, beside columns with the names of `fixed`.
///
/// A column has the name of its field. If that is a fixed name, or too long for Postgres, the column is called `field_`
/// and as much of the name as fits; if another column has that name too, `_2`, `_3` and so on is added. So the names of
/// the columns depend on the names of the fields alone.
pub fn column_names(fields: &[&str], fixed: &[&str]) -> Vec<String> {
    let keeps_name = |field: &str| field.len() <= NAME_BYTES_MAX && !field.is_empty() && !fixed.contains(&field);
    let mut taken: HashSet<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    taken.extend(fields.iter().filter(|field| keeps_name(field)).map(|field| (*field).to_owned()));
    let mut name_of = |field: &&str| {
        if keeps_name(field) {
            return (*field).to_owned();
        }
        let suffixes = (1..).map(|number| if number == 1 { String::new() } else { format!("_{number}") });
        let mut names = suffixes.map(|suffix| {
            let base = cut(&format!("field_{field}"), NAME_BYTES_MAX - suffix.len()).to_owned();
            base + &suffix
        });
        let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(name.clone());
        name
    };
    fields.iter().map(&mut name_of).collect()
}

/// As much of a text as fits into so many bytes, cut between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_own_name_or_a_defined_one() {
        let fixed = ["record", "version"];
        let names = |fields: &[&str]| column_names(fields, &fixed);
        assert_eq!(names(&["title", "Größe", "a b\"c"]), ["title", "Größe", "a b\"c"]);
        assert_eq!(names(&["record", "title"]), ["field_record", "title"]);
        assert_eq!(
            names(&["field_record", "record"]),
            ["field_record", "field_record_2"],
            "a field's own name comes first"
        );
        assert_eq!(names(&["field_record", "field_record_2", "record"])[2], "field_record_3");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, other) = ("x".repeat(63) + "1", "x".repeat(63) + "2");
        let names = column_names(&[&one, &other, &"é".repeat(40)], &[]);
        assert_eq!(names[0], format!("field_{}", "x".repeat(57)));
        assert_eq!(names[1], format!("field_{}_2", "x".repeat(55)));
        assert_eq!(names[2], format!("field_{}", "é".repeat(28)), "never in the middle of a letter");
        assert_eq!(column_names(&[&"y".repeat(63)], &[]), ["y".repeat(63)]);
    }
}
