//! The ops that are pushed, encoded beforehand. An op is encoded once by core's own types; a body is then put together
//! from such ops, each with its seq and record id filled in.

use std::ops::Range;

use anyhow::{Context, Result, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidelog_core::ids::{Actor, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Encoding, encode};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The table of every op, as in `catalog.toml`.
pub(crate) const TABLE: &str = "observations";
/// MessagePack bytes of the fields of an op.
pub(crate) const FIELD_BYTES: usize = 256;
/// Different ops before they repeat with other seqs and records.
const STENCILS: usize = 512;
/// Always the same ops, so that runs compare.
const SEED: u64 = 20_261_120;
/// When the ops were made, as their devices say.
const AT: UnixMs = UnixMs(1_795_163_400_000);

/// Ops of one encoding, with holes for seq and record id.
#[derive(Debug)]
pub(crate) struct Stencils {
    encoding: Encoding,
    stencils: Vec<Stencil>,
    /// How many records a device writes before it writes the first one again.
    records: u64,
}

#[derive(Debug)]
struct Stencil {
    before_seq: Vec<u8>,
    after_seq: Vec<u8>,
    /// Where in `after_seq` the 36 characters of the record id are.
    record_at: usize,
}

/// The fields of the ops, as MessagePack: what tables beside the log are filled with.
pub(crate) fn fields() -> Result<Vec<Vec<u8>>> {
    let mut random = StdRng::seed_from_u64(SEED);
    (0..STENCILS).map(|_| fields_of(&mut random).map(|fields| fields.to_msgpack())).collect()
}

/// The record that op `seq` of a device writes, of so many records that it has.
pub(crate) fn record_of(device: Uuid, seq: u64, records: u64) -> Uuid {
    let (high, low) = device.as_u64_pair();
    let number = seq % records;
    Uuid::from_u64_pair(scatter(high ^ number), scatter(low.wrapping_add(number)))
}

impl Stencils {
    /// Ops that write a new record each.
    pub(crate) fn new(encoding: Encoding) -> Result<Self> {
        Self::with_records(encoding, u64::MAX)
    }

    /// Ops of devices that have so many records each: from then on they write them again, in the same order.
    pub(crate) fn with_records(encoding: Encoding, records: u64) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(SEED);
        let stencils = (0..STENCILS).map(|_| Stencil::new(encoding, fields_of(&mut random)?));
        Ok(Self { encoding, stencils: stencils.collect::<Result<_>>()?, records })
    }

    /// How the ops are encoded.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::MessagePack => "application/msgpack",
        }
    }

    /// The body of a push of these seqs.
    pub(crate) fn body(&self, device: Uuid, seqs: Range<u64>) -> Vec<u8> {
        let count = usize::try_from(seqs.end - seqs.start).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(64 + count * (FIELD_BYTES + 320));
        match self.encoding {
            Encoding::Json => body.extend_from_slice(b"{\"ops\":["),
            Encoding::MessagePack => {
                body.extend_from_slice(b"\x81\xa3ops");
                array_head(&mut body, count);
            }
        }
        for seq in seqs {
            if self.encoding == Encoding::Json && !body.ends_with(b"[") {
                body.push(b',');
            }
            self.op(device, seq, &mut body);
        }
        if self.encoding == Encoding::Json {
            body.extend_from_slice(b"]}");
        }
        body
    }

    fn op(&self, device: Uuid, seq: u64, body: &mut Vec<u8>) {
        let stencil = &self.stencils[(scatter(seq ^ device.as_u64_pair().1) % self.stencils.len() as u64) as usize];
        body.extend_from_slice(&stencil.before_seq);
        match self.encoding {
            Encoding::Json => body.extend_from_slice(seq.to_string().as_bytes()),
            Encoding::MessagePack => integer(body, seq),
        }
        let record_at = body.len() + stencil.record_at;
        body.extend_from_slice(&stencil.after_seq);
        let record = record_of(device, seq, self.records).hyphenated();
        record.encode_lower(&mut body[record_at..record_at + Hyphenated::LENGTH]);
    }
}

impl Stencil {
    fn new(encoding: Encoding, fields: Fields) -> Result<Self> {
        let record = Uuid::nil().hyphenated().to_string();
        let op = Op {
            seq: Seq(1),
            table: TableName::parse(TABLE)?,
            record: RecordId::parse(record.as_str())?,
            scope: Scope::everyone(),
            intent: Intent::Put(fields.into()),
            base: Some(Position(0)),
            at: Some(AT),
            actor: Actor::nobody(),
        };
        let bytes = encode(encoding, &op).map_err(|error| anyhow!("an op cannot be encoded: {error}"))?;
        // The seq is the first member, and 1 is one byte in both encodings.
        let mark: &[u8] = match encoding {
            Encoding::Json => b"\"seq\":1",
            Encoding::MessagePack => b"\xa3seq\x01",
        };
        let seq_at = find(&bytes, mark).context("an op without its seq")? + mark.len() - 1;
        let (before_seq, after_seq) = (bytes[..seq_at].to_vec(), bytes[seq_at + 1..].to_vec());
        let record_at = find(&after_seq, record.as_bytes()).context("an op without its record")?;
        Ok(Self { before_seq, after_seq, record_at })
    }
}

