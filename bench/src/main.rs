//! What the kernel program costs, side by side with others. It must not run but by hand: `cargo xtask bench`.

mod bed;
mod bytecode;
mod cases;
mod directory;
mod machine;
mod paths;
mod sources;
mod turns;
mod xdp_filter;

use portsentry_tests::sockets::Socket;

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("paths") {
        for (name, run) in paths::count()? {
            println!("{name:50} {:4} {:?}", run.instructions, run.calls);
        }
        return Ok(());
    }
    let n: u32 = std::env::args().nth(1).map_or(1_000_000, |s| s.parse().unwrap());
    let r: u32 = std::env::args().nth(2).map_or(30, |s| s.parse().unwrap());
    let any: std::net::SocketAddr = "[::]:443".parse()?;
    portsentry_tests::namespace::with_sockets(&[Socket::Listener(any), Socket::Bound(any)], || {
        let cases = cases::Cases::load(n)?;
        for c in turns::measure(&cases.contenders()?, r)? {
            println!("{c:?}");
        }
        Ok(())
    })
}
