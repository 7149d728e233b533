use super::*;

const REMOTE: [u64; 2] = [0, 9];
const SETTINGS: Settings = Settings { first_ephemeral: 32_768, last_ephemeral: 60_999, ..Settings::UNSET };

fn sent(protocol: Protocol, port: u16, remote_port: u16, flags: u8, is_forwarded: bool) -> Sent {
    Sent { remote: REMOTE, remote_port, port, protocol, flags: TcpFlags(flags), is_forwarded }
}

#[test]
fn the_hosts_own_connections_teach_nothing() {
    const ACK: u8 = TcpFlags::ACK;
    for (protocol, flags, is_forwarded, expected) in [
        (Protocol::Udp, 0, false, true),
        (Protocol::Udp, 0, true, true),
        (Protocol::Tcp, ACK, false, false),
        (Protocol::Tcp, TcpFlags::SYN | ACK, false, false),
        (Protocol::Tcp, ACK, true, true),
        (Protocol::Tcp, TcpFlags::RST | ACK, true, false),
    ] {
        let found = sent(protocol, 443, 40_000, flags, is_forwarded).is_of_interest();
        assert_eq!(found, expected, "{protocol:?} {flags:#x} {is_forwarded}");
    }
}

#[test]
fn an_answer_is_what_comes_back_to_the_port() {
    for port in [53, 1194, 40_000] {
        let lesson = sent(Protocol::Udp, port, 4500, 0, false).lesson(&SETTINGS);
        assert_eq!(lesson.flow, FlowKey::new(REMOTE, 4500, port, 17));
        assert!(!lesson.is_service);
    }
}

#[test]
fn a_question_from_an_ephemeral_port_opens_the_port_that_it_asks() {
    let any_port = |protocol, port| sent(protocol, port, 4789, 0, true).lesson(&SETTINGS).any_port;
    assert_eq!(any_port(Protocol::Udp, 40_000), Some(FlowKey::new(REMOTE, 0, 4789, 17)));
    assert_eq!(any_port(Protocol::Udp, 53), None, "a service's answer opens no connection");
    assert_eq!(any_port(Protocol::Tcp, 40_000), None);
}

#[test]
fn only_a_syn_ack_shows_a_service() {
    const BOTH: u8 = TcpFlags::SYN | TcpFlags::ACK;
    for (flags, expected) in [(BOTH, true), (TcpFlags::ACK, false), (TcpFlags::SYN, false)] {
        assert_eq!(sent(Protocol::Tcp, 443, 40_000, flags, true).lesson(&SETTINGS).is_service, expected);
    }
}
