//! Sources that a daemon holds.

use std::net::IpAddr;

use super::{Daemon, Family, records::classic_record};

impl Daemon<'_> {
    /// Has a new source blocked by a probe.
    pub fn block_source(&self, family: Family) -> IpAddr {
        let source = self.lab().source(family);
        self.lab().nmap(source, "-sS -p 11");
        self.wait_for_block(source);
        source
    }

    /// Fails unless every source is in the kernel's map, and once in every file.
    pub fn assert_holds_once(&self, sources: &[IpAddr]) {
        let blocked = self.blocked();
        for source in sources {
            assert_eq!(blocked.iter().filter(|found| *found == source).count(), 1, "{source} in the map");
            for file in ["BLOCKED_FILE", "HISTORY_FILE"] {
                let records = self.file_about(file, *source);
                assert_eq!(records.len(), 1, "{source} in {file}: {records:?}");
                let is_right = classic_record(&records[0], *source, (11, "TCP", "Blocked"));
                assert!(is_right, "{file}: {}", records[0]);
            }
            assert_eq!(self.file_about("WRAPPER_HOSTS_DENY", *source).len(), 1, "{source} in hosts.deny");
        }
        for file in ["BLOCKED_FILE", "HISTORY_FILE", "WRAPPER_HOSTS_DENY"] {
            assert_eq!(self.file(file).len(), sources.len(), "{file} has lines of other sources");
        }
    }
}
