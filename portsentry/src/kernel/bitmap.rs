//! The port bitmaps. It must not know which ports are watched, or why.

use aya::maps::{Array, MapData};

use super::Error;

/// Writes the bits of 65,536 ports, bit `port % 64` of word `port / 64`.
pub(super) fn write(
    map: &mut Array<&mut MapData, u64>,
    name: &'static str,
    words: &[u64; 1024],
) -> Result<(), Error> {
    for (index, word) in (0..).zip(words) {
        map.set(index, word, 0).map_err(Error::map(name))?;
    }
    Ok(())
}
