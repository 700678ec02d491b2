//! Every limit of the protocol, with its purpose and safe bounds. A server may lower what `/sync/status` advertises.

/// Largest request body on the wire, in bytes. Below a phone's memory, above a day of offline edits.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest request body once decompressed, in bytes: what stops a decompression bomb.
pub const INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most operations in one push. A batch is never split, so this also bounds how far a page passes its limit.
pub const BATCH_OPS_MAX: usize = 10_000;
/// Largest encoded `fields` of one operation, in bytes of MessagePack. A larger op is rejected, not its batch.
pub const FIELD_BYTES_MAX: usize = 256 * 1024;
/// Largest record, by the weight of its fields in bytes. A put that would pass it loses whole (`superseded`), on every
/// replica alike: a record that grew for ever would stop whoever has to load it.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most fields of a record, for the same reason: each also has its writer.
pub const RECORD_FIELDS_MAX: usize = 10_000;
/// Most open conflicts of a record. What meets a full record under `manual` just loses (`superseded`): nobody settles a
/// thousand, and each is loaded with the record.
pub const OPEN_CONFLICTS_MAX: usize = 1_000;
/// Most closed conflicts that a record remembers, for resolves that name them; the conflicts keeps all. A resolve of an
/// older one is a plain put.
pub const CLOSED_CONFLICTS_MAX: usize = 1_000;
/// Most elements of a field that is merged by `union`, for the same reason as the fields of a record.
pub const UNION_ELEMENTS_MAX: usize = 10_000;
/// Most contributors that a merge field remembers, each device once: whoever deletes the record without knowing of the
/// latest ones is judged against these.
pub const CONTRIBUTORS_MAX: usize = 64;
/// Positions of its events that a record keeps with itself before they leave as a block.
pub const HISTORY_BLOCK_EVENTS: usize = 64;
/// Deepest nesting of a value. Keeps every recursive reader far from the end of its stack.
pub const DEPTH_MAX: usize = 32;
/// Most values and keys in one request, envelopes included. Each takes memory many times its size on the wire; this is
/// ten thousand ops of forty fields.
pub const BODY_VALUES_MAX: usize = 1_000_000;
/// Deepest nesting of a whole request: the envelope around `fields` and the value below it.
pub const BODY_DEPTH_MAX: usize = DEPTH_MAX + 8;
/// Longest record id, scope, actor, field name and device name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest table name, in bytes: Postgres' own limit for an identifier, since each table gets a view.
pub const TABLE_BYTES_MAX: usize = 63;
/// Longest `app` version text, in bytes.
pub const APP_BYTES_MAX: usize = 64;
/// Longest role name, in bytes.
pub const ROLE_BYTES_MAX: usize = 63;
/// How far a device's clock may run ahead of the server before its effective time is cut, in seconds.
pub const CLOCK_SKEW_S_DEFAULT: u32 = 60;
/// Events of one page when the caller names no `limit`.
pub const PAGE_EVENTS_DEFAULT: usize = 1_000;
/// Most events a page may be asked for.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// Bytes after which a page ends: of events as MessagePack, then at the next batch boundary; of records by their weight.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Positions one page looks at, whatever it finds: bounds the work of a filter that matches nothing.
pub const PAGE_POSITIONS_MAX: i64 = 50_000;
/// Longest long poll of a pull, in milliseconds. Below the idle timeouts of common proxies.
pub const PULL_WAIT_MS_MAX: u64 = 30_000;
/// Longest wait of a push for the projector, in milliseconds.
pub const PUSH_WAIT_MS_MAX: u64 = 10_000;
/// Devices one enrollment key registers in an hour when it names no other limit.
pub const REGISTRATIONS_PER_HOUR_DEFAULT: i32 = 100;
