//! Networks as text: `address`, `address/bits` or `address/netmask`, IPv4 and IPv6.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::{report::Report, span::Span};

/// Reads an address, or a network; bits beyond the prefix are cleared (`10.1.2.3/16` is `10.1.0.0/16`).
pub(super) fn network(span: Span<'_>, report: &mut Report) -> Option<IpNet> {
    let (address, bits) = match span.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (span, None),
    };
    let Ok(ip) = address.text().parse::<IpAddr>() else {
        let message = format!("\"{}\" is not an IPv4 or IPv6 address", address.text().escape_debug());
        report.error(address, message).help("write 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32");
        return None;
    };
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let length = match bits {
        None => longest,
        Some(bits) => prefix_length(bits, ip, longest, report)?,
    };
    IpNet::new(ip, length).ok().map(|net| unmapped(net.trunc()))
}

/// Reads a comma-separated list of networks.
pub(super) fn list(value: Span<'_>, report: &mut Report) -> Vec<IpNet> {
    value.split(',').filter_map(|entry| network(entry, report)).collect()
}

fn prefix_length(bits: Span<'_>, ip: IpAddr, longest: u8, report: &mut Report) -> Option<u8> {
    let text = bits.text();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let length = text.parse().ok().filter(|&length| length <= longest);
        if length.is_none() {
            report.error(bits, format!("a prefix of {ip} has 0 to {longest} bits"));
        }
        return length;
    }
    // A dotted netmask of the same family.
    let mask = text.parse::<IpAddr>().ok().filter(|mask| mask.is_ipv4() == ip.is_ipv4());
    if let Some(Ok(length)) = mask.map(ipnet::ip_mask_to_prefix) {
        return Some(length);
    }
    report.error(bits, format!("\"{}\" is not a prefix length", text.escape_debug()));
    None
}

/// Sources arrive as IPv4 addresses, never as IPv4-mapped ones (RFC 4291 section 2.5.5.2).
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map_or(net, IpNet::V4),
        _ => net,
    }
}
