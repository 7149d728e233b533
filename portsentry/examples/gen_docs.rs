//! Writes the files generated from the code into the given tree: `cargo xtask gen-docs`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    for (place, text) in portsentry::command::gen_docs::all()? {
        let place = root.join(place);
        fs::create_dir_all(place.parent().unwrap_or(&root))?;
        fs::write(place, text)?;
    }
    Ok(())
}
