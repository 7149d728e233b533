//! A machine's own network cards as the members' interfaces, in place of virtual ones. `cargo xtask vm --drivers` boots
//! machines with a card for each member, which has the member's hardware address.

use std::{cell::OnceCell, env, fs, path::Path};

use super::{
    log::PATIENCE,
    namespace::{self, Namespace},
    wait::wait_within,
};

/// Set in machines with such cards, to `large` if the cards take frames of up to 64 KiB from each other.
const VARIABLE: &str = "PORTSENTRY_CARDS";

/// Whether the machine has a card for each member.
pub(super) fn are_there() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Gives `member` the card with this hardware address, under the name `interface`.
pub(super) fn insert(member: &Namespace, wanted: &str, interface: &str) {
    let found = OnceCell::new();
    // A card returns to the machine some time after the namespace of an earlier test is gone.
    let returns = || find(wanted).is_some_and(|name| found.set(name).is_ok());
    wait_within(PATIENCE, || format!("in vain: a card with the address {wanted}"), returns);
    let name = found.into_inner().expect("a card");
    // Connections that a blocked source has closed would keep the namespace, and so the card, for minutes.
    member.run("sysctl", &["-qw", "net.ipv4.tcp_orphan_retries=1"]);
    let script =
        format!("link set {name} down mtu 1500\nlink set {name} netns {} name {interface}", member.name());
    namespace::ip(&[], &script);
    if env::var(VARIABLE).is_ok_and(|frames| frames != "large") {
        // qemu 7.2 cuts large segments of vmxnet3 and e1000e into IP fragments, without a header of theirs over IPv6.
        member.run("ethtool", &["-K", interface, "tso", "off"]);
        // An earlier test's generic program has switched it off. Other drivers lack it.
        drop(member.command("ethtool").args(["-K", interface, "lro", "on"]).output());
    }
}

/// Waits until a member's card has found its link.
pub(super) fn wait_for_link(member: &Namespace, interface: &str) {
    let has_link = || member.run("ip", &["link", "show", interface]).contains("LOWER_UP");
    wait_within(PATIENCE, || format!("in vain: the link of {}", member.name()), has_link);
}

/// Returns the name of the machine's interface with this hardware address.
fn find(wanted: &str) -> Option<String> {
    let is_wanted =
        |path: &Path| fs::read_to_string(path.join("address")).is_ok_and(|address| address.trim() == wanted);
    let interfaces = fs::read_dir("/sys/class/net").ok()?.flatten();
    let mut cards = interfaces.filter(|entry| is_wanted(&entry.path()));
    cards.next()?.file_name().into_string().ok()
}
