//! Checks whether the kernel and this process's privileges allow loading the program.

use std::{fs, path::Path, thread};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::finding::Finding;

const KERNEL: &str = "kernel";
/// The program queries the length of multi-buffer frames (`docs/kernels.md`).
const OLDEST: (u32, u32) = (5, 18);
/// The kernel of the oldest maintained Debian release.
const USUAL: (u32, u32) = (6, 1);
/// capabilities(7) needed to load and attach; `CAP_SYS_ADMIN` includes the first two.
const CAPABILITIES: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];
const SYS_ADMIN: u32 = 21;

/// Returns the findings on this system.
pub(super) fn findings(pins: &Path) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    vec![
        version(read("/proc/sys/kernel/osrelease").trim()),
        type_information(Path::new("/sys/kernel/btf/vmlinux").exists()),
        pin_directory(pins),
        capabilities(&read("/proc/self/status")),
        compiler(read("/proc/sys/net/core/bpf_jit_enable").trim()),
    ]
}

/// Returns the number of CPUs that this process may run on.
pub(super) fn cpus() -> u32 {
    thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

fn version(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-', '+']).map_while(|number| number.parse().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Finding::warning(
            KERNEL,
            format!("version \"{release}\" can't be read"),
            "`uname -r` prints it",
        );
    };
    if (major, minor) < OLDEST {
        let what = format!("Linux {release} has no XDP for multi-buffer frames, and can't load the program");
        return Finding::problem(KERNEL, what, "boot Linux 6.1 or later");
    }
    if (major, minor) < USUAL {
        let what = format!("Linux {release} is older than the kernels that portsentry is tested on");
        return Finding::warning(KERNEL, what, "it may work; Linux 6.1 or later is known to");
    }
    Finding::ok(KERNEL, format!("Linux {release}"))
}

fn type_information(is_there: bool) -> Finding {
    if is_there {
        return Finding::ok(KERNEL, "type information (BTF) is present");
    }
    Finding::problem(
        KERNEL,
        "no type information (BTF): /sys/kernel/btf/vmlinux is missing",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as every current distribution's is",
    )
}

/// The daemon creates the directory at start, so its nearest existing parent is checked.
fn pin_directory(pins: &Path) -> Finding {
    let nearest = pins.ancestors().find_map(|path| Some((path, statfs(path).ok()?)));
    let shown = pins.display();
    match nearest {
        Some((_, found)) if found.filesystem_type() == BPF_FS_MAGIC => {
            Finding::ok(KERNEL, format!("PIN_PATH {shown} is on bpffs"))
        }
        _ => Finding::problem(
            KERNEL,
            format!("PIN_PATH {shown} is not on bpffs"),
            "`mount -t bpf bpf /sys/fs/bpf`, and set PIN_PATH below it",
        ),
    }
}

fn capabilities(status: &str) -> Finding {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    let has = |bit: u32| effective & (1 << bit) != 0;
    let is_granted = |bit: u32| has(bit) || (bit >= 38 && has(SYS_ADMIN));
    let missing: Vec<_> =
        CAPABILITIES.iter().filter(|(bit, _)| !is_granted(*bit)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Finding::ok(KERNEL, "this user may load and attach programs");
    }
    let what = format!("this user may not load and attach programs: {} missing", missing.join(", "));
    Finding::problem(KERNEL, what, "run portsentry as root, or give it these capabilities")
}

fn compiler(enabled: &str) -> Finding {
    match enabled {
        "0" => Finding::warning(
            KERNEL,
            "the BPF JIT compiler is off: the program is interpreted, and many times slower",
            "`sysctl net.core.bpf_jit_enable=1`",
        ),
        "" => Finding::ok(KERNEL, "this user can't see whether the BPF JIT compiler is on"),
        _ => Finding::ok(KERNEL, "the BPF JIT compiler is on"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn versions_are_judged_by_their_numbers() {
        for (release, level) in [
            ("6.12.48+deb13-amd64", Level::Ok),
            ("6.1.0-40-amd64", Level::Ok),
            ("10.0", Level::Ok),
            ("5.19.0-50-generic", Level::Warning),
            ("5.18.0", Level::Warning),
            ("5.15.0-91-generic", Level::Problem),
            ("5.4.0", Level::Problem),
            ("4.19.0-26", Level::Problem),
            ("", Level::Warning),
            ("six", Level::Warning),
        ] {
            assert_eq!(version(release).level, level, "{release}");
        }
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        for (bits, expected) in [
            ("000001ffffffffff", None),
            ("0000000000000000", Some("CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing")),
            ("0000000000001000", Some("CAP_BPF, CAP_PERFMON missing")),
            ("000000c000001000", None),
            ("0000000000201000", None),
            ("000000c000000000", Some(": CAP_NET_ADMIN missing")),
        ] {
            let found = capabilities(&format!("Name:\tx\nCapEff:\t{bits}\nCapBnd:\t0\n"));
            assert_eq!(found.level == Level::Ok, expected.is_none(), "{}", found.what);
            assert!(expected.is_none_or(|words| found.what.ends_with(words)), "{}", found.what);
        }
        assert_eq!(capabilities("").level, Level::Problem);
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        assert_eq!(type_information(false).level, Level::Problem);
        assert_eq!(type_information(true).level, Level::Ok);
        assert_eq!(compiler("0").level, Level::Warning);
        assert_eq!(compiler("1").level, Level::Ok);
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(pin_directory(&directory.path().join("not/yet/there")).level, Level::Problem);
    }
}
