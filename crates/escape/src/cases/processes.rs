//! The runner and the processes of others.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn ours(name: &'static str, attempt: Attempt) -> Case {
    Case::ours(Area::Processes, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    ours(
        "end the runner",
        Shell(
            "for s in KILL TERM INT HUP QUIT ABRT SEGV; do kill -$s 1; done; sleep 0.2; kill -0 1 || echo REACHED",
        ),
    ),
    ours(
        "stop the runner",
        Shell("kill -STOP 1; grep -q '^State:.*T' /proc/1/status && echo REACHED"),
    ),
    ours("trace the runner", Python("attempt(101, 16, 1, 0, 0)")),
    ours("seize the runner", Python("attempt(101, 0x4206, 1, 0, 0)")),
    ours(
        "read the runner's memory",
        Python(
            "local, remote = buffer(16), struct.pack('QQ', 0x400000, 16)\nattempt(310, 1, struct.pack('QQ', ctypes.addressof(local), 16), 1, remote, 1, 0)",
        ),
    ),
    ours(
        "open the runner's memory",
        Shell(
            "head -c 1 /proc/1/mem && echo REACHED; cat /proc/1/maps | grep -q . && echo REACHED",
        ),
    ),
    ours(
        "read the runner's variables",
        Shell("tr '\\0' '\\n' < /proc/1/environ | grep -q . && echo REACHED"),
    ),
    ours(
        "use the runner's descriptors",
        Shell(
            "ls -l /proc/1/fd/ 2>/dev/null | grep -q socket && echo REACHED; ls /proc/1/root/ && echo REACHED",
        ),
    ),
    ours(
        "take a descriptor from the runner (pidfd_getfd)",
        Python("fd, _ = call(434, 1, 0)\nattempt(438, fd, 3, 0)"),
    ),
    ours("change the runner's limits", Python("attempt(302, 1, 7, struct.pack('QQ', 4, 4), 0)")),
    ours("change the runner's priority", Python("attempt(141, 0, 1, 19)")),
    ours(
        "make a signal up for the runner",
        Python(
            "import signal\ninfo = struct.pack('iiiiii', 15, 0, 0, 0, 0, 0) + bytes(104)\nresult, error = call(129, 1, 15, ctypes.create_string_buffer(info))\nprint('kept by', errno.errorcode.get(error) if result < 0 else 'the runner, which looks who sent it')\nimport time\ntime.sleep(0.3)\nos.kill(1, 0)",
        ),
    ),
    ours("make a signal up for the runner that has lost its sender", Python(LOST_SENDER)),
    ours(
        "give the runner an order",
        Python(
            "s = socket.socket(socket.AF_UNIX)\ntry:\n    s.settimeout(2)\n    s.connect('/run/armor/host/runner.sock')\n    print('REACHED' if s.recv(100) else 'kept: hung up on')\nexcept OSError as error:\n    print('kept by', error)",
        ),
    ),
    ours(
        "see processes of the host",
        Shell(
            "for p in /proc/[0-9]*; do grep -qaE '[d]ockerd|[c]ontainerd|[s]ystemd' $p/cmdline && echo REACHED; done",
        ),
    ),
    ours(
        "leave the control group",
        Shell(
            "for g in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null); do echo $$ > $g && echo REACHED; done",
        ),
    ),
    ours(
        "raise a limit of the control group",
        Shell(
            "for g in $(find /sys/fs/cgroup -name 'memory.max' -o -name 'memory.limit_in_bytes' -o -name 'pids.max' 2>/dev/null); do echo 99999999999 > $g && echo REACHED; done",
        ),
    ),
];

/// Behind as many signals as may wait, the kernel forgets who sent another one; of `kill` it does not.
const LOST_SENDER: &str = r#"
import signal, time
own, waiting = os.getpid(), 0
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
def info(number):
    return struct.pack('iiiiii', number, 0, -1, 0, own, os.getuid()) + bytes(104)
while waiting < 1 << 20 and call(129, own, 40, info(40))[0] == 0:
    waiting += 1
print("signals that wait:", waiting)
attempt(234, 1, 1, 15)
attempt(200, 1, 15)
attempt(129, 1, 15, info(15))
attempt(297, 1, 1, 15, info(15))
fd, _ = call(434, 1, 0)
attempt(424, fd, 15, info(15), 0)
attempt(424, fd, 15, 0, 1)
attempt(434, 1, 0x80)
time.sleep(0.3)
os.kill(1, 0)
"#;
