//! Network cards of a machine: three of one model on a hub of the emulator, for the host, the scanner and the bystander of
//! the tests' lab.

use std::process::Command;

use clap::ValueEnum;

/// The file that makes the machine's init tell the tests about the cards.
pub(super) const MARK: &str = "/portsentry/cards";
const CARDS: u8 = 3;

/// A model that qemu emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Model {
    Virtio,
    Vmxnet3,
    E1000,
    E1000e,
}

impl Model {
    /// Returns the modules of the bus and the driver.
    pub(super) fn modules(self) -> [&'static str; 2] {
        ["virtio_pci", self.module()]
    }

    /// Returns the name of the driver's module.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Virtio => "virtio_net",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
        }
    }

    /// Plugs the cards in.
    pub(super) fn plug_in(self, qemu: &mut Command) {
        let device = match self {
            Self::Virtio => "virtio-net-pci",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
        };
        for number in 1..=CARDS {
            qemu.arg("-netdev").arg(format!("hubport,id=port{number},hubid=0"));
            // The lab's hardware addresses. No card boots.
            let address = format!("02:00:00:00:00:{number:02x}");
            qemu.arg("-device").arg(format!("{device},netdev=port{number},mac={address},romfile="));
        }
    }
}
