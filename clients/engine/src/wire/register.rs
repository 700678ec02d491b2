//! Registration.

use serde::Serialize;
use tidelog_core::ids::DeviceId;

/// The body of `POST /devices`.
#[derive(Debug, Serialize)]
pub(crate) struct RegisterBody<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<&'a str>,
    pub(crate) nonce: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaces_through: Option<i64>,
}
