//! `/devices`: register with an enrollment key, renew a token, list, change, revoke.

pub(super) mod change;
pub(super) mod list;
pub(super) mod register;
pub(super) mod revoke;
pub(super) mod token;

use tidelog_core::error::Code;
use tidelog_core::ids::DeviceId;

use crate::http::error::ApiError;

pub(super) fn parse(text: &str) -> Result<DeviceId, ApiError> {
    DeviceId::parse(text).map_err(|e| ApiError::new(Code::IdInvalid, e.to_string()))
}

pub(super) fn absent() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such device in this workspace")
}
