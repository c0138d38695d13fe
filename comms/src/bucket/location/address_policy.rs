//! Which hosts are this machine or lie in its own network, where strangers may not send us.

use std::net::Ipv4Addr;

use url::Host;

/// Ends of names that only a network of its own knows.
const LOCAL: [&str; 5] = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];

/// Whether a host is near, as far as it can be told without looking its name up.
///
/// It must come out of [`url::Url`], which turns every spelling of an address into the address. Addresses of version 6
/// all count as near: too many of them hold one of version 4.
pub(super) fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => !is_public(*address),
        Host::Ipv6(_) => true,
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || LOCAL.iter().any(|end| name.ends_with(end))
        }
    }
}

/// Whether the IANA's registry of special addresses has no other use for it.
fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_private = address.is_private() || address.is_loopback() || address.is_link_local();
    // Shared by the customers of a carrier; of protocols; of benchmarks; of nobody, of groups, reserved.
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_of_protocols = (first, second, third) == (192, 0, 0);
    let is_of_benchmarks = first == 198 && (18..20).contains(&second);
    !(is_private || is_shared || is_of_protocols || is_of_benchmarks || first == 0 || first >= 224)
}
