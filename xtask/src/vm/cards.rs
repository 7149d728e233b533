//! Network cards of a machine: three of one model, joined, for the host, the scanner and the bystander of the tests' lab.

use std::process::Command;

use clap::ValueEnum;

/// The file that makes the machine's init tell the tests about the cards. It contains [`Model::frames`].
pub(super) const MARK: &str = "/portsentry/cards";
const CARDS: u8 = 3;
/// Pairs of queues of a card that has several: twice as many as the machine has processors, so that a native program gets
/// queues of its own to answer.
const QUEUES: u8 = 4;
/// Makes the bridge of cards whose other ends are the host's.
const BRIDGE: &str = "ip link add bridge type bridge mcast_snooping 0\nip link set bridge up\n";

/// A model that qemu emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Model {
    /// With one queue and without offloads between guest and host, on a hub of qemu.
    Virtio,
    /// With several queues, and frames of up to 64 KiB from and to the host, on a bridge of the host.
    VirtioQueues,
    Vmxnet3,
    E1000,
    E1000e,
    /// Since qemu 8.
    Igb,
}

impl Model {
    /// Returns the modules of the bus and the driver.
    pub(super) fn modules(self) -> [&'static str; 2] {
        ["virtio_pci", self.module()]
    }

    /// Returns the name of the driver's module.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Virtio | Self::VirtioQueues => "virtio_net",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Igb => "igb",
        }
    }

    /// Returns the name by which the machine is told apart from others.
    pub(super) fn name(self) -> &'static str {
        if self == Self::VirtioQueues { "virtio_net-queues" } else { self.module() }
    }

    /// Returns `large` if the other cards take frames of up to 64 KiB, otherwise `small`.
    pub(super) fn frames(self) -> &'static str {
        if self == Self::VirtioQueues { "large" } else { "small" }
    }

    /// Whether this machine's qemu may be too old for the model.
    pub(super) fn needs_newer_qemu(self) -> bool {
        self == Self::Igb
    }

    /// Returns the command that runs a program in a network namespace with the cards' other ends, if they aren't in qemu.
    pub(super) fn surroundings(self) -> Option<Command> {
        if self != Self::VirtioQueues {
            return None;
        }
        let port = |number| {
            format!(
                "ip tuntap add port{number} mode tap multi_queue vnet_hdr\n\
                 ip link set port{number} mtu 9000 master bridge up\n"
            )
        };
        let bridge = BRIDGE.to_owned() + &(1..=CARDS).map(port).collect::<String>();
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-ec"]).arg(bridge + "exec \"$0\" \"$@\"");
        Some(command)
    }

    /// Plugs the cards in.
    pub(super) fn plug_in(self, qemu: &mut Command) {
        let device = match self {
            Self::Virtio => "virtio-net-pci".to_owned(),
            // A vector for each queue, the configuration and the control queue.
            Self::VirtioQueues => format!("virtio-net-pci,mq=on,vectors={}", 2 * QUEUES + 2),
            Self::Vmxnet3 => "vmxnet3".to_owned(),
            Self::E1000 => "e1000".to_owned(),
            Self::E1000e => "e1000e".to_owned(),
            Self::Igb => "igb".to_owned(),
        };
        if self == Self::Igb {
            qemu.args(["-machine", "q35"]);
        }
        for number in 1..=CARDS {
            let end = match self {
                Self::VirtioQueues => {
                    format!("tap,id=port{number},ifname=port{number},script=no,downscript=no,queues={QUEUES}")
                }
                _ => format!("hubport,id=port{number},hubid=0"),
            };
            qemu.arg("-netdev").arg(end);
            // Igb's virtual functions take the slots beside it.
            let bus = if self == Self::Igb {
                qemu.arg("-device").arg(format!("pcie-root-port,id=root{number},chassis={number}"));
                format!(",bus=root{number}")
            } else {
                String::new()
            };
            // The lab's hardware addresses. No card boots.
            let address = format!("02:00:00:00:00:{number:02x}");
            qemu.arg("-device").arg(format!("{device},netdev=port{number},mac={address},romfile={bus}"));
        }
    }
}
