//! The frame of a JSON body: its strings, and the brackets outside them.

use crate::limits::BODY_DEPTH_MAX;
use crate::wire::decode::json_scan::end_of_string;

/// Whether the frame of a body is whole: every string ends, every bracket is closed by its counterpart, and nothing
/// follows the outermost one. Then a fault between two brackets has no effect outside them, whatever it is.
pub(super) fn is_framed(body: &[u8]) -> bool {
    let (mut open, mut at) = (Vec::new(), 0);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(body, at),
            b'[' | b'{' if open.len() == BODY_DEPTH_MAX => return false,
            b'[' => open.push(b']'),
            b'{' => open.push(b'}'),
            b']' | b'}' if open.pop() != Some(byte) => return false,
            b']' | b'}' if open.is_empty() => return body[at..].iter().all(u8::is_ascii_whitespace),
            _ => {}
        }
    }
    false
}
