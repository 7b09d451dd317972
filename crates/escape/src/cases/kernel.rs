//! System calls that ordinary programs do not need and that have been ways out. The numbers are those
//! of `x86_64`.

use crate::case::Attempt::Python;
use crate::{Area, Case};

const fn kernel(name: &'static str, program: &'static str) -> Case {
    Case::new(Area::Kernel, name, Python(program))
}

/// One that not every kernel has.
const fn some(name: &'static str, program: &'static str) -> Case {
    Case::ours(Area::Kernel, name, Python(program))
}

pub(super) const CASES: &[Case] = &[
    kernel("load a program into the kernel (bpf)", "attempt(321, 0, buffer(128), 128)"),
    kernel("queue calls past the filter (io_uring)", "attempt(425, 4, buffer(256))"),
    kernel("take of the machine's queues for files (io_setup)", "attempt(206, 1, buffer(8))"),
    kernel("stop the kernel at a page fault (userfaultfd)", "attempt(323, 1)"),
    kernel("put a key into the kernel's keyring", "attempt(248, b'user', b'k', b'x', 1, -4)"),
    kernel("read the kernel's keyring", "attempt(250, 0, -4, 1)"),
    kernel("measure the kernel (perf_event_open)", "attempt(298, buffer(128), 0, -1, -1, 0)"),
    kernel("open a file by its number", "attempt(304, -100, buffer(64), 0)"),
    kernel("get a file's number", "attempt(303, -100, b'/', buffer(64), buffer(8), 0)"),
    kernel("mount a file system", "attempt(165, b'none', b'/tmp', b'tmpfs', 0, 0)"),
    kernel("mount by the new calls (fsopen)", "attempt(430, b'tmpfs', 0)"),
    kernel("copy a mount (open_tree)", "attempt(428, -100, b'/', 1)"),
    kernel("change a mount (mount_setattr)", "attempt(442, -100, b'/', 0, buffer(32), 32)"),
    kernel("unmount", "attempt(166, b'/proc', 2)"),
    kernel("change the root (pivot_root)", "attempt(155, b'/tmp', b'/tmp')"),
    kernel("change the root (chroot)", "attempt(161, b'/tmp')"),
    kernel("make a user namespace (unshare)", "attempt(272, 0x10000000)"),
    kernel("make a network namespace", "attempt(272, 0x40000000)"),
    kernel("make a user namespace (clone)", "attempt(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    kernel("enter a namespace (setns)", "attempt(308, os.open('/proc/self/ns/net', 0), 0)"),
    some("load a kernel module", "attempt(175, buffer(8), 8, b'')"),
    some("load a kernel module from a file", "attempt(313, os.open('/dev/null', 0), b'', 0)"),
    some("remove a kernel module", "attempt(176, b'nosuch', 0)"),
    some("load another kernel (kexec)", "attempt(246, 0, 0, 0, 0)"),
    kernel("restart the machine", "attempt(169, 0xfee1dead, 672274793, 0x12345, 0)"),
    kernel("swap to a file", "attempt(167, b'/nosuch', 0)"),
    kernel("set the clock", "attempt(227, 0, 0)"),
    kernel("adjust the clock", "attempt(159, buffer(256))"),
    kernel("name the host", "attempt(170, b'x', 1)"),
    kernel("read the kernel's log", "attempt(103, 3, buffer(64), 64)"),
    kernel("keep accounts (acct)", "attempt(163, 0)"),
    kernel("set quotas", "attempt(179, 0, 0, 0, 0)"),
    some("reach ports of the machine (iopl)", "attempt(172, 3)"),
    kernel("change the segments of memory (modify_ldt)", "attempt(154, 0, buffer(16), 16)"),
    kernel("another personality (32 bit)", "attempt(135, 8)"),
    kernel("hear of every file (fanotify)", "attempt(300, 0, 0)"),
    kernel("talk raw to the network card", "attempt(41, 17, 3, 0x0300)"),
    kernel("send raw packets", "attempt(41, 2, 3, 1)"),
    kernel("use the kernel's ciphers (AF_ALG)", "attempt(41, 38, 5, 0)"),
    kernel("talk to the hypervisor (AF_VSOCK)", "attempt(41, 40, 1, 0)"),
    kernel("talk by Bluetooth", "attempt(41, 31, 3, 1)"),
    Case::ours(
        Area::Kernel,
        "call as a 32 bit program",
        Python("print('REACHED' if libc.syscall(0x40000000 | 39) > 0 else 'kept')"),
    )
    .or_killed(),
    some("make a device and open it", DEVICE),
];

const DEVICE: &str = r#"
try:
    os.mknod("/tmp/null", 0o020666, os.makedev(1, 5))
    print("REACHED", os.read(os.open("/tmp/null", os.O_RDONLY), 4))
except OSError as error:
    print("kept by", errno.errorcode[error.errno])
"#;
