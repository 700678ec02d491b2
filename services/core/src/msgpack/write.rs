//! Writes single MessagePack tokens, each in its shortest form: for what is written too often for a serializer.

/// Appends an integer.
pub(crate) fn put_int(out: &mut Vec<u8>, number: i64) {
    match number {
        0..=0x7f => out.push(number as u8),
        -32..=-1 => out.push(number as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..=0xffff => put(out, 0xcd, (number as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => put(out, 0xce, (number as u32).to_be_bytes()),
        0x1_0000_0000.. => put(out, 0xcf, number.to_be_bytes()),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..=-0x81 => put(out, 0xd1, (number as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => put(out, 0xd2, (number as i32).to_be_bytes()),
        ..=-0x8000_0001 => put(out, 0xd3, number.to_be_bytes()),
    }
}

/// Appends text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        bytes @ 0..=31 => out.push(0xa0 | bytes as u8),
        bytes @ 32..=0xff => out.extend_from_slice(&[0xd9, bytes as u8]),
        bytes @ 0x100..=0xffff => put(out, 0xda, (bytes as u16).to_be_bytes()),
        bytes => put(out, 0xdb, (bytes as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends the head of an array.
pub(crate) fn put_array(out: &mut Vec<u8>, items: usize) {
    match items {
        0..=15 => out.push(0x90 | items as u8),
        16..=0xffff => put(out, 0xdc, (items as u16).to_be_bytes()),
        _ => put(out, 0xdd, (items as u32).to_be_bytes()),
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, marker: u8, number: [u8; N]) {
    out.push(marker);
    out.extend_from_slice(&number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_what_the_serializer_writes() {
        let powers = (0..63).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, -(1 << bit) - 1, -(1 << bit)]);
        for number in powers.chain([i64::MIN, i64::MAX, -32, -33]) {
            let mut out = Vec::new();
            put_int(&mut out, number);
            assert_eq!(out, rmp_serde::to_vec(&number).unwrap(), "{number}");
        }
        for size in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let (text, mut out) = ("x".repeat(size), Vec::new());
            put_text(&mut out, &text);
            assert_eq!(out, rmp_serde::to_vec(&text).unwrap(), "{size}");
            out.clear();
            put_array(&mut out, size);
            assert!(rmp_serde::to_vec(&vec![0_u8; size]).unwrap().starts_with(&out), "{size}");
        }
    }
}
