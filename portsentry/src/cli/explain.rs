//! The arguments of `explain`: a packet.

use std::net::IpAddr;

use clap::Args;
use portsentry_common::classify::Protocol;

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The packet's source, an IPv4 or IPv6 address
    pub address: IpAddr,
    /// The destination port, with /udp for a datagram
    #[arg(value_name = "PORT[/udp]", value_parser = probed)]
    pub port: (u16, Protocol),
    /// The destination, one of this host's addresses or one behind it; otherwise the address that answers ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<IpAddr>,
    /// TCP's control bits, such as syn, ack, fin,psh,urg or none
    #[arg(long, value_name = "FLAGS", value_parser = flags)]
    pub flags: Option<u8>,
    /// The source port
    #[arg(long, value_name = "PORT")]
    pub source_port: Option<u16>,
    /// The interface that receives it; otherwise the one that leads to ADDRESS
    #[arg(long = "on", value_name = "INTERFACE")]
    pub interface: Option<String>,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Reads a port and its protocol; without one it is TCP.
fn probed(text: &str) -> Result<(u16, Protocol), String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    };
    port.parse().ok().zip(protocol).ok_or_else(|| "write a port such as 8443, 8443/tcp or 53/udp".into())
}

/// Reads TCP's control bits (RFC 9293 section 3.1), separated by commas.
fn flags(text: &str) -> Result<u8, String> {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    if text.eq_ignore_ascii_case("none") {
        return Ok(0);
    }
    let bit = |name: &str| {
        NAMES.iter().position(|known| name.trim().eq_ignore_ascii_case(known)).map(|bit| 1 << bit)
    };
    let bits: Option<Vec<u8>> = text.split(',').map(bit).collect();
    bits.map(|bits| bits.into_iter().fold(0, |all, bit| all | bit))
        .ok_or_else(|| format!("write some of {}, separated by commas, or none", NAMES.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_named_by_port_and_flags() {
        for (text, expected) in [
            ("8443", Some((8443, Protocol::Tcp))),
            ("8443/tcp", Some((8443, Protocol::Tcp))),
            ("53/UDP", Some((53, Protocol::Udp))),
            ("65536", None),
            ("53/icmp", None),
            ("https", None),
        ] {
            assert_eq!(probed(text).ok(), expected, "{text}");
        }
        for (text, expected) in
            [("syn", Some(2)), ("FIN,psh,urg", Some(0x29)), ("none", Some(0)), ("syn,", None), ("xmas", None)]
        {
            assert_eq!(flags(text).ok(), expected, "{text}");
        }
    }
}
