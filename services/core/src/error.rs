//! The stable error codes of the protocol, each with its sentence for people. Their HTTP statuses are in the gateway.

use std::fmt;

use serde::de;

/// Encloses a code and its detail in the message of a deserializer's error. Messages of serde itself never start with
/// it.
const MARK: char = '\u{1}';

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A stable error code. The `detail` text of an error may change between versions, a code never does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }

            /// What the code means, in a sentence for people: the `title` of the problem.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

codes! {
    /// The request has no body.
    BodyEmpty = "body_empty",
    /// The body is not valid JSON.
    JsonSyntax = "json_syntax",
    /// The body is not valid MessagePack.
    MsgpackInvalid = "msgpack_invalid",
    /// The compressed body cannot be decompressed.
    EncodingCorrupt = "encoding_corrupt",
    /// The server does not support the content coding of the body.
    EncodingUnsupported = "encoding_unsupported",
    /// The Content-Type of the body is neither JSON nor MessagePack.
    MediaType = "media_type",
    /// The server can produce none of the accepted media types.
    NotAcceptable = "not_acceptable",
    /// The body is larger than the limit, or holds more values than the limit.
    BodyTooLarge = "body_too_large",
    /// The body decompresses to more than the limit.
    InflatedTooLarge = "inflated_too_large",
    /// The push has more operations, or heavier fields, than the limit.
    BatchTooLarge = "batch_too_large",
    /// A member is missing or has the wrong shape.
    ShapeInvalid = "shape_invalid",
    /// A member is not part of the protocol.
    UnknownMember = "unknown_member",
    /// A member or key is given twice.
    DuplicateKey = "duplicate_key",
    /// A string contains NUL.
    NulChar = "nul_char",
    /// A value is nested deeper than the limit.
    TooDeep = "too_deep",
    /// A number is neither a 64-bit integer nor a finite float.
    NumberRange = "number_range",
    /// `$binary` is used for something other than a binary value.
    ReservedKey = "reserved_key",
    /// A name breaks the rules for its kind.
    NameInvalid = "name_invalid",
    /// An id is not a lower-case hyphenated UUID.
    IdInvalid = "id_invalid",
    /// A time is not RFC 3339, or has no offset.
    TimeInvalid = "time_invalid",
    /// An operation cannot be parsed.
    OpMalformed = "op_malformed",
    /// An operation contradicts itself.
    OpInvalid = "op_invalid",
    /// The sequence numbers of a push do not ascend by one.
    SeqOrder = "seq_order",
    /// The base of an operation is beyond what its device can have read.
    BaseAhead = "base_ahead",
    /// A query parameter is unknown, repeated or out of range.
    QueryInvalid = "query_invalid",
    /// The cursor was not made by this server.
    CursorInvalid = "cursor_invalid",
    /// The cursor is beyond the head of the log: the server was restored from a backup.
    CursorAhead = "cursor_ahead",
    /// The cursor was made from a different history of the log.
    CursorDiverged = "cursor_diverged",
    /// The log no longer reaches back to the cursor.
    CursorExpired = "cursor_expired",
    /// Operations between the last stored one and the first of this push are missing.
    SeqGap = "seq_gap",
    /// A sequence number is already stored with different content: the device was cloned or restored.
    SeqConflict = "seq_conflict",
    /// The conflict was already resolved or overtaken.
    ConflictClosed = "conflict_closed",
    /// The catalog would reject the operation.
    OpRejected = "op_rejected",
    /// The role of the caller may not write this table.
    RoleForbidden = "role_forbidden",
    /// The scope is not granted to the caller.
    ScopeForbidden = "scope_forbidden",
    /// No credential was given.
    AuthMissing = "auth_missing",
    /// The credential is malformed.
    AuthMalformed = "auth_malformed",
    /// The credential is not valid.
    TokenInvalid = "token_invalid",
    /// The device was revoked.
    DeviceRevoked = "device_revoked",
    /// The enrollment key is expired, revoked or used up.
    KeyExhausted = "key_exhausted",
    /// The credential does not allow this.
    Forbidden = "forbidden",
    /// There is nothing at this address.
    NotFound = "not_found",
    /// The method is not allowed here.
    MethodNotAllowed = "method_not_allowed",
    /// The body of the request did not arrive in time.
    RequestTimeout = "request_timeout",
    /// Too many requests of this kind.
    RateLimited = "rate_limited",
    /// The service cannot respond at the moment.
    Unavailable = "unavailable",
    /// It is not known whether the push was stored: push again.
    CommitUnknown = "commit_unknown",
    /// The server failed unexpectedly.
    Internal = "internal",
}

impl Code {
    /// A deserializer's error that carries this code and detail in its message, where the decoder of request bodies
    /// finds them.
    pub fn custom<E: de::Error>(self, detail: impl fmt::Display) -> E {
        E::custom(format_args!("{MARK}{}{MARK}{detail}{MARK}", self.as_str()))
    }

    /// The code and detail that [`Code::custom`] put into the message of an error.
    pub(crate) fn from_message(message: &str) -> Option<(Code, &str)> {
        let mut parts = message.strip_prefix(MARK)?.split(MARK);
        let (text, detail) = (parts.next()?, parts.next()?);
        Self::ALL.iter().find(|code| code.as_str() == text).map(|code| (*code, detail))
    }
}

/// A deserializer's message for people: on one line, and without the marks of [`Code::custom`].
pub(crate) fn plain_message(message: &str) -> String {
    Code::from_message(message).map_or(message, |(_, detail)| detail).replace('\n', ", ")
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
