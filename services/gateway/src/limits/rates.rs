//! Limits on the rate of requests: of a device, of a workspace, of a client's address.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::HttpRequest;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use tidelog_core::error::Code;
use tidelog_core::ids::WorkspaceId;
use uuid::Uuid;

use crate::http::error::ApiError;
use crate::limits::shares::Owner;

/// How many seconds' worth of requests a caller that was quiet may send at once.
const BURST_SECONDS: u32 = 2;

/// The limits, in requests per second; 0 is no limit.
#[derive(Debug, Clone, Default)]
pub struct RateLimitConfig {
    /// For one device, key or analyst token.
    pub device: u32,
    /// For one workspace.
    pub workspace: u32,
    /// For one address of a client.
    pub address: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// A limiter of the requests with the same key.
type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// The rate limits of a gateway.
pub(crate) struct RateLimits {
    device: Option<Limiter<(WorkspaceId, Uuid)>>,
    workspace: Option<Limiter<WorkspaceId>>,
    address: Option<Limiter<IpAddr>>,
    trusted_proxies: Vec<IpNet>,
}

impl RateLimits {
    pub(crate) fn new(config: RateLimitConfig) -> Self {
        Self {
            device: limiter(config.device),
            workspace: limiter(config.workspace),
            address: limiter(config.address),
            trusted_proxies: config.trusted_proxies,
        }
    }

    /// Counts a request of a caller that has proven its credential. Before that it would be a way to use up the rate of
    /// somebody else.
    pub(crate) fn check_caller(&self, owner: Owner) -> Result<(), ApiError> {
        check(self.device.as_ref(), &(owner.workspace, owner.caller), "this caller")?;
        check(self.workspace.as_ref(), &owner.workspace, "this workspace")
    }

    /// Counts a request by the address of its client.
    pub(crate) fn check_address(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let Some(limiter) = &self.address else { return Ok(()) };
        match client_address(request, &self.trusted_proxies) {
            Some(address) => check(Some(limiter), &address, "this address"),
            None => Ok(()),
        }
    }

    /// Forgets those who were quiet lately. To be called now and then.
    pub(crate) fn forget_quiet(&self) {
        if let Some(limiter) = &self.device {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.workspace {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.address {
            limiter.retain_recent();
        }
    }
}

fn limiter<K: Hash + Eq + Clone>(per_second: u32) -> Option<Limiter<K>> {
    let per_second = NonZeroU32::new(per_second)?;
    let burst = per_second.saturating_mul(NonZeroU32::new(BURST_SECONDS)?);
    let quota = Quota::per_second(per_second).allow_burst(burst);
    Some(RateLimiter::new(quota, DashMapStateStore::default(), MonotonicClock))
}

fn check<K: Hash + Eq + Clone>(limiter: Option<&Limiter<K>>, key: &K, who: &str) -> Result<(), ApiError> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter.check_key(key).map_err(|until| {
        let wait: Duration = until.wait_time_from(MonotonicClock.now());
        let retry_after_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
        let limited = ApiError::new(Code::RateLimited, format!("{who} sends more requests than it may, try later"));
        ApiError { retry_after_ms: Some(retry_after_ms), ..limited }
    })
}

/// The address of a request's client: the peer of the connection or, if that is a trusted proxy, the last address of
/// `X-Forwarded-For` that is none. What stands before it in the header, the client may have made up.
fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let forwarded: Vec<_> = forwarded.flat_map(|value| value.split(',')).collect();
    let addresses = forwarded.into_iter().rev().map_while(|text| text.trim().parse::<IpAddr>().ok());
    Some(addresses.map(|address| address.to_canonical()).find(|address| !is_trusted(address)).unwrap_or(peer))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let address = |peer: &str, forwarded: &str| {
            let request = TestRequest::default().peer_addr(format!("{peer}:4000").parse().unwrap());
            let request = request.insert_header(("x-forwarded-for", forwarded)).to_http_request();
            client_address(&request, &trusted).unwrap().to_string()
        };
        assert_eq!(address("192.0.2.1", "198.51.100.7"), "192.0.2.1", "anybody can send the header");
        assert_eq!(address("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(address("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.1.1"), "198.51.100.7", "the rest is made up");
        assert_eq!(address("10.0.0.1", "198.51.100.7, nonsense"), "10.0.0.1");
        assert_eq!(address("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn a_caller_above_its_rate_is_told_when_to_come_back_and_others_go_on() {
        let limits = RateLimits::new(RateLimitConfig { device: 5, ..RateLimitConfig::default() });
        let owner = |caller| Owner { workspace: WorkspaceId(Uuid::nil()), caller: Uuid::from_u128(caller) };
        for _ in 0..10 {
            limits.check_caller(owner(1)).unwrap();
        }
        let refused = limits.check_caller(owner(1)).unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert!(refused.retry_after_ms.is_some_and(|wait| (1..=200).contains(&wait)), "{refused:?}");
        limits.check_caller(owner(2)).unwrap();
    }
}
