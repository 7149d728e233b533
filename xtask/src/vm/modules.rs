//! The modules of a kernel, in an order in which they can be loaded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// Modules for the lab's networks.
const NEEDED: [&str; 10] =
    ["bridge", "veth", "tls", "bonding", "8021q", "vrf", "sch_ingress", "cls_bpf", "tcp_diag", "udp_diag"];
/// Modules that not every kernel has: for translation and flowtables, tunnels, PPP and team, most of which the cloud kernels
/// lack.
const OPTIONAL: [&str; 25] = [
    // `libcrc32c` asks for an algorithm, not for a module.
    "crc32c_generic",
    "wireguard",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_fib_ipv4",
    "nft_ct",
    "nft_flow_offload",
    "nf_flow_table_inet",
    "ppp_generic",
    "pppox",
    "pppoe",
    "team",
    "team_mode_roundrobin",
    "macvlan",
    "vxlan",
    "xfrm_user",
    "xfrm_interface",
    "esp4",
    // ESP asks for `rfc4106(gcm(aes))`.
    "aes_generic",
    "ctr",
    "ghash_generic",
    "gcm",
    "seqiv",
    "af_packet",
];

/// Returns the modules' contents, with those for the machine's devices, unless they are parts of the kernel. `folder` has
/// one kernel's modules. Each module comes after those that it depends on.
pub(super) fn read(folder: &Path, devices: &[&str]) -> Result<Vec<Vec<u8>>> {
    let mut modules = Modules { paths: BTreeMap::new(), done: BTreeSet::new(), contents: Vec::new() };
    modules.find(folder)?;
    for name in NEEDED {
        anyhow::ensure!(modules.paths.contains_key(name), "{} has no module {name}", folder.display());
    }
    for name in NEEDED.iter().chain(&OPTIONAL).chain(devices) {
        modules.add(name)?;
    }
    Ok(modules.contents)
}

struct Modules {
    /// The modules' files by name.
    paths: BTreeMap<String, PathBuf>,
    /// Names of the modules in `contents`.
    done: BTreeSet<String>,
    contents: Vec<Vec<u8>>,
}

impl Modules {
    fn find(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                self.find(&path)?;
            } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.split(".ko").next()) {
                self.paths.insert(name.replace('-', "_"), path);
            }
        }
        Ok(())
    }

    /// Adds a module after those that it depends on. What isn't in a file is part of the kernel, or not available.
    fn add(&mut self, name: &str) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(path) = self.paths.get(&name) else { return Ok(()) };
        if !self.done.insert(name) {
            return Ok(());
        }
        let content = unpacked(path)?;
        for other in dependencies(&content) {
            self.add(&other)?;
        }
        self.contents.push(content);
        Ok(())
    }
}

/// Returns the content of a module's file.
fn unpacked(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|end| end != "xz") {
        return fs::read(path).with_context(|| path.display().to_string());
    }
    let unpacked = Command::new("xz").arg("-dc").arg(path).output().context("`xz` of xz-utils")?;
    anyhow::ensure!(unpacked.status.success(), "{} can't be unpacked", path.display());
    Ok(unpacked.stdout)
}

/// Returns the names in the `depends` entry of a module's `.modinfo` section (`modpost` writes it).
fn dependencies(content: &[u8]) -> Vec<String> {
    const ENTRY: &[u8] = b"\0depends=";
    let Some(at) = content.windows(ENTRY.len()).position(|window| window == ENTRY) else { return Vec::new() };
    let names = content[at + ENTRY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(names);
    names.split(',').filter(|name| !name.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_modules_description() {
        for (content, expected) in [
            (&b"ELF\0license=GPL\0depends=stp,llc\0retpoline=Y\0"[..], &["stp", "llc"][..]),
            (b"license=GPL\0depends=\0name=llc\0", &[]),
            (b"\0depends=a", &["a"]),
            (b"", &[]),
        ] {
            assert_eq!(dependencies(content), expected, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn a_module_comes_after_those_that_it_depends_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, depends: &str| {
            let content = format!("{name}\0depends={depends}\0");
            fs::write(folder.path().join(format!("{name}.ko")), content).expect("a file");
        };
        NEEDED.iter().for_each(|name| write(name, "a-b"));
        write("a-b", "built_in,c");
        write("c", "");
        write("unused", "");
        let read = read(folder.path(), &[]).expect("modules");
        let names: Vec<_> = read
            .iter()
            .map(|content| String::from_utf8_lossy(content.split(|byte| *byte == 0).next().unwrap()))
            .collect();
        assert_eq!(names[..4], ["c", "a-b", "bridge", "veth"]);
        assert_eq!(names.len(), NEEDED.len() + 2);
        fs::remove_file(folder.path().join("tls.ko")).expect("a file");
        assert!(super::read(folder.path(), &[]).unwrap_err().to_string().ends_with("has no module tls"));
    }
}
