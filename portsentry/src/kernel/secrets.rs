//! The keys of the challenge's cookies.

use aya::maps::{Array, Map, MapData};
use bytemuck::Zeroable;
use portsentry_common::challenge::{Key, Secrets};

use super::Error;

/// The map's name.
pub(super) const MAP: &str = "SECRETS";

type Raw = [u8; size_of::<Secrets>()];

/// Replaces the idle key and makes it the current one. Cookies of the other key stay valid until the next call.
pub(super) fn renew(map: &mut Map) -> Result<(), Error> {
    let mut map: Array<&mut MapData, Raw> = Array::try_from(map).map_err(Error::map(MAP))?;
    let old = map.get(&0, 0).map_or(Secrets::zeroed(), |raw| bytemuck::pod_read_unaligned(&raw));
    let mut fresh = [0; 8];
    let filled = getrandom::fill(bytemuck::bytes_of_mut(&mut fresh));
    filled.map_err(|error| Error::System { what: "asking for random numbers", source: error.into() })?;
    let fresh = Key::new(fresh);
    let current = 1 - (old.current & 1);
    let keys = if current == 0 { [fresh, old.keys[1]] } else { [old.keys[0], fresh] };
    // The idle key is written first, so that the program makes no cookies with a key that is being replaced.
    for secrets in [Secrets { keys, current: old.current }, Secrets { keys, current }] {
        map.set(0, bytemuck::cast::<Secrets, Raw>(secrets), 0).map_err(Error::map(MAP))?;
    }
    Ok(())
}
