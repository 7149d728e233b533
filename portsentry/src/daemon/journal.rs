//! The log: which line is written, in which PortSentry's words, and where to.
use crate::{cli::Modes, config::Config, kernel::Attachment, policy::Sighting};
use portsentry_common::classify::{Kind, Protocol};
use std::net::IpAddr;
/// The log.
#[derive(Debug)]
pub struct Journal {}
impl Journal {
    pub fn open(_config: &Config) -> Self {
        Self {}
    }
    fn say(&self, line: &str) {
        println!("{line}");
    }
    pub fn starting(&mut self, config: &Config, modes: Modes) {
        self.say("adminalert: PortSentry 1.2 is starting.");
        let _ = (config, modes);
    }
    pub fn attached(&mut self, attachment: &Attachment) {
        self.say(&format!("adminalert: {attachment}"));
    }
    pub fn active(&mut self) {
        self.say("adminalert: PortSentry is now active and listening.");
    }
    pub fn attack(&mut self, s: &Sighting) {
        let what = match s.kind {
            Kind::Syn => "TCP SYN/Normal scan".into(),
            Kind::Fin => "TCP FIN scan".into(),
            Kind::Null => " TCP NULL scan".into(),
            Kind::Xmas => "TCP XMAS scan".into(),
            Kind::Udp => "UDP scan".into(),
            Kind::Connect => "Connect".into(),
            Kind::Maimon => "TCP Maimon scan".into(),
            Kind::Ack => "TCP ACK scan".into(),
            Kind::Fragment => "TCP fragment scan".into(),
            Kind::Unknown => {
                let b = |m: u8| u8::from(s.flags & m != 0);
                format!(
                    "Unknown Type: TCP Packet Flags: SYN: {} FIN: {} ACK: {} PSH: {} URG: {} RST: {}",
                    b(2),
                    b(1),
                    b(16),
                    b(8),
                    b(32),
                    b(4)
                )
            }
        };
        self.say(&format!(
            "attackalert: {what} from host: {0}/{0} to {1} port: {2}",
            s.source,
            s.protocol.name(),
            s.port
        ));
    }
    pub fn notice(&mut self, s: &Sighting) {
        self.say(&format!(
            "adminalert: {:?} {:?} from {} to {} port {}",
            s.verdict,
            s.kind,
            s.source,
            s.protocol.name(),
            s.port
        ));
    }
    pub fn left_alone(&mut self, p: Protocol) {
        self.say(&format!("attackalert: Ignoring {} response per configuration file setting.", p.name()));
    }
    pub fn full(&mut self, s: IpAddr) {
        self.say(&format!("adminalert: the blocked map is full, {s} is not blocked"));
    }
    pub fn denied(&mut self, s: IpAddr, line: &str) {
        self.say(&format!("attackalert: Host {s} has been blocked via wrappers with string: \"{line}\""));
    }
    pub fn lifted(&mut self, s: IpAddr) {
        self.say(&format!("adminalert: Host {s} is no longer blocked"));
    }
    pub fn lost(&mut self, n: u64) {
        self.say(&format!("adminalert: {n} sightings not logged: the log is behind"));
    }
    pub fn untold(&mut self, n: u64) {
        self.say(&format!("adminalert: {n} probes not logged: rate"));
    }
    pub fn trouble(&mut self, e: &dyn std::fmt::Display) {
        self.say(&format!("adminalert: ERROR: {e}"));
    }
    pub fn stopping(&mut self) {
        self.say("securityalert: PortSentry is shutting down");
        self.say("adminalert: PortSentry is shutting down");
    }
}
