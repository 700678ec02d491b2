//! `/devices`: register with an enrollment key, list, revoke.

pub(super) mod list;
pub(super) mod register;
pub(super) mod revoke;
pub(super) mod token;

use tidelog_core::error::Code;
use tidelog_core::ids::DeviceId;

use crate::http::error::ApiError;

fn parse(text: &str) -> Result<DeviceId, ApiError> {
    DeviceId::parse(text).map_err(|e| ApiError::new(Code::IdInvalid, e.to_string()))
}

fn absent() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such device in this workspace")
}
