//! Connections that fenced sources opened. They make their sources clients once they have lasted.
//!
//! The fence lets scanners open connections, so a new one shows nothing. An administrator who was fenced for one
//! mistyped port and logs in must not lose the session by a second one.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::{Duration, Instant},
};

/// Time for which a connection must last: longer than OpenSSH waits for a login (`LoginGraceTime`).
const LASTS: Duration = Duration::from_secs(150);

/// The time when each connection was first seen.
#[derive(Debug)]
pub struct Lasting<K>(HashMap<K, Instant>);

impl<K> Default for Lasting<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Lasting<K> {
    /// Returns those of the recorded connections `keys` that have lasted. Forgets all others than `keys`.
    pub fn due(&mut self, keys: &HashSet<K>, now: Instant) -> Vec<K> {
        self.0.retain(|key, _| keys.contains(key));
        for key in keys {
            self.0.entry(*key).or_insert(now);
        }
        let lasted = |since: &Instant| now.saturating_duration_since(*since) >= LASTS;
        self.0.iter().filter(|(_, since)| lasted(since)).map(|(key, _)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_due_once_it_has_lasted() {
        let (start, mut lasting) = (Instant::now(), Lasting::default());
        let mut due = |keys: &[u8], second| {
            let keys = keys.iter().copied().collect();
            lasting.due(&keys, start + Duration::from_secs(second))
        };
        assert_eq!(due(&[1, 2], 0), [0; 0]);
        assert_eq!(due(&[1, 3], 100), [0; 0]);
        assert_eq!(due(&[1, 2, 3], 150), [1]);
        // A connection that was gone for a while is another one.
        assert_eq!(due(&[2, 3], 250), [3]);
    }
}
