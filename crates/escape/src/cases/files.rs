//! Files that are not the sandbox's.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Case};

const fn files(name: &'static str, line: &'static str) -> Case {
    Case::new(Area::Files, name, Shell(line))
}

const fn ours(name: &'static str, line: &'static str) -> Case {
    Case::ours(Area::Files, name, Shell(line))
}

pub(super) const CASES: &[Case] = &[
    files(
        "have the kernel run a program of ours (core_pattern)",
        "cat /proc/sys/kernel/core_pattern > /tmp/c && cat /tmp/c > /proc/sys/kernel/core_pattern && echo REACHED",
    ),
    ours("have the kernel act on a key (sysrq)", "printf h > /proc/sysrq-trigger && echo REACHED"),
    files(
        "write a setting of the kernel",
        "cat /proc/sys/vm/swappiness > /tmp/s && cat /tmp/s > /proc/sys/vm/swappiness && echo REACHED",
    ),
    ours(
        "write a setting of a device",
        "f=$(find /sys/kernel/mm -name 'scan_sleep_millisecs' 2>/dev/null | head -1); v=$(cat \"$f\") && echo \"$v\" > \"$f\" && echo REACHED",
    ),
    ours("read the kernel's memory", "head -c 1 /proc/kcore | grep -q . && echo REACHED"),
    files("read the timers of all", "head -c 1 /proc/timer_list | grep -q . && echo REACHED"),
    ours(
        "read the firmware's tables",
        "ls /sys/firmware/* 2>/dev/null | grep -q . && echo REACHED",
    ),
    ours("make the system writable", "mount -o remount,rw / && echo REACHED"),
    files(
        "write to the system",
        "touch /usr/bin/armor-was-here && rm /usr/bin/armor-was-here && echo REACHED",
    ),
    files(
        "change who may be somebody",
        "cp /etc/passwd /tmp/p && cat /tmp/p > /etc/passwd && echo REACHED",
    ),
    files("read the passwords", "head -c 1 /etc/shadow | grep -q . && echo REACHED"),
    files(
        "give a file to root",
        "touch /tmp/f && chown 0:0 /tmp/f && test \"$(stat -c %u /tmp/f)\" = 0 && echo REACHED",
    ),
    files(
        "become another user by a setuid program",
        "cp /bin/bash /tmp/b && chown 1 /tmp/b && chmod 4755 /tmp/b && test \"$(/tmp/b -p -c 'id -u')\" = 1 && echo REACHED",
    ),
    files(
        "become root by the system's own",
        "test \"$(id -u)\" = 0 && echo REACHED; su -c 'echo REACHED' </dev/null; command -v sudo && sudo -n echo REACHED",
    ),
    Case::new(
        Area::Files,
        "a capability on a file",
        Python(
            "import shutil\nshutil.copy('/bin/true', '/tmp/t')\ntry:\n    os.setxattr('/tmp/t', 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))\n    print('REACHED')\nexcept OSError as error:\n    print('kept by', errno.errorcode[error.errno])",
        ),
    ),
    ours(
        "a device of the host",
        "ls /dev | grep -qE '^(sd|vd|nvme|loop|mem|kmsg|port)' && echo REACHED",
    ),
    ours(
        "reach the engine",
        "for s in /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock; do test -e $s && echo REACHED; done; find / -xdev -type s 2>/dev/null | grep -v runner.sock | grep -q . && echo REACHED",
    ),
    ours(
        "replace the runner's program",
        "{ echo x > /run/armor/runner || rm -f /run/armor/runner || mv /run/armor/runner /tmp || cp /bin/true /run/armor/runner; } && echo REACHED",
    ),
    ours("read the runner's program", "head -c 1 /run/armor/runner | grep -q . && echo REACHED"),
    ours(
        "put another socket in the place of the runner's",
        "{ rm -f /run/armor/host/runner.sock || mv /run/armor/host/runner.sock /run/armor/host/x || touch /run/armor/host/y; } && echo REACHED",
    ),
    ours(
        "change what was said before",
        "find /run/armor/executions -type f | head -1 | grep -q . || exit; for f in $(find /run/armor/executions -type f); do echo x >> $f && echo REACHED; done; rm -rf /run/armor/executions/* && echo REACHED",
    ),
    ours(
        "get out by the workspace's parent",
        "ls /workspace/../tasks /workspace/../../tasks 2>/dev/null && echo REACHED; cat /workspace/../armor.db 2>/dev/null | head -c 1 | grep -q . && echo REACHED",
    ),
    ours(
        "get out by an open descriptor",
        "for d in /proc/self/fd/*; do case $(readlink $d) in /*armor.db*|/*/tasks/*|/*docker.sock*) echo REACHED;; esac; ls $d/../tasks 2>/dev/null && echo REACHED; done",
    ),
    ours(
        "get out by the root of another process",
        "for p in /proc/[0-9]*; do test -e $p/root/var/lib/docker && echo REACHED; done",
    ),
    ours(
        "get out by a hard link",
        "ln /etc/shadow /workspace/s && echo REACHED; ln /run/armor/runner /workspace/r && echo REACHED",
    ),
];
