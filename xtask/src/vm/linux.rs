//! Debian's kernels, unpacked but not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{paths, setup, shell};

/// Modules for the lab's networks, in loading order.
const MODULES: [&str; 15] = [
    "net/llc/llc",
    "net/802/stp",
    "net/bridge/bridge",
    "drivers/net/veth",
    "net/tls/tls",
    "drivers/net/bonding/bonding",
    "net/802/garp",
    "net/802/mrp",
    "net/8021q/8021q",
    "drivers/net/vrf",
    "net/sched/sch_ingress",
    "net/sched/cls_bpf",
    "net/ipv4/inet_diag",
    "net/ipv4/tcp_diag",
    "net/ipv4/udp_diag",
];
/// Optional modules: `WireGuard`, flowtables, and PPP, which the cloud kernels lack.
const MORE: [&str; 25] = [
    "lib/crypto/libchacha",
    "arch/x86/crypto/chacha-x86_64",
    "arch/x86/crypto/poly1305-x86_64",
    "lib/crypto/libchacha20poly1305",
    "lib/crypto/libcurve25519-generic",
    "arch/x86/crypto/curve25519-x86_64",
    "net/ipv4/udp_tunnel",
    "net/ipv6/ip6_udp_tunnel",
    "drivers/net/wireguard/wireguard",
    "lib/libcrc32c",
    "net/netfilter/nfnetlink",
    "net/ipv4/netfilter/nf_defrag_ipv4",
    "net/ipv6/netfilter/nf_defrag_ipv6",
    "net/netfilter/nf_conntrack",
    "net/netfilter/nf_tables",
    "net/netfilter/nf_nat",
    "net/netfilter/nft_chain_nat",
    "net/netfilter/nft_nat",
    "net/netfilter/nf_flow_table",
    "net/netfilter/nf_flow_table_inet",
    "net/netfilter/nft_flow_offload",
    "drivers/net/slip/slhc",
    "drivers/net/ppp/ppp_generic",
    "drivers/net/ppp/pppox",
    "drivers/net/ppp/pppoe",
];

/// A kernel with its modules.
pub(super) struct Linux {
    /// The requested series, such as `6.1`.
    pub(super) series: String,
    /// The full name, as printed by `uname -r`.
    pub(super) release: String,
    /// Path of the image to boot.
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Linux {
    /// Returns the kernel fetched before, or else fetches the newest of this series and flavour.
    pub(super) fn find_or_fetch(series: &str, flavour: &str) -> Result<Self> {
        let folder = paths::vm().join(format!("linux-{series}-{flavour}"));
        if !folder.exists() {
            setup::unpack(&newest(series, flavour)?, &folder)?;
        }
        let (release, modules) = only(&folder.join("lib/modules"))?;
        let image = folder.join("boot").join(format!("vmlinuz-{release}"));
        Ok(Self { series: series.into(), release, image, modules: modules.join("kernel") })
    }

    /// Returns the modules' contents, in loading order.
    pub(super) fn modules(&self) -> Result<Vec<Vec<u8>>> {
        let more = MORE.iter().filter(|module| {
            ["ko", "ko.xz"].iter().any(|end| self.modules.join(format!("{module}.{end}")).exists())
        });
        MODULES.iter().chain(more).map(|module| self.module(module)).collect()
    }

    fn module(&self, name: &str) -> Result<Vec<u8>> {
        let plain = self.modules.join(format!("{name}.ko"));
        if plain.exists() {
            return fs::read(&plain).with_context(|| plain.display().to_string());
        }
        let packed = self.modules.join(format!("{name}.ko.xz"));
        let unpacked = Command::new("xz").args(["-dc"]).arg(&packed).output().context("`xz` of xz-utils")?;
        anyhow::ensure!(unpacked.status.success(), "{} can't be unpacked", packed.display());
        Ok(unpacked.stdout)
    }
}

/// Returns the package of a series' newest kernel. Only the unsigned packages can be fetched without the signing
/// template.
fn newest(series: &str, flavour: &str) -> Result<String> {
    let names = format!("^linux-image-{}[.][^-]*(-[0-9]+)?-{flavour}-unsigned$", series.replace('.', "[.]"));
    let found = shell::output(Command::new("apt-cache").args(["search", "--names-only", &names]))?;
    let packages = found.lines().filter_map(|line| line.split_whitespace().next());
    let newest = packages.max_by_key(|package| numbers(package));
    newest.map(Into::into).with_context(|| {
        format!("apt knows no Linux {series} ({flavour}): enable a release or backports with it")
    })
}

/// Returns the numbers in a name, for comparing versions.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Returns the name and path of a folder's only entry.
fn only(folder: &Path) -> Result<(String, PathBuf)> {
    let read = || fs::read_dir(folder)?.next().transpose();
    let entry = read().ok().flatten().with_context(|| format!("nothing is in {}", folder.display()))?;
    Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
}