/// Eight fields of an app, padded to [`FIELD_BYTES`] by the note.
fn fields_of(random: &mut StdRng) -> Result<Fields> {
    let text = |text: &str| Value::Text(text.to_owned());
    let place = [("lat", random.random_range(-90.0..90.0)), ("lon", random.random_range(-180.0..180.0))];
    let place = place.map(|(name, degrees)| (name.to_owned(), Value::Float(degrees)));
    let title = format!("Observation {:08}", random.random_range(0..100_000_000));
    let with_note = |note: String| -> Fields {
        let fields = [
            ("title", text(&title)),
            ("note", Value::Text(note)),
            ("count", Value::Int(300)),
            ("weight", Value::Float(71.25)),
            ("confirmed", Value::Bool(true)),
            ("seen_at", text("2026-11-20T07:59:12.345Z")),
            ("place", Value::Map(place.clone().into())),
            ("tags", Value::Array(vec![text("field"), text("checked")])),
        ];
        fields.into_iter().collect()
    };
    // A text of 32 to 255 bytes has a head of two.
    let padding =
        FIELD_BYTES.checked_sub(with_note(String::new()).to_msgpack().len() + 1).context("too many fields")?;
    let note: String = (0..padding).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    let fields = with_note(note);
    let bytes = fields.to_msgpack().len();
    ensure!(bytes == FIELD_BYTES, "fields of {bytes} bytes");
    Ok(fields)
}

/// An array's head, as short as MessagePack has it.
fn array_head(body: &mut Vec<u8>, count: usize) {
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(few @ 0..=15), _) => body.push(0x90 | few),
        (_, Ok(some)) => {
            body.push(0xdc);
            body.extend_from_slice(&some.to_be_bytes());
        }
        _ => {
            body.push(0xdd);
            body.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// An integer, as short as MessagePack has it.
fn integer(body: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        body.push(number as u8);
    } else if let Ok(number) = u8::try_from(number) {
        body.extend_from_slice(&[0xcc, number]);
    } else if let Ok(number) = u16::try_from(number) {
        body.push(0xcd);
        body.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        body.push(0xce);
        body.extend_from_slice(&number.to_be_bytes());
    } else {
        body.push(0xcf);
        body.extend_from_slice(&number.to_be_bytes());
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Spreads numbers over all 64 bits (the finalizer of `SplitMix64`).
fn scatter(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use tidelog_core::wire::{PushRequest, decode};

    use super::*;

    fn pushed(encoding: Encoding, seqs: Range<u64>) -> PushRequest {
        let stencils = Stencils::new(encoding).unwrap();
        decode(encoding, &stencils.body(Uuid::from_u128(7), seqs)).unwrap()
    }

    #[test]
    fn bodies_are_what_a_device_would_send_in_both_encodings() {
        for seqs in [1..2, 1..17, 100..228, 65_500..65_600, 4_294_967_290..4_294_967_300] {
            let (json, msgpack) = (pushed(Encoding::Json, seqs.clone()), pushed(Encoding::MessagePack, seqs.clone()));
            assert_eq!(json, msgpack);
            let sent: Vec<u64> = json.ops.iter().map(|op| op.seq.0 as u64).collect();
            assert_eq!(sent, seqs.collect::<Vec<_>>());
        }
    }

    #[test]
    fn msgpack_is_as_short_as_core_writes_it() {
        let stencils = Stencils::new(Encoding::MessagePack).unwrap();
        for seqs in [1..130, 250..300, 65_530..65_540] {
            let body = stencils.body(Uuid::from_u128(7), seqs);
            let push: PushRequest = decode(Encoding::MessagePack, &body).unwrap();
            assert_eq!(encode(Encoding::MessagePack, &push).unwrap(), body);
        }
    }

    #[test]
    fn fields_have_their_size_and_records_come_again() {
        assert!(fields().unwrap().iter().all(|fields| fields.len() == FIELD_BYTES));
        let push = pushed(Encoding::MessagePack, 1..3);
        assert_ne!(push.ops[0].record, push.ops[1].record);
        let device = Uuid::from_u128(7);
        assert_eq!(record_of(device, 3, 10), record_of(device, 13, 10));
        assert_ne!(record_of(device, 3, 10), record_of(Uuid::from_u128(8), 3, 10));
    }
}
