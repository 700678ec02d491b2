//! The bodies of pushes, put together from ops that were encoded beforehand.
//!
//! Each template is an op that core has encoded once. A body is a sequence of copies of such templates, with the seq and the
//! record id of each filled in.

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
/// Size of an op's fields in MessagePack.
pub(crate) const FIELD_BYTES: usize = 256;
/// Number of different templates. Further ops repeat them with other seqs and records.
const TEMPLATE_COUNT: usize = 512;
/// The same in every run, so that all runs push the same ops and can be compared.
const SEED: u64 = 20_261_120;
/// The `at` of all ops: the time at which their devices say they were made.
const AT: UnixMs = UnixMs(1_795_163_400_000);

/// Encoded ops with gaps for seq and record id.
#[derive(Debug)]
pub(crate) struct OpTemplates {
    encoding: Encoding,
    templates: Vec<OpTemplate>,
    /// Records of each device: as many of its ops each write another one, and the ops after them write the same again.
    records: u64,
}

#[derive(Debug)]
struct OpTemplate {
    before_seq: Vec<u8>,
    after_seq: Vec<u8>,
    /// The offset in `after_seq` of the 36 characters of the record id.
    record_at: usize,
}

/// The fields of all templates in MessagePack, for the rows of the baselines.
pub(crate) fn fields() -> Result<Vec<Vec<u8>>> {
    let mut random = StdRng::seed_from_u64(SEED);
    (0..TEMPLATE_COUNT).map(|_| fields_of(&mut random).map(|fields| fields.to_msgpack())).collect()
}

/// The record that op `seq` of a device writes, if the device has this many records.
pub(crate) fn record_of(device: Uuid, seq: u64, records: u64) -> Uuid {
    let (high, low) = device.as_u64_pair();
    let number = seq % records;
    Uuid::from_u64_pair(scatter(high ^ number), scatter(low.wrapping_add(number)))
}

impl OpTemplates {
    /// Ops that write a new record each.
    pub(crate) fn new(encoding: Encoding) -> Result<Self> {
        Self::with_records(encoding, u64::MAX)
    }

    /// Ops of devices with this many records each, which they write again and again in the same order.
    pub(crate) fn with_records(encoding: Encoding, records: u64) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(SEED);
        let templates = (0..TEMPLATE_COUNT).map(|_| OpTemplate::new(encoding, fields_of(&mut random)?));
        Ok(Self { encoding, templates: templates.collect::<Result<_>>()?, records })
    }

    /// The media type of the bodies.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::MessagePack => "application/msgpack",
        }
    }

    /// The body of a device's push of the ops with these seqs.
    pub(crate) fn body(&self, device: Uuid, seqs: Range<u64>) -> Vec<u8> {
        let count = usize::try_from(seqs.end - seqs.start).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(64 + count * (FIELD_BYTES + 320));
        match self.encoding {
            Encoding::Json => body.extend_from_slice(b"{\"ops\":["),
            Encoding::MessagePack => {
                body.extend_from_slice(b"\x81\xa3ops");
                write_array_head(&mut body, count);
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
        let template = &self.templates[(scatter(seq ^ device.as_u64_pair().1) % self.templates.len() as u64) as usize];
        body.extend_from_slice(&template.before_seq);
        match self.encoding {
            Encoding::Json => body.extend_from_slice(seq.to_string().as_bytes()),
            Encoding::MessagePack => write_integer(body, seq),
        }
        let record_at = body.len() + template.record_at;
        body.extend_from_slice(&template.after_seq);
        let record = record_of(device, seq, self.records).hyphenated();
        record.encode_lower(&mut body[record_at..record_at + Hyphenated::LENGTH]);
    }
}

impl OpTemplate {
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
        // The seq is the first member, and the number 1 is one byte in both encodings.
        let seq_member: &[u8] = match encoding {
            Encoding::Json => b"\"seq\":1",
            Encoding::MessagePack => b"\xa3seq\x01",
        };
        let seq_at = find(&bytes, seq_member).context("an encoded op has no seq")? + seq_member.len() - 1;
        let (before_seq, after_seq) = (bytes[..seq_at].to_vec(), bytes[seq_at + 1..].to_vec());
        let record_at = find(&after_seq, record.as_bytes()).context("an encoded op has no record")?;
        Ok(Self { before_seq, after_seq, record_at })
    }
}

/// Eight fields as an app would have them. The field `note` is padded until all are [`FIELD_BYTES`] long.
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
    // A text of 32 to 255 bytes has a head of two bytes, one more than the empty text.
    let padding = FIELD_BYTES
        .checked_sub(with_note(String::new()).to_msgpack().len() + 1)
        .context("the fields are larger than FIELD_BYTES without padding")?;
    let note: String = (0..padding).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    let fields = with_note(note);
    let bytes = fields.to_msgpack().len();
    ensure!(bytes == FIELD_BYTES, "the fields take {bytes} bytes and not {FIELD_BYTES}");
    Ok(fields)
}

/// Writes the head of an array in its shortest form, as core does.
fn write_array_head(body: &mut Vec<u8>, count: usize) {
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(count @ 0..=15), _) => body.push(0x90 | count),
        (_, Ok(count)) => {
            body.push(0xdc);
            body.extend_from_slice(&count.to_be_bytes());
        }
        _ => {
            body.push(0xdd);
            body.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// Writes an integer in its shortest form, as core does.
fn write_integer(body: &mut Vec<u8>, number: u64) {
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

/// Spreads consecutive numbers over all 64 bits (the finalizer of `SplitMix64`).
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
        let templates = OpTemplates::new(encoding).unwrap();
        decode(encoding, &templates.body(Uuid::from_u128(7), seqs)).unwrap()
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
        let templates = OpTemplates::new(Encoding::MessagePack).unwrap();
        for seqs in [1..130, 250..300, 65_530..65_540] {
            let body = templates.body(Uuid::from_u128(7), seqs);
            let push: PushRequest = decode(Encoding::MessagePack, &body).unwrap();
            assert_eq!(encode(Encoding::MessagePack, &push).unwrap(), body);
        }
    }

    #[test]
    fn fields_have_their_size_and_records_repeat() {
        assert!(fields().unwrap().iter().all(|fields| fields.len() == FIELD_BYTES));
        let push = pushed(Encoding::MessagePack, 1..3);
        assert_ne!(push.ops[0].record, push.ops[1].record);
        let device = Uuid::from_u128(7);
        assert_eq!(record_of(device, 3, 10), record_of(device, 13, 10));
        assert_ne!(record_of(device, 3, 10), record_of(Uuid::from_u128(8), 3, 10));
    }
}
