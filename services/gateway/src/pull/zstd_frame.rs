//! A zstd frame whose middle was compressed before: what is in front of it and behind it differs for each response.
//!
//! A frame is a header and blocks (RFC 8878, section 3.1). Blocks that were compressed together only refer to each other,
//! so they can stand in another frame with the same window, between blocks that hold their bytes as they are. It is one frame,
//! because not every client reads a body of several.

use std::io;

use actix_web::web::Bytes;
use zstd::zstd_safe::CParameter;

/// The level of zstd. The middleware that compresses other responses has the same.
const LEVEL: i32 = 3;
/// How a frame begins: its magic number, then a descriptor of a header without content size, checksum and dictionary.
const FRAME_START: [u8; 5] = [0x28, 0xb5, 0x2f, 0xfd, 0];
/// Bytes in front of the first block: the start of the frame and the size of its window.
const HEADER_BYTES: usize = FRAME_START.len() + 1;
/// Bytes of a block that are not compressed: no more than the smallest window has.
const RAW_BLOCK_BYTES_MAX: usize = 1024;

/// Bytes that are compressed already, to be put into frames.
#[derive(Debug, Clone)]
pub(crate) struct CompressedMiddle {
    /// The size of the window, as frames describe it.
    window: u8,
    /// The blocks, none of which is marked as the last one.
    blocks: Bytes,
}

impl CompressedMiddle {
    pub(crate) fn compress(bytes: &[u8]) -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
        let mut frame = compressor.compress(bytes)?;
        let last = last_block(&frame).ok_or_else(|| io::Error::other("zstd has written another frame header"))?;
        frame[last] &= !1;
        let window = frame[FRAME_START.len()];
        Ok(Self { window, blocks: Bytes::from(frame).slice(HEADER_BYTES..) })
    }

    /// The frame that decompresses to `before`, these bytes, and `after`.
    pub(crate) fn frame(&self, before: &[u8], after: &[u8]) -> [Bytes; 3] {
        let mut start = [FRAME_START.as_slice(), &[self.window]].concat();
        for part in before.chunks(RAW_BLOCK_BYTES_MAX) {
            put_raw_block(&mut start, part, false);
        }
        let mut end = Vec::new();
        for part in after.chunks(RAW_BLOCK_BYTES_MAX) {
            put_raw_block(&mut end, part, false);
        }
        put_raw_block(&mut end, &[], true);
        [start.into(), self.blocks.clone(), end.into()]
    }

    /// Bytes of the blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len()
    }
}

/// Where the last block of a frame begins. `None` if the frame has not the expected header, or is not whole.
fn last_block(frame: &[u8]) -> Option<usize> {
    frame.strip_prefix(&FRAME_START)?;
    let mut at = HEADER_BYTES;
    loop {
        let header = u32::from_le_bytes([*frame.get(at)?, *frame.get(at + 1)?, *frame.get(at + 2)?, 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        // A block of one repeated byte holds that byte alone.
        let end = at + 3 + if kind == 1 { 1 } else { size };
        if is_last {
            return (end == frame.len()).then_some(at);
        }
        at = end;
    }
}

fn put_raw_block(frame: &mut Vec<u8>, bytes: &[u8], is_last: bool) {
    let header = (bytes.len() as u32) << 3 | u32::from(is_last);
    frame.extend_from_slice(&header.to_le_bytes()[..3]);
    frame.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_around_compressed_bytes_is_decompressed_with_them() {
        // Text that repeats itself, runs of one byte, and bytes that cannot be compressed.
        let noise = |bytes: usize| (0..bytes as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
        let middles = [0, 1, 100, 1_000, 130_000, 500_000, 3_000_000].into_iter().flat_map(|bytes| {
            let text: Vec<u8> =
                b"{\"position\":12345,\"table\":\"notes\"},".iter().copied().cycle().take(bytes).collect();
            let mixed = text.iter().zip(noise(bytes)).map(|(one, two)| if two & 1 == 0 { *one } else { two });
            [text.clone(), vec![7; bytes], noise(bytes).collect(), mixed.collect()]
        });
        for middle in middles {
            let compressed = CompressedMiddle::compress(&middle).unwrap();
            for around in [0, 1, 300, 5_000] {
                let (before, after): (Vec<u8>, Vec<u8>) = (noise(around).collect(), vec![b']'; around]);
                let frame = compressed.frame(&before, &after).concat();
                let decompressed = zstd::stream::decode_all(frame.as_slice()).unwrap();
                assert!(decompressed == [before, middle.clone(), after].concat(), "{} and {around}", middle.len());
            }
        }
    }
}
