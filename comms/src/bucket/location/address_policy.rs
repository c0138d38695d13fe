//! The hosts that are this machine or are in its network. Other peers may not send us there.

use std::net::Ipv4Addr;

use url::Host;

/// Endings of names that only a local network resolves.
const LOCAL: [&str; 5] = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];

/// Returns true if a host is near, judged without resolving its name.
///
/// The host must come from [`url::Url`], which normalizes every spelling of an address. All
/// addresses of version 6 count as near: too many of them embed one of version 4.
pub(super) fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => !is_public(*address),
        Host::Ipv6(_) => true,
        Host::Domain(name) => {
            // A name without a dot is completed with the search domain of this machine.
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || LOCAL.iter().any(|end| name.ends_with(end))
        }
    }
}

/// Returns true if the IANA IPv4 Special-Purpose Address Registry does not reserve the address.
fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_private = address.is_private() || address.is_loopback() || address.is_link_local();
    // RFC 6598, 100.64.0.0/10: carrier-grade NAT.
    let is_shared = first == 100 && (64..128).contains(&second);
    // RFC 6890, 192.0.0.0/24: protocol assignments.
    let is_for_protocols = (first, second, third) == (192, 0, 0);
    // RFC 2544, 198.18.0.0/15: benchmarks.
    let is_for_benchmarks = first == 198 && (18..20).contains(&second);
    // 0.0.0.0/8 is this machine; 224.0.0.0/4 is multicast, and the addresses above are reserved.
    let is_reserved = first == 0 || first >= 224;
    !(is_private || is_shared || is_for_protocols || is_for_benchmarks || is_reserved)
}
