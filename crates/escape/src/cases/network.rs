//! The host, other networks and names, from a sandbox without a network. `HOST_PORT` is a service of
//! the host that answers whoever connects, `HOST_ADDRESSES` are the host's.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn network(name: &'static str, attempt: Attempt) -> Case {
    Case::new(Area::Network, name, attempt)
}

const fn ours(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Network, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    network(
        "a service of the host",
        Shell(
            "for a in $HOST_ADDRESSES; do timeout 2 bash -c \"exec 3<>/dev/tcp/$a/$HOST_PORT && head -c 300 <&3\"; done",
        ),
    ),
    network(
        "a name",
        Python(
            "try:\n    print('REACHED', socket.getaddrinfo('deb.debian.org', 80)[0][4])\nexcept OSError as error:\n    print('kept by', error)",
        ),
    ),
    ours(
        "a cloud's metadata",
        Shell(
            "for a in 169.254.169.254 100.100.100.200 168.63.129.16 192.0.0.192; do timeout 1 bash -c \"exec 3<>/dev/tcp/$a/80\" && echo REACHED $a; done",
        ),
    ),
    ours(
        "the internet",
        Shell(
            "for a in 1.1.1.1/53 8.8.8.8/443; do timeout 1 bash -c \"exec 3<>/dev/tcp/$a\" && echo REACHED; done",
        ),
    ),
    ours(
        "a name server, by a datagram",
        Python(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(1)\nfor address in ['1.1.1.1', '8.8.8.8', '127.0.0.11'] + os.environ['HOST_ADDRESSES'].split():\n    try:\n        s.sendto(bytes.fromhex('000101000001000000000000076578616d706c6503636f6d0000010001'), (address, 53))\n        print('REACHED', s.recv(500))\n    except OSError as error:\n        print('kept by', error)",
        ),
    ),
    network(
        "a network interface of its own",
        Shell("ls /sys/class/net | grep -v '^lo$' | grep -q . && echo REACHED"),
    ),
    ours(
        "the host's unix sockets by name",
        Python(
            "found = [l.split()[-1] for l in open('/proc/net/unix').read().splitlines()[1:] if '@' in l]\nprint('REACHED' if found else 'kept: none', found)",
        ),
    ),
];
