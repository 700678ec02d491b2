//! One pass over a JSON body before it is parsed, for what a parser would take silently or could not name: integers
//! beyond 64 bits (read as inexact floats otherwise), floats beyond the finite, and nesting.

use crate::error::Code;
use crate::limits::{BODY_DEPTH_MAX, BODY_VALUES_MAX};
use crate::wire::decode::scan_fault::{ScanFault, TOO_MANY_VALUES};

/// Finds the first such fault. Bytes that are no JSON pass: the parser tells those.
pub(crate) fn scan(body: &[u8]) -> Result<(), ScanFault> {
    let (mut depth, mut at, mut values) = (0usize, 0usize, 0usize);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(body, at),
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > BODY_DEPTH_MAX {
                    return Err(ScanFault { at: at - 1, code: Code::TooDeep, detail: "the body nests too deep" });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(body, at);
                let found = check_number(&body[at - 1..end]);
                found.map_err(|detail| ScanFault { at: at - 1, code: Code::NumberRange, detail })?;
                at = end;
            }
            _ => {}
        }
        if values > BODY_VALUES_MAX {
            return Err(ScanFault { at: at - 1, code: Code::BodyTooLarge, detail: TOO_MANY_VALUES });
        }
    }
    Ok(())
}

/// Past the closing quote of the string that starts at `at`.
fn end_of_string(body: &[u8], mut at: usize) -> usize {
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

fn end_of_number(body: &[u8], at: usize) -> usize {
    let digits = body[at..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    at + digits.count()
}

fn check_number(number: &[u8]) -> Result<(), &'static str> {
    const SURELY_FINITE_BYTES: usize = 18;
    let is_float = number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if number.len() <= SURELY_FINITE_BYTES && !(is_float && number.iter().any(|byte| matches!(byte, b'e' | b'E'))) {
        return Ok(());
    }
    let Ok(text) = std::str::from_utf8(number) else { return Ok(()) };
    match is_float {
        true if text.parse::<f64>().is_ok_and(|float| !float.is_finite()) => Err("floats are finite"),
        // Signs in odd places are no number at all: the parser tells those.
        false if !text[1..].contains(['-', '+']) && text.parse::<i64>().is_err() => {
            Err("integers have 64 bits, signed")
        }
        true | false => Ok(()),
    }
}
