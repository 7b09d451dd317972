//! More than the sandbox's share. Its limits are those that `place.rs` asks for.

use crate::case::Attempt::{Python, Shell};
use crate::{Area, Attempt, Case};

const fn resources(name: &'static str, attempt: Attempt) -> Case {
    Case::new(Area::Resources, name, attempt)
}

pub(super) const CASES: &[Case] = &[
    resources(
        "more processes than there may be",
        Python(
            "import time\nmade = []\ntry:\n    for _ in range(400):\n        child = os.fork()\n        if child == 0:\n            time.sleep(20)\n            os._exit(0)\n        made.append(child)\n    print('REACHED', len(made))\nexcept OSError as error:\n    print('kept at', len(made), errno.errorcode[error.errno])\nfor child in made:\n    os.kill(child, 9)\n    os.waitpid(child, 0)",
        ),
    ),
    resources(
        // Counted by the control group: what comes and goes stands in a list of processes more than once.
        // A fork that is refused is counted for a moment, too.
        "a fork bomb",
        Shell(
            "ulimit -u unlimited 2>/dev/null; counter=/sys/fs/cgroup/pids/pids.current; test -r $counter || counter=/sys/fs/cgroup/pids.current; read -r count < $counter || exit; bomb() { bomb | bomb & }; (bomb) 2>/dev/null; SECONDS=0; while test $SECONDS -lt 3; do read -r count < $counter; test $count -gt 220 && echo REACHED $count && break; done; kill -9 -1",
        ),
    )
    .or_killed(),
    resources(
        "more memory than there may be",
        Python(
            "held = []\nfor _ in range(12):\n    held.append(bytearray(os.urandom(1) * (64 << 20)))\nprint('REACHED', len(held) * 64, 'MiB')",
        ),
    )
    .or_killed(),
    resources(
        "more memory than there may be, in /dev/shm",
        Shell(
            "head -c 80000000 /dev/zero > /dev/shm/x; test $(stat -c %s /dev/shm/x) -ge 80000000 && echo REACHED; rm -f /dev/shm/x",
        ),
    ),
    resources(
        "more memory than there may be, in /tmp",
        Shell(
            "head -c 80000000 /dev/zero > /tmp/x; test $(stat -c %s /tmp/x) -ge 80000000 && echo REACHED; rm -f /tmp/x",
        ),
    ),
    resources(
        "more open files than there may be",
        Python(
            "held = []\ntry:\n    for _ in range(2000):\n        held.append(os.open('/dev/null', 0))\n    print('REACHED', len(held))\nexcept OSError as error:\n    print('kept at', len(held), errno.errorcode[error.errno])",
        ),
    ),
    Case::ours(
        Area::Resources,
        "more processor time than there may be",
        Python(
            "import multiprocessing, time\ndef burn(_):\n    end = time.time() + 2\n    while time.time() < end: pass\n    return time.process_time()\nwith multiprocessing.Pool(2) as pool:\n    used = sum(pool.map(burn, range(2)))\nprint('REACHED' if used > 1.6 else 'kept at', round(used, 2), 's in 2 s')",
        ),
    ),
    resources(
        "memory that survives (memfd, mlock)",
        Python(
            "import mmap\nheld = []\nfor _ in range(12):\n    f = os.memfd_create('x')\n    os.ftruncate(f, 64 << 20)\n    m = mmap.mmap(f, 64 << 20)\n    m.write(b'x' * (64 << 20))\n    held.append(m)\nprint('REACHED', len(held) * 64, 'MiB')",
        ),
    )
    .or_killed(),
];
