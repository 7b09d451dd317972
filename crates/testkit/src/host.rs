//! This machine, as a container could try to reach it.

/// Addresses of this machine that a container could try: every one of its interfaces'.
pub fn host_addresses() -> Vec<String> {
    let routes = std::fs::read_to_string("/proc/net/fib_trie").unwrap();
    let mut addresses = Vec::new();
    let mut last = "";
    for line in routes.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address;
        } else if line.contains("/32 host LOCAL") && !last.starts_with("127.") {
            addresses.push(last.to_owned());
        }
    }
    addresses.sort();
    addresses.dedup();
    addresses
}
