//! Scans a JSON body in one pass, before it is parsed, for what the parser would accept silently or could not name:
//! integers beyond 64 bits (it reads them as inexact floats), floats beyond the finite range, nesting, too many values,
//! and white space without end.

use crate::error::Code;
use crate::limits::{BODY_DEPTH_MAX, BODY_VALUES_MAX, WHITESPACE_BYTES_MAX, WHITESPACE_RUN_BYTES_MAX};
use crate::wire::decode::scan_fault::ScanFault;

/// Finds the first fault of a body. Bytes that are not JSON pass: the parser reports them.
pub(super) fn scan(body: &[u8]) -> Result<(), ScanFault> {
    let (mut depth, mut at, mut values, mut whitespace) = (0usize, 0usize, 0usize, 0usize);
    let whitespace_max = WHITESPACE_BYTES_MAX + body.len() / 2;
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(body, at),
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > BODY_DEPTH_MAX {
                    return Err(ScanFault::too_deep(at - 1));
                }
            }
            b' ' | b'\n' | b'\r' | b'\t' => {
                let end = end_of_whitespace(body, at);
                let run = end - (at - 1);
                whitespace += run;
                if run > WHITESPACE_RUN_BYTES_MAX || whitespace > whitespace_max {
                    return Err(ScanFault::too_much_whitespace());
                }
                at = end;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(body, at);
                let checked = check_number(&body[at - 1..end]);
                checked.map_err(|detail| ScanFault { at: Some(at - 1), code: Code::NumberRange, detail })?;
                at = end;
            }
            _ => {}
        }
        if values > BODY_VALUES_MAX {
            return Err(ScanFault::too_many_values(at - 1));
        }
    }
    Ok(())
}

/// Whether a JSON body that begins with these bytes is refused for a run of white space, however it goes on.
pub fn has_endless_whitespace(start: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = start.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(start, at),
            b' ' | b'\n' | b'\r' | b'\t' => {
                let end = end_of_whitespace(start, at);
                if end - (at - 1) > WHITESPACE_RUN_BYTES_MAX {
                    return true;
                }
                at = end;
            }
            _ => {}
        }
    }
    false
}

/// The index after the closing quote of the string whose text starts at `at`.
pub(super) fn end_of_string(body: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => at += 1,
            _ => {}
        }
    }
    at
}

/// The index after the white space at `at`, or after so much of it that the body is refused.
fn end_of_whitespace(body: &[u8], at: usize) -> usize {
    let is_whitespace = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    at + body[at..].iter().take(WHITESPACE_RUN_BYTES_MAX).take_while(is_whitespace).count()
}

fn end_of_number(body: &[u8], at: usize) -> usize {
    let digits = body[at..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    at + digits.count()
}

fn check_number(number: &[u8]) -> Result<(), &'static str> {
    /// A number this short is in range unless it has an exponent.
    const SAFE_BYTES_MAX: usize = 18;
    let is_float = number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if number.len() <= SAFE_BYTES_MAX && !(is_float && number.iter().any(|byte| matches!(byte, b'e' | b'E'))) {
        return Ok(());
    }
    let Ok(text) = std::str::from_utf8(number) else { return Ok(()) };
    match is_float {
        true if text.parse::<f64>().is_ok_and(|float| !float.is_finite()) => Err("floats have to be finite"),
        // With a sign in the middle it is not a number at all, which the parser reports.
        false if !text[1..].contains(['-', '+']) && text.parse::<i64>().is_err() => {
            Err("integers have to fit in 64 bits, signed")
        }
        true | false => Ok(()),
    }
}
