//! Every limit of the protocol, with its purpose and safe bounds.
//!
//! `GET /sync/status` tells clients the limits that concern them. A server may advertise lower ones than these.

/// Largest request body on the wire, in bytes. Fits into the memory of a phone, and holds a day of offline edits.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest request body after decompression, in bytes. Stops decompression bombs.
pub const INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest number of operations in one push. A batch is never split, so this also bounds how far a page can exceed its
/// limit.
pub const BATCH_OPS_MAX: usize = 10_000;
/// Largest sum of the encoded `fields` of one push, in bytes of MessagePack.
///
/// A page ends at the first batch boundary after [`PAGE_BYTES_MAX`], so the events of a page take at most 12 MiB beside
/// the names of their records. Logs of earlier versions may have heavier batches, and stay readable. Fields that are too
/// large to be stored do not count.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest encoded `fields` of one operation, in bytes of MessagePack. A larger op is rejected, but not its batch.
pub const FIELD_BYTES_MAX: usize = 256 * 1024;
/// Largest record, by the weight of its fields in bytes.
///
/// A put that would exceed it loses as a whole (`superseded`), on every replica. The size is capped so that no record
/// can grow until loading it fails.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest number of fields of a record. Each field takes memory for its writer too, which the weight does not count.
pub const RECORD_FIELDS_MAX: usize = 10_000;
/// Largest number of open conflicts of a record.
///
/// If a record has this many, a write that would open one more under `manual` just loses (`superseded`). Each open
/// conflict is loaded with the record, and no person settles a thousand.
pub const OPEN_CONFLICTS_MAX: usize = 1_000;
/// Largest number of closed conflicts that a record remembers for resolves that name them.
///
/// The table of conflicts keeps all. A resolve of a conflict that the record has forgotten is a plain put.
pub const CLOSED_CONFLICTS_MAX: usize = 1_000;
/// Largest number of elements of a field that is merged by `union`. Capped for the same reason as the fields of a
/// record.
pub const UNION_ELEMENTS_MAX: usize = 10_000;
/// Largest number of contributors that a merge field remembers, one contribution per device. A delete that did not know
/// of the latest contributions is judged against these.
pub const CONTRIBUTORS_MAX: usize = 64;
/// Largest number of deletes that a record remembers since it last lived.
///
/// A put is judged by each that it did not know of. A put that did not know of one for which there was no room loses
/// (`superseded`), unless the table says `update_wins`.
pub const DELETES_MAX: usize = 64;
/// Number of event positions that a record keeps until they leave it as a block.
pub const HISTORY_BLOCK_EVENTS: usize = 64;
/// Deepest nesting of a value, in levels. Keeps every recursive reader far from a stack overflow.
pub const DEPTH_MAX: usize = 32;
/// Largest number of values and keys in one request, including its envelope. A decoded value takes many times its size
/// on the wire. The limit allows ten thousand ops of forty fields.
pub const BODY_VALUES_MAX: usize = 1_000_000;
/// Deepest nesting of a whole request, in levels: the envelope around `fields`, and a value inside it.
pub const BODY_DEPTH_MAX: usize = DEPTH_MAX + 8;
/// Longest record id, scope, actor, field name and device name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest run of white space in a JSON body, in bytes. Far more than any writer indents.
pub const WHITESPACE_RUN_BYTES_MAX: usize = 64 * 1024;
/// Largest amount of white space in a JSON body, in bytes, beside half of the body.
///
/// So much that an indented body always passes. A body of spaces compresses to nothing, and would still take as long to read as one of data.
pub const WHITESPACE_BYTES_MAX: usize = 1024 * 1024;
/// Longest table name, in bytes. Equals the limit of Postgres for identifiers, since each table gets a view.
pub const TABLE_BYTES_MAX: usize = 63;
/// Longest app version and platform, in bytes.
pub const APP_BYTES_MAX: usize = 64;
/// Longest role name, in bytes.
pub const ROLE_BYTES_MAX: usize = 63;
/// How far the clock of a device may run ahead of the server before its effective time is limited, in seconds.
pub const CLOCK_SKEW_S_DEFAULT: u32 = 60;
/// Number of events in a page if the caller gives no `limit`.
pub const PAGE_EVENTS_DEFAULT: usize = 1_000;
/// Largest `limit` of a page, in events.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// Size after which a page ends, in bytes. A page of events, measured as MessagePack, ends at the next batch boundary.
/// A page of records is measured by their weight.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest number of positions that one page examines, regardless of how many match. Bounds the work of a filter that
/// matches nothing.
pub const PAGE_POSITIONS_MAX: i64 = 50_000;
/// Longest long poll of a pull or of a read of records, in milliseconds. Shorter than the idle timeouts of common proxies.
pub const PULL_WAIT_MS_MAX: u64 = 30_000;
/// Longest wait of a push for the projector, in milliseconds.
pub const PUSH_WAIT_MS_MAX: u64 = 10_000;
/// Number of devices that one enrollment key may register per hour, if the key sets no other limit.
pub const REGISTRATIONS_PER_HOUR_DEFAULT: i32 = 100;
/// Largest number of scopes that a device can be given. Its `_devices` event has them all.
pub const SCOPES_MAX: usize = 1_000;
/// Shortest nonce of a registration, in characters. Long enough that no two devices make up the same one.
pub const NONCE_CHARS_MIN: usize = 16;
/// Longest nonce of a registration, in characters.
pub const NONCE_CHARS_MAX: usize = 64;
/// How long a registration may be repeated by its nonce, in milliseconds: a day, so that a device finds out what became
/// of it when it is online again.
pub const REGISTRATION_REPEAT_MS_MAX: i64 = 24 * 3_600_000;
/// How long a device's token is valid beside the one that replaces it, in milliseconds. Long enough to ask again if the
/// answer was lost.
pub const PREVIOUS_TOKEN_MS: i64 = 10 * 60_000;
