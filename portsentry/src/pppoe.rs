//! Lists the `PPPoE` sessions of this network namespace, from `/proc/net/pppoe`.

use std::fs;

/// The list of sessions (`drivers/net/ppp/pppoe.c` in the kernel): a heading, then number, peer and interface of
/// each session.
const SESSIONS: &str = "/proc/thread-self/net/pppoe";

/// Returns the name of each session's interface. The list is empty if the kernel has no `PPPoE`.
pub(crate) fn carriers() -> Vec<Vec<u8>> {
    read(&fs::read(SESSIONS).unwrap_or_default())
}

fn read(list: &[u8]) -> Vec<Vec<u8>> {
    let sessions = list.split(|byte| *byte == b'\n').skip(1);
    // A name contains no blanks (`dev_valid_name`).
    let words = |line: &[u8]| -> Vec<Vec<u8>> {
        line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
    };
    sessions.filter_map(|line| words(line).into_iter().nth(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_names_its_interface() {
        let list = b"Id       Address              Device\n\
            01000000   02:00:00:00:00:02     eth0\n2A000000   02:00:00:00:00:03   up\xffl0\n";
        assert_eq!(read(list), [b"eth0".as_slice(), b"up\xffl0"]);
        assert_eq!(read(b"Id       Address              Device\n"), [[0_u8; 0]; 0]);
        assert_eq!(read(b""), [[0_u8; 0]; 0]);
    }
}
