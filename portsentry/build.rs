fn main() {
    let o = std::env::var("OUT_DIR").unwrap();
    std::fs::copy("../target/bpf/portsentry.o", format!("{o}/portsentry.o")).unwrap();
    println!("cargo::rerun-if-changed=../target/bpf/portsentry.o");
}
