//! The same past the proxy, whose rules allow every name, on every port, and no address: the widest
//! that a person would write.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn egress(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Egress, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    egress(
        "a service of the host past the proxy",
        Shell(
            "for a in $HOST_ADDRESSES 127.0.0.1; do timeout 2 bash -c \"exec 3<>/dev/tcp/$a/$HOST_PORT && head -c 300 <&3\"; done",
        ),
    ),
    egress(
        "a service of the host through the proxy",
        Shell(
            "for a in $HOST_ADDRESSES 127.0.0.1 0.0.0.0 [::1] [::] [::ffff:127.0.0.1] localhost; do curl -sS -m 3 --noproxy '' http://$a:$HOST_PORT/; curl -sS -m 3 --noproxy '' -p http://$a:$HOST_PORT/; done",
        ),
    ),
    egress(
        "a service of the host in other numbers",
        Shell(
            "for a in 127.1 0x7f000001 2130706433 017700000001 0x7f.0.0.1 127.0.0.1. localhost. 127.0.0.1%00.example; do printf 'GET http://%s:%s/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' $a $HOST_PORT | timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3; timeout 2 cat <&3'; done",
        ),
    ),
    egress(
        "a service of the host by SOCKS",
        Shell(
            "for a in $HOST_ADDRESSES 127.0.0.1 localhost; do curl -sS -m 3 --noproxy '' -x socks5h://127.0.0.1:3128 http://$a:$HOST_PORT/; curl -sS -m 3 --noproxy '' -x socks5://127.0.0.1:3128 http://$a:$HOST_PORT/; done",
        ),
    ),
    egress(
        "a service of the host by the name of another",
        Shell(
            "printf 'GET http://example.com/ HTTP/1.1\\r\\nHost: 127.0.0.1:%s\\r\\n\\r\\n' $HOST_PORT | timeout 12 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3; timeout 11 head -c 3000 <&3'",
        ),
    ),
    egress(
        "a service of the host behind another request",
        Shell(
            "a=$(echo $HOST_ADDRESSES | cut -d' ' -f1); printf 'POST http://%s:%s/ HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET http://%s:%s/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' $a $HOST_PORT $a $HOST_PORT | timeout 4 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3; timeout 3 cat <&3'",
        ),
    ),
    egress(
        "a cloud's metadata through the proxy",
        Shell(
            "for a in 169.254.169.254 [::ffff:169.254.169.254] [fd00:ec2::254] 168.63.129.16 100.100.100.200; do curl -sS -m 3 --noproxy '' http://$a/ | grep -v '^armor:' | grep -q . && echo REACHED; done; curl -sS -m 3 http://metadata.google.internal/ | grep -v '^armor:' | grep -q . && echo REACHED",
        ),
    ),
    egress(
        "a name server, by a datagram",
        Python(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(1)\nfor address in ['1.1.1.1', '127.0.0.1'] + os.environ['HOST_ADDRESSES'].split():\n    try:\n        s.sendto(bytes.fromhex('000101000001000000000000076578616d706c6503636f6d0000010001'), (address, 53))\n        print('REACHED', s.recv(500))\n    except OSError as error:\n        print('kept by', error)",
        ),
    ),
    egress(
        "datagrams by SOCKS",
        Python(
            "s = socket.create_connection(('127.0.0.1', 3128), 3)\ns.sendall(bytes([5, 1, 0]))\ns.recv(2)\ns.sendall(bytes([5, 3, 0, 1, 0, 0, 0, 0, 0, 53]))\nanswer = s.recv(10)\nprint('REACHED' if answer[1] == 0 else 'kept: answer %d' % answer[1])",
        ),
    ),
    egress(
        "the place of the way out",
        Python(
            "kept = []\nfor host in ['127.0.0.1', '0.0.0.0', '::']:\n    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)\n    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n    try:\n        s.bind((host, 3128))\n        s.listen()\n        print('REACHED', host)\n    except OSError as error:\n        kept.append(errno.errorcode[error.errno])\nprint('kept by', *kept)",
        ),
    ),
    egress(
        "bytes that are no protocol",
        Shell(
            "head -c 3000000 /dev/urandom | timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3'; head -c 100000 /dev/zero | tr '\\0' 'A' | timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; cat >&3'; curl -sS -m 5 http://127.0.0.2:1/ | grep -q '^armor:' || echo REACHED: the proxy does not answer any more",
        ),
    ),
];
