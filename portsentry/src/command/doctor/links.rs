//! The interfaces of this network namespace, as netlink and their drivers describe them. It must not judge them.

use std::io;

use futures_util::TryStreamExt;
use rtnetlink::{
    new_connection,
    packet_route::link::{
        LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
    },
};

use crate::kernel::{Ethtool, Offloads, Queues};

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    pub is_loopback: bool,
    /// Its frames begin with an Ethernet header.
    pub is_ethernet: bool,
    /// What `ip link add type` calls it; `None` for a card.
    pub kind: Option<String>,
    pub driver: Option<String>,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    pub queues: Option<Queues>,
    pub offloads: Option<Offloads>,
    pub xdp: Option<Running>,
}

/// An XDP program that an interface runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub program: u32,
    pub is_native: bool,
}

/// Every interface.
pub(super) fn read() -> io::Result<Vec<Link>> {
    let ethtool = Ethtool::open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let messages: Vec<LinkMessage> = runtime.block_on(async {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        handle.link().get().execute().try_collect().await.map_err(io::Error::other)
    })?;
    Ok(messages.into_iter().map(|message| describe(message, &ethtool)).collect())
}

fn describe(message: LinkMessage, ethtool: &Ethtool) -> Link {
    let mut link = Link {
        index: message.header.index,
        is_loopback: message.header.flags.contains(LinkFlags::Loopback),
        is_ethernet: matches!(message.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback),
        ..Link::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::Xdp(xdp) => link.xdp = running(&xdp),
            _ => {}
        }
    }
    link.driver = ethtool.driver(&link.name);
    link.queues = ethtool.queues(&link.name);
    link.offloads = ethtool.offloads(&link.name);
    link
}

fn running(xdp: &[LinkXdp]) -> Option<Running> {
    let program = xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    })?;
    let is_native = !xdp.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some(Running { program, is_native })
}
