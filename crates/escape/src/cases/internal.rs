//! Other tasks and the host, from a sandbox with the network `internal`: a network of its own with nobody
//! else on it. `TASK_ADDRESSES` and `TASK_NAMES` are those of tasks that listen on `TASK_PORT`, one with
//! the network `internal` and one with `open`.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn internal(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Internal, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    internal(
        "a port of another task",
        Shell(
            "test -n \"$TASK_ADDRESSES\" || exit; for a in $TASK_ADDRESSES; do curl -sS -m 3 http://$a:$TASK_PORT/; done",
        ),
    ),
    internal(
        "another task by its name",
        Shell(
            "export RES_OPTIONS='timeout:1 attempts:1'; test -n \"$TASK_NAMES\" || exit; for a in $TASK_NAMES; do curl -sS -m 3 http://$a:$TASK_PORT/; getent hosts $a && echo REACHED; done",
        ),
    ),
    internal("whoever else is on its network", Python(ELSE)),
    internal("a service of the gateway's", Python(GATEWAY)),
    internal(
        "a service of the host past its bridge",
        Shell(
            "test -n \"$HOST_ADDRESSES\" || exit; for a in $HOST_ADDRESSES; do timeout 2 bash -c \"exec 3<>/dev/tcp/$a/$HOST_PORT && head -c 300 <&3\"; done",
        ),
    ),
    internal(
        "a cloud's metadata past its bridge",
        Shell(
            "for a in 169.254.169.254 100.100.100.200 168.63.129.16 192.0.0.192; do timeout 1 bash -c \"exec 3<>/dev/tcp/$a/80\" && echo REACHED $a; done",
        ),
    ),
    internal(
        "the internet past its bridge",
        Shell(
            "for a in 1.1.1.1/53 8.8.8.8/443; do timeout 1 bash -c \"exec 3<>/dev/tcp/$a\" && echo REACHED; done",
        ),
    ),
    internal(
        "a name past its bridge",
        Python(
            "os.environ['RES_OPTIONS'] = 'timeout:1 attempts:1'\nfor name in ['deb.debian.org', 'host.docker.internal', 'gateway.docker.internal']:\n    try:\n        print('REACHED', socket.getaddrinfo(name, 80)[0][4])\n    except OSError as error:\n        print('kept by', error)\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(1)\nfor address in ['127.0.0.11', '127.0.0.1', '1.1.1.1'] + os.environ['HOST_ADDRESSES'].split():\n    try:\n        s.sendto(bytes.fromhex('000101000001000000000000076578616d706c6503636f6d0000010001'), (address, 53))\n        print('REACHED' if s.recv(500)[7] else 'kept: no answer in it')\n    except OSError as error:\n        print('kept by', error)",
        ),
    ),
];

/// Behind what finds out which addresses a sandbox has, and looks at others.
macro_rules! on_its_network {
    ($program:literal) => {
        concat!(
            r"
last, own = '', []
for line in open('/proc/net/fib_trie'):
    line = line.strip()
    if line.startswith('|-- '):
        last = line[4:]
    elif line.startswith('/32 host LOCAL') and not last.startswith('127.') and last not in own:
        own.append(last)
assert own, 'it is on no network'
def number(address):
    return int.from_bytes(socket.inet_aton(address), 'big')
def look(host, port):
    address = socket.inet_ntoa(host.to_bytes(4, 'big'))
    if address in own:
        return
    try:
        socket.create_connection((address, port), 0.5)
        print('REACHED', address, port)
    except OSError:
        pass
",
            $program
        )
    };
}

/// Every address of its subnet, which has 16, and of the one before and behind that, on the ports of the
/// other tasks and of the host's service.
const ELSE: &str = on_its_network!(
    r"
ports = [int(os.environ['TASK_PORT']), int(os.environ['HOST_PORT'])]
first = number(own[0]) // 16 * 16
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(32) as threads:
    looks = [threads.submit(look, host, port) for host in range(first - 16, first + 32) for port in ports]
    [done.result() for done in looks]
"
);

/// The bridge's own address would be the first of the subnet. Its service is the host's; others are what
/// a machine often has.
const GATEWAY: &str = on_its_network!(
    r"
first = number(own[0]) // 16 * 16
for host in [first + 1, first + 14]:
    for port in [int(os.environ['HOST_PORT']), 22, 53, 80, 111, 443, 2375, 2376, 3128, 3306, 5432, 6379, 8080]:
        look(host, port)
"
);
